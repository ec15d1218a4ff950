"""Measured at the first starts with each device, PyTorch, number of threads and size of model; the best is
kept."""

import pytest

from swarmd.hardware import rates
from swarmd.hardware.rates import (
    CACHED_MAX,
    MEASUREMENTS,
    READ_BYTES,
    READ_BYTES_MIN,
    Rates,
    measure_rates,
    rates_of,
    read_bytes,
)

LARGE = 10**9  # bytes of weights, more than are read


@pytest.fixture
def measured():
    """measured(device, threads, size): made-up rates; measured.calls lists what was measured."""

    def measure(device, threads, size):
        measure.calls.append((device, threads, size))
        return Rates(1e9 * threads, None, 1e10)

    measure.calls = []
    return measure


def test_after_some_starts_what_was_measured_is_read(tmp_path, measured):
    cache = tmp_path / "rates.json"
    for _ in range(MEASUREMENTS + 2):
        assert rates_of("cpu", 2, cache, name="a", weights_bytes=LARGE, measure=measured) == Rates(
            2e9, None, 1e10
        )
    assert measured.calls == [("cpu", 2, READ_BYTES["cpu"])] * MEASUREMENTS


def test_a_start_in_a_busy_moment_does_not_stay(tmp_path):
    cache = tmp_path / "rates.json"
    seen = iter([Rates(9e9, None, 3e9), Rates(8e9, 4e10, 1e10), Rates(1e9, 1e9, 1e9)])
    found = [
        rates_of("cpu", 1, cache, name="a", weights_bytes=LARGE, measure=lambda *_: next(seen))
        for _ in range(4)
    ]
    assert found[0] == Rates(9e9, None, 3e9)
    assert found[1:] == [Rates(9e9, 4e10, 1e10)] * 3


def test_another_device_number_of_threads_or_pytorch_is_measured_anew(tmp_path, measured, monkeypatch):
    cache = tmp_path / "rates.json"
    for device, threads, name in (("cpu", 2, "a"), ("cpu", 1, "a"), ("cpu", 2, "b"), ("cuda:0", 2, "a")):
        rates_of(device, threads, cache, name=name, weights_bytes=LARGE, measure=measured)
    assert len(measured.calls) == 4
    monkeypatch.setattr("torch.__version__", "99.0")
    rates_of("cpu", 2, cache, name="a", weights_bytes=LARGE, measure=measured)
    assert len(measured.calls) == 5


@pytest.mark.parametrize("damage", [b"", b"{", b"[1]", b'{"format": 99, "entries": []}', b"\xff"])
def test_a_damaged_cache_is_measured_again_and_replaced(tmp_path, measured, damage):
    cache = tmp_path / "rates.json"
    cache.write_bytes(damage)
    for _ in range(MEASUREMENTS + 1):
        rates_of("cpu", 1, cache, name="a", weights_bytes=LARGE, measure=measured)
    assert len(measured.calls) == MEASUREMENTS


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path, measured):
    rates_of("cpu", 1, tmp_path / "none" / "rates.json", name="a", weights_bytes=LARGE, measure=measured)
    rates_of("cpu", 1, None, name="a", weights_bytes=LARGE, measure=measured)
    assert len(measured.calls) == 2


def test_the_cache_does_not_grow_without_end(tmp_path, measured):
    cache = tmp_path / "rates.json"
    for threads in range(1, CACHED_MAX + 5):
        rates_of("cpu", threads, cache, name="a", weights_bytes=LARGE, measure=measured)
    assert cache.read_text().count('"device"') == CACHED_MAX


@pytest.mark.parametrize(
    ("device", "weights", "size"),
    [
        ("cpu", 10, READ_BYTES_MIN),
        ("cpu", 5_800_000, 8 * 2**20),
        ("cpu", 8 * 2**20, 8 * 2**20),
        ("cpu", LARGE, READ_BYTES["cpu"]),
        ("cuda:0", 10, READ_BYTES["cuda"]),
    ],
)
def test_a_processor_reads_about_as_much_as_the_model_takes_and_no_more_than_caches_hold(
    device, weights, size
):
    assert read_bytes(device, weights) == size


def test_a_model_of_another_size_is_measured_anew_and_one_of_about_the_same_size_is_not(tmp_path, measured):
    cache = tmp_path / "rates.json"
    for weights in (LARGE, 5_000_000, 6_000_000, 7_000_000, 8_000_000):
        rates_of("cpu", 1, cache, name="a", weights_bytes=weights, measure=measured)
    assert [size for _, _, size in measured.calls] == [READ_BYTES["cpu"], *[8 * 2**20] * MEASUREMENTS]


def test_a_cache_from_before_small_models_were_measured_apart_holds_for_large_ones(tmp_path, measured):
    cache = tmp_path / "rates.json"
    for _ in range(MEASUREMENTS):
        rates_of("cpu", 1, cache, name="a", weights_bytes=LARGE, measure=measured)
    lines = cache.read_text().splitlines()
    cache.write_text("\n".join(line for line in lines if "read_bytes" not in line))
    rates_of("cpu", 1, cache, name="a", weights_bytes=LARGE, measure=measured)
    assert len(measured.calls) == MEASUREMENTS


def test_this_machine_can_be_measured():
    found = measure_rates("cpu", 1, READ_BYTES_MIN)
    assert found.matmul_float32 > 0
    assert found.bandwidth > 0


@pytest.mark.parametrize(
    ("device", "small_s", "sides"),
    [("cpu", 1e-1, [256]), ("cpu", 1e-4, [256, 512]), ("cuda", 1e-1, [512])],
    ids=["a processor without it", "one that has it", "an accelerator"],
)
def test_only_a_processor_that_lacks_bfloat16_is_spared_the_large_product(
    monkeypatch: pytest.MonkeyPatch, device: str, small_s: float, sides: list[int]
) -> None:
    tried: list[int] = []
    monkeypatch.setattr(rates, "_product", lambda device, side, dtype: tried.append(side))
    monkeypatch.setattr(rates, "_seconds", lambda device, work: small_s if tried == [256] else 1e-3)
    found = rates._bfloat16_rate(device, 512, float32=50e9)
    assert tried == sides
    assert found == pytest.approx(2.0 * sides[-1] ** 3 / (small_s if sides == [256] else 1e-3))
