"""Peers as processes, with small scripts instead of daemons: starts, output, stops and failures."""

from __future__ import annotations

import asyncio
import dataclasses
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import psutil
import pytest

from swarmd.errors import ConfigError, SwarmdError
from swarmd.fleet import FORCED_EXIT_CODE, Fleet, Member, Printed, supervise
from swarmd.parent.stops import AGAIN_S, LastStop
from tests.awaited_output import AwaitedOutput

PORT = 41_000
WAIT_S = 30  # a script starts in 0.1 s; one that never does fails the test rather than hang it
UP = """
open(home + '/port', 'w').write('41000')
open(home + '/addresses', 'w').write('announced\\n')
"""
UNTIL_STOPPED = "import sys\nsys.stdin.read()\n"
DEAF = "import time\ntime.sleep(60)\n"
WITH_A_PEER = """
import subprocess, sys
says = "input(); print('checkpoint')"
peer = subprocess.Popen([sys.executable, "-c", says], stdin=subprocess.PIPE, start_new_session=True)
print("up", flush=True)
sys.stdin.read()
peer.communicate(b"\\n")
"""
FLEET = """
import asyncio, sys
from pathlib import Path
from swarmd.fleet import Device, Member, Printed, supervise
from swarmd.storage import Home
home, peer, written = sys.argv[1:]
keeps = "import sys; from swarmd.parent.keeping import keep; keep(sys.argv[1:], until_input_ends=True)"
command = [sys.executable, "-c", keeps, sys.executable, "-c", peer, written]
members = [Member(Device("cpu", "cpu"), Home(Path(home)), {}, {})]
printed = Printed(sys.stdout, sys.stderr, as_json=False, width=3)
sys.exit(asyncio.run(supervise(members, command=lambda *_: command, host="127.0.0.1", listener=printed)))
"""
PEER = """
import pathlib, signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
print("up", flush=True)
signal.sigwait({signal.SIGTERM})
pathlib.Path(sys.argv[1]).write_text("in good order")
"""


@dataclass
class Run:
    """One run: what each member's script is, what it was started with, and what came out."""

    scripts: Mapping[str, str]
    given: dict[str, Sequence[str]] = field(default_factory=dict)
    out: AwaitedOutput = field(default_factory=AwaitedOutput)
    err: AwaitedOutput = field(default_factory=AwaitedOutput)
    first_up: list[str] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    met: asyncio.Event = field(default_factory=asyncio.Event)
    """Whether somebody is up."""

    def command(self, member: Member, peers: Sequence[str]) -> list[str]:
        self.given[member.name] = list(peers)
        home = f"home = {str(member.home.path)!r}\n"
        return [sys.executable, "-S", "-c", home + self.scripts[member.name]]

    async def run(self, members: Sequence[Member], *, as_json: bool = False) -> int:
        async with asyncio.timeout(WAIT_S):
            return await supervise(
                members, command=self.command, host="127.0.0.1", listener=self.listener(members, as_json)
            )

    def listener(self, members: Sequence[Member], as_json: bool = False) -> Printed:
        return Heard(self, as_json, max(len(member.name) for member in members))


class Heard(Printed):
    """Prints, and remembers who was up first and who has ended."""

    def __init__(self, run: Run, as_json: bool, width: int) -> None:
        super().__init__(run.out, run.err, as_json=as_json, width=width)
        self._run = run

    def reachable(self, member: Member, *, first: bool) -> None:
        if first:
            self._run.first_up.append(member.name)
        self._run.met.set()

    def ended(self, member: Member) -> None:
        self._run.ended.append(member.name)


def until_stopped(process: psutil.Process) -> None:
    """Wait until it has stopped: it was told to before, and stops once it gets a core."""
    deadline = time.monotonic() + WAIT_S
    while process.status() != psutil.STATUS_STOPPED:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def address(member: Member) -> str:
    return f"/ip4/127.0.0.1/tcp/{PORT}/p2p/{member.home.key().peer_id}"


