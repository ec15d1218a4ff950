"""News of a newer version of the home's swarm. It is passed on, but never joined automatically. Pure."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace

from protocol import RejectedRecord, VerifiedCharter, verify_charter
from swarmd.names import name_of


@dataclass(frozen=True)
class News:
    """What a peer knows about its swarm's versions."""

    mine: VerifiedCharter | None
    """The charter for this home's version. None: the author is unknown, and no news is believed."""
    newest: VerifiedCharter | None = None
    """The newest charter received, or None."""

    def after(self, envelope: bytes) -> News:
        """Return the news after receiving a charter. Unchanged unless it is newer and by the same author."""
        if self.mine is None:
            return self
        try:
            heard = verify_charter(envelope, author=self.mine.author)
        except RejectedRecord:
            return self
        return replace(self, newest=heard) if heard.replaces(self.newest or self.mine) else self

    @property
    def to_tell(self) -> bytes | None:
        """The envelope to send on request."""
        newest = self.newest or self.mine
        return None if newest is None else newest.envelope

    def words(self, home: str) -> str | None:
        """Describe the new version for the operator, and how to join it. None if the rules are unchanged."""
        if self.mine is None or self.newest is None:
            return None
        if self.newest.charter.swarm == self.mine.charter.swarm:
            return None
        return (
            f"{_announced(self.newest)}. This peer stays in version {self.mine.charter.version} until you "
            f"stop it and run `swarmd swarm accept --home {shlex.quote(home)}`"
            + ("" if self.newest.charter.urls else " with the file")
        )

    def words_for_observer(self, swarm: bytes) -> str | None:
        """Like `words`, for an observer of the swarm with this id, who may have joined after it."""
        newest = self.newest or self.mine
        if newest is None or newest.charter.swarm == swarm:
            return None
        return f"{_announced(newest)}. To observe it, name one of its peers with --peer, and another --home"


def _announced(newest: VerifiedCharter) -> str:
    new = newest.charter
    locations = " or ".join(new.urls)
    where = f"its file is at {locations}" if locations else "get its file from the author"
    return (
        f"a new version of the swarm is available: {new.name}, version {new.version}, signed by "
        f"{name_of(newest.author)}; {where}"
    )
