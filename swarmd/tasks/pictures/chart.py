"""A question about a bar chart: how high is the bar of one colour?"""

from __future__ import annotations

from swarmd.tasks.chance import Chance
from swarmd.tasks.pictures.canvas import CELL, COLOURS, SIDE, blank, fill
from swarmd.tasks.pictures.puzzle import Puzzle

STEP = 4  # pixels
HIGHEST = SIDE // STEP


def chart(chance: Chance) -> Puzzle:
    """Draw four bars side by side, one in each colour, and ask for the height of one."""
    pixels, heights = blank(), {}
    for column, colour in enumerate(chance.shuffled(tuple(COLOURS))):
        heights[colour] = chance.between(1, HIGHEST)
        pixel_height = heights[colour] * STEP
        fill(pixels, SIDE - pixel_height, column * CELL + 1, pixel_height, CELL - 2, COLOURS[colour])
    asked = chance.pick(tuple(COLOURS))
    return Puzzle(f"How high is the {asked} bar, from 1 to {HIGHEST}?", (pixels,), str(heights[asked]))