async def test_the_first_to_be_up_is_the_way_in_for_the_others(make_members) -> None:
    members = make_members(3)
    fleet = Run({"cpu:0": UP + UNTIL_STOPPED, "cpu:1": UP, "cpu:2": UP + "print('up')"})
    async with asyncio.TaskGroup() as group:
        running = group.create_task(fleet.run(members))
        await fleet.out.holds("up")
        os.kill(os.getpid(), signal.SIGTERM)
    assert running.result() == 0
    assert fleet.given["cpu:0"] == []
    assert fleet.given["cpu:1"][0] == fleet.given["cpu:2"][0] == address(members[0])
    assert fleet.first_up == ["cpu:0"]


async def test_addresses_of_an_earlier_run_are_not_taken_for_those_of_this_one(make_members) -> None:
    members = make_members(2)
    members[0].addresses_path.write_text("old\n")
    members[0].home.write_port(PORT)
    fleet = Run({"cpu:0": "pass", "cpu:1": "pass"})
    assert await fleet.run(members) == 0
    assert fleet.given["cpu:1"] == []


async def test_one_that_fails_is_named_with_its_last_words_and_the_others_go_on(make_members) -> None:
    members = make_members(3)
    fails = "import sys\nprint('first\\nerror: no room', file=sys.stderr)\nsys.exit(2)\n"
    fleet = Run({"cpu:0": fails, "cpu:1": UP + UNTIL_STOPPED, "cpu:2": "print('hello')"})
    async with asyncio.TaskGroup() as group:
        running = group.create_task(expect_failure(fleet, members))
        await fleet.out.holds("hello")
        os.kill(os.getpid(), signal.SIGINT)
    assert "1 of 3 peers failed: cpu:0" in running.result()
    assert (
        "error: the peer on cpu:0 failed: it ended with exit code 2: error: no room" in fleet.err.getvalue()
    )
    assert "cpu:0 | first\n" in fleet.err.getvalue()
    assert fleet.out.getvalue() == "cpu:2 | hello\n"
    assert fleet.given["cpu:2"] == [address(members[1])]
    assert fleet.first_up == ["cpu:1"]


async def expect_failure(fleet: Run, members: Sequence[Member]) -> str:
    with pytest.raises(SwarmdError) as failed:
        await fleet.run(members)
    return str(failed.value)


async def test_one_that_is_killed_is_a_failure_with_a_hint(make_members) -> None:
    fleet = Run({"cpu:0": "import os\nos.kill(os.getpid(), 9)\n"})
    assert "cpu:0" in await expect_failure(fleet, make_members(1))
    assert "SIGKILL, as the system does when memory runs out" in fleet.err.getvalue()


async def test_one_that_cannot_be_started_is_a_failure_and_the_next_is_started(make_members) -> None:
    fleet = Run({"cpu:0": "", "cpu:1": "print('here')"})
    whole = fleet.command

    def broken(member: Member, peers: Sequence[str]) -> list[str]:
        return ["/nonexistent/python"] if member.name == "cpu:0" else whole(member, peers)

    fleet.command = broken  # type: ignore[method-assign]
    assert "1 of 2 peers failed: cpu:0" in await expect_failure(fleet, make_members(2))
    assert "could not be started: no such file" in fleet.err.getvalue()
    assert "here" in fleet.out.getvalue()


async def test_one_whose_home_cannot_be_used_is_a_failure_and_the_next_is_started(make_members) -> None:
    class Unreadable(Run):
        def command(self, member: Member, peers: Sequence[str]) -> list[str]:
            if member.name == "cpu:0":
                raise ConfigError("its manifest cannot be read")
            return super().command(member, peers)

    fleet = Unreadable({"cpu:1": "print('here')"})
    with pytest.raises(SwarmdError, match=r"1 of 2 peers failed: cpu:0"):
        await fleet.run(make_members(2))
    assert "could not be started: its manifest cannot be read" in fleet.err.getvalue()
    assert "here" in fleet.out.getvalue()


