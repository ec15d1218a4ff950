"""PPO: advantages of tokens by hand, and a value head that comes to expect what is earned."""

import pytest
import torch

from swarmd.config import LearningConfig
from swarmd.errors import ModelError
from swarmd.learning import Trainer
from swarmd.learning.algorithms import (
    CompletionBatch,
    Denominators,
    Ppo,
    Values,
    clipped_value_loss,
    generalised_advantages,
)
from swarmd.learning.value_head import ValueHead
from tests.learning.test_memory_shortage import with_memory_for

PPO = Ppo(0.2, 0.28, value_clip=0.2, gamma=1.0, gae_lambda=0.95)
QUESTIONS = ["1+1?", "a longer question?"]
SETTINGS = LearningConfig(algorithm="ppo", warmup_steps=0, learning_rate=1e-3, value_learning_rate=1e-2)
MASK = torch.tensor([[True, True, True], [True, False, False]])
VALUES = torch.tensor([[0.5, 0.2, 0.4], [0.3, 9.0, 9.0]])
REWARDS = torch.tensor([1.0, 0.0])


def advantages(gamma, gae_lambda):
    found = generalised_advantages(REWARDS, VALUES, MASK, gamma, gae_lambda)
    return [pytest.approx(row) for row in found.tolist()]


def test_with_lambda_one_an_advantage_is_the_discounted_reward_less_the_value():
    assert advantages(1.0, 1.0) == [[0.5, 0.8, 0.6], [-0.3, 0, 0]]
    assert advantages(0.5, 1.0) == [[0.25 - 0.5, 0.5 - 0.2, 0.6], [-0.3, 0, 0]]


def test_with_lambda_zero_it_is_what_the_next_token_changed():
    assert advantages(1.0, 0.0) == [[0.2 - 0.5, 0.4 - 0.2, 1 - 0.4], [-0.3, 0, 0]]


def test_between_them_changes_further_away_count_less():
    last, middle = 0.6, 0.2 + 0.5 * 0.6
    assert advantages(1.0, 0.5) == [[-0.3 + 0.5 * middle, middle, last], [-0.3, 0, 0]]


@pytest.mark.parametrize(
    ("now", "loss", "gradient"),
    [
        (0.1, 0.405, -0.9),  # on its way to a return of 1, less than 0.2 from where it was
        (0.5, 0.32, 0.0),  # further: only the clipped value counts, (0.2 - 1)^2 / 2
        (-0.5, 1.125, -1.5),  # the wrong way: nothing is clipped
    ],
)
def test_a_value_moves_so_far_on_one_batch_and_no_further(now, loss, gradient):
    value = torch.tensor(now, dtype=torch.float64, requires_grad=True)
    zero, one = torch.zeros((), dtype=torch.float64), torch.ones((), dtype=torch.float64)
    found = clipped_value_loss(value, zero, one, 0.2)
    found.backward()
    assert (found.item(), value.grad.item()) == pytest.approx((loss, gradient))


def test_each_token_is_weighed_by_its_own_advantage():
    logprobs = torch.zeros(2, 3, requires_grad=True)
    still = logprobs.detach()
    batch = CompletionBatch(logprobs, still, still, MASK, REWARDS, Values(VALUES, VALUES))
    loss = PPO.average(PPO.loss(batch).per_token, MASK, Denominators(completions=2, tokens=4))
    (gradient,) = torch.autograd.grad(loss, logprobs)
    expected = generalised_advantages(REWARDS, VALUES, MASK, 1.0, 0.95)
    assert torch.allclose(gradient, -expected / 4)


def test_the_value_head_learns_the_mean_reward():
    head = ValueHead(4, torch.device("cpu"), SETTINGS)
    states, mask = torch.ones(10, 3, 4), torch.ones(10, 3, dtype=torch.bool)
    still = torch.zeros(10, 3)
    rewards = torch.tensor([1.0, 1.0, 1.0, *[0.0] * 7])
    exact = Ppo(0.2, 0.28, value_clip=0.2, gamma=1.0, gae_lambda=1.0)
    for _ in range(100):
        now = head(states)
        batch = CompletionBatch(still, still, still, mask, rewards, Values(now, now.detach()))
        exact.average(exact.loss(batch).value, mask, Denominators(10, 30)).backward()
        head.clip()
        head.update()
        head.drop_gradients()
    assert head(states)[0].tolist() == pytest.approx([0.3] * 3, abs=0.02)


