"""A snapshot in the terminal, once or repeatedly. `swarmd status` loads this only if a daemon answers."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console, Group, RenderableType
from rich.text import Text

from swarmd.cli.home import homes_of_devices
from swarmd.cli.peer_table import peer_table
from swarmd.cli.status_screen import screen
from swarmd.errors import SwarmdError
from swarmd.observe import NoDaemonError, ask_status, printable
from swarmd.places import socket_path

if TYPE_CHECKING:
    from swarmd.observe import StatusSnapshot
    from swarmd.storage import Home

WATCH_EVERY_S = 2.0  # refresh interval: a snapshot costs the daemon a few milliseconds


def show(snapshot: StatusSnapshot, *, everything: bool) -> None:
    """Print the snapshot, with the command to join below it."""
    console = Console()
    console.print(render(snapshot, everything=everything))
    if snapshot.join_command:
        # Outside the table, so that only the terminal wraps it and it can be copied in one piece.
        console.print("\nothers join with:", Text(printable(snapshot.join_command)), soft_wrap=True)


def render(snapshot: StatusSnapshot, *, everything: bool = False) -> RenderableType:
    """Render the snapshot for people: one screen, or every fact and all peers."""
    if snapshot.swarm_view is not None:
        from swarmd.cli.observer_screen import observer_screen

        return observer_screen(snapshot, snapshot.swarm_view, everything=everything)
    if everything:
        from swarmd.cli.status_facts import facts

        if not snapshot.peers:
            return facts(snapshot)
        return Group(facts(snapshot), Text(), peer_table(snapshot.peers))
    return screen(snapshot)


def watch_status(home: Path, *, everything: bool) -> None:
    """Redraw in place until Ctrl-C. A daemon that stops or starts in the meantime is shown as such."""
    from rich.live import Live

    with Live(console=Console(), auto_refresh=False, transient=False) as live:
        try:
            while True:
                live.update(_look(home, everything=everything), refresh=True)
                time.sleep(WATCH_EVERY_S)
        except KeyboardInterrupt:
            return


def _look(home: Path, *, everything: bool) -> RenderableType:
    """Return what to show of the daemon in `home`, or of each daemon of `join --devices`."""
    try:
        return render(ask_status(home, socket_path(home)), everything=everything)
    except SwarmdError as error:
        if isinstance(error, NoDaemonError) and (homes := homes_of_devices(home)):
            return Group(*(part for each in homes for part in _titled(each, everything=everything)))
        return Text(printable(str(error)), style="yellow")


def _titled(home: Home, *, everything: bool) -> tuple[RenderableType, RenderableType]:
    return Text(f"── {home.path.name}", style="bold"), _look(home.path, everything=everything)
