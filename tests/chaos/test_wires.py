"""The bridge and its wires, where this process may make some."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.chaos.wires import Wires, are_possible

PROBE = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], 9), timeout=1.0)
except ConnectionRefusedError:
    print("reached")
except TimeoutError:
    print("silence")
"""


def knock(wires: Wires, here: int, there: int) -> str:
    """What a dial of a closed port there comes to."""
    command = (*wires.inside(here), sys.executable, "-c", PROBE, wires.address(there))
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.skipif(not are_possible(), reason="needs root, network namespaces and bridges")
def test_a_cut_is_silent_in_both_directions_and_spares_others_until_it_is_healed() -> None:
    with Wires(3).laid() as wires:
        assert knock(wires, 0, 1) == "reached"
        wires.cut([0], [1])
        assert [knock(wires, 0, 1), knock(wires, 1, 0), knock(wires, 0, 2)] == [
            "silence",
            "silence",
            "reached",
        ]
        wires.heal()
        assert [knock(wires, 0, 1), knock(wires, 1, 0)] == ["reached", "reached"]
