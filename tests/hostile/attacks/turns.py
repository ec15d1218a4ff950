"""Groups of tasks with several turns: lies about what was said, and true groups that cost much to replay.

One identity publishes groups of which none is honest: turns beyond the task's limit or after its end, rewards
that are not due, hundreds of turns, the other version of the record, questions about other numbers. None may
be worth anything. Others publish groups that are true in every point. Their turns make a receiver play the
task as often as a record can, or write 4 KiB of text into each of the prompts that follow. They may be
trained on, and must not hold the victim up.
"""

from __future__ import annotations

from collections.abc import Sequence

from protocol import TURNS_RECORD_PAYLOAD_TYPE, TaskFamily, prompt_digest
from protocol.limits import TURNS_MAX
from tests.hostile.attacks.scorers import own_scoring, steps
from tests.hostile.attacks.statuses import exchanges
from tests.hostile.figures import Figure, at_least, at_most
from tests.hostile.forging import Episode, Forged, Forger, key_of
from tests.hostile.publishing import Asked, publish
from tests.hostile.scene import Attack, Counts, Evidence, Scene

LIAR, COSTLY = 1, 2
"""Numbers of the first identities; costly groups come from several."""

COSTLY_IDENTITIES = 8

COSTLY_PER_S = 4.0

LONG_TURN_BYTES = 4_096

FILLING_TURN_BYTES = 250
"""The embedded model reads 1,024 tokens, and so four turns of that length."""

LONGEST_TASK = "longest"
"""Of the swarm whose tasks have as many turns as a task may have."""

SWARM = {
    "name": "attacked-turns",
    "genesis": "2026-01-01T00:00:00Z",
    "round_seconds": 15,
    "reward": "exact",
    "max_new_tokens": 16,
    "records_per_round_max": 64,
    "tasks": [
        {"name": f"guessing-{largest}", "source": "games", "dataset": "guessing", "weight": 10,
         "config": {"largest": largest, "turns": turns}}
        for largest, turns in ((20, 4), (50, 5))
    ]
    + [
        {"name": LONGEST_TASK, "source": "games", "dataset": "guessing", "weight": 1,
         "config": {"largest": 99_999, "turns": TURNS_MAX}}
    ],
}  # fmt: skip
"""The preset `guessing`, and the task that can be made to cost most."""


def answer(text: object) -> str:
    return f"<answer>{text}</answer>"


def wrong(asked: Asked) -> str:
    """A guess that is no number's."""
    return answer(int(str(asked.right)) + 1)


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
    figures = str(asked.right).translate({48 + n: 0x0660 + n for n in range(10)})
    return _claimed([answer(figures), answer(f"0x{int(str(asked.right)):x}")], asked)


def _claimed(turns: Sequence[str], asked: Asked) -> list[Episode]:
    """Turns that ask to be paid, beside honest ones that do not."""
    return [(turns, 1.0), (turns, 1.0), ([wrong(asked)] * asked.turns, 0.0)]


EPISODES = (too_many, after_the_end, unearned, overheard, misspelled)
"""Groups that are sound in form."""

NOTHING = ("empty", "version 1", "another number", "hundreds", "no turns", "a word for turns")
"""What else is published: records that are about nothing, or no records at all."""


def odd(forger: Forger, asked: Asked, kind: str) -> Forged:
    """A record of a `kind` of `NOTHING`."""
    key, right = forger.key(LIAR), [([answer(asked.right)], 1.0), ([wrong(asked)] * asked.turns, 0.0)]
    match kind:
        case "empty":
            return forger.record_of_turns(key, asked.spec, asked.digest, [([""] * asked.turns, 1.0)] * 4)
        case "version 1":
            texts = [(answer(asked.right), 1.0), (wrong(asked), 0.0)]
            return forger.record(key, asked.spec, asked.text, texts)
        case "another number":
            other = prompt_digest(asked.text, (), f"{asked.right}0")
            return forger.record_of_turns(key, asked.spec, other, right)
        case "hundreds":
            return forger.record_of_turns(
                key, asked.spec, asked.digest, [(["7"] * 350, 1.0), (["7"] * 350, 0.0)]
            )
        case "no turns":
            return forger.record_of_turns(key, asked.spec, asked.digest, [([], 1.0), ([], 0.0)])
        case _:
            made = [{"turns": "16", "reward_micro": 1_000_000}] * 2
            return forger.sealed(key, asked.spec, asked.digest, made, TURNS_RECORD_PAYLOAD_TYPE)


