"""A walk through a DHT in which nodes are numbers: what is found, and who is asked."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swarmd.network.walk import BEAM, KNOCKS_MAX, NAMES_MAX, Question, Walk

KEYS_AT_ONCE = 4
NAMED = 20
PLACES = 2**160


def walk_to(
    keys: Iterable[int],
    start: Iterable[int],
    contacts: Iterable[int] = (),
    follow: Callable[[int], bool] = lambda _namer: True,
    is_connected: Callable[[int], bool] = lambda _node: True,
) -> Walk:
    keys = list(keys)
    return Walk(
        keys,
        {key: list(start) for key in keys},
        {key: list(contacts) for key in keys},
        follow,
        keys_at_once=KEYS_AT_ONCE,
        is_connected=is_connected,
    )


def carry_out(walk: Walk, names_of: Callable[[int, int], Iterable[int] | None]) -> list[Question]:
    """Answer every question by `names_of(node, key)`, None for silence. Returns the questions."""
    questions = []
    while (question := walk.next()) is not None:
        questions.append(question)
        named = {key: names_of(question.node, key) for key in question.keys}
        if any(names is None for names in named.values()):
            walk.silent(question)
        else:
            walk.answered(question, {key: names or () for key, names in named.items()})
    return questions


def nearest(key: int, nodes: Iterable[int], count: int) -> list[int]:
    return sorted(nodes, key=lambda node: node ^ key)[:count]


@settings(max_examples=30)
@given(st.integers(0, 2**32), st.integers(1, 6), st.booleans())
def test_the_nearest_of_an_honest_swarm_are_found_from_any_of_them(
    seed: int, keys_count: int, connected: bool
) -> None:
    rng = random.Random(seed)
    nodes = [rng.randrange(PLACES) for _ in range(100)]
    keys = [rng.randrange(PLACES) for _ in range(keys_count)]
    walk = walk_to(keys, rng.sample(nodes, 30), is_connected=lambda _node: connected)
    questions = carry_out(walk, lambda node, key: nearest(key, [n for n in nodes if n != node], NAMED))
    assert all(walk.nearest(key)[:5] == nearest(key, nodes, 5) for key in keys)
    assert all(len(question.keys) <= KEYS_AT_ONCE for question in questions)
    asked = [(question.node, key) for question in questions for key in question.keys]
    assert len(set(asked)) == len(asked)


@settings(max_examples=30)
@given(st.integers(0, 2**32), st.integers(1, BEAM - 1), st.booleans())
def test_names_of_nobody_push_no_real_node_out_of_sight(seed: int, liars_count: int, connected: bool) -> None:
    """hivemind's walk takes the names for the nearest nodes, and asks no other."""
    rng = random.Random(seed)
    honest, key = rng.randrange(PLACES), rng.randrange(PLACES)
    liars = [rng.randrange(PLACES) for _ in range(liars_count)]
    nobody = {liar: [key ^ rng.randrange(2**100) for _ in range(NAMED)] for liar in liars}

    def answer(node: int, _key: int) -> Iterable[int] | None:
        return () if node == honest else nobody.get(node)

    walk = walk_to([key], [honest, *liars], is_connected=lambda _node: connected)
    carry_out(walk, answer)
    assert honest in walk.nearest(key)
    assert not set(walk.nearest(key)) & {name for names in nobody.values() for name in names}


def test_nobody_is_asked_in_place_of_a_node_whose_answer_can_still_come_in_time():
    """Each of the first answers would otherwise lead to a node that only fills the beam until nearer ones
    answered."""
    known = [100 * n for n in range(1, BEAM + 5)]
    walk = walk_to([0], known)
    first = [walk.next() for _ in range(BEAM)]
    assert [question.node for question in first if question] == known[:BEAM]
    assert walk.next() is None
    assert first[0] is not None
    walk.answered(first[0], {0: [1, 50, 850]})
    named = [walk.next() for _ in range(2)]
    assert [question.node for question in named if question] == [1, 50], "only what is nearer than they are"
    assert walk.next() is None


def test_in_place_of_a_late_or_a_silent_node_the_next_nearest_is_asked_and_a_late_answer_counts():
    known = list(range(1, BEAM + 4))
    walk = walk_to([0], known)
    slow, dead, *others = (walk.next() for _ in range(BEAM))
    assert slow is not None
    assert dead is not None
    assert walk.next() is None
    walk.late(slow)
    instead = walk.next()
    assert instead is not None
    assert instead.node == BEAM + 1
    walk.silent(dead)
    assert walk.next() is not None
    assert walk.next() is None
    for question in (*others, slow):
        assert question is not None
        walk.answered(question, {})
    assert walk.nearest(0)[0] == slow.node
    assert dead.node not in walk.nearest(0)


