"""A question about a maze: its outer wall has several gaps, and only one side's can be reached from the
dot."""

from __future__ import annotations

from collections.abc import Collection

from swarmd.tasks.chance import Chance
from swarmd.tasks.pictures.canvas import BACKGROUND, COLOURS, Pixels, Place, blank, fill
from swarmd.tasks.pictures.puzzle import Puzzle

ROOMS = 3  # per row and per column
_BLOCK = 4  # pixels of a room, and of the wall next to it
_WALL = (150, 150, 160)
_ALL = tuple((row, column) for row in range(ROOMS) for column in range(ROOMS))
_SIDES = {
    "top": {room: (0, 2 * room[1] + 1) for room in _ALL if room[0] == 0},
    "right": {room: (2 * room[0] + 1, 2 * ROOMS) for room in _ALL if room[1] == ROOMS - 1},
    "bottom": {room: (2 * ROOMS, 2 * room[1] + 1) for room in _ALL if room[0] == ROOMS - 1},
    "left": {room: (2 * room[0] + 1, 0) for room in _ALL if room[1] == 0},
}
"""For each side, the rooms along it, each with the wall block to remove for a gap into that room."""

Door = tuple[Place, Place]


def maze(chance: Chance) -> Puzzle:
    """Split the rooms into two parts with no door between them. The dot is in one part; both have gaps."""
    doors = _spanning_tree(chance)
    doors.pop(chance.below(len(doors)))
    start = chance.pick([room for room in _ALL if room != (1, 1)])
    inside = _reached(start, doors)
    answer = chance.pick([side for side, rooms in _SIDES.items() if inside & rooms.keys()])
    gaps = [chance.pick([gap for room, gap in _SIDES[answer].items() if room in inside])]
    for side, rooms in _SIDES.items():
        outside = [gap for room, gap in rooms.items() if room not in inside]
        if side != answer and outside:
            gaps.append(chance.pick(outside))
    return Puzzle("On which side does the red dot leave the maze?", (_drawn(doors, gaps, start),), answer)


def _spanning_tree(chance: Chance) -> list[Door]:
    """Doors that connect every room with every other room by exactly one path."""
    seen, doors = {chance.pick(_ALL)}, []
    while len(seen) < len(_ALL):
        open_ = [(a, b) for a in _ALL for b in _ALL if a in seen and b not in seen and _adjoin(a, b)]
        door = chance.pick(open_)
        doors.append(door)
        seen.add(door[1])
    return doors


def _adjoin(a: Place, b: Place) -> bool:
    return abs(a[0] - b[0]) + abs(a[1] - b[1]) == 1


def _reached(start: Place, doors: Collection[Door]) -> set[Place]:
    found, pending = {start}, [start]
    while pending:
        room = pending.pop()
        for door in doors:
            if room in door:
                other = door[1] if door[0] == room else door[0]
                if other not in found:
                    found.add(other)
                    pending.append(other)
    return found


def _drawn(doors: Collection[Door], gaps: Collection[Place], start: Place) -> Pixels:
    pixels = blank()
    blocks = 2 * ROOMS + 1
    fill(pixels, 0, 0, blocks * _BLOCK, blocks * _BLOCK, _WALL)
    opened = [(2 * row + 1, 2 * column + 1) for row, column in _ALL]
    opened += [(a[0] + b[0] + 1, a[1] + b[1] + 1) for a, b in doors]
    for row, column in (*opened, *gaps):
        fill(pixels, row * _BLOCK, column * _BLOCK, _BLOCK, _BLOCK, BACKGROUND)
    fill(pixels, (2 * start[0] + 1) * _BLOCK, (2 * start[1] + 1) * _BLOCK, _BLOCK, _BLOCK, COLOURS["red"])
    return pixels
