"""`python -m benchmarks.status`: how quickly a daemon answers while it trains.

A real `swarmd join` runs alone in a temporary home, with its defaults. Its unix socket is asked for /status
and /metrics alternately, on one connection, every POLL_S. The result is the time from a request to the whole
answer while a step runs: questions, generation, scoring, training, checkpoint.
"""

from __future__ import annotations

import argparse
import json
import math
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from benchmarks.arguments import duration
from benchmarks.cases import EMBEDDED, SMOLLM2, Lengths
from benchmarks.processes import ROOT, ProcessError, call
from swarmd.storage import Home

SECONDS = 30.0
POLL_S = 0.02
START_S = 180.0  # until the first step begins; loading a model on a busy machine takes long
STOP_S = 60.0
ANSWER_S = 30.0  # a longer wait is a failure, not a result
BETWEEN_STEPS = frozenset({"starting", "waiting for external groups", "stopping"})
"""Phases in which the daemon computes nothing, so its answers prove nothing."""
ENDPOINTS = ("status", "metrics")
OPTIONS: dict[str, tuple[str, ...]] = {
    EMBEDDED: (),
    SMOLLM2: ("--swarm", "sapo", "--local", "2", "--max-new-tokens", "64"),
}
LENGTHS: Lengths = "natural"


@dataclass
class Answers:
    """Seconds that the answers took, by endpoint, and the number of steps done in the meantime."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in ENDPOINTS})
    steps: int = 0

    def plain(self) -> dict[str, Any]:
        """Return milliseconds: p50, p99 and max of each endpoint."""
        return {"steps": self.steps, **{name: in_ms(found) for name, found in self.seconds.items()}}


def in_ms(seconds: Sequence[float]) -> dict[str, float]:
    """Return count, and p50, p99 and max in milliseconds (by nearest rank, so each is a measured value)."""
    ordered = sorted(seconds)

    def rank(share: float) -> float:
        return ordered[max(0, math.ceil(share * len(ordered)) - 1)] * 1e3

    return {"answers": len(ordered), "p50_ms": rank(0.5), "p99_ms": rank(0.99), "max_ms": ordered[-1] * 1e3}


def measure_status(model: str, cache: Path, seconds: float) -> dict[str, Any]:
    """Start a daemon, let it train, and poll it for `seconds`. Raises ProcessError."""
    payload = {"model": model, "lengths": LENGTHS, "preset": "starter", "groups": 1, "cache": str(cache)}
    name = model if model == EMBEDDED else call("prepare", payload, threads=1)["model_dir"]
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory) / "home"
        command = [sys.executable, "-m", "swarmd", "join", "--home", str(home), "--host", "127.0.0.1"]
        errors = Path(directory) / "stderr"
        with errors.open("wb") as written:
            daemon = subprocess.Popen(  # noqa: S603  our own interpreter and module
                [*command, "--log-format", "json", "--model", name, *OPTIONS[model]],
                cwd=ROOT,
                stdout=subprocess.DEVNULL,
                stderr=written,
            )
        try:
            answers = _ask_while_at_work(daemon, home, seconds)
        except (httpx.HTTPError, ProcessError) as error:
            raise ProcessError(f"the daemon did not answer: {error}\n{errors.read_text()}") from error
        finally:
            _stop(daemon)
    return {"model": model, **answers.plain()}


def _ask_while_at_work(daemon: subprocess.Popen[bytes], home: Path, seconds: float) -> Answers:
    answers = Answers()
    first_step: int | None = None
    with closing(_connect(daemon, home)) as client:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            snapshot = None
            for endpoint in ENDPOINTS:
                began = time.perf_counter()
                answer = client.get(f"http://swarmd/{endpoint}").raise_for_status()
                took = time.perf_counter() - began
                snapshot = answer.json() if endpoint == "status" else snapshot
                if snapshot is not None and snapshot["phase"] not in BETWEEN_STEPS:
                    answers.seconds[endpoint].append(took)
            if snapshot is not None:
                first_step = snapshot["step"] if first_step is None else first_step
                answers.steps = snapshot["step"] - first_step
            time.sleep(POLL_S)
    return answers


def _connect(daemon: subprocess.Popen[bytes], home: Path) -> httpx.Client:
    """Return a connection to the daemon, once its first step has begun. Raises ProcessError."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and daemon.poll() is None:
        if (home / "identity.key").is_file():
            transport = httpx.HTTPTransport(uds=str(Home(home).socket_path))
            client = httpx.Client(transport=transport, timeout=ANSWER_S)
            try:
                if client.get("http://swarmd/status").json()["phase"] not in BETWEEN_STEPS:
                    return client
            except httpx.TransportError:
                pass
            client.close()
        time.sleep(0.2)
    raise ProcessError(f"no step began within {START_S:g} s (exit status {daemon.poll()})")


def _stop(daemon: subprocess.Popen[bytes]) -> None:
    daemon.send_signal(signal.SIGINT)
    try:
        daemon.wait(STOP_S)
    except subprocess.TimeoutExpired:
        daemon.kill()
        daemon.wait()


def status_table(results: Sequence[dict[str, Any]]) -> str:
    """Return one row per model and endpoint, in Markdown."""
    lines = [
        "| daemon trains | steps | asked for | answers | p50 ms | p99 ms | max ms |",
        "|---|---|---|---|---|---|---|",
    ]
    for result in results:
        for endpoint in ENDPOINTS:
            found = result[endpoint]
            figures = " | ".join(f"{found[key]:.1f}" for key in ("p50_ms", "p99_ms", "max_ms"))
            lines.append(
                f"| {result['model']} | {result['steps']} | {endpoint} | {found['answers']} | {figures} |"
            )
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the results. The exit status is 1 if a daemon did not answer."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.status", description=__doc__)
    parser.add_argument("--models", nargs="+", default=[EMBEDDED], choices=list(OPTIONS))
    parser.add_argument("--seconds", type=duration, default=SECONDS, help="how long to ask, per model")
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "swarmd-benchmarks")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments)
    try:
        results = [measure_status(model, options.cache, options.seconds) for model in options.models]
    except ProcessError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    sys.stdout.write((json.dumps({"status": results}) if options.json else status_table(results)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
