"""A swarm, its publisher and one of each payload: immutable, so every test may share them."""

from __future__ import annotations

import hashlib

import pytest

from protocol import Announcement, Completion, KeyPair, Manifest, PeerStatus, Record, TaskFamily, TaskSpec

GENESIS, CREATED = 1_700_000_000, 1_700_001_507


@pytest.fixture(scope="session")
def publisher() -> KeyPair:
    return KeyPair.from_seed(hashlib.sha256(b"publisher").digest())


@pytest.fixture(scope="session")
def manifest() -> Manifest:
    family = TaskFamily(
        name="gcd", source="reasoning_gym", dataset="gcd", config="{}", version="0.1.25", weight=1
    )
    return Manifest(
        name="test",
        genesis=GENESIS,
        round_seconds=15,
        reward="exact",
        max_new_tokens=16,
        records_per_round_max=64,
        tasks=(family,),
    )


@pytest.fixture(scope="session")
def record(manifest: Manifest) -> Record:
    family = manifest.tasks[0]
    completion = Completion(
        text="<answer>6</answer>",
        reward_micro=1_000_000,
        logprob_sum_micro=-12,
        tokens=5,
        bytes=18,
        finished=True,
    )
    return Record(
        swarm=manifest.swarm_id,
        round=manifest.round_at(CREATED),
        step=3,
        created=CREATED,
        expires=CREATED + 600,
        task=TaskSpec(
            source=family.source,
            dataset=family.dataset,
            config=family.config,
            version=family.version,
            seed=1,
            index=2,
        ),
        question_digest=hashlib.sha256(b"question").digest(),
        completions=(completion, completion),
        temperature_milli=1000,
        model="embedded",
        tokenizer=bytes(8),
    )


@pytest.fixture(scope="session")
def announcement(manifest: Manifest, record: Record) -> Announcement:
    return Announcement(
        swarm=manifest.swarm_id,
        round=record.round,
        task_id=record.task.task_id,
        shard=0,
        digest=bytes(32),
        size=700,
        pass_rate_milli=500,
        model="embedded",
        tokenizer=bytes(8),
        expires=record.expires,
    )


@pytest.fixture(scope="session")
def status(manifest: Manifest, publisher: KeyPair) -> PeerStatus:
    return PeerStatus(
        swarm=manifest.swarm_id,
        created=CREATED,
        expires=CREATED + 300,
        addresses=(f"/ip4/192.0.2.7/tcp/41000/p2p/{publisher.peer_id}",),
        round=manifest.round_at(CREATED),
        step=3,
        phase="generate",
        model="embedded",
        device="cpu",
        reward_mean_milli=400,
        groups_own=12,
        groups_published=12,
        groups_pulled=9,
        groups_external_used=8,
        agent="swarmd/0.1.0",
        eval_milli=None,
    )
