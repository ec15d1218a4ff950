"""Which protocol versions a peer supports, in a format that never changes (SPEC section 10.6)."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from protocol import limits
from protocol.payload import Label, Payload

PROTOCOL_VERSIONS = (1, 1)
"""The oldest and newest version that this code supports."""

Version = Annotated[int, Field(ge=1, le=limits.INT_MAX)]


class Versions(Payload):
    """A peer's answer to a versions request."""

    ITEMS_MAX: ClassVar[int] = limits.VERSIONS_ITEMS_MAX

    oldest: Version
    newest: Version
    agent: Label
    """software and version, such as swarmd/0.1.0"""

    def meets(self, oldest: int, newest: int) -> bool:
        """Return whether both sides share a version."""
        return self.oldest <= newest and oldest <= self.newest
