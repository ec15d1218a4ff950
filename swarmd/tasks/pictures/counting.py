"""Questions that count shapes by kind and colour, or compare the counts of two colours."""

from __future__ import annotations

from swarmd.tasks.chance import Chance
from swarmd.tasks.pictures.canvas import COLOURS, KINDS, PLACES, Pixels, Thing, any_thing, picture_of
from swarmd.tasks.pictures.puzzle import Puzzle

WANTED_MAX = 4  # of the counted shape; each number from 0 to this is equally likely
OTHERS_MAX = 6  # other shapes: a picture has 16 cells
OF_A_COLOUR_MAX = 4


def count(chance: Chance) -> Puzzle:
    """Ask how many shapes of one kind and colour there are among others."""
    wanted, number = any_thing(chance), chance.between(0, WANTED_MAX)
    things = [wanted] * number
    others = chance.between(2, OTHERS_MAX)
    while len(things) < number + others:
        other = any_thing(chance)
        if other != wanted:
            things.append(other)
    plural = f"{wanted.kind}es" if wanted.kind.endswith("s") else f"{wanted.kind}s"
    return Puzzle(f"How many {wanted.colour} {plural} are there?", (_scattered(chance, things),), str(number))


def compare(chance: Chance) -> Puzzle:
    """Ask which of two colours has more shapes; "same" if they have equally many."""
    first, second, other, _ = chance.shuffled(tuple(COLOURS))
    answer = chance.pick((first, second, "same"))
    fewer = chance.between(1, OF_A_COLOUR_MAX - 1)
    more = fewer if answer == "same" else chance.between(fewer + 1, OF_A_COLOUR_MAX)
    numbers = {first: more, second: fewer} if answer == first else {first: fewer, second: more}
    numbers[other] = chance.between(0, 2)
    things = [
        Thing(colour, chance.pick(tuple(KINDS))) for colour, number in numbers.items() for _ in range(number)
    ]
    text = f"Are there more {first} shapes, more {second} shapes, or the same?"
    return Puzzle(text, (_scattered(chance, things),), answer)


def _scattered(chance: Chance, things: list[Thing]) -> Pixels:
    return picture_of(dict(zip(chance.shuffled(PLACES), things, strict=False)))
