"""vLLM on CUDA, if it is installed: it writes with the present weights, and gives their log-probabilities."""

import threading

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from swarmd.policy.engines import EngineWish, Subject, choose_engine
from swarmd.rollout.interface import GenerationStoppedError
from swarmd.rollout.sampling import draw_uniforms
from swarmd.rollout.vllm import start_vllm_engine

pytest.importorskip("vllm")

ENDS = frozenset({5})
DTYPE = torch.bfloat16
TOKENS = 40
ROWS = 8
GIB = 2**30


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    sizes = LlamaConfig(
        vocab_size=1000,
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=3,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=512,
        initializer_range=0.3,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=0,
    )
    return LlamaForCausalLM(sizes).eval().to("cuda")


@pytest.fixture(scope="module")
def engine(model):
    """One for all tests: vLLM can sleep in only one instance per process."""
    return start_vllm_engine(
        model, eos_ids=ENDS, dtype=DTYPE, temperature=1.0, memory_bytes=20 * GIB, decode_tokens=4_096
    )


def decode(engine, **more):
    rng = torch.Generator().manual_seed(1)
    prompts = torch.randint(10, 1000, (1, 60), generator=rng).tolist()
    uniforms = draw_uniforms(ROWS, TOKENS, rng)
    return prompts[0], engine.decode(prompts, ROWS, TOKENS, uniforms=uniforms, temperature=1.0, **more)


@torch.no_grad()
def mean_distance(model, prompt, rows):
    """Mean difference of the rows' logprobs from those of a forward pass in float32, in nats."""
    apart = []
    for row in rows:
        ids = torch.tensor([[*prompt, *row.token_ids]], device="cuda")
        logprobs = model(ids).logits[0].log_softmax(-1)[len(prompt) - 1 : -1]
        found = logprobs.gather(1, ids[0, len(prompt) :, None])[:, 0].cpu()
        apart.append((found - torch.tensor(row.logprobs)).abs())
    return torch.cat(apart).mean().item()


def test_the_same_draws_give_the_same_rows_and_other_weights_other_rows(model, engine):
    _, rows = decode(engine)
    assert decode(engine)[1] == rows
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.5 * parameter.std() * torch.randn_like(parameter))
    assert decode(engine)[1] != rows


def test_logprobs_are_as_close_to_a_forward_pass_as_those_of_our_own_decoding(model, engine):
    ours = choose_engine(EngineWish("own"), Subject(model, 0, DTYPE), eos_ids=ENDS).engine
    assert mean_distance(model, *decode(engine)) < 2 * mean_distance(model, *decode(ours))


def test_a_call_that_is_stopped_leaves_the_engine_whole(engine):
    _, rows = decode(engine)
    stop = threading.Event()
    stop.set()
    with pytest.raises(GenerationStoppedError):
        decode(engine, should_stop=stop)
    assert decode(engine)[1] == rows


def test_between_calls_only_vllm_s_own_buffers_stay_on_the_gpu(engine):
    decode(engine)
    asleep = torch.cuda.mem_get_info()[0]
    decode(engine)
    assert torch.cuda.mem_get_info()[0] >= asleep - GIB // 2
