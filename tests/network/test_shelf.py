"""The bounded store of a storing node, and who gives way in it."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol import PEER_ID_BYTES, SHARD_ENTRIES_MAX, PeerId
from swarmd.network.interface import Standing
from swarmd.network.shares import OWN, Source
from swarmd.network.shelf import BOOKKEEPING_BYTES, STATUSES_TOLD, Shelf

KEY = b"k" * 20
END = 100.0


def shelf_of(entries: int = 1_000, plain: int = 1_000, seed: int = 0) -> Shelf:
    """A shelf with room for so many small values."""
    cost = BOOKKEEPING_BYTES + 8
    return Shelf(random.Random(seed), plain_bytes_max=plain * cost, entries_bytes_max=entries * cost)


def put(
    shelf: Shelf, name: str, sender: str, *, key: bytes = KEY, signer: str | None = None, **rest: Any
) -> bool:
    source = Source(sender, signer or sender, rest.pop("standing", Standing.STRANGER))
    return shelf.put_entry(key, name.encode(), b"v", rest.pop("expires", END), 0.0, source)


def held(shelf: Shelf, keys: Iterable[bytes] = (KEY,)) -> set[str]:
    return {name.decode() for key in keys for name in shelf.entries(key, 0.0)}


def test_values_are_held_until_they_expire() -> None:
    shelf = shelf_of()
    assert shelf.put_plain(KEY, b"value", 10.0, 0.0)
    assert shelf.put_entry(b"other", b"a", b"entry", 10.0, 0.0)
    assert shelf.plain(KEY, 9.9) is not None
    assert shelf.plain(KEY, 10.0) is None
    assert len(shelf.entries(b"other", 9.9)) == 1
    assert shelf.entries(b"other", 10.0) == {}


def test_expired_values_give_their_memory_back() -> None:
    shelf = shelf_of()
    shelf.put_plain(KEY, b"value", 10.0, 0.0)
    shelf.put_entry(b"other", b"a", b"entry", 10.0, 0.0)
    assert shelf.bytes_held == 10 + 2 * BOOKKEEPING_BYTES
    assert shelf.put_plain(b"late", b"1", 40.0, 30.0)
    assert (shelf.bytes_held, shelf.held_keys()) == (1 + BOOKKEEPING_BYTES, (b"late",))


def test_nothing_expired_is_taken() -> None:
    assert not shelf_of().put_plain(KEY, b"value", 10.0, 10.0)


def test_the_same_value_again_is_held_already_and_an_older_or_other_one_is_refused() -> None:
    shelf = shelf_of()
    assert shelf.put_entry(KEY, b"a", b"new", 10.0, 0.0)
    assert shelf.put_entry(KEY, b"a", b"new", 10.0, 0.0)
    assert not shelf.put_entry(KEY, b"a", b"other", 10.0, 0.0)
    assert not shelf.put_entry(KEY, b"a", b"old", 9.0, 0.0)
    assert shelf.put_entry(KEY, b"a", b"newer", 11.0, 0.0)
    assert shelf.bytes_held == len(b"newer") + BOOKKEEPING_BYTES


def test_an_entry_stays_if_there_is_no_room_for_its_newer_version() -> None:
    shelf = shelf_of(entries=1)
    assert shelf.put_entry(KEY, b"a", b"old", 10.0, 0.0)
    assert not shelf.put_entry(KEY, b"a", b"newer" * 1_000, 11.0, 0.0)
    assert shelf.entries(KEY, 0.0)[b"a"].value == b"old"
    assert shelf.bytes_held == len(b"old") + BOOKKEEPING_BYTES


def test_a_key_is_either_plain_or_a_dictionary() -> None:
    shelf = shelf_of()
    assert shelf.put_plain(b"plain", b"v", 10.0, 0.0)
    assert not shelf.put_entry(b"plain", b"a", b"v", 20.0, 0.0)
    assert shelf.put_entry(b"dictionary", b"a", b"v", 10.0, 0.0)
    assert not shelf.put_plain(b"dictionary", b"v", 20.0, 0.0)


def test_one_signer_cannot_crowd_out_the_others_of_its_sender() -> None:
    shelf = shelf_of()
    for number in range(SHARD_ENTRIES_MAX):
        assert put(shelf, f"flooder {number}", "one")
    assert not put(shelf, "flooder more", "one")
    for number in range(SHARD_ENTRIES_MAX // 2):
        assert put(shelf, f"other {number}", "one", signer="other")
    assert not put(shelf, "other more", "one", signer="other")
    assert put(shelf, "third", "one", signer="third")
    assert len(held(shelf)) == SHARD_ENTRIES_MAX


def test_64_names_behind_one_connection_leave_a_place_to_every_other_sender() -> None:
    shelf = shelf_of()
    for number in range(SHARD_ENTRIES_MAX):
        assert put(shelf, f"sibling {number}", "attacker", signer=f"sibling {number}")
    for number in range(SHARD_ENTRIES_MAX // 2):
        assert put(shelf, f"honest {number}", f"sender {number}")
    for number in range(500):
        put(shelf, f"again {number}", "attacker", signer=f"again {number}")
    assert {f"honest {number}" for number in range(SHARD_ENTRIES_MAX // 2)} <= held(shelf)


def test_places_that_become_free_are_not_taken_for_good() -> None:
    """A shelf that one identity fills again whenever something expires still takes what others bring."""
    shelf = shelf_of(entries=100)
    keys = [b"%020d" % number for number in range(200)]
    for index, key in enumerate(keys):
        put(shelf, f"junk {index}", "attacker", key=key)
    for index, key in enumerate(keys[:40]):
        assert put(shelf, f"good {index}", f"sender {index % 4}", key=key)
        put(shelf, f"more {index}", "attacker", key=key)
    assert {f"good {number}" for number in range(40)} <= held(shelf, keys)


def test_plain_values_are_shared_in_the_same_way() -> None:
    shelf = shelf_of(plain=20)
    for number in range(30):
        shelf.put_plain(b"junk %d" % number, b"v", END, 0.0, Source("attacker", f"sibling {number}"))
    for number in range(8):
        assert shelf.put_plain(b"good %d" % number, b"v", END, 0.0, Source(f"sender {number}", "s"))
    assert not shelf.put_plain(b"junk more", b"v" * 30, END, 0.0, Source("attacker", "new"))
    assert all(shelf.plain(b"good %d" % number, 0.0) for number in range(8))


def test_what_known_peers_signed_stays_longest() -> None:
    shelf = shelf_of()
    for number in range(10):
        assert put(shelf, f"known {number}", "friend", standing=Standing.KNOWN)
    for number in range(SHARD_ENTRIES_MAX):
        put(shelf, f"stranger {number}", f"sender {number}")
    assert {f"known {number}" for number in range(10)} <= held(shelf)
    assert put(shelf, "own", "", standing=Standing.KNOWN)


def test_a_sender_of_others_things_cannot_have_them_pushed_out() -> None:
    shelf = shelf_of()
    assert put(shelf, "honest", "attacker", signer="honest")
    assert put(shelf, "honest", "honest", signer="honest")
    for number in range(500):
        put(shelf, f"junk {number}", "attacker", signer=f"sibling {number}")
    for number in range(SHARD_ENTRIES_MAX // 2):
        assert put(shelf, f"other {number}", f"sender {number}")
    assert "honest" in held(shelf)


def test_the_victim_cannot_be_foreseen_but_follows_the_seed() -> None:
    left = []
    for seed in (1, 1, 2):
        shelf = shelf_of(seed=seed)
        for number in range(SHARD_ENTRIES_MAX):
            put(shelf, f"junk {number}", "attacker")
        put(shelf, "good", "other")
        left.append(held(shelf))
    assert left[0] == left[1] != left[2]


@pytest.mark.parametrize("standing", list(Standing))
def test_a_sender_that_holds_less_than_another_is_never_refused(standing: Standing) -> None:
    shelf = shelf_of()
    for number in range(SHARD_ENTRIES_MAX):
        put(shelf, f"{number}", "large", standing=standing)
    assert put(shelf, "first", "small")


def test_what_one_sender_brought_is_counted_as_its_groups_as_soon_as_that_is_known() -> None:
    shelf = shelf_of()
    for number in range(SHARD_ENTRIES_MAX):
        assert put(shelf, f"sibling {number}", f"sibling {number}")
    assert not put(shelf, "honest", "honest")
    for number in range(SHARD_ENTRIES_MAX):
        shelf.attribute(f"sibling {number}", "attacker")
    for number in range(SHARD_ENTRIES_MAX // 2):
        assert put(shelf, f"honest {number}", f"sender {number}")
    assert len(held(shelf)) == SHARD_ENTRIES_MAX


SENDERS = st.sampled_from(["a", "b", "c", "d"])


@settings(max_examples=100)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([b"a", b"b", b"c"]),
            st.one_of(st.none(), st.integers(0, 200)),
            SENDERS,
            st.sampled_from("xyz"),
            st.sampled_from(Standing),
            st.binary(max_size=9),
            st.integers(1, 60),
            st.integers(0, 12),
            st.booleans(),
        ),
        max_size=60,
    ),
    st.integers(0, 9),
)
def test_the_bounds_hold_and_the_books_balance(operations: Any, seed: int) -> None:
    shelf = Shelf(
        random.Random(seed), plain_bytes_max=2 * BOOKKEEPING_BYTES, entries_bytes_max=9 * BOOKKEEPING_BYTES
    )
    now = 0.0
    for key, name, sender, signer, standing, value, lifetime, pause, is_located in operations:
        now += pause
        if is_located:
            shelf.attribute(sender, "a group")
            assert not shelf._plain.of(sender) + shelf._entries.of(sender)
        source = Source(sender, signer, standing)
        if name is None:
            shelf.put_plain(key, value, now + lifetime, now, source)
        else:
            shelf.put_entry(key, b"%d" % name, value, now + lifetime, now, source)
        slots = shelf._slots.values()
        sizes = [len(slot.plain.held.value) + BOOKKEEPING_BYTES for slot in slots if slot.plain]
        assert sum(sizes) <= 2 * BOOKKEEPING_BYTES
        entries = [kept for slot in slots for kept in slot.entries.values()]
        sizes += [len(kept.held.value) + BOOKKEEPING_BYTES for kept in entries]
        assert shelf.bytes_held == sum(sizes) <= 11 * BOOKKEEPING_BYTES
        assert all(slot.entries or slot.plain for slot in slots)
        assert all(not (slot.plain and slot.entries) for slot in slots)


@settings(max_examples=60)
@given(seed=st.integers(0, 2**32), floods=st.integers(50, 400), honest=st.integers(1, 8))
def test_a_sender_with_few_entries_is_never_displaced_by_one_with_many(
    seed: int, floods: int, honest: int
) -> None:
    """Three honest senders, one attacker, 32 places: an honest sender's share is never below 8."""
    rng, shelf = random.Random(seed), shelf_of(entries=32, seed=seed)
    keys = [b"%020d" % number for number in range(31)]
    mine = [f"{sender} {number}" for sender in "xyz" for number in range(honest)]
    turns = [*mine, *[""] * floods]
    rng.shuffle(turns)
    for name in turns:
        if name:
            assert put(shelf, name, name[0], key=rng.choice(keys))
        else:
            put(
                shelf, f"junk {rng.random()}", "attacker", key=rng.choice(keys), signer=f"{rng.randrange(99)}"
            )
    assert set(mine) <= held(shelf, keys)


