"""Decoding: the tokens written, the logprobs recorded with them, and that the two agree."""

import threading

import pytest
import torch
from scipy.stats import chisquare

from swarmd.errors import ModelError
from swarmd.hardware.budgets import BudgetKeeper, Budgets
from swarmd.logprobs import TokenRow
from swarmd.policy import PromptTooLongError
from swarmd.policy.engines import Subject
from swarmd.rollout import GenerationStoppedError
from swarmd.rollout.sampling import greedy, sample

QUESTIONS = ["1+1?", "What is seventeen times three?", "x", "Name a colour of the rainbow"]


def make_rng(seed=0):
    return torch.Generator().manual_seed(seed)


def frequent_endings(policy, make_eos=60):
    """Let many byte tokens end a completion, so that rows finish at different steps."""
    policy.tokenizer.eos_ids = frozenset(range(make_eos)) | policy.tokenizer.eos_ids
    policy._engine = policy._engine_for(Subject(policy.model, policy.tokenizer.pad_id, torch.float32))
    return policy


def perturb_adapter(policy):
    """A fresh adapter changes nothing (B = 0); make it matter."""
    with torch.no_grad():
        for name, parameter in policy.trainable_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.3, generator=make_rng(7))


def largest_difference(policy, prompts, groups, temperature=None):
    rows = [TokenRow(tuple(p), s.token_ids) for p, g in zip(prompts, groups, strict=True) for s in g]
    samples = [s for g in groups for s in g]
    with torch.no_grad():
        scored, mask = policy.logprobs(rows, temperature)
    assert mask.sum(dim=1).tolist() == [len(s.token_ids) for s in samples]
    return max(
        abs(there - here)
        for line, s in zip(scored.tolist(), samples, strict=True)
        for there, here in zip(line, s.logprobs, strict=False)
    )


@pytest.mark.parametrize("lora_rank", [None, 4])
@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_logprobs_of_decoding_agree_with_recomputed_ones(make_policy, lora_rank, temperature):
    policy = frequent_endings(make_policy(lora_rank=lora_rank))
    if lora_rank:
        perturb_adapter(policy)
    prompts = [policy.render(q) for q in QUESTIONS]
    assert len({len(p) for p in prompts}) > 2, "prompts of different lengths"
    groups = policy.generate(prompts, 6, temperature=temperature, rng=make_rng())
    lengths = {len(s.token_ids) for g in groups for s in g}
    assert any(s.finished for g in groups for s in g)
    assert len(lengths) > 3, "rows that end at different steps"
    assert largest_difference(policy, prompts, groups, temperature) < 1e-4


def test_bfloat16_runs_and_keeps_the_weights_in_float32(make_policy):
    policy = make_policy(dtype="bfloat16")
    prompts = [policy.render(q) for q in QUESTIONS]
    groups = policy.generate(prompts, 2, rng=make_rng())
    assert largest_difference(policy, prompts, groups) < 0.5
    assert {p.dtype for _, p in policy.trainable_parameters()} == {torch.float32}


def test_a_row_ends_with_the_end_token_exactly_when_it_is_finished(make_policy):
    policy = frequent_endings(make_policy())
    groups = policy.generate([policy.render(q) for q in QUESTIONS], 8, rng=make_rng(1))
    for s in (s for g in groups for s in g):
        ends = [t in policy.tokenizer.eos_ids for t in s.token_ids]
        assert not any(ends[:-1])
        assert ends[-1] == s.finished
        assert s.finished or len(s.token_ids) == policy.max_new_tokens
        assert len(s.logprobs) == len(s.token_ids)


def test_a_row_does_not_depend_on_the_rows_beside_it(make_policy):
    policy = frequent_endings(make_policy())
    prompts = [policy.render(q) for q in QUESTIONS]
    together = policy.generate(prompts, 4, rng=make_rng(3))
    policy.budgets = BudgetKeeper(Budgets(decode_tokens=1))  # every row alone
    apart = policy.generate(prompts, 4, rng=make_rng(3))
    assert [[s.token_ids for s in g] for g in together] == [[s.token_ids for s in g] for g in apart]


def test_the_rng_alone_decides(make_policy):
    policy = make_policy()
    prompts = [policy.render(q) for q in QUESTIONS]
    source = make_rng(5)
    state = source.get_state()
    first = policy.generate(prompts, 2, rng=source)
    second = policy.generate(prompts, 2, rng=source)
    source.set_state(state)
    assert policy.generate(prompts, 2, rng=source) == first
    assert second != first


