"""`swarmd status --peer ADDR`: the members of a swarm, as they describe themselves, without a home."""

from __future__ import annotations

import asyncio
import json
import logging

import structlog
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from protocol.limits import MILLI
from swarmd.cli.peer_table import short_age
from swarmd.daemon.visiting import Member, Visit, visit
from swarmd.names import name_of, named
from swarmd.observe import printable


def show_outside(address: str, *, as_json: bool) -> None:
    """Query the swarm of the peer at `address` and print its members. Raises ConfigError, SwarmdError."""
    # The transport logs to standard output, which is reserved for the answer.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    found = asyncio.run(visit(address))
    if as_json:
        typer.echo(json.dumps(_plain(found), indent=2))
        return
    name, count = printable(found.manifest.name), len(found.members)
    round_ = found.manifest.round_at(found.at)
    members = "1 member" if count == 1 else f"{count} members"
    typer.echo(f"swarm {name} ({found.manifest.swarm_id.hex()[:12]}), round {round_}: {members}")
    Console().print(_table(found))


def _table(found: Visit) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1), header_style="dim")
    table.add_column("peer", no_wrap=True, min_width=24)
    table.add_column("step", justify="right", no_wrap=True)
    table.add_column("model", overflow="ellipsis", no_wrap=True, max_width=20)
    table.add_column("device", no_wrap=True, overflow="ellipsis", max_width=8)
    table.add_column("success", justify="right", no_wrap=True)
    table.add_column("learned from", justify="right", no_wrap=True)
    table.add_column("said", justify="right", no_wrap=True)
    for member in found.members:
        status = member.status
        cells = (
            named(member.peer_id),
            str(status.step),
            status.model,
            status.device,
            "–" if status.eval_milli is None else f"{status.eval_milli / MILLI:.3f}",
            "–" if member.used is None else str(len(member.used)),
            short_age(found.at - status.created),
        )
        table.add_row(*(Text(printable(cell)) for cell in cells))
    return table


def _plain(found: Visit) -> dict[str, object]:
    return {
        "swarm": found.manifest.name,
        "swarm_id": found.manifest.swarm_id.hex(),
        "round": found.manifest.round_at(found.at),
        "members": [_plain_member(member) for member in found.members],
    }


def _plain_member(member: Member) -> dict[str, object]:
    """Everything but the id is the peer's own claim."""
    fields = member.status.model_dump(exclude={"swarm"})
    return {"peer_id": member.peer_id, "name": name_of(member.peer_id), **fields, "used": member.used}
