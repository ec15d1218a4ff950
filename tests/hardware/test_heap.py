"""Freed memory goes back to the system where a model computes in main memory and is large enough."""

import pytest
import torch

from swarmd.hardware import heap

LARGE = heap.MODEL_BYTES_MIN


@pytest.fixture
def trimmed(monkeypatch):
    calls = []
    monkeypatch.setattr(heap, "heap_trim", lambda: calls.append)
    return calls


@pytest.mark.parametrize(
    ("device", "model_bytes", "expected"), [("cpu", LARGE, [0]), ("cpu", LARGE - 1, []), ("meta", LARGE, [])]
)
def test_only_a_large_model_in_main_memory_is_worth_it(trimmed, device, model_bytes, expected):
    heap.release_freed(torch.device(device), model_bytes)
    assert trimmed == expected


def test_a_system_without_glibc_is_left_alone(monkeypatch):
    heap.heap_trim.cache_clear()
    monkeypatch.setattr(heap.sys, "platform", "darwin")
    heap.release_freed(torch.device("cpu"), LARGE)
    heap.heap_trim.cache_clear()
