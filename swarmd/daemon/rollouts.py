"""The newest groups for people to read: own groups, external groups, and refused ones.

Reads the database and the records, and regenerates own questions, which records do not contain.
"""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from protocol import (
    AnyCompletion,
    AnyRecord,
    Manifest,
    PeerId,
    RejectedRecord,
    TaskSpec,
    TurnsRecord,
    open_record,
)
from protocol.limits import MICRO
from swarmd.errors import TaskError
from swarmd.groups import ScoredCompletion, ScoredGroup
from swarmd.images import Images
from swarmd.observe import CompletionView, ImageView, RecordKind, RecordView
from swarmd.storage import BlobStore
from swarmd.storage.beside import reading
from swarmd.tasks import Question, TaskRunner, transcript, written

T = TypeVar("T")

QUESTIONS_KEPT = 256  # regenerated own questions, by digest: several screens; 1 KiB each, 192 KiB with images

WHY_LOST = {
    "pull": "It could not be fetched.",
    "absent": "Its publisher announced it, but does not hold it.",
    "ignored": "Its publisher was ignored before it could be verified.",
    "paused": "It could not be scored, because this machine slept.",
    "overdrawn": "Its publisher had used up its share of this machine's time.",
    "uninformative": "All its rewards are equal: it teaches nothing.",
    "question": "Its question is not the one that its task generates.",
    "held_out": "Its question is held out from training.",
    "expired": "It is too old.",
    "scorer": "It could not be scored here.",
    "unjudged": "The judges here have no opinion, or find no difference.",
    "completion": "One of its completions hung or crashed the scorer.",
    "signature": "Its signature is wrong.",
    "digest": "It is not what was announced.",
    "version": "It needs a different version of its task.",
}
"""What people read about a group that was lost, by reason. Any other reason is a failed check."""

READ_AT_ONCE = 2
"""Answers read from disk at once, each in a thread: enough for two open pages. Further ones wait."""