@pytest.mark.parametrize(
    "up",
    [
        "import os\nos.mkdir(home + '/port')\nopen(home + '/addresses', 'w').write('announced\\n')\n",
        "import os\nos.mkdir(home + '/addresses')\n",
    ],
    ids=["port", "addresses"],
)
async def test_one_whose_address_cannot_be_read_goes_on_and_no_other_joins_through_it(
    make_members, up: str
) -> None:
    fleet = Run({"cpu:0": up + UNTIL_STOPPED + "print('checkpoint')\n", "cpu:1": "print('hello')"})
    async with asyncio.TaskGroup() as group:
        running = group.create_task(fleet.run(make_members(2)))
        await fleet.out.holds("hello")
        os.kill(os.getpid(), signal.SIGTERM)
    assert running.result() == 0
    assert fleet.given["cpu:1"] == []
    assert "cpu:0 | no other peer joins through this one: " in fleet.err.getvalue()
    assert "cpu:0 | checkpoint" in fleet.out.getvalue()


async def test_one_signal_asks_all_to_stop_and_waits_for_what_they_still_do(make_members) -> None:
    tidy = UP + "print('up', flush=True)\n" + UNTIL_STOPPED + "print('checkpoint')\n"
    fleet = Run({"cpu:0": tidy, "cpu:1": tidy})
    async with asyncio.TaskGroup() as group:
        running = group.create_task(fleet.run(make_members(2)))
        await fleet.out.holds("up", times=2)
        os.kill(os.getpid(), signal.SIGINT)
    assert running.result() == 0
    assert fleet.out.getvalue().count("checkpoint") == 2
    assert fleet.err.getvalue().startswith("stopping")


async def test_a_second_signal_ends_all_at_once(make_members) -> None:
    fleet = Run(dict.fromkeys(("cpu:0", "cpu:1"), UP + "print('up', flush=True)\n" + DEAF))
    async with asyncio.TaskGroup() as group:
        running = group.create_task(fleet.run(make_members(2)))
        await fleet.out.holds("up", times=2)
        os.kill(os.getpid(), signal.SIGINT)
        await fleet.err.holds("stopping")
        os.kill(os.getpid(), signal.SIGINT)
    assert running.result() == FORCED_EXIT_CODE
    assert "failed" not in fleet.err.getvalue()


@pytest.mark.parametrize("first", [signal.SIGHUP, signal.SIGTERM])
async def test_a_stop_that_comes_as_two_signals_asks_once(make_members, monkeypatch, first) -> None:
    monkeypatch.setattr("swarmd.parent.stops.AGAIN_S", float("inf"))  # however slow this machine is
    fleet = Run({"cpu:0": UP + "print('up', flush=True)\n" + UNTIL_STOPPED + "print('checkpoint')\n"})
    async with asyncio.TaskGroup() as group:
        running = group.create_task(fleet.run(make_members(1)))
        await fleet.out.holds("up")
        os.kill(os.getpid(), first)
        os.kill(os.getpid(), signal.SIGHUP)
        await fleet.err.holds("stopping")
    assert running.result() == 0
    assert "checkpoint" in fleet.out.getvalue()


async def test_a_hang_up_while_a_stop_is_being_handled_kills_nobody(make_members) -> None:
    now = 0.0

    class Slow(Run):
        def listener(self, members: Sequence[Member], as_json: bool = False) -> Printed:
            return Slowly(self, as_json, 5)

    class Slowly(Heard):
        def told(self, text: str) -> None:
            nonlocal now
            now += 2 * AGAIN_S
            super().told(text)

    run = Slow({"cpu:0": UP + "print('up', flush=True)\n" + UNTIL_STOPPED + "print('checkpoint')\n"})
    fleet = fleet_of(run, make_members(1))
    fleet._last_stop = LastStop(lambda: now)
    async with asyncio.timeout(WAIT_S), asyncio.TaskGroup() as group:
        running = group.create_task(fleet.run())
        await run.out.holds("up")
        os.kill(os.getpid(), signal.SIGTERM)
        await run.err.holds("stopping")
        os.kill(os.getpid(), signal.SIGHUP)
    assert running.result() == 0
    assert "checkpoint" in run.out.getvalue()


