"""Takes docker-compose.yml through a day of an operator, and says after each blow when all peers were back.

A peer is back when its container is healthy, it has taken a step, and it has pulled a group of another peer,
all after the blow was over. Standard library only: it runs where docker is, without swarmd.
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROJECT = "swarmd-tour"
BACK_S = 900  # on a machine with two busy cores a start takes minutes
LOOK_EVERY_S = 5
OUTAGE_S = 45  # longer than the 30 s after which a peer reports no contact with other peers
IMAGE = "swarmd:testnet"
IMAGE_BYTES_MAX = 1_200_000_000  # the goal, for torch's CPU build
PAGE_PORT = 8080
TOKEN = "swarmd-testnet-token"  # of docker-compose.yml


class TourError(Exception):
    """The tour cannot go on; the message says why and what to do."""


@dataclass(frozen=True)
class Seen:
    """One peer at one moment."""

    peer_id: str
    step: int
    pulled: int


def run(*command: str, check: bool = True) -> str:
    """Standard output. Raises TourError with what the command said."""
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    if check and done.returncode:
        last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-6:]
        raise TourError(f"`{' '.join(command)}` failed:\n  " + "\n  ".join(last))
    return done.stdout


def compose_command() -> list[str]:
    """`docker compose`, or docker-compose 1.29."""
    if shutil.which("docker") is None or subprocess.run(["docker", "info"], capture_output=True).returncode:
        raise TourError("docker does not answer: install and start it, or join its group")
    if not subprocess.run(["docker", "compose", "version"], capture_output=True).returncode:
        return ["docker", "compose"]
    if shutil.which("docker-compose") is not None:
        return ["docker-compose"]
    raise TourError("neither `docker compose` nor docker-compose is installed")


class Testnet:
    """The containers of the tour, in a project of their own."""

    def __init__(self, *, prometheus: bool) -> None:
        self._compose = [
            *compose_command(),
            "--project-name",
            PROJECT,
            "--profile",
            "page",
            "--profile",
            "metrics",
        ]
        self._services = ["bootstrap", "peer", "observer", *(["prometheus"] if prometheus else [])]

    def compose(self, *arguments: str) -> str:
        return run(*self._compose, *arguments)

    def up(self, peers: int) -> None:
        self.compose("up", "--detach", "--no-build", "--scale", f"peer={peers}", *self._services)

    def containers(self, service: str) -> list[str]:
        return sorted(self.compose("ps", "--quiet", service).split())

    def trainers(self) -> list[str]:
        return [*self.containers("bootstrap"), *self.containers("peer")]

    def healthy(self) -> int:
        """How many trainers are."""
        return sum(self.is_healthy(each) for each in self.trainers())

    def is_healthy(self, container: str) -> bool:
        state = "{{.State.Running}} {{.State.Paused}} {{.State.Health.Status}}"
        shown = run("docker", "inspect", "--format", state, container, check=False)
        return shown.split() == ["true", "false", "healthy"]

    def see(self, container: str) -> Seen | None:
        """None while it is not healthy, or too busy to say how it is."""
        if not self.is_healthy(container):
            return None
        ask = "swarmd status --json --home $(cat /tmp/home)"
        told = run("docker", "exec", container, "sh", "-c", ask, check=False)
        try:
            status = json.loads(told)
            return Seen(status["peer_id"], status["step"], status["groups"]["pulled"])
        except (ValueError, KeyError):
            return None

    def hold_walls(self, container: str) -> bool:
        """Whether its first process has no rights, cannot write the image, and has bounds."""
        told = run("docker", "exec", container, "cat", "/proc/1/status")
        has = dict(line.split(":\t", 1) for line in told.splitlines() if ":\t" in line)
        limits = "{{.HostConfig.Memory}} {{.HostConfig.PidsLimit}}"
        bounds = run("docker", "inspect", "--format", limits, container).split()
        wrote = run("docker", "exec", container, "sh", "-c", "touch /opt/swarmd/x && echo yes", check=False)
        return (
            int(has["CapEff"], 16) == 0
            and has["NoNewPrivs"] == "1"
            and has["Uid"].split()[0] != "0"
            and all(int(bound) > 0 for bound in bounds)
            and not wrote
        )

    def scraped(self) -> list[str]:
        """Of each peer that Prometheus scrapes now, how the last time went: "up", "down" or "unknown"."""
        ask = (
            "import urllib.request as u;"
            "print(u.urlopen('http://prometheus:9090/api/v1/targets', timeout=10).read().decode())"
        )
        [bootstrap] = self.containers("bootstrap")
        answer = json.loads(run("docker", "exec", bootstrap, "python3", "-c", ask))
        return [each["health"] for each in answer["data"]["activeTargets"]]

    def page(self) -> int:
        """Bytes of the swarm's page, as a browser on this machine gets it."""
        run("curl", "--version")
        url = f"http://127.0.0.1:{PAGE_PORT}/status"
        return len(run("curl", "--silent", "--fail", "--header", f"Authorization: Bearer {TOKEN}", url))