def test_greedy_takes_the_likeliest_token_at_every_step(make_policy):
    policy = make_policy(max_new_tokens=8)
    prompts = [policy.render(q) for q in QUESTIONS]
    for prompt, s in zip(prompts, policy.greedy(prompts), strict=True):
        ids = list(prompt)
        for token in s.token_ids:
            with torch.no_grad():
                logits = policy.model(torch.tensor([ids])).logits[0, -1]
            assert token == int(logits.argmax())
            ids.append(token)


def test_sampled_tokens_follow_the_exact_distribution():
    logits = torch.tensor([[2.0, -1.0, 0.5, float("-inf"), 1.0, 0.0, -3.0, 1.5]])
    draws, temperature = 40_000, 0.8
    uniforms = torch.rand(draws, generator=make_rng(11))
    tokens, logprobs = sample(logits.expand(draws, -1), uniforms, temperature)
    exact = torch.softmax(logits[0] / temperature, dim=0)
    counts = torch.bincount(tokens, minlength=8)
    assert counts[3] == 0, "an impossible token is never drawn"
    possible = exact > 0
    assert (
        chisquare(
            counts[possible].numpy(), (exact[possible] * draws).double().numpy(), sum_check=False
        ).pvalue
        > 0.01
    )
    assert torch.allclose(logprobs, exact.log()[tokens], atol=1e-6)


def test_the_ends_of_the_unit_interval_give_possible_tokens():
    logits = torch.tensor([[float("-inf"), 1.0, 2.0, float("-inf")]] * 2)
    tokens, _ = sample(logits, torch.tensor([0.0, 1.0 - 2**-24]), 1.0)
    assert tokens.tolist() == [1, 2]
    assert greedy(logits)[0].tolist() == [2, 2]


@pytest.mark.parametrize("greedily", [True, False])
def test_a_model_that_computes_no_numbers_is_a_model_error(make_policy, greedily):
    policy = make_policy()
    with torch.no_grad():
        next(policy.model.parameters()).fill_(float("nan"))
    prompts = [policy.render("2+2?")]
    with pytest.raises(ModelError, match=r"not a number.*float32"):
        policy.greedy(prompts) if greedily else policy.generate(prompts, 2, rng=torch.Generator())


def test_progress_counts_every_token_once(make_policy):
    policy = frequent_endings(make_policy())
    seen = []
    groups = policy.generate([policy.render(q) for q in QUESTIONS], 4, rng=make_rng(2), progress=seen.append)
    assert sum(seen) == sum(len(s.token_ids) for g in groups for s in g)
    assert seen == sorted(seen, reverse=True), "finished rows leave the batch"


def test_generation_stops_between_tokens_when_told(make_policy):
    policy = make_policy()
    stop = threading.Event()
    steps = []

    def progress(tokens):
        steps.append(tokens)
        if len(steps) == 3:
            stop.set()

    with pytest.raises(GenerationStoppedError):
        policy.generate([policy.render("1+1?")], 4, rng=make_rng(), progress=progress, should_stop=stop)
    assert len(steps) == 3


def test_a_prompt_that_leaves_no_room_for_an_answer_is_refused(make_policy):
    policy = make_policy(max_new_tokens=24)
    policy._context = 60
    assert not policy.fits(QUESTIONS[1])
    with pytest.raises(PromptTooLongError, match="longer context"):
        policy.render(QUESTIONS[1])
    assert policy.fits("x") is (len(policy.tokenizer.render("x")) <= 36)


def test_the_reference_stays_where_it_was_frozen(make_policy):
    for lora_rank in (None, 4):
        policy = make_policy(lora_rank=lora_rank)
        policy.freeze_reference()
        rows = [TokenRow((1, 2, 3), (4, 5)), TokenRow((9,), (8, 7, 6))]
        before = policy.reference_logprobs(rows)
        assert torch.allclose(before, policy.logprobs(rows)[0], atol=1e-6)
        with torch.no_grad():
            for _, parameter in policy.trainable_parameters():
                parameter.add_(0.1)
        assert torch.equal(policy.reference_logprobs(rows), before)
        assert not torch.allclose(policy.logprobs(rows)[0], before, atol=1e-3)


def test_gradients_are_finite_with_mixed_lengths(make_policy):
    policy = make_policy()
    rows = [TokenRow((1,), (4,)), TokenRow(tuple(range(40)), (8, 7, 6, 5))]
    scored, mask = policy.logprobs(rows)
    assert scored.shape == mask.shape == (2, 4)
    assert scored[0, 1:].eq(0).all()
    scored.sum().backward()
    assert all(torch.isfinite(p.grad).all() for _, p in policy.trainable_parameters())
