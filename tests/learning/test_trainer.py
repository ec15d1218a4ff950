"""A step: what it trains on, how the two kinds are weighted, what it refuses to do, and what it reports."""

import dataclasses

import pytest
import torch

from swarmd.config import LearningConfig
from swarmd.errors import ModelError
from swarmd.learning import Trainer
from swarmd.learning.advantages import group_advantages
from swarmd.learning.losses import clipped_surrogate
from swarmd.learning.selection import select_rows
from swarmd.logprobs import TokenRow

QUESTIONS = ["1+1?", "a longer question?"]
PLAIN = LearningConfig(warmup_steps=0, learning_rate=1e-3, external_tokens="all")


def of_group(group):
    return group_advantages(torch.tensor(group.rewards))


def has_digit(text):
    return float(any(c.isdigit() for c in text))


def weights(policy):
    return policy.trainable_state()


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def gradient_of_step(policy, config, own, external):
    """The gradient a step applies, read back from Adam's first moment: m = (1 - beta1) g after one step."""
    trainer = Trainer(policy, config.model_copy(update={"max_grad_norm": 1e9}))
    metrics = trainer.step(own, external)
    moments = {
        name.removeprefix("optimizer/exp_avg/"): tensor / 0.1
        for name, tensor in trainer.state_dict().items()
        if name.startswith("optimizer/exp_avg/")
    }
    return metrics, moments


def test_the_gradient_is_the_token_mean_of_the_clipped_surrogate(make_policy, own_groups):
    policy = make_policy(max_new_tokens=8)
    groups = own_groups(policy, QUESTIONS, has_digit)
    expected_policy = make_policy(max_new_tokens=8)
    losses, tokens = [], 0
    for group in groups:
        assert group.is_informative
        advantages = group_advantages(torch.tensor(group.rewards))
        for completion, advantage in zip(group.completions, advantages, strict=True):
            row = TokenRow(tuple(policy.render(group.question)), completion.token_ids)
            logprobs, _ = expected_policy.logprobs([row])
            losses.append(
                clipped_surrogate(
                    logprobs, torch.tensor([completion.logprobs]), advantage[None], 0.2, 0.28
                ).sum()
            )
            tokens += len(completion.token_ids)
    loss = torch.stack(losses).sum() / tokens
    loss.backward()
    metrics, moments = gradient_of_step(policy, PLAIN, groups, [])
    assert metrics.loss == pytest.approx(loss.item(), abs=1e-6)
    assert metrics.tokens_own == tokens
    for name, parameter in expected_policy.trainable_parameters():
        assert torch.allclose(moments[name], parameter.grad, atol=1e-6), name


def test_small_micro_batches_give_the_gradient_of_one_large_batch(make_policy, own_groups, external_group):
    external = [external_group("2+2?", ("4", 1.0), ("five", 0.0))]
    results = []
    for budget in (64, 100_000):
        policy = make_policy()
        own = own_groups(policy, QUESTIONS, has_digit)
        results.append(
            gradient_of_step(policy, PLAIN.model_copy(update={"token_budget": budget}), own, external)
        )
    (small, small_gradient), (large, large_gradient) = results
    assert small.loss == pytest.approx(large.loss, abs=1e-6)
    for name in small_gradient:
        assert torch.allclose(small_gradient[name], large_gradient[name], atol=1e-6), name


def test_own_and_external_losses_are_normalised_apart_and_lambda_weighs_them(
    make_policy, own_groups, external_group
):
    config = PLAIN.model_copy(update={"external_coefficient": 0.5})
    external = [external_group("2+2?", ("4", 1.0), ("a much longer and wrong answer", 0.0))]

    def gradient(with_own, with_external, settings=config):
        policy = make_policy()
        own = own_groups(policy, QUESTIONS, has_digit) if with_own else []
        return gradient_of_step(policy, settings, own, external if with_external else [])[1]

    both, own_only, external_only = gradient(True, True), gradient(True, False), gradient(False, True)
    external_full = gradient(False, True, PLAIN)
    for name in both:
        assert torch.allclose(both[name], own_only[name] + external_only[name], atol=1e-6)
        assert torch.allclose(external_only[name], 0.5 * external_full[name], atol=1e-6)


def test_without_any_informative_group_nothing_changes_and_the_step_says_so(
    make_policy, own_groups, external_group
):
    policy = make_policy()
    trainer = Trainer(policy, PLAIN)
    before = weights(policy)
    own = own_groups(policy, QUESTIONS, lambda text: 0.1)
    metrics = trainer.step(own, [external_group("x", ("a", 1.0), ("b", 1.0))])
    assert not metrics.updated
    assert metrics.note.startswith("no update: none of 2 own and 1 external groups")
    assert (metrics.groups_own_used, metrics.groups_external_used) == (0, 0)
    assert (metrics.reward_own, metrics.reward_external) == (pytest.approx(0.1), 1.0)
    assert same(weights(policy), before)
    assert trainer.steps == 1


