"""The peers, the swarm and the payloads that the vectors are about, and ways to bend them out of shape."""

from __future__ import annotations

import hashlib

import protocol as p

Json = dict[str, object]

NOW = 1_800_000_010
ALICE, BOB = p.KeyPair.from_seed(bytes(range(32))), p.KeyPair.from_seed(bytes(range(32, 64)))

GCD = p.TaskFamily(
    name="gcd", source="reasoning_gym", dataset="gcd", config='{"max_value":20}', version="0.1.25", weight=1
)
MANIFEST = p.Manifest(
    name="vectors",
    genesis=1_800_000_000 - 15 * 1000,
    round_seconds=15,
    reward="exact",
    max_new_tokens=16,
    records_per_round_max=64,
    tasks=(GCD, GCD.model_copy(update={"name": "gcd-large", "config": '{"max_value":500}', "weight": 3})),
)
OTHER_SWARM = MANIFEST.model_copy(update={"name": "other"}).swarm_id

RECORD = p.Record(
    swarm=MANIFEST.swarm_id,
    round=1000,
    step=7,
    created=1_800_000_005,
    expires=1_800_000_605,
    task=p.TaskSpec(
        source="reasoning_gym",
        dataset="gcd",
        config='{"max_value":20}',
        version="0.1.25",
        seed=2**32 - 1,
        index=3,
    ),
    question_digest=hashlib.sha256(b"Find the greatest common divisor of 12 and 18").digest(),
    completions=(
        p.Completion(
            text="<answer>6</answer>",
            reward_micro=1_000_000,
            logprob_sum_micro=-1_234_567,
            tokens=5,
            bytes=18,
            finished=True,
        ),
        p.Completion(
            text="naïve \u2192 \x00\n\U0001f600",
            reward_micro=0,
            logprob_sum_micro=0,
            tokens=16,
            bytes=17,
            finished=False,
        ),
    ),
    temperature_milli=1000,
    model="embedded",
    tokenizer=bytes.fromhex("0123456789abcdef"),
)
ANNOUNCEMENT = p.Announcement(
    swarm=MANIFEST.swarm_id,
    round=1000,
    task_id=GCD.task_id,
    shard=p.shard_of(ALICE.peer_id, GCD.task_id, 16),
    digest=p.digest_of(p.sign_record(ALICE, RECORD)),
    size=len(p.sign_record(ALICE, RECORD)),
    pass_rate_milli=500,
    model="embedded",
    tokenizer=RECORD.tokenizer,
    expires=RECORD.expires,
)
STATUS = p.PeerStatus(
    swarm=MANIFEST.swarm_id,
    created=1_800_000_000,
    expires=1_800_000_300,
    addresses=(f"/ip4/192.0.2.7/tcp/41000/p2p/{ALICE.peer_id}",),
    round=1000,
    step=7,
    phase="generate",
    model="embedded",
    device="cpu",
    reward_mean_milli=412,
    groups_own=28,
    groups_published=28,
    groups_pulled=30,
    groups_external_used=24,
    agent="swarmd/0.1.0",
    eval_milli=None,
)

FULL_STATUS = p.FullStatus(**dict(STATUS), used=(p.Used(publisher=BOB.peer_id, groups=24),))
CREDIT_STATUS = p.CreditStatus(
    **dict(FULL_STATUS),
    credits=(p.Credit(publisher=BOB.peer_id, people=True, groups=3, gain_milli=41),),
)

RECORD_KIND = (p.RECORD_DOMAIN, p.RECORD_PAYLOAD_TYPE)
ANNOUNCEMENT_KIND = (p.ANNOUNCEMENT_DOMAIN, p.ANNOUNCEMENT_PAYLOAD_TYPE)
STATUS_KIND = (p.STATUS_DOMAIN, p.STATUS_PAYLOAD_TYPE)
CREDIT_STATUS_KIND = (p.STATUS_DOMAIN, p.CREDIT_STATUS_PAYLOAD_TYPE)
FULL_STATUS_KIND = (p.STATUS_DOMAIN, p.FULL_STATUS_PAYLOAD_TYPE)


def readable(value: object) -> object:
    """The value as JSON, byte strings as lower-case hex."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {key: readable(item) for key, item in value.items()}
    return [readable(item) for item in value] if isinstance(value, tuple) else value


def changed(payload: object, **fields: object) -> dict[str, object]:
    """The payload's map with fields replaced, without any validation; `...` removes a field."""
    merged = payload.model_dump() | fields  # type: ignore[attr-defined]
    return {key: value for key, value in merged.items() if value is not ...}


def sealed(kind: tuple[str, bytes], value: object, key: p.KeyPair = ALICE) -> bytes:
    return p.seal(key, *kind, value if isinstance(value, bytes) else p.encode(value))


def field(tag: int, value: bytes) -> bytes:
    size = len(value)
    assert size < 128
    return bytes([tag, size]) + value
