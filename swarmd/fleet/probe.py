"""Run as a process: prints this machine's accelerators and usable cores as one line of JSON, and ends."""

from __future__ import annotations

import json

from swarmd.hardware.probe import probe_hardware


def main() -> None:
    """See `look_at_machine`, which reads the line."""
    probe = probe_hardware()
    found = {
        "accelerators": [each.device for each in probe.accelerators],
        "cores": probe.cores,
        "omp_threads": probe.omp_threads,
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
