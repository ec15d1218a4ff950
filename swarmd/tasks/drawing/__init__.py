"""Images out, as text: grids of letters, judged by the shapes on them."""

from swarmd.tasks.drawing.source import Drawing

__all__ = ["Drawing"]
