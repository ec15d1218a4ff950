"""What every engine that writes completions promises, whichever library decodes."""

import threading
from collections.abc import Callable

import pytest
import torch
from peft import PeftModel
from scipy.stats import chisquare

from swarmd.logprobs import PaddedLogprobs, TokenRow
from swarmd.policy import Policy
from swarmd.policy.engines import EngineWish, Subject, choose_engine
from swarmd.rollout import EagerEngine, Engine, GenerationStoppedError
from swarmd.rollout.sampling import draw_uniforms
from swarmd.rollout.vllm import VllmEngine
from tests.rollout.stand_in_engine import StandInEngine

pytestmark = pytest.mark.usefixtures("one_thread")


def ours(model, *, pad_id, eos_ids, dtype):
    return choose_engine(EngineWish("own"), Subject(model, pad_id, dtype), eos_ids=eos_ids).engine


ENGINES: dict[str, Callable[..., Engine]] = {
    "eager": EagerEngine,
    "own": lambda model, **given: ours(model, **given),
    "vllm": lambda model, *, pad_id, **given: VllmEngine(model, engine=stand_in(model, given), **given),
}
EOS_IDS = frozenset(range(30))  # of 259 tokens: rows finish at different steps
PROMPTS = [[65, 66, 67], [70] * 40, [90, 91, 92, 93, 94, 95, 96], [100]]
NEW_TOKENS = 12


def stand_in(model, given) -> StandInEngine:
    plain = type(model.get_base_model() if isinstance(model, PeftModel) else model)(model.config)
    return StandInEngine(plain.eval().to(given["dtype"]))


@pytest.fixture(params=ENGINES)
def build(request: pytest.FixtureRequest) -> Callable[..., Engine]:
    """build(policy, eos_ids=EOS_IDS, dtype=torch.float32): the engine under test on the policy's model."""

    def make(policy: Policy, eos_ids=EOS_IDS, dtype=torch.float32) -> Engine:
        return ENGINES[request.param](policy.model, pad_id=0, eos_ids=eos_ids, dtype=dtype)

    return make


def decode(engine, copies=3, seed=0, temperature=0.7, greedily=False, prompts=PROMPTS, **more):
    uniforms = draw_uniforms(len(prompts) * copies, NEW_TOKENS, torch.Generator().manual_seed(seed))
    more = {"progress": None, "should_stop": None, **more}
    return engine.decode(
        prompts,
        copies,
        NEW_TOKENS,
        uniforms=None if greedily else uniforms,
        temperature=temperature,
        **more,
    )


def rows_of(decoded, copies) -> list[TokenRow]:
    prompts = [tuple(prompt) for prompt in PROMPTS for _ in range(copies)]
    return [TokenRow(prompt, row.token_ids) for prompt, row in zip(prompts, decoded, strict=True)]


def largest_difference(model, decoded, copies, temperature) -> float:
    with torch.no_grad():
        recomputed, mask = PaddedLogprobs(model, pad_id=0, dtype=torch.float32).logprobs(
            rows_of(decoded, copies), temperature
        )
    assert mask.sum(dim=1).tolist() == [len(row.logprobs) for row in decoded]
    return max(
        abs(there - here)
        for line, row in zip(recomputed.tolist(), decoded, strict=True)
        for there, here in zip(line, row.logprobs, strict=False)
    )


def perturb_adapter(policy) -> None:
    """A fresh adapter changes nothing (B = 0); make it matter."""
    with torch.no_grad():
        for name, parameter in policy.trainable_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.3, generator=torch.Generator().manual_seed(7))


@pytest.mark.parametrize("lora_rank", [None, 4])
def test_the_logprobs_are_those_of_the_logprobs_engine_at_the_sampling_temperature(
    build, make_policy, lora_rank
):
    policy = make_policy(lora_rank=lora_rank)
    perturb_adapter(policy)
    decoded = decode(build(policy), temperature=0.7)
    assert len({len(row.token_ids) for row in decoded}) > 3, "rows that end at different steps"
    assert largest_difference(policy.model, decoded, 3, 0.7) < 1e-4


def test_greedy_writes_the_likeliest_tokens_with_their_logprobs_at_temperature_one(build, make_policy):
    policy = make_policy()
    decoded = decode(build(policy), copies=1, greedily=True, temperature=0.3)
    for prompt, row in zip(PROMPTS, decoded, strict=True):
        ids = list(prompt)
        for token in row.token_ids:
            with torch.no_grad():
                assert token == int(policy.model(torch.tensor([ids])).logits[0, -1].argmax())
            ids.append(token)
    assert largest_difference(policy.model, decoded, 1, 1.0) < 1e-4


def test_a_row_ends_with_an_end_token_exactly_when_it_is_finished(build, make_policy):
    decoded = decode(build(make_policy()))
    for row in decoded:
        ends = [token in EOS_IDS for token in row.token_ids]
        assert not any(ends[:-1])
        assert ends[-1] == row.finished
        assert len(row.logprobs) == len(row.token_ids)
        assert row.finished or len(row.token_ids) == NEW_TOKENS
    assert {row.finished for row in decoded} == {True, False}


