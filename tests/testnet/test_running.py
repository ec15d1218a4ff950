"""A whole run, with small scripts instead of daemons: what is started with what, and every way to end."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil
import pytest

from swarmd.cli.flags import arguments
from swarmd.errors import SwarmdError
from swarmd.fleet import FORCED_EXIT_CODE, Fleet, Member, Printed
from swarmd.testnet import processes
from swarmd.testnet.asked import Asked
from swarmd.testnet.capacity import Capacity
from swarmd.testnet.homes import HOST, settle
from swarmd.testnet.running import Outcome, Run
from swarmd.testnet.screen import Output as Shown
from swarmd.testnet.screen import Screen
from tests.awaited_output import WAIT_S, AwaitedOutput

HERE = Capacity(cores=2, free_bytes=8 * 2**30)
SAYS = """
import json, sys
def say(event, **fields):
    print(json.dumps({"event": event, "level": "info", **fields}), flush=True)
say("started")
open(home + "/addresses", "w").write("announced\\n")
"""
STEPS = "for step in range(1, 4): say('step', step=step, reward=0.5, own=4, external=2)\n"
UNTIL_STOPPED = "sys.stdin.read()\nsay('stopped', step=3)\n"
DEAF = "import time\ntime.sleep(60)\n"
WAITS = "import sys; sys.stdin.read()"
PEER = f"""
import subprocess, sys
waits = [sys.executable, "-c", {WAITS!r}]
started = [subprocess.Popen(waits, start_new_session=own) for own in (False, True)]
print(*(each.pid for each in started), flush=True)
for each in started: each.wait()
"""
PARENT = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]])"


def asked(**changes: object) -> Asked:
    plain: dict[str, object] = {
        "peers": 2, "models": ("embedded",), "settings": {}, "swarm": None, "evaluate_every": None,
        "steps": None, "seconds": None, "chaos": False, "attacks": (), "seed": 0, "http": None,
    }  # fmt: skip
    return Asked(**{**plain, **changes})  # type: ignore[arg-type]


class Scripted:
    """A run whose peers are scripts; `scripts` by the peer's number, from 1."""

    def __init__(
        self, directory: Path, scripts: Sequence[str], monkeypatch: pytest.MonkeyPatch, **changes: object
    ) -> None:
        self.out = AwaitedOutput()
        self.steps_left: dict[str, list[int | None]] = {}
        self.ways_in: dict[str, Sequence[str]] = {}
        self.settlers = settle(directory, len(scripts))
        self._scripts = {each.label: text for each, text in zip(self.settlers, scripts, strict=True)}
        monkeypatch.setattr(processes, "join_command", self._command)
        screen = Screen(Shown(file=self.out, width=110))
        wanted = asked(peers=len(scripts), **changes)
        self.run_ = Run(wanted, directory, self.settlers, HERE, arguments, screen)

    async def run(self) -> Outcome:
        async with asyncio.timeout(WAIT_S):
            return await self.run_.run()

    def _command(
        self, member: Member, way_in: Sequence[str], steps: int | None, _flags: processes.Flags
    ) -> list[str]:
        self.steps_left.setdefault(member.name, []).append(steps)
        self.ways_in[member.name] = way_in
        home = f"home = {str(member.home.path)!r}\n"
        return [sys.executable, "-S", "-c", home + SAYS + self._scripts[member.name]]


async def test_it_ends_when_all_have_done_their_steps(tmp_path, monkeypatch) -> None:
    run = Scripted(tmp_path, [STEPS, STEPS], monkeypatch, steps=3)
    outcome = await run.run()
    assert (outcome.code, outcome.failure) == (0, None)
    assert [(peer.steps, peer.end, peer.starts) for peer in outcome.summary.peers] == [(3, "done", 1)] * 2
    assert list(run.steps_left.values()) == [[3], [3]]
    assert run.out.getvalue().count("| step 3, reward 0.500") == 2


