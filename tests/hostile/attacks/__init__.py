"""The attacks, one kind a file. `ATTACKS` has them by name, in the order in which they are run."""

from __future__ import annotations

from tests.hostile.attacks import answers, draws, places, shelf, statuses
from tests.hostile.scene import Attack

ATTACKS: dict[str, Attack] = {
    attack.name: attack for module in (answers, statuses, shelf, places, draws) for attack in module.ATTACKS
}
