"""Decoding on CUDA: graphs write what transformers writes, also when rows leave and weights change."""

import threading

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, Qwen3Config, Qwen3ForCausalLM

from swarmd.llama import LlamaEngine
from swarmd.llama.decoding import ACCELERATOR_STEPS
from swarmd.policy.engines import EngineWish, Subject, choose_engine
from swarmd.rollout import EagerEngine
from swarmd.rollout.interface import GenerationStoppedError
from swarmd.rollout.sampling import draw_uniforms

EOS_IDS = frozenset(range(20))
PROMPTS = [[65, 66, 67], [70] * 40, [90, 91, 92, 93, 94, 95, 96], [100], [33, 44, 55]]
TOKENS = 40
SIZES = {
    "vocab_size": 300,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "initializer_range": 0.3,
    "bos_token_id": None,
    "eos_token_id": None,
    "pad_token_id": 0,
}
MODELS = {"llama": (LlamaForCausalLM, LlamaConfig), "qwen3": (Qwen3ForCausalLM, Qwen3Config)}


@pytest.fixture(params=MODELS)
def model(request):
    torch.manual_seed(0)
    kind, config = MODELS[request.param]
    return kind(config(**SIZES)).eval().to("cuda")


def engine_of(model, dtype=torch.float32):
    choice = choose_engine(EngineWish(), Subject(model, 0, dtype), eos_ids=EOS_IDS)
    assert isinstance(choice.engine, LlamaEngine), choice.reason
    assert choice.engine.stream is not None, choice.reason
    return choice.engine


def decode(engine, greedily=False, **more):
    uniforms = None if greedily else draw_uniforms(len(PROMPTS) * 4, TOKENS, torch.Generator().manual_seed(1))
    wanted = {"progress": None, "should_stop": None, **more}
    return engine.decode(PROMPTS, 4, TOKENS, uniforms=uniforms, temperature=0.8, **wanted)


def same(ours, theirs):
    assert [row.token_ids for row in ours] == [row.token_ids for row in theirs]
    assert [row.finished for row in ours] == [row.finished for row in theirs]
    for one, other in zip(ours, theirs, strict=True):
        assert one.logprobs == pytest.approx(other.logprobs, abs=1e-3)


def test_graphs_write_what_transformers_forward_writes_while_rows_leave(model):
    eager = EagerEngine(model, pad_id=0, eos_ids=EOS_IDS, dtype=torch.float32)
    sampled = decode(eager)
    lengths = sorted(len(row.token_ids) for row in sampled)
    assert lengths[0] < ACCELERATOR_STEPS < lengths[-1], "rows leave, and a smaller batch is captured"
    same(decode(engine_of(model)), sampled)


def test_graphs_read_the_present_weights(model):
    engine = engine_of(model)
    before = decode(engine, greedily=True)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(0.9)
    after = decode(engine, greedily=True)
    same(after, decode(EagerEngine(model, pad_id=0, eos_ids=EOS_IDS, dtype=torch.float32), greedily=True))
    assert after != before


def test_in_bfloat16_graphs_give_the_logprobs_of_the_same_steps_run_one_by_one(model):
    engine = engine_of(model, torch.bfloat16)
    completions = torch.randint(20, 300, (len(PROMPTS), TOKENS), generator=torch.Generator().manual_seed(2))
    captured = engine.replay(PROMPTS, completions)
    engine.stream = None
    assert torch.allclose(captured, engine.replay(PROMPTS, completions), atol=1e-3)


def test_a_call_that_is_stopped_leaves_the_engine_whole(model):
    engine = engine_of(model)
    whole = decode(engine)
    stop = threading.Event()
    with pytest.raises(GenerationStoppedError):
        decode(engine, progress=lambda _: stop.set(), should_stop=stop)
    same(decode(engine), whole)


def test_memory_taken_for_graphs_is_given_back(model):
    engine = engine_of(model)
    decode(engine)
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    for _ in range(5):
        decode(engine)
    torch.cuda.synchronize()
    assert torch.cuda.memory_allocated() <= before
