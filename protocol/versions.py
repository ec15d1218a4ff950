"""Which versions of the protocol a peer speaks, in a form that no version changes (SPEC section 10.6)."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from protocol import limits
from protocol.payload import Label, Payload

PROTOCOL_VERSIONS = (1, 1)
"""The oldest and the newest that this code speaks."""

Version = Annotated[int, Field(ge=1, le=limits.INT_MAX)]


class Versions(Payload):
    """What a peer answers."""

    ITEMS_MAX: ClassVar[int] = limits.VERSIONS_ITEMS_MAX

    oldest: Version
    newest: Version
    agent: Label
    """software and version, such as swarmd/0.1.0"""

    def meets(self, oldest: int, newest: int) -> bool:
        """Whether one version is spoken by both sides."""
        return self.oldest <= newest and oldest <= self.newest