def test_own_things_are_known() -> None:
    assert OWN.standing == Standing.KNOWN


# What a reader is told ------------------------------------------------------------------------------------

CALLER = PeerId("c" * PEER_ID_BYTES)


def with_entries(length: int, count: int, *more: bytes) -> Shelf:
    shelf = shelf_of()
    for subkey in (*(b"%0*d" % (length, number) for number in range(count)), *more):
        assert shelf.put_entry(KEY, subkey, b"v", END, 0.0)
    return shelf


def test_a_reader_is_told_all_announcements_and_of_many_statuses_a_sample_that_changes() -> None:
    announcements = with_entries(60, SHARD_ENTRIES_MAX)
    assert announcements.answer(KEY, CALLER, 0.0) == announcements.entries(KEY, 0.0)
    few = with_entries(PEER_ID_BYTES, STATUSES_TOLD)
    assert few.answer(KEY, CALLER, 0.0) == few.entries(KEY, 0.0)
    many = with_entries(PEER_ID_BYTES, SHARD_ENTRIES_MAX)
    samples = [many.answer(KEY, CALLER, 0.0) for _ in range(40)]
    assert {len(each) for each in samples} == {STATUSES_TOLD}
    assert set().union(*samples) == set(many.entries(KEY, 0.0))


def test_whoever_published_a_status_is_always_told_that_it_is_held() -> None:
    shelf = with_entries(PEER_ID_BYTES, SHARD_ENTRIES_MAX - 1, CALLER.encode())
    for _ in range(40):
        told = shelf.answer(KEY, CALLER, 0.0)
        assert CALLER.encode() in told
        assert len(told) == STATUSES_TOLD
    assert shelf.answer(KEY, CALLER, END) == {}