def test_known_nodes_that_are_not_connected_are_asked_a_few_at_a_time() -> None:
    known = [100 * n for n in range(1, 20)]
    walk = walk_to([0], known, is_connected=lambda _node: False)
    first = [walk.next() for _ in range(KNOCKS_MAX)]
    assert [question.node for question in first if question] == known[:KNOCKS_MAX]
    assert walk.next() is None
    assert first[0] is not None
    walk.answered(first[0], {0: [7, 350, 9, 5]})
    named = [walk.next() for _ in range(4)]
    assert [question.node for question in named if question] == [5, 7, 9, 350]
    assert [question.namer for question in named if question] == [100] * 4
    following = walk.next()
    assert following is not None
    assert (following.node, following.namer) == (400, None), "farther than all names, and one has answered"
    assert walk.next() is None


def test_where_nearer_names_lead_nowhere_the_other_known_nodes_are_asked() -> None:
    known = [100 * n for n in range(1, 20)]
    for follow, answers in ((False, ()), (True, None)):
        walk = walk_to([0], known, follow=lambda _, follow=follow: follow, is_connected=lambda _node: False)

        def names(node: int, _key: int, answers: Iterable[int] | None = answers) -> Iterable[int] | None:
            return range(1, 9) if node == 100 else () if node > 100 else answers

        carry_out(walk, names)
        assert walk.nearest(0) == known[:BEAM]


def test_a_late_or_silent_node_makes_room_for_the_next_one() -> None:
    walk = walk_to([0], range(1, 20), is_connected=lambda _node: False)
    slow, dead, _ = (walk.next() for _ in range(KNOCKS_MAX))
    assert slow is not None
    assert dead is not None
    assert walk.next() is None
    walk.late(slow)
    assert walk.next() is not None
    assert walk.next() is None
    walk.silent(dead)
    assert walk.next() is not None
    assert walk.next() is None


def test_the_eight_nearest_connected_nodes_are_asked_before_any_name_is_followed():
    known = [100 * n for n in range(1, 20)]
    walk = walk_to([0], known, [PLACES - 1, PLACES - 2])
    asked = [walk.next() for _ in range(4)]
    assert asked[0] is not None
    walk.answered(asked[0], {0: [1, 2, 3]})
    while len(asked) < 2 + BEAM:
        asked.append(walk.next())
    assert [question.node for question in asked[2:] if question] == known[:BEAM]
    follower = walk.next()
    assert follower is not None
    assert follower.namer == PLACES - 1 or follower.namer == PLACES - 2


def test_contacts_are_asked_first_however_many_others_are_nearer() -> None:
    key, contact = 0, PLACES - 1
    others = list(range(1, 100))
    walk = walk_to([key], others, [contact])
    questions = carry_out(walk, lambda _node, _key: ())
    assert questions[0].node == contact
    assert questions[0].contact
    assert walk.contacts(key) == [contact]
    assert walk.nearest(key)[:-1] == others[:BEAM]
    assert not any(question.contact for question in questions[1:])


def test_who_names_somebody_pays_for_it_unless_the_node_is_known_already() -> None:
    paid: list[int] = []
    walk = walk_to([0], [10, 11], follow=lambda namer: paid.append(namer) is None)
    carry_out(walk, lambda node, _key: [10, 11, 12] if node == 10 else ())
    assert paid == [10]


def test_a_name_without_credit_is_not_asked_until_somebody_else_gives_it() -> None:
    names = {10: [3, 4], 11: [4]}
    walk = walk_to([0], [10, 11], follow=lambda namer: namer == 11)
    asked = [question.node for question in carry_out(walk, lambda node, _key: names.get(node, ()))]
    assert asked == [10, 11, 4]


def test_nodes_that_lead_ever_nearer_end_with_a_bounded_number_of_questions() -> None:
    walk = walk_to([0], [PLACES - 1])
    questions = carry_out(walk, lambda node, _key: [node // 2, node // 3])
    assert len(questions) == 1 + NAMES_MAX


def test_a_silent_node_is_not_asked_again_and_counts_as_near_to_nothing() -> None:
    walk = walk_to([0, 1, 2, 3, 4, 5], [7])
    assert len(carry_out(walk, lambda _node, _key: None)) == 1
    assert walk.nearest(0) == []


@pytest.mark.parametrize("connected", [True, False])
def test_where_the_nearest_are_gone_the_next_nearest_are_asked(connected: bool) -> None:
    walk = walk_to([0], range(1, 21), is_connected=lambda _node: connected)
    carry_out(walk, lambda node, _key: None if node <= 12 else ())
    assert walk.nearest(0) == list(range(13, 21))
