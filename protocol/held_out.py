"""What names a question, and the held-out partition: which questions nobody in a swarm trains on (SPEC 9).

Membership depends on the question's digest alone, so every peer, every seed and every
dataset agree on it without talking, and a question can never drift from one side to the other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from protocol.encoding import sha256_of

HELD_OUT_BYTE_BELOW = 26  # of 256: 10.2 % of questions; enough for 200 in small families, cheap to skip


def question_digest(text: str) -> bytes:
    """SHA-256 of the question's UTF-8 text: what a record of version 1 is about."""
    return hashlib.sha256(text.encode()).digest()


def prompt_digest(text: str, images: Sequence[bytes] = (), hidden: str = "") -> bytes:
    """What a record of version 2 is about: the prompt's text, the digest (32 bytes) of each of its images,
    and what tells it from other questions of the same text and images."""
    return sha256_of(["swarmd-prompt", text, list(images), hidden])


def image_digest(width: int, height: int, channels: int, pixels: bytes) -> bytes:
    """What names an image: its size, and its pixels row by row, one byte per channel."""
    return sha256_of(["swarmd-image", width, height, channels, pixels])


def is_held_out(question: str) -> bool:
    """True if `question` belongs to the evaluation partition and must not be trained on.

    For a question of version 1, whose digest is the SHA-256 of its UTF-8 text.
    """
    return is_digest_held_out(question_digest(question))


def is_digest_held_out(question_digest: bytes) -> bool:
    """The same for a question of either version: the digest's first byte is below `HELD_OUT_BYTE_BELOW`."""
    return question_digest[0] < HELD_OUT_BYTE_BELOW
