"""Text from outside in an error: enough to recognise it, whatever was pasted or sent."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import swarmd
from swarmd.addresses import check_named_address, parse_http, parse_ip
from swarmd.config.memory_limit import memory_limit_bytes
from swarmd.errors import ConfigError
from swarmd.finding.records import dns_name
from swarmd.gossip.orders import parse_peer_id
from swarmd.hardware.drivers import require_plausible as require_plausible_device
from swarmd.model_names import require_plausible as require_plausible_model
from swarmd.quoting import PATH_CHARS_MAX, QUOTED_CHARS_MAX, quoted, shortened
from swarmd.tasks.manifest import read_swarm_file

LONG = "x y" * 10_000
A_MESSAGE = 1_000  # characters: its longest, with what to do


def test_a_short_text_is_quoted_whole_and_on_one_line() -> None:
    assert quoted("a 'b'\n\x1b[31m\u202e") == r'''"a 'b'\n\x1b[31m\u202e"'''


def test_a_long_text_is_cut_and_says_so() -> None:
    assert quoted("x" * QUOTED_CHARS_MAX) == repr("x" * QUOTED_CHARS_MAX)
    assert quoted("x" * (QUOTED_CHARS_MAX + 1)) == f"{'x' * QUOTED_CHARS_MAX!r}…"
    assert shortened("short") == "short"
    assert shortened("x" * 1_000, PATH_CHARS_MAX) == "x" * PATH_CHARS_MAX + "…"


def test_a_swarm_file_with_an_ordinary_long_path_is_named_whole() -> None:
    name = "a" * 150 + " of mine"
    with pytest.raises(ConfigError, match=name):
        read_swarm_file(name)


@pytest.mark.parametrize(
    "read",
    [
        check_named_address,
        parse_http,
        parse_ip,
        lambda text: memory_limit_bytes(text, free_bytes=1),
        lambda text: dns_name(f"dns:{text}"),
        lambda text: require_plausible_device(text, "--device"),
        require_plausible_model,
        parse_peer_id,
        read_swarm_file,
    ],
)
def test_no_reader_repeats_a_whole_text_in_its_error(read) -> None:
    with pytest.raises(ConfigError) as caught:
        read(LONG)
    assert len(str(caught.value)) < A_MESSAGE
    assert "…" in str(caught.value)


def test_no_message_cuts_text_by_a_number_of_its_own() -> None:
    """A digest or an id may be cut: it is never longer than a line."""
    root = Path(swarmd.__file__).parent
    cut = re.compile(r"""\{[^{}"]*\[:\s*(\d{3,}|\w*SHOWN_CHARS)\](!r)?\}""")
    found = [str(path) for path in root.rglob("*.py") if cut.search(path.read_text(encoding="utf-8"))]
    assert [path for path in found if not path.endswith(("model/base.py", "daemon/lacks.py"))] == []
