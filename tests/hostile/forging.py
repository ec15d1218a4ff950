"""Signed things as an attacker makes them, sound in form and false in meaning, and how they are stored.

`seed` fixes every key and number, so that an attack replays. Nothing here checks what it makes: payloads are
encoded and signed as they are given.
"""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hivemind.proto import dht_pb2

from protocol import (
    ANNOUNCEMENT_DOMAIN,
    ANNOUNCEMENT_PAYLOAD_TYPE,
    RECORD_DOMAIN,
    RECORD_PAYLOAD_TYPE,
    STATUS_DOMAIN,
    STATUS_PAYLOAD_TYPE,
    TURNS_RECORD_PAYLOAD_TYPE,
    KeyPair,
    Manifest,
    TaskFamily,
    TaskSpec,
    announcement_key,
    body_key,
    digest_of,
    encode,
    membership_key,
    seal,
    shard_of,
)
from protocol.limits import MEMBERSHIP_SHARDS, MICRO
from tests.hostile.attacker import CALL_S, STORE, Attacker, Target
from tests.hostile.bombs import pack

ITEMS_PER_STORE = 64
"""As many as a storing daemon takes in one message."""

SUBKEY_DIGEST_BYTES = 8
TOKENIZER = b"tokenize"
SPEC_FIELDS = ("source", "dataset", "config", "version", "seed", "index")
RECORD_S = 300
"""Lifetime of forged records and announcements, as of honest ones."""
REGULAR = pack(None)
"""hivemind's subkey of a plain value."""

Episode = tuple[Sequence[str], float]
"""The texts of a completion's turns, and the reward that it claims."""


def key_of(seed: int, number: int) -> KeyPair:
    """One of an attacker's keys."""
    return KeyPair.from_seed(hashlib.sha256(b"hostile %d %d" % (seed, number)).digest())


@dataclass(frozen=True)
class Item:
    """One value of a store message, as it travels."""

    key: bytes
    subkey: bytes
    value: bytes
    expires: float


def item(key: bytes, subkey: bytes | None, value: bytes, expires: float) -> Item:
    """`key` is the protocol's 32 bytes; on the wire it is their SHA-1."""
    hashed = hashlib.sha1(key, usedforsecurity=False).digest()
    return Item(hashed, REGULAR if subkey is None else pack(subkey), pack(value), expires)


def store_request(items: Sequence[Item], node: Any = None) -> bytes:
    """The bytes of one store message."""
    request = dht_pb2.StoreRequest(
        keys=[each.key for each in items],
        subkeys=[each.subkey for each in items],
        values=[each.value for each in items],
        expiration_time=[each.expires for each in items],
        in_cache=[False] * len(items),
        peer=node,
    )
    return bytes(request.SerializeToString())


def batches(items: Sequence[Item]) -> list[Sequence[Item]]:
    """Cut into messages, largest bodies taken into account."""
    cut: list[Sequence[Item]] = []
    start = size = 0
    for index, each in enumerate(items):
        if index > start and (index - start == ITEMS_PER_STORE or size + len(each.value) > 2**20):
            cut.append(items[start:index])
            start, size = index, 0
        size += len(each.value)
    return [*cut, items[start:]] if items[start:] else cut


async def store(attacker: Attacker, target: Target, items: Sequence[Item]) -> int:
    """Store raw, in messages of the usual size; returns how many the target says that it holds."""
    held = 0
    for batch in batches(items):
        message = store_request(batch, attacker.node_info)
        answer = await attacker.call(target, STORE, message, CALL_S)
        if answer is not None:
            held += sum(dht_pb2.StoreResponse.FromString(answer).store_ok)
    return held


@dataclass(frozen=True)
class Forged:
    """A signed record, with what is needed to announce it."""

    key: KeyPair
    body: bytes
    round: int
    expires: int


