"""Honest daemons under watch: pairs that know each other, and what was seen of them during a while.

Real `swarmd join` processes on 127.0.0.1, each in a home of its own. A pair under attack and a pair that is
left alone run at the same time, so that both see the same machine, the attacker's use of it included.
"""

from __future__ import annotations

import json
import math
import socket
import sqlite3
import statistics
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import cbor2
import psutil

from protocol import PeerId
from swarmd.storage import Home
from tests.hostile.attacker import Target
from tests.integration.daemon_process import DaemonProcess

POLL_S = 0.5
"""Between two looks at a daemon: its status, timed, and its memory."""

STATUS_S = 30.0
"""A status that takes longer counts as this long."""

STARTED_S = 240.0
"""For a pair's first exchanged groups; half a minute on a quiet machine."""

WARM_STEPS = 4
WARM_SHARE = 3 / 4
"""Of its J, what a daemon that is under way gets as external groups in the last steps."""

EXTERNAL = 2
"""J of a pair, unless its options say otherwise: a little less than one honest peer publishes in a step."""

OPTIONS = ("--local", "4", "--external", str(EXTERNAL), "--evaluate-every", "0", "--checkpoint-every", "100")


LEDGER = "SELECT at, event, digest, peer_id, reason FROM ledger ORDER BY id"


@dataclass(frozen=True)
class Sample:
    """One look at a daemon."""

    at: float
    """Unix time in seconds."""
    latency_s: float
    rss_mb: float
    status: Mapping[str, Any] | None


@dataclass(frozen=True)
class Seen:
    """One daemon over one while."""

    peer_id: str
    seconds: float
    exit_code: int | None
    """None while it runs; -11 after a segmentation fault."""
    steps: int
    external: float
    """Groups by others a step; NaN without steps."""
    used: Counter[str]
    """Groups trained on, by publisher."""
    pulled: Counter[str]
    rejected: Counter[tuple[str, str]]
    """By (publisher, reason)."""
    latency_s: float
    """The longest that a status took."""
    latency_typical_s: float
    rss_growth_mb: float
    """The most memory during the while, beyond the most before it."""
    scoring_s: tuple[float, ...]
    """How long its own completions took to be scored, of each step."""
    phase_s: Mapping[str, float]
    """Seconds of the while that were spent in each phase of a step."""
    paid: Counter[tuple[str, str]]
    """Completions in the pool with a reward, by publisher and task: all that ever came."""
    status: Mapping[str, Any]
    """The last one."""
    warnings: tuple[str, ...]
    said: str
    """All that the daemon printed but its steps and phases, and its last status: to look for names in."""
    stderr: str

    @property
    def alive(self) -> bool:
        return self.exit_code is None

    def rejected_of(self, publishers: frozenset[str]) -> int:
        """Groups of these that were given up, for whatever reason."""
        return sum(count for (publisher, _), count in self.rejected.items() if publisher in publishers)

    def share_of(self, publishers: frozenset[str]) -> float:
        """Their share of the groups trained on; 0 of nothing."""
        theirs = sum(count for publisher, count in self.used.items() if publisher in publishers)
        return theirs / max(1, self.used.total())