def lie(forger: Forger, asked: Asked, number: int) -> Forged:
    """Each kind of lie in turn."""
    kinds = [*EPISODES, *NOTHING]
    kind = kinds[number % len(kinds)]
    if isinstance(kind, str):
        return odd(forger, asked, kind)
    return forger.record_of_turns(forger.key(LIAR), asked.spec, asked.digest, kind(asked))


def costly(forger: Forger, asked: Asked, number: int) -> Forged:
    """As many turns as fit into a record, all different and true: each is told something, the last is right.

    Every second completion stops before the end and is worth nothing.
    """
    right = int(str(asked.right))
    guesses = [answer(1 + (right + 7 * n + number) % 99_999) for n in range(1, 15 * 30)]
    episodes: list[Episode] = []
    for completion in range(28):
        others = guesses[completion * 15 : completion * 15 + 15]
        solved = completion % 2 == 0
        episodes.append(([*others, answer(right)] if solved else others, float(solved)))
    key = forger.key(COSTLY + number % COSTLY_IDENTITIES)
    return forger.record_of_turns(key, asked.spec, asked.digest, episodes)


def long(forger: Forger, asked: Asked, number: int) -> Forged:
    """Turns with much text before their guesses: 4 KiB, or as much as leaves room for the turns after it."""
    size, completions = (LONG_TURN_BYTES, 2) if number % 2 else (FILLING_TURN_BYTES, 32)
    rest = asked.turns - 1
    episodes: list[Episode] = []
    for completion in range(completions):
        filler = f"{number} {completion} " + "z q " * ((size - 64) // 4)
        last = answer(asked.right) if completion % 2 == 0 else wrong(asked)
        episodes.append(([*[filler + wrong(asked)] * rest, filler + last], float(completion % 2 == 0)))
    key = forger.key(COSTLY + number % COSTLY_IDENTITIES)
    return forger.record_of_turns(key, asked.spec, asked.digest, episodes)


def judge_lies(evidence: Evidence) -> tuple[Figure, ...]:
    liar = key_of(evidence.seed, LIAR).peer_id
    paid = sum(n for seen in evidence.attacked for (by, _), n in seen.paid.items() if by == liar)
    refused = sum(seen.rejected_of(frozenset({liar})) for seen in evidence.attacked)
    return (
        *exchanges(evidence),
        steps(evidence),
        at_most("rewards in a pool", paid, 0),
        at_most("liar's groups drawn", sum(seen.used[liar] for seen in evidence.attacked), 0),
        at_least("liar's groups refused", refused, 1),
        at_least("groups published", evidence.did["published"], 10),
    )


def judge_costs(evidence: Evidence) -> tuple[Figure, ...]:
    """The groups are true, so they may be drawn. They must not cost more than their turn."""
    costly = frozenset(key_of(evidence.seed, COSTLY + n).peer_id for n in range(COSTLY_IDENTITIES))
    seen = sum(each.pulled[peer] for each in evidence.attacked for peer in costly)
    return (
        *exchanges(evidence),
        steps(evidence),
        own_scoring(evidence),
        at_least("costly groups pulled", seen, 1),
        at_least("groups published", evidence.did["published"], 10),
    )


async def tell_lies(scene: Scene) -> Counts:
    return await publish(scene, lie, families=_games(scene)[:2])


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
        "groups whose turns go beyond the task, claim rewards, or are no turns",
        tell_lies,
        judge_lies,
        swarm=SWARM,
    ),
    Attack(
        "turns-costly",
        "true groups of as many turns as a record holds",
        cost,
        judge_costs,
        swarm=SWARM,
    ),
    Attack(
        "turns-long",
        "true groups that write long text into every prompt that follows",
        write_long,
        judge_costs,
        swarm=SWARM,
    ),
)