def test_ten_arms_against_the_value_head_the_best_one_is_found():
    generator = torch.Generator().manual_seed(0)
    logits, baseline = torch.zeros(10, requires_grad=True), torch.zeros((), requires_grad=True)
    rewards = torch.tensor([1.0, 0.5, *[0.0] * 8])
    mask = torch.ones(8, 1, dtype=torch.bool)
    for _ in range(300):
        arms = torch.multinomial(torch.softmax(logits.detach(), 0), 8, True, generator=generator)
        logprobs, values = torch.log_softmax(logits, 0)[arms][:, None], baseline.expand(8, 1)
        still = logprobs.detach()
        batch = CompletionBatch(logprobs, still, still, mask, rewards[arms], Values(values, values.detach()))
        loss, used = PPO.loss(batch), Denominators(8, 8)
        (PPO.average(loss.per_token, mask, used) + PPO.average(loss.value, mask, used)).backward()
        with torch.no_grad():
            for parameter in (logits, baseline):
                parameter -= 0.5 * parameter.grad
                parameter.grad = None
    assert torch.softmax(logits.detach(), 0)[0] > 0.9
    assert baseline.item() == pytest.approx(1.0, abs=0.1), "what the policy has come to earn"


def test_equal_rewards_teach_the_value_head_until_nothing_surprises_it(make_policy, own_groups):
    policy = make_policy()
    trainer = Trainer(policy, SETTINGS.model_copy(update={"gae_lambda": 1.0}))
    groups = own_groups(policy, QUESTIONS, lambda text: 0.5)
    first = trainer.step(groups, [])
    assert first.updated
    assert first.groups_own_used == 2
    assert first.value_loss == pytest.approx(0.125), "half of 0.5^2: at first nothing is expected"
    for _ in range(25):
        last = trainer.step(groups, [])
    assert last.value_loss < 0.1 * first.value_loss


def test_what_the_head_learns_does_not_move_the_policy(make_policy, own_groups):
    weights = []
    for rate in (1e-2, 1e-6):
        policy = make_policy()
        config = SETTINGS.model_copy(update={"value_learning_rate": rate})
        Trainer(policy, config).step(own_groups(policy, QUESTIONS, lambda text: len(text) / 30), [])
        weights.append(policy.trainable_state())
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_external_text_is_trained_on_as_own_and_teaches_the_head_nothing(make_policy, external_group):
    trainer = Trainer(make_policy(), SETTINGS)
    metrics = trainer.step([], [external_group("2+2?", ("4", 1.0), ("5", 0.0))])
    assert metrics.updated
    assert metrics.value_loss == 0
    assert not trainer.state_dict()["value_head/weight"].any()


def test_a_step_that_ran_out_of_memory_teaches_the_head_what_a_whole_one_does(make_policy, own_groups):
    config = SETTINGS.model_copy(update={"updates_per_batch": 3})
    heads = []
    for tokens_max in (10_000, 300):
        policy = with_memory_for(make_policy(), tokens_max)
        trainer = Trainer(policy, config)
        trainer.step(own_groups(policy, QUESTIONS, lambda text: len(text) / 30), [])
        assert (policy._logprobs.failures > 0) == (tokens_max == 300)
        heads.append(trainer.state_dict()["value_head/weight"])
    assert heads[0].any()
    assert torch.allclose(*heads, atol=1e-4)


def test_a_home_may_change_to_ppo_and_back(make_policy, own_groups):
    policy = make_policy()
    own = own_groups(policy, QUESTIONS, lambda text: len(text) / 30)
    plain, ppo = Trainer(policy, LearningConfig(warmup_steps=0)), Trainer(policy, SETTINGS)
    assert plain.step(own, []).value_loss is None
    ppo.step(own, [])
    trained = ppo.state_dict()
    assert trained["value_head/weight"].any()
    plain.load_state_dict(trained)
    ppo.load_state_dict(plain.state_dict())
    assert not ppo.state_dict()["value_head/weight"].any(), "the head of another life is not kept"
    assert ppo.step(own, []).updated


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("value_head/weight", "value head belongs to another model"),
        ("value_optimizer/exp_avg/weight", "optimiser state belongs to another model"),
    ],
)
def test_a_head_of_another_width_is_refused_and_nothing_is_loaded(make_policy, own_groups, name, why):
    policy = make_policy()
    trainer = Trainer(policy, SETTINGS)
    fresh = trainer.state_dict()
    trainer.step(own_groups(policy, QUESTIONS, lambda text: len(text) / 30), [])
    before = trainer.state_dict()
    with pytest.raises(ModelError, match=why):
        trainer.load_state_dict(fresh | {name: torch.zeros(1, 7)})
    assert all(torch.equal(before[key], value) for key, value in trainer.state_dict().items())
