"""A completion that ends at a text: what was sampled up to there, and nothing that was not."""

import pytest
import torch

from swarmd.config import PolicyConfig
from swarmd.hardware.plan import HardwarePlan
from swarmd.logprobs import TokenRow
from swarmd.policy import Sample, load_policy
from swarmd.policy.stopping import Stops
from swarmd.rollout.interface import Decoded


def written(text, finished=True):
    return Decoded(tuple(map(ord, text)), tuple(-float(n) for n in range(len(text))), finished)


def cut(row, *stops):
    return Stops(stops, lambda ids: "".join(map(chr, ids))).cut(row)


def test_it_ends_right_after_the_first_of_the_stops():
    found = cut(written("<a>5</a>\n<a>6</a>"), "\n", "</a>")
    assert found == Decoded(tuple(map(ord, "<a>5</a>")), tuple(-float(n) for n in range(8)), False)


@pytest.mark.parametrize("finished", [True, False])
def test_without_a_stop_in_it_it_stays_as_it_is(finished):
    row = written("<a>5", finished)
    assert cut(row, "</a>") == row
    assert cut(written("", finished), "</a>") == written("", finished)


def test_a_stop_at_its_very_end_cuts_nothing():
    assert cut(written("<a>5</a>"), "</a>") == written("<a>5</a>")


def test_a_token_is_never_split():
    row = Decoded((1, 2, 3), (-1.0, -2.0, -3.0), True)
    texts = {1: "<a>5</", 2: "a>\n", 3: "more"}
    found = Stops(("</a>",), lambda ids: "".join(texts[token] for token in ids)).cut(row)
    assert found.token_ids == (1, 2)


def load(model, **more):
    plan = HardwarePlan(str(model), "cpu", "float32", 1, None, ())
    return load_policy(PolicyConfig(model=str(model), **more), plan, max_new_tokens=24)


def test_what_a_policy_samples_with_a_stop_is_the_beginning_of_what_it_samples_without(tiny_model_dir):
    free = load(tiny_model_dir)
    prompts = [free.render("2+2?")]
    samples = free.generate(prompts, 4, rng=torch.Generator().manual_seed(3))[0]
    stop = next(sample.text for sample in samples if sample.text)[1]
    stopped = load(tiny_model_dir, stop=(stop,))
    cut_ones = stopped.generate(prompts, 4, rng=torch.Generator().manual_seed(3))[0]
    assert any(
        len(one.token_ids) < len(whole.token_ids) for one, whole in zip(cut_ones, samples, strict=True)
    )
    for one, whole in zip(cut_ones, samples, strict=True):
        assert whole.text.startswith(one.text)
        assert one.text.find(stop) in (-1, len(one.text) - len(stop))
        scored = stopped.logprobs([TokenRow(tuple(prompts[0]), one.token_ids)])[0][0]
        assert scored.tolist() == pytest.approx(one.logprobs, abs=1e-4)
        if not one.finished:
            assert stopped.encode_completion(one.text, one.finished)[-1] not in stopped.tokenizer.eos_ids


@pytest.mark.parametrize("engine", ["own", "eager"])
def test_a_row_is_written_no_further_than_its_stop(tiny_model_dir, engine):
    free = load(tiny_model_dir, engine=engine)
    prompts = [free.render("2+2?"), free.render("x")]
    samples = [row for group in free.generate(prompts, 4, rng=rng()) for row in group]
    stop = next(sample.text for sample in samples if len(sample.text) > 2)[1:3]
    stopped = load(tiny_model_dir, engine=engine, stop=(stop,))
    told = []
    found = [row for group in stopped.generate(prompts, 4, rng=rng(), progress=told.append) for row in group]
    assert sum(told) == sum(len(row.token_ids) for row in found) < sum(len(row.token_ids) for row in samples)
    free._stops = stopped._stops
    free._stops.is_complete = lambda token_ids: False
    cut_later = [row for group in free.generate(prompts, 4, rng=rng()) for row in group]
    assert [row.token_ids for row in found] == [row.token_ids for row in cut_later]
    assert [row.finished for row in found] == [row.finished for row in cut_later]


def rng():
    return torch.Generator().manual_seed(3)


@pytest.mark.parametrize("stop", ["</a>", "\n", "é", "漢字", " a", "a "])
def test_a_stop_is_seen_with_the_token_that_completes_it(make_policy, stop):
    tokenizer = make_policy().tokenizer
    stops = Stops((stop,), tokenizer.decode_completion)
    ids = tokenizer.encode_completion("b" * 300 + stop + "b", False, 999)
    before = len(tokenizer.encode_completion("b" * 300 + stop, False, 999))
    assert [n for n in range(1, len(ids) + 1) if stops.is_complete(ids[:n])][:1] == [before]


def test_a_token_that_cannot_end_a_stop_is_looked_at_once():
    seen = []

    def text_of(ids):
        seen.append(len(ids))
        return "".join(map(chr, ids))

    stops = Stops(("</a>",), text_of)
    assert not any(stops.is_complete([98] * length) for length in range(1, 500))
    assert seen == [1]


def test_a_completion_that_a_stop_ended_was_not_cut_off(tiny_model_dir):
    policy = load(tiny_model_dir, stop=("</a>",))
    assert policy.has_ended(Sample((1,), "<a>5</a>", (-1.0,), finished=False))
    assert policy.has_ended(Sample((1,), "<a>5", (-1.0,), finished=True))
    assert not policy.has_ended(Sample((1,), "<a>5", (-1.0,), finished=False))
    assert not load(tiny_model_dir).has_ended(Sample((1,), "<a>5</a>", (-1.0,), finished=False))
