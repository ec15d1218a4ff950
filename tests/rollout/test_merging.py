"""A model's weights as a checkpoint would hold them."""

import copy

import torch

from swarmd.rollout.merging import merged_weights


def reload(plain, weights):
    """A plain model with these weights, as an engine's copy would have."""
    model = copy.deepcopy(plain)
    missing = model.load_state_dict(dict(weights), strict=False).missing_keys
    assert missing in ([], ["lm_head.weight"]), "tied weights come once"
    return model


def perturb_adapter(policy):
    with torch.no_grad():
        for name, parameter in policy.trainable_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.3, generator=torch.Generator().manual_seed(7))


def test_an_adapted_model_and_its_merged_weights_compute_the_same(make_policy):
    plain, adapted = make_policy(), make_policy(lora_rank=4)
    perturb_adapter(adapted)
    merged = reload(plain.model, merged_weights(adapted.model, torch.float32))
    ids = torch.arange(40)[None]
    with torch.no_grad():
        assert not torch.allclose(plain.model(ids).logits, adapted.model(ids).logits, atol=1e-2)
        assert torch.allclose(merged(ids).logits, adapted.model(ids).logits, atol=1e-4)


def test_the_trained_model_is_left_as_it_was(make_policy):
    policy = make_policy(lora_rank=4)
    perturb_adapter(policy)
    before = {name: p.clone() for name, p in policy.model.named_parameters()}
    for _, weight in merged_weights(policy.model, torch.bfloat16):
        assert weight.dtype == torch.bfloat16
    for name, parameter in policy.model.named_parameters():
        assert torch.equal(parameter, before[name])


def test_a_model_without_adapters_gives_its_own_weights(make_policy):
    policy = make_policy()
    weights = dict(merged_weights(policy.model, torch.float32))
    own = dict(policy.model.named_parameters())
    assert weights.keys() == own.keys()
    assert all(torch.equal(weights[name], own[name]) for name in own)
    assert not any(weight.requires_grad for weight in weights.values())