@pytest.mark.parametrize("has_parent", [True, False])
async def test_ctrl_z_pauses_all_but_small_parents_and_fg_resumes_them(
    make_members, monkeypatch, has_parent: bool
) -> None:
    run = Run({"cpu:0": UP + WITH_A_PEER, "cpu:1": "pass"})
    members = [dataclasses.replace(each, has_parent=has_parent) for each in make_members(2)]
    fleet = fleet_of(run, members)
    kill, paused = os.kill, asyncio.Event()

    def kill_or_come_back(pid: int, number: int) -> None:
        """Does not stop the tests: in place of that, the peer that runs has to be stopped by now."""
        if (pid, number) != (os.getpid(), signal.SIGSTOP):
            return kill(pid, number)
        parent = psutil.Process(fleet.parent_pid(members[0]))
        [peer] = parent.children()
        until_stopped(peer)
        if has_parent:
            assert parent.status() != psutil.STATUS_STOPPED
        else:
            until_stopped(parent)
        return paused.set()

    monkeypatch.setattr(os, "kill", kill_or_come_back)
    async with asyncio.timeout(WAIT_S), asyncio.TaskGroup() as group:
        running = group.create_task(fleet.run())
        await run.out.holds("up")
        signal.raise_signal(signal.SIGTSTP)
        await paused.wait()
        os.kill(os.getpid(), signal.SIGINT)
    assert running.result() == 0
    assert "checkpoint" in run.out.getvalue()


@pytest.mark.parametrize("paused", [False, True])
def test_a_fleet_that_is_killed_leaves_no_peer_even_if_it_was_paused(tmp_path, paused: bool) -> None:
    written = tmp_path / "written"
    fleet = subprocess.Popen(
        [sys.executable, "-c", FLEET, str(tmp_path), PEER, str(written)], stdout=subprocess.PIPE, text=True
    )
    assert fleet.stdout is not None
    assert fleet.stdout.readline() == "cpu | up\n"
    started = psutil.Process(fleet.pid).children(recursive=True)
    assert len(started) == 2
    if paused:
        fleet.send_signal(signal.SIGTSTP)
        os.waitpid(fleet.pid, os.WUNTRACED)
    fleet.kill()
    fleet.communicate()
    _, left = psutil.wait_procs(started, timeout=WAIT_S)
    for each in left:
        each.kill()
    assert left == []
    assert written.read_text() == "in good order"


async def test_ctrl_z_stays_ignored_where_it_was(make_members, monkeypatch) -> None:
    pauses = list[object]()
    monkeypatch.setattr("swarmd.fleet.supervision.pause", pauses.append)
    fleet = Run({"cpu:0": UP + "print('up', flush=True)\n" + UNTIL_STOPPED})
    before = signal.signal(signal.SIGTSTP, signal.SIG_IGN)
    try:
        async with asyncio.TaskGroup() as group:
            running = group.create_task(fleet.run(make_members(1)))
            await fleet.out.holds("up")
            os.kill(os.getpid(), signal.SIGTSTP)
            os.kill(os.getpid(), signal.SIGINT)
        assert running.result() == 0
        assert signal.getsignal(signal.SIGTSTP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTSTP, before)
    assert pauses == []


