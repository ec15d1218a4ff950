"""The optimiser: pending gradients are applied as the others are, and its memory is taken at the start."""

import pytest
import torch

from swarmd.config import LearningConfig
from swarmd.errors import ModelError
from swarmd.learning import Trainer, optimizer
from swarmd.learning.optimizer import Optimizer
from swarmd.logprobs import factored as pending_module

PLAIN = LearningConfig(warmup_steps=0, learning_rate=1e-3)


def has_digit(text):
    return float(any(c.isdigit() for c in text))


@pytest.fixture
def everything_pends(monkeypatch):
    monkeypatch.setattr(pending_module, "PRODUCT_BYTES_MIN", 0)
    monkeypatch.setattr(pending_module, "GAIN_MIN", 0)
    monkeypatch.setattr(optimizer, "HELD_BYTES", 10_000)


@pytest.mark.parametrize("max_grad_norm", [1e9, 0.01], ids=["free", "clipped"])
@pytest.mark.parametrize("budget", [100_000, 90], ids=["one micro-batch", "several"])
def test_a_step_with_pending_gradients_is_the_same_step(
    make_policy, own_groups, external_group, max_grad_norm, budget, request
):
    config = PLAIN.model_copy(update={"max_grad_norm": max_grad_norm, "token_budget": budget})
    external = [external_group("2+2?", ("4", 1.0), ("five", 0.0))]
    results = []
    for pends in (False, True):
        if pends:
            request.getfixturevalue("everything_pends")
        policy = make_policy()
        groups = own_groups(policy, ["1+1?", "a longer question?"], has_digit)
        trainer = Trainer(policy, config)
        took = []
        add = policy.factored_gradients.add
        policy.factored_gradients.add = lambda *factors, add=add, took=took: (took.append(1), add(*factors))
        metrics = trainer.step(groups, external)
        assert bool(took) == pends
        results.append((metrics.grad_norm, trainer.state_dict()))
    (norm, state), (pending_norm, pending_state) = results
    assert pending_norm == pytest.approx(norm, rel=1e-4)
    for name in state:
        assert torch.allclose(pending_state[name], state[name], atol=1e-6), name


def test_updates_are_those_of_torchs_adamw_and_vectors_never_decay():
    torch.manual_seed(0)
    start = {"weight": torch.randn(3, 2), "norm": torch.randn(3), "unused": torch.randn(2, 2)}
    mine = {name: torch.nn.Parameter(value.clone()) for name, value in start.items()}
    theirs = {name: torch.nn.Parameter(value.clone()) for name, value in start.items()}
    config = LearningConfig(learning_rate=0.1, weight_decay=0.5)
    ours = Optimizer(mine, config)
    matrices = [theirs["weight"], theirs["unused"]]
    groups = [{"params": matrices, "weight_decay": 0.5}, {"params": [theirs["norm"]], "weight_decay": 0.0}]
    reference = torch.optim.AdamW(groups, lr=0.1)
    for rate in (0.1, 0.02):
        ours.set_learning_rate(rate)
        for group in reference.param_groups:
            group["lr"] = rate
        for name in ("weight", "norm"):
            mine[name].grad = torch.randn_like(start[name])
            theirs[name].grad = mine[name].grad.clone()
        ours.update()
        reference.step()
    assert all(parameter.grad is None for parameter in mine.values())
    for name in start:
        torch.testing.assert_close(mine[name], theirs[name])
    torch.testing.assert_close(mine["unused"], torch.nn.Parameter(start["unused"]))


@pytest.mark.parametrize("budget", [100_000, 90])
def test_prompts_that_are_repeated_count_when_it_is_decided_what_pends(make_policy, own_groups, budget):
    policy = make_policy()
    announced, scored = [], []
    policy.factored_gradients.begin = announced.append
    score = policy.logprobs
    policy.logprobs = lambda rows: (scored.append(policy.budget_tokens(rows)), score(rows))[1]
    config = PLAIN.model_copy(update={"token_budget": budget})
    Trainer(policy, config).step(own_groups(policy, ["1+1?", "a longer question?"], has_digit), [])
    assert announced == [sum(scored)]
    assert (len(scored) > 1) == (budget == 90)


def test_memory_that_runs_out_in_an_update_is_a_model_error(make_policy, own_groups, monkeypatch):
    policy = make_policy()
    trainer = Trainer(policy, PLAIN)

    def fail(self):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(Optimizer, "update", fail)
    with pytest.raises(ModelError, match="--lora r=16"):
        trainer.step(own_groups(policy, ["1+1?"], has_digit), [])


def test_memory_that_runs_out_over_the_reference_is_a_model_error(make_policy):
    policy = make_policy()

    def fail():
        raise torch.OutOfMemoryError("CUDA out of memory")

    policy.freeze_reference = fail
    with pytest.raises(ModelError, match="--lora r=16"):
        Trainer(policy, PLAIN.model_copy(update={"kl_coefficient": 0.1}))


def test_an_update_leaves_no_gradient_behind(make_policy, own_groups, everything_pends):
    policy = make_policy()
    Trainer(policy, PLAIN).step(own_groups(policy, ["1+1?"], has_digit), [])
    assert all(parameter.grad is None for _, parameter in policy.trainable_parameters())
    assert policy.factored_gradients.weights() == []


def test_all_moments_exist_before_the_first_step(make_policy):
    parameters = dict(make_policy().trainable_parameters())
    state = Optimizer(parameters, PLAIN).state_dict()
    assert {f"optimizer/exp_avg/{name}" for name in parameters} <= state.keys()
    assert all(value.eq(0).all() for value in state.values())


def test_a_state_without_moments_starts_anew(make_policy, own_groups):
    policy = make_policy()
    trainer = Trainer(policy, PLAIN)
    fresh = trainer.state_dict()
    trainer.step(own_groups(policy, ["1+1?"], has_digit), [])
    trainer.load_state_dict({"counters/step": torch.tensor(0)})
    after = trainer.state_dict()
    assert all(torch.equal(after[name], fresh[name]) for name in fresh)


def test_gradients_below_the_norm_are_left_alone_and_those_above_scaled_down():
    parameter = torch.nn.Parameter(torch.zeros(3, 4))
    adamw = Optimizer({"w": parameter}, PLAIN.model_copy(update={"max_grad_norm": 2.0}))
    for scale, expected in ((0.1, 0.1 * 12**0.5), (5.0, 2.0)):
        parameter.grad = torch.full((3, 4), scale)
        assert adamw.clip() == pytest.approx(scale * 12**0.5)
        assert parameter.grad.norm().item() == pytest.approx(expected, rel=1e-5)