class Rollouts:
    """What the rollout browser shows. Used on the event loop; reads the disk in threads."""

    def __init__(
        self,
        *,
        manifest: Manifest,
        peer_id: PeerId,
        database_path: Path,
        blobs: BlobStore,
        tasks: TaskRunner,
    ) -> None:
        self._manifest = manifest
        self._peer_id = peer_id
        self._database_path = database_path
        self._blobs = blobs
        self._tasks = tasks
        self._questions: dict[bytes, Question] = {}
        self._observations: dict[bytes, tuple[tuple[str, ...], ...]] = {}
        self._asking = asyncio.Lock()
        self._reading = asyncio.Semaphore(READ_AT_ONCE)

    async def newest(self, kind: RecordKind, limit: int) -> Sequence[RecordView]:
        """Return at most `limit` groups, newest first. Raises StorageError."""
        match kind:
            case "own":
                records = await self._in_thread(self._own, limit)
                await self._make_questions([record.task for _, record in records])
                await self._play_again(records)
                return [self._published(digest, record) for digest, record in records]
            case "others":
                return await self._in_thread(self._others, limit)
            case "refused":
                return await self._in_thread(self._refused, limit)

    async def _in_thread(self, read: Callable[[int], list[T]], limit: int) -> list[T]:
        """Read in a thread: a slow disk, or thousands of characters to decode, would hold up the whole
        peer.
        """
        async with self._reading:
            return await asyncio.to_thread(read, limit)

    def _own(self, limit: int) -> list[tuple[bytes, AnyRecord]]:
        with reading(self._database_path) as (ledger, _):
            entries = ledger.entries(limit, "published")
        digests = [entry.digest for entry in entries if entry.digest is not None]
        return [(digest, record) for digest in digests if (record := self._record(digest)) is not None]

    def _others(self, limit: int) -> list[RecordView]:
        with reading(self._database_path) as (_, pool):
            newest = pool.newest(limit)
        return [self._of_other(*found) for found in newest]

    def _published(self, digest: bytes, record: AnyRecord) -> RecordView:
        completions: Sequence[AnyCompletion] = record.completions
        question = self._questions.get(_key(record.task))
        return RecordView(
            digest=digest.hex(),
            at=record.created,
            publisher=self._peer_id,
            task=self._task_name(record.task.task_id),
            step=record.step,
            round=record.round,
            model=record.model,
            question=None if question is None else question.text,
            images=_views(() if question is None else question.images),
            completions=tuple(
                CompletionView(text=text, finished=c.turns[-1].finished, reward=c.reward_micro / MICRO)
                for c, text in zip(completions, self._texts(digest, record), strict=True)
            ),
            fate="Published: its rewards differ, so it can teach.",
        )

    def _of_other(self, group: ScoredGroup, used_step: int | None) -> RecordView:
        record = None if group.digest is None else self._record(group.digest)
        claimed = _unknown(group) if record is None else _claims(record)
        return RecordView(
            digest="" if group.digest is None else group.digest.hex(),
            at=self._manifest.round_start(group.round) if record is None else record.created,
            publisher=group.publisher,
            task=group.task_name,
            step=group.step,
            round=group.round,
            model=group.model,
            question=group.question,
            images=_views(group.images),
            completions=tuple(
                CompletionView(text=_text(c), finished=c.finished, reward=c.reward, claimed=claim)
                for c, claim in zip(group.completions, claimed, strict=True)
            ),
            fate=_fate(group, used_step),
        )

    def _refused(self, limit: int) -> list[RecordView]:
        with reading(self._database_path) as (ledger, _):
            entries = ledger.entries(limit, "rejected")
        return [
            RecordView(
                digest="" if entry.digest is None else entry.digest.hex(),
                at=entry.at,
                publisher=entry.peer_id,
                fate=WHY_LOST.get(entry.reason or "", f"It failed a check: {entry.reason}."),
            )
            for entry in entries
        ]

    def _record(self, digest: bytes) -> AnyRecord | None:
        """Return a stored record; None if its file is gone or has another version."""
        envelope = self._blobs.peek(digest)
        if envelope is None:
            return None
        try:
            return open_record(envelope)[0]
        except RejectedRecord:
            return None

    def _task_name(self, task_id: bytes) -> str:
        family = self._manifest.family(task_id)
        return "a task that the swarm no longer has" if family is None else family.name

    async def _make_questions(self, tasks: Sequence[TaskSpec]) -> None:
        """Regenerate the questions that are not cached. A question that cannot be generated stays unknown."""
        async with self._asking:
            missing = [task for task in tasks if _key(task) not in self._questions]
            try:
                found = await self._tasks.questions(missing) if missing else []
            except TaskError:  # the step loop meets it too, and ends the daemon properly
                return
            for task, question in zip(missing, found, strict=True):
                if isinstance(question, Question):
                    self._questions[_key(task)] = question
            while len(self._questions) > QUESTIONS_KEPT:
                del self._questions[next(iter(self._questions))]

    async def _play_again(self, records: Sequence[tuple[bytes, AnyRecord]]) -> None:
        """Regenerate the observations of own multi-turn records, which do not contain them."""
        async with self._asking:
            missing = [
                (digest, record)
                for digest, record in records
                if isinstance(record, TurnsRecord) and digest not in self._observations
            ]
            items = [(record.task, list(map(written, record.completions))) for _, record in missing]
            try:
                rows = await self._tasks.score(items) if items else []
            except TaskError:  # the step loop meets it too, and ends the daemon properly
                return
            for (digest, _), row in zip(missing, rows, strict=True):
                self._observations[digest] = tuple(score.observations for score in row)
            while len(self._observations) > QUESTIONS_KEPT:
                del self._observations[next(iter(self._observations))]

    def _texts(self, digest: bytes, record: AnyRecord) -> list[str]:
        """Return each completion as readable text, with the observations between its turns where they are
        known.
        """
        completions: Sequence[AnyCompletion] = record.completions
        known = self._observations.get(digest, ((),) * len(completions))
        return [
            _shown([turn.text for turn in completion.turns], said)
            for completion, said in zip(completions, known, strict=True)
        ]


def _text(completion: ScoredCompletion) -> str:
    turns = completion.turns
    return _shown([turn.text for turn in turns], [turn.observation for turn in turns[:-1]])


def _shown(texts: Sequence[str], observations: Sequence[str]) -> str:
    missing = len(texts) - 1 - len(observations)
    return transcript(texts, [*observations, *["?"] * missing])


def _views(images: Images) -> tuple[ImageView, ...]:
    return tuple(
        ImageView(width=image.width, height=image.height, pixels=b64encode(image.pixels).decode())
        for image in images
    )


def _key(task: TaskSpec) -> bytes:
    return task.to_bytes()


def _unknown(group: ScoredGroup) -> list[float | None]:
    return [None] * len(group.completions)


def _claims(record: AnyRecord) -> list[float | None]:
    return [completion.reward_micro / MICRO for completion in record.completions]


def _fate(group: ScoredGroup, used_step: int | None) -> str:
    if used_step is not None:
        return f"Kept, and drawn for step {used_step}."
    if group.is_all_right:
        return "Kept. As all its rewards are equal here, it teaches only under external_baseline shared."
    if not group.is_informative:
        return "Kept, but not trained on: all its rewards are equal here, so it teaches nothing."
    return "Kept: it waits to be drawn."
