"""`swarmd status`: one screen of 80 columns. Is the peer well, does it learn, help and hear, and who is
present?

Claims that other peers make about themselves are marked as claims.
"""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from swarmd.cli.credit_lines import given_lines, taken_lines
from swarmd.cli.peer_table import counted_peers, peer_table
from swarmd.names import named
from swarmd.observe import Hearing, Helping, Learning, ReachView, StatusSnapshot, printable
from swarmd.observe.words import MEGABYTE, duration, sparkline, squeezed

CURVE_WIDTH = 60  # of the reward curve
NAMED = 2  # peers named per line; `swarmd peers` has all


def screen(status: StatusSnapshot, now: float | None = None) -> RenderableType:
    """Render the snapshot for people. `now`: unix time; None means the present."""
    here = [peer for peer in status.peers if not peer.gone]
    gone = len(status.peers) - len(here)
    parts: list[RenderableType] = [_head(status), health_line(status)]
    if status.news is not None:
        parts.append(Text(printable(f"● {status.news}"), style="yellow"))
    parts += [Text(), _sections(status), Text()]
    if here:
        parts.append(peer_table(here, now))
    else:
        parts.append(Text("No other peer is here: training alone.", style="dim"))
    if gone:
        parts.append(Text(f"gone: {gone}, listed by `swarmd peers --all`", style="dim"))
    return Group(*parts)


def _head(status: StatusSnapshot) -> Text:
    where = f"{status.swarm} · step {status.step}, {status.phase} · up {duration(status.uptime_s)}"
    return Text(named(status.peer_id), style="bold") + Text(printable(f" in {where}"), style="not bold")


def health_line(status: StatusSnapshot) -> Text:
    """Say that the peer is well, or give each reason why not on its own line."""
    if status.health.ok:
        return Text("● well", style="green")
    return Text("\n").join(
        Text(printable(f"● {reason}"), style="red") for reason in status.health.reasons or ("not well",)
    )


def _sections(status: StatusSnapshot) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, lines in (
        ("learning", _learning(status)),
        ("helping", (*_helping(status.helping), *given_lines(status.credit))),
        ("hearing", (*_hearing(status.hearing), *taken_lines(status.credit))),
        ("reached", _reached(status.reach)),
    ):
        table.add_row(name, Text("\n".join(map(printable, lines))))
    return table


def _learning(status: StatusSnapshot) -> Iterable[str]:
    yield from _held_out(status.learning)
    reward = status.reward
    if reward.mean_20 is None:
        yield "reward: no step yet"
        return
    best = "" if reward.best_20 is None else f", at best {reward.best_20:.3f}"
    yield f"reward {reward.mean_20:.3f} over the last 20 steps{best}; since step 1:"
    yield sparkline(squeezed(status.learning.reward.mean, CURVE_WIDTH))


def _held_out(learning: Learning) -> Iterable[str]:
    now, trend, untrained = learning.now, learning.trend, learning.untrained
    newest = now or untrained
    if newest is None:
        yield "held-out success: not measured yet"
        return
    low, high = newest.interval
    when = "untrained" if now is None else f"at step {now.step}"
    measured = f"{newest.success:.3f} ({low:.3f} – {high:.3f}) of {newest.questions} questions"
    yield f"held-out success {measured}, {when}"
    if trend is not None:
        low, high = trend.interval
        since = f"since step {trend.since_step}"
        before = since if untrained is None else f"untrained {untrained.success:.3f}"
        yield f"{before}; {trend.word}: {trend.difference:+.3f} ({low:+.3f} to {high:+.3f})"


def _helping(helping: Helping) -> Iterable[str]:
    published = f"{_groups(helping.groups_published)} published"
    if not helping.pulls:
        yield f"{published}, none pulled yet"
        if not helping.groups_trained_on_claimed:
            return
    else:
        yield f"{published}, pulled {helping.pulls} times by {counted_peers(helping.pulled_by)}"
    users = [peer for peer in helping.peers if peer.groups_trained_on_claimed]
    if not users:
        yield "no peer says yet that it trained on one"
        return
    names = [f"{named(peer.peer_id)} {peer.groups_trained_on_claimed}" for peer in users[:NAMED]]
    many = helping.trained_on_by_claimed != 1
    yield (
        f"{counted_peers(helping.trained_on_by_claimed)} {'say' if many else 'says'} that "
        f"{'they' if many else 'it'} trained on {helping.groups_trained_on_claimed} of them:"
    )
    yield _list(names, helping.trained_on_by_claimed)


def _hearing(hearing: Hearing) -> Iterable[str]:
    if not hearing.groups_used:
        yield "learned from nobody yet"
        return
    yield f"learned from {_groups(hearing.groups_used)} of {counted_peers(hearing.taught_by)}:"
    names = [
        f"{named(peer.peer_id)} {peer.groups_used}{' (gone)' if peer.gone else ''}"
        for peer in hearing.peers[:NAMED]
    ]
    yield _list(names, hearing.taught_by)


def _reached(reach: ReachView) -> Iterable[str]:
    yield reach.says or "not known"
    if reach.remedy:
        yield f"→ {reach.remedy}"
    ways = reach.ways
    if any(ways.values()):
        came = [f"{ways.get('direct', 0)} directly", f"{ways.get('relay', 0)} through relays"]
        yield f"groups came: {', '.join(came)}, {ways.get('inline', 0)} from the DHT"
    if reach.places:
        yield f"relays for {counted_peers(reach.places)}: {reach.relayed_bytes / MEGABYTE:.1f} MB so far"


def _list(names: list[str], count: int) -> str:
    more = f" and {count - len(names)} more" if count > len(names) else ""
    return ", ".join(names) + more


def _groups(count: int) -> str:
    return f"{count} group" if count == 1 else f"{count} groups"
