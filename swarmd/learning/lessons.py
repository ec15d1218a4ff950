"""Lessons: questions with one right answer, kept to train on them again."""

from __future__ import annotations

from dataclasses import replace

from pydantic import ConfigDict, TypeAdapter

from swarmd.groups import ScoredGroup

_GROUP = TypeAdapter(tuple[ScoredGroup], config=ConfigDict(ser_json_bytes="base64", val_json_bytes="base64"))


def lesson_of(group: ScoredGroup, bytes_max: int) -> ScoredGroup | None:
    """`group` reduced to its best usable answer; None if it has no right one, or one that is too long.

    An own answer is trained on like an external one: encoded again, and not weighted by its sampling
    logprobs. `bytes_max` limits the UTF-8 bytes of the question, of all turns and of the observations between
    them, plus the bytes of the pixels.
    """
    usable = (c for c in group.completions if c.bare or not group.external)
    best = max(usable, key=lambda c: c.reward, default=None)
    if best is None or not (group.is_all_right or best.reward > group.mean_reward):
        return None
    pixels = sum(len(image.pixels) for image in group.images)
    said = (text for turn in best.turns for text in (turn.text, turn.observation))
    if pixels + sum(len(text.encode()) for text in (group.question, *said)) > bytes_max:
        return None
    earlier = tuple(replace(turn, token_ids=(), logprobs=()) for turn in best.earlier)
    answer = replace(best, bare=True, token_ids=(), logprobs=(), earlier=earlier)
    return replace(group, completions=(answer,), external=True)


def to_json(lesson: ScoredGroup) -> str:
    """The lesson as JSON."""
    return _GROUP.dump_json((lesson,)).decode()


def of_json(text: str) -> ScoredGroup:
    """The lesson of `to_json`. Raises pydantic.ValidationError for anything else."""
    return _GROUP.validate_json(text)[0]
