"""One seed from many uniforms, for libraries that draw their own random numbers.

Ours samples with the uniforms themselves. A library takes a seed: made from them, the peer's own random
generator still decides alone what is written, and its saved state is still all the randomness there is.
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
    return int.from_bytes(digest, "big") >> 1  # PyTorch's generators take a signed 64-bit number
