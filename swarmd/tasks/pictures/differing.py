"""Questions about a difference: one of four quarters differs, or one shape changes over four frames."""

from __future__ import annotations

from swarmd.tasks.chance import Chance
from swarmd.tasks.pictures.canvas import COLOURS, KINDS, PLACES, Place, Thing, any_thing, picture_of
from swarmd.tasks.pictures.puzzle import Puzzle

FRAMES = 4
_HALF = 2  # cells of a quarter's side
_SHAPES = 3  # on each frame


def odd(chance: Chance) -> Puzzle:
    """Draw four quarters with two shapes each. One shape in one quarter differs."""
    corners = [(row, column) for row in range(_HALF) for column in range(_HALF)]
    usual = dict(zip(chance.shuffled(corners)[:2], (any_thing(chance), any_thing(chance)), strict=True))
    changed = chance.pick(sorted(usual))
    other = {**usual, changed: _another(chance, usual[changed])}
    answer = chance.between(1, 4)
    things: dict[Place, Thing] = {}
    for number, (top, left) in enumerate(((0, 0), (0, _HALF), (_HALF, 0), (_HALF, _HALF)), start=1):
        shown = other if number == answer else usual
        things |= {(top + row, left + column): thing for (row, column), thing in shown.items()}
    text = "Which quarter is different: 1 (top left), 2 (top right), 3 (bottom left) or 4?"
    return Puzzle(text, (picture_of(things),), str(answer))


def frames(chance: Chance) -> Puzzle:
    """Draw a short video: from some frame on, one of three shapes moves, changes colour or vanishes."""
    kinds = chance.shuffled(tuple(KINDS))[:_SHAPES]
    places = chance.shuffled(PLACES)
    before = {
        place: Thing(chance.pick(tuple(COLOURS)), kind) for place, kind in zip(places, kinds, strict=False)
    }
    place = chance.pick(places[:_SHAPES])
    thing, after = before[place], {**before}
    change = chance.pick(("moves", "changes colour", "vanishes"))
    if change == "changes colour":
        after[place] = Thing(chance.pick([each for each in COLOURS if each != thing.colour]), thing.kind)
    else:
        del after[place]
    if change == "moves":
        after[places[_SHAPES]] = thing
    first = chance.between(1, FRAMES - 1)
    shown = [before] * first + [after] * (FRAMES - first)
    return Puzzle("Which shape changes in the four pictures?", tuple(map(picture_of, shown)), thing.kind)


def _another(chance: Chance, thing: Thing) -> Thing:
    if chance.below(2):
        return Thing(chance.pick([each for each in COLOURS if each != thing.colour]), thing.kind)
    return Thing(thing.colour, chance.pick([each for each in KINDS if each != thing.kind]))
