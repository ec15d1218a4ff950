"""Import this before the rest of this room, which imports transformers."""

from swarmd.spared import spare_transformers

spare_transformers()
