"""What of others' right completions is trained on: the answer, and what this policy would write around it."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from swarmd.config import LearningConfig
from swarmd.learning import Trainer
from swarmd.learning.verified import LIKELY, Standing, standings, trained_tokens
from swarmd.tasks import CLOSING_TAG, OPENING_TAG, extract_answer

OTHER, OPENING, ANSWER = Standing
PARTS = st.lists(st.sampled_from([OPENING_TAG, CLOSING_TAG, " ", "7", "hail", "\n", "é"]), max_size=8)


def by_character(text: str) -> list[tuple[int, int]]:
    return [(place, place + 1) for place in range(len(text))]


def verified_text(text: str) -> str:
    """The characters of `text` that are verified; a tokenizer of characters."""
    found = standings(text, by_character(text))
    return "".join(character for character, kept in zip(text, found, strict=True) if kept)


@pytest.mark.parametrize(
    ("text", "verified"),
    [
        ("<answer>7</answer>", "<answer>7</answer>"),
        ("hail <answer>7</answer> hail", "<answer>7</answer>"),
        ("<answer>  7 \n</answer>", "<answer>7</answer>"),
        ("<answer>7 / 8</answer>", "<answer>7 / 8</answer>"),
        ("<answer></answer>", "<answer></answer>"),
        ("<answer>7</answer><answer>7</answer>", ""),
        ("<answer>hail</answer> <answer>7</answer>", ""),
        ("<answer>7</answer></answer>", ""),
        ("<answer><answer>7</answer>", ""),
        ("7", ""),
        ("", ""),
    ],
)
def test_the_tags_and_the_answer_between_them_are_verified_if_there_is_one_pair(text, verified):
    assert verified_text(text) == verified


@given(PARTS.map("".join))
def test_of_any_text_nothing_but_the_tags_and_the_answer_that_is_scored_is_verified(text):
    found = verified_text(text)
    assert found in ("", f"{OPENING_TAG}{extract_answer(text)}{CLOSING_TAG}")


def test_a_token_is_verified_if_all_of_it_is():
    text = "hail<answer>7</answer>!"
    spans = [(0, 4), (3, 12), (4, 12), (12, 13), (11, 13), (13, 22), (21, 23), (22, 23)]
    assert standings(text, spans) == (OTHER, OTHER, OPENING, ANSWER, OPENING, ANSWER, OTHER, OTHER)


@pytest.mark.parametrize(("text", "end"), [("<answer>7</answer>", ANSWER), ("<answer>7</answer> ", OTHER)])
def test_the_end_is_verified_where_it_comes_right_after_the_answer(text, end):
    spans = [*by_character(text), (len(text), len(text))]
    assert standings(text, spans)[-1] is end


def test_tokens_whose_place_is_unknown_are_not_verified():
    text = "hail <answer>7</answer>"
    end = (len(text), len(text))
    assert standings(text, [(0, 0), (0, 0), (3, 3), end]) == (OTHER, OTHER, OTHER, ANSWER)


LIKELY_ENOUGH, NOT_QUITE, UNLIKELY = math.log(LIKELY), math.log(LIKELY) - 1e-6, -20.0


@pytest.mark.parametrize(
    ("tokens", "trained"),
    [
        ([(LIKELY_ENOUGH, OTHER), (UNLIKELY, OPENING), (UNLIKELY, ANSWER)], [True, True, True]),
        ([(NOT_QUITE, OTHER), (LIKELY_ENOUGH, OPENING), (UNLIKELY, ANSWER)], [False, False, True]),
        ([(UNLIKELY, OTHER), (LIKELY_ENOUGH, OTHER), (UNLIKELY, ANSWER)], [False, False, True]),
        ([(UNLIKELY, ANSWER), (LIKELY_ENOUGH, OTHER), (UNLIKELY, OTHER)], [True, True, False]),
        ([(LIKELY_ENOUGH, OTHER), (LIKELY_ENOUGH, OPENING)], [False, False]),
    ],
)
def test_text_around_the_answer_is_trained_on_until_a_token_that_this_policy_would_not_write(tokens, trained):
    first = torch.tensor([[logprob for logprob, _ in tokens]])
    standing = torch.tensor([[standing for _, standing in tokens]])
    assert trained_tokens(first, standing, torch.tensor([1.0])).tolist() == [trained]


@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.integers(1, 12))
def test_the_answer_is_always_trained_on_and_other_text_only_where_it_is_likely(seed, rows, tokens):
    generator = torch.Generator().manual_seed(seed)
    first = -3 * torch.rand(rows, tokens, generator=generator)
    standing = torch.randint(0, 3, (rows, tokens), generator=generator)
    trained = trained_tokens(first, standing, torch.ones(rows))
    answer = standing == ANSWER
    assert bool((trained | ~answer).all())
    assert bool((first[trained & (standing == OTHER)] >= math.log(LIKELY)).all())
    assert not trained[~answer.any(dim=1)].any()
    assert bool(trained_tokens(first, standing, -torch.ones(rows)).all())


# In a step ----------------------------------------------------------------------------------------


def test_a_step_says_how_much_of_others_right_text_it_left_out(make_policy, external_group):
    config = LearningConfig(warmup_steps=0)
    text = "hail <answer>7</answer>"
    group = external_group("x", (text, 1.0), ("wrong, and not counted", 0.0))
    metrics = Trainer(make_policy(max_new_tokens=40), config).step([], [group])
    assert metrics.external_left_out == pytest.approx(len("hail <answer>") / len(f"{text}$"))
    alone = Trainer(make_policy(), config).step([], [])
    assert alone.external_left_out is None


def reached(policy, config: LearningConfig, group) -> str:
    """The characters of the group's first completion that a step's gradient reaches; the end token as "$"."""
    scored = []
    score = policy.logprobs

    def keep_gradient(rows):
        logprobs, mask = score(rows)
        logprobs.retain_grad()
        scored.append((rows, logprobs))
        return logprobs, mask

    policy.logprobs = keep_gradient
    Trainer(policy, config).step([], [group])
    text = group.completions[0].text
    ids = policy.encode_completion(text, True)
    [gradient] = [
        logprobs.grad[place]
        for rows, logprobs in scored
        for place, row in enumerate(rows)
        if row.completion_ids == ids
    ]
    return "".join(c for c, moved in zip(f"{text}$", gradient[: len(ids)].tolist(), strict=True) if moved)


@pytest.mark.parametrize("loss", ["imitate", "topr", "as_own", "tis"])
@pytest.mark.parametrize("algorithm", ["grpo", "gspo"])
def test_by_no_loss_does_the_gradient_reach_a_payload(make_policy, external_group, loss, algorithm):
    text = "hail <answer> 7</answer> hail"
    found = {}
    for tokens in ("verified", "all"):
        policy = make_policy(max_new_tokens=40)
        config = LearningConfig(
            warmup_steps=0, algorithm=algorithm, external_loss=loss, external_tokens=tokens
        )
        ours = policy.tokenizer_fingerprint
        group = external_group("x", (text, 1.0), ("b", 0.0), tokenizer=ours, token_count=len(text) + 1)
        found[tokens] = reached(policy, config, group)
    assert found == {"verified": "7</answer>", "all": f"{text}$"}


def test_the_end_behind_the_answer_is_learned(make_policy, external_group):
    config = LearningConfig(warmup_steps=0, external_loss="imitate", external_tokens="verified")
    group = external_group("x", ("<answer>7</answer>", 1.0), ("b", 0.0))
    assert reached(make_policy(), config, group) == "<answer>7</answer>$"


def test_an_answer_that_is_not_bare_teaches_nothing_and_is_counted_as_left_out(make_policy, external_group):
    policy = make_policy()
    before = policy.trainable_state()
    group = external_group("x", ("<answer>007</answer>", 1.0), ("b", 0.0), bare=False)
    metrics = Trainer(policy, LearningConfig(warmup_steps=0)).step([], [group])
    assert all(torch.equal(before[name], tensor) for name, tensor in policy.trainable_state().items())
    assert metrics.external_left_out == 1.0


def test_beside_bare_answers_one_that_is_not_counts_in_the_average_and_no_gradient_reaches_it(
    make_policy, external_group
):
    config = LearningConfig(warmup_steps=0)
    bare = external_group("x", ("<answer>7</answer>", 1.0), ("<answer>007</answer>", 1.0), ("b", 0.0))
    padded = replace(bare.completions[1], bare=False)
    group = replace(bare, completions=(bare.completions[0], padded, bare.completions[2]))
    assert reached(make_policy(), config, group) == "<answer>7</answer>$"
    metrics = Trainer(make_policy(), config).step([], [group])
    assert metrics.external_left_out == pytest.approx(
        len("<answer>007</answer>$") / len("<answer>7</answer>$" * 2 + "00")
    )


@pytest.mark.parametrize("text", ["hail hail hail <answer>7</answer>", "<answer></answer><answer>7</answer>"])
def test_a_second_answer_and_one_that_the_token_limit_cuts_off_teach_nothing(
    make_policy, external_group, text
):
    policy = make_policy(max_new_tokens=12)
    before = policy.trainable_state()
    config = LearningConfig(warmup_steps=0, external_loss="imitate", external_tokens="verified")
    Trainer(policy, config).step([], [external_group("x", (text, 1.0), ("b", 0.0))])
    assert all(torch.equal(before[name], tensor) for name, tensor in policy.trainable_state().items())
