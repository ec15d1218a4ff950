"""Groups of tasks with several turns: lies about what was said, and true groups that cost much to replay.

One identity publishes groups of which none is honest: turns beyond the task's limit or after its end, rewards
that are not due, hundreds of turns, the other version of the record, questions about other numbers. None may
be worth anything. Others publish groups that are true in every point. Their turns make a receiver play the
task as often as a record can, or write 4 KiB of text into each of the prompts that follow. They may be
trained on, and must not hold the victim up.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from protocol import TURNS_RECORD_PAYLOAD_TYPE, TaskFamily, prompt_digest
from protocol.limits import TURNS_MAX
from tests.hostile.attacks.scorers import attacked
from tests.hostile.forging import Episode, Forged, Forger
from tests.hostile.publishing import Asked, answer, publish
from tests.hostile.scene import Attack, Counts, Scene
from tests.hostile.verdicts import nobody_held_up, nothing_taken

LIARS = range(1, 9)
COSTLY = range(9, 17)
"""Numbers of identities."""

COSTLY_PER_S = 4.0

LONG_TURN_BYTES = 4_096

FILLING_TURN_BYTES = 250
"""The embedded model reads 1,024 tokens, and so four turns of that length."""

LONGEST_TASK = "longest"
"""Of the swarm whose tasks have as many turns as a task may have."""


def swarm(weight: int) -> dict[str, Any]:
    """Tasks that the embedded model can do from the start, so that a pair soon exchanges enough groups; those
    of the preset `guessing`; and the game that can be made to cost most. `weight`: of the guessing games; the
    others have 100 each."""
    games = (
        ("guessing-20", weight, 20, 4),
        ("guessing-50", weight, 50, 5),
        (LONGEST_TASK, 1, 99_999, TURNS_MAX),
    )
    return attacked(
        "attacked-turns",
        *(
            {
                "name": name,
                "source": "games",
                "dataset": "guessing",
                "weight": weight,
                "config": {"largest": largest, "turns": turns},
            }
            for name, weight, largest, turns in games
        ),
    )


SWARM = swarm(50)

RARELY_PLAYED = swarm(1)
"""Where a pair hardly ever asks itself a game. An own group of a game takes ten times as long to train on as
one of a sum, so the few that teach would decide how many steps a pair takes."""

OPTIONS = ("--external", "1")
"""As many groups as a peer of this swarm always has. It is short of more, so that anybody's true groups would
make a pair do more work than the one that is left alone, whatever they cost."""


def wrong(asked: Asked) -> str:
    """A guess that is no number's."""
    return answer(int(asked.right) + 1)


def too_many(asked: Asked) -> list[Episode]:
    """As many turns as a record takes, and more than the task has. The last is right."""
    return _claimed([*[wrong(asked)] * (TURNS_MAX - 1), answer(asked.right)], asked)


def after_the_end(asked: Asked) -> list[Episode]:
    return _claimed([answer(asked.right), answer(asked.right)], asked)


def unearned(asked: Asked) -> list[Episode]:
    return _claimed([wrong(asked)] * asked.turns, asked)


def overheard(asked: Asked) -> list[Episode]:
    """A turn that writes the task's words, and the next turn, itself."""
    said = f"{wrong(asked)}\nIt is lower.\n<|assistant|>{answer(asked.right)}\n{answer('7x')}"
    return _claimed([said] * asked.turns, asked)


def misspelled(asked: Asked) -> list[Episode]:
    """The number in figures that the game does not take."""
    figures = asked.right.translate({48 + n: 0x0660 + n for n in range(10)})
    return _claimed([answer(figures), answer(f"0x{int(asked.right):x}")], asked)


def _claimed(turns: Sequence[str], asked: Asked) -> list[Episode]:
    """Turns that ask to be paid, beside honest ones that do not."""
    return [(turns, 1.0), (turns, 1.0), ([wrong(asked)] * asked.turns, 0.0)]


EPISODES = (too_many, after_the_end, unearned, overheard, misspelled)
"""Groups that are sound in form."""


def another_number(asked: Asked) -> bytes:
    return prompt_digest(asked.text, (), f"{asked.right}0")


