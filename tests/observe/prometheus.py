"""`python -m tests.observe.prometheus`: a real Prometheus scrapes two real peers, and answers all expressions
of the dashboard.

It reads examples/grafana/prometheus.yml. `promtool` checks the files and what a peer answers, if it is there.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx

from swarmd.names import named
from swarmd.network.ports import free_port
from tests.integration.daemon_process import DaemonProcess

GRAFANA = Path(__file__).parents[2] / "examples" / "grafana"
TARGET = "127.0.0.1:8080"  # of prometheus.yml: the only thing of it that is changed
FILLED_S = 420.0  # a start on a busy machine takes minutes, and a rate needs two scrapes, 15 s apart
LOOK_EVERY_S = 5.0
RATE_INTERVAL = "1m"  # what Grafana makes of four scrapes, 15 s apart
MAY_BE_EMPTY = frozenset({"Records refused per minute"})
"""Panels without a series while nothing has happened."""

PEER = (
    *("--local", "2", "--external", "2", "--group-size", "4", "--max-new-tokens", "8"),
    *("--evaluate-every", "50"),
)


class LookError(Exception):
    """It cannot be tried here, or it failed; the message says what."""


def expressions() -> Iterator[tuple[str, str]]:
    """Each panel's title and expression, with the dashboard's variables filled in as for all peers."""
    for panel in json.loads((GRAFANA / "swarmd.json").read_text(encoding="utf-8"))["panels"]:
        for target in panel.get("targets", []):
            expression = target["expr"].replace("$__rate_interval", RATE_INTERVAL)
            yield panel["title"], expression.replace("$job", ".*").replace("$instance", ".*")


def check(promtool: str, exposition: bytes) -> None:
    """The files and what a peer answers, in the opinion of Prometheus's own tool."""
    for name in ("prometheus.yml", "testnet.yml"):
        subprocess.run((promtool, "check", "config", GRAFANA / name), check=True)
    done = subprocess.run((promtool, "check", "metrics"), input=exposition, capture_output=True, check=False)
    print("promtool check metrics:", done.stderr.decode().strip() or "nothing to say", flush=True)


@contextmanager
def prometheus(program: str, directory: Path, targets: Sequence[str]) -> Iterator[httpx.Client]:
    """A server that scrapes `targets`, and a client to ask it. Raises LookError if it does not come up."""
    config = (GRAFANA / "prometheus.yml").read_text()
    (directory / "prometheus.yml").write_text(config.replace(f'"{TARGET}"', json.dumps(targets)[1:-1]))
    address = f"127.0.0.1:{free_port('127.0.0.1')}"
    log = directory / "prometheus.log"
    with log.open("wb") as errors:
        server = subprocess.Popen(
            (
                program,
                f"--config.file={directory / 'prometheus.yml'}",
                f"--storage.tsdb.path={directory / 'data'}",
                f"--web.listen-address={address}",
            ),
            stderr=errors,
        )
    try:
        with httpx.Client(base_url=f"http://{address}", transport=httpx.HTTPTransport(retries=5)) as client:
            yield client
    except httpx.ConnectError as error:
        raise LookError(f"Prometheus does not answer:\n{log.read_text()[-2000:]}") from error
    finally:
        server.terminate()
        server.wait()


def ask(client: httpx.Client, expression: str) -> list[dict[str, Any]]:
    """The series that it gives. Raises LookError if Prometheus refuses it."""
    answer = client.get("/api/v1/query", params={"query": expression}).json()
    if answer["status"] != "success":
        raise LookError(f"{expression}\n  {answer['error']}")
    found = answer["data"]["result"]
    return found if isinstance(found, list) else []


def wait_until_filled(client: httpx.Client) -> list[tuple[str, str, list[dict[str, Any]]]]:
    """Each panel, its expression and its series: once none is empty that must not be, or the time is over."""
    began = time.monotonic()
    while True:
        rows = [(title, each, ask(client, each)) for title, each in expressions()]
        empty = [title for title, _, found in rows if not found and title not in MAY_BE_EMPTY]
        if not empty or time.monotonic() - began > FILLED_S:
            return rows
        time.sleep(LOOK_EVERY_S)


def look(program: str, promtool: str | None) -> int:
    """How many panels stayed empty."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="prometheus-")))
        pages = [f"127.0.0.1:{free_port('127.0.0.1')}" for _ in range(2)]
        first = DaemonProcess(directory / "one", *PEER, "--http", pages[0])
        stack.callback(first.close)
        second = DaemonProcess(directory / "two", *PEER, "--http", pages[1], "--peer", first.address)
        stack.callback(second.close)
        client = stack.enter_context(prometheus(program, directory, pages))
        rows = wait_until_filled(client)
        for series in ask(client, "up"):
            print(f"up: {series['metric']['instance']}: {series['value'][1]}")
        if promtool:
            check(promtool, httpx.get(f"http://{pages[0]}/metrics").content)
        values = client.get("/api/v1/label/peer/values").json()["data"]
        known = {named(str(each.home.key().peer_id)) for each in (first, second)}
        print(f"labels of peers: {len(known & set(values))} of {len(known)} by name\n")
    print("| panel | series | first value |\n|---|---|---|")
    for title, _, found in rows:
        print(f"| {title} | {len(found)} | {found[0]['value'][1] if found else ''} |")
    return sum(not found for title, _, found in rows if title not in MAY_BE_EMPTY)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.observe.prometheus", description=__doc__)
    parser.add_argument("--prometheus", default="prometheus", metavar="PROGRAM")
    parser.add_argument("--promtool", default="promtool", metavar="PROGRAM")
    given = parser.parse_args()
    program = shutil.which(given.prometheus)
    if program is None:
        print(
            f"there is no {given.prometheus}: apt install prometheus, or give --prometheus", file=sys.stderr
        )
        return 2
    try:
        empty = look(program, shutil.which(given.promtool))
    except LookError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(
        f"\n{empty} expressions stayed empty that should not have" if empty else "\nevery panel has its data"
    )
    return bool(empty)


if __name__ == "__main__":
    sys.exit(main())
