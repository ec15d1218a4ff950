"""Which errors mean that memory ran out, and what is left behind when it did."""

import gc
import weakref

import pytest
import torch

from swarmd.hardware.guard import MemoryGuard, MemoryLimitError
from swarmd.hardware.shortage import Shortage, attempt, is_out_of_memory


def raising(error):
    def work():
        raise error

    return work


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total of ..."),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("MPS backend out of memory (MPS allocated: 17.9 GB, max allowed: 18.1 GB)"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: not enough memory: you tried to allocate 8 bytes."),
        RuntimeError("unable to mmap 400 bytes from file <model.safetensors>: Cannot allocate memory (12)"),
        MemoryError(),
        MemoryLimitError("the process holds 2.00 GiB where 1.00 GiB are allowed"),
    ],
)
def test_every_kind_of_shortage_becomes_a_value_with_a_reason(error):
    assert is_out_of_memory(error)
    shortage = attempt(raising(error))
    assert isinstance(shortage, Shortage)
    assert shortage.why


def test_the_cpu_allocators_own_error_is_recognised():
    shortage = attempt(lambda: torch.empty(2**52))
    assert isinstance(shortage, Shortage)
    assert "can't allocate memory" in shortage.why


@pytest.mark.parametrize("error", [RuntimeError("shapes cannot be multiplied"), ValueError("out of memory")])
def test_any_other_error_passes(error):
    with pytest.raises(type(error)):
        attempt(raising(error))


def test_what_goes_through_is_returned():
    assert attempt(lambda: 7) == 7


def test_what_the_work_held_is_given_back():
    class Held:
        pass

    held: list[weakref.ref[Held]] = []

    def work():
        large = Held()
        held.append(weakref.ref(large))
        raise MemoryError

    gc.disable()  # then only the dropped traceback can have freed it
    try:
        attempt(work)
        assert held[0]() is None
    finally:
        gc.enable()


def test_a_guard_speaks_only_above_its_limit():
    MemoryGuard(100, lambda: 100).check()
    with pytest.raises(MemoryLimitError, match=r"holds 2\.00 GiB, but only 1\.00 GiB"):
        MemoryGuard(2**30, lambda: 2**31).check()


def test_a_watched_model_is_given_up_between_two_layers(make_policy):
    policy = make_policy()
    held = iter([50, 101])  # the model has two layers
    MemoryGuard(100, lambda: next(held)).watch(policy.model)
    with pytest.raises(MemoryLimitError):
        policy.model(input_ids=torch.tensor([[1, 2]]))
    assert next(held, None) is None