async def test_each_peer_knows_the_addresses_of_all_others_from_the_start(tmp_path, monkeypatch) -> None:
    run = Scripted(tmp_path, [STEPS] * 3, monkeypatch, steps=3)
    await run.run()
    for each in run.settlers:
        assert list(run.ways_in[each.label]) == [o.address for o in run.settlers if o != each]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_stops_all_in_order(tmp_path, monkeypatch, number: signal.Signals) -> None:
    run = Scripted(tmp_path, [STEPS + UNTIL_STOPPED] * 2, monkeypatch)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(run.run())
        await run.out.holds("step 3", times=2)
        os.kill(os.getpid(), number)
    outcome = running.result()
    assert (outcome.code, outcome.failure) == (0, None)
    assert run.out.getvalue().count("| stopped at step 3") == 2
    assert {peer.end for peer in outcome.summary.peers} == {"stopped"}


async def test_a_second_signal_ends_all_at_once_and_leaves_no_runtime_directory(
    tmp_path, monkeypatch
) -> None:
    makes = "import os; os.mkdir(made); print('here', flush=True)\n"
    observer = processes.observer(tmp_path, "127.0.0.1:0").home.runtime_path
    extra = [sys.executable, "-S", "-c", f"made = {str(observer)!r}\n{makes}{DEAF}"]
    monkeypatch.setattr(processes, "observe_command", lambda *_: extra)
    run = Scripted(tmp_path, [STEPS + DEAF] * 2, monkeypatch, http="127.0.0.1:0")
    async with asyncio.TaskGroup() as group:
        running = group.create_task(run.run())
        await run.out.holds("step 3", times=2)
        await run.out.holds("observer | here")
        assert observer.is_dir()
        os.kill(os.getpid(), signal.SIGINT)
        await run.out.holds("stopping")
        os.kill(os.getpid(), signal.SIGINT)
    assert running.result().code == FORCED_EXIT_CODE
    assert not observer.exists()


async def test_when_the_time_is_over_all_stop_in_order(tmp_path, monkeypatch) -> None:
    run = Scripted(tmp_path, [STEPS + UNTIL_STOPPED] * 2, monkeypatch, seconds=0.01)
    outcome = await run.run()
    assert (outcome.code, outcome.failure) == (0, None)
    shown = run.out.getvalue()
    assert shown.index("all 2 peers are up") < shown.index("the time is over")
    assert outcome.summary.seconds > 0


async def test_one_failure_stops_the_others_and_is_told_with_its_reason(tmp_path, monkeypatch) -> None:
    fails = "sys.exit('error: no room')\n"
    run = Scripted(tmp_path, [STEPS + UNTIL_STOPPED, fails], monkeypatch)
    outcome = await run.run()
    bad = run.settlers[1].label
    assert isinstance(outcome.failure, SwarmdError)
    assert f"1 of 2 peers failed: {bad}" in str(outcome.failure)
    assert f"{bad} | failed: it ended with exit code 1: error: no room" in run.out.getvalue()
    assert [peer.end for peer in outcome.summary.peers] == ["stopped", "failed"]
    assert outcome.summary.failed == (bad,)


async def test_a_bug_in_the_testnet_itself_leaves_no_process(tmp_path, monkeypatch) -> None:
    run = Scripted(tmp_path, [STEPS + UNTIL_STOPPED] * 2, monkeypatch)

    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(run.run_, "_add_others", broken)
    with pytest.raises(ExceptionGroup) as bug:
        await run.run()
    assert bug.group_contains(ZeroDivisionError)
    fleet = run.run_._fleet
    assert [fleet.parent_pid(member) for member in fleet.members] == [None, None]


async def test_the_end_of_all_peers_is_the_end_of_observer_and_attackers(tmp_path, monkeypatch) -> None:
    extra = [sys.executable, "-S", "-c", "import sys\nprint('here', flush=True)\nsys.stdin.read()\n"]
    monkeypatch.setattr(processes, "observe_command", lambda *_: extra)
    monkeypatch.setattr("swarmd.testnet.attackers.command", lambda *_: extra)
    run = Scripted(
        tmp_path, [STEPS + UNTIL_STOPPED] * 2, monkeypatch, http="127.0.0.1:0", attacks=("flood-stores",)
    )
    async with asyncio.TaskGroup() as group:
        running = group.create_task(run.run())
        await run.out.holds("observer | here")
        await run.out.holds("attacker 1 flood-stores | here")
        os.kill(os.getpid(), signal.SIGTERM)
    assert (running.result().code, running.result().failure) == (0, None)


def settings_of(directory: Path, **changes: object) -> list[Mapping[str, object]]:
    settlers = settle(directory, 2)
    return [member.settings for member in processes.peers(settlers, asked(**changes), HERE)]


