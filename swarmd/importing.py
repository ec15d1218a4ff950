"""Imports of many modules at once, with the garbage collector at rest.

What an import makes is kept, so a collection finds nothing in it and still looks at every object. torch,
transformers and the network make a million, and the collector took a tenth of the time of importing them.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def importing() -> Iterator[None]:
    """Collect no garbage within the block. Afterwards the collector never looks at what there is by then.

    That is for the whole process, so the block should hold imports and nothing else.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()
