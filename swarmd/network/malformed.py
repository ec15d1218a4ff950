"""What can be wrong with a message: the one error that reading a peer's bytes raises."""

from __future__ import annotations

from enum import StrEnum

from swarmd.errors import NetworkError


class Malformed(StrEnum):
    """What is wrong with a message."""

    SIZE = "size"
    """longer than any message of its kind"""
    PROTOBUF = "protobuf"
    """not the protobuf message that it should be"""
    COUNT = "count"
    """more or fewer items than its kind or its request allows, or lists of different lengths"""
    KEY = "key"
    """a DHT id that is not 20 bytes long"""
    PEER_ID = "peer_id"
    """not an Ed25519 peer id in its one form"""
    NUMBER = "number"
    """a number that is not finite"""
    TYPE = "type"
    """an unknown kind of result"""
    VALUE = "value"
    """not a MessagePack bin in its shortest form, or one that is too long"""
    DICTIONARY = "dictionary"
    """not a dictionary of values in hivemind's form"""
    STATUS = "status"
    """a stream's reply with an unknown status"""
    ADDRESS = "address"
    """a binary multiaddr that cannot be read"""


class MessageError(NetworkError):
    """A message that breaks the protocol."""

    def __init__(self, reason: Malformed, detail: str) -> None:
        super().__init__(f"{detail} ({reason})")
        self.reason = reason
