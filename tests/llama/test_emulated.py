"""Native decoding on other CPUs, emulated by QEMU: it writes what PyTorch's operators write here.

`apt install clang g++-aarch64-linux-gnu qemu-user-static` provides all that these tests need. Emulation shows
that the numbers and the choice of kernels are right. It shows neither speed nor another CPU's memory order.
"""

import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
import torch

from swarmd.llama import LlamaEngine, NativeEngine, read_decoder
from swarmd.rollout.sampling import draw_uniforms
from tests.llama.conftest import flags
from tests.llama.emulated import Emulated
from tests.llama.making import EOS_IDS, KNOWN, PROMPTS, build, decode, same


@dataclass(frozen=True)
class Machine:
    compiler: tuple[str, ...]
    emulator: tuple[str, ...]
    kernels: str
    needs: tuple[str, ...] = ()


GCC = "aarch64-linux-gnu-g++"  # Clang uses its libraries
CLANG = ("clang++", "--target=aarch64-linux-gnu")
AARCH64 = ("qemu-aarch64-static",)
MACHINES = {
    "AArch64, GCC": Machine((GCC,), AARCH64, "128-bit vectors"),
    "AArch64, Clang": Machine(CLANG, AARCH64, "128-bit vectors", needs=(GCC,)),
    "x86-64 without AVX-512": Machine(("c++",), ("qemu-x86_64-static", "-cpu", "Haswell"), "AVX2"),
    "x86-64 without AVX": Machine(("c++",), ("qemu-x86_64-static", "-cpu", "Nehalem"), "128-bit vectors"),
}


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """Builds the program with a compiler, once."""

    @cache
    def build_with(compiler):
        program = tmp_path_factory.mktemp("emulated") / "native"
        source = Path(__file__).with_name("emulated.cpp")
        subprocess.run([*compiler, *flags(), "-static", "-pthread", source, "-o", program], check=True)
        return program

    return build_with


@pytest.fixture(scope="module", params=MACHINES)
def emulated(request, program):
    machine = MACHINES[request.param]
    for name in (machine.compiler[0], machine.emulator[0], *machine.needs):
        if shutil.which(name) is None:
            pytest.skip(f"there is no {name}")
    with Emulated([*machine.emulator, program(machine.compiler)]) as library:
        assert library.kernels == machine.kernels
        yield library


@pytest.fixture
def engines(emulated, monkeypatch):
    """Makes the emulated engine of a model, and the one that it must equal."""
    monkeypatch.setattr("swarmd.llama.native.library", lambda: emulated)

    def make(model):
        decoder = read_decoder(model)
        return [kind(decoder, eos_ids=EOS_IDS, dtype=torch.float32) for kind in (NativeEngine, LlamaEngine)]

    return make


@pytest.mark.parametrize("name", KNOWN)
def test_it_writes_the_tokens_of_pytorchs_operators_greedily_and_from_the_same_draws(engines, name):
    native, own = engines(build(*KNOWN[name]))
    same(decode(native), decode(own))
    same(decode(native, greedily=True, copies=1), decode(own, greedily=True, copies=1))


def test_sizes_that_no_vector_divides_are_computed_rightly(engines):
    kind, config, _ = KNOWN["qwen3, norms on heads of another size"]
    native, own = engines(build(kind, config, {"head_dim": 34, "intermediate_size": 43, "vocab_size": 301}))
    same(decode(native, copies=7), decode(own, copies=7))


def test_probabilities_below_the_least_normal_float_are_kept(engines):
    native, own = engines(build(*KNOWN["llama, tied head"]))
    least = {"uniforms": torch.zeros(2, 12), "temperature": 0.05}
    found, expected = (engine.decode([[3, 4]], 2, 12, **least) for engine in (native, own))
    same(found, expected)
    assert min(nats for row in found for nats in row.logprobs) < -87.4


def test_several_threads_write_what_one_writes(engines, monkeypatch):
    native, _ = engines(build(*KNOWN["qwen2"][:2], {"hidden_size": 128, "intermediate_size": 512}))
    alone = decode(native, PROMPTS[:3])
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    assert decode(native, PROMPTS[:3]) == alone


def test_a_completion_longer_than_one_block_is_computed_rightly(engines):
    native, own = engines(build(*KNOWN["qwen2"]))
    native._eos_ids = own._eos_ids = frozenset()
    given = {"uniforms": draw_uniforms(2, 20, torch.Generator().manual_seed(3)), "temperature": 1.0}
    same(native.decode([[5] * 17], 2, 20, **given), own.decode([[5] * 17], 2, 20, **given))
