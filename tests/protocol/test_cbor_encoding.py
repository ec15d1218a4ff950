"""Deterministic CBOR: one value, one encoding, and a decoder that refuses everything else."""

from __future__ import annotations

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import (
    Announcement,
    Completion,
    Credit,
    CreditStatus,
    FullStatus,
    InvalidLocal,
    Manifest,
    PeerStatus,
    Reason,
    Record,
    RejectedRecord,
    TaskFamily,
    TaskSpec,
    Used,
    decode,
    encode,
    limits,
)
from protocol.limits import DEPTH_MAX, INT_MAX

scalars = (
    st.integers(-INT_MAX, INT_MAX)
    | st.booleans()
    | st.none()
    | st.binary(max_size=40)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=5).map(tuple)
        | st.dictionaries(st.text("abcü", max_size=30), inner, max_size=5)
    ),
    max_leaves=20,
).filter(lambda value: depth(value) <= DEPTH_MAX)


def depth(value: object) -> int:
    if isinstance(value, dict | tuple):
        return 1 + max(map(depth, value.values() if isinstance(value, dict) else value), default=0)
    return 0


@given(values)
def test_round_trip(value):
    assert decode(encode(value)) == value


@given(values)
def test_agrees_with_an_independent_implementation(value):
    assert encode(value) == cbor2.dumps(value, canonical=True)


@given(st.dictionaries(st.text("ab", max_size=30), st.integers(0, 9), min_size=2, max_size=6), st.randoms())
def test_insertion_order_does_not_matter(value, rng):
    items = list(value.items())
    rng.shuffle(items)

    assert encode(dict(items)) == encode(value)


@given(st.binary(max_size=80))
def test_whatever_decodes_is_its_own_canonical_form(data):
    try:
        value = decode(data)
    except RejectedRecord as rejected:
        reason = rejected.reason
    else:
        assert encode(value) == data
        return
    assert reason in (Reason.ENCODING, Reason.NOT_CANONICAL)


@given(values, st.data())
def test_every_proper_prefix_and_extension_is_refused(value, data):
    encoded = encode(value)
    cut = data.draw(st.integers(0, len(encoded) - 1))
    for other in (encoded[:cut], encoded + data.draw(st.binary(min_size=1, max_size=4))):
        with pytest.raises(RejectedRecord):
            decode(other)


@pytest.mark.parametrize(
    "value",
    [
        1.0,
        INT_MAX + 1,
        -INT_MAX - 1,
        "\ud800",
        {"\ud800": 1},
        {1: 2},
        {b"a": 1},
        {1, 2},
        pytest.param(object(), id="an object"),
        bytearray(b"x"),
    ],
    ids=repr,
)
def test_our_own_values_outside_the_profile_are_our_mistake(value):
    with pytest.raises(InvalidLocal):
        encode(value)


def test_nesting_is_bounded_on_both_sides():
    nested: object = 0
    for _ in range(DEPTH_MAX):
        nested = (nested,)

    assert decode(encode(nested)) == nested
    with pytest.raises(InvalidLocal, match="nested"):
        encode((nested,))
    with pytest.raises(RejectedRecord, match="nested"):
        decode(b"\x81" + encode(nested))


def test_a_hostile_nest_of_a_megabyte_costs_nothing():
    with pytest.raises(RejectedRecord, match="nested"):
        decode(b"\x81" * 2**20)


def test_items_are_bounded_where_the_reader_says_so():
    value = {"a": (1, 2), "b": None}
    assert decode(encode(value), items_max=7) == value  # map, two keys, array of two, null
    with pytest.raises(RejectedRecord, match="more data items") as raised:
        decode(encode(value), items_max=6)
    assert raised.value.reason == "encoding"


def test_every_largest_payload_has_room_among_its_items():
    fields = {kind: len(kind.model_fields) for kind in (Record, TaskSpec, Completion, TaskFamily, Manifest)}
    completions, tasks = limits.COMPLETIONS_MAX, limits.TASKS_MAX
    largest = {
        Record: 1 + 2 * (fields[Record] + fields[TaskSpec]) + completions * (1 + 2 * fields[Completion]),
        Announcement: 1 + 2 * len(Announcement.model_fields),
        PeerStatus: 1 + 2 * len(PeerStatus.model_fields) + limits.ADDRESSES_MAX,
        FullStatus: 1
        + 2 * len(FullStatus.model_fields)
        + limits.ADDRESSES_MAX
        + limits.USED_MAX * (1 + 2 * len(Used.model_fields)),
        CreditStatus: 1
        + 2 * len(CreditStatus.model_fields)
        + limits.ADDRESSES_MAX
        + limits.USED_MAX * (1 + 2 * len(Used.model_fields))
        + limits.CREDITS_MAX * (1 + 2 * len(Credit.model_fields)),
        Manifest: 1 + 2 * fields[Manifest] + tasks * (1 + 2 * fields[TaskFamily]),
    }
    assert all(items + 8 <= kind.ITEMS_MAX for kind, items in largest.items())
