"""Several daemons on loopback: they find one another, exchange groups, and survive one another's deaths."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from swarmd.errors import SwarmdError
from swarmd.observe import StatusSnapshot
from swarmd.storage import Database
from swarmd.storage.ledger import ENTRIES_MAX
from tests.integration.daemon_process import EVENT_S, DaemonProcess, left_running

Join = Callable[..., DaemonProcess]

SMALL_GAMES = Path(__file__).parents[2] / "examples" / "guessing_tasks.toml"  # some blind guesses win

POLL_S = 0.5  # between two looks at the status of every daemon
STEPS = 30


def wait_until(
    daemons: Sequence[DaemonProcess], satisfied: Callable[[StatusSnapshot], bool], within_s: float
) -> list[StatusSnapshot]:
    """Ask each for its status until all satisfy; fails with what they last said, or when one ends."""
    deadline = time.monotonic() + within_s
    last: dict[int, StatusSnapshot] = {}
    while time.monotonic() < deadline:
        for index, daemon in enumerate(daemons):
            assert daemon.process.poll() is None, daemon.describe()
            try:
                last[index] = daemon.status()
            except SwarmdError:
                continue  # it is starting, or its machine is busy: asked again
        if len(last) == len(daemons) and all(map(satisfied, last.values())):
            return [last[index] for index in range(len(daemons))]
        time.sleep(POLL_S)
    said = "\n".join(status.model_dump_json() for status in last.values())
    pytest.fail(f"not within {within_s:.0f} s\n{said}\n" + "\n".join(d.describe() for d in daemons))


def assert_no_exception(daemons: Sequence[DaemonProcess]) -> None:
    for daemon in daemons:
        for text in (daemon.stderr, json.dumps(daemon.events)):
            assert "Traceback" not in text, daemon.describe()
            assert "Exception" not in text, daemon.describe()


def publishers_used(daemon: DaemonProcess) -> set[str | None]:
    """Whose groups a daemon that has ended trained on, by its ledger."""
    with Database(daemon.home.database_path) as database:
        entries = database.ledger.entries(ENTRIES_MAX)
    pulled = {entry.digest: entry.peer_id for entry in entries if entry.event == "pulled"}
    return {pulled[entry.digest] for entry in entries if entry.event == "used"}


def has_exchanged(status: StatusSnapshot) -> bool:
    """Whether it published, pulled, and trained on a group of the other."""
    groups = status.groups
    return min(groups.external_used, groups.published, groups.pulled) > 0


def stop_all(daemons: Sequence[DaemonProcess]) -> None:
    """Ctrl-C to each; all end with 0 and leave nothing behind."""
    children = [child for daemon in daemons for child in daemon.children()]
    for daemon in daemons:
        daemon.interrupt()
    assert [daemon.wait() for daemon in daemons] == [0] * len(daemons)
    assert left_running(children) == []


@pytest.mark.daemon
@pytest.mark.timeout(400)
def test_two_daemons_use_one_anothers_groups(join: Join):
    first = join("first")
    second = join("second", "--peer", first.address)
    assert second.wait_for("joined")["peers"] == 1
    ids = {first.wait_for("started")["peer_id"], second.wait_for("started")["peer_id"]}

    def has_exchanged(status: StatusSnapshot) -> bool:
        groups = status.groups
        return (
            min(groups.external_used, groups.published, groups.pulled) > 0
            and sum(peer.groups_pulled for peer in status.peers) > 0
        )

    for status in wait_until([first, second], has_exchanged, 240):
        assert status.swarm == "starter"
        assert {status.peer_id, *(peer.peer_id for peer in status.peers)} == ids
        assert status.health.ok, status.health.reasons
        assert not {"question", "signature", "task", "version", "scorer"} & status.groups.rejected.keys()
    stop_all([first, second])
    assert any(event["external_peers"] == 1 for event in second.named("step"))
    assert_no_exception([first, second])
    assert first.stderr == second.stderr == ""


@pytest.mark.daemon
@pytest.mark.timeout(400)
def test_two_daemons_use_one_anothers_groups_of_several_turns(join: Join):
    first = join("first", "--swarm", str(SMALL_GAMES))
    second = join("second", "--swarm", str(SMALL_GAMES), "--peer", first.address)

    def has_exchanged(status: StatusSnapshot) -> bool:
        return min(status.groups.external_used, status.groups.published, status.groups.pulled) > 0

    for status in wait_until([first, second], has_exchanged, 240):
        assert status.swarm == "small guessing"
        assert not {"question", "completion", "scorer", "schema"} & status.groups.rejected.keys()
    stop_all([first, second])
    with Database(second.home.database_path) as database:
        groups = [group for group, _ in database.pool.newest(100)]
    completions = [completion for group in groups for completion in group.completions]
    assert any(len(completion.turns) > 1 for completion in completions)
    told = {turn.observation for completion in completions for turn in completion.earlier}
    assert told <= {"It is higher.", "It is lower."} | {
        f"Guess a whole number from 1 to {largest}." for largest in (7, 12)
    }
    assert_no_exception([first, second])


@pytest.mark.daemon
@pytest.mark.slow
@pytest.mark.timeout(1_800)
def test_a_swarm_trains_through_a_kill_and_a_late_joiner(join: Join):
    options = ("--swarm", "starter", "--local", "4", "--external", "4")
    first = join("peer0", *options)
    others = [join(f"peer{n}", *options, "--peer", first.address) for n in (1, 2, 3)]
    victim = others[-1]

    victim.wait_for_step(5, timeout_s=600)
    orphans = victim.children()
    victim.kill()
    assert left_running(orphans) == []
    done = max(event["step"] for event in victim.named("step"))
    resumed = join("peer3", *options, "--peer", first.address)
    assert resumed.wait_for("resumed")["step"] >= done - 1

    late = join("late", *options, "--peer", others[0].address)
    assert late.wait_for("joined", timeout_s=300)["peers"] == 1
    running = [first, *others[:-1], resumed, late]

    def is_done(status: StatusSnapshot) -> bool:
        sources = sum(peer.groups_pulled > 0 for peer in status.peers)
        return status.step >= STEPS and status.groups.external_used > 0 and sources >= 2

    for status in wait_until(running, is_done, 1_200):
        assert status.health.ok, status.health.reasons
        assert len(status.peers) >= 2
    stop_all(running)
    for daemon in running:
        assert len(publishers_used(daemon)) >= 2, daemon.describe()
    assert_no_exception([*running, victim])


@pytest.mark.slow
@pytest.mark.daemon
@pytest.mark.timeout(400)
def test_a_copy_of_a_home_that_runs_is_refused_and_the_home_is_not_disturbed(join: Join):
    other = join("other")
    original = join("original", "--peer", other.address)
    original.wait_for("joined")
    copied = original.home.path.with_name("copied")
    shutil.copytree(original.home.path, copied, ignore=shutil.ignore_patterns("*.sock", "port"))
    copy = join("copied", "--peer", other.address)
    assert copy.wait(EVENT_S) == 2
    assert "another peer with this key" in copy.stderr
    assert "never a copy" in copy.stderr
    done = max((event["step"] for event in original.named("step")), default=0)
    original.wait_for_step(done + 1)
    stop_all([original, other])
