"""What a daemon's next step wants, by what its groups cost and how many of them taught."""

from __future__ import annotations

import pytest

from protocol import PeerId
from swarmd.config import LearningConfig
from swarmd.daemon.mixing import DEMAND_STEPS, PROBE_STEPS, Mixing
from swarmd.gossip import Demand
from swarmd.gossip.limits import GossipLimits
from swarmd.learning import Experience
from swarmd.step.accounts import FREE_S
from swarmd.step.mixing import Mix
from swarmd.step.verification import Verification, _Cost
from tests.daemon.fakes import KnownTasks, external_group, peer
from tests.gossip.making import make_manifest

MEASURED = LearningConfig(local=4, external=4, mix="measured")


@pytest.fixture
def verification() -> Verification:
    return Verification(manifest=make_manifest(), tasks=KnownTasks())


@pytest.fixture
def experience() -> Experience:
    """Of a peer whose own groups all teach."""
    found = Experience()
    found.see_own([external_group(0, publisher="me")])
    return found


def test_it_stops_drawing_while_verifying_costs_more_than_making_groups(verification, experience) -> None:
    mixing = Mixing(MEASURED, verification)
    mixing.made(4, {"questions": 1.0, "generating": 2.0, "scoring": 1.0, "training": 90.0})
    assert mixing.next(experience) == Mix(4, 4), "nothing was verified yet"
    verification.record_s = 0.4
    assert mixing.next(experience) == Mix(4, 4)
    verification.record_s = 0.6  # two are pulled for each that is used, and an own group takes a second
    assert mixing.next(experience) == Mix(8, 0)


def test_a_change_of_mix_is_said_once(verification, experience) -> None:
    mixing = Mixing(MEASURED, verification)
    assert mixing.change(Mix(4, 4)) is None, "that is what was set"
    assert "makes 8 of them and draws external ones until 8 groups teach" in (
        mixing.change(Mix(8, 8, fill=8)) or ""
    )
    assert mixing.change(Mix(8, 8, fill=8)) is None
    assert "makes 8 own groups and draws no external ones" in (mixing.change(Mix(8, 0)) or "")
    assert mixing.change(Mix(4, 4)) == "back to 4 own and 4 external groups per step"


def test_a_step_that_made_nothing_says_nothing_about_costs(verification, experience) -> None:
    mixing = Mixing(MEASURED, verification)
    verification.record_s = 100.0
    mixing.made(0, {"generating": 0.0})
    assert mixing.next(experience) == Mix(4, 4)


def test_what_is_asked_of_others_follows_the_last_steps(verification) -> None:
    mixing = Mixing(MEASURED, verification)
    assert [mixing.demand(wanted, 2.0) for wanted in (4, 0, 0)] == [
        Demand(4, 2.0),
        Demand(2, 2.0),
        Demand(2, 2.0),
    ]
    for _ in range(DEMAND_STEPS):
        asked = mixing.demand(0, 2.0)
    assert asked == Demand(1, PROBE_STEPS * GossipLimits().overpull * 2.0), "to measure what verifying costs"


def test_one_costly_record_does_not_end_sharing(verification, experience) -> None:
    mixing = Mixing(MEASURED, verification)
    mixing.made(4, {"generating": 0.4})
    verification._charge(PeerId(peer(1)), external_group(0, publisher=peer(1)), _Cost(cpu_s=5.0, clock_s=5.0))
    assert verification.record_s == FREE_S
    assert mixing.next(experience) == Mix(8, 0)
    for _ in range(20):  # pulled since, one in PROBE_STEPS steps
        verification._charge(
            PeerId(peer(1)), external_group(0, publisher=peer(1)), _Cost(cpu_s=0.01, clock_s=0.01)
        )
    assert mixing.next(experience) == Mix(4, 4)
    for _ in range(80):
        verification._charge(PeerId(peer(1)), external_group(0, publisher=peer(1)), _Cost(5.0, 5.0))
    assert verification.record_s == pytest.approx(5.0, rel=0.05), "a lasting cost is followed"
