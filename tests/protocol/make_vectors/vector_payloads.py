"""Vectors of the payloads: manifests, records, announcements, statuses."""

from __future__ import annotations

from vector_subjects import (
    ALICE,
    ANNOUNCEMENT,
    ANNOUNCEMENT_KIND,
    BOB,
    FULL_STATUS,
    FULL_STATUS_KIND,
    GCD,
    MANIFEST,
    NOW,
    OTHER_SWARM,
    RECORD,
    RECORD_KIND,
    STATUS,
    STATUS_KIND,
    Json,
    changed,
    readable,
    sealed,
)

import protocol as p
from protocol import limits


def manifests_file() -> Json:
    def bad(name: str, reason: str = "schema", /, **fields: object) -> Json:
        return {"name": name, "manifest": p.encode(changed(MANIFEST, **fields)).hex(), "reason": reason}

    def bad_task(name: str, /, **fields: object) -> Json:
        return bad(name, tasks=(changed(GCD, **fields),))

    one = changed(GCD)
    return {
        "valid": [
            {
                "name": "two tasks",
                "manifest": MANIFEST.to_bytes().hex(),
                "fields": readable(MANIFEST.model_dump()),
                "swarm_id": MANIFEST.swarm_id.hex(),
                "task_ids": [task.task_id.hex() for task in MANIFEST.tasks],
                "rounds": [
                    {"now": MANIFEST.genesis + seconds, "round": number}
                    for seconds, number in ((-1, -1), (0, 0), (14, 0), (15, 1), (15_000, 1000))
                ],
            }
        ],
        "invalid": [
            {
                "name": "larger than allowed",
                "zero_bytes": limits.MANIFEST_BYTES_MAX + 1,
                "reason": "size",
            },
            {
                "name": "another swarm's than the one asked for",
                "manifest": MANIFEST.to_bytes().hex(),
                "expected_swarm_id": OTHER_SWARM.hex(),
                "reason": "swarm",
            },
            {"name": "a byte more", "manifest": (MANIFEST.to_bytes() + b"\0").hex(), "reason": "encoding"},
            bad("no name", name=...),
            bad("empty name", name=""),
            bad("name with a line break", name="a\nb"),
            bad("name of 65 bytes", name="ü" * 32 + "x"),
            bad("unknown field", colour="blue"),
            bad("genesis before 1970", genesis=-1),
            bad("round of no length", round_seconds=0),
            bad("round as text", round_seconds="15"),
            bad("round as a truth value", round_seconds=True),
            bad("unknown reward", reward="maybe"),
            bad("no tasks", tasks=()),
            bad(
                "too many tasks", tasks=tuple(one | {"name": f"n{i}", "dataset": f"d{i}"} for i in range(257))
            ),
            bad("two tasks of one name", tasks=(one, one | {"dataset": "lcm"})),
            bad("one task twice", tasks=(one, one | {"name": "again"})),
            bad_task("weight 0", weight=0),
            bad_task("config is not JSON", config="{"),
            bad_task("config is a list", config="[]"),
            bad_task("config with a space", config='{"a": 1}'),
            bad_task("config with unsorted keys", config='{"b":1,"a":2}'),
            bad_task("config with a key twice", config='{"a":1,"a":1}'),
            bad_task("config with NaN", config='{"a":NaN}'),
            bad_task("config with an escaped letter", config='{"a":"\\u0062"}'),
            bad_task("config nested nine deep", config='{"a":' + "[" * 8 + "]" * 8 + "}"),
            bad_task("config of 1025 bytes", config='{"a":"' + "x" * 1017 + '"}'),
        ],
    }


def records_file() -> Json:
    def valid(name: str, record: p.Record, now: int = NOW) -> Json:
        envelope = p.sign_record(ALICE, record)
        return {
            "name": name,
            "now": now,
            "envelope": envelope.hex(),
            "publisher": ALICE.peer_id,
            "digest": p.digest_of(envelope).hex(),
            "payload": record.to_bytes().hex(),
            "fields": readable(record.model_dump()),
        }

    empty = p.Completion(text="", reward_micro=0, logprob_sum_micro=0, tokens=0, bytes=0, finished=True)
    longest = RECORD.created + limits.RECORD_LIFETIME_S_MAX
    return {
        "manifest": MANIFEST.to_bytes().hex(),
        "valid": [
            valid("two completions", RECORD),
            valid("sixty-four completions", RECORD.model_copy(update={"completions": (empty,) * 64})),
            valid("at the edge of the clock skew", RECORD, RECORD.created - limits.CLOCK_SKEW_S_MAX),
            valid("one second before it expires", RECORD, RECORD.expires - 1),
            valid("the longest life", RECORD.model_copy(update={"expires": longest})),
        ],
        "invalid": record_bytes_rejected() + record_fields_rejected() + record_claims_rejected(),
    }


