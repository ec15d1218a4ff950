"""EventLog: one line per event, and a state for the live view."""

from __future__ import annotations

import errno
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from swarmd.config import ObserveConfig
from swarmd.names import named
from swarmd.observe import EventLog
from swarmd.observe.events import FIELD_CHARS_MAX, FIELD_ITEMS_MAX
from swarmd.observe.live_state import describe

NOON = 1_795_262_400.25  # 2026-11-21T12:00:00.250Z


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def log_to(stdout: io.StringIO, log_format: str = "json", **config: object) -> EventLog:
    return EventLog(ObserveConfig(log_format=log_format, **config), clock=lambda: NOON, stdout=stdout)


def test_json_is_one_object_per_line_with_time_event_and_level_first() -> None:
    out = io.StringIO()
    log = log_to(out)
    log.emit("started", peer_id="12D3KooW", step=0)
    log.emit("network_restarted", restarts=1)
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert lines[0] == {
        "ts": "2026-11-21T12:00:00.250Z",
        "event": "started",
        "level": "info",
        "peer_id": "12D3KooW",
        "step": 0,
    }
    assert list(lines[0])[:3] == ["ts", "event", "level"]
    assert lines[1]["level"] == "warning"


def test_every_kind_of_field_becomes_valid_json() -> None:
    out = io.StringIO()
    log_to(out).emit(
        "step",
        digest=b"\x01\xff",
        reward=float("nan"),
        path=Path("/x"),
        reasons={"size": 1},
        names=("a", "b"),
    )
    fields = json.loads(out.getvalue(), parse_constant=lambda text: pytest.fail(f"{text} is not JSON"))
    assert fields["digest"] == "01ff"
    assert fields["reward"] is None
    assert fields["path"] == "/x"
    assert fields["reasons"] == {"size": 1}
    assert fields["names"] == ["a", "b"]


def test_a_field_cannot_break_the_line_or_grow_without_bound_or_replace_the_time() -> None:
    out = io.StringIO()
    log_to(out).emit("rejected", detail="two\nlines" + "x" * 10_000, ts=0, level="none")
    (line,) = out.getvalue().splitlines()
    fields = json.loads(line)
    assert len(fields["detail"]) == 2_000
    assert (fields["ts"], fields["level"]) == ("2026-11-21T12:00:00.250Z", "info")


def test_progress_is_remembered_but_printed_only_when_debugging() -> None:
    out, debug = io.StringIO(), io.StringIO()
    for log in (log_to(out), log_to(debug, log_level="debug")):
        log.emit("phase", name="generate", done=1, total=4)
        assert log.state.phase == "generate"
    assert out.getvalue() == ""
    assert json.loads(debug.getvalue())["done"] == 1


def test_auto_is_a_live_view_in_a_terminal_and_json_elsewhere() -> None:
    terminal = Terminal()
    live = log_to(terminal, "auto")
    live.emit("started")
    assert (live.mode, terminal.getvalue()) == ("live", "")
    assert log_to(io.StringIO(), "auto").mode == "json"
    assert log_to(Terminal(), "json").mode == "json"


def test_console_lines_are_for_people() -> None:
    out = io.StringIO()
    log = log_to(out, "console")
    log.emit("step", step=10, reward=1 / 3, note=None)
    log.emit("warning", message="the disk is nearly full")
    first, second = out.getvalue().splitlines()
    assert re.fullmatch(r"\d\d:\d\d:\d\d step 10, reward 0.333, 0 own \+ 0 external groups", first)
    assert second[9:] == "warning: the disk is nearly full"


def test_escape_sequences_of_strangers_do_not_reach_the_terminal() -> None:
    out = io.StringIO()
    log = log_to(out, "console")
    log.emit("rejected", reason="\x1b[2Jgone\u202e", publisher="\x9b")
    log.emit("network_restarted", restarts="\x1b[2J")
    assert "\x1b" not in out.getvalue()
    assert "\\x1b[2Jgone\\u202e" in out.getvalue()
    assert log.state.last_event == "network_restarted restarts=\\x1b[2J"


def test_lines_about_peers_name_them_and_say_what_happened() -> None:
    log, other = log_to(io.StringIO()), "12D3KooWother"
    lines = []
    for name, fields in (
        ("joined", {"peers": 1, "swarm": "starter"}),
        ("peer_seen", {"peer_id": other, "addresses": ["/ip4/192.0.2.2/tcp/1"]}),
        ("standing", {"peer_id": other, "change": "ignored", "why": "absent"}),
        ("rejected", {"publisher": other, "reason": "question", "digest": "ab" * 32}),
        ("resumed", {"step": 9, "steps_lost": 2}),
        ("checkpoint", {"step": 12}),
        ("stopped", {"step": 12}),
        ("stopped", {}),
    ):
        log.emit(name, **fields)
        lines.append(log.state.last_event)
    assert lines == [
        "joined starter: 1 peer answers",
        f"peer_seen: {named(other)}",
        f"standing: {named(other)}: ignored (absent)",
        f"rejected: a group of {named(other)}: question",
        "resumed at step 9: 2 later steps are repeated",
        "checkpoint at step 12",
        "stopped at step 12",
        "stopped",
    ]


