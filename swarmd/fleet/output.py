"""Who hears what the members of a fleet say, and the one who prints it all, line by line."""

from __future__ import annotations

from typing import Protocol, TextIO

from swarmd.fleet.lines import labelled, labelled_json
from swarmd.fleet.members import Member


class Listener(Protocol):
    """Hears a fleet. It is called on the event loop, and must not wait."""

    def said(self, member: Member, line: str) -> None:
        """`member` wrote this line to standard output."""
        ...

    def complained(self, member: Member, line: str) -> None:
        """`member` wrote this line to standard error."""
        ...

    def reachable(self, member: Member, *, first: bool) -> None:
        """Others can reach `member` now; `first`: before anybody else, so the others join through it."""
        ...

    def failed(self, member: Member, why: str) -> None:
        """`member` could not be started, or ended with an error."""
        ...

    def ended(self, member: Member) -> None:
        """`member` has ended, well or not, and is not started again."""
        ...

    def told(self, text: str) -> None:
        """The fleet itself says this."""
        ...


class Printed:
    """Passes lines on under the names of their members, as text or as JSON."""

    def __init__(self, out: TextIO, err: TextIO, *, as_json: bool, width: int) -> None:
        """`width`: characters that a name takes in front of a line of text."""
        self._out: TextIO | None = out
        self._err: TextIO | None = err
        self._as_json = as_json
        self._width = width

    def said(self, member: Member, line: str) -> None:
        text = labelled_json(line, member.name) if self._as_json else self._labelled(member, line)
        self._out = print_to(self._out, text)

    def complained(self, member: Member, line: str) -> None:
        self._err = print_to(self._err, self._labelled(member, line))

    def reachable(self, member: Member, *, first: bool) -> None:
        """Its own lines say so."""

    def failed(self, member: Member, why: str) -> None:
        self.told(f"error: the peer on {member.name} failed: {why}")

    def ended(self, member: Member) -> None:
        """Its own lines say so."""

    def told(self, text: str) -> None:
        self._err = print_to(self._err, text)

    def _labelled(self, member: Member, line: str) -> str:
        return labelled(line, member.name, self._width)


def print_to(stream: TextIO | None, text: str) -> TextIO | None:
    """The stream, or None once it cannot be written: the peers go on without a reader."""
    if stream is None:
        return None
    try:
        print(text, file=stream, flush=True)
    except UnicodeEncodeError:  # the child wrote letters that the terminal does not have
        return print_to(stream, text.encode("ascii", "backslashreplace").decode())
    except OSError:
        return None
    return stream
