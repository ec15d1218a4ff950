"""The held-out partition of questions: which questions nobody in a swarm trains on (SPEC section 9).

Membership depends on the text of the question alone, so every peer, every seed and every
dataset agree on it without talking, and a question can never drift from one side to the other.
"""

from __future__ import annotations

import hashlib

HELD_OUT_BYTE_BELOW = 26  # of 256: 10.2 % of questions; enough for 200 in small families, cheap to skip


def is_held_out(question: str) -> bool:
    """True if `question` belongs to the evaluation partition and must not be trained on.

    The first byte of SHA-256 over the UTF-8 text is compared with `HELD_OUT_BYTE_BELOW`.
    """
    return hashlib.sha256(question.encode()).digest()[0] < HELD_OUT_BYTE_BELOW
