"""The manifest: a swarm's rules. Its hash is the swarm's id, so a swarm cannot change its rules.

A manifest is not signed. A peer that knows the swarm id can check the bytes; a peer that does not has chosen
to trust whoever served them. This module reads no TOML and knows no presets.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, Field

from protocol import limits
from protocol.encoding import sha256_of
from protocol.errors import InvalidLocal, Reason, RejectedRecord
from protocol.payload import Name, Payload, Timestamp, free_text

_CONFIG_DEPTH_MAX = 8


def canonical_json(value: object) -> str:
    """Return a task's options as canonical JSON: keys sorted, no spaces, non-ASCII characters unescaped, no
    NaN.

    Raises InvalidLocal for values that JSON cannot represent.
    """
    try:
        return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidLocal(f"has no canonical JSON form: {error}") from None


def _exact_integer(digits: str) -> int:
    if len(digits) > len(str(-limits.INT_MAX)) or abs(int(digits)) > limits.INT_MAX:
        raise ValueError("an integer beyond +-(2**53 - 1)")
    return int(digits)


def _config(text: str) -> str:
    try:
        value = json.loads(text, parse_int=_exact_integer)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not JSON: {error}") from None
    if not isinstance(value, dict) or not _nests_within(value, _CONFIG_DEPTH_MAX):
        raise ValueError(f"must be a JSON object, nested at most {_CONFIG_DEPTH_MAX} deep")
    try:
        canonical = canonical_json(value)
    except InvalidLocal as error:
        raise ValueError(str(error)) from None
    if canonical != text:
        raise ValueError("must be canonical JSON: sorted unique keys, no spaces, shortest numbers")
    return text


def _nests_within(value: object, levels: int) -> bool:
    if not isinstance(value, dict | list):
        return True
    inner = value.values() if isinstance(value, dict) else value
    return levels > 0 and all(_nests_within(item, levels - 1) for item in inner)


@functools.lru_cache(maxsize=4 * limits.TASKS_MAX)
def derive_task_id(source: str, dataset: str, config: str, version: str) -> bytes:
    """Return the 16 bytes that identify a family of questions (SPEC section 6.2)."""
    return sha256_of([source, dataset, config, version])[: limits.TASK_ID_BYTES]


class TaskFamily(Payload):
    """One kind of question that a swarm trains on: a dataset of a source, with its options."""

    name: Name
    """for people: unique within the manifest, not part of the task id"""
    source: Name
    dataset: Name
    config: Annotated[str, free_text(limits.CONFIG_BYTES_MAX), AfterValidator(_config)]
    """the dataset's options as a canonical JSON object"""
    version: Name
    """of the source, such as 0.1.25; a different version can ask a different question for the same seed"""
    weight: Annotated[int, Field(ge=1, le=limits.WEIGHT_MAX)]
    """how often the family is drawn, relative to the others"""

    @property
    def task_id(self) -> bytes:
        return derive_task_id(self.source, self.dataset, self.config, self.version)


def _distinct(tasks: tuple[TaskFamily, ...]) -> tuple[TaskFamily, ...]:
    if len({task.name for task in tasks}) < len(tasks):
        raise ValueError("two tasks have the same name")
    if len({task.task_id for task in tasks}) < len(tasks):
        raise ValueError("two tasks are the same: they have equal source, dataset, config and version")
    return tasks


class Manifest(Payload):
    """A swarm's rules. Peers are in the same swarm if and only if their manifests have the same bytes."""

    ITEMS_MAX: ClassVar[int] = limits.MANIFEST_ITEMS_MAX

    name: Name
    genesis: Timestamp
    """when round 0 begins"""
    round_seconds: Annotated[int, Field(ge=1, le=limits.ROUND_S_MAX)]
    reward: Literal["exact", "partial"]
    """exact: 1 for a full score, else 0; partial: the scorer's own value in [0, 1]"""
    max_new_tokens: Annotated[int, Field(ge=1, le=limits.COMPLETION_TOKENS_MAX)]
    records_per_round_max: Annotated[int, Field(ge=1, le=limits.RECORDS_PER_ROUND_MAX)]
    """per publisher; receivers ignore any further records"""
    tasks: Annotated[
        tuple[TaskFamily, ...],
        Field(min_length=1, max_length=limits.TASKS_MAX),
        AfterValidator(_distinct),
    ]

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Parse received bytes. Raises RejectedRecord: size, encoding, not_canonical or schema."""
        if len(data) > limits.MANIFEST_BYTES_MAX:
            raise RejectedRecord(
                Reason.SIZE,
                f"a manifest of {len(data)} bytes, at most {limits.MANIFEST_BYTES_MAX} are allowed",
            )
        return super().from_bytes(data)

    @functools.cached_property
    def swarm_id(self) -> bytes:
        """SHA-256 (32 bytes) of the manifest's bytes. Cached because every verification needs it."""
        return hashlib.sha256(self.to_bytes()).digest()

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Like pydantic's, but without the original's cached swarm id, which pydantic would also copy."""
        copied = super().model_copy(update=update, deep=deep)
        copied.__dict__.pop("swarm_id", None)
        return copied

    def round_at(self, now: float) -> int:
        """The round at unix time `now` in seconds; negative before genesis."""
        return int((now - self.genesis) // self.round_seconds)

    def round_start(self, round: int) -> int:  # noqa: A002  the protocol's term
        """Unix time in seconds at which `round` begins."""
        return self.genesis + round * self.round_seconds

    def announced_until(self, round: int) -> int:  # noqa: A002
        """Unix time in seconds before which all announcements of records of `round` expire."""
        rounds = limits.ANNOUNCEMENT_ROUNDS_MAX * self.round_seconds
        longest = min(max(limits.ANNOUNCEMENT_LIFETIME_S_MAX, rounds), limits.RECORD_LIFETIME_S_MAX)
        return self.round_start(round + 1) + longest

    def family(self, task_id: bytes) -> TaskFamily | None:
        """Return the family with this task id, or None if the swarm does not train on it."""
        return next((task for task in self.tasks if task.task_id == task_id), None)