@dataclass
class Forger:
    """Makes an attacker's signed things for one swarm."""

    manifest: Manifest
    seed: int
    rng: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)

    def key(self, number: int) -> KeyPair:
        return key_of(self.seed, number)

    @property
    def round(self) -> int:
        return self.manifest.round_at(int(time.time()))

    def status(self, key: KeyPair, lifetime_s: int = 3_600, **changes: Any) -> Item:
        now = int(time.time())
        fields: dict[str, Any] = {
            "swarm": self.manifest.swarm_id,
            "created": now,
            "expires": now + lifetime_s,
            "addresses": (),
            "round": self.round,
            "step": 1_000,
            "phase": "training",
            "model": "embedded",
            "device": "cpu",
            "reward_mean_milli": 500,
            "groups_own": 1_000,
            "groups_published": 1_000,
            "groups_pulled": 1_000,
            "groups_external_used": 1_000,
            "agent": "swarmd/0.1.0",
            "eval_milli": None,
        } | changes
        envelope = seal(key, STATUS_DOMAIN, STATUS_PAYLOAD_TYPE, encode(fields))
        shard = shard_of(key.peer_id, self.manifest.swarm_id, MEMBERSHIP_SHARDS)
        place = membership_key(self.manifest.swarm_id, shard)
        return item(place, key.peer_id.encode(), envelope, float(fields["expires"]))

    def announcement(self, key: KeyPair, family: TaskFamily, round_: int, **changes: Any) -> Item:
        """Of a body that does not exist, unless `digest` and `size` say otherwise."""
        fields: dict[str, Any] = {
            "swarm": self.manifest.swarm_id,
            "round": round_,
            "task_id": family.task_id,
            "shard": 0,
            "digest": self.rng.randbytes(32),
            "size": self.rng.randint(1_500, 4_000),
            "pass_rate_milli": 500,
            "model": "embedded",
            "tokenizer": TOKENIZER,
            "expires": int(time.time()) + RECORD_S,
        } | changes
        envelope = seal(key, ANNOUNCEMENT_DOMAIN, ANNOUNCEMENT_PAYLOAD_TYPE, encode(fields))
        place = announcement_key(self.manifest.swarm_id, round_, family.task_id, fields["shard"])
        subkey = key.peer_id.encode() + fields["digest"][:SUBKEY_DIGEST_BYTES]
        return item(place, subkey, envelope, float(fields["expires"]))

    def record(
        self, key: KeyPair, spec: TaskSpec, question: str, completions: Sequence[tuple[str, float]]
    ) -> Forged:
        """A group of this moment; `completions` are texts with the rewards that it claims for them."""
        made = [_turn(text) | {"reward_micro": round(reward * MICRO)} for text, reward in completions]
        return self.sealed(key, spec, hashlib.sha256(question.encode()).digest(), made)

    def record_of_turns(
        self, key: KeyPair, spec: TaskSpec, digest: bytes, episodes: Sequence[Episode]
    ) -> Forged:
        """The same in version 2: each completion has its turns, and the reward that it claims."""
        made = [
            {"turns": [_turn(text) for text in turns], "reward_micro": round(reward * MICRO)}
            for turns, reward in episodes
        ]
        return self.sealed(key, spec, digest, made, TURNS_RECORD_PAYLOAD_TYPE)

    def sealed(
        self,
        key: KeyPair,
        spec: TaskSpec,
        digest: bytes,
        completions: Sequence[Mapping[str, object]],
        payload_type: bytes = RECORD_PAYLOAD_TYPE,
    ) -> Forged:
        """A record of any shape, signed."""
        now = int(time.time())
        fields: dict[str, Any] = {
            "swarm": self.manifest.swarm_id,
            "round": self.manifest.round_at(now),
            "step": 1_000,
            "created": now,
            "expires": now + RECORD_S,
            "task": {name: getattr(spec, name) for name in SPEC_FIELDS},
            "question_digest": digest,
            "completions": list(completions),
            "temperature_milli": 1_000,
            "model": "embedded",
            "tokenizer": TOKENIZER,
        }
        body = seal(key, RECORD_DOMAIN, payload_type, encode(fields))
        return Forged(key, body, fields["round"], fields["expires"])

    def announce(self, forged: Forged, family: TaskFamily) -> Item:
        """The true announcement of a forged record."""
        digest, size = digest_of(forged.body), len(forged.body)
        return self.announcement(
            forged.key, family, forged.round, digest=digest, size=size, expires=forged.expires
        )

    def inline(self, forged: Forged) -> Item:
        """Its body, for the DHT to hold."""
        place = body_key(self.manifest.swarm_id, digest_of(forged.body))
        return item(place, None, forged.body, float(forged.expires))


def _turn(text: str) -> dict[str, object]:
    """What was written in one go, as a record says it."""
    return {
        "text": text,
        "logprob_sum_micro": -3 * MICRO,
        "tokens": 8,
        "bytes": len(text.encode()),
        "finished": True,
    }
