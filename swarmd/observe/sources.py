"""Where the pages get what they show besides the snapshot: callables provided by the daemon or the observer.

Each is called on the event loop, once per request or update, and must be quick, except for `records`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, JsonValue

from swarmd.observe.events import Event

RecordKind = Literal["own", "others", "refused"]

RECORDS_MAX = 50  # records in one answer: at most 64 KiB each
RECORDS_S = 60.0  # for one answer: their questions are regenerated, which waits behind those of a step


class CompletionView(BaseModel):
    """One completion of a group, with both rewards."""

    model_config = ConfigDict(frozen=True)

    text: str
    finished: bool
    reward: float
    """As scored here, 0..1."""
    claimed: float | None = None
    """The reward that its publisher gave it, 0..1; null for own groups, and if unknown."""


class ImageView(BaseModel):
    """An image that a question shows. This peer drew it itself."""

    model_config = ConfigDict(frozen=True)

    width: int
    height: int
    pixels: str
    """Base64 of red, green and blue, row by row."""


class RecordView(BaseModel):
    """A group as the rollout browser shows it. Any text in it can come from a stranger."""

    model_config = ConfigDict(frozen=True)

    digest: str
    """Hex; empty if a refusal names none."""
    at: float
    """Unix time in seconds: when the group was made or, for a refusal, refused."""
    publisher: str | None
    task: str = ""
    step: int = 0
    round: int = 0
    model: str = ""
    question: str | None = None
    """Null if it cannot be regenerated here."""
    images: tuple[ImageView, ...] = ()
    completions: tuple[CompletionView, ...] = ()
    fate: str
    """What became of it and why, one sentence."""


async def _no_records(_kind: RecordKind, _limit: int) -> Sequence[RecordView]:
    return ()


@dataclass(frozen=True)
class Sources:
    """What the pages can show. The defaults show nothing."""

    records: Callable[[RecordKind, int], Awaitable[Sequence[RecordView]]] = _no_records
    """(kind, limit) -> the newest records, newest first."""
    events_since: Callable[[int], Sequence[Event]] = lambda _number: ()
    """The events after this number that are still in memory, oldest first."""
    settings: Callable[[], Mapping[str, JsonValue]] = dict
    """settings: by section. changed: names of those that were set. plan: reasons."""
