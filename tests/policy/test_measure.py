"""Measured once for each device, PyTorch and number of threads; a damaged cache is measured again."""

import pytest

from swarmd.policy.measure import CACHED_MAX, Rates, measure_rates, rates_of


@pytest.fixture
def measured():
    """measured(device, threads): made-up rates; measured.calls lists what was measured."""

    def measure(device, threads):
        measure.calls.append((device, threads))
        return Rates(1e9 * threads, None, 1e10)

    measure.calls = []
    return measure


def test_the_second_start_reads_what_the_first_measured(tmp_path, measured):
    cache = tmp_path / "rates.json"
    first = rates_of("cpu", 2, cache, name="a", measure=measured)
    assert rates_of("cpu", 2, cache, name="a", measure=measured) == first == Rates(2e9, None, 1e10)
    assert measured.calls == [("cpu", 2)]


def test_another_device_number_of_threads_or_pytorch_is_measured_anew(tmp_path, measured, monkeypatch):
    cache = tmp_path / "rates.json"
    for device, threads, name in (("cpu", 2, "a"), ("cpu", 1, "a"), ("cpu", 2, "b"), ("cuda:0", 2, "a")):
        rates_of(device, threads, cache, name=name, measure=measured)
    assert len(measured.calls) == 4
    monkeypatch.setattr("torch.__version__", "99.0")
    rates_of("cpu", 2, cache, name="a", measure=measured)
    assert len(measured.calls) == 5


@pytest.mark.parametrize("damage", [b"", b"{", b"[1]", b'{"format": 99, "entries": []}', b"\xff"])
def test_a_damaged_cache_is_measured_again_and_replaced(tmp_path, measured, damage):
    cache = tmp_path / "rates.json"
    cache.write_bytes(damage)
    rates_of("cpu", 1, cache, name="a", measure=measured)
    rates_of("cpu", 1, cache, name="a", measure=measured)
    assert len(measured.calls) == 1


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path, measured):
    rates_of("cpu", 1, tmp_path / "none" / "rates.json", name="a", measure=measured)
    rates_of("cpu", 1, None, name="a", measure=measured)
    assert len(measured.calls) == 2


def test_the_cache_does_not_grow_without_end(tmp_path, measured):
    cache = tmp_path / "rates.json"
    for threads in range(1, CACHED_MAX + 5):
        rates_of("cpu", threads, cache, name="a", measure=measured)
    assert cache.read_text().count('"device"') == CACHED_MAX


def test_this_machine_can_be_measured():
    rates = measure_rates("cpu", 1)
    assert rates.matmul_float32 > 0
    assert rates.bandwidth > 0
