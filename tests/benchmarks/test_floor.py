"""What a step needs at least, given how fast a machine reads and multiplies."""

from dataclasses import replace

import pytest

from benchmarks import floor as measuring
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


class Clock:
    """Time passes only while a matrix is multiplied, at `flop` operations per second."""

    def __init__(self, flop):
        self.now, self.products, self._flop = 0.0, [], flop

    def perf_counter(self):
        return self.now

    def matmul(self, left, right):
        self.products.append(len(left))
        self.now += 2 * len(left) ** 3 / self._flop


@pytest.mark.parametrize("flop", [1e8, 1e10, 1e13])
def test_a_rate_is_measured_within_seconds_on_the_slowest_and_the_fastest_machine(flop, monkeypatch):
    clock = Clock(flop)
    monkeypatch.setattr(measuring, "time", clock)
    monkeypatch.setattr(measuring.torch, "matmul", clock.matmul)
    assert measuring._matmul_rate(measuring.torch.float32, "cpu") == pytest.approx(flop)
    assert clock.now < 4 * measuring.RATE_S


def test_a_slow_machine_multiplies_small_matrices_and_a_fast_one_large_ones(monkeypatch):
    sides = []
    for flop in (1e8, 1e13):
        clock = Clock(flop)
        monkeypatch.setattr(measuring, "time", clock)
        monkeypatch.setattr(measuring.torch, "matmul", clock.matmul)
        measuring._matmul_rate(measuring.torch.float32, "cpu")
        sides.append(max(clock.products))
    assert sides == [measuring.SIDES[0], measuring.SIDES[-1]]