def test_new_peers_start_in_one_swarm_and_kept_ones_in_their_own(tmp_path) -> None:
    assert [each["swarm"] for each in settings_of(tmp_path)] == ["starter", "starter"]
    settle(tmp_path, 1)[0].home.write_manifest(b"x")
    assert [each["swarm"] for each in settings_of(tmp_path)] == [None, None]
    assert [each["swarm"] for each in settings_of(tmp_path, swarm="sapo")] == ["sapo", "sapo"]


def test_what_is_given_wins_over_fair_shares_and_models_are_given_in_turn(tmp_path) -> None:
    given = {"policy.memory_limit": "1GiB", "learning.local": 2, "policy.threads": None}
    first, second = settings_of(tmp_path, settings=given, models=("embedded", "/m"))
    assert (first["policy.model"], second["policy.model"]) == ("embedded", "/m")
    assert first["policy.memory_limit"] == second["policy.memory_limit"] == "1GiB"
    assert first["learning.local"] == 2
    assert "policy.threads" not in first


@pytest.mark.parametrize(
    ("steps", "asked_for", "every"), [(20, None, 20), (20, 7, 7), (20, 0, 0), (1_000, None, None)]
)
def test_a_short_run_is_evaluated_at_its_end(
    tmp_path, steps: int, asked_for: int | None, every: object
) -> None:
    first, _ = settings_of(tmp_path, steps=steps, evaluate_every=asked_for)
    assert first["observe.evaluate_every"] == every


def test_variables_that_mean_a_single_peer_are_kept_from_all(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("SWARMD_NETWORK__PORT", "41000")
    monkeypatch.setenv("SWARMD_OBSERVE__HTTP", "8080")
    monkeypatch.setenv("SWARMD_LEARNING__LOCAL", "2")
    for member in processes.peers(settle(tmp_path, 2), asked(), HERE):
        assert member.environment["SWARMD_NETWORK__PORT"] == ""
        assert member.environment["SWARMD_OBSERVE__HTTP"] == ""
        assert "SWARMD_LEARNING__LOCAL" not in member.environment


def test_the_page_keeps_the_token_and_the_host_names_that_are_set_for_it(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("SWARMD_OBSERVE__HTTP", "8080")
    monkeypatch.setenv("SWARMD_OBSERVE__HTTP_TOKEN", "a-long-random-word")
    monkeypatch.setenv("SWARMD_OBSERVE__HTTP_HOSTS", "trainer.local")
    environment = processes.observer(tmp_path, "0.0.0.0:8080").environment
    assert not environment.keys() & {"SWARMD_OBSERVE__HTTP_TOKEN", "SWARMD_OBSERVE__HTTP_HOSTS"}
    assert environment["SWARMD_OBSERVE__HTTP"] == ""


def test_the_observer_says_that_it_is_up_whatever_the_operators_log_level(tmp_path) -> None:
    settings = processes.observer(tmp_path, "127.0.0.1:0").settings
    assert settings["observe.log_level"] == "info"


def test_a_frozen_peer_is_frozen_with_all_that_it_started(tmp_path, monkeypatch) -> None:
    """p2pd and the workers lead sessions of their own."""
    [member] = processes.peers(settle(tmp_path, 1), asked(), HERE)
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, PEER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        started = [int(pid) for pid in parent.stdout.readline().split()]
        [peer] = psutil.Process(parent.pid).children()
        signals: list[tuple[int, int]] = []
        monkeypatch.setattr(
            psutil.Process, "send_signal", lambda process, number: signals.append((process.pid, number))
        )
        monkeypatch.setattr(os, "killpg", lambda group, number: signals.append((group, number)))
        monkeypatch.setattr(Fleet, "parent_pid", lambda *_: parent.pid)
        printed = Printed(io.StringIO(), io.StringIO(), as_json=False, width=0)
        hands = processes.Handling(Fleet([member], lambda *_: [], HOST, printed), {member.name: member})
        for doing, number in ((hands.freeze, signal.SIGSTOP), (hands.thaw, signal.SIGCONT)):
            signals.clear()
            assert doing(member.name)
            assert signals[0] == (peer.pid, number), "the peer first, so that it starts nothing more"
            assert sorted(signals) == sorted((pid, number) for pid in (peer.pid, *started))
        parent.communicate()
    assert not hands.freeze(member.name)
