"""`python -m benchmarks.decoding`: native decoding against decoding by PyTorch's operators, in CPU time.

Both write the same rows from the same draws in one process, alternating, on `--threads`. CPU time, of all
threads together, varies less than wall-clock time on a busy machine. A ratio is of two consecutive decodings;
the table shows the median, the minimum and the maximum. SmolLM2's shape has random weights, because time does
not depend on what a model knows. Its final norm is scaled so that few tokens have most of the probability, as
in a trained model.

Where PyTorch is limited to AVX2 (`ATEN_CPU_CAPABILITY=avx2 MKL_ENABLE_INSTRUCTIONS=AVX2
ONEDNN_MAX_CPU_ISA=AVX2`), native decoding is, too. A CPU with AVX-512 then stands for one without.

`--steps` compares whole steps instead (generate, score, loss, backward, optimiser), each in a fresh process.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from benchmarks.arguments import positive, refuse_ignored
from benchmarks.cases import Case, cases_on, matching
from benchmarks.measure import Settings, job_of, prepare_case
from benchmarks.processes import call
from benchmarks.trainer import CACHE, machine
from swarmd.assets import EMBEDDED_MODEL_DIR
from swarmd.llama import LlamaEngine, NativeEngine, kernels, read_decoder
from swarmd.rollout.interface import Decoded
from swarmd.rollout.sampling import draw_uniforms

PEAKED = 4.0  # factor of the final norm: the likeliest of 49,152 tokens then has a probability of about 0.5
GROUP_SIZE = 8
PROMPT_TOKENS = 48  # of a question of the starter swarm
SMOLLM2: dict[str, Any] = {
    "vocab_size": 49_152,
    "hidden_size": 576,
    "intermediate_size": 1_536,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "initializer_range": 1 / 24,
    "tie_word_embeddings": True,
}
STEPS = "embedded float32 fixed"


@dataclass(frozen=True)
class Size:
    """A model, and how much is decoded at once."""

    model: str
    rows: int
    tokens: int

    @property
    def name(self) -> str:
        return f"{self.model} {self.rows}x{self.tokens}"


SIZES = (Size("embedded", 64, 12), Size("embedded", 16, 64), Size("smollm2-135m", 16, 64))


@dataclass(frozen=True)
class Found:
    """Results for one size: CPU seconds of both by run, and how far their outputs differ."""

    operators: tuple[float, ...]
    native: tuple[float, ...]
    wall_ratios: tuple[float, ...]
    rows_alike: int
    apart: float
    """Largest difference of a logprob in rows that are alike, in nats."""

    @property
    def ratios(self) -> list[float]:
        return [slow / fast for slow, fast in zip(self.operators, self.native, strict=True)]


def compare(size: Size, runs: int) -> Found:
    """Decode in turn, after one warm-up decoding each."""
    decoder = read_decoder(_model(size.model))
    ends: frozenset[int] = frozenset()
    native = NativeEngine(decoder, eos_ids=ends, dtype=torch.float32)
    native.narrow = narrow()
    engines = (LlamaEngine(decoder, eos_ids=ends, dtype=torch.float32), native)
    rng = torch.Generator().manual_seed(0)
    groups = size.rows // GROUP_SIZE
    prompts = torch.randint(
        0, decoder.embedding.num_embeddings, (groups, PROMPT_TOKENS), generator=rng
    ).tolist()
    draws = draw_uniforms(size.rows, size.tokens, rng)
    seconds: list[list[float]] = [[], []]
    walls: list[list[float]] = [[], []]
    written: list[list[Decoded]] = [[], []]
    for run in range(runs + 1):
        for side in (0, 1) if run % 2 else (1, 0):
            began, wall = time.process_time(), time.perf_counter()
            written[side] = engines[side].decode(
                prompts, GROUP_SIZE, size.tokens, uniforms=draws, temperature=1.0
            )
            if run:
                seconds[side].append(time.process_time() - began)
                walls[side].append(time.perf_counter() - wall)
    alike = [(a, b) for a, b in zip(*written, strict=True) if a.token_ids == b.token_ids]
    apart = max(abs(x - y) for a, b in alike for x, y in zip(a.logprobs, b.logprobs, strict=True))
    wall_ratios = tuple(slow / fast for slow, fast in zip(*walls, strict=True))
    return Found(tuple(seconds[0]), tuple(seconds[1]), wall_ratios, len(alike), apart)


def narrow() -> int:
    """How many instruction sets native decoding must skip to use no wider one than PyTorch."""
    limited = torch.backends.cpu.get_cpu_capability() == "AVX2"
    return 1 if limited and kernels(0) == "AVX-512" else 0


def row(size: Size, found: Found) -> str:
    """Return a row of the table in docs/benchmarks.md."""
    return (
        f"| {size.name} | {_spread(found.operators)} | {_spread(found.native)} | {_spread(found.ratios)} "
        f"| {_spread(found.wall_ratios)} | {found.rows_alike} of {size.rows} | {found.apart:.1e} |"
    )


def compare_steps(case: Case, runs: int, cache: Path) -> str:
    """Return a row for whole steps: CPU seconds with engine own and engine native, in turn, in fresh
    processes.
    """
    settings = Settings(("ours",), runs, 1, cache, checkpointing=False)
    prepared = prepare_case(case, settings)
    seconds: dict[str, list[float]] = {"own": [], "native": []}
    for run in range(runs):
        for engine in ("own", "native") if run % 2 else ("native", "own"):
            job = replace(job_of(case, prepared, settings, run), engine=engine)
            steps = call("run", {"side": "ours", "job": job.plain()}, threads=1)["steps"]
            seconds[engine].append(statistics.median(step["cpu"] for step in steps[1:]))
    ratios = [slow / fast for slow, fast in zip(seconds["own"], seconds["native"], strict=True)]
    return f"| {case.name} | {_spread(seconds['own'])} | {_spread(seconds['native'])} | {_spread(ratios)} |"


def _model(name: str) -> LlamaForCausalLM:
    torch.manual_seed(0)
    if name == "embedded":
        embedded: LlamaForCausalLM = LlamaForCausalLM.from_pretrained(EMBEDDED_MODEL_DIR, dtype=torch.float32)
        return embedded
    model = LlamaForCausalLM(LlamaConfig(**SMOLLM2))
    with torch.no_grad():
        model.model.norm.weight.mul_(PEAKED)
    return model


def _spread(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.3g} ({min(values):.3g} – {max(values):.3g})"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.decoding", description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=positive, default=5)
    parser.add_argument(
        "--only", default="", metavar="WORD", help="only sizes whose name contains it, such as embedded"
    )
    parser.add_argument("--steps", action="store_true", help="compare whole steps instead")
    parser.add_argument("--cache", type=Path, default=CACHE, help="directory for models, written once")
    parser.add_argument("--threads", type=positive, default=1)
    options = parser.parse_args(arguments)
    if options.steps:
        refuse_ignored(parser, options, "with --steps", "threads")
    torch.set_num_threads(options.threads)
    about = machine()
    sys.stderr.write(f"{about['processor']}, {about['cores']} cores, load {about['load_1_min']:.1f}\n")
    if options.steps:
        options.cache.mkdir(parents=True, exist_ok=True)
        sys.stdout.write("| step | operators, CPU s | native, CPU s | ratio |\n|---|---|---|---|\n")
        for case in matching(cases_on("cpu"), [STEPS]):
            if options.only in case.name:
                sys.stdout.write(compare_steps(case, options.runs, options.cache) + "\n")
                sys.stdout.flush()
        return 0
    sys.stderr.write(f"{options.threads} threads, {kernels(narrow())}\n")
    sys.stdout.write("| decoded | operators, CPU s | native, CPU s | ratio | by wall time | rows alike ")
    sys.stdout.write("| logprobs apart |\n")
    sys.stdout.write("|---|---|---|---|---|---|---|\n")
    for size in SIZES:
        if options.only in size.name:
            sys.stdout.write(row(size, compare(size, options.runs)) + "\n")
            sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