def test_own_groups_that_no_judge_judged_teach_nothing_and_have_no_reward(make_policy, own_groups):
    policy = make_policy()
    trainer = Trainer(policy, LearningConfig(algorithm="ppo", warmup_steps=0))
    before = weights(policy)
    unjudged = [
        dataclasses.replace(each, confidence=0.0) for each in own_groups(policy, QUESTIONS, lambda text: 0.0)
    ]
    metrics = trainer.step(unjudged, [])
    assert (metrics.updated, metrics.groups_own, metrics.groups_own_used) == (False, 2, 0)
    assert metrics.reward_own is None
    assert same(weights(policy), before)


def test_groups_without_variance_do_not_dilute_the_others(make_policy, own_groups):
    gradients = []
    for extra in ([], ["a third?"]):
        policy = make_policy()
        own = own_groups(policy, QUESTIONS, has_digit) + own_groups(policy, extra, lambda text: 0.0)
        metrics, gradient = gradient_of_step(policy, PLAIN, own, [])
        assert metrics.groups_own_used == 2
        gradients.append(gradient)
    assert same(*gradients)


def test_a_non_finite_gradient_is_left_out_and_reported(make_policy, own_groups):
    policy = make_policy()
    trainer = Trainer(policy, PLAIN)
    own = own_groups(policy, QUESTIONS, has_digit)
    trainer.step(own, [])
    before, optimizer = weights(policy), trainer.state_dict()
    broken = [
        dataclasses.replace(
            g,
            completions=tuple(
                dataclasses.replace(c, logprobs=(float("nan"),) * len(c.logprobs)) for c in g.completions
            ),
        )
        for g in own
    ]
    metrics = trainer.step(broken, [])
    assert not metrics.updated
    assert "skipped" in metrics.note
    assert same(weights(policy), before)
    optimizer["counters/step"] += 1
    assert same(trainer.state_dict(), optimizer), "the optimiser's moments are untouched too"
    assert trainer.step(own, []).updated, "and the next step is an ordinary one"


def test_external_groups_alone_teach(make_policy, external_group):
    policy = make_policy()
    config = PLAIN.model_copy(update={"learning_rate": 1e-2})
    trainer = Trainer(policy, config)
    group = external_group("2+2?", ("4", 1.0), ("5", 0.0))
    prompt = tuple(policy.render("2+2?"))
    row = TokenRow(prompt, policy.encode_completion("4", True))
    before = policy.logprobs([row])[0].sum().item()
    for _ in range(5):
        metrics = trainer.step([], [group])
    assert metrics.updated
    assert metrics.reward_own is None
    assert policy.logprobs([row])[0].sum().item() > before + 1


def test_an_external_group_that_does_not_fit_the_context_is_counted_not_fatal(make_policy, external_group):
    policy = make_policy()
    policy._context = 70
    trainer = Trainer(policy, PLAIN)
    long = external_group("a question of twenty characters and more", ("4", 1.0), ("5", 0.0))
    short = external_group("?", ("4", 1.0), ("5", 0.0))
    metrics = trainer.step([], [long, short])
    assert (metrics.external_too_long, metrics.groups_external_used) == (1, 1)
    assert "1 do not fit" in trainer.step([], [long]).note


def test_the_metrics_say_which_external_groups_were_trained_on(make_policy, external_group):
    policy = make_policy()
    policy._context = 70
    questions = ("a question of twenty characters and more", "?", "equal", "!")
    groups = [
        dataclasses.replace(
            external_group(question, ("4", 1.0), ("5", float(question == "equal"))), digest=bytes([n])
        )
        for n, question in enumerate(questions)
    ]
    assert Trainer(policy, PLAIN).step([], groups).external_used == [1, 3]
    lessons = [[groups[1]]]
    assert list(Trainer(policy, PLAIN).step([], groups, studied=lessons).external_used) == []


def test_an_external_completion_longer_than_the_context_is_cut_where_the_context_ends(
    make_policy, external_group
):
    policy = make_policy(max_new_tokens=120)
    policy._context = 128
    group = external_group("2+2?", ("4" * 300, 1.0), ("5", 0.0))
    rows = select_rows(policy, [group], trains_on=lambda row: row.advantage != 0, advantages_of=of_group).rows
    assert max(len(row.tokens) for row in rows) == 128


def test_token_ids_that_an_external_group_brings_are_not_believed(make_policy, external_group):
    group = external_group("2+2?", ("4", 1.0), ("5", 0.0))
    forged = dataclasses.replace(
        group,
        completions=tuple(
            dataclasses.replace(c, token_ids=(999_999,), logprobs=(-1.0,)) for c in group.completions
        ),
    )
    results = [gradient_of_step(make_policy(), PLAIN, [], [g]) for g in (group, forged)]
    assert same(results[0][1], results[1][1])