async def test_the_first_signal_to_a_fleet_that_stops_by_itself_kills_nobody(make_members) -> None:
    run = Run({"cpu:0": UP + "print('up', flush=True)\n" + UNTIL_STOPPED + "print('checkpoint')\n"})
    fleet = fleet_of(run, make_members(1))
    async with asyncio.timeout(WAIT_S), asyncio.TaskGroup() as group:
        running = group.create_task(fleet.run())
        await run.out.holds("up")
        fleet.stop("the time is over")
        os.kill(os.getpid(), signal.SIGINT)
    assert running.result() == 0
    assert "checkpoint" in run.out.getvalue()
    assert run.err.getvalue().splitlines() == [
        "the time is over", "the peers are stopping already; press Ctrl-C again to kill them all"
    ]  # fmt: skip


async def test_the_second_signal_to_a_fleet_that_stops_by_itself_kills_all(make_members) -> None:
    run = Run({"cpu:0": UP + "print('up', flush=True)\n" + DEAF})
    fleet = fleet_of(run, make_members(1))
    async with asyncio.timeout(WAIT_S), asyncio.TaskGroup() as group:
        running = group.create_task(fleet.run())
        await run.out.holds("up")
        fleet.stop("the time is over")
        os.kill(os.getpid(), signal.SIGINT)
        await run.err.holds("stopping already")
        os.kill(os.getpid(), signal.SIGINT)
    assert running.result() == FORCED_EXIT_CODE


async def test_a_stop_while_the_first_is_starting_starts_no_others(make_members) -> None:
    fleet = Run({"cpu:0": "print('loading', flush=True)\n" + UNTIL_STOPPED})
    async with asyncio.TaskGroup() as group:
        running = group.create_task(fleet.run(make_members(2)))
        await fleet.out.holds("loading")
        os.kill(os.getpid(), signal.SIGTERM)
    assert running.result() == 0
    assert list(fleet.given) == ["cpu:0"]


async def test_each_has_its_own_environment_besides_the_parents(make_members, monkeypatch) -> None:
    monkeypatch.setenv("OF_ALL", "here")
    (member,) = make_members(1)
    own = dataclasses.replace(member, environment={"CUDA_VISIBLE_DEVICES": "7"})
    fleet = Run({"cpu:0": "import os\nprint(os.environ['OF_ALL'], os.environ['CUDA_VISIBLE_DEVICES'])\n"})
    assert await fleet.run([own]) == 0
    assert fleet.out.getvalue() == "cpu:0 | here 7\n"


async def test_json_lines_stay_json_and_a_line_without_end_costs_no_memory(make_members, monkeypatch) -> None:
    monkeypatch.setattr("swarmd.fleet.supervision.LINE_BYTES_MAX", 1_000)
    says = 'print(\'{"event": "step"}\')\nprint(\'x\' * 5000)\nprint(\'{"event": "last"}\')\n'
    fleet = Run({"cpu:0": says})
    assert await fleet.run(make_members(1), as_json=True) == 0
    events = [json.loads(line) for line in fleet.out.getvalue().splitlines()]
    assert {event["on"] for event in events} == {"cpu:0"}
    assert events[0]["event"] == "step"
    assert events[-1]["event"] == "last"
    assert "more than 1000 bytes was omitted" in events[1]["message"]
    assert max(len(line) for line in fleet.out.getvalue().splitlines()) < 1_000


async def test_a_reader_that_left_stops_nobody(make_members) -> None:
    class Gone(AwaitedOutput):
        def write(self, _: str) -> int:
            raise BrokenPipeError

    fleet = Run({"cpu:0": "import sys\nfor n in range(9): print(n, flush=True)\n"}, out=Gone())
    assert await fleet.run(make_members(1)) == 0


