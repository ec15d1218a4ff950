"""Packed rows give what padded ones give: log-probabilities, and the gradient of every weight."""

import pytest
import torch
from peft import LoraConfig, get_peft_model

from swarmd.logprobs import PaddedLogprobs, TokenRow, attention
from swarmd.logprobs import packed as packed_module
from swarmd.logprobs import packing as packing_module
from swarmd.logprobs.attention import FLOAT32_TOKENS_MAX
from swarmd.logprobs.packing import pack, packed_tokens, shape_multiple
from tests.logprobs.making import BODIES, UNEVEN, make_model, make_rows, packed

FLOAT32 = torch.float32


def padded(model, dtype=FLOAT32):
    return PaddedLogprobs(model, pad_id=0, dtype=dtype)


def assert_same(found, expected, relative=2e-5):
    assert torch.equal(found[1], expected[1]), "the masks"
    assert torch.allclose(found[0], expected[0], atol=1e-5)
    assert found[2].keys() == expected[2].keys()
    for name, gradient in expected[2].items():
        assert (found[2][name] - gradient).abs().max() <= relative * gradient.abs().max() + 1e-7, name


@pytest.mark.parametrize("temperature", [1.0, 0.7])
@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("body", BODIES)
def test_uneven_rows_have_the_logprobs_and_gradients_of_padded_ones(
    model, computed, body, temperature, recompute
):
    engine = packed(model, body, recompute=recompute)
    expected = computed(model, padded(model), UNEVEN, temperature)
    assert_same(computed(model, engine, UNEVEN, temperature), expected)


@pytest.mark.parametrize(
    "rows",
    [make_rows((6, (4, 4, 4, 4))), make_rows((5, (1, 1))), make_rows((5, (3,)), (5, (3,)))],
    ids=["even", "single tokens", "prompts of one length"],
)
@pytest.mark.parametrize("body", BODIES)
def test_regular_rows_too(model, computed, body, rows):
    assert_same(computed(model, packed(model, body), rows), computed(model, padded(model), rows))


def test_the_embedding_of_a_padding_token_is_not_trained_through_look_ups(computed):
    model = make_model("llama: untied")
    rows = [TokenRow((5, 0, 7), (0, 9)), TokenRow((5, 0, 7), (2, 0, 3))]
    found = computed(model, packed(model, BODIES[0]), rows)
    assert_same(found, computed(model, padded(model), rows))
    assert found[2]["model.embed_tokens.weight"][0].eq(0).all()


def test_adapters_are_trained_and_nothing_else(computed):
    model = make_model("qwen2: biases, shared heads, tied")
    adapted = get_peft_model(model, LoraConfig(r=3, lora_alpha=6, target_modules="all-linear"))
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:
                parameter.normal_(0, 0.2, generator=torch.Generator().manual_seed(5))
    adapted.eval()
    expected = computed(adapted, padded(adapted), UNEVEN)
    for recompute in (False, True):
        assert_same(computed(adapted, packed(adapted, BODIES[1], recompute=recompute), UNEVEN), expected)
    assert all("lora_" in name for name in expected[2])


@pytest.mark.parametrize("body", BODIES)
def test_bfloat16_stays_close(computed, body):
    model = make_model("qwen2: biases, shared heads, tied")
    expected = computed(model, padded(model), UNEVEN)
    found = computed(model, packed(model, body, torch.bfloat16), UNEVEN)
    autocast = computed(model, padded(model, torch.bfloat16), UNEVEN)
    assert found[0].dtype == torch.float32
    error, usual = ((run[0] - expected[0]).abs().max() for run in (found, autocast))
    assert error < 2 * usual + 0.05
    for name, gradient in expected[2].items():
        cosine = torch.cosine_similarity(found[2][name].flatten(), gradient.flatten(), dim=0)
        assert cosine > 0.99, name


def test_our_own_layers_round_where_transformers_does(model, monkeypatch):
    monkeypatch.setattr(attention, "FLOAT32_TOKENS_MAX", 0)  # there we are more precise on purpose
    rows = make_rows((9, (12,) * 6), (5, (12,) * 6))
    with torch.no_grad():
        own, theirs = (packed(model, body, torch.bfloat16).logprobs(rows, 1.0)[0] for body in BODIES)
        exact = packed(model, BODIES[0]).logprobs(rows, 1.0)[0]
    assert (own - theirs).abs().mean() < 0.4 * (theirs - exact).abs().mean()


