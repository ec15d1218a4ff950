"""Groups of environments that another package brings: hostile moves, and true games that cost much to replay.

The environment is a game of textarena, which has to be installed. What a policy writes reaches the package's
own code, at every peer that receives it. One set of identities writes moves that are huge, empty, made of
control characters or of what a parser may trip over, and more turns than the game has, and claims that it
won. None may be worth anything. Others publish true games, as long as a record holds and in as many
completions. They may be trained on, and must not hold the victim up.
"""

from __future__ import annotations

from functools import partial

from protocol import TaskFamily
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

LARGEST = 50
"""The number that is thought of is not above it."""

LONGEST = "longest-game"

MOVE_CHARS_MAX = 256
"""The longest move that reaches a game of textarena (`swarmd.tasks.outside.arena`)."""

SWARM = attacked(
    "attacked-environments",
    *(
        {"name": name, "source": "textarena", "dataset": "GuessTheNumber-v0", "weight": weight,
         "config": {"max_number": LARGEST, "turns": turns}}
        for name, weight, turns in (("game", 20, 4), (LONGEST, 1, TURNS_MAX))
    ),
)  # fmt: skip
"""Tasks that the embedded model can do from the start, so that a pair soon exchanges enough groups, and the
game in two lengths."""

MOVES = (
    "9" * 16_000,
    "[" * 8_000 + "]" * 8_000,
    "\x00\x1b[2J\u202e\x07\r\n",
    "",
    " " * 4_000,
    "{0.__class__.__mro__}%s%n",
    "[nan] [1e999] [-1]",
    "__import__('os').system('id')",
    "\u0665" * (MOVE_CHARS_MAX + 1),
)
"""None of them is a number of the game, so none wins."""


def lie(forger: Forger, asked: Asked, number: int) -> Forged:
    """Each hostile move in turn, by each identity in turn; more turns than the game has; hundreds."""
    key = forger.key(LIARS[number % len(LIARS)])
    kind = number % (len(MOVES) + 2)
    if kind < len(MOVES):
        turns = [answer(MOVES[kind])] * (1 if len(MOVES[kind]) > MOVE_CHARS_MAX else asked.turns)
    else:
        turns = [answer("no")] * (TURNS_MAX if kind == len(MOVES) else 350)
    episodes: list[Episode] = [(turns, 1.0), (turns, 1.0), ([answer("no")] * asked.turns, 0.0)]
    return forger.record_of_turns(key, asked.spec, asked.digest, episodes)


def costly(forger: Forger, asked: Asked, number: int) -> Forged:
    """As many turns as fit into a record, all different and true; every second completion wins at the end."""
    right = next(n for n in range(1, LARGEST + 1) if asked.score([str(n)]) == 1)
    episodes: list[Episode] = []
    for completion in range(28):
        guesses = [1 + (right + 7 * n + completion + number) % LARGEST for n in range(15)]
        turns = [answer(guess) for guess in guesses if guess != right]
        wins = completion % 2 == 0
        episodes.append(([*turns, answer(right)] if wins else turns, float(wins)))
    key = forger.key(COSTLY[number % len(COSTLY)])
    return forger.record_of_turns(key, asked.spec, asked.digest, episodes)


async def tell_lies(scene: Scene) -> Counts:
    return await publish(scene, lie, families=_games(scene)[:1])


async def cost(scene: Scene) -> Counts:
    return await publish(scene, costly, families=_games(scene)[1:], per_second=COSTLY_PER_S)


def _games(scene: Scene) -> list[TaskFamily]:
    return [family for family in scene.forger.manifest.tasks if family.source == "textarena"]


ATTACKS = (
    Attack(
        "environments-lies",
        "moves that are huge, empty or made of control characters, and turns after the end",
        tell_lies,
        partial(nothing_taken, LIARS, 0),
        swarm=SWARM,
    ),
    Attack(
        "environments-costly",
        "true games of as many turns as a record holds",
        cost,
        partial(nobody_held_up, COSTLY),
        swarm=SWARM,
    ),
)
