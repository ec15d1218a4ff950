"""What a machine and the operator's wishes lead to, and the reasons given."""

import dataclasses

import pytest

from swarmd.config import PolicyConfig
from swarmd.errors import ConfigError
from swarmd.hardware.plan import LoraPlan, plan_hardware
from swarmd.hardware.probe import GIB, Accelerator, HardwareProbe
from swarmd.hardware.rates import Rates

LAPTOP = HardwareProbe(
    accelerators=(),
    cores=8,
    busy_cores=1.7,
    fast_bfloat16=False,
    omp_threads=None,
    free_bytes=12 * GIB,
    held_bytes=GIB // 2,
)
SMALL_GPU = Accelerator("cuda:0", "RTX 4090", 10 * GIB, True)
BIG_GPU = Accelerator("cuda:1", "RTX 4090", 22 * GIB, True)
OLD_GPU = Accelerator("cuda:0", "Tesla V100", 12 * GIB, False)
WORKSTATION = dataclasses.replace(LAPTOP, accelerators=(SMALL_GPU, BIG_GPU))
REAL = "Qwen/Qwen2.5-0.5B-Instruct"


def plan(probe, **wishes):
    return plan_hardware(PolicyConfig(**{"model": REAL, **wishes}), probe=probe)


def test_the_gpu_with_most_free_memory_is_chosen_and_the_reason_says_how_much():
    chosen = plan(WORKSTATION)
    assert (chosen.device, chosen.dtype) == ("cuda:1", "bfloat16")
    assert chosen.reasons[0] == "cuda:1 (RTX 4090) because it has 22.0 GiB free"


def test_a_full_gpu_is_left_alone():
    full = dataclasses.replace(LAPTOP, accelerators=(dataclasses.replace(SMALL_GPU, free_bytes=GIB),))
    chosen = plan(full)
    assert chosen.device == "cpu"
    assert "only 1.0 GiB free" in chosen.reasons[0]


def test_no_gpu_means_cpu_in_float32_unless_the_cpu_has_bfloat16():
    assert plan(LAPTOP).device == "cpu"
    assert plan(LAPTOP).reasons[1] == "float32 because this CPU has no fast bfloat16"
    assert plan(dataclasses.replace(LAPTOP, fast_bfloat16=True)).dtype == "bfloat16"


@pytest.mark.parametrize(("gain", "dtype"), [(7.0, "bfloat16"), (1.2, "bfloat16"), (1.1, "float32")])
def test_bfloat16_is_taken_where_it_was_measured_to_be_faster(gain, dtype):
    machine = dataclasses.replace(LAPTOP, fast_bfloat16=True)
    chosen = plan_hardware(PolicyConfig(model=REAL), probe=machine, rates=Rates(1e11, gain * 1e11, 1e10))
    assert chosen.dtype == dtype
    assert f"{gain} times as fast" in chosen.reasons[1]
    if dtype == "bfloat16":  # with adapters the base is not
        assert chosen.reasons[1].endswith("what is trained is float32")


def test_a_crawl_in_bfloat16_is_called_slow_and_not_zero():
    rates = Rates(1e11, 1e8, 1e10)
    chosen = plan_hardware(PolicyConfig(model=REAL), probe=LAPTOP, rates=rates)
    assert chosen.reasons[1] == "float32 because this CPU multiplies bfloat16 slowly"
    assert str(rates) == "100 GFLOP/s in float32, 10.0 GB/s for reading weights"


def test_a_device_that_could_not_multiply_bfloat16_gets_float32():
    chosen = plan_hardware(PolicyConfig(model=REAL), probe=LAPTOP, rates=Rates(1e11, None, 1e10))
    assert (chosen.dtype, chosen.reasons[1]) == ("float32", "float32 because this CPU has no bfloat16")


def test_the_embedded_model_is_float32_on_one_thread_everywhere():
    for probe in (LAPTOP, WORKSTATION, dataclasses.replace(LAPTOP, fast_bfloat16=True)):
        chosen = plan(probe, model="embedded")
        assert (chosen.dtype, chosen.threads) == ("float32", 1)


def test_a_gpu_without_bfloat16_gets_float32_and_refuses_bfloat16():
    old = dataclasses.replace(LAPTOP, accelerators=(OLD_GPU,))
    assert plan(old).dtype == "float32"
    with pytest.raises(ConfigError, match=r"V100.*use float32"):
        plan(old, dtype="bfloat16")


@pytest.mark.parametrize("wish", ["cuda", "cuda:1", "mps"])
def test_asking_for_a_device_that_is_not_there_is_an_error_that_names_what_is(wish):
    with pytest.raises(ConfigError, match="only the cpu"):
        plan(LAPTOP, device=wish)


def test_cuda_without_a_number_takes_the_emptiest_and_a_number_takes_that_one():
    assert plan(WORKSTATION, device="cuda").device == "cuda:1"
    assert plan(WORKSTATION, device="cuda:0").device == "cuda:0"
    assert plan(WORKSTATION, device="cpu").device == "cpu"
    with pytest.raises(ConfigError, match=r"cuda:0, cuda:1"):
        plan(WORKSTATION, device="cuda:2")


def test_an_unknown_device_name_lists_the_known_ones():
    with pytest.raises(ConfigError, match="auto, cpu, mps, cuda"):
        plan(LAPTOP, device="tpu")


@pytest.mark.parametrize(
    ("wishes", "changes", "threads", "why"),
    [
        ({}, {}, 6, "8 cores may be used and 1.7 are busy"),
        ({}, {"busy_cores": 40.0}, 1, "busy"),
        ({}, {"omp_threads": 3}, 3, "OMP_NUM_THREADS"),
        ({"threads": 2}, {"omp_threads": 3}, 2, "asked for"),
        ({}, {"accelerators": (BIG_GPU,)}, 4, "the work is on cuda:1"),
    ],
)
def test_threads_are_the_idle_cores_unless_someone_said_otherwise(wishes, changes, threads, why):
    chosen = plan(dataclasses.replace(LAPTOP, **changes), **wishes)
    assert chosen.threads == threads
    assert why in chosen.reasons[2]


def test_lora_alpha_defaults_to_twice_the_rank():
    assert plan(LAPTOP).lora is None
    assert plan(LAPTOP, lora_rank=16).lora == LoraPlan(16, 32)
    assert plan(LAPTOP, lora_rank=16, lora_alpha=8).lora == LoraPlan(16, 8)
