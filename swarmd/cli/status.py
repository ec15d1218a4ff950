"""`swarmd status`: shows the state of the daemon that runs in a home."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from swarmd.cli.home import DEFAULT_HOME, HomeOption, home_path
from swarmd.errors import SwarmdError
from swarmd.observe import NoDaemonError, StartingError, ask_status, printable
from swarmd.observe.words import duration, held_out, sparkline
from swarmd.places import socket_path

if TYPE_CHECKING:
    from swarmd.observe import Disk, IgnoredPeer, PeerView, SelfEvaluation, StatusSnapshot
    from swarmd.storage import Home

NO_DAEMON = 3
GIGABYTE = 1e9
PEERS_SHOWN = 64  # the best known: a flood of names must not scroll them away
IGNORED_SHOWN = 16


def status(
    home: HomeOption = DEFAULT_HOME,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as one JSON object.")] = False,
) -> None:
    """Show the state of the daemon that runs in a home. Exit code 3: none runs, or it is still starting.

    In a home of `join --devices`, this shows all peers. With --json they are {"devices": {"cuda-0": ...}},
    with null for a peer that does not answer. Exit code 3: none of them answers.
    """
    path = home_path(home)
    try:
        snapshot = ask_status(path, socket_path(path))
    except NoDaemonError as error:
        if (path / "devices").is_dir() and (found := _device_homes(path)):
            raise typer.Exit(_show_devices(found, as_json)) from error
        typer.echo(str(error) if isinstance(error, StartingError) else f"error: {error}", err=True)
        raise typer.Exit(NO_DAEMON) from error
    if as_json:
        typer.echo(snapshot.model_dump_json(indent=2))
    else:
        _show(snapshot)


def _device_homes(path: Path) -> Sequence[Home]:
    from swarmd.fleet import device_homes

    return device_homes(path)


def _show(snapshot: StatusSnapshot) -> None:
    console = Console()
    console.print(render(snapshot))
    if snapshot.join_command:
        # Outside the table, where only the terminal wraps it, so that it can be copied in one piece.
        console.print("\nothers join with:", _plain(snapshot.join_command), soft_wrap=True)


def _show_devices(homes: Sequence[Home], as_json: bool) -> int:
    """Show each peer in turn; returns the exit code."""
    found: dict[str, StatusSnapshot | None] = {}
    for home in homes:
        try:
            found[home.path.name] = ask_status(home.path, home.socket_path)
        except StartingError as error:
            found[home.path.name] = None
            typer.echo(str(error), err=True)
        except NoDaemonError:
            found[home.path.name] = None
        except SwarmdError as error:  # a peer that hangs must not hide the others
            found[home.path.name] = None
            typer.echo(f"error: {error}", err=True)
    if as_json:
        plain = {name: each and each.model_dump(mode="json") for name, each in found.items()}
        typer.echo(json.dumps({"devices": plain}, indent=2))
    else:
        for name, each in found.items():
            Console().print(Text(f"── {name}", style="bold"))
            if each is None:
                typer.echo("no daemon answers")
            else:
                _show(each)
            typer.echo()
    return 0 if any(found.values()) else NO_DAEMON


def render(status: StatusSnapshot) -> RenderableType:
    """The snapshot for people: facts about this peer, then the other peers."""
    return Group(_facts(status), Text(), _peers(status.peers))


def _facts(status: StatusSnapshot) -> Table:
    health = _plain("; ".join(status.health.reasons) or "unhealthy", "red")
    if status.health.ok:
        health = Text("healthy", style="green")
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", justify="right")
    table.add_column(overflow="fold")
    table.add_row("health", health)
    for name, lines in _fact_lines(status):
        table.add_row(name, _plain_lines(lines))
    return table


def _fact_lines(status: StatusSnapshot) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """The lines to show beside each name."""
    reward, groups = status.reward, status.groups
    last, mean, best = (_number(value) for value in (reward.last, reward.mean_20, reward.best_20))
    steps, tokens = _number(status.steps_per_minute, 1), _number(status.tokens_per_s, 0)
    made = f"{groups.own} own · {groups.published} published"
    taken = f"{groups.pulled} pulled · {groups.external_used} used from others"
    rejected = (f"{reason} {count}" for reason, count in groups.rejected.items())
    return (
        ("peer id", (status.peer_id,)),
        ("swarm", (f"{status.swarm} ({status.swarm_id[:12]})",)),
        ("round", (str(status.round),)),
        ("step", (f"{status.step} · {status.phase} · up {duration(status.uptime_s)}",)),
        ("model", (f"{status.model} on {status.device}, {status.dtype}, LoRA {status.lora or 'off'}",)),
        ("speed", (f"{steps} steps/min · {tokens} tokens/s",)),
        ("reward", (f"last {last} · mean of 20 {mean} · best {best}", sparkline(status.reward_history))),
        ("held-out", (_held_out(status.evaluation),)),
        ("groups", (f"{made} · {taken}",)),
        ("rejected", (", ".join(rejected) or "none",)),
        ("disk", (_disk(status.disk),)),
        ("addresses", status.addresses),
        ("http", (status.http or "off",)),
        ("sandbox", status.sandbox or ("complete",)),
        ("ignored", tuple(map(_ignored, status.judgement.ignored[:IGNORED_SHOWN])) or ("nobody",)),
        ("trusted", (", ".join(map(_short, status.judgement.trusted)),)),
        ("points lost", (_counts(status.judgement.points_lost),)),
        ("floods", (_counts(status.judgement.misbehaved),)),
        ("refused", (_counts(status.judgement.refused),)),
        ("junk read", (_counts(status.judgement.junk),)),
    )


def _ignored(found: IgnoredPeer) -> str:
    left = (
        "until `swarmd unban`" if found.seconds_left is None else f"for {duration(found.seconds_left)} more"
    )
    return f"{_short(found.peer_id)} {left}: {found.reason}"


def _disk(disk: Disk) -> str:
    pace = "–" if disk.bytes_a_day is None else f"{disk.bytes_a_day / GIGABYTE:.1f} GB a day"
    parts = f"{disk.checkpoint_bytes / GIGABYTE:.2f} of {disk.written_bytes / GIGABYTE:.2f} GB checkpoints"
    return f"{pace} · {parts} · saved at step {disk.saved_step}, every {duration(disk.save_every_s)}"


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{what} {count}" for what, count in counts.items())


def _short(peer_id: str) -> str:
    return f"{peer_id[:8]}…{peer_id[-6:]}"


def _held_out(found: SelfEvaluation | None) -> str:
    if found is None:
        return held_out(None, None)
    low, high = found.interval
    return f"{held_out(found.success, found.step)} · {low:.3f} – {high:.3f} · {found.questions} questions"


def _peers(peers: tuple[PeerView, ...]) -> RenderableType:
    if not peers:
        return Text("no other peers: training alone", style="dim")
    ours = ("peer", "standing", "trust", "step", "reward", "held-out,\nclaimed", "pulled", "taught")
    table = Table(*ours, "lost points for", "model", "seen", "address", box=None, pad_edge=False)
    for peer in peers[:PEERS_SHOWN]:
        cells = (
            _short(peer.peer_id),
            peer.standing,
            f"{peer.trust:.2f}",
            "–" if peer.step is None else str(peer.step),
            _number(peer.reward_mean),
            _number(peer.held_out_claimed),
            str(peer.groups_pulled),
            str(peer.groups_taught),
            _counts(peer.points_lost) or "–",
            peer.model or "–",
            "–" if peer.age_s is None else f"{duration(peer.age_s)} ago",
            peer.address or "–",
        )
        table.add_row(*(_plain(cell) for cell in cells))
    if len(peers) > PEERS_SHOWN:
        more = f"and {len(peers) - PEERS_SHOWN} more, all with --json"
        return Group(table, Text(more, style="dim"))
    return table


def _plain(text: str, style: str = "") -> Text:
    """Text without markup or escape sequences, because peers choose some of it."""
    return Text(printable(text), style=style)


def _plain_lines(lines: Sequence[str]) -> Text:
    return Text("\n".join(printable(line) for line in lines if line) or "–")


def _number(value: float | None, digits: int = 3) -> str:
    return "–" if value is None else f"{value:.{digits}f}"
