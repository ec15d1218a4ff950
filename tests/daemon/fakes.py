"""Parts of a daemon for its tests: real interfaces, no processes, no network, everything recorded."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from protocol import KeyPair, PeerId, TaskSpec
from swarmd.config import ObserveConfig
from swarmd.errors import NetworkError
from swarmd.gossip import (
    Command,
    Event,
    GossipStatistics,
    GroupOffer,
    Ignored,
    NotPublished,
    Party,
    PublishStatus,
    StoreBlob,
    Unpublished,
)
from swarmd.groups import ScoredCompletion, ScoredGroup
from swarmd.network.interface import (
    BodyProvider,
    Delivered,
    NetworkStatistics,
    Pulled,
    Report,
    Standing,
    StandingOf,
)
from swarmd.observe import EventLog
from swarmd.tasks import Item, Question, Score, TaskFailure, TaskRunner, extract_answer
from tests.gossip.making import START, question

ScoreBy = Callable[[int, str], Score]
"""(position in its group, text) -> score."""


def as_claimed(_: int, text: str) -> Score:
    """The number in the answer is the reward: a task in which everybody is right about himself."""
    answer = extract_answer(text)
    return Score(0.0 if answer is None else float(answer), bare=True)


def every_other(position: int, _: str) -> Score:
    """Rewards 0, 1, 0, 1: a group that teaches, whatever is in it."""
    return Score(float(position % 2), bare=True)


class KnownTasks(TaskRunner):
    """Asks `tests.gossip.making.question` and scores by a function, without a worker process."""

    def __init__(self, score_by: ScoreBy = as_claimed) -> None:
        super().__init__(reward="exact")
        self.score_by = score_by
        self.failures: dict[int, str] = {}
        """seed of a spec -> reason why it gives no question"""
        self.slow: set[int] = set()
        """seeds of the specs whose answers cannot share a process"""
        self.scored: list[TaskSpec] = []

    waiting_s = 0.0

    async def questions(self, specs: Sequence[TaskSpec]) -> list[Question | TaskFailure]:
        return [self._question(spec) for spec in specs]

    async def held_out(self, specs: Sequence[TaskSpec]) -> list[Question | TaskFailure]:
        made = await self.questions(specs)
        return [found for found in made if isinstance(found, TaskFailure) or found.held_out]

    async def expected(self, specs: Sequence[TaskSpec]) -> list[str | None]:
        return [None for _ in specs]

    async def score(self, items: Sequence[Item]) -> list[list[Score]]:
        return [await self.score_alone(*item) for item in items]

    async def score_shared(self, items: Sequence[Item]) -> list[list[Score] | None]:
        return [None if spec.seed in self.slow else await self.score_alone(spec, row) for spec, row in items]

    async def score_alone(self, spec: TaskSpec, completions: Sequence[str]) -> list[Score]:
        self.scored.append(spec)
        return [self.score_by(position, text) for position, text in enumerate(completions)]

    def sandbox_report(self) -> tuple[str, ...]:
        return ("no sandbox in tests",)

    def _question(self, spec: TaskSpec) -> Question | TaskFailure:
        if spec.seed in self.failures:
            return TaskFailure(spec, self.failures[spec.seed], "as the test wants it")
        return Question(spec, question(spec))


class Events(EventLog):
    """An event log that a test can read, and by which it can step in at a certain moment."""

    def __init__(self, clock: Callable[[], float] = lambda: START) -> None:
        self.stdout = io.StringIO()
        super().__init__(ObserveConfig(log_format="json", log_level="debug"), clock=clock, stdout=self.stdout)
        self.hook: Callable[[str, dict[str, Any]], None] = lambda name, fields: None

    def emit(self, name: Any, /, **fields: Any) -> None:
        super().emit(name, **fields)
        self.hook(name, fields)

    def named(self, name: str) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in self.stdout.getvalue().splitlines()]
        return [line for line in lines if line["event"] == name]


@dataclass
class ScriptedNetwork:
    """Answers as told, and fails when told."""

    peer_id: PeerId
    addresses: tuple[str, ...] = ()
    answers: dict[str, Any] = field(default_factory=dict)
    error: NetworkError | None = None
    restarts: int = 0
    connected: int = 0
    unheard: frozenset[PeerId] = frozenset()
    pauses: int = 0
    connections: dict[PeerId, str] = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=dict)
    calls: list[tuple[Any, ...]] = field(default_factory=list)
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    """set at every call that goes to other peers"""

    def serve(self, *, bodies: BodyProvider, manifest: bytes) -> None:
        self.calls.append(("serve", manifest))

    async def connect(self, addresses: Sequence[str], *, named: bool = False) -> int:
        return await self._answer("connect", tuple(addresses))

    async def fetch_manifest(self, address: str) -> bytes:
        return await self._answer("fetch_manifest", address)

    async def announce(self, envelopes: Sequence[bytes]) -> int:
        return await self._answer("announce", tuple(envelopes))

    async def read_announcements(self, keys: Sequence[bytes]) -> list[bytes]:
        return await self._answer("read_announcements", tuple(keys))

    async def announcements_of(self, peer_id: PeerId) -> list[bytes]:
        return await self._answer("announcements_of", peer_id)

    def news_by(self, news: object) -> None:
        self.news = news

    async def publish_status(self, envelope: bytes, shards: int) -> bool:
        return await self._answer("publish_status", envelope, shards)

    async def read_statuses(self, keys: Sequence[bytes]) -> list[bytes]:
        return await self._answer("read_statuses", tuple(keys))

    def tell(self, envelope: bytes, with_credits: bytes | None = None) -> None:
        self.calls.append(("tell", envelope))

    def tell_announcement(self, envelope: bytes) -> None:
        self.calls.append(("tell_announcement", envelope))

    def tell_charter(self, envelope: bytes) -> None:
        self.calls.append(("tell_charter", envelope))

    def count_by(self, delivered: Delivered) -> None:
        self.delivered = delivered

    async def ping(self, peer_id: PeerId) -> float:
        return await self._answer("ping", peer_id)

    async def ask_status(self, peer_id: PeerId) -> bytes:
        return await self._answer("ask_status", peer_id)

    async def ask_charter(self, peer_id: PeerId) -> bytes:
        return await self._answer("ask_charter", peer_id)

    async def ask_versions(self, peer_id: PeerId) -> bytes:
        return await self._answer("ask_versions", peer_id)

    async def store_body(self, envelope: bytes) -> bool:
        return await self._answer("store_body", envelope)

    def judge_by(self, standing_of: StandingOf, report: Report) -> None:
        self.report = report

    async def disconnect(self, peer_id: PeerId) -> None:
        await self._answer("disconnect", peer_id)

    async def pull(self, peer_id: PeerId, digest: bytes, size: int) -> Pulled:
        return await self._answer("pull", peer_id, digest, size)

    def statistics(self) -> NetworkStatistics:
        return NetworkStatistics(
            self.connected,
            self.restarts,
            0,
            0,
            True,
            refused=self.refused,
            unheard=self.unheard,
            pauses=self.pauses,
            connections=self.connections,
        )

    async def close(self) -> None:
        self.calls.append(("close",))

    async def _answer(self, call: str, *arguments: Any) -> Any:
        self.calls.append((call, *arguments))
        self.asked.set()
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error
        return self.answers[call]


class ScriptedGossip:
    """Gives the commands that a test wants, each once, and remembers what it is told."""

    def __init__(self) -> None:
        self.told: list[Event] = []
        self.wants: list[Command] = []
        self.problems: tuple[str, ...] = ()
        self.distrusted: set[str] = set()
        self.peers: tuple[Any, ...] = ()
        self.ignored: tuple[Ignored, ...] = ()
        self.left: frozenset[PeerId] = frozenset()
        self.heard = asyncio.Event()

    def standing(self, peer: PeerId) -> Standing:
        return Standing.BANNED if peer in self.distrusted else Standing.STRANGER

    def party(self, peer: PeerId) -> Party:
        return Party(peer, Standing.MET)

    def met_lately(self) -> bool:
        return True

    def trust(self, peer: str) -> float:
        return 0.0 if peer in self.distrusted else 1.0

    def handle(self, event: Event, now: float) -> list[Command]:
        self.told.append(event)
        self.heard.set()
        wants, self.wants = self.wants, []
        if isinstance(event, GroupOffer) and not any(isinstance(each, StoreBlob) for each in wants):
            wants.append(NotPublished(Unpublished.UNINFORMATIVE))
        return wants

    def goodbye(self, now: float) -> PublishStatus | None:
        return None

    @property
    def next_wakeup(self) -> float:
        return START + 1e6

    def of(self, kind: type) -> list[Any]:
        return [event for event in self.told if isinstance(event, kind)]

    def statistics(self) -> GossipStatistics:
        return GossipStatistics(
            round=0,
            swarm_size=1,
            neighbours=0,
            peers=self.peers,
            shards=1,
            groups_published=0,
            groups_unpublished={},
            last_invalid="",
            announcements_stored=0,
            candidates=0,
            pulls_in_flight=0,
            verifying=0,
            groups_pulled=0,
            groups_accepted=0,
            groups_rejected={},
            junk={},
            announcement_keys_read=0,
            ignored=self.ignored,
            trusted=(),
            left=self.left,
            points_lost={},
            misbehaved={},
            clock_offset_s=None,
            problems=self.problems,
        )


def external_group(number: int, *, publisher: str, round_: int = 0) -> ScoredGroup:
    """A verified group of another peer that teaches something."""
    completions = (
        ScoredCompletion(f"<answer>{number}</answer>", 1.0, True, behaviour_logprob_sum=-1.0, bare=True),
        ScoredCompletion("<answer>no</answer>", 0.0, True, behaviour_logprob_sum=-1.0),
    )
    return ScoredGroup(
        publisher=publisher,
        task_id=bytes(16),
        task_name="made",
        question=f"Which number is {number}?",
        completions=completions,
        round=round_,
        step=1,
        model="other",
        tokenizer=bytes(8),
        digest=number.to_bytes(32, "big"),
        external=True,
    )


def with_text(group: list[Any], text: str) -> list[Any]:
    """The samples of a group with another text."""
    return [replace(sample, text=text) for sample in group]


def peer(number: int) -> PeerId:
    return KeyPair.from_seed(bytes([number]) * 32).peer_id
