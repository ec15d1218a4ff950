"""`python -m tests.nat.shut`: a home that lets nothing out but TCP to 443, and a public peer that listens
on another port, then on 443. Prints what the home says. Needs root; leaves nothing behind.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.integration.daemon_process import DaemonProcess
from tests.nat.__main__ import OPTIONS, START_S
from tests.nat.homes import Kind, Street, why_not_possible

ONLY_PORT = 443


def said(street: Street, directory: Path, port: int) -> str:
    """By the home, of a public peer that listens on `port`: a warning, or the way its first group came."""
    here = street.public
    public = DaemonProcess(
        directory / "public",
        *(*OPTIONS, "--host", street.address(0), "--port", str(port)),
        prefix=street.inside(0),
    )
    home: DaemonProcess | None = None
    try:
        public.wait_for("join_command", timeout_s=START_S)
        home = DaemonProcess(
            directory / "home",
            *(*OPTIONS, "--host", street.home_address(here), "--peer", public.address),
            prefix=street.inside(here),
        )
        if port == ONLY_PORT:
            return f"joined; its first group came {home.wait_for('pulled', timeout_s=START_S)['way']}"
        refused = home.wait_for("warning", lambda event: "asking again" in event["message"], START_S)
        return str(refused["message"])
    finally:
        for each in filter(None, (home, public)):
            each.close()


def main() -> int:
    if why := why_not_possible():
        print(f"no homes can be built here: {why}", file=sys.stderr)
        return 2
    for port in (Street.INNER_PORT, ONLY_PORT):
        with (
            Street(2, kinds=(Kind.PORT_RESTRICTED,)).laid() as street,
            tempfile.TemporaryDirectory(prefix="nat-") as directory,
        ):
            street.allow_out(street.public, ONLY_PORT)
            print(f"the public peer listens on {port}: {said(street, Path(directory), port)}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