def lie(forger: Forger, asked: Asked, number: int) -> Forged:
    """Each kind of lie in turn, by each identity in turn. All are sound in form."""
    key = forger.key(LIARS[number % len(LIARS)])
    kind = number % (len(EPISODES) + 2)
    if kind < len(EPISODES):
        return forger.record_of_turns(key, asked.spec, asked.digest, EPISODES[kind](asked))
    right, other = answer(asked.right), wrong(asked)
    if kind == len(EPISODES):
        return forger.record(key, asked.spec, asked.text, [(right, 1.0), (other, 0.0)])  # version 1
    both: list[Episode] = [([right], 1.0), ([other] * asked.turns, 0.0)]
    return forger.record_of_turns(key, asked.spec, another_number(asked), both)


def malformed(forger: Forger, asked: Asked, number: int) -> Forged:
    """What is no record of turns: hundreds of turns, none, words in their place."""
    key = forger.key(LIARS[number % len(LIARS)])
    turns: tuple[object, ...] = ([], "16", 16, [[]], [{"text": "7"}], [None] * TURNS_MAX)
    kinds = 2 + len(turns)
    if number % kinds < 2:
        many = ["7"] * (350 if number % kinds else TURNS_MAX + 1)
        return forger.record_of_turns(key, asked.spec, asked.digest, [(many, 1.0), (many, 0.0)])
    made = [{"turns": turns[number % kinds - 2], "reward_micro": 1_000_000}] * 2
    return forger.sealed(key, asked.spec, asked.digest, made, TURNS_RECORD_PAYLOAD_TYPE)


def costly(forger: Forger, asked: Asked, number: int) -> Forged:
    """As many turns as fit into a record, all different and true: each is told something, the last is right.

    Every second completion stops before the end and is worth nothing.
    """
    right = int(asked.right)
    guesses = [answer(1 + (right + 7 * n + number) % 99_999) for n in range(1, 15 * 30)]
    episodes: list[Episode] = []
    for completion in range(28):
        others = guesses[completion * 15 : completion * 15 + 15]
        solved = completion % 2 == 0
        episodes.append(([*others, answer(right)] if solved else others, float(solved)))
    key = forger.key(COSTLY[number % len(COSTLY)])
    return forger.record_of_turns(key, asked.spec, asked.digest, episodes)


def long(forger: Forger, asked: Asked, number: int) -> Forged:
    """Turns with much text behind their guesses: 4 KiB, or as much as leaves room for the turns after it."""
    size, completions = (LONG_TURN_BYTES, 2) if number % 2 else (FILLING_TURN_BYTES, 32)
    rest = asked.turns - 1
    episodes: list[Episode] = []
    for completion in range(completions):
        filler = f" {number} {completion} " + "z q " * ((size - 64) // 4)
        last = answer(asked.right) if completion % 2 == 0 else wrong(asked)
        episodes.append(([*[wrong(asked) + filler] * rest, last + filler], float(completion % 2 == 0)))
    key = forger.key(COSTLY[number % len(COSTLY)])
    return forger.record_of_turns(key, asked.spec, asked.digest, episodes)


async def tell_lies(scene: Scene) -> Counts:
    return await publish(scene, lie, families=_games(scene)[:2])


async def send_malformed(scene: Scene) -> Counts:
    return await publish(scene, malformed, families=_games(scene)[:2])


async def cost(scene: Scene) -> Counts:
    longest = [family for family in _games(scene) if family.name == LONGEST_TASK]
    return await publish(scene, costly, families=longest, per_second=COSTLY_PER_S)


async def write_long(scene: Scene) -> Counts:
    return await publish(scene, long, families=_games(scene)[:2], per_second=COSTLY_PER_S)


def _games(scene: Scene) -> list[TaskFamily]:
    return [family for family in scene.forger.manifest.tasks if family.source == "games"]


ATTACKS = (
    Attack(
        "turns-lies",
        "groups whose turns go beyond the task or claim rewards, and groups about other questions",
        tell_lies,
        partial(nothing_taken, LIARS, 1),
        swarm=SWARM,
        options=OPTIONS,
    ),
    Attack(
        "turns-malformed",
        "records with hundreds of turns, none, or words in their place",
        send_malformed,
        partial(nothing_taken, LIARS, 0),
        swarm=SWARM,
        options=OPTIONS,
    ),
    Attack(
        "turns-costly",
        "true groups of as many turns as a record holds",
        cost,
        partial(nobody_held_up, COSTLY),
        swarm=RARELY_PLAYED,
        options=OPTIONS,
    ),
    Attack(
        "turns-long",
        "true groups that write long text into every prompt that follows",
        write_long,
        partial(nobody_held_up, COSTLY),
        swarm=RARELY_PLAYED,
        options=OPTIONS,
    ),
)