def bad_bytes(name: str, reason: str, data: bytes, *, now: int = NOW, **expected: str) -> Json:
    return {"name": name, "now": now, **expected, "envelope": data.hex(), "reason": reason}


def bad_record(name: str, reason: str, now: int = NOW, **fields: object) -> Json:
    return bad_bytes(name, reason, sealed(RECORD_KIND, changed(RECORD, **fields)), now=now)


def record_bytes_rejected() -> list[Json]:
    """What is refused before a field is looked at."""
    good, payload = p.sign_record(ALICE, RECORD), RECORD.to_bytes()
    tampered = good.replace(b"<answer>6", b"<answer>7")
    padded = payload.replace(b"dstep\x07", b"dstep\x18\x07")
    assert tampered != good
    assert padded != payload
    wrong_domain = (p.STATUS_DOMAIN, p.RECORD_PAYLOAD_TYPE)
    return [
        bad_bytes("empty", "envelope", b""),
        {"name": "too large", "now": NOW, "zero_bytes": limits.RECORD_BYTES_MAX + 1, "reason": "size"},
        bad_bytes("not the digest asked for", "digest", good, expected_digest=bytes(32).hex()),
        bad_bytes("not the publisher expected", "publisher", good, expected_publisher=BOB.peer_id),
        bad_bytes("a completion changed after signing", "signature", tampered),
        bad_bytes("signed for another domain", "signature", sealed(wrong_domain, payload)),
        bad_bytes("an announcement", "payload_type", p.sign_announcement(ALICE, ANNOUNCEMENT)),
        bad_bytes("payload is no CBOR", "encoding", sealed(RECORD_KIND, b"\xff")),
        bad_bytes("a byte after the payload", "encoding", sealed(RECORD_KIND, payload + b"\0")),
        bad_bytes("step in two bytes", "not_canonical", sealed(RECORD_KIND, padded)),
        bad_bytes("payload is a number", "schema", sealed(RECORD_KIND, 1)),
    ]


def record_fields_rejected() -> list[Json]:
    """Fields missing, unknown, of the wrong type or out of bounds."""
    first, second = (changed(completion) for completion in RECORD.completions)
    task, big = changed(RECORD.task), "x" * limits.COMPLETION_TEXT_BYTES_MAX

    def bad(name: str, **fields: object) -> Json:
        return bad_record(name, "schema", **fields)

    def bad_completion(name: str, **fields: object) -> Json:
        return bad(name, completions=(first | fields, second))

    return [
        bad("field missing", step=...),
        bad("field unknown", answer="6"),
        bad("swarm of 31 bytes", swarm=bytes(31)),
        bad("swarm as text", swarm="x" * 32),
        bad("negative round", round=-1),
        bad("one completion", completions=(first,)),
        bad("sixty-five completions", completions=(first,) * 65),
        bad_completion("reward above 1", reward_micro=1_000_001),
        bad_completion("positive log-probability", logprob_sum_micro=1),
        bad_completion("false byte length", bytes=17),
        bad_completion("finished as a number", finished=1),
        bad_completion("text of 16385 bytes", text=big + "x", bytes=len(big) + 1),
        bad("NUL in the model's name", model="a\0"),
        bad("C1 control in the model's name", model="a\x85"),
        bad("model of 129 bytes", model="m" * 129),
        bad("temperature above 10", temperature_milli=10_001),
        bad("fingerprint of 7 bytes", tokenizer=bytes(7)),
        bad("seed beyond 32 bits", task=task | {"seed": 2**32}),
        bad("index beyond 2^20", task=task | {"index": 2**20 + 1}),
        bad_record("a thousand data items too many", "encoding", model=(0,) * 2_000),
    ]


def record_claims_rejected() -> list[Json]:
    """Well formed, but not for this swarm, this time or this manifest."""
    first, second = (changed(completion) for completion in RECORD.completions)
    task, created, expires = changed(RECORD.task), RECORD.created, RECORD.expires
    skew, life, genesis = limits.CLOCK_SKEW_S_MAX, limits.RECORD_LIFETIME_S_MAX, MANIFEST.genesis
    early = {"created": genesis - 1, "expires": genesis + 600, "round": 0}
    return [
        bad_record("another swarm", "swarm", swarm=OTHER_SWARM),
        bad_record("created beyond the clock skew", "clock", now=created - skew - 1),
        bad_record("created minutes ahead", "clock", now=created - 180),
        bad_record("lives too long", "lifetime", expires=created + life + 1),
        bad_record("expires when created", "lifetime", expires=created),
        bad_record("expires now", "expired", now=expires),
        bad_record("expired long ago", "expired", now=expires + 10**6),
        bad_record("the round before", "round", round=999),
        bad_record("created before genesis", "round", now=genesis, **early),
        bad_record("a task of another configuration", "task", task=task | {"config": '{"max_value":21}'}),
        bad_record("a task of another version", "task", task=task | {"version": "0.1.24"}),
        bad_record("more tokens than allowed", "task", completions=(first | {"tokens": 17}, second)),
    ]


