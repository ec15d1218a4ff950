"""What the daemon says of itself: complete, and honest about what is wrong."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from protocol import verify_status
from swarmd import __version__
from swarmd.config import StorageConfig
from swarmd.daemon.company import GONE_S
from swarmd.daemon.health import FROZEN_S, HEARS_NOBODY_S, NO_CONTACT, NOT_ASKED_S, NOT_REACHED
from swarmd.daemon.machine_use import MachineUse
from swarmd.daemon.recording import Recorder
from swarmd.daemon.report import STALLED_S_MIN, STALLED_STEPS, Reporter, join_command, write_addresses
from swarmd.daemon.saving import SaveSchedule
from swarmd.errors import ConfigError
from swarmd.gossip import Ignored, PeerView
from swarmd.hardware.plan import HardwarePlan, LoraPlan
from swarmd.names import name_of
from swarmd.network.interface import NetworkStatistics, Standing
from swarmd.observe import Learning, SelfEvaluation, StatusSnapshot
from swarmd.step.progress import Progress
from swarmd.storage import Database
from swarmd.storage.steps_file import StepsFile
from tests.daemon.fakes import KnownTasks, ScriptedGossip, ScriptedNetwork, external_group
from tests.gossip.making import START, address_of, key, make_manifest, make_status

MANIFEST = make_manifest()
OTHER = key(2)
EVALUATION = SelfEvaluation(
    step=10, success=0.2314, interval=(0.16, 0.32), questions=100, tasks={"made": 0.2314}
)


@dataclass
class Steps:
    """What a reporter reads of a step loop."""

    progress: Progress
    phase: str = "training"
    tokens_per_s: float | None = 812.5
    step_every_s: float | None = 2.0
    usual_s: float = 2.0
    last_done_at: float = START
    unscored: float = 0.0
    crediting_share: float = 0.004
    lacks: tuple[str, ...] = ()
    crediting: SimpleNamespace = field(default_factory=lambda: SimpleNamespace(share=0.01))
    recorder: Recorder = field(default_factory=lambda: Recorder(StepsFile(Path("/nowhere"))))
    saves: SaveSchedule = field(default_factory=lambda: SaveSchedule(StorageConfig()))

    def use(self) -> MachineUse:
        return MachineUse(1_000, None, 20, 30)

    def learning(self) -> Learning:
        return Learning(evaluation_share=0.01)


@pytest.fixture
def parts(database: Database) -> SimpleNamespace:
    network = ScriptedNetwork(key(1).peer_id, addresses=(address_of(key(1)),))
    steps = Steps(Progress(step=12))
    return SimpleNamespace(gossip=ScriptedGossip(), network=network, steps=steps, database=database)


def report(parts: SimpleNamespace, **changes: Any) -> Reporter:
    fields = {
        "manifest": MANIFEST,
        "policy": SimpleNamespace(family="qwen2-1.4M"),
        "plan": HardwarePlan("embedded", "cpu", "float32", 1, None, ()),
        "network": parts.network,
        "gossip": parts.gossip,
        "tasks": KnownTasks(),
        "peers_tasks": KnownTasks(),
        "database": parts.database,
        "steps": parts.steps,
        "started_at": START - 61.5,
        "clock": lambda: START,
        "monotonic": lambda: START,
        "http": "http://127.0.0.1:8080",
    }
    return Reporter(**fields | changes)


def meet(parts: SimpleNamespace) -> None:
    """The other peer is there, and two of its groups came in, one of them used."""
    status = verify_status(
        make_status(MANIFEST, OTHER, START, step=7, reward_mean_milli=250, eval_milli=430),
        swarm=MANIFEST.swarm_id,
        now=START,
    )
    parts.gossip.peers = (
        PeerView(OTHER.peer_id, status.status, 3.0, 1, 5, Standing.MET, 0.5, {"absent": 2}),
    )
    for number in (1, 2):
        parts.database.pool.add(external_group(number, publisher=OTHER.peer_id), now=START)
    parts.database.pool.mark_used([(1).to_bytes(32, "big")], 5, now=START)


def test_a_healthy_peer_says_everything_about_itself(parts):
    database = parts.database
    meet(parts)
    database.ledger.own(8)
    database.ledger.published(bytes(32), 70, 1, now=START)
    database.ledger.rejected("signature", now=START)
    for step, reward in enumerate((0.1, 0.3), 1):
        database.steps.record(step, reward=reward, metrics={}, now=START)
    said = report(parts).snapshot()
    assert said.health.ok
    assert said.health.reasons == ()
    assert (said.peer_id, said.swarm) == (key(1).peer_id, MANIFEST.name)
    assert said.swarm_id == MANIFEST.swarm_id.hex()
    assert (said.round, said.step, said.phase) == (MANIFEST.round_at(START), 12, "training")
    assert (said.uptime_s, said.pid) == (61.5, os.getpid())
    assert (said.model, said.device, said.dtype, said.lora) == ("embedded", "cpu", "float32", None)
    assert said.addresses == (address_of(key(1)),)
    assert said.http == "http://127.0.0.1:8080"
    assert (said.reward.last, said.reward.mean_20, said.reward.best_20) == (0.3, 0.2, 0.2)
    assert said.reward_history == (0.1, 0.3)
    groups = said.groups
    assert (groups.own, groups.published, groups.pulled, groups.external_used) == (8, 1, 2, 1)
    assert groups.rejected == {"signature": 1}
    assert (said.steps_per_minute, said.tokens_per_s) == (30.0, 812.5)
    assert said.sandbox == ("no sandbox in tests",)
    assert said.join_command == f"swarmd join --peer {address_of(key(1))}"
    [other] = said.peers
    assert (other.peer_id, other.address, other.age_s) == (OTHER.peer_id, address_of(OTHER), 3.0)
    assert (other.step, other.model, other.groups_pulled, other.reward_mean) == (7, "tiny", 2, 0.25)
    assert other.held_out_claimed == 0.43
    assert StatusSnapshot.model_validate_json(said.model_dump_json()) == said


def test_before_the_first_step_there_is_nothing_to_show_and_nothing_wrong(parts):
    parts.steps = Steps(Progress(), phase="starting", tokens_per_s=None, step_every_s=None, usual_s=0.0)
    said = report(parts, http=None).snapshot()
    assert said.health.ok
    assert said.reward.last is None
    assert said.reward_history == ()
    assert said.evaluation is None
    assert (said.steps_per_minute, said.tokens_per_s, said.http, said.peers) == (None, None, None, ())


def test_a_peer_that_was_not_pulled_from_or_has_no_address_is_shown_as_such(parts):
    status = verify_status(
        make_status(MANIFEST, OTHER, START, addresses=()), swarm=MANIFEST.swarm_id, now=START
    )
    parts.gossip.peers = (PeerView(OTHER.peer_id, status.status, 0.0, 0, 0, Standing.STRANGER, 1.0, {}),)
    [other] = report(parts).snapshot().peers
    assert (other.address, other.groups_pulled) == (None, 0)


def test_the_adapter_is_shown(parts):
    plan = HardwarePlan("embedded", "cpu", "float32", 1, LoraPlan(16, 32), ())
    assert report(parts, plan=plan).snapshot().lora == "r=16,alpha=32"


@pytest.mark.parametrize(
    ("usual_s", "since_s", "ok"),
    [
        (0.0, STALLED_S_MIN - 1, True),
        (0.0, STALLED_S_MIN + 1, False),
        (2.0, STALLED_S_MIN + 1, False),
        (100.0, STALLED_S_MIN + 1, True),
        (100.0, STALLED_STEPS * 100.0 + 1, False),
    ],
)
def test_a_step_that_takes_far_longer_than_usual_is_reported(parts, usual_s, since_s, ok):
    parts.steps.usual_s, parts.steps.last_done_at = usual_s, START - since_s
    health = report(parts).snapshot().health
    assert health.ok is ok
    if not ok:
        assert f"no step for {since_s:.0f} s (now: training)" in health.reasons[0]
        assert report(parts).problems() == health.reasons, "it is also logged"


def test_a_peer_that_nobody_can_reach_and_what_gossip_finds_wrong_are_reported(parts):
    parts.network.addresses = ()
    parts.gossip.problems = ("this machine's clock is about 9 s behind the swarm's",)
    said = report(parts).snapshot()
    assert not said.health.ok
    assert len(said.health.reasons) == 2
    assert "clock" in said.health.reasons[0]
    assert "no peer can reach this one" in said.health.reasons[1]
    assert said.join_command is None


def test_what_other_peers_are_told(parts):
    meet(parts)
    parts.database.ledger.own(8)
    parts.database.steps.record(1, reward=0.25, metrics={}, now=START)
    told = report(parts).own_status()
    assert (told.addresses, told.step, told.phase) == ((address_of(key(1)),), 12, "training")
    assert (told.model, told.device, told.agent) == ("qwen2-1.4M", "cpu", f"swarmd/{__version__}")
    assert (told.reward_mean_milli, told.groups_own, told.groups_external_used) == (250, 8, 1)
    assert (told.groups_published, told.groups_pulled) == (0, 2)


def test_its_own_evaluation_is_shown_whole_and_told_to_others_in_thousandths(parts):
    assert report(parts).own_status().eval_milli is None
    parts.steps.progress.evaluation = EVALUATION
    assert report(parts).snapshot().evaluation == EVALUATION
    assert report(parts).own_status().eval_milli == 231


def test_a_peer_of_which_no_status_was_read_is_shown_by_what_it_did(parts):
    parts.gossip.peers = (PeerView(OTHER.peer_id, None, None, 1, 5, Standing.MET, 0.5, {"absent": 2}),)
    [other] = report(parts).snapshot().peers
    assert (other.peer_id, other.standing, other.trust) == (OTHER.peer_id, "met", 0.5)
    assert (other.groups_taught, other.points_lost) == (5, {"absent": 2})
    assert (other.address, other.age_s, other.model) == (None, None, None)


def test_who_is_ignored_and_what_was_refused_is_in_the_snapshot(parts):
    parts.gossip.ignored = (Ignored(OTHER.peer_id, "absent", 250.0), Ignored(key(3).peer_id, "banned", None))
    parts.network.refused = {"streams": 9}
    judged = report(parts).snapshot().judgement
    assert [(found.peer_id, found.reason, found.seconds_left) for found in judged.ignored] == [
        (OTHER.peer_id, "absent", 250.0),
        (key(3).peer_id, "banned", None),
    ]
    assert judged.refused == {"streams": 9}


def test_a_peer_that_claims_no_evaluation_is_shown_without_one(parts):
    status = verify_status(make_status(MANIFEST, OTHER, START), swarm=MANIFEST.swarm_id, now=START)
    parts.gossip.peers = (PeerView(OTHER.peer_id, status.status, 0.0, 0, 0, Standing.STRANGER, 1.0, {}),)
    [other] = report(parts).snapshot().peers
    assert other.held_out_claimed is None


def test_before_the_first_step_others_are_told_a_mean_reward_of_0(parts):
    assert report(parts).own_status().reward_mean_milli == 0


def test_the_most_public_address_is_the_one_to_join_by(parts):
    parts.network.addresses = ("/ip4/192.0.2.7/tcp/1/p2p/x", "/ip4/127.0.0.1/tcp/1/p2p/x")
    assert join_command(parts.network) == "swarmd join --peer /ip4/192.0.2.7/tcp/1/p2p/x"


def test_addresses_are_written_for_others_to_read(tmp_path: Path):
    write_addresses(tmp_path / "addresses.txt", ("/a", "/b"))
    assert (tmp_path / "addresses.txt").read_text() == "/a\n/b\n"
    with pytest.raises(ConfigError, match="--address-file"):
        write_addresses(tmp_path / "absent" / "addresses.txt", ("/a",))


# What is wrong and what to do ------------------------------------------------------------------------


def network_of(**changes: Any) -> NetworkStatistics:
    """Two known peers that answer and ask, as seen at START by the monotonic clock."""
    fields: dict[str, Any] = {
        "connected_peers": 2,
        "restarts": 0,
        "bytes_pulled": 0,
        "pulls_failed": 0,
        "dialable": True,
        "known_peers": 2,
        "answered_at": START - 5,
        "asked_at": START - 5,
    }
    return NetworkStatistics(**fields | changes)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, []),
        ({"known_peers": 0, "answered_at": None, "asked_at": None}, []),
        ({"answered_at": START - HEARS_NOBODY_S + 1}, []),
        ({"answered_at": START - 95}, [NO_CONTACT + ": none of 2 known peers", "95 s", "firewall", "--peer"]),
        ({"answered_at": None}, [NO_CONTACT + " so far", "600 s"]),
        ({"answered_at": None, "known_since": START - 40}, [NO_CONTACT + " so far", "40 s"]),
        ({"answered_at": START - 95, "dialable": False}, [NO_CONTACT, "behind a NAT", "--announce"]),
        ({"asked_at": START - NOT_ASKED_S + 1}, []),
        ({"asked_at": START - 200}, [NOT_REACHED + ": 2 answer it", "200 s", "--announce"]),
        ({"asked_at": None, "connected_peers": 0}, []),
        ({"problems": ("this machine's clock is 10 s behind",)}, ["clock is 10 s behind"]),
    ],
)
def test_an_outage_is_named_with_the_way_on(parts, monkeypatch, changes, words):
    monkeypatch.setattr(parts.network, "statistics", lambda: network_of(**changes))
    health = report(parts, started_at=START - 600).snapshot().health
    assert health.ok is not bool(words)
    assert len(health.reasons) == bool(words)
    for word in words:
        assert word in health.reasons[0]


@pytest.mark.parametrize(
    ("silent", "ok"), [({OTHER.peer_id}, True), ({OTHER.peer_id, key(3).peer_id}, False), (set(), False)]
)
def test_alone_since_everybody_said_goodbye_is_well_and_one_silent_peer_is_an_outage(
    parts, monkeypatch, silent, ok
):
    quiet = network_of(answered_at=START - 95, connected_peers=0, unheard=frozenset(silent))
    monkeypatch.setattr(parts.network, "statistics", lambda: quiet)
    parts.gossip.left = frozenset({OTHER.peer_id, key(4).peer_id})
    assert report(parts, started_at=START - 600).snapshot().health.ok is ok


@pytest.mark.parametrize(("days", "ok"), [(0, True), (6, True), (8, False)])
def test_a_goodbye_before_the_start_explains_a_silence_for_a_week(parts, monkeypatch, days, ok):
    quiet = network_of(answered_at=None, connected_peers=0, unheard=frozenset({OTHER.peer_id}))
    monkeypatch.setattr(parts.network, "statistics", lambda: quiet)
    parts.database.facts.set_goodbyes({OTHER.peer_id: int(START) - days * 86_400})
    assert report(parts, started_at=START - 600).snapshot().health.ok is ok


@pytest.mark.parametrize("which", ["tasks", "peers_tasks"])
def test_a_worker_that_does_not_answer_is_named(parts, which):
    worker = KnownTasks()
    worker.waiting_s = FROZEN_S - 1
    assert report(parts, **{which: worker}).snapshot().health.ok
    worker.waiting_s = FROZEN_S + 1
    [reason] = report(parts, **{which: worker}).snapshot().health.reasons
    assert f"has not answered for {FROZEN_S + 1:.0f} s: frozen" in reason


def test_what_was_given_and_taken_is_told_with_what_is_only_claimed(parts):
    partners = parts.database.partners
    meet(parts)
    for n in range(4):
        parts.database.ledger.published(bytes([n]) * 32, 70, 1, now=START)
    partners.used({OTHER.peer_id: 3}, now=START)
    partners.pulled({OTHER.peer_id: 2, key(3).peer_id: 5}, now=START)
    partners.claimed(OTHER.peer_id, 4, now=START)
    said = report(parts).snapshot()
    helped = said.helping
    assert (helped.pulls, helped.pulled_by) == (7, 2)
    assert (helped.groups_trained_on_claimed, helped.trained_on_by_claimed) == (4, 1)
    assert [(one.peer_id, one.pulls, one.groups_trained_on_claimed) for one in helped.peers] == [
        (OTHER.peer_id, 2, 4),
        (key(3).peer_id, 5, 0),
    ]
    assert (said.hearing.groups_used, said.hearing.taught_by) == (3, 1)
    assert [one.name for one in said.hearing.peers] == [name_of(OTHER.peer_id)]
    other = next(peer for peer in said.peers if peer.peer_id == OTHER.peer_id)
    assert (other.groups_used, other.pulls, other.groups_trained_on_claimed) == (3, 2, 4)
    assert report(parts).own_status().used == {OTHER.peer_id: 3}


def test_a_claim_to_have_trained_on_more_than_was_published_is_cut_to_it(parts):
    meet(parts)
    parts.database.ledger.published(bytes(32), 70, 1, now=START)
    parts.database.partners.claimed(OTHER.peer_id, 2**53 - 1, now=START)
    said = report(parts).snapshot()
    assert (said.helping.groups_trained_on_claimed, said.helping.peers[0].groups_trained_on_claimed) == (1, 1)
    assert next(p for p in said.peers if p.peer_id == OTHER.peer_id).groups_trained_on_claimed == 1


def test_a_peer_without_a_sign_for_three_minutes_is_gone_and_listed_last(parts):
    partners = parts.database.partners
    meet(parts)
    partners.used({key(3).peer_id: 1}, now=START - GONE_S - 1)
    partners.pulled({key(4).peer_id: 1}, now=START - GONE_S)
    listed = report(parts).snapshot().peers
    assert [(peer.peer_id, peer.gone) for peer in listed] == [
        (OTHER.peer_id, False),
        (key(4).peer_id, False),
        (key(3).peer_id, True),
    ]
    assert [peer.last_seen for peer in listed] == [START - 3, START - GONE_S, START - GONE_S - 1]


def test_a_peer_that_said_goodbye_is_gone_at_once_unless_it_is_connected(parts):
    partners = parts.database.partners
    for number in (3, 4):
        partners.used({key(number).peer_id: 1}, now=START)
        partners.pulled({key(number).peer_id: 1}, now=START)
    parts.gossip.left = frozenset({key(3).peer_id, key(4).peer_id})
    parts.network.connections = {key(4).peer_id: "/ip4/10.0.0.4/tcp/1"}
    said = report(parts).snapshot()
    for part in (said.helping, said.hearing):
        assert {peer.peer_id: peer.gone for peer in part.peers} == {
            key(3).peer_id: True,
            key(4).peer_id: False,
        }


def test_credits_are_shown_as_measured_and_claimed_and_others_are_told_what_was_measured(
    parts: SimpleNamespace, database: Database
) -> None:
    database.partners.pulled({OTHER.peer_id: 1}, now=START)
    database.credits.measured([(OTHER.peer_id, True, 0.25)], now=START)
    database.credits.claimed(OTHER.peer_id, people=False, groups=3, gain_milli=40, now=START)
    credit = report(parts).snapshot().credit
    assert [(peer.people, peer.groups, peer.gain) for peer in credit.measured] == [(True, 1, 0.25)]
    assert [(peer.people, peer.groups, peer.gain) for peer in credit.claimed] == [(False, 3, 0.04)]
    assert (credit.taught_claimed, credit.people_taught_claimed, credit.time_share) == (1, 0, 0.004)
    [told] = report(parts).own_status().credits
    assert (told.publisher, told.people, told.groups, told.gain_milli) == (OTHER.peer_id, True, 1, 250)
