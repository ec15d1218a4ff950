"""`swarmd status --all`: every fact about this peer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.table import Table
from rich.text import Text

from swarmd.names import name_of, named
from swarmd.observe import (
    Disk,
    IgnoredPeer,
    JudgeView,
    LastStep,
    Learning,
    ReachView,
    StatusSnapshot,
    printable,
)
from swarmd.observe.words import MEGABYTE, duration, sparkline

GIGABYTE = 1e9
IGNORED_SHOWN = 16


def facts(status: StatusSnapshot) -> Table:
    """One fact per line, next to its name."""
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
    """The lines to show next to each name."""
    reward, groups = status.reward, status.groups
    last, mean, best = (_number(value) for value in (reward.last, reward.mean_20, reward.best_20))
    steps, tokens = _number(status.steps_per_minute, 1), _number(status.tokens_per_s, 0)
    made = f"{groups.own} own · {groups.published} published"
    taken = f"{groups.pulled} pulled · {groups.external_used} used from others"
    refused = {reason: count for reason, count in groups.rejected.items() if reason != "pull"}
    return (
        ("peer id", (f"{status.peer_id} ({name_of(status.peer_id)})",)),
        ("swarm", (f"{status.swarm} ({status.swarm_id[:12]})",)),
        ("round", (str(status.round),)),
        ("step", (f"{status.step} · {status.phase} · up {duration(status.uptime_s)}",)),
        ("model", (f"{status.model} on {status.device}, {status.dtype}, LoRA {status.lora or 'off'}",)),
        ("speed", (f"{steps} steps/min · {tokens} tokens/s",)),
        ("reward", (f"last {last} · mean of 20 {mean} · best {best}", sparkline(status.reward_history))),
        ("writes", (_writes(status.last_step),)),
        ("held-out", (_held_out(status.learning),)),
        ("groups", (f"{made} · {taken}",)),
        ("rejected", (_counts(refused) or "none",)),
        ("not fetched", (_not_fetched(groups.rejected.get("pull", 0)),)),
        ("judges", tuple(map(_judges, status.judges)) or ("verifiers only",)),
        ("disk", (_disk(status.disk),)),
        ("addresses", status.addresses),
        ("reached", (status.reach.says, status.reach.remedy)),
        ("groups came", (_counts(status.reach.ways),)),
        ("relays for", (_relaying(status.reach),)),
        ("http", (status.http or "off",)),
        ("sandbox", status.sandbox or ("complete",)),
        ("ignored", tuple(map(_ignored, status.judgement.ignored[:IGNORED_SHOWN])) or ("nobody",)),
        ("trusted", (", ".join(map(named, status.judgement.trusted)),)),
        ("points lost", (_counts(status.judgement.points_lost),)),
        ("floods", (_counts(status.judgement.misbehaved),)),
        ("refused", (_counts(status.judgement.refused),)),
        ("junk read", (_counts(status.judgement.junk),)),
    )


def _writes(last: LastStep) -> str:
    """Describe own completions of the last step: texts that stop ending show here first."""
    if last.completion_tokens_mean is None or last.completions_finished is None:
        return "–"
    return (
        f"{last.completion_tokens_mean:.1f} tokens per completion · {last.completions_finished:.0%} end by "
        f"themselves · entropy {_number(last.entropy, 2)} nats per token"
    )


def _relaying(reach: ReachView) -> str:
    passed = f"{reach.relayed_bytes / MEGABYTE:.1f} MB"
    return f"{reach.places} peers · {reach.circuits} connections · {passed} · {reach.relay_refused} refused"


def _ignored(found: IgnoredPeer) -> str:
    left = (
        "until `swarmd unban`" if found.seconds_left is None else f"for {duration(found.seconds_left)} more"
    )
    return f"{named(found.peer_id)} {left}: {found.reason}"


def _disk(disk: Disk) -> str:
    pace = "–" if disk.bytes_a_day is None else f"{disk.bytes_a_day / GIGABYTE:.1f} GB a day"
    parts = f"{disk.checkpoint_bytes / GIGABYTE:.2f} of {disk.written_bytes / GIGABYTE:.2f} GB checkpoints"
    return f"{pace} · {parts} · saved at step {disk.saved_step}, every {duration(disk.save_every_s)}"


def _judges(found: JudgeView) -> str:
    """Describe who judges a task, how often they are right on held-out answers, and how own rewards compare
    with the truth.
    """
    rightly = "".join(
        f" · {judge} judges {'–' if share is None else f'{share:.0%}'} of held-out answers correctly"
        for judge, share in found.calibrated.items()
    )
    own = f" · own reward {found.reward:.3f}" if found.completions else ""
    if found.completions and found.truth is not None:
        own += f", truth {found.truth:.3f}, agreement {_number(found.agreement, 2)}"
    return f"{found.task}: {', '.join(found.judges)}{rightly}{own}"


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{what} {count}" for what, count in counts.items())


def _not_fetched(count: int) -> str:
    return f"{count} groups, because their peers left or were slow" if count else "none"


def _held_out(learning: Learning) -> str:
    newest = learning.now or learning.untrained
    if newest is None:
        return "–"
    low, high = newest.interval
    when = "untrained" if learning.now is None else f"at step {newest.step}"
    return f"{newest.success:.3f} {when} · {low:.3f} – {high:.3f} · {newest.questions} questions"


def _plain(text: str, style: str = "") -> Text:
    """Text without markup or escape sequences, because peers choose some of it."""
    return Text(printable(text), style=style)


def _plain_lines(lines: Sequence[str]) -> Text:
    return Text("\n".join(printable(line) for line in lines if line) or "–")


def _number(value: float | None, digits: int = 3) -> str:
    return "–" if value is None else f"{value:.{digits}f}"