def announcements_file() -> Json:
    def valid(name: str, announcement: p.Announcement, now: int = NOW) -> Json:
        envelope = p.sign_announcement(ALICE, announcement)
        return {
            "name": name,
            "now": now,
            "envelope": envelope.hex(),
            "publisher": ALICE.peer_id,
            "fields": readable(announcement.model_dump()),
        }

    def bad(name: str, reason: str, now: int = NOW, **fields: object) -> Json:
        envelope = sealed(ANNOUNCEMENT_KIND, changed(ANNOUNCEMENT, **fields))
        return {"name": name, "now": now, "envelope": envelope.hex(), "reason": reason}

    own_shards = {p.shard_of(ALICE.peer_id, GCD.task_id, 1 << bits) for bits in range(7)}
    newest = MANIFEST.round_at(NOW + limits.CLOCK_SKEW_S_MAX)
    start, end = MANIFEST.round_start(ANNOUNCEMENT.round), MANIFEST.announced_until(ANNOUNCEMENT.round)
    coming = MANIFEST.round_start(newest)
    largest = {
        "round": newest,
        "shard": p.shard_of(ALICE.peer_id, GCD.task_id, limits.SHARDS_MAX),
        "size": limits.RECORD_BYTES_MAX,
        "pass_rate_milli": 1000,
        "model": "m" * 64,
        "expires": MANIFEST.announced_until(newest) - 1,
    }
    return {
        "manifest": MANIFEST.to_bytes().hex(),
        "valid": [
            valid("plain", ANNOUNCEMENT),
            valid("largest, of a round that begins within the skew", ANNOUNCEMENT.model_copy(update=largest)),
            valid(
                "expires as late as its round allows", ANNOUNCEMENT.model_copy(update={"expires": end - 1})
            ),
            valid(
                "expires one second after its round began",
                ANNOUNCEMENT.model_copy(update={"expires": start + 1}),
                now=start,
            ),
            valid(
                "of a round long gone, not expired yet",
                ANNOUNCEMENT.model_copy(update={"expires": end - 1}),
                now=end - 2,
            ),
        ],
        "invalid": [
            bad("model of 65 bytes", "schema", model="m" * 65),
            bad("above 512 bytes", "size", model="m" * 512),
            bad("shard 64", "schema", shard=64),
            bad("size 0", "schema", size=0),
            bad("size above a record's", "schema", size=limits.RECORD_BYTES_MAX + 1),
            bad("pass rate above 1", "schema", pass_rate_milli=1001),
            bad("task id of 15 bytes", "schema", task_id=bytes(15)),
            bad("field missing", "schema", digest=...),
            bad("a hundred data items too many", "encoding", model=(0,) * 112),
            bad("another swarm", "swarm", swarm=OTHER_SWARM),
            bad("expires now", "expired", now=ANNOUNCEMENT.expires),
            bad(
                "of a round that begins after the skew",
                "clock",
                now=coming - limits.CLOCK_SKEW_S_MAX - 1,
                round=newest,
            ),
            bad("of a round far in the future", "clock", round=limits.INT_MAX),
            bad(
                "of any round, before genesis",
                "clock",
                now=MANIFEST.genesis - limits.CLOCK_SKEW_S_MAX - 1,
                round=0,
            ),
            bad("expires later than its round allows", "lifetime", expires=end),
            bad("expires when its round begins", "lifetime", now=start - 1, expires=start),
            bad(
                "expires later than any record",
                "lifetime",
                expires=NOW + limits.RECORD_LIFETIME_S_MAX + limits.CLOCK_SKEW_S_MAX + 1,
            ),
            bad("a shard that is never its publisher's", "topic", shard=min(set(range(64)) - own_shards)),
            {
                "name": "a status",
                "now": NOW,
                "envelope": p.sign_status(ALICE, STATUS).hex(),
                "reason": "payload_type",
            },
        ],
    }


