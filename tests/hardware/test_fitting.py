"""What is chosen under a memory limit: never more than it, all weights before an adapter, or a refusal."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoConfig, GPT2Config, PreTrainedModel, Qwen2Config

from swarmd.assets import EMBEDDED_MODEL_DIR
from swarmd.config import PolicyConfig
from swarmd.errors import ModelError
from swarmd.hardware.arrangement import Arrangement, EnginesMemory, Workload
from swarmd.hardware.budgets import Budgets
from swarmd.hardware.fitting import Situation, fit, needed_for
from swarmd.hardware.memory import predict_memory
from swarmd.hardware.plan import Demand, plan_hardware
from swarmd.hardware.probe import GIB, Accelerator, HardwareProbe
from swarmd.hardware.rates import Rates
from swarmd.hardware.remembered import ShrunkBudgets
from swarmd.hardware.shape import ModelShape
from swarmd.logprobs.memory import packed_memory, padded_memory
from swarmd.logprobs.padded import LOGIT_BYTES, tokens_weight
from swarmd.model import on_meta, shape_of
from swarmd.policy.memory import engines_memory
from swarmd.rollout.memory import eager_memory

METAS: dict[ModelShape, PreTrainedModel] = {}


def sized(config):
    """The shape of the model with this configuration. Its engines are asked for by `engines`."""
    model = on_meta(config)
    shape = shape_of(model)
    shape.adapter_parameters(1)  # counted once, and not within the time of one example
    METAS[shape] = model
    return shape


def engines(shape, wish="auto"):
    return engines_memory(METAS[shape], wish)


UNKNOWN = EnginesMemory(eager_memory, packed_memory)
PADDED = EnginesMemory(eager_memory, padded_memory)
QWEN = sized(
    Qwen2Config(
        hidden_size=896,
        num_hidden_layers=24,
        num_attention_heads=14,
        num_key_value_heads=2,
        intermediate_size=4864,
        vocab_size=151_936,
        tie_word_embeddings=True,
    )
)
EMBEDDED = sized(AutoConfig.from_pretrained(EMBEDDED_MODEL_DIR))
STEP = Workload(own_groups=4, external_groups=4, group_size=8, prompt_tokens=200, new_tokens=256)
LAPTOP = HardwareProbe((), 8, 0.0, False, None, free_bytes=4 * GIB, held_bytes=GIB // 2)
RATES = Rates(1e11, 8e11, 1e10)


def plan(probe=LAPTOP, shape=QWEN, work=STEP, demand=None, **wishes):
    config = PolicyConfig(**{"model": "Qwen/Qwen2.5-0.5B", **wishes})
    return plan_hardware(
        config,
        probe=probe,
        demand=Demand(shape, engines(shape, config.engine), work, **(demand or {})),
        rates=RATES,
    )


def gpu(free):
    return dataclasses.replace(LAPTOP, accelerators=(Accelerator("cuda:0", "RTX", free, True),))


def test_own_and_external_groups_may_go_through_the_model_in_one_pass_but_not_surely():
    assert STEP.train_tokens == (4 + 4) * STEP.group_tokens
    assert not STEP.is_one_micro_batch(STEP.train_tokens), "others' groups may be larger"
    alone = dataclasses.replace(STEP, external_groups=0)
    assert alone.is_one_micro_batch(alone.train_tokens)
    assert not alone.is_one_micro_batch(alone.train_tokens - 1)


def test_the_shape_of_a_model_is_known_without_its_weights():
    assert QWEN.parameters == 494_032_768
    assert QWEN.head_parameters == 151_936 * 896
    assert (QWEN.layers, QWEN.cache_width, QWEN.context) == (24, 2 * 2 * 64, 32_768)
    attention, mlp = 896 * (896 + 2 * 128 + 896), 3 * 896 * 4864
    assert QWEN.linear_parameters == 24 * (attention + mlp)
    assert EMBEDDED.parameters == 1_437_600


def test_the_shape_gives_the_size_of_an_adapter(make_policy):
    policy = make_policy(lora_rank=4)
    trained = sum(p.numel() for _, p in policy.trainable_parameters())
    assert sized(policy.model.config).adapter_parameters(4) == trained


def test_linear_layers_of_gpt2_count_too():
    shape = sized(GPT2Config(n_embd=32, n_layer=2, n_head=2, vocab_size=50, n_positions=64))
    assert shape.linear_parameters == 2 * 12 * 32 * 32
    widths = (32 + 96, 32 + 32, 32 + 128, 128 + 32)  # query, key and value in one; out; up; down
    assert shape.adapter_parameters(4) == 4 * 2 * sum(widths)


def test_a_large_gpu_trains_all_weights_in_large_batches():
    chosen = plan(gpu(24 * GIB))
    assert (chosen.lora, chosen.budgets.gradient_checkpointing) == (None, False)
    assert chosen.budgets.decode_tokens == STEP.decode_tokens, "a whole step at once, and not more"
    assert chosen.budgets.train_tokens >= STEP.group_tokens
    assert chosen.predicted_peak_bytes <= chosen.memory_limit_bytes == int(0.8 * 24 * GIB)


def qwen(hidden, layers, heads, kv_heads, width, tied):
    return sized(
        Qwen2Config(
            hidden_size=hidden,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            num_key_value_heads=kv_heads,
            intermediate_size=width,
            vocab_size=151_936,
            tie_word_embeddings=tied,
        )
    )


@pytest.mark.parametrize(
    ("model", "free", "limit"),
    [
        ((3584, 28, 28, 4, 18944, False), 24, "80%"),  # Qwen2.5-7B
        ((2048, 36, 16, 2, 11008, True), 8, "95%"),  # 3B: its weights alone take 5.75 of 6.4 GiB at 80%
        ((1536, 28, 12, 2, 8960, True), 8, "80%"),  # 1.5B
    ],
)
def test_a_frozen_base_in_bfloat16_is_on_an_accelerator_once(model, free, limit):
    shape = qwen(*model)
    chosen = plan(gpu(free * GIB), shape, lora_rank=16, memory_limit=limit)
    assert chosen.dtype == "bfloat16"
    assert chosen.budgets.train_tokens >= STEP.row_tokens


def held(
    shape=QWEN, work=STEP, device="cuda", dtype="bfloat16", rank=16, engine="auto", tokens=1000, by=None
):
    """What is held at the peak of decoding, and of training."""
    way = Arrangement(device, dtype, rank, Budgets(tokens, tokens))
    found = predict_memory(shape, way, work, by or engines(shape, engine), held_bytes=0)
    return found.decoding, found.training


def test_which_weights_exist_twice_while_decoding_depends_on_what_decodes():
    multiplied = 2 * (QWEN.linear_parameters + QWEN.head_parameters)
    adapters = 2 * 2 * QWEN.adapter_parameters(16)

    def copies(**way):
        return held(**{"engine": "own", **way})[0]["working copy"]

    assert copies() == adapters, "an accelerator multiplies with the weights themselves"
    assert copies(device="cpu") == multiplied + adapters, "a CPU lays them out in reduced precision"
    assert copies(device="cpu", dtype="float32", rank=None) == 0, (
        "and reads large ones as they lie in float32"
    )
    small = 4 * (EMBEDDED.linear_parameters + EMBEDDED.head_parameters)
    assert copies(shape=EMBEDDED, device="cpu", dtype="float32", rank=None) == small
    assert copies(rank=None) == multiplied, "of another number type"
    assert copies(rank=None, dtype="float32") == 0
    assert copies(engine="eager") == 0
    assert copies(engine="eager", rank=None) == multiplied
    assert copies(engine="vllm") == 2 * QWEN.parameters
    assert copies(by=UNKNOWN) == 0, "transformers' own forward decodes it"


def test_a_cache_that_grows_by_copies_takes_more():
    def cache(engine):
        return held(engine=engine)[0]["cache"]

    assert cache("own") == 2 * 1000 * QWEN.layers * QWEN.cache_width
    assert cache("eager") > cache("own")


def test_padded_rows_hold_all_their_logits_and_a_row_goes_whole():
    weight = tokens_weight(QWEN.vocab_size)
    logits = held(by=PADDED, tokens=weight * 1000)[1]["activations"]
    assert logits > LOGIT_BYTES * 1000 * QWEN.vocab_size * STEP.new_tokens // STEP.row_tokens
    assert held(by=PADDED, tokens=1)[1] == held(by=PADDED, tokens=weight * STEP.row_tokens)[1]
    again = Arrangement("cuda", "bfloat16", 16, Budgets(1, 1, gradient_checkpointing=True))
    recomputed = predict_memory(QWEN, again, STEP, PADDED, held_bytes=0).training
    assert recomputed["activations"] < held(by=PADDED, tokens=1)[1]["activations"]


def test_a_value_head_reads_states_that_are_kept():
    with_values = dataclasses.replace(STEP, values=True)
    more = held(work=with_values)[1]["activations"] - held()[1]["activations"]
    assert more == 2 * 4 * 1000 * QWEN.hidden


def test_a_generator_with_a_model_of_its_own_is_planned_for():
    assert plan(gpu(3 * GIB), lora_rank=16).predicted_peak_bytes <= 2.4 * GIB
    with pytest.raises(ModelError, match="needs"):
        plan(gpu(3 * GIB), lora_rank=16, engine="vllm")


def test_a_small_laptop_gets_an_adapter_for_half_a_billion_weights_and_the_reason():
    chosen = plan()
    assert chosen.lora.rank == 16
    assert "because all weights would need" in chosen.reasons[3]
    assert "3.20 GiB may be used" in chosen.reasons[3]
    assert chosen.predicted_peak_bytes <= 0.8 * 4 * GIB


@pytest.mark.parametrize("lora_rank", [None, 8])
def test_the_reference_of_a_kl_penalty_is_a_copy_of_what_is_trained(lora_rank):
    arrangement, held = Arrangement("cpu", "float32", lora_rank, Budgets()), []
    for reference in (False, True):
        work = dataclasses.replace(STEP, reference=reference)
        held.append(predict_memory(QWEN, arrangement, work, UNKNOWN, held_bytes=0).decoding)
    more = sum(held[1].values()) - sum(held[0].values())
    assert more == 4 * arrangement.trained_parameters(QWEN)


def test_a_tiny_model_is_trained_whole_on_the_smallest_machine():
    chosen = plan(dataclasses.replace(LAPTOP, free_bytes=int(1.6 * GIB)), EMBEDDED, model="embedded")
    assert chosen.lora is None
    assert not chosen.budgets.gradient_checkpointing


def test_a_model_that_cannot_fit_is_refused_with_need_limit_and_remedies():
    small = dataclasses.replace(LAPTOP, free_bytes=int(1.5 * GIB))
    with pytest.raises(
        ModelError, match=r"needs at least \d\.\d+ GiB, but only 1\.20 GiB.*--memory-limit.*--model"
    ):
        plan(small)


def test_a_wish_for_all_weights_as_in_a_checkpoint_is_kept_or_refused_but_never_changed():
    with pytest.raises(ModelError, match=r"training all weights.*--lora"):
        plan(lora_rank=None)
    chosen = plan(gpu(24 * GIB), lora_rank=None)
    assert chosen.lora is None
    assert "as in the checkpoint" in chosen.reasons[3]


def test_a_wish_for_an_adapter_is_kept_where_all_weights_would_fit():
    assert plan(gpu(24 * GIB), lora_rank=8).lora.rank == 8


def test_a_wish_for_a_budget_is_kept_or_refused():
    chosen = plan(gpu(24 * GIB), demand={"train_tokens": 700})
    assert chosen.budgets.train_tokens == 700
    assert any("because that was asked for" in reason for reason in chosen.reasons)
    with pytest.raises(ModelError, match="micro-batches of 2000000 tokens"):
        plan(demand={"train_tokens": 2_000_000}, work=dataclasses.replace(STEP, own_groups=900), lora_rank=16)


def test_the_limit_may_be_a_size_or_a_share():
    assert plan(gpu(24 * GIB), memory_limit="10GiB").memory_limit_bytes == 10 * GIB
    assert plan(gpu(24 * GIB), memory_limit="50%").memory_limit_bytes == 12 * GIB


def test_what_was_too_much_at_an_earlier_start_is_not_tried_again():
    shrunk = ShrunkBudgets(
        model="Qwen/Qwen2.5-0.5B",
        device="cuda:0",
        dtype="bfloat16",
        lora_rank=None,
        limit_bytes=19 * GIB,
        decode_tokens=900,
        train_tokens=600,
    )
    chosen = plan(gpu(24 * GIB), demand={"shrunk": [shrunk]})
    assert (chosen.budgets.decode_tokens, chosen.budgets.train_tokens) == (900, 600)
    assert any("earlier start" in reason for reason in chosen.reasons)
    assert not chosen.budgets.gradient_checkpointing
    twice = shrunk.model_copy(update={"gradient_checkpointing": True})
    assert plan(gpu(24 * GIB), demand={"shrunk": [twice]}).budgets.gradient_checkpointing
    adapted = plan(gpu(24 * GIB), demand={"shrunk": [shrunk]}, lora_rank=8)
    assert adapted.budgets.train_tokens > 600, "with an adapter memory never ran out"
    assert plan(gpu(40 * GIB), demand={"shrunk": [shrunk]}).budgets.train_tokens > 600, "there is more now"


def test_answering_needs_no_gradients():
    asked = dataclasses.replace(STEP, training=False)
    machine = dataclasses.replace(LAPTOP, free_bytes=6 * GIB)
    assert plan(machine).lora is not None
    assert plan(machine, work=asked).lora is None
    assert plan(gpu(24 * GIB), work=asked).predicted_peak_bytes < plan(gpu(24 * GIB)).predicted_peak_bytes


def test_checkpointing_comes_only_where_batches_would_otherwise_be_too_small():
    def way(limit):
        return fit(Situation(QWEN, engines(QWEN), "cuda", "bfloat16", STEP, 0, limit, RATES), (None,)).budgets

    roomy = way(60 * GIB)
    assert not roomy.gradient_checkpointing
    tight = next(
        budgets for limit in range(60 * GIB, 0, -GIB // 8) if (budgets := way(limit)).gradient_checkpointing
    )
    assert tight.train_tokens > STEP.row_tokens


def test_a_step_in_one_micro_batch_is_found_where_smaller_ones_would_not_fit():
    alone = Workload(own_groups=1, external_groups=0, group_size=4, prompt_tokens=200, new_tokens=32)

    def limited(limit):
        return Situation(QWEN, engines(QWEN), "cpu", "float32", alone, GIB // 4, limit, RATES)

    smallest = predict_memory(
        QWEN,
        Arrangement("cpu", "float32", None, Budgets(232, 232, True)),
        alone,
        engines(QWEN),
        held_bytes=GIB // 4,
    ).peak
    chosen = fit(limited(smallest - 1), (None,))
    assert chosen.budgets.train_tokens == alone.train_tokens
    assert needed_for(limited(smallest - 1), None) <= chosen.prediction.peak < smallest


@given(
    limit=st.integers(GIB // 8, 64 * GIB),
    shape=st.sampled_from([QWEN, EMBEDDED]),
    device=st.sampled_from(["cpu", "cuda", "mps"]),
    dtype=st.sampled_from(["float32", "bfloat16"]),
    groups=st.tuples(st.integers(0, 8), st.integers(0, 8)),
    group_size=st.integers(2, 16),
    tokens=st.tuples(st.integers(1, 2000), st.integers(1, 2000)),
    ranks=st.sampled_from([(None,), (16,), (None, 16)]),
    training=st.booleans(),
)
def test_every_plan_keeps_to_the_limit_or_is_refused(
    limit, shape, device, dtype, groups, group_size, tokens, ranks, training
):
    work = Workload(*groups, group_size, *tokens, training)
    situation = Situation(shape, engines(shape), device, dtype, work, GIB // 4, limit, RATES)
    try:
        chosen = fit(situation, ranks)
    except ModelError:
        return
    assert chosen.prediction.peak <= limit
    assert chosen.lora_rank in ranks
    assert chosen.budgets.train_tokens >= 1
    assert chosen.budgets.decode_tokens >= 1


@given(small=st.integers(GIB, 30 * GIB), more=st.integers(0, 30 * GIB))
def test_more_memory_never_makes_a_plan_slower(small, more):
    def tokens(limit):
        try:
            chosen = fit(Situation(QWEN, engines(QWEN), "cpu", "float32", STEP, 0, limit, RATES), (None, 16))
        except ModelError:
            return (0, 0)
        return (1 if chosen.lora_rank else 2, chosen.budgets.decode_tokens if chosen.lora_rank else 2**40)

    assert tokens(small) <= tokens(small + more)
