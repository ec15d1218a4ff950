"""A newer version of the swarm that a home is in: heard of, passed on, and never joined by itself. Pure."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace

from protocol import RejectedRecord, VerifiedCharter, verify_charter
from swarmd.names import name_of


@dataclass(frozen=True)
class News:
    """What a peer knows of its swarm's versions."""

    mine: VerifiedCharter | None
    """The author's word on the version that this home is in. None: no author is known, and nobody is
    believed."""
    newest: VerifiedCharter | None = None
    """The newest that was heard of; None: no other."""

    def after(self, envelope: bytes) -> News:
        """The same, having heard this charter; it changes nothing unless it is the author's, and newer."""
        if self.mine is None:
            return self
        try:
            heard = verify_charter(envelope, author=self.mine.author)
        except RejectedRecord:
            return self
        return replace(self, newest=heard) if heard.replaces(self.newest or self.mine) else self

    @property
    def to_tell(self) -> bytes | None:
        """The envelope for whoever asks."""
        newest = self.newest or self.mine
        return None if newest is None else newest.envelope

    def words(self, home: str) -> str | None:
        """For the operator: what is new, and how to join it. None if the rules are the same."""
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
        """The same for whoever observes the swarm of this id, and may have come after the new version."""
        newest = self.newest or self.mine
        if newest is None or newest.charter.swarm == swarm:
            return None
        return f"{_announced(newest)}. To observe it, name one of its peers with --peer, and another --home"


def _announced(newest: VerifiedCharter) -> str:
    new = newest.charter
    places = " or ".join(new.urls)
    where = f"its file is at {places}" if places else "get its file from the author"
    return (
        f"a new version of the swarm is there: {new.name}, version {new.version}, signed by "
        f"{name_of(newest.author)}; {where}"
    )