@pytest.mark.parametrize("dtype", [FLOAT32, torch.bfloat16])
@pytest.mark.parametrize("body", BODIES)
def test_gradients_of_several_calls_add_up(model, computed, body, dtype):
    engine = packed(model, body, dtype)
    once = computed(model, engine, UNEVEN)[2]
    for _ in range(2):  # on top of what `computed` left
        logprobs, _ = engine.logprobs(UNEVEN, 1.0)
        weights = torch.randn(logprobs.shape, generator=torch.Generator().manual_seed(3))
        (logprobs * weights).sum().backward()
    for name, parameter in model.named_parameters():
        assert torch.allclose(parameter.grad, 3 * once[name], atol=1e-4, rtol=1e-4), name


@pytest.mark.parametrize("dtype", [FLOAT32, torch.bfloat16])
@pytest.mark.parametrize("body", BODIES)
def test_one_mask_is_kept_for_all_layers(body, dtype):
    model = make_model("qwen2: biases, shared heads, tied")
    length = FLOAT32_TOKENS_MAX + 2
    rows = make_rows((3, (length, length)), (2, (length,)))
    kept = {}

    def note(tensor):
        if tensor.shape[-1:] == (3 + length - 1,) and tensor.ndim == 4:
            kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        packed(model, body, dtype).logprobs(rows, 1.0)
    assert len(kept) == 1


@pytest.mark.parametrize("body", BODIES)
def test_without_gradients_nothing_is_left_in_the_weights(model, body):
    with torch.no_grad():
        logprobs, _ = packed(model, body).logprobs(UNEVEN, 1.0)
    assert not logprobs.requires_grad
    assert all(p.grad is None for p in model.parameters())


@pytest.mark.parametrize("body", BODIES)
def test_the_model_is_left_as_it_was(model, computed, body):
    implementation = model.config._attn_implementation
    computed(model, packed(model, body, recompute=True), UNEVEN)
    assert model.config._attn_implementation == implementation
    assert not any(module.training for module in model.modules())


def test_a_prompt_counts_once_and_last_tokens_not_at_all():
    model = make_model("llama: untied")
    rows = make_rows((7, (5, 1, 9)), (12, (3,)))
    assert packed(model, BODIES[0]).tokens(rows) == 7 + 4 + 0 + 8 + 12 + 2


@pytest.mark.parametrize("multiple", [4, 32, 100])
@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("rows", [UNEVEN, make_rows((3, (1,))), make_rows((6, (4, 4)))])
def test_what_fills_a_packing_up_changes_nothing(model, computed, monkeypatch, body, multiple, rows):
    expected = computed(model, packed(model, body), rows)
    monkeypatch.setattr(packed_module, "shape_multiple", lambda *_: multiple)
    assert_same(computed(model, packed(model, body), rows), expected)


def test_every_shape_that_is_compiled_for_is_a_round_number():
    multiple = shape_multiple(torch.device("cpu"), torch.bfloat16, 1)
    assert multiple > 1
    for rows in (UNEVEN, make_rows((1, (1,))), make_rows((40, (9, 9)), (2, (3,)))):
        packing = pack(rows, multiple)
        assert len(packing.ids) % multiple == len(packing.targets) % multiple == 0
        assert len(packing.ids) < packed_tokens(rows) + multiple


def test_if_nothing_is_compiled_nothing_is_filled_up(monkeypatch):
    monkeypatch.setattr(packing_module, "onednn_is_faster", lambda: True)
    assert shape_multiple(torch.device("cpu"), torch.float32, 512) > 1
    assert shape_multiple(torch.device("cpu"), torch.float32, 511) == 1
    monkeypatch.setattr(packing_module, "onednn_is_faster", lambda: False)
    assert shape_multiple(torch.device("cpu"), torch.float32, 512) == 1
    assert shape_multiple(torch.device("cuda"), torch.bfloat16, 512) == 1
    assert len(pack(UNEVEN).ids) == packed_tokens(UNEVEN)
