"""The listener for a fleet's output, and an implementation that prints everything line by line."""

from __future__ import annotations

from contextlib import suppress
from typing import Protocol, TextIO

from swarmd import streams
from swarmd.fleet.lines import labelled, labelled_json
from swarmd.fleet.members import Member


class Listener(Protocol):
    """Receives a fleet's events. Called on the event loop, so it must not block."""

    def said(self, member: Member, line: str) -> None:
        """`member` wrote this line to standard output."""
        ...

    def complained(self, member: Member, line: str) -> None:
        """`member` wrote this line to standard error."""
        ...

    def reachable(self, member: Member, *, first: bool) -> None:
        """`member` is reachable. `first`: no other is yet, so the others join through it."""
        ...

    def failed(self, member: Member, why: str) -> None:
        """`member` could not be started, or ended with an error."""
        ...

    def ended(self, member: Member) -> None:
        """`member` has ended, successfully or not, and will not be restarted."""
        ...

    def told(self, text: str) -> None:
        """A message from the fleet itself."""
        ...


class Printed:
    """Forwards lines with the name of their member, as text or as JSON."""

    def __init__(self, out: TextIO, err: TextIO, *, as_json: bool, width: int) -> None:
        """`width`: characters reserved for the name in front of a line of text."""
        self._out: TextIO | None = out
        self._err: TextIO | None = err
        self._as_json = as_json
        self._width = width

    def said(self, member: Member, line: str) -> None:
        text = labelled_json(line, member.name) if self._as_json else self._labelled(member, line)
        before, self._out = self._out, print_to(self._out, text)
        if before is not None and self._out is None:
            self.told("the output cannot be written: the peers continue without it")

    def complained(self, member: Member, line: str) -> None:
        self._err = print_to(self._err, self._labelled(member, line))

    def reachable(self, member: Member, *, first: bool) -> None:
        """The member's own output reports this."""

    def failed(self, member: Member, why: str) -> None:
        self.told(f"error: the peer on {member.name} failed: {why}")

    def ended(self, member: Member) -> None:
        """The member's own output reports this."""

    def told(self, text: str) -> None:
        self._err = print_to(self._err, text)

    def _labelled(self, member: Member, line: str) -> str:
        return labelled(line, member.name, self._width)


def print_to(stream: TextIO | None, text: str) -> TextIO | None:
    """Print, and return the stream, or None once it cannot be written. The peers run without a reader."""
    if stream is None:
        return None
    try:
        print(text, file=stream, flush=True)
    except UnicodeEncodeError:  # the child wrote characters that the terminal cannot encode
        return print_to(stream, text.encode("ascii", "backslashreplace").decode())
    except OSError:
        with suppress(OSError):  # a stream in memory has no descriptor
            streams.drop(stream)  # else the end of the process would meet the error again
        return None
    return stream
