"""The held-out partition of questions: which questions nobody in a swarm trains on (SPEC section 9).

Membership depends on the question's digest alone, so every peer, every seed and every
dataset agree on it without talking, and a question can never drift from one side to the other.
"""

from __future__ import annotations

import hashlib

HELD_OUT_BYTE_BELOW = 26  # of 256: 10.2 % of questions; enough for 200 in small families, cheap to skip


def is_held_out(question: str) -> bool:
    """True if `question` belongs to the evaluation partition and must not be trained on.

    For a question of version 1, whose digest is the SHA-256 of its UTF-8 text.
    """
    return is_digest_held_out(hashlib.sha256(question.encode()).digest())


def is_digest_held_out(question_digest: bytes) -> bool:
    """The same for a question of either version: the digest's first byte is below `HELD_OUT_BYTE_BELOW`."""
    return question_digest[0] < HELD_OUT_BYTE_BELOW
