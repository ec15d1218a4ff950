"""Standard input, output and error: always there, and able to take and print every text."""

from __future__ import annotations

import errno
import io
import os
import sys
from contextlib import suppress

from swarmd import exit_codes
from swarmd.errors import is_disk_full

TYPE_CHECKING = False  # see `swarmd.places`
if TYPE_CHECKING:
    from typing import NoReturn, TextIO

OUTPUT = "the output"
"""`filename` of an `OSError` of standard output."""
_GONE = (errno.EPIPE, errno.EIO)  # its reader has left; its terminal was closed


class _Output(io.TextIOWrapper):
    """Standard output, whose errors name it: Python names only files that it opened."""

    def write(self, text: str, /) -> int:
        try:
            return super().write(text)
        except OSError as error:
            error.filename = OUTPUT
            raise

    def flush(self) -> None:
        try:
            super().flush()
        except OSError as error:
            error.filename = OUTPUT
            raise


def mend_streams() -> None:
    """Call this once, before anything is opened or printed.

    A stream that whoever started this had closed becomes /dev/null: else the next file opened, such as a
    database, would take its number, and what a library prints would go into it. A character that the
    terminal's encoding lacks is printed as "?". A byte of the input that is no text is read as a lone
    surrogate, as one in an argument is: a command that needs text refuses it.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # The lowest number that is free. A child inherits it, as it would any other stream.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout = _Output(
            sys.stdout.buffer,
            encoding=sys.stdout.encoding,
            line_buffering=sys.stdout.line_buffering,
            write_through=sys.stdout.write_through,
        )
    sys.stdin = sys.stdin or open(0, closefd=False)  # noqa: SIM115  it stays open
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115
    for stream, errors in ((sys.stdin, "surrogateescape"), (sys.stdout, "replace"), (sys.stderr, "replace")):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors=errors)


def leave(code: int) -> NoReturn:
    """Exit with `code`, even if the terminal or the reader of the output is gone.

    `DONE` becomes a failure, which is said, if the last of the output cannot be written for another reason.
    Python would report the stream at exit, with a traceback and exit code 120.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError as error:
            drop(stream)
            if code == exit_codes.DONE and stream is sys.stdout and error.errno not in _GONE:
                with suppress(OSError):
                    print("error:", why_unwritten(error), file=sys.stderr)
                code = exit_codes.DISK_FULL if is_disk_full(error) else exit_codes.FAILED
    sys.exit(code)


def drop(stream: TextIO) -> None:
    """Lose what is still in the buffer of `stream`, and what is written to it from now on."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def why_unwritten(error: OSError) -> str:
    """What to say about an error of standard output."""
    reason = "no space is left" if is_disk_full(error) else error.strerror
    return f"{OUTPUT} cannot be written: {reason}"
