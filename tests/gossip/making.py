"""Small valid values for the tests of gossip: keys, a swarm, groups, records, announcements, statuses."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from protocol import (
    Announcement,
    Completion,
    KeyPair,
    Manifest,
    PeerStatus,
    Record,
    TaskFamily,
    TaskSpec,
    VerifiedAnnouncement,
    digest_of,
    sign_announcement,
    sign_record,
    sign_status,
    verify_announcement,
)
from swarmd.gossip import GroupOffer, OwnStatus

START = 1_800_000_000.0  # unix seconds; the first moment of a round of every manifest made here
TOKENIZER = b"tokenize"


def key(number: int) -> KeyPair:
    return KeyPair.from_seed(hashlib.sha256(b"key %d" % number).digest())


def make_manifest(*, tasks: int = 3, round_seconds: int = 15, records_per_round_max: int = 64) -> Manifest:
    families = tuple(
        TaskFamily(
            name=f"task{i}", source="made", dataset=f"task{i}", config="{}", version="1", weight=1 + i % 2
        )
        for i in range(tasks)
    )
    return Manifest(
        name="made",
        genesis=int(START) - 3600,
        round_seconds=round_seconds,
        reward="exact",
        max_new_tokens=64,
        records_per_round_max=records_per_round_max,
        tasks=families,
    )


def question(task: TaskSpec) -> str:
    """The true question of a task spec, as every honest peer regenerates it."""
    return f"{task.dataset}: what is {task.seed} + {task.index}?"


def make_task(manifest: Manifest, number: int) -> TaskSpec:
    family = manifest.tasks[number % len(manifest.tasks)]
    return TaskSpec(
        source=family.source,
        dataset=family.dataset,
        config=family.config,
        version=family.version,
        seed=number,
        index=0,
    )


def completion(reward: float, text: str = "") -> Completion:
    """A completion whose text states its reward, so that a test's scorer can find it."""
    text = text or f"<answer>{reward:.6f}</answer>"
    return Completion(
        text=text,
        reward_micro=round(reward * 1_000_000),
        logprob_sum_micro=-1_000_000,
        tokens=8,
        bytes=len(text.encode()),
        finished=True,
    )


def make_group(
    manifest: Manifest, number: int, rewards: Sequence[float] = (1.0, 0.0, 0.0, 1.0)
) -> GroupOffer:
    task = make_task(manifest, number)
    return GroupOffer(
        step=number,
        task=task,
        question_digest=hashlib.sha256(question(task).encode()).digest(),
        completions=tuple(completion(r) for r in rewards),
        temperature_milli=1000,
        model="tiny",
        tokenizer=TOKENIZER,
    )


def make_record(
    manifest: Manifest,
    number: int,
    now: float,
    rewards: Sequence[float] = (1.0, 0.0),
    *,
    question_digest: bytes | None = None,
) -> Record:
    group = make_group(manifest, number, rewards)
    created = int(now)
    return Record(
        swarm=manifest.swarm_id,
        round=manifest.round_at(created),
        step=group.step,
        created=created,
        expires=created + 300,
        task=group.task,
        question_digest=question_digest or group.question_digest,
        completions=group.completions,
        temperature_milli=1000,
        model=group.model,
        tokenizer=TOKENIZER,
    )


def announce(signer: KeyPair, record: Record, envelope: bytes, *, shard: int = 0, **changes: object) -> bytes:
    """The envelope of `signer`'s announcement of `record`, with fields changed as said."""
    fields: dict[str, object] = {
        "swarm": record.swarm,
        "round": record.round,
        "task_id": record.task.task_id,
        "shard": shard,
        "digest": digest_of(envelope),
        "size": len(envelope),
        "pass_rate_milli": 500,
        "model": "tiny",
        "tokenizer": TOKENIZER,
        "expires": record.expires,
    }
    return sign_announcement(signer, Announcement.model_validate(fields | changes))


def announced_record(
    manifest: Manifest, signer: KeyPair, number: int, now: float, **changes: object
) -> tuple[VerifiedAnnouncement, bytes]:
    """A record of `signer`, announced: the verified announcement, and the body's envelope."""
    record = make_record(manifest, number, now)
    body = sign_record(signer, record)
    return verify_announcement(announce(signer, record, body, **changes), manifest=manifest, now=now), body


def address_of(signer: KeyPair) -> str:
    return f"/ip4/10.0.0.1/tcp/4001/p2p/{signer.peer_id}"


def make_own_status(signer: KeyPair, step: int = 1) -> OwnStatus:
    return OwnStatus(
        addresses=(address_of(signer),),
        step=step,
        phase="training",
        model="tiny",
        device="cpu",
        reward_mean_milli=250,
        groups_own=4,
        groups_published=3,
        groups_pulled=5,
        groups_external_used=4,
        agent="swarmd/test",
    )


def make_status(manifest: Manifest, signer: KeyPair, now: float, **changes: object) -> bytes:
    created = int(now)
    fields: dict[str, object] = {
        "swarm": manifest.swarm_id,
        "created": created,
        "expires": created + 120,
        "addresses": (address_of(signer),),
        "round": manifest.round_at(created),
        "step": 1,
        "phase": "training",
        "model": "tiny",
        "device": "cpu",
        "reward_mean_milli": 250,
        "groups_own": 1,
        "groups_published": 1,
        "groups_pulled": 1,
        "groups_external_used": 1,
        "agent": "swarmd/test",
        "eval_milli": None,
    }
    return sign_status(signer, PeerStatus.model_validate(fields | changes))