def wait_until_back(net: Testnet, peers: int) -> tuple[float, dict[str, Seen]]:
    """Seconds until `peers` peers are back, and how each was when it was last seen so."""
    begun = time.monotonic()
    first: dict[str, Seen] = {}
    back: dict[str, Seen] = {}
    while (passed := time.monotonic() - begun) < BACK_S:
        now = {seen.peer_id: seen for each in net.trainers() if (seen := net.see(each))}
        for peer, seen in now.items():
            was = first.setdefault(peer, seen)
            if seen.step > was.step and seen.pulled > was.pulled:
                back[peer] = seen
        if len(back) == peers and net.healthy() == peers:
            return passed, back
        time.sleep(LOOK_EVERY_S)
    raise TourError(f"{len(back)} of {peers} peers are back after {BACK_S} s: `docker ps`, `docker logs`")


def blows(net: Testnet, peers: int) -> Sequence[tuple[str, int, Callable[[], None]]]:
    """What is done, how many peers there are afterwards besides the bootstrap peer, and the doing."""

    def one() -> str:
        return net.containers("peer")[0]

    def kill() -> None:
        run("docker", "kill", one())
        net.up(peers)

    def crash() -> None:
        pid = run("docker", "inspect", "--format", "{{.State.Pid}}", one()).strip()
        as_host = ("--rm", "--pid=host", "--user=0", "--entrypoint=python3")  # slim images have no `kill`
        run("docker", "run", *as_host, IMAGE, "-c", f"import os; os.kill({pid}, 9)")

    def pause() -> None:
        container = one()
        run("docker", "pause", container)
        time.sleep(OUTAGE_S)
        run("docker", "unpause", container)

    def disconnect() -> None:
        container, network = one(), f"{PROJECT}_default"
        run("docker", "network", "disconnect", network, container)
        time.sleep(OUTAGE_S)
        run("docker", "network", "connect", network, container)

    def bootstrap_dies() -> None:
        run("docker", "kill", *net.containers("bootstrap"))
        net.up(peers)

    def down_and_up() -> None:
        net.compose("down")
        net.up(peers)

    return (
        ("up", peers, lambda: net.up(peers)),
        ("scale up", peers + 1, lambda: net.up(peers + 1)),
        ("scale down", peers, lambda: net.up(peers)),
        ("docker kill, up", peers, kill),
        ("kill -9 of its first process", peers, crash),
        (f"pause for {OUTAGE_S} s", peers, pause),
        (f"no network for {OUTAGE_S} s", peers, disconnect),
        ("docker kill of the bootstrap peer, up", peers, bootstrap_dies),
        ("down, up", peers, down_and_up),
    )


def try_image() -> None:
    """Raises TourError if the image is too large, or a peer in it cannot train a step without a network."""
    size = int(run("docker", "image", "inspect", "--format", "{{.Size}}", IMAGE))
    begun = time.monotonic()
    walls = ("--network=none", "--read-only", "--tmpfs=/tmp:mode=1777", "--cap-drop=ALL")
    step = ("--home", "/tmp/home", "--host", "127.0.0.1", "--steps", "1", "--evaluate-every", "0")
    run("docker", "run", "--rm", *walls, IMAGE, "join", *step)
    print(
        f"the image has {size / 1e9:.2f} GB; a step in it, alone: {time.monotonic() - begun:.0f} s\n",
        flush=True,
    )
    if size > IMAGE_BYTES_MAX:
        raise TourError(f"the image is larger than {IMAGE_BYTES_MAX / 1e9} GB: `docker history {IMAGE}`")


def tour(net: Testnet, peers: int) -> None:
    """Print a row after each blow."""
    print(f"| after | peers | all back after | steps | groups pulled | of {peers + 1} known peers |")
    print("|---|---|---|---|---|---|", flush=True)
    before: dict[str, Seen] = {}
    for what, expected, blow in blows(net, peers):
        blow()
        back_s, now = wait_until_back(net, expected + 1)
        gains = [seen.step - before[peer].step for peer, seen in now.items() if peer in before]
        pulled = sum(seen.pulled - before[peer].pulled for peer, seen in now.items() if peer in before)
        known = len(now.keys() & before.keys()) if before else 0
        steps = f"{min(gains)} to {max(gains)}" if gains else "first"
        print(f"| {what} | {expected + 1} | {back_s:.0f} s | {steps} | {pulled} | {known} |", flush=True)
        before = now
    walls = [net.hold_walls(each) for each in net.trainers()]
    print(f"\nthe walls hold in {sum(walls)} of {len(walls)} containers")
    if not all(walls):
        raise TourError("a container can do what it should not: see docs/testnet.md, the walls")
    print(f"the page of the swarm answers with {net.page()} bytes")
    if net.containers("prometheus"):
        scraped = net.scraped()
        print(f"Prometheus has scraped {scraped.count('up')} of {len(scraped)} peers")
        if set(scraped) != {"up"}:
            raise TourError("Prometheus does not reach every peer")


def require_free_port() -> None:
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", PAGE_PORT)) == 0:
            raise TourError(
                f"port {PAGE_PORT} of this machine is taken: end what listens there, and try again"
            )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", type=int, default=3, help="beside the bootstrap peer (default: 3)")
    parser.add_argument(
        "--prometheus", action="store_true", help="with Prometheus, whose image must be at hand"
    )
    parser.add_argument("--keep", action="store_true", help="leave the containers running at the end")
    wanted = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that the containers go, too
    try:
        net = Testnet(prometheus=wanted.prometheus)
        require_free_port()
        net.compose("build")
        try_image()
        try:
            tour(net, wanted.peers)
        finally:
            if not wanted.keep:
                net.compose("down", "--volumes", "--remove-orphans")
    except TourError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
