"""Images as input, text as output: questions about pictures that are drawn from the seed."""

from swarmd.tasks.pictures.source import Pictures

__all__ = ["Pictures"]