async def test_letters_that_the_output_cannot_show_are_written_out_and_stop_nobody(make_members) -> None:
    written = io.BytesIO()
    narrow = io.TextIOWrapper(written, encoding="ascii")
    says = "import sys\nsys.stdout.buffer.write(b'caf\\xc3\\xa9 \\xb7\\n')\nprint('on')\n"
    fleet = Run({"cpu:0": says}, out=narrow)  # type: ignore[arg-type]
    assert await fleet.run(make_members(1)) == 0
    assert written.getvalue() == b"cpu:0 | caf\\xe9 \\ufffd\ncpu:0 | on\n"


@pytest.mark.parametrize("ends", [True, False])
def test_a_peer_stops_when_its_parents_end_of_the_pipe_closes(tmp_path, ends: bool) -> None:
    """Even before it listens for signals. `version` is done before that matters."""
    arguments = ["join", "--home", str(tmp_path)] if ends else ["version"]
    process = subprocess.Popen(
        [sys.executable, "-m", "swarmd.parent", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    )
    assert process.stdin is not None
    if ends:
        process.stdin.close()
    assert process.wait(WAIT_S) == 0
    process.stdin.close()


def fleet_of(run: Run, members: Sequence[Member], *, stops_at_failure: bool = False) -> Fleet:
    return Fleet(members, run.command, "127.0.0.1", run.listener(members), stops_at_failure)


async def test_a_member_that_is_restarted_ends_in_order_and_lives_again(make_members) -> None:
    members = make_members(2)
    tidy = UP + "print('up', flush=True)\n" + UNTIL_STOPPED + "print('checkpoint', flush=True)\n"
    run = Run({"cpu:0": tidy, "cpu:1": tidy})
    fleet = fleet_of(run, members)
    async with asyncio.timeout(WAIT_S), asyncio.TaskGroup() as group:
        running = group.create_task(fleet.run())
        await run.out.holds("up", times=2)
        before = fleet.parent_pid(members[1])
        fleet.restart(members[1])
        await run.out.holds("up", times=3)
        assert run.out.getvalue().count("checkpoint") == 1
        assert fleet.parent_pid(members[1]) not in (None, before)
        assert run.ended == []
        fleet.stop("enough")
    assert running.result() == 0
    assert sorted(run.ended) == ["cpu:0", "cpu:1"]
    assert run.err.getvalue() == "enough\n"


async def test_a_member_that_is_added_later_joins_through_those_that_are_up(make_members) -> None:
    members = make_members(2)
    run = Run({"cpu:0": UP + "print('up', flush=True)\n" + UNTIL_STOPPED, "cpu:1": "print('hello')"})
    fleet = fleet_of(run, members[:1])
    async with asyncio.timeout(WAIT_S), asyncio.TaskGroup() as group:
        running = group.create_task(fleet.run())
        await run.out.holds("up")
        await run.met.wait()
        fleet.add(members[1])
        await run.out.holds("hello")
        fleet.stop("enough")
    assert running.result() == 0
    assert run.given["cpu:1"] == [address(members[0])]


async def test_if_asked_to_one_failure_stops_the_others_in_order(make_members) -> None:
    tidy = UP + UNTIL_STOPPED + "print('checkpoint')\n"
    run = Run({"cpu:0": tidy, "cpu:1": "import sys\nsys.exit('no room')\n"})
    async with asyncio.timeout(WAIT_S):
        with pytest.raises(SwarmdError, match="1 of 2 peers failed: cpu:1"):
            await fleet_of(run, make_members(2), stops_at_failure=True).run()
    assert "cpu:0 | checkpoint" in run.out.getvalue()


async def test_a_fleet_that_is_cancelled_leaves_no_process(make_members) -> None:
    members = make_members(1)
    run = Run({"cpu:0": UP + "print('up', flush=True)\n" + UNTIL_STOPPED + "print('checkpoint')\n"})
    fleet = fleet_of(run, members)
    async with asyncio.timeout(WAIT_S), asyncio.TaskGroup() as group:
        running = group.create_task(fleet.run())
        await run.out.holds("up")
        running.cancel()
    assert running.cancelled()
    assert fleet.parent_pid(members[0]) is None
