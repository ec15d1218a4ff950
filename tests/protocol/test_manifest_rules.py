"""The manifest: its bytes are the swarm, its clock is the round, its tasks are what may be trained on."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import InvalidLocal, Manifest, Reason, RejectedRecord, TaskFamily, canonical_json, encode

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text('aü"\\\n', max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("abü", max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)


def with_config(manifest: Manifest, config: str) -> TaskFamily:
    fields = manifest.tasks[0].model_dump() | {"config": config}
    return TaskFamily(**fields)


def test_the_bytes_give_the_manifest_back(manifest):
    again = Manifest.from_bytes(manifest.to_bytes())

    assert again == manifest
    assert again.swarm_id == manifest.swarm_id


@pytest.mark.parametrize(
    "change", [{"name": "other"}, {"genesis": 1}, {"reward": "partial"}, {"max_new_tokens": 17}]
)
def test_any_other_rule_is_another_swarm(manifest, change):
    named = manifest.swarm_id
    other = manifest.model_copy(update=change)

    assert other.swarm_id == Manifest.from_bytes(other.to_bytes()).swarm_id != named
    assert other == Manifest.from_bytes(other.to_bytes()), "what was computed once is no part of a manifest"


def test_the_swarm_id_is_computed_once(manifest):
    copied = manifest.model_copy()

    assert copied.swarm_id is copied.swarm_id
    assert copied.model_copy().swarm_id == copied.swarm_id == manifest.swarm_id


def test_the_task_id_depends_on_what_decides_the_question_and_on_nothing_else(manifest):
    family = manifest.tasks[0]

    for same in ({"name": "other"}, {"weight": 9}):
        assert family.model_copy(update=same).task_id == family.task_id
    for other in ({"source": "x"}, {"dataset": "x"}, {"config": '{"x":1}'}, {"version": "x"}):
        assert family.model_copy(update=other).task_id != family.task_id


def test_a_family_is_found_by_its_task_id(manifest):
    assert manifest.family(manifest.tasks[0].task_id) == manifest.tasks[0]
    assert manifest.family(bytes(16)) is None


def test_a_round_begins_at_its_first_second_and_ends_before_the_next(manifest):
    start = manifest.round_start(7)

    assert manifest.round_at(start) == 7
    assert manifest.round_at(start + manifest.round_seconds - 0.001) == 7
    assert manifest.round_at(start + manifest.round_seconds) == 8
    assert manifest.round_at(start - 0.001) == 6


def test_before_genesis_the_rounds_are_negative(manifest):
    assert manifest.round_at(manifest.genesis - 0.5) == -1
    assert manifest.round_at(manifest.genesis) == 0


@given(st.integers(0, 2**53 - 1))
def test_the_round_of_whole_seconds_is_exact_at_any_distance(now):
    manifest = _manifest(genesis=0, round_seconds=7)

    assert (
        manifest.round_start(manifest.round_at(now)) <= now < manifest.round_start(manifest.round_at(now) + 1)
    )


@given(st.floats(0, 4e9))
def test_a_record_created_in_this_second_is_of_this_round(now):
    manifest = _manifest(genesis=1_000_003, round_seconds=15)

    assert manifest.round_at(math.floor(now)) == manifest.round_at(now)


@given(st.dictionaries(st.text("abü", max_size=3), json_values, max_size=3))
def test_canonical_json_is_accepted_as_configuration(options):
    config = canonical_json(options)

    assert _manifest(config=config).tasks[0].config == config


@pytest.mark.parametrize("value", [{"a": math.nan}, {"a": math.inf}, {"a": {1}}, {("a",): 1}], ids=repr)
def test_options_that_json_cannot_hold_are_our_mistake(value):
    with pytest.raises(InvalidLocal, match="JSON"):
        canonical_json(value)


def test_wrong_fields_of_our_own_name_the_field(manifest):
    with pytest.raises(InvalidLocal, match=r"TaskFamily\.config: .*sorted"):
        with_config(manifest, '{"b":1,"a":1}')
    with pytest.raises(InvalidLocal, match=r"Manifest\.round_seconds"):
        Manifest(**(dict(manifest) | {"round_seconds": 0}))
    with pytest.raises(InvalidLocal, match="same name"):
        Manifest(**(dict(manifest) | {"tasks": manifest.tasks * 2}))


def test_a_deeply_nested_configuration_is_refused_without_deep_recursion(manifest):
    with pytest.raises(InvalidLocal):
        with_config(manifest, '{"a":' + "[" * 505 + "]" * 505 + "}")


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_rejected_with_a_reason_and_nothing_else(data):
    with pytest.raises(RejectedRecord):
        Manifest.from_bytes(data)


@given(json_values.filter(lambda value: not _has_float(value)))
def test_arbitrary_cbor_is_rejected_as_schema(value):
    with pytest.raises(RejectedRecord) as caught:
        Manifest.from_bytes(encode(value))
    assert caught.value.reason in (Reason.SCHEMA, Reason.ENCODING)


def _has_float(value: object) -> bool:
    if isinstance(value, dict | list):
        return any(map(_has_float, value.values() if isinstance(value, dict) else value))
    return isinstance(value, float) or (isinstance(value, int) and abs(value) >= 2**53)


def _manifest(*, genesis: int = 0, round_seconds: int = 15, config: str = "{}") -> Manifest:
    family = TaskFamily(name="t", source="s", dataset="d", config=config, version="1", weight=1)
    return Manifest(
        name="m",
        genesis=genesis,
        round_seconds=round_seconds,
        reward="partial",
        max_new_tokens=8,
        records_per_round_max=8,
        tasks=(family,),
    )
