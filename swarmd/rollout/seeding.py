"""One seed from many uniforms, for libraries that draw their own random numbers.

Our own engines sample with the uniforms themselves. A library takes a seed, which is derived from them. So
the peer's own rng still decides alone what is written, and its saved state is still all the randomness.
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
