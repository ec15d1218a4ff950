"""Question digests and the held-out partition: the questions that nobody in a swarm trains on (SPEC 9).

Membership depends only on the question's digest. All peers, seeds and datasets therefore agree on it without
communicating, and a question cannot move from one side to the other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from protocol.encoding import sha256_of

HELD_OUT_BYTE_BELOW = 26  # of 256: 10.2% of questions, enough for 200 in small families and cheap to skip


def question_digest(text: str) -> bytes:
    """Return the SHA-256 of the question's UTF-8 text, which identifies it in a record of version 1."""
    return hashlib.sha256(text.encode()).digest()


def prompt_digest(text: str, images: Sequence[bytes] = (), hidden: str = "") -> bytes:
    """Return the digest (32 bytes) that identifies the question in a record of version 2.

    It covers the prompt's text, the digest (32 bytes) of each image, and `hidden`, which distinguishes
    questions with the same text and images.
    """
    return sha256_of(["swarmd-prompt", text, list(images), hidden])


def image_digest(width: int, height: int, channels: int, pixels: bytes) -> bytes:
    """Return the digest of an image: its size, and its pixels row by row, one byte per channel."""
    return sha256_of(["swarmd-image", width, height, channels, pixels])


def is_held_out(question: str) -> bool:
    """Return whether `question` belongs to the held-out partition and must not be trained on.

    Only for questions of version 1, whose digest is the SHA-256 of their UTF-8 text.
    """
    return is_digest_held_out(question_digest(question))


def is_digest_held_out(question_digest: bytes) -> bool:
    """Like `is_held_out`, for either version: the digest's first byte is below `HELD_OUT_BYTE_BELOW`."""
    return question_digest[0] < HELD_OUT_BYTE_BELOW
