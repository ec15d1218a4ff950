"""Records whose answers attack the scorers of whoever verifies them: forged results, junk that pays, hanging.

The swarm has tasks whose scorers evaluate text, parse numbers of any size, or pay constants. One identity
publishes answers that are all wrong: some write a result into the pipe of the scorer's child, others are junk
that a task pays. None may be worth anything in the victim's pool. Another publishes groups in which two
answers hang: they may earn nothing, and the victim's own scoring must be as quick as the control's.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import partial
from typing import Any

from protocol import TaskFamily
from swarmd.tasks.frames import pack
from tests.hostile.figures import Figure, at_least, at_most
from tests.hostile.forging import Forged, Forger, key_of
from tests.hostile.publishing import Asked, answer, publish
from tests.hostile.scene import Attack, Counts, Evidence, Scene
from tests.hostile.verdicts import exchanges, own_scoring, steps

FORGER, HANGER = 1, 2
"""Numbers of the two identities."""

_FRAME = repr(pack((True, 1_000_000)))
_SYMPY_OS = "sqrt.__globals__['__builtins__']['__import__']('os')"

FORGERIES: dict[str, tuple[str, ...]] = {
    "string_insertion": (f"__import__('os').write(3, {_FRAME})", f"[__import__('os').write(3, {_FRAME})]"),
    "binary_matrix": (f"[[__import__('os').write(3, {_FRAME})]]", f"__import__('os').write(3, {_FRAME})"),
    "spiral_matrix": (f"[__import__('os').write(3, {_FRAME})]",),
    "countdown": (f"{_SYMPY_OS}.write(3, {_FRAME})",),
    "puzzle24": (f"{_SYMPY_OS}.write(3, {_FRAME})",),
    "polynomial_multiplication": (f"{_SYMPY_OS}.write(3, {_FRAME})",),
    "complex_arithmetic": ("nan", "nan+nanj"),
    "coin_flip": ("0", "-1"),
    "game_of_life_halting": ("banana", "?"),
}
"""By dataset: answers that are wrong, and were paid."""

PAYERS = frozenset({"coin_flip", "game_of_life_halting", "puzzle24"})
"""Of them, those whose scorers in the package pay constants."""

HANGING: dict[str, tuple[str, ...]] = {
    "intermediate_integration": (
        "*".join(f"sin({n}*x)**{n + 1}*log(cos({n}*x)+{n})" for n in range(2, 9)),
        "+".join(f"sqrt(sin(x)+{n})*log(x+{n})*atan(x**{n})" for n in range(2, 12)),
    ),
}
"""By dataset: answers that are expressions of the form that the task allows, and keep its scorer busy for
longer than anybody waits."""

SCORED_QUICKLY = "sqrt"
"""In a question of that dataset: whatever is answered is found to be wrong at once."""

STARTER_TASKS: tuple[dict[str, Any], ...] = (
    {"dataset": "base_conversion",
     "config": {"min_base": 5, "max_base": 10, "min_value": 1, "max_value": 40}},
    {"dataset": "basic_arithmetic",
     "config": {"min_terms": 2, "max_terms": 2, "min_digits": 1, "max_digits": 2, "operators": ["+", "-"],
                "allow_parentheses": False, "allow_negation": False}},
    {"dataset": "gcd", "config": {"min_numbers": 2, "max_numbers": 2, "min_value": 1, "max_value": 60}},
    {"dataset": "products", "config": {"min_terms": 2, "max_terms": 3, "min_digits": 1, "max_digits": 1}},
)  # fmt: skip


def attacked(name: str, *tasks: dict[str, Any]) -> dict[str, Any]:
    """A manifest with `tasks`, which are attacked, and with tasks that the embedded model can do: a pair soon
    exchanges enough groups."""
    return {
        "name": name,
        "genesis": "2026-01-01T00:00:00Z",
        "round_seconds": 15,
        "reward": "exact",
        "max_new_tokens": 16,
        "records_per_round_max": 64,
        "tasks": [*({**task, "weight": 100} for task in STARTER_TASKS), *tasks],
    }


SWARM = attacked(
    "attacked",
    *({"dataset": dataset, "weight": 1} for dataset in FORGERIES),
    *({"dataset": dataset, "weight": 40} for dataset in HANGING),
)


def judge_forging(payers: frozenset[str], evidence: Evidence) -> tuple[Figure, ...]:
    """A scorer that pays constants pays them to everybody. Whoever joins such a swarm is warned, and what its
    tasks pay is not forged. `payers`: the swarm's datasets with such scorers."""
    forger, seen = key_of(evidence.seed, FORGER).peer_id, evidence.victim
    warned = {task for task in FORGERIES if any(f"{task} rewards junk" in said for said in seen.warnings)}
    forged = sum(n for (by, task), n in seen.paid.items() if by == forger and task not in warned)
    return (
        *exchanges(evidence),
        at_most("forged rewards in V's pool", forged, 0),
        at_least("tasks that pay for junk, told", len(warned & payers), len(payers)),
        at_most("forger's groups drawn", sum(seen.used[forger] for seen in evidence.attacked), 0),
        at_least("groups published", evidence.did["published"], 10),
    )


def judge_hanging(evidence: Evidence) -> tuple[Figure, ...]:
    hanger = key_of(evidence.seed, HANGER).peer_id
    return (
        *exchanges(evidence),
        own_scoring(evidence),
        steps(evidence),
        at_most("hanger's groups drawn", sum(seen.used[hanger] for seen in evidence.attacked), 0),
        at_most("hanging groups in a pool", sum(seen.pulled[hanger] for seen in evidence.attacked), 0),
        at_least("groups published", evidence.did["published"], 10),
    )


async def forge(scene: Scene) -> Counts:
    def write(forger: Forger, asked: Asked, _number: int) -> Forged:
        texts = _forged(FORGERIES[asked.family.dataset])
        return forger.record(forger.key(FORGER), asked.spec, asked.text, texts)

    return await publish(scene, write, families=_families(scene, FORGERIES))


async def hang(scene: Scene) -> Counts:
    def write(forger: Forger, asked: Asked, _number: int) -> Forged:
        texts = _hanging(HANGING[asked.family.dataset], asked.right)
        return forger.record(forger.key(HANGER), asked.spec, asked.text, texts)

    def fits(asked: Asked) -> bool:
        return SCORED_QUICKLY not in asked.text

    return await publish(scene, write, families=_families(scene, HANGING), fits=fits)


def _families(scene: Scene, datasets: Collection[str]) -> list[TaskFamily]:
    return [family for family in scene.forger.manifest.tasks if family.dataset in datasets]


def _forged(answers: Sequence[str]) -> list[tuple[str, float]]:
    """Wrong answers that ask to be paid, beside wrong ones that do not."""
    paid = [(answer(text), 1.0) for text in answers]
    return [*paid, (answer("7x"), 0.0), ("I do not know.", 0.0)]


def _hanging(answers: Sequence[str], right: str) -> list[tuple[str, float]]:
    """A right one, a wrong one, and some that do not come to an end."""
    return [
        (answer(right), 1.0),
        *((answer(text), 0.0) for text in answers),
        (answer("7x"), 0.0),
    ]


ATTACKS = (
    Attack(
        "scorers-forging",
        "results written into the scorer's pipe, and junk that tasks pay",
        forge,
        partial(judge_forging, PAYERS),
        swarm=SWARM,
    ),
    Attack(
        "scorers-hanging",
        "groups in which two answers hang",
        hang,
        judge_hanging,
        swarm=SWARM,
    ),
)