def test_rows_come_prompt_by_prompt(build, make_policy):
    """Greedy copies agree within a prompt and differ between these prompts, so a mix-up would show."""
    engine = build(make_policy())
    alone = [decode(engine, copies=1, greedily=True, prompts=[prompt])[0] for prompt in PROMPTS]
    assert len({row.token_ids for row in alone}) == len(PROMPTS)
    together = decode(engine, copies=2, greedily=True)
    assert [row.token_ids for row in together] == [row.token_ids for row in alone for _ in range(2)]


def test_the_uniforms_alone_decide(build, make_policy):
    engine = build(make_policy())
    state = torch.get_rng_state()
    first, again, other = decode(engine), decode(engine), decode(engine, seed=1)
    assert [r.token_ids for r in again] == [r.token_ids for r in first]
    assert [r.token_ids for r in other] != [r.token_ids for r in first]
    assert torch.equal(torch.get_rng_state(), state), "the process's own randomness is left alone"


def test_the_copies_of_a_prompt_follow_the_exact_distribution(build, make_policy):
    """Forked copies must not share their first token."""
    policy, copies, temperature = make_policy(), 400, 1.3
    prompt = [80, 81, 82]
    with torch.no_grad():
        logits = policy.model(torch.tensor([prompt])).logits[0, -1]
    exact = torch.softmax(logits / temperature, dim=0).double()
    engine = build(policy)
    counts = torch.zeros_like(exact)
    for seed in range(3):
        uniforms = draw_uniforms(copies, 1, torch.Generator().manual_seed(seed))
        decoded = engine.decode(
            [prompt], copies, 1, uniforms=uniforms, temperature=temperature, progress=None, should_stop=None
        )
        counts += torch.bincount(torch.tensor([r.token_ids[0] for r in decoded]), minlength=len(exact))
    common = exact > 5 / counts.sum()  # chi-square needs five expected draws in each bin
    observed = torch.cat([counts[common], counts[~common].sum()[None]])
    expected = torch.cat([exact[common], exact[~common].sum()[None]]) * counts.sum()
    assert len(observed) > 5
    assert chisquare(observed.numpy(), expected.numpy(), sum_check=False).pvalue > 0.01


def test_progress_counts_every_token_once(build, make_policy):
    seen: list[int] = []
    decoded = decode(build(make_policy()), progress=seen.append)
    assert sum(seen) == sum(len(row.token_ids) for row in decoded)
    assert len(seen) > 1


def test_a_set_stop_ends_decoding(build, make_policy):
    stop = threading.Event()
    stop.set()
    with pytest.raises(GenerationStoppedError):
        decode(build(make_policy()), should_stop=stop)


def test_training_is_seen_by_the_next_call(build, make_policy):
    policy = make_policy()
    engine = build(policy)
    before = decode(engine, copies=1, greedily=True)
    with torch.no_grad():
        for _, parameter in policy.trainable_parameters():
            parameter.mul_(-1.1)
    after = decode(engine, copies=1, greedily=True)
    assert [r.token_ids for r in after] != [r.token_ids for r in before]
    assert largest_difference(policy.model, after, 1, 1.0) < 1e-4


@pytest.mark.parametrize("lora_rank", [None, 4])
def test_less_precise_numbers_leave_the_model_as_it_was(build, make_policy, lora_rank):
    policy = make_policy(lora_rank=lora_rank, dtype="bfloat16")
    perturb_adapter(policy)
    before = {name: (p.dtype, p.clone()) for name, p in policy.model.named_parameters()}
    attention = policy.model.config._attn_implementation
    decoded = decode(build(policy, dtype=torch.bfloat16))
    with torch.no_grad():
        recomputed, _ = policy.logprobs(rows_of(decoded, 3), 0.7)
    differences = [
        abs(there - here)
        for line, row in zip(recomputed.tolist(), decoded, strict=True)
        for there, here in zip(line, row.logprobs, strict=False)
    ]
    assert max(differences) < 0.5
    assert policy.model.config._attn_implementation == attention
    for name, parameter in policy.model.named_parameters():
        dtype, value = before[name]
        assert parameter.dtype == dtype
        assert torch.equal(parameter, value)


@pytest.mark.parametrize("engine", [EagerEngine, PaddedLogprobs])
def test_the_output_layer_never_reads_a_strided_slice(engine, make_policy):
    """PyTorch multiplies one in bfloat16 row by row, with a copy of the layer for each: 370 times as slow."""
    policy, contiguous = make_policy(), []
    head = policy.model.get_output_embeddings()
    hook = head.register_forward_pre_hook(lambda _, inputs: contiguous.append(inputs[0].is_contiguous()))
    try:
        if engine is EagerEngine:
            decode(EagerEngine(policy.model, pad_id=0, eos_ids=EOS_IDS, dtype=torch.float32))
        else:
            PaddedLogprobs(policy.model, pad_id=0, dtype=torch.float32).logprobs(
                [TokenRow(tuple(prompt), (5, 6, 7)) for prompt in PROMPTS[:3]], temperature=1.0
            )
    finally:
        hook.remove()
    assert contiguous
    assert all(contiguous)
