"""A fleet's printed output: its peers outlive whoever reads it."""

from __future__ import annotations

import io
from pathlib import Path

from swarmd.fleet import Member, Printed
from swarmd.fleet.devices import Device
from swarmd.storage import Home


def test_an_output_that_cannot_be_written_is_told_once_and_then_left_alone() -> None:
    err = io.StringIO()
    member = Member(Device("cpu:0", "cpu"), Home(Path("home")), {}, {})
    with Path("/dev/full").open("w") as full:
        printed = Printed(full, err, as_json=False, width=5)
        for _ in range(3):
            printed.said(member, "a line")
        printed.complained(member, "still here")
        full.flush()  # as at the end of the process: nothing is left to fail
    told, complained = err.getvalue().splitlines()
    assert told == "the output cannot be written: the peers continue without it"
    assert complained.endswith("still here")
