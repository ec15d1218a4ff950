"""The live view, rendered to text."""

from __future__ import annotations

import asyncio
import errno
import io

import pytest
from rich.console import Console
from rich.live import Live

from swarmd.config import ObserveConfig
from swarmd.names import name_of, named
from swarmd.observe import EventLog, LiveState, LiveView
from swarmd.observe.live import render
from swarmd.observe.live_state import describe
from swarmd.observe.words import duration, sparkline


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def text_of(state: LiveState, now: float = 100.0) -> str:
    console = Console(width=100, file=io.StringIO(), record=True)
    console.print(render(state, now))
    return console.export_text()


def test_a_state_before_the_first_step_is_drawable() -> None:
    text = text_of(LiveState())
    assert "starting" in text
    assert "round –" in text


def test_everything_the_operator_wants_is_on_the_screen() -> None:
    state = LiveState(
        started_at=40.0,
        peer_id="12D3KooWme",
        swarm="starter",
        model="embedded",
        device="cpu",
        dtype="float32",
        round=71,
        step=12,
        phase="generate",
        phase_done=3,
        phase_total=4,
        rewards=(0.0, 0.5, 1.0),
        held_out=0.43,
        held_out_step=10,
        own=48,
        steps_here=4,
        health=(),
        join_command="swarmd join --peer /ip4/192.0.2.2",
        external=31,
        tokens_per_s=1234.5,
        peers=frozenset({"a", "b"}),
        last_event="checkpoint step=10",
        last_event_at=97.0,
    )
    text = text_of(state)
    for expected in (
        f"swarmd {named('12D3KooWme')}",
        "healthy",
        "12 · 4 since this start",
        f"2 seen since this start: {', '.join(sorted(map(name_of, 'ab')))}",
        "others join with: swarmd join --peer /ip4/192.0.2.2",
        "Ctrl-C stops",
        "starter · round 71",
        "embedded · cpu · float32",
        "generate",
        "3/4",
        "last 1.000 · mean of 3 0.500",
        "▁▅█",
        "0.430 at step 10",
        "48 own · 31 external used since this start",
        "1,234 tokens/s",
        "3 s ago: checkpoint step=10",
        "up 1 min 0 s",
    ):
        assert expected in text


def test_what_peers_wrote_is_not_markup() -> None:
    assert "[bold red]x[/]" in text_of(LiveState(last_event="[bold red]x[/]", last_event_at=1.0))


def test_a_long_last_event_stays_on_one_line() -> None:
    assert len(text_of(LiveState(last_event="x" * 900, last_event_at=1.0)).splitlines()) < 20


def test_the_sparkline_is_clamped_and_keeps_the_newest() -> None:
    assert sparkline([-1.0, 0.0, 0.49, 0.99, 1.0, 7.0]) == "▁▁▄███"
    assert sparkline([0.0] * 100 + [1.0], width=3) == "▁▁█"


@pytest.mark.parametrize(
    ("seconds", "text"), [(-1, "0 s"), (59.9, "59 s"), (185, "3 min 5 s"), (7_800, "2 h 10 min")]
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_notable_events_are_printed_once_above_the_view_and_progress_is_not() -> None:
    log = EventLog(ObserveConfig(log_format="auto"), clock=lambda: 50.0, stdout=Terminal())
    console = Console(width=100, file=io.StringIO(), force_terminal=True)
    view = LiveView(log, console)
    command = "swarmd join --peer " + "X" * 200  # wider than the terminal: it must be copied in one piece
    with Live(console=console, auto_refresh=False) as live:
        log.emit("join_command", command=command)
        log.emit("phase", name="generate", done=1, total=2)
        view.draw(live)
        log.emit("warning", message="the disk is nearly full")
        view.draw(live)
    printed = [line for line in console.file.getvalue().splitlines() if "│" not in line]  # type: ignore[attr-defined]
    assert sum(f"others join with: {command}" in line for line in printed) == 1
    assert sum("the disk is nearly full" in line for line in printed) == 1


async def test_the_last_frame_stays_after_cancellation() -> None:
    log = EventLog(ObserveConfig(log_format="auto"), clock=lambda: 50.0, stdout=Terminal())
    console = Console(width=100, file=io.StringIO(), force_terminal=True)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(LiveView(log, console).run())
        await asyncio.sleep(0)
        log.emit("stopped", step=3)
        task.cancel()
    assert "stopped at step 3" in console.file.getvalue()  # type: ignore[attr-defined]


async def test_a_terminal_that_is_gone_ends_the_view_and_says_so_and_nothing_else() -> None:
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(errno.EIO, "Input/output error")

    log = EventLog(ObserveConfig(), clock=lambda: 0.0, stdout=io.StringIO())
    await LiveView(log, Console(file=Gone(), force_terminal=True)).run()
    [event] = log.recent
    assert event.fields["message"] == "the terminal cannot be written (Input/output error): no view"


def test_what_is_wrong_is_shown_with_its_remedy_as_text() -> None:
    text = text_of(LiveState(health=("no contact with other peers; check [bold]this[/] machine",)))
    assert "no contact with other peers; check [bold]this[/] machine" in text
    assert "starting" in text_of(LiveState())


def test_stopping_says_what_it_waits_for_and_for_how_long() -> None:
    state = LiveState().after("stopping", {"message": "finishing or dropping the step"}, 90.0)
    state = state.after("stopping", {"message": "finishing or dropping the step"}, 95.0)
    state = state.after("phase", {"name": "checkpoint"}, 96.0)
    text = text_of(state)
    assert "stopping for 10 s, now: checkpoint" in text
    assert "finishing or dropping the step" in text
    assert "Ctrl-C again ends at once" in text


def test_once_stopped_nothing_is_asked_of_the_terminal_any_more() -> None:
    text = text_of(
        LiveState().after("stopping", {"message": "why"}, 90.0).after("stopped", {"step": 3}, 95.0)
    )
    assert text.splitlines()[-1].strip() == "stopped"
    assert "Ctrl-C" not in text


def test_a_lack_of_groups_by_others_is_told_in_its_own_words() -> None:
    assert describe("external_short", {"message": "no groups yet", "had": 0}) == "no groups yet"


def test_the_last_line_leaves_room_for_what_the_terminal_writes_at_ctrl_c() -> None:
    state = LiveState(join_command="swarmd join --peer " + "x" * 300)
    assert len(text_of(state).splitlines()[-1].rstrip()) < 70
