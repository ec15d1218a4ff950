"""Derives one seed from many uniforms, for libraries that draw their own random numbers.

Our own engines sample with the uniforms themselves. A library gets a seed derived from them. So the peer's
rng remains the only source of randomness, and saving its state is still enough to repeat a call.
"""

from __future__ import annotations

import hashlib

from torch import Tensor

SEED_BYTES = 8


def derive_seed(uniforms: Tensor | None) -> int:
    """63 bits that depend on every number of `uniforms` (any shape, float32); 0 for None."""
    if uniforms is None:
        return 0
    digest = hashlib.blake2b(uniforms.cpu().contiguous().numpy().tobytes(), digest_size=SEED_BYTES).digest()
    return int.from_bytes(digest, "big") >> 1  # a torch.Generator takes a signed 64-bit number
