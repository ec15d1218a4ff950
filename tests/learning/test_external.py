"""The weight that each loss gives an external completion: -w A log pi, read back from the gradient."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from swarmd.config import LearningConfig
from swarmd.learning.algorithms import Grpo
from swarmd.learning.batching import TrainRow
from swarmd.learning.external import (
    DELTA,
    GAP_MAX,
    NATS_PER_BYTE_MAX,
    WEIGHT_MAX,
    AsOwn,
    ExternalBatch,
    Imitate,
    NearImportance,
    Topr,
    TruncatedImportance,
    external_loss,
)
from swarmd.logprobs import TokenRow

NAN = float("nan")
LOGPROB = -1.5


def weights(loss, advantage, *, claim=NAN, tokens=4, pad=0, same_tokens=True, logprob=LOGPROB):
    """d loss / d log pi / -A for each token of one completion."""
    shape = (1, tokens + pad)
    logprobs = torch.full(shape, logprob, requires_grad=True)
    mask = torch.arange(tokens + pad)[None] < tokens
    batch = ExternalBatch(
        logprobs=logprobs,
        old_logprobs=logprobs.detach(),
        mask=mask,
        advantages=torch.tensor([advantage]),
        behaviour_logprob_sums=torch.tensor([claim]),
        same_tokens=torch.tensor([same_tokens]),
        text_bytes=torch.tensor([float(tokens)]),
    )
    (gradient,) = torch.autograd.grad(loss(batch).masked_fill(~mask, 0.0).sum(), logprobs)
    return (gradient[0, :tokens] / -advantage).tolist()


def weight(*args, **kwargs):
    """The same for all tokens of the completion."""
    found = weights(*args, **kwargs)
    assert found == pytest.approx([found[0]] * len(found))
    return found[0]


# TOPR ---------------------------------------------------------------------------------------------


def test_topr_imitates_what_was_good_whatever_was_claimed():
    for claim in (NAN, 0.0, -1e9, 5.0):
        assert weight(Topr(), 2.0, claim=claim) == 1


def test_topr_weighs_what_was_bad_by_the_quotient_of_whole_completions():
    assert weight(Topr(), -1.0, claim=-5.0) == pytest.approx(math.exp(4 * LOGPROB + 5.0))
    assert weight(Topr(), -1.0, claim=-7.0) == 1, "never more than its author's own"
    assert weight(Topr(), -1.0, claim=-5.0, pad=3) == weight(Topr(), -1.0, claim=-5.0)


def test_topr_takes_mu_for_one_where_nothing_was_claimed_or_more_than_that():
    unknown = weight(Topr(), -1.0)
    assert unknown == pytest.approx(math.exp(4 * LOGPROB))
    assert weight(Topr(), -1.0, claim=3.0) == unknown


def test_a_claim_counts_down_to_what_a_model_may_write():
    least = -NATS_PER_BYTE_MAX * 5  # four bytes and the end
    unlikely = {"claim": -1e9, "logprob": -10.0}
    assert weight(Topr(), -1.0, **unlikely) == pytest.approx(math.exp(4 * -10.0 - least))


# Truncated importance sampling ---------------------------------------------------------------------


def test_tis_weighs_by_the_mean_log_ratio_of_a_token():
    assert weight(TruncatedImportance(), 1.0, claim=-5.0) == pytest.approx(math.exp(LOGPROB + 5 / 4))
    assert weight(TruncatedImportance(), -1.0, claim=-5.0) == pytest.approx(math.exp(LOGPROB + 5 / 4))
    assert weight(TruncatedImportance(), 1.0, claim=-5.0, pad=3) == pytest.approx(math.exp(LOGPROB + 5 / 4))


def test_tis_does_not_use_what_it_cannot_compare():
    assert weight(TruncatedImportance(), -1.0) == 0, "nothing claimed"
    assert weight(TruncatedImportance(), -1.0, claim=-5.0, same_tokens=False) == 0


def test_tis_truncates():
    assert weight(TruncatedImportance(), 1.0, claim=-14.0) == WEIGHT_MAX


F_TIS = TruncatedImportance(gap_max=GAP_MAX)


def gap(nats, tokens=4):
    """The claim of a publisher that found each of the tokens likelier by `nats` than this policy does."""
    return tokens * (LOGPROB + nats)


def test_f_tis_leaves_bad_text_alone_that_is_far_from_this_policy():
    assert weight(F_TIS, -1.0, claim=gap(GAP_MAX + 0.01)) == 0
    near = gap(GAP_MAX - 0.01)
    assert weight(F_TIS, -1.0, claim=near) == weight(TruncatedImportance(), -1.0, claim=near) > 0


@given(st.floats(-1.5, 1.4))
def test_f_tis_keeps_good_text_however_far(nats):
    assert weight(F_TIS, 1.0, claim=gap(nats)) == weight(TruncatedImportance(), 1.0, claim=gap(nats)) > 0


# HACPO --------------------------------------------------------------------------------------------


@given(nats=st.floats(-1.4, 1.4), advantage=st.sampled_from([-1.0, 1.0]))
def test_hacpo_trains_only_on_what_is_a_little_less_likely_here(nats, advantage):
    found = weight(NearImportance(), advantage, claim=gap(nats))
    ratio = math.exp(-nats)
    if 1 - DELTA + 1e-3 < ratio < 1 - 1e-3:
        assert found == pytest.approx(ratio**2, rel=1e-3)
    elif not 1 - DELTA - 1e-3 < ratio < 1 + 1e-3:
        assert found == 0


def test_hacpo_does_not_use_what_it_cannot_compare():
    assert weight(NearImportance(), -1.0) == 0, "nothing claimed"
    assert weight(NearImportance(), -1.0, claim=gap(0.1), same_tokens=False) == 0


# Positives only -----------------------------------------------------------------------------------


def test_imitation_uses_what_was_good_and_nothing_else():
    assert weight(Imitate(), 1.5) == 1
    assert weight(Imitate(), -1.5) == 0


# All ----------------------------------------------------------------------------------------------


@given(
    claim=st.one_of(st.just(NAN), st.floats(-1e12, 1e6)),
    logprob=st.floats(-100, 0),
    advantage=st.sampled_from([-2.0, -0.3, 0.3, 2.0]),
    tokens=st.integers(1, 40),
    same=st.booleans(),
)
def test_no_claim_gets_more_than_the_cap(claim, logprob, advantage, tokens, same):
    for loss, most in (
        (Topr(), 1),
        (TruncatedImportance(), WEIGHT_MAX),
        (F_TIS, WEIGHT_MAX),
        (NearImportance(), 1),
        (Imitate(), 1),
    ):
        found = weight(loss, advantage, claim=claim, logprob=logprob, tokens=tokens, same_tokens=same)
        assert 0 <= found <= most, loss


def row(advantage, *, claim=NAN, same_tokens=True):
    return TrainRow(
        tokens=TokenRow((1,), (2,)),
        advantage=advantage,
        rollout_logprobs=None,
        behaviour_logprob_sum=None if math.isnan(claim) else claim,
        text_bytes=1,
        same_tokens=same_tokens,
    )


@pytest.mark.parametrize("loss", [AsOwn(Grpo(0.2, 0.28)), Topr(), TruncatedImportance(), Imitate()])
@given(
    claim=st.sampled_from([NAN, -5.0]),
    advantage=st.sampled_from([-2.0, 0.3]),
    same_tokens=st.booleans(),
)
def test_what_is_left_out_beforehand_is_exactly_what_would_get_no_gradient(
    loss, claim, advantage, same_tokens
):
    known = {"claim": claim, "same_tokens": same_tokens}
    assert loss.trains_on(row(advantage, **known)) == (weight(loss, advantage, **known) != 0)
    assert not loss.trains_on(row(0.0, **known))


@given(claim=st.one_of(st.just(NAN), st.floats(-1e12, 1e6)))
def test_bad_text_that_is_impossible_here_is_left_alone_whatever_was_claimed(claim):
    for loss in (Topr(), TruncatedImportance(), F_TIS, NearImportance(), Imitate()):
        assert weight(loss, -1.0, claim=claim, logprob=-60.0) < 1e-9, loss


def test_the_configuration_names_each_of_them():
    algorithm = Grpo(0.2, 0.28)
    chosen = {
        "as_own": AsOwn(algorithm),
        "topr": Topr(),
        "tis": TruncatedImportance(),
        "f_tis": F_TIS,
        "hacpo": NearImportance(),
        "imitate": Imitate(),
    }
    for name, loss in chosen.items():
        assert external_loss(LearningConfig(external_loss=name), algorithm) == loss
    assert external_loss(LearningConfig(), algorithm) == chosen["imitate"]
