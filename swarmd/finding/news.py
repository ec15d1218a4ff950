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
        new = self.newest.charter
        if new.swarm == self.mine.charter.swarm:
            return None
        places = " or ".join(new.urls)
        where = f"its file is at {places}" if places else "get its file from the author"
        return (
            f"a new version of the swarm is there: {new.name}, version {new.version}, signed by "
            f"{name_of(self.newest.author)}; {where}. This peer stays in version "
            f"{self.mine.charter.version} until you stop it and run `swarmd swarm accept --home "
            f"{shlex.quote(home)}`" + ("" if places else " with the file")
        )