def test_memory_is_bounded_and_can_be_read_from_where_one_left_off() -> None:
    log = log_to(io.StringIO())
    for step in range(1_000):
        log.emit("step", step=step)
    assert len(log.recent) == 256
    assert [event.fields["step"] for event in log.since(998)] == [998, 999]


def test_a_full_disk_ends_the_log_and_not_the_daemon() -> None:
    class Full(io.StringIO):
        def write(self, _text: str) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    log = log_to(Full())
    log.emit("step", step=1)
    log.emit("step", step=2)
    assert [event.name for event in log.recent] == ["step", "warning", "step"]
    assert "No space left on device" in str(log.recent[1].fields["message"])


def test_a_log_that_met_a_full_disk_does_not_fail_the_end_of_a_process_that_did_its_work() -> None:
    code = (
        "import sys; from swarmd.streams import leave, mend_streams; mend_streams(); "
        "from swarmd.config import ObserveConfig; from swarmd.observe import EventLog; "
        "EventLog(ObserveConfig(log_format='json'), clock=lambda: 0.0).emit('stopped'); leave(0)"
    )
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-c", code],
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
            env={**os.environ, "PYTHONUNBUFFERED": ""},
        )
    assert (done.returncode, done.stderr) == (0, b"")


def test_the_state_follows_the_events() -> None:
    log = log_to(io.StringIO())
    log.emit("started", peer_id="12D3KooWme", swarm="starter", step=4)
    log.emit("plan", model="embedded", device="cpu", dtype="float32", reasons=["no GPU"])
    log.emit("peer_seen", peer_id="12D3KooWa")
    log.emit("peer_seen", peer_id="12D3KooWa")
    log.emit("step", round=9, step=5, reward=0.25, own=4, external=3, tokens_per_s=120.0)
    log.emit("step", round=9, step=6, reward=0.5, own=4, external=4, tokens_per_s=130.0)
    log.emit("evaluated", step=6, success=0.43, interval=(0.34, 0.53), questions=100)
    log.emit("join_command", command="swarmd join --peer X")
    log.emit("evaluated", step=6, success=0.43, interval=(0.34, 0.53), questions=100)
    log.emit("health", reasons=("no contact with other peers",))
    log.emit("phase", name="train", done=2, total=8)
    state = log.state
    assert (state.steps_here, state.join_command) == (2, "swarmd join --peer X")
    assert state.health == ("no contact with other peers",)
    assert (state.peer_id, state.swarm, state.model) == ("12D3KooWme", "starter", "embedded")
    assert (state.round, state.step, state.rewards) == (9, 6, (0.25, 0.5))
    assert (state.own, state.external, state.tokens_per_s) == (8, 7, 130.0)
    assert (state.phase, state.phase_done, state.phase_total) == ("train", 2, 8)
    assert state.peers == {"12D3KooWa"}
    assert (state.held_out, state.held_out_step) == (0.43, 6)
    assert state.last_event == "evaluated step=6 success=0.43 interval=0.34,0.53 questions=100"
    log.emit("stopping")
    assert log.state.phase == "stopping"


def test_progress_does_not_push_out_what_people_should_read() -> None:
    log = log_to(io.StringIO())
    log.emit("warning", message="read me")
    for done in range(1_000):
        log.emit("phase", name="generating", done=done, total=1_000)
    assert [event.name for event in log.since(0)] == ["warning"]
    assert log.state.phase_done == 999


def test_the_plan_is_one_short_line_and_its_reasons_stay_in_the_json() -> None:
    fields = {
        "model": "/home/somebody/models/of/a/long/path/that/has/no/end/Qwen2.5-0.5B-Instruct",
        "device": "cuda:0",
        "dtype": "bfloat16",
        "parameters": 494_000_000,
        "lora_rank": 16,
        "own_groups": 4,
        "external_groups": 4,
        "predicted_peak_bytes": 1_234_000_000,
        "memory_limit_bytes": 15_000_000_000,
        "reasons": ["cuda:0 because it has 15 GiB free", "bfloat16 because ..."],
    }
    line = describe("plan", fields)
    assert line.endswith("(494 M) on cuda:0, bfloat16, LoRA 16, 4 own + 4 external groups, 1.1 of 14 GiB")
    assert line.startswith("plan Qwen2.5-0.5B-Instruct (")
    assert len(line) <= 110
    stream = io.StringIO()
    log_to(stream).emit("plan", **fields)
    assert json.loads(stream.getvalue())["reasons"] == fields["reasons"]


def test_keys_and_the_number_of_items_are_bounded_too() -> None:
    out = io.StringIO()
    log = log_to(out)
    log.emit("plan", named={"k" * 9_000: 1}, many=list(range(9_000)), more={str(n): n for n in range(9_000)})
    line = json.loads(out.getvalue())
    assert [len(key) for key in line["named"]] == [FIELD_CHARS_MAX]
    assert len(line["many"]) == len(line["more"]) == FIELD_ITEMS_MAX
