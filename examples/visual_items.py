"""The visual swarm's questions with their pictures and answers, and replies to them: right or a habit.

Held-out questions are never drawn.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from protocol.held_out import is_digest_held_out, prompt_digest
from swarmd.images import Image
from swarmd.tasks.pictures.canvas import COLOURS, KINDS
from swarmd.tasks.pictures.source import DATASETS, Pictures

SEEDS = (2**31, 2**32 - 1)  # peers draw theirs below this range, so questions repeat only by chance
RINGS = (tuple(KINDS), ("top", "right", "bottom", "left"), (*COLOURS, "same"), tuple("0123456789"))


@dataclass(frozen=True)
class Item:
    """A question, its pictures, and its answer."""

    question: str
    images: tuple[Image, ...]
    answer: str


def draw_item(rng: random.Random, datasets: Sequence[str] = tuple(DATASETS)) -> Item:
    """Return a question of any kind that may be trained on."""
    while True:
        task = Pictures().build(rng.choice(datasets), {})
        text, entry = task.question(rng.randint(*SEEDS), 0)
        images = tuple(Image(each.shape[1], each.shape[0], each.tobytes()) for each in task.images(entry))
        if not is_digest_held_out(prompt_digest(text, [image.digest for image in images])):
            return Item(text, images, entry.answer)


def habit(answer: str) -> str:
    """Return the systematic mistake: the next number, side, shape or colour. Always wrong, always the
    same.
    """
    ring = next(ring for ring in RINGS if answer in ring)
    return ring[(ring.index(answer) + 1) % len(ring)]
