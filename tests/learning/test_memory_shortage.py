"""Training when memory runs out: the same update in smaller parts, remembered, and an end to it."""

import pytest
import torch

from swarmd.config import LearningConfig
from swarmd.errors import ModelError
from swarmd.hardware.budgets import UNLIMITED, BudgetKeeper, Budgets
from swarmd.hardware.guard import MemoryGuard
from swarmd.learning import Trainer
from swarmd.policy.engines import Subject

QUESTIONS = ["1+1?", "a longer question?"]
PLAIN = LearningConfig(warmup_steps=0, learning_rate=1e-3, external_tokens="all")


class Failing:
    """An engine whose allocator fails when a batch has more than `tokens_max` tokens: in the backward pass,
    when part of the gradient is already there."""

    def __init__(self, engine, tokens_max):
        self.engine = engine
        self.factored, self.shares_prompts = engine.factored, engine.shares_prompts
        self.tokens_max = tokens_max
        self.seen = []
        self.failures = 0

    def tokens(self, rows):
        return self.engine.tokens(rows)

    def logprobs(self, rows, temperature):
        self.seen.append(self.tokens(rows))
        logprobs, mask = self.engine.logprobs(rows, temperature)
        if self.seen[-1] > self.tokens_max:
            logprobs.register_hook(self.fail)
        return logprobs, mask

    def logprobs_and_states(self, rows, temperature):
        states = self.engine.logprobs_and_states(rows, temperature)[2]
        return *self.logprobs(rows, temperature), states

    def fail(self, gradient):
        self.failures += 1
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")


def has_digit(text):
    return float(any(c.isdigit() for c in text))


def with_memory_for(policy, tokens_max, **keeper):
    policy.budgets = BudgetKeeper(Budgets(), **keeper)
    policy._logprobs = Failing(policy._logprobs, tokens_max)
    return policy


def step(policy, own_groups, external_group, config=PLAIN):
    """One step on own and external groups; its metrics and the weights after it."""
    own = own_groups(policy, QUESTIONS, has_digit)
    external = [external_group("2+2?", ("4", 1.0), ("five", 0.0))]
    return Trainer(policy, config).step(own, external), policy.trainable_state()


@pytest.fixture
def fresh(make_policy):
    """fresh(tokens_max): a policy with memory for so many tokens; None: for all."""

    def make(tokens_max=None, **keeper):
        policy = make_policy(max_new_tokens=16)
        return policy if tokens_max is None else with_memory_for(policy, tokens_max, **keeper)

    return make


@pytest.mark.parametrize("updates", [1, 3])
def test_after_a_shortage_the_update_is_that_of_a_machine_with_enough_memory(
    fresh, own_groups, external_group, updates
):
    config = PLAIN.model_copy(update={"updates_per_batch": updates})
    metrics, expected = step(fresh(), own_groups, external_group, config)
    short = fresh(150)
    again, weights = step(short, own_groups, external_group, config)
    assert short._logprobs.failures > 0
    assert again.updated
    assert again.loss == pytest.approx(metrics.loss, abs=1e-6)
    assert (again.tokens_own, again.clip_fraction) == (metrics.tokens_own, metrics.clip_fraction)
    assert again.external_nats_per_byte == pytest.approx(metrics.external_nats_per_byte, rel=1e-5)
    for name, tensor in expected.items():
        assert torch.allclose(weights[name], tensor, atol=2e-5), name


def test_the_second_update_of_a_batch_may_be_the_one_that_fails(fresh, own_groups, external_group):
    config = PLAIN.model_copy(update={"updates_per_batch": 2, "learning_rate": 1e-2})
    metrics, expected = step(fresh(), own_groups, external_group, config)
    policy = fresh(10_000)
    engine, groups = policy._logprobs, own_groups(policy, QUESTIONS, has_digit)
    trainer = Trainer(policy, config)
    update = trainer._update

    def then_fail(*parts):
        done = update(*parts)
        engine.tokens_max = 150
        return done

    trainer._update = then_fail
    again = trainer.step(groups, [external_group("2+2?", ("4", 1.0), ("five", 0.0))])
    assert engine.failures > 0
    assert again.clip_fraction == metrics.clip_fraction, "ratios are to the policy before the first update"
    for name, tensor in policy.trainable_state().items():
        assert torch.allclose(tensor, expected[name], atol=2e-5), name


def test_the_smaller_budget_is_kept_and_remembered(fresh, own_groups, external_group):
    remembered = []
    policy = fresh(200, remember=remembered.append)
    step(policy, own_groups, external_group)
    assert remembered[-1].train_tokens == policy.budgets.budgets.train_tokens
    assert remembered[-1].decode_tokens == UNLIMITED.decode_tokens, "there memory never ran out"
    assert policy.budgets.budgets.train_tokens <= 200
    failures = policy._logprobs.failures
    step(policy, own_groups, external_group)
    assert policy._logprobs.failures == failures


