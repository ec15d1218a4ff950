"""Our own decoding: which models it takes, and that it writes what transformers' forward writes."""

import pytest
import torch
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
)

from swarmd.llama.decoding import LlamaEngine
from swarmd.logprobs import PaddedLogprobs, TokenRow
from swarmd.policy.engines import EngineWish, Subject, choose_engine, choose_logprobs
from swarmd.rollout import EagerEngine
from swarmd.rollout.sampling import draw_uniforms
from tests.llama.making import EOS_IDS, KNOWN, PROMPTS, build, decode, rope, same

UNKNOWN = {
    "GPT2LMHeadModel": (
        GPT2LMHeadModel,
        GPT2Config,
        {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64},
    ),
    "sliding window": (MistralForCausalLM, MistralConfig, {"sliding_window": 8}),
    "type dynamic": (LlamaForCausalLM, LlamaConfig, rope("dynamic", factor=2.0)),
}


def own(model, dtype=torch.float32, wish="own"):
    choice = choose_engine(EngineWish(wish), Subject(model, 0, dtype), eos_ids=EOS_IDS)
    return choice.engine, choice.reason


@pytest.mark.parametrize("name", KNOWN)
def test_a_known_model_is_decoded_as_transformers_decodes_it(name):
    model = build(*KNOWN[name])
    engine, reason = own(model)
    assert isinstance(engine, LlamaEngine)
    assert "our own decoding" in reason
    eager = EagerEngine(model, pad_id=0, eos_ids=EOS_IDS, dtype=torch.float32)
    sampled = decode(eager)
    assert len({len(row.token_ids) for row in sampled}) > 2, "rows that end at different steps"
    same(decode(engine), sampled)
    same(decode(engine, greedily=True, copies=1), decode(eager, greedily=True, copies=1))


def test_prompts_of_one_length_need_no_padding():
    model = build(*KNOWN["qwen2"])
    prompts = [[5, 6, 7], [70, 80, 90]]
    eager = EagerEngine(model, pad_id=0, eos_ids=EOS_IDS, dtype=torch.float32)
    same(decode(own(model)[0], prompts), decode(eager, prompts))


def test_many_prompts_are_prefilled_in_several_runs(monkeypatch):
    model = build(*KNOWN["qwen2"])
    together = decode(own(model)[0])
    monkeypatch.setattr("swarmd.llama.forward.PREFILL_TOKENS_MAX", 10)
    same(decode(own(model)[0]), together)


def test_a_row_does_not_depend_on_the_rows_beside_it():
    engine, _ = own(build(*KNOWN["llama, keys shared by two heads"]))
    uniforms = draw_uniforms(len(PROMPTS), 12, torch.Generator().manual_seed(2))
    together = decode(engine, copies=1, uniforms=uniforms)
    alone = [
        decode(engine, [prompt], copies=1, uniforms=uniforms[index : index + 1])[0]
        for index, prompt in enumerate(PROMPTS)
    ]
    same(together, alone)


def test_looking_for_finished_rows_less_often_changes_only_when_progress_is_reported():
    engine, _ = own(build(*KNOWN["qwen2"]))
    always, seldom = [], []
    each_step = decode(engine, progress=always.append)
    engine.interval = 5
    same(decode(engine, progress=seldom.append), each_step)
    assert sum(seldom) == sum(always) == sum(len(row.token_ids) for row in each_step)
    assert len(seldom) == 3, "after 5, 10 and 12 tokens"


@pytest.mark.parametrize("missing", UNKNOWN)
def test_an_unknown_model_is_left_to_transformers_and_the_reason_says_what_is_unknown(missing):
    model = build(*UNKNOWN[missing])
    engine, reason = own(model, wish="auto")
    assert isinstance(engine, EagerEngine)
    assert missing in reason
    assert decode(engine, [[1, 2]], copies=1)