def test_surprisal_of_external_text_is_in_nats_per_byte(make_policy, external_group):
    policy = make_policy()
    group = external_group("2+2?", ("four", 1.0), ("é", 0.0))
    rows = [
        TokenRow(tuple(policy.render("2+2?")), policy.encode_completion(text, True)) for text in ("four", "é")
    ]
    with torch.no_grad():
        nats = -policy.logprobs(rows)[0].sum().item()
    every_row = PLAIN.model_copy(update={"external_loss": "topr"})
    metrics = Trainer(policy, every_row).step([], [group])
    assert metrics.external_nats_per_byte == pytest.approx(nats / 6, rel=1e-5)


def test_completions_that_encode_differently_are_counted(make_policy, own_groups, external_group):
    policy = make_policy()
    own = own_groups(policy, QUESTIONS, has_digit)
    broken = sum(
        policy.encode_completion(c.text, c.finished) != c.token_ids for g in own for c in g.completions
    )
    assert broken > 0, "random bytes are rarely valid UTF-8"
    fingerprint = policy.tokenizer_fingerprint
    external = [
        external_group("x", ("ab", 1.0), ("abc", 0.0), tokenizer=fingerprint, token_count=3),
        external_group("x", ("ab", 1.0), ("abc", 0.0), tokenizer=bytes(8), token_count=77),
    ]
    metrics = Trainer(policy, PLAIN).step(own, external)
    assert metrics.reencoded_differently_own == broken / 16
    assert metrics.reencoded_differently_external == 0.5, "only the group with our tokenizer can be compared"


def test_several_updates_on_a_batch_move_the_ratio_until_the_clip_acts(make_policy, own_groups):
    policy = make_policy()
    config = PLAIN.model_copy(update={"updates_per_batch": 6, "learning_rate": 1e-2})
    own = own_groups(policy, QUESTIONS, has_digit)
    metrics = Trainer(policy, config).step(own, [])
    assert metrics.updated
    assert metrics.clip_fraction > 0.1
    single = Trainer(make_policy(), PLAIN).step(own, [])
    assert single.clip_fraction == 0


@pytest.mark.parametrize("lora_rank", [None, 4])
def test_a_kl_penalty_holds_the_policy_near_its_reference(make_policy, own_groups, lora_rank):
    distances = []
    for coefficient in (1e-9, 3.0):
        policy = make_policy(lora_rank=lora_rank)
        config = PLAIN.model_copy(update={"kl_coefficient": coefficient, "learning_rate": 3e-3})
        trainer = Trainer(policy, config)
        generator = torch.Generator().manual_seed(3)
        for _ in range(8):
            metrics = trainer.step(own_groups(policy, QUESTIONS, has_digit, seed=generator), [])
        distances.append(metrics.kl)
    free, held = distances
    assert free > 0
    assert held < 0.7 * free


def test_entropy_is_the_mean_surprisal_of_the_sampled_tokens(make_policy, own_groups):
    policy = make_policy()
    own = own_groups(policy, QUESTIONS, has_digit)
    logprobs = [lp for g in own for c in g.completions for lp in c.logprobs]
    metrics = Trainer(policy, PLAIN).step(own, [])
    assert metrics.entropy == pytest.approx(-sum(logprobs) / len(logprobs))


@pytest.mark.parametrize("lora_rank", [None, 4])
def test_a_resumed_trainer_goes_on_exactly_where_the_other_would_have(make_policy, own_groups, lora_rank):
    config = PLAIN.model_copy(update={"warmup_steps": 3})
    policy = make_policy(lora_rank=lora_rank)
    batches = [own_groups(policy, QUESTIONS, has_digit, seed=seed) for seed in range(4)]
    trainer = Trainer(policy, config)
    for batch in batches[:2]:
        trainer.step(batch, [])
    saved_weights, saved_trainer = weights(policy), trainer.state_dict()
    straight = [trainer.step(batch, []) for batch in batches[2:]]

    resumed_policy = make_policy(lora_rank=lora_rank)
    resumed = Trainer(resumed_policy, config)
    resumed_policy.load_trainable_state(saved_weights)
    resumed.load_state_dict(saved_trainer)
    assert [resumed.step(batch, []) for batch in batches[2:]] == straight
    assert same(weights(resumed_policy), weights(policy))
    assert same(resumed.state_dict(), trainer.state_dict())


def test_the_state_of_another_models_optimiser_is_refused(make_policy, own_groups):
    adapted = make_policy(lora_rank=4)
    trainer = Trainer(adapted, PLAIN)
    trainer.step(own_groups(adapted, QUESTIONS, has_digit), [])
    with pytest.raises(ModelError, match="another model"):
        Trainer(make_policy(), PLAIN).load_state_dict(trainer.state_dict())
    with pytest.raises(ModelError, match="lacks counters/step"):
        Trainer(make_policy(), PLAIN).load_state_dict({})
