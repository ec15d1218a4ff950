"""What every peer of a measured swarm does: publish one record of 16 KiB per minute, and read 32 of
others.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping

from protocol import Completion, KeyPair, Manifest, PeerId, TaskFamily, TaskSpec
from swarmd.gossip import Demand, GroupOffer, OwnStatus

STEP_S = 60.0
"""Seconds between two records of one peer, and the length of its trainer's steps."""

GROUPS_USED = 16
"""External groups used in a step. Gossip pulls twice as many (`overpull`): the 32 that are read."""

RECORD_BYTES = 16_384
COMPLETIONS = 8
TEXT_BYTES = RECORD_BYTES // COMPLETIONS - 130
"""Text of one completion: RECORD_BYTES minus the numbers and its share of the rest."""

TASKS = 9
"""Task families of equal weight, and rounds of a minute: as in the preset `sapo`."""

ROUND_S = 60
GENESIS = 1_600_000_000
TOKENIZER = b"tokenize"


def manifest() -> Manifest:
    families = tuple(
        TaskFamily(name=f"task{i}", source="made", dataset=f"task{i}", config="{}", version="1", weight=1)
        for i in range(TASKS)
    )
    return Manifest(
        name="scale",
        genesis=GENESIS,
        round_seconds=ROUND_S,
        reward="exact",
        max_new_tokens=512,
        records_per_round_max=64,
        tasks=families,
    )


MANIFEST = manifest()


def key_of(seed: int, number: int) -> KeyPair:
    return KeyPair.from_seed(hashlib.sha256(b"scale %d %d" % (seed, number)).digest())


def group(rng: random.Random, step: int) -> GroupOffer:
    """Return a group whose record has RECORD_BYTES, to within a few bytes."""
    family = rng.choice(MANIFEST.tasks)
    task = TaskSpec(
        source=family.source,
        dataset=family.dataset,
        config=family.config,
        version=family.version,
        seed=rng.randrange(2**32),
        index=0,
    )
    return GroupOffer(
        step=step,
        task=task,
        question_digest=hashlib.sha256(repr(task).encode()).digest(),
        completions=tuple(_completion(rng, i % 2) for i in range(COMPLETIONS)),
        temperature_milli=1_000,
        model="HuggingFaceTB/SmolLM2-135M-Instruct",
        tokenizer=TOKENIZER,
    )


def _completion(rng: random.Random, right: int) -> Completion:
    text = rng.randbytes(TEXT_BYTES // 2).hex()
    return Completion(
        text=text,
        reward_micro=right * 1_000_000,
        logprob_sum_micro=-250_000_000,
        tokens=TEXT_BYTES // 4,
        bytes=len(text),
        finished=True,
    )


def own_status(addresses: tuple[str, ...], step: int, used: Mapping[PeerId, int] | None = None) -> OwnStatus:
    """`used`: the publishers of the groups trained on, as a trainer counts them."""
    return OwnStatus(
        used=used or {},
        addresses=addresses,
        step=step,
        phase="training",
        model="HuggingFaceTB/SmolLM2-135M-Instruct",
        device="cpu",
        reward_mean_milli=250,
        groups_own=step,
        groups_published=step,
        groups_pulled=2 * GROUPS_USED * step,
        groups_external_used=GROUPS_USED * step,
        agent="swarmd/scale",
    )


def demand() -> Demand:
    return Demand(GROUPS_USED, STEP_S)
