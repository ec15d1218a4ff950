"""The bounded store of a storing node."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from protocol import PEER_ID_BYTES, SHARD_ENTRIES_MAX
from swarmd.network.shelf import Shelf

KEY = b"k" * 20


def subkey(publisher: str, number: int = 0) -> bytes:
    return publisher.ljust(PEER_ID_BYTES, "-").encode() + b"%d" % number


def test_values_are_held_until_they_expire() -> None:
    shelf = Shelf()
    assert shelf.put_plain(KEY, b"value", 10.0, 0.0)
    assert shelf.put_entry(b"other", subkey("a"), b"entry", 10.0, 0.0)
    assert shelf.plain(KEY, 9.9) is not None
    assert shelf.plain(KEY, 10.0) is None
    assert len(shelf.entries(b"other", 9.9)) == 1
    assert shelf.entries(b"other", 10.0) == {}


def test_expired_values_give_their_memory_back() -> None:
    shelf = Shelf()
    shelf.put_plain(KEY, b"value", 10.0, 0.0)
    shelf.put_entry(b"other", subkey("a"), b"entry", 10.0, 0.0)
    assert shelf.bytes_held == 10
    assert shelf.put_plain(b"late", b"1", 40.0, 30.0)
    assert (shelf.bytes_held, shelf.held_keys()) == (1, (b"late",))


def test_nothing_expired_is_taken() -> None:
    assert not Shelf().put_plain(KEY, b"value", 10.0, 10.0)


def test_the_same_value_again_is_held_already_and_an_older_or_other_one_is_refused() -> None:
    shelf = Shelf()
    assert shelf.put_entry(KEY, subkey("a"), b"new", 10.0, 0.0)
    assert shelf.put_entry(KEY, subkey("a"), b"new", 10.0, 0.0)
    assert not shelf.put_entry(KEY, subkey("a"), b"other", 10.0, 0.0)
    assert not shelf.put_entry(KEY, subkey("a"), b"old", 9.0, 0.0)
    assert shelf.put_entry(KEY, subkey("a"), b"newer", 11.0, 0.0)
    assert shelf.bytes_held == len(b"newer")


def test_a_key_is_either_plain_or_a_dictionary() -> None:
    shelf = Shelf()
    assert shelf.put_plain(b"plain", b"v", 10.0, 0.0)
    assert not shelf.put_entry(b"plain", subkey("a"), b"v", 20.0, 0.0)
    assert shelf.put_entry(b"dictionary", subkey("a"), b"v", 10.0, 0.0)
    assert not shelf.put_plain(b"dictionary", b"v", 20.0, 0.0)


def test_bytes_and_keys_are_bounded_each_by_its_own_bound() -> None:
    shelf = Shelf(plain_bytes_max=4, entries_bytes_max=4, keys_max=3)
    assert shelf.put_plain(b"1", b"1234", 10.0, 0.0)
    assert not shelf.put_plain(b"2", b"1", 10.0, 0.0)
    assert shelf.put_entry(b"2", subkey("a"), b"1234", 10.0, 0.0)
    assert not shelf.put_entry(b"3", subkey("a"), b"1", 10.0, 0.0)
    assert shelf.put_entry(b"3", subkey("a"), b"", 10.0, 0.0)
    assert not shelf.put_entry(b"4", subkey("a"), b"", 10.0, 0.0)
    assert shelf.bytes_held == 8


def test_one_publisher_cannot_crowd_out_the_others() -> None:
    shelf = Shelf()
    for number in range(SHARD_ENTRIES_MAX):
        assert shelf.put_entry(KEY, subkey("flooder", number), b"v", 100.0 + number, 0.0)
    assert not shelf.put_entry(KEY, subkey("flooder", 999), b"v", 900.0, 0.0)
    for number in range(SHARD_ENTRIES_MAX // 2):
        assert shelf.put_entry(KEY, subkey("other", number), b"v", 50.0, 0.0)
    assert not shelf.put_entry(KEY, subkey("other", 999), b"v", 50.0, 0.0)
    assert shelf.put_entry(KEY, subkey("third"), b"v", 50.0, 0.0)
    entries = shelf.entries(KEY, 0.0)
    assert len(entries) == SHARD_ENTRIES_MAX
    assert subkey("flooder", 0) not in entries
    assert subkey("flooder", SHARD_ENTRIES_MAX - 1) in entries


@settings(max_examples=200)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([b"a", b"b", b"c"]),
            st.one_of(st.none(), st.tuples(st.sampled_from("xyz"), st.integers(0, 40))),
            st.binary(max_size=9),
            st.integers(1, 60),
            st.integers(0, 12),
        ),
        max_size=150,
    )
)
def test_the_books_always_balance(
    operations: list[tuple[bytes, tuple[str, int] | None, bytes, int, int]],
) -> None:
    shelf = Shelf(plain_bytes_max=20, entries_bytes_max=300, keys_max=2)
    now = 0.0
    for key, who, value, lifetime, pause in operations:
        now += pause
        if who is None:
            shelf.put_plain(key, value, now + lifetime, now)
        else:
            shelf.put_entry(key, subkey(*who), value, now + lifetime, now)
        slots = shelf._slots.values()
        held = sum(len(slot.plain.value) for slot in slots if slot.plain)
        held += sum(len(entry.value) for slot in slots for entry in slot.entries.values())
        assert shelf.bytes_held == held <= 320
        assert len(shelf.held_keys()) <= 2
        assert all(len(slot.entries) <= SHARD_ENTRIES_MAX for slot in slots)
        assert all(not (slot.plain and slot.entries) for slot in slots)