def test_the_last_try_computes_activations_twice_and_that_is_kept(fresh, own_groups, external_group):
    _, expected = step(fresh(), own_groups, external_group)
    remembered = []
    policy = fresh(80, remember=remembered.append)
    _, weights = step(policy, own_groups, external_group)
    assert policy._logprobs.failures == 2
    assert [budgets.gradient_checkpointing for budgets in remembered] == [False, True]
    assert policy.budgets.budgets.gradient_checkpointing
    for name, tensor in expected.items():
        assert torch.allclose(weights[name], tensor, atol=2e-5), name


def test_three_shortages_in_a_row_end_with_the_settings_to_try_and_change_nothing(
    fresh, own_groups, external_group
):
    policy = fresh(0, remedy="--lora r=16, ")
    before = policy.trainable_state()
    with pytest.raises(ModelError, match=r"3 times in a row while training.*twice.*--max-new-tokens.*--lora"):
        step(policy, own_groups, external_group)
    assert policy._logprobs.failures == 3
    assert all(torch.equal(before[name], tensor) for name, tensor in policy.trainable_state().items())
    assert all(parameter.grad is None for _, parameter in policy.trainable_parameters())


AS_OWN = PLAIN.model_copy(update={"external_loss": "as_own"})


def test_a_completion_of_another_that_takes_all_memory_is_left_out_and_the_rest_is_trained_on(
    fresh, external_group
):
    long = external_group("2+2?", ("4" * 16, 1.0), ("5" * 16, 0.0))
    short = external_group("", ("4", 1.0), ("5", 0.0))
    policy = fresh(2**30)
    policy.budgets = BudgetKeeper(Budgets(train_tokens=1))  # each row by itself
    Trainer(policy, AS_OWN).step([], [long, short])
    largest = max(policy._logprobs.seen)
    policy._logprobs.tokens_max = largest - 1
    policy.budgets = BudgetKeeper(Budgets(train_tokens=largest - 1))
    trainer = Trainer(policy, AS_OWN)
    metrics = trainer.step([], [long, short])
    assert (metrics.updated, policy._logprobs.failures) == (True, 1)
    assert 0.5 < metrics.external_left_out < 1
    assert policy.budgets.budgets.train_tokens == largest - 1, "what memory suffices for is as before"
    trainer.step([], [long, short])
    assert policy._logprobs.failures == 1, "the next step knows"


def test_completions_of_others_are_never_left_out_while_memory_suffices(fresh, external_group):
    policy = fresh()
    policy.budgets = BudgetKeeper(Budgets(train_tokens=1))
    trainer = Trainer(policy, AS_OWN)
    metrics = trainer.step([], [external_group("2+2?", ("4" * 16, 1.0), ("5", 0.0))])
    assert metrics.updated
    assert metrics.external_left_out == 0


def test_a_step_without_a_completion_that_fits_changes_nothing(fresh, external_group):
    policy = fresh(0)
    policy.budgets = BudgetKeeper(Budgets(train_tokens=1))
    before = policy.trainable_state()
    trainer = Trainer(policy, AS_OWN)
    metrics = trainer.step([], [external_group("2+2?", ("4" * 16, 1.0), ("5", 0.0))])
    assert not metrics.updated
    assert "memory does not suffice" in metrics.note
    assert all(torch.equal(before[name], tensor) for name, tensor in policy.trainable_state().items())
    assert trainer.step([], []).step == 1, "the peer goes on"


def test_memory_that_runs_out_before_the_first_update_leaves_the_weights_whole(
    fresh, own_groups, monkeypatch
):
    policy = fresh(0)
    trainer = Trainer(policy, PLAIN)
    own = own_groups(policy, QUESTIONS, has_digit)
    with pytest.raises(ModelError):
        trainer.step(own, [])
    assert trainer.is_whole

    policy = fresh()
    trainer = Trainer(policy, PLAIN)

    def fails(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(trainer._optimizer, "update", fails)
    with pytest.raises(ModelError):
        trainer.step(own, [])
    assert not trainer.is_whole


def test_passing_the_limit_between_two_layers_is_a_shortage(fresh, own_groups, external_group):
    _, expected = step(fresh(), own_groups, external_group)
    policy = fresh()
    own = own_groups(policy, QUESTIONS, has_digit)
    held: list[int] = []
    policy._guard = MemoryGuard(2**30, lambda: held.pop(0) if held else 0)
    policy._logprobs = policy._logprobs_for(Subject(policy.model, policy.tokenizer.pad_id, torch.float32))
    held += [0, 2**40]
    metrics = Trainer(policy, PLAIN).step(own, [external_group("2+2?", ("4", 1.0), ("five", 0.0))])
    assert metrics.updated
    assert policy.budgets.budgets.train_tokens < Budgets().train_tokens
    for name, tensor in policy.trainable_state().items():
        assert torch.allclose(tensor, expected[name], atol=2e-5), name


def test_the_operators_budget_is_where_it_begins(fresh, own_groups, external_group):
    policy = fresh(10_000)
    step(policy, own_groups, external_group, PLAIN.model_copy(update={"token_budget": 100}))
    assert max(policy._logprobs.seen) <= 100