def test_a_known_class_that_computes_something_else_is_found_out():
    model = build(*KNOWN["qwen2"])
    model.model.layers[0].mlp.register_forward_hook(lambda _module, _given, output: output * 1.1)
    engine, reason = own(model, wish="auto")
    assert isinstance(engine, EagerEngine)
    assert "differs" in reason


def test_a_replaced_linear_layer_is_not_taken_for_one():
    model = build(*KNOWN["qwen2"])

    class Doubled(torch.nn.Linear):
        def forward(self, x):
            return 2 * super().forward(x)

    model.model.layers[1].mlp.up_proj = Doubled(32, 48, bias=False)
    engine, reason = own(model, wish="auto")
    assert isinstance(engine, EagerEngine)
    assert "Doubled" in reason


def test_the_present_weights_are_used_not_those_of_the_first_call():
    model = build(*KNOWN["qwen2"])
    engine, _ = own(model)
    before = decode(engine)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(0.9)
    eager = EagerEngine(model, pad_id=0, eos_ids=EOS_IDS, dtype=torch.float32)
    after = decode(engine)
    same(after, decode(eager))
    assert after != before


@pytest.mark.parametrize("name", ["qwen2", "qwen3, norms on heads of another size"])
def test_in_bfloat16_its_logprobs_are_as_close_to_recomputed_ones_as_transformers_are(name):
    model = build(*KNOWN[name])
    logprobs_engine = PaddedLogprobs(model, pad_id=0, dtype=torch.bfloat16)

    def mean_difference(engine):
        decoded = decode(engine)
        prompts = [tuple(prompt) for prompt in PROMPTS for _ in range(3)]
        rows = [TokenRow(p, row.token_ids) for p, row in zip(prompts, decoded, strict=True)]
        with torch.no_grad():
            recomputed, mask = logprobs_engine.logprobs(rows, 0.8)
        own_logprobs = torch.tensor([nats for row in decoded for nats in row.logprobs])
        return float((recomputed[mask] - own_logprobs).abs().mean())

    engine, reason = own(model, torch.bfloat16)
    assert isinstance(engine, LlamaEngine), reason
    eager = EagerEngine(model, pad_id=0, eos_ids=EOS_IDS, dtype=torch.bfloat16)
    assert mean_difference(engine) < 1.5 * mean_difference(eager)


def rename(model, old):
    """The model as a later transformers might build it: our reader does not find `old`, its own forward
    does."""
    body, plain = model.model, model.model.forward
    owners = [module for module in body.modules() if hasattr(module, old)]
    parts = [getattr(owner, old) for owner in owners]

    def hide():
        for owner, part in zip(owners, parts, strict=True):
            delattr(owner, old)
            setattr(owner, f"new_{old}", part)

    def forward(*args, **more):
        for owner, part in zip(owners, parts, strict=True):
            setattr(owner, old, part)
        try:
            return plain(*args, **more)
        finally:
            hide()

    hide()
    body.forward = forward


@pytest.mark.parametrize("renamed", ["rotary_emb", "variance_epsilon", "q_proj"])
def test_a_llama_whose_parts_have_other_names_is_decoded_by_transformers_with_the_reason(renamed):
    model = build(*KNOWN["llama, tied head"])
    rename(model, renamed)
    engine, reason = own(model, wish="auto")
    assert isinstance(engine, EagerEngine)
    assert "built differently in this release of transformers" in reason
    assert renamed in reason
    choice = choose_logprobs(Subject(model, 0, torch.float32))
    assert "by transformers' layers" in choice.reason
    assert renamed in choice.reason


@pytest.mark.parametrize("name", KNOWN)
def test_steps_whose_shape_stays_write_what_growing_steps_write(name):
    """What a CUDA device replays as a graph is the same code, so it is compared on the CPU."""
    engine, _ = own(build(*KNOWN[name]))
    growing, greedy_too = decode(engine), decode(engine, greedily=True, copies=1)
    engine.fixed = True
    for interval in (1, 4):
        engine.interval = interval
        same(decode(engine), growing)
        same(decode(engine, greedily=True, copies=1), greedy_too)
