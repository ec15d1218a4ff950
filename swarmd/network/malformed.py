"""The single error that parsing a peer's bytes raises, and its reasons."""

from __future__ import annotations

from enum import StrEnum

from swarmd.errors import NetworkError


class Malformed(StrEnum):
    """Why a message is malformed."""

    SIZE = "size"
    """longer than any message of its kind"""
    PROTOBUF = "protobuf"
    """not the expected protobuf message"""
    COUNT = "count"
    """more or fewer items than the message or its request allows, or lists of unequal length"""
    KEY = "key"
    """a DHT id that is not 20 bytes long"""
    PEER_ID = "peer_id"
    """not an Ed25519 peer id in its canonical form"""
    NUMBER = "number"
    """a number that is not finite"""
    TYPE = "type"
    """an unknown kind of result"""
    VALUE = "value"
    """not a MessagePack bin in its shortest form, or too long"""
    DICTIONARY = "dictionary"
    """not a dictionary of values in hivemind's format"""
    STATUS = "status"
    """a stream reply with an unknown status"""
    ADDRESS = "address"
    """a binary multiaddr that cannot be parsed"""


class MessageError(NetworkError):
    """A message that breaks the protocol."""

    def __init__(self, reason: Malformed, detail: str) -> None:
        super().__init__(f"{detail} ({reason})")
        self.reason = reason
