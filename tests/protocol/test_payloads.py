"""The signed payloads: what our own side may build, what survives the wire, and how large it can become."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from protocol import (
    ANNOUNCEMENT_BYTES_MAX,
    COMPLETION_TEXT_BYTES_MAX,
    FULL_STATUS_BYTES_MAX,
    RECORD_BYTES_MAX,
    STATUS_BYTES_MAX,
    USED_MAX,
    Announcement,
    Completion,
    Episode,
    FullStatus,
    InvalidLocal,
    KeyPair,
    PeerStatus,
    Reason,
    RejectedRecord,
    Turn,
    TurnsRecord,
    Used,
    decode,
    encode,
    sign_announcement,
    sign_full_status,
    sign_record,
    sign_status,
    turns_at_most,
)
from protocol.limits import ADDRESS_BYTES_MAX, INT_MAX
from protocol.names import NAME_RANGES
from protocol.payload import Payload

unicode_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
name_characters = st.sampled_from([chr(code) for pair in NAME_RANGES for code in pair])
names = st.text(name_characters, min_size=1, max_size=16).map(lambda text: text.strip() or "a")
counts = st.integers(0, INT_MAX)
millis = st.integers(0, 1000)
digests = st.binary(min_size=32, max_size=32)
fingerprints = st.binary(min_size=8, max_size=8)


@st.composite
def completions(draw: st.DrawFn) -> Completion:
    text = draw(unicode_text)
    return Completion(
        text=text,
        reward_micro=draw(st.integers(0, 1_000_000)),
        logprob_sum_micro=draw(st.integers(-INT_MAX, 0)),
        tokens=draw(st.integers(0, 16_384)),
        bytes=len(text.encode()),
        finished=draw(st.booleans()),
    )


announcements = st.builds(
    Announcement,
    swarm=digests,
    round=counts,
    task_id=st.binary(min_size=16, max_size=16),
    shard=st.integers(0, 63),
    digest=digests,
    size=st.integers(1, RECORD_BYTES_MAX),
    pass_rate_milli=millis,
    model=names,
    tokenizer=fingerprints,
    expires=counts,
)
statuses = st.builds(
    PeerStatus,
    swarm=digests,
    created=counts,
    expires=counts,
    addresses=st.lists(st.text("/abc019.:", max_size=30).map("/".__add__), max_size=8).map(tuple),
    round=counts,
    step=counts,
    phase=st.sampled_from(["generate", "score", "train"]),
    model=names,
    device=names,
    reward_mean_milli=millis,
    groups_own=counts,
    groups_published=counts,
    groups_pulled=counts,
    groups_external_used=counts,
    agent=names,
    eval_milli=millis | st.none(),
)


@given(st.lists(completions(), min_size=2, max_size=6), names)
def test_records_survive_the_wire(record, group, model):
    changed = type(record)(**(dict(record) | {"completions": tuple(group), "model": model}))

    assert type(record).from_bytes(changed.to_bytes()) == changed


@given(st.lists(st.lists(completions(), min_size=1, max_size=4), min_size=2, max_size=4))
def test_no_record_has_more_turns_than_are_counted_in_its_unread_bytes(record, group):
    one = type(record)(**(dict(record) | {"completions": tuple(turns[0] for turns in group)}))
    episodes = [
        Episode(
            turns=tuple(Turn(**turn.model_dump(exclude={"reward_micro"})) for turn in turns), reward_micro=0
        )
        for turns in group
    ]
    several = TurnsRecord(**(dict(record) | {"completions": tuple(episodes)}))
    for each in (one, several):
        turns = [turn for completion in each.completions for turn in completion.turns]
        said = sum("hfinished" in turn.text for turn in turns)
        assert len(turns) <= turns_at_most(each.to_bytes()) <= len(turns) + 16 * said


@given(announcements)
def test_announcements_survive_the_wire_within_their_size(announcement):
    assert Announcement.from_bytes(announcement.to_bytes()) == announcement
    assert len(sign_announcement(KeyPair.from_seed(bytes(32)), announcement)) <= ANNOUNCEMENT_BYTES_MAX


@given(statuses)
def test_statuses_survive_the_wire_within_their_size(status):
    assert PeerStatus.from_bytes(status.to_bytes()) == status
    assert len(sign_status(KeyPair.from_seed(bytes(32)), status)) <= STATUS_BYTES_MAX


def test_the_largest_announcement_and_status_fit(publisher, announcement, status):
    widest = announcement.model_copy(
        update={
            "model": "m" * 64,
            "round": INT_MAX,
            "expires": INT_MAX,
            "size": 65_536,
            "pass_rate_milli": 1000,
        }
    )
    fullest = status.model_copy(
        update={
            "addresses": ("/" + "a" * (ADDRESS_BYTES_MAX - 1),) * 8,
            "model": "m" * 128,
            "device": "d" * 64,
            "agent": "a" * 64,
            "phase": "p" * 32,
            "eval_milli": 1000,
        }
        | {name: INT_MAX for name, value in status if type(value) is int and name != "reward_mean_milli"}
    )

    assert len(sign_announcement(publisher, widest)) <= ANNOUNCEMENT_BYTES_MAX
    assert len(sign_status(publisher, fullest)) <= STATUS_BYTES_MAX
    peers = [KeyPair.from_seed(bytes([n]) * 32).peer_id for n in range(USED_MAX)]
    uses = tuple(Used(publisher=peer, groups=INT_MAX) for peer in peers)
    assert len(sign_full_status(publisher, FullStatus(**dict(fullest), used=uses))) <= FULL_STATUS_BYTES_MAX


def test_a_full_status_names_no_publisher_twice(status, publisher):
    use = Used(publisher=publisher.peer_id, groups=1)
    with pytest.raises(InvalidLocal, match="names a publisher twice"):
        FullStatus(**dict(status), used=(use, use))


def test_a_use_names_a_peer_that_can_exist(publisher):
    for text in ("", "12D3KooW", publisher.peer_id[:-1] + "0", publisher.peer_id.lower()):
        with pytest.raises(InvalidLocal, match="not the peer id"):
            Used(publisher=text, groups=1)


def test_a_record_may_fill_its_limit_and_not_exceed_it(publisher, record):
    def of_size(last: int) -> bytes:
        sizes = [COMPLETION_TEXT_BYTES_MAX] * 3 + [last]
        group = tuple(
            Completion(
                text="x" * size, reward_micro=0, logprob_sum_micro=0, tokens=0, bytes=size, finished=False
            )
            for size in sizes
        )
        return sign_record(publisher, record.model_copy(update={"completions": group}))

    room = RECORD_BYTES_MAX - len(of_size(15_000))

    assert len(of_size(15_000 + room)) == RECORD_BYTES_MAX
    with pytest.raises(InvalidLocal, match="65536"):
        of_size(15_000 + room + 1)


def test_nothing_invalid_is_signed_even_if_validation_was_bypassed(publisher, record, announcement, status):
    with pytest.raises(InvalidLocal, match=r"Record\.step"):
        sign_record(publisher, record.model_copy(update={"step": -1}))
    with pytest.raises(InvalidLocal, match=r"Announcement\.shard"):
        sign_announcement(publisher, announcement.model_copy(update={"shard": 64}))
    with pytest.raises(InvalidLocal, match=r"PeerStatus\.phase"):
        sign_status(publisher, status.model_copy(update={"phase": "a\nb"}))


def test_payloads_are_frozen(record):
    with pytest.raises(ValidationError, match="frozen"):
        record.step = 4


@pytest.mark.parametrize(
    "wrong",
    [
        {"text": "abc", "bytes": 4},
        {"text": "\ud800"},
        {"reward_micro": 0.5},
        {"reward_micro": True},
        {"logprob_sum_micro": 1},
        {"finished": 1},
        {"colour": "blue"},
    ],
    ids=repr,
)
def test_a_wrong_completion_of_our_own_is_our_mistake(record, wrong):
    with pytest.raises(InvalidLocal, match="Completion"):
        Completion(**(dict(record.completions[0]) | wrong))


@pytest.mark.parametrize("character", ["\0", "\n", "\x1b", "\x7f", "\x9f", "\u202e", "\u2028"], ids=ascii)
def test_names_are_one_line_and_completions_are_anything(record, character):
    with pytest.raises(InvalidLocal, match=rf"U\+{ord(character):04X} is not allowed in a name"):
        type(record)(**(dict(record) | {"model": "a" + character}))

    size = len(character.encode())
    assert Completion(**(dict(record.completions[0]) | {"text": character, "bytes": size})).text == character


def places(value: object, path: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
    """The paths to every field and item inside `value`."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, tuple) else ()
    return [place for key, item in pairs for place in ((*path, key), *places(item, (*path, key)))]