def statuses_file() -> Json:
    def valid(name: str, status: p.PeerStatus) -> Json:
        envelope = p.sign_status(ALICE, status)
        return {
            "name": name,
            "now": NOW,
            "envelope": envelope.hex(),
            "publisher": ALICE.peer_id,
            "fields": readable(status.model_dump()),
        }

    def bad(name: str, reason: str, now: int = NOW, **fields: object) -> Json:
        envelope = sealed(STATUS_KIND, changed(STATUS, **fields))
        return {"name": name, "now": now, "envelope": envelope.hex(), "reason": reason}

    address = STATUS.addresses[0]
    life = limits.STATUS_LIFETIME_S_MAX
    return {
        "swarm": MANIFEST.swarm_id.hex(),
        "valid": [
            valid("plain", STATUS),
            valid("not dialable, evaluated", STATUS.model_copy(update={"addresses": (), "eval_milli": 231})),
            valid(
                "eight long addresses", STATUS.model_copy(update={"addresses": ("/dns4/" + "a" * 250,) * 8})
            ),
        ],
        "invalid": [
            bad("nine addresses", "schema", addresses=(address,) * 9),
            bad("address of 257 bytes", "schema", addresses=("/dns4/" + "a" * 251,)),
            bad("address with NUL", "schema", addresses=(address + "\0",)),
            bad("address with a space", "schema", addresses=("/dns4/a b",)),
            bad("address outside ASCII", "schema", addresses=("/dns4/ü",)),
            bad("address without a slash", "schema", addresses=("192.0.2.7",)),
            bad("empty phase", "schema", phase=""),
            bad("eval above 1", "schema", eval_milli=1001),
            bad("eval missing", "schema", eval_milli=...),
            bad("a thousand data items too many", "encoding", addresses=(0,) * 1_024),
            bad("above 4096 bytes", "size", agent="a" * 4096),
            bad("another swarm", "swarm", swarm=OTHER_SWARM),
            bad("created minutes ahead", "clock", now=STATUS.created - 180),
            bad("expires now", "expired", now=STATUS.expires),
            bad("lives too long", "lifetime", expires=STATUS.created + life + 1),
            {
                "name": "version 2",
                "now": NOW,
                "envelope": p.sign_full_status(ALICE, FULL_STATUS).hex(),
                "reason": "payload_type",
            },
        ],
    }


def full_statuses_file() -> Json:
    """What a status may be is in `statuses_file`; here is what version 2 adds."""

    def case(name: str, envelope: bytes, now: int = NOW, publisher: str = ALICE.peer_id) -> Json:
        return {"name": name, "now": now, "expected_publisher": publisher, "envelope": envelope.hex()}

    def valid(name: str, *used: p.Used) -> Json:
        status = FULL_STATUS.model_copy(update={"used": used})
        return case(name, p.sign_full_status(ALICE, status)) | {"fields": readable(status.model_dump())}

    def bad(name: str, reason: str, now: int = NOW, **fields: object) -> Json:
        envelope = sealed(FULL_STATUS_KIND, changed(FULL_STATUS, **fields))
        return case(name, envelope, now) | {"reason": reason}

    def use(publisher: object = BOB.peer_id, groups: object = 1) -> Json:
        return {"publisher": publisher, "groups": groups}

    others = [p.KeyPair.from_seed(bytes([n]) * 32).peer_id for n in range(limits.USED_MAX + 1)]
    good = p.sign_full_status(ALICE, FULL_STATUS)
    return {
        "swarm": MANIFEST.swarm_id.hex(),
        "valid": [
            valid("learned from one", *FULL_STATUS.used),
            valid("learned from nobody"),
            valid(
                "learned from 32",
                *(p.Used(publisher=peer, groups=limits.INT_MAX) for peer in others[: limits.USED_MAX]),
            ),
        ],
        "invalid": [
            bad("33 publishers", "schema", used=tuple(use(peer) for peer in others)),
            bad("a publisher twice", "schema", used=(use(), use(groups=2))),
            bad("no groups", "schema", used=(use(groups=0),)),
            bad("a truth value for groups", "schema", used=(use(groups=True),)),
            bad("a publisher that is no peer id", "schema", used=(use(BOB.peer_id[:-1]),)),
            bad("a publisher in bytes", "schema", used=(use(BOB.public_key),)),
            bad("a use with another field", "schema", used=(use() | {"reward": 1},)),
            bad("without uses", "schema", used=...),
            bad("an address too many", "schema", addresses=STATUS.addresses * 9),
            bad("a thousand data items too many", "encoding", used=(0,) * 1_024),
            bad("above 8192 bytes", "size", agent="a" * 8192),
            bad("another swarm", "swarm", swarm=OTHER_SWARM),
            bad("created minutes ahead", "clock", now=STATUS.created - 180),
            bad("expires now", "expired", now=STATUS.expires),
            bad("lives too long", "lifetime", expires=STATUS.created + limits.STATUS_LIFETIME_S_MAX + 1),
            case("another peer's", good, publisher=BOB.peer_id) | {"reason": "publisher"},
            case("version 1", p.sign_status(ALICE, STATUS)) | {"reason": "payload_type"},
            case(
                "version 2 in a record's domain",
                sealed((p.RECORD_DOMAIN, p.FULL_STATUS_PAYLOAD_TYPE), changed(FULL_STATUS)),
            )
            | {"reason": "signature"},
        ],
    }
