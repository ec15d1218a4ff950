"""Turns whatever third-party code raises for a model into one ModelError.

Templates, quantisation packages and models' own forward passes can raise anything, so no list of exceptions
would be complete.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from swarmd.errors import ModelError, SwarmdError
from swarmd.hardware.shortage import is_out_of_memory

TOLD_CHARS_MAX = 400  # of the error's message; some libraries print whole configurations


@contextmanager
def third_party(model: str, doing: str, remedy: str) -> Iterator[None]:
    """For calls into libraries: report what they raise, with the model, the part that failed and the remedy.

    Our own errors and out-of-memory errors pass through unchanged.
    """
    try:
        yield
    except SwarmdError:
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise
        if isinstance(error, ImportError):  # usually for a quantisation
            remedy = "install the package named there, or use another model"
        said = " ".join(str(error).split())[:TOLD_CHARS_MAX] or "no reason given"
        raise ModelError(
            f"model {model!r} does not work here: {doing} failed ({type(error).__name__}: {said}): {remedy}"
        ) from error
