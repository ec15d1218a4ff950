"""What a peer asks by what others need: where it leads, bounded by what any one party can change."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import TaskFamily
from protocol.people import PERSON
from swarmd.learning.experience import unhidden
from swarmd.step.needed import MEMORY, PARTIES_MAX, Shown, asking
from tests.learning.candidates import group

FAMILIES = tuple(
    TaskFamily(name=name, source="reasoning_gym", dataset=name, version="1", weight=weight, config="{}")
    for name, weight in (("rare", 1), ("common", 1), ("often", 2))
)
RARE, COMMON, OFTEN = (family.task_id for family in FAMILIES)
PLAIN = (0.25, 0.25, 0.5)
ABLE = {RARE: 0.8, COMMON: 0.8, OFTEN: 0.8}


def shown(**parties: list[tuple[bytes, float]]) -> Shown:
    """What came of groups of 16, of which next to none are hidden, by party."""
    found = Shown()
    for party, groups in parties.items():
        found.see([group(party, *[reward] * 16, task_id=task) for task, reward in groups], str)
    return found


ELSEWHERE = [(COMMON, 0.8), (OFTEN, 0.8)] * 60
"""Good at all but RARE, and never heard of there."""
EVERYWHERE = [(RARE, 0.8), (COMMON, 0.8), (OFTEN, 0.8)] * 40


def test_before_anything_was_shown_the_manifest_decides():
    assert asking(FAMILIES, ABLE, Shown(), 0.5) is None


def test_among_equals_the_manifest_decides():
    asked = asking(FAMILIES, ABLE, shown(a=EVERYWHERE, b=EVERYWHERE), 0.5)
    assert asked is None or asked == pytest.approx(PLAIN, abs=0.02)


def test_what_this_peer_can_and_others_are_silent_on_is_asked_more():
    asked = asking(FAMILIES, ABLE, shown(a=ELSEWHERE, b=ELSEWHERE), 0.5)
    assert asked is not None
    assert asked[0] > 0.5
    assert asked[1] == pytest.approx(asked[2] / 2)


def test_what_this_peer_cannot_do_either_is_not():
    asked = asking(FAMILIES, ABLE | {RARE: 0.0}, shown(a=ELSEWHERE), 0.5)
    assert asked is None or asked == pytest.approx(PLAIN, abs=0.02)


def test_a_family_never_asked_here_counts_as_one_that_this_peer_cannot_do():
    asked = asking(FAMILIES, {COMMON: 0.8}, shown(a=ELSEWHERE), 0.5)
    assert asked is None or asked[0] <= PLAIN[0]


def test_the_more_others_have_learned_the_less_is_asked_for_them():
    halfway = [*ELSEWHERE, *[(RARE, 0.4)] * 20]
    early, late = (asking(FAMILIES, ABLE, shown(a=groups), 0.5) for groups in (ELSEWHERE, halfway))
    assert early is not None
    assert late is not None
    assert PLAIN[0] < late[0] < early[0]


def test_a_party_of_which_little_was_seen_is_taken_to_be_as_good_as_this_peer():
    leads = [shown(a=ELSEWHERE[:seen]).leads([(RARE, 0.8, 0.25)])[0] for seen in (2, 20, 120)]
    assert leads == sorted(leads)
    assert leads[0] < 0.2
    assert leads[-1] > 0.7


def test_a_success_that_may_be_luck_is_no_lead():
    assert shown(a=ELSEWHERE).leads([(RARE, 0.01, 0.25)])[0] < 0.1


def test_what_a_party_has_learned_since_replaces_what_it_showed_before():
    before = [(RARE, 0.1), (COMMON, 0.8)] * 60
    after = [(RARE, 0.8), (COMMON, 0.8)] * MEMORY
    assert (
        shown(a=[*before, *after]).leads([(RARE, 0.8, 0.25)])[0]
        < 0.15
        < shown(a=before).leads([(RARE, 0.8, 0.25)])[0]
    )


def test_a_group_that_waits_in_the_pool_counts_once():
    waits = replace(group("a", 1.0, task_id=RARE), digest=bytes(32))
    found, once = Shown(), Shown()
    once.see([waits], str)
    for _ in range(3):
        found.see([waits], str)
    assert found.to_state() == once.to_state()


def test_what_people_wrote_does_not_count():
    found = Shown()
    found.see([replace(group("a", 1.0), model=PERSON)], str)
    assert found.to_state() == {}


def test_parties_are_bounded_and_the_newest_stay():
    found = Shown()
    found.see([group(str(number), 1.0) for number in range(PARTIES_MAX + 5)], str)
    assert list(found.to_state()) == [str(number) for number in range(5, PARTIES_MAX + 5)]


def test_groups_that_nobody_publishes_are_added():
    """Of groups of two by a policy that is right in one of seven tries, those that are published are half
    right."""
    pairs = [group("a", 1.0, 0.0, task_id=RARE)] * 12 + [group("a", 1.0, 1.0, task_id=RARE)]
    found = Shown()
    found.see([*pairs, *[group("a", 0.8, task_id=COMMON)] * 13], str)
    assert found.leads([(RARE, 0.5, 0.25)])[0] > 0.35


def test_one_group_says_little_about_those_that_are_hidden():
    found = Shown()
    found.see([group("a", 1.0, 0.0, task_id=RARE)], str)
    assert found.leads([(RARE, 0.5, 0.25)])[0] < 0.1


@given(success=st.floats(0.02, 1), size=st.integers(2, 64))
def test_what_is_hidden_can_be_worked_out(success, size):
    assert unhidden(success / (1 - (1 - success) ** size), size) == pytest.approx(success, abs=0.02)


TASKS = st.sampled_from([RARE, COMMON, OFTEN])
GROUPS = st.lists(st.tuples(TASKS, st.floats(0, 1)), max_size=8)
PARTIES = st.dictionaries(st.sampled_from("abcdef"), GROUPS, max_size=4)
SUCCESS = st.dictionaries(TASKS, st.floats(0, 1))


@given(parties=PARTIES, success=SUCCESS, share=st.floats(0, 1))
def test_every_family_keeps_its_floor(parties, success, share):
    asked = asking(FAMILIES, success, shown(**parties), share) or PLAIN
    assert sum(asked) == pytest.approx(1.0)
    assert all(got >= (1 - share) * weight - 1e-9 for got, weight in zip(asked, PLAIN, strict=True))


@given(parties=PARTIES, own=st.floats(0.01, 1), lies=GROUPS)
def test_one_party_of_n_moves_a_lead_by_at_most_one_nth(parties, own, lies):
    honest = {name: [(COMMON, 1.0), *groups] for name, groups in parties.items()} | {"z": [(RARE, 1.0)]}
    before = shown(**honest).leads([(RARE, own, 0.25)])[0]
    after = shown(**honest | {"z": [(RARE, 1.0), *lies]}).leads([(RARE, own, 0.25)])[0]
    assert abs(after - before) <= 1 / len(honest) + 1e-9


@given(parties=PARTIES)
def test_a_restored_memory_is_the_saved_one(parties):
    saved, restored = shown(**parties), Shown()
    restored.restore(json.loads(json.dumps(saved.to_state())))
    for task in (RARE, COMMON, OFTEN):
        assert restored.leads([(task, 0.5, 0.25)])[0] == saved.leads([(task, 0.5, 0.25)])[0]


def test_names_that_publish_once_and_leave_are_forgotten():
    found = shown(honest=EVERYWHERE)
    before = asking(FAMILIES, ABLE, found, 0.9)
    found.see([group(f"name {index}", 1.0, 0.0, task_id=COMMON) for index in range(40)], str)
    assert asking(FAMILIES, ABLE, found, 0.9) != before, "40 parties that show one family alone"
    found.see([group("honest", *[0.8] * 16, task_id=task) for task in (RARE, COMMON, OFTEN) * 200], str)
    after = asking(FAMILIES, ABLE, found, 0.9)
    assert after is None or after == pytest.approx(PLAIN, abs=0.02)
