"""Programs: problems to solve by code, judged by running it."""

from swarmd.tasks.coding.source import Coding

__all__ = ["Coding"]
