"""The attacks, one kind a file. `ATTACKS` has them by name, in the order in which they are run."""

from __future__ import annotations

from tests.hostile.attacks import (
    answers,
    dialling,
    draws,
    environments,
    floods,
    holders,
    images,
    judges,
    naming,
    places,
    programs,
    scorers,
    shelf,
    small,
    statuses,
    streams,
    turns,
)
from tests.hostile.scene import Attack, Check

PAIR_ATTACKS: dict[str, Attack] = {
    attack.name: attack
    for module in (
        *(answers, statuses, shelf, places, holders, draws, streams, floods, dialling, naming, scorers),
        *(programs, turns, images, judges, environments),
    )
    for attack in module.ATTACKS
}
"""Against a pair of daemons, beside a pair that is left alone."""

ATTACKS: dict[str, Attack | Check] = {**PAIR_ATTACKS, **{check.name: check for check in small.CHECKS}}
