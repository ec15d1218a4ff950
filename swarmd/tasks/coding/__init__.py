"""Programs: problems whose answers are code, scored by running it."""

from swarmd.tasks.coding.source import Coding

__all__ = ["Coding"]
