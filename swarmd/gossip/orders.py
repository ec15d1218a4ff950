"""The orders that an operator can give about peers, and how an order names a peer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

from protocol import PeerId, ProtocolError, public_key_from_peer_id
from swarmd.errors import ConfigError
from swarmd.gossip.events import Word
from swarmd.quoting import quoted

Order = Literal["ban", "unban", "trust", "untrust"]

LIFTED: Mapping[Order, Word] = {"unban": "ban", "untrust": "trust"}
"""Orders that revoke a word, with that word."""


def word_of(order: Order) -> Word:
    """Return the operator's word about a peer after this order."""
    match order:
        case "ban" | "trust":
            return order
        case "unban" | "untrust":
            return "none"


def parse_order(text: str) -> Order:
    """Parse an order. Raises ConfigError."""
    for order in get_args(Order):
        if order == text:
            return order  # type: ignore[no-any-return]
    raise ConfigError(
        f"{quoted(text)} is not an order about peers: expected one of {', '.join(get_args(Order))}"
    )


def parse_peer_id(text: str) -> PeerId:
    """Check that `text` is a full peer id. Raises ConfigError."""
    try:
        public_key_from_peer_id(text)
    except ProtocolError as error:
        raise ConfigError(
            f"{quoted(text)} is not a peer id: expected 52 characters that begin with 12D3KooW; "
            "`swarmd status --json` shows them in full"
        ) from error
    return PeerId(text)
