"""`python -m benchmarks.prices [FILE...]`: what a token and an update cost, as `benchmarks.trainer` measured.

    python -m benchmarks.trainer --cases "smollm2 float32 fixed" "qwen float32 fixed" --only ours \
        --no-check --save results.json
    python -m benchmarks.prices results.json

Without a file it prints the prices that reports of experiments use (`experiment/reporting/pricing.py`). Only
cases of fixed length count: in those, every completion has as many tokens as the case's name says.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from benchmarks.arguments import saved_results
from benchmarks.cases import cases_on
from swarmd.experiment.reporting.pricing import MACHINES

Row = tuple[str, float, float, float]
"""Name; milliseconds per token generated, per token trained on, per update."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.prices", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("files", nargs="*", type=saved_results, metavar="FILE")
    results = parser.parse_args(arguments).files
    rows = list(measured(results) if results else in_use())
    if not rows:
        sys.stderr.write(
            "error: no case of fixed length in the results: run the benchmark with --cases fixed\n"
        )
        return 1
    lines = [
        "| model | ms per token generated | per token trained on | per update | generated : trained |",
        "|---|---|---|---|---|",
        *(f"| {name} | {made:.2f} | {trained:.2f} | {update:.0f} | {made / trained:.2f} |"
          for name, made, trained, update in rows),
    ]  # fmt: skip
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


def measured(results: Sequence[dict[str, Any]]) -> Iterator[Row]:
    """Yield rows from what `benchmarks.trainer` saved."""
    tokens = {
        case.name: case.completions * case.new_tokens
        for case in (*cases_on("cpu"), *cases_on("cuda"))
        if case.lengths == "fixed"
    }
    for case in (case for result in results for case in result["cases"]):
        if case["name"] in tokens and case["ours"] is not None:
            made, trained, update = (
                1000 * case["ours"][f"{part}_s"]["median"]
                for part in ("generation", "loss_backward", "optimizer")
            )
            yield case["name"], made / tokens[case["name"]], trained / tokens[case["name"]], update


def in_use() -> Iterator[Row]:
    """Yield the prices that reports use."""
    for name, prices in MACHINES.items():
        made, trained, update = (
            1000 * prices[unit] for unit in ("tokens_generated", "tokens_trained_own", "updates")
        )
        yield name, made, trained, update


if __name__ == "__main__":
    sys.exit(main())
