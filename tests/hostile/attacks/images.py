"""Records of tasks with images: lies about what was shown, and true groups that cost much to draw.

Images never travel, so a receiver draws them for every record before it knows whether it is about them. One
identity publishes groups about other pixels, other sizes and no images, records that bring images of their
own, turns where there is one, and rewards that are not due. None may be worth anything. Others publish true
groups, as many as they can, of the tasks whose images cost most.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import partial

from protocol import TURNS_RECORD_PAYLOAD_TYPE, KeyPair, TaskFamily
from swarmd.images import CHANNELS, SIDE_MAX, Image
from swarmd.tasks.episodes import digest_of
from tests.hostile.forging import Episode, Forged, Forger
from tests.hostile.publishing import Asked, answer, publish
from tests.hostile.scene import Attack, Counts, Scene
from tests.hostile.verdicts import nobody_held_up, nothing_taken

LIARS = range(1, 9)
FLOODERS = range(9, 41)
"""Numbers of identities."""

FLOOD_PER_S = 16.0

COSTLY = ("maze", "frames", "odd")
"""Datasets whose images take longest to draw."""


def answered(asked: Asked) -> list[Episode]:
    """A right answer and a wrong one, and what they are worth."""
    return [([answer(asked.right)], 1.0), ([answer("banana")], 0.0)] * 4


def about(forger: Forger, key: KeyPair, asked: Asked, *images: Image) -> Forged:
    """Right answers to the same question about these images."""
    digest = digest_of(asked.text, 1, asked.hidden, images)
    return forger.record_of_turns(key, asked.spec, digest, answered(asked))


def one_pixel_off(forger: Forger, key: KeyPair, asked: Asked) -> Forged:
    first, *rest = asked.images
    changed = first._replace(pixels=bytes([first.pixels[0] ^ 1]) + first.pixels[1:])
    return about(forger, key, asked, changed, *rest)


def upside_down(forger: Forger, key: KeyPair, asked: Asked) -> Forged:
    return about(forger, key, asked, *(image._replace(pixels=image.pixels[::-1]) for image in asked.images))


def larger(forger: Forger, key: KeyPair, asked: Asked) -> Forged:
    """As large as an image may be."""
    return about(forger, key, asked, Image(SIDE_MAX, SIDE_MAX, bytes(SIDE_MAX * SIDE_MAX * CHANNELS)))


def turned(forger: Forger, key: KeyPair, asked: Asked) -> Forged:
    """Height and width the other way round, with the same pixels: of squares, half as high."""
    images = (image._replace(width=2 * image.width, height=image.height // 2) for image in asked.images)
    return about(forger, key, asked, *images)


def one_more(forger: Forger, key: KeyPair, asked: Asked) -> Forged:
    return about(forger, key, asked, *asked.images, asked.images[0])


def no_images(forger: Forger, key: KeyPair, asked: Asked) -> Forged:
    """In version 1, as of a question that is text alone."""
    texts = [(turns[0], reward) for turns, reward in answered(asked)]
    return forger.record(key, asked.spec, asked.text, texts)


def own_images(forger: Forger, key: KeyPair, asked: Asked) -> Forged:
    """The record brings images along."""
    made = [{"turns": [], "images": [image.pixels[:1_000] for image in asked.images], "reward_micro": 1}] * 2
    return forger.sealed(key, asked.spec, asked.digest, made, TURNS_RECORD_PAYLOAD_TYPE)


def two_turns(forger: Forger, key: KeyPair, asked: Asked) -> Forged:
    episodes: list[Episode] = [([*turns, *turns], reward) for turns, reward in answered(asked)]
    return forger.record_of_turns(key, asked.spec, asked.digest, episodes)


def unearned(forger: Forger, key: KeyPair, asked: Asked) -> Forged:
    """Wrong answers, a picture as text among them, that ask to be paid."""
    pixels = struct.pack("8B", *range(8)).hex()
    wrong = ("banana", f"data:image/png;base64,{pixels}", "<image>", str(10**15))
    episodes: list[Episode] = [(["<image>" + answer(text)], 1.0) for text in wrong]
    episodes.append(([answer("banana")], 0.0))
    return forger.record_of_turns(key, asked.spec, asked.digest, episodes)


LIES: tuple[Callable[[Forger, KeyPair, Asked], Forged], ...] = (
    *(one_pixel_off, upside_down, larger, turned, one_more, no_images, own_images, two_turns, unearned),
)


def lie(forger: Forger, asked: Asked, number: int) -> Forged:
    """Each kind of lie in turn, by each identity in turn."""
    return LIES[number % len(LIES)](forger, forger.key(LIARS[number % len(LIARS)]), asked)


def true_group(forger: Forger, asked: Asked, number: int) -> Forged:
    key = forger.key(FLOODERS[number % len(FLOODERS)])
    return forger.record_of_turns(key, asked.spec, asked.digest, answered(asked))


async def tell_lies(scene: Scene) -> Counts:
    return await publish(scene, lie, families=_families(scene))


async def flood(scene: Scene) -> Counts:
    costly = [family for family in _families(scene) if family.dataset in COSTLY]
    return await publish(scene, true_group, families=costly, per_second=FLOOD_PER_S)


def _families(scene: Scene) -> list[TaskFamily]:
    return [family for family in scene.forger.manifest.tasks if family.source == "pictures"]


VISUAL = "visual"

ATTACKS = (
    Attack(
        "images-lies",
        "groups about other images, other sizes or none, and records that bring images",
        tell_lies,
        partial(nothing_taken, LIARS, 1),
        swarm=VISUAL,
    ),
    Attack(
        "images-costly",
        "16 true groups a second of the images that cost most to draw",
        flood,
        partial(nobody_held_up, FLOODERS),
        swarm=VISUAL,
    ),
)
