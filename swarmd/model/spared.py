"""Imported before all else of this room, because the rest of it imports transformers."""

from swarmd.spared import spare_transformers

spare_transformers()
