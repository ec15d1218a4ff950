"""One seed from many uniforms."""

import torch

from swarmd.rollout.seeding import derive_seed


def test_the_seed_depends_on_every_uniform():
    uniforms = torch.rand(3, 5, generator=torch.Generator().manual_seed(0))
    seed = derive_seed(uniforms)
    assert derive_seed(uniforms.clone()) == seed
    uniforms[2, 4] += 2**-10
    assert derive_seed(uniforms) != seed


def test_the_seed_is_one_that_pytorch_takes():
    for row in torch.rand(50, 2, generator=torch.Generator().manual_seed(1)):
        assert 0 <= derive_seed(row) < 2**63
    assert derive_seed(None) == 0
