"""What a step needs at least, given how fast a machine reads and multiplies."""

from dataclasses import replace

import pytest

from benchmarks.floor import Rates, Shape, floor

SHAPE = Shape(
    layer_weights=900,
    head_weights=100,
    groups=1,
    group_size=4,
    prompt_tokens=10,
    completion_tokens=40,
    dtype="float32",
)
SLOW_MEMORY = Rates(read_bytes_per_s=1.0, matmul_flop_per_s={"float32": 1e9, "bfloat16": 1e9})
SLOW_MULTIPLY = Rates(read_bytes_per_s=1e9, matmul_flop_per_s={"float32": 1.0, "bfloat16": 1.0})


def test_where_memory_is_slow_each_decoding_step_reads_the_weights_once():
    assert floor(SHAPE, SLOW_MEMORY).generation == pytest.approx(10 * 1000 * 4)
    halved = replace(SHAPE, dtype="bfloat16")
    assert floor(halved, SLOW_MEMORY).generation == pytest.approx(10 * 1000 * 2)


def test_where_multiplying_is_slow_every_token_goes_through_the_weights_once_and_the_prompt_once_a_group():
    assert floor(SHAPE, SLOW_MULTIPLY).generation == pytest.approx(2 * (40 * 1000 + 10 * 900))


def test_training_multiplies_three_times_and_skips_the_output_layer_for_prompts():
    assert floor(SHAPE, SLOW_MULTIPLY).loss_backward == pytest.approx(6 * (50 * 900 + 40 * 100))
