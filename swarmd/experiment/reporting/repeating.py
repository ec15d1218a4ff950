"""How to run an experiment again: commands, settings, and what its runs ran with."""

from __future__ import annotations

import shlex
from collections import Counter
from typing import Any

from swarmd.config.template import toml_value
from swarmd.experiment.config import ExperimentConfig
from swarmd.experiment.reporting.results import Results

TABLES = ("policy", "learning")
ARRAYS = ("attacks", "configurations")


def repeating(results: Results) -> dict[str, Any]:
    """Return it as report.json holds it: `commands`, `settings` as TOML, and what the runs ran with."""
    config = results.config
    name = config.name.replace(" ", "-")
    start = "torchrun --nproc-per-node RANKS -m swarmd" if config.exchange == "distributed" else "swarmd"
    counts = Counter(tuple(run.versions.items()) for run in results.runs)
    first = results.runs[0]
    return {
        "commands": [
            f"{start} experiment run {shlex.quote(f'./{name}.toml')} --out {shlex.quote(f'./{name}')}",
            f"swarmd experiment report {shlex.quote(f'./{name}')}",
        ],
        "settings": to_toml(config),
        "models": sorted({model for run in results.runs for model in run.models}),
        "first_run": list(first.reasons),
        "ran_with": [{"versions": dict(versions), "runs": runs} for versions, runs in counts.most_common()],
    }


def to_toml(config: ExperimentConfig) -> str:
    """Return the settings that are not defaults, as a file that `swarmd experiment run` accepts."""
    plain = config.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
    lines = [_line(key, value) for key, value in plain.items() if key not in (*TABLES, *ARRAYS)]
    for name in TABLES:
        if plain.get(name):
            lines += ["", f"[{name}]", *(_line(key, value) for key, value in plain[name].items())]
    for name in ARRAYS:
        for entry in plain.get(name, ()):
            lines += ["", f"[[{name}]]", *(_line(key, value) for key, value in entry.items())]
    return "\n".join(lines)


def _line(key: str, value: object) -> str:
    return f"{key} = {toml_value(value)}"
