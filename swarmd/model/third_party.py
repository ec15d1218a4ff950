"""Whatever other people's code raises over a model becomes one ModelError.

Templates, quantisation packages and models' own forwards raise anything. A list of exceptions is never whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from swarmd.errors import ModelError, SwarmdError
from swarmd.hardware.shortage import is_out_of_memory

TOLD_CHARS_MAX = 400  # of the error's own words; some libraries print whole configurations


@contextmanager
def third_party(model: str, doing: str, remedy: str) -> Iterator[None]:
    """Around calls into libraries: what they raise is told with the model, the part and the remedy.

    Errors of our own and a lack of memory pass as they are.
    """
    try:
        yield
    except SwarmdError:
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise
        if isinstance(error, ImportError):  # of a quantisation, most often
            remedy = "install the package that is named there, or use another model"
        said = " ".join(str(error).split())[:TOLD_CHARS_MAX] or "no reason given"
        raise ModelError(
            f"model {model!r} does not work here: {doing} failed ({type(error).__name__}: {said}): {remedy}"
        ) from error