def replaced(value: object, path: tuple[object, ...], junk: object) -> object:
    if not path:
        return junk
    key, *rest = path
    if isinstance(value, dict):
        return value | {key: replaced(value.get(key), tuple(rest), junk)}
    assert isinstance(value, tuple)
    return tuple(replaced(item, tuple(rest), junk) if at == key else item for at, item in enumerate(value))


@given(st.data())
@settings(max_examples=300)
def test_a_received_payload_with_any_value_in_any_place_parses_to_the_same_bytes_or_is_rejected(
    record, announcement, status, manifest, data
):
    payload = data.draw(st.sampled_from([record, announcement, status, manifest]))
    fields = payload.model_dump()
    place = data.draw(st.sampled_from([*places(fields), ("unknown",)]))
    near = counts | st.integers(-2, 70) | st.text("ab/{}\u202e", max_size=4) | st.booleans()
    junk = data.draw(near | unicode_text | st.binary(max_size=40) | st.none() | st.just(()) | st.just({}))
    received = encode(replaced(fields, place, junk))

    try:
        parsed = type(payload).from_bytes(received)
    except RejectedRecord as rejected:
        assert rejected.reason in {Reason.SCHEMA, Reason.ENCODING}  # noqa: PT017  too deep, or the wrong type
    else:
        assert parsed.to_bytes() == received


def payload_types(base: type[Payload] = Payload) -> list[type[Payload]]:
    return [kind for sub in base.__subclasses__() for kind in (sub, *payload_types(sub))]


def test_no_field_has_a_default_which_would_give_one_value_two_encodings():
    assert len(payload_types()) >= 7
    for kind in payload_types():
        assert all(field.is_required() for field in kind.model_fields.values()), kind


def test_details_of_a_rejection_are_short_and_printable(record):
    hostile = encode(record.model_dump() | {"\x1b[31m" + "x" * 60_000: 1})

    with pytest.raises(RejectedRecord) as caught:
        type(record).from_bytes(hostile)
    assert len(caught.value.detail) <= 240
    assert caught.value.detail.isprintable()


def test_field_names_on_the_wire_are_the_names_in_the_schema(announcement):
    fields = decode(announcement.to_bytes())

    assert isinstance(fields, dict)
    assert set(fields) == set(Announcement.model_fields)
