"""One process of the benchmark: `python -m benchmarks.child SIDE` reads a job and writes its times and memory.

A fresh one for every measurement, so that nothing is warm, cached or fragmented that would not be.
"""

from __future__ import annotations

import importlib
import json
import sys

from benchmarks.job import Job
from benchmarks.memory import peak_bytes, peak_device_bytes, present_bytes

SIDES = {"ours": "benchmarks.ours", "trl": "benchmarks.trl_side", "genrl": "benchmarks.genrl_side"}


def main() -> None:
    """The job comes on standard input; the result is the last line of standard output."""
    side = importlib.import_module(SIDES[sys.argv[1]])
    imported = present_bytes()
    job = Job.loads(sys.stdin.read())
    steps = side.run(job)
    result = {
        "steps": steps,
        "peak_bytes": peak_bytes(),
        "imported_bytes": imported,
        "peak_device_bytes": peak_device_bytes(),
    }
    sys.stdout.write("\n" + json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
