"""Images as output, written as text: grids of letters, scored by the shapes on them."""

from swarmd.tasks.drawing.source import Drawing

__all__ = ["Drawing"]
