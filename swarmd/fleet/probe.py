"""Runs as a process: prints this machine's accelerators and usable cores as one line of JSON, and exits."""

from __future__ import annotations

import json

from swarmd.hardware.probe import probe_hardware


def main() -> None:
    """Print the line that `look_at_machine` reads."""
    probe = probe_hardware()
    found = {
        "accelerators": [each.device for each in probe.accelerators],
        "cores": probe.cores,
        "omp_threads": probe.omp_threads,
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