class Honest:
    """A daemon and a thread that watches it."""

    def __init__(self, path: Path, name: str) -> None:
        self.name = name
        self.home = Home.open(path / name)
        self.peer_id: PeerId = self.home.key().peer_id
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = int(probe.getsockname()[1])
        self.home.write_port(self.port)
        self.samples: list[Sample] = []
        self.daemon: DaemonProcess
        self._external = EXTERNAL
        self._stop = threading.Event()
        self._watch = threading.Thread(target=self._keep_watching, name=f"watch {name}", daemon=True)

    @property
    def target(self) -> Target:
        return Target(f"/ip4/127.0.0.1/tcp/{self.port}/p2p/{self.peer_id}")

    def start(self, peers: Sequence[Honest], *options: str) -> None:
        named = [argument for peer in peers for argument in ("--peer", peer.target.address)]
        given = (*OPTIONS, *options)
        *_, self._external = (int(number) for flag, number in pairwise(given) if flag == "--external")
        self.daemon = DaemonProcess(self.home.path, *given, *named)
        self._watch.start()

    def close(self) -> None:
        self._stop.set()
        if self._watch.ident is not None:
            self._watch.join(STATUS_S)
            self.daemon.close()

    @property
    def alive(self) -> bool:
        return self.daemon.process.poll() is None

    def wait_until_warm(self, deadline: float) -> None:
        """Until steps get external groups. Fails when the time is over."""
        while True:
            steps = self.daemon.named("step")[-WARM_STEPS:]
            wanted = WARM_STEPS * WARM_SHARE * self._external
            if len(steps) == WARM_STEPS and sum(s["external"] for s in steps) >= wanted:
                return
            assert self.alive, self.daemon.describe()
            assert time.monotonic() < deadline, f"{self.name} exchanges no groups\n{self.daemon.describe()}"
            time.sleep(POLL_S)

    def seen(self, since: float, until: float) -> Seen:
        """What happened between two moments of Unix time."""
        steps = [event for event in self.daemon.named("step") if since <= moment(event) < until]
        during = [sample for sample in self.samples if since <= sample.at < until]
        before = [sample.rss_mb for sample in self.samples if sample.at < since]
        used, pulled, rejected = self._ledger(since, until)
        latencies = [sample.latency_s for sample in during] or [math.nan]
        statuses = [sample.status for sample in self.samples if sample.status and sample.at < until]
        return Seen(
            peer_id=self.peer_id,
            seconds=until - since,
            exit_code=self.daemon.process.poll(),
            steps=len(steps),
            external=statistics.fmean(step["external"] for step in steps) if steps else math.nan,
            used=used,
            pulled=pulled,
            rejected=rejected,
            latency_s=max(latencies),
            latency_typical_s=statistics.median(latencies),
            rss_growth_mb=max((sample.rss_mb for sample in during), default=math.nan)
            - max(before, default=math.nan),
            scoring_s=tuple(self._scoring(since, until)),
            phase_s=self._phase_seconds(since, until),
            paid=self.paid(),
            status=statuses[-1] if statuses else {},
            warnings=tuple(str(event["message"]) for event in self.daemon.named("warning")),
            said=json.dumps([self._events(), statuses[-1:]]),
            stderr=self.daemon.stderr,
        )

    def _scoring(self, since: float, until: float) -> list[float]:
        phases = [event for event in self.daemon.named("phase") if since <= moment(event) < until]
        return [moment(b) - moment(a) for a, b in pairwise(phases) if a["name"] == "scoring"]

    def _phase_seconds(self, since: float, until: float) -> dict[str, float]:
        entered = [(moment(event), str(event["name"])) for event in self.daemon.named("phase")]
        spent: defaultdict[str, float] = defaultdict(float)
        for (begin, name), (end, _) in pairwise([*entered, (until, "")]):
            spent[name] += max(0.0, min(end, until) - max(begin, since))
        return {name: round(seconds, 3) for name, seconds in spent.items() if seconds > 0}

    def _ledger(self, since: float, until: float) -> tuple[Counter[str], Counter[str], Counter[Any]]:
        """Groups used, pulled and rejected by their publishers."""
        used: Counter[str] = Counter()
        pulled: Counter[str] = Counter()
        rejected: Counter[Any] = Counter()
        publishers: dict[bytes, str] = {}
        for at, event, digest, peer_id, reason in self._rows(LEDGER):
            if event == "pulled":
                publishers[digest] = peer_id
            if not since <= at < until:
                continue
            if event == "used":
                used[publishers.get(digest, "unknown")] += 1
            elif event == "pulled":
                pulled[peer_id] += 1
            elif event == "rejected":
                rejected[peer_id, reason] += 1
        return used, pulled, rejected

    def _events(self) -> list[Mapping[str, Any]]:
        return [event for event in list(self.daemon.events) if event["event"] not in ("phase", "step")]

    def paid(self) -> Counter[tuple[str, str]]:
        """Completions in its pool with a reward, by publisher and dataset."""
        manifest = self.home.manifest()
        assert manifest is not None
        datasets = {task.task_id: task.dataset for task in manifest.tasks}
        paid: Counter[tuple[str, str]] = Counter()
        for publisher, task, body in self._rows("SELECT publisher, task_id, body FROM pool"):
            rewards = [each["reward"] for each in cbor2.loads(body)["completions"]]
            paid[publisher, datasets[task]] += sum(reward > 0 for reward in rewards)
        return +paid

    def _rows(self, query: str) -> list[Any]:
        """From the daemon's database, beside it."""
        uri = f"file:{self.home.database_path}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True, timeout=STATUS_S)) as database:
            return database.execute(query).fetchall()

    def _keep_watching(self) -> None:
        process = psutil.Process(self.daemon.pid)
        while not self._stop.wait(POLL_S):
            began = time.time()
            status = ask(self.home.socket_path)
            latency = time.time() - began
            with suppress(psutil.Error):
                rss = process.memory_info().rss / 2**20
                if status is not None or latency >= STATUS_S:
                    self.samples.append(Sample(began, latency, rss, status))
            if not self.alive:
                return


def moment(event: Mapping[str, Any]) -> float:
    """Unix time of an event that a daemon printed."""
    return datetime.fromisoformat(event["ts"].replace("Z", "+00:00")).timestamp()


def ask(socket_path: Path) -> dict[str, Any] | None:
    """GET /status over a daemon's unix socket; None without a whole answer in STATUS_S."""
    chunks: list[bytes] = []
    with suppress(OSError, ValueError), socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(STATUS_S)
        connection.connect(str(socket_path))
        connection.sendall(b"GET /status HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        while chunk := connection.recv(2**16):
            chunks.append(chunk)
        head, _, body = b"".join(chunks).partition(b"\r\n\r\n")
        if b" 200 " in head[:20]:
            found: dict[str, Any] = json.loads(body)
            return found
    return None


@dataclass
class Pair:
    """Two honest daemons that know each other."""

    first: Honest
    second: Honest
    options: tuple[str, ...] = field(default=())

    @classmethod
    def make(cls, directory: Path, name: str, options: Sequence[str] = ()) -> Pair:
        return cls(Honest(directory, f"{name}1"), Honest(directory, f"{name}2"), tuple(options))

    def start(self) -> None:
        self.first.start([self.second], *self.options)
        self.second.start([self.first], *self.options)

    def close(self) -> None:
        self.first.close()
        self.second.close()

    @property
    def both(self) -> tuple[Honest, Honest]:
        return self.first, self.second

    def seen(self, since: float, until: float) -> tuple[Seen, Seen]:
        return self.first.seen(since, until), self.second.seen(since, until)


def warm(pairs: Sequence[Pair]) -> None:
    """Wait until all of them exchange groups."""
    deadline = time.monotonic() + STARTED_S
    for pair in pairs:
        for honest in pair.both:
            honest.wait_until_warm(deadline)
