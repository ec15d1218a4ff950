"""The base of all payloads (frozen, strict, no unknown fields) and the bounded field types.

A malformed payload raises InvalidLocal if this side built it, and RejectedRecord(schema) if it was received.
Field types are named for what they hold.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    ValidationError,
    ValidationInfo,
    model_validator,
)

from protocol import limits
from protocol.encoding import decode, encode
from protocol.errors import InvalidLocal, Reason, RejectedRecord
from protocol.keys import public_key_from_peer_id
from protocol.names import outside_of_names

_RECEIVED = "received"  # the validation context that distinguishes received payloads from our own


class Payload(BaseModel):
    """Base of everything that is encoded: a map from field names to values, with every field present.

    Attach a check across several fields to the last of them. A subclass's model validator would run outside
    `_name_the_culprit` and let pydantic's own error escape.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    ITEMS_MAX: ClassVar[int] = limits.RECORD_ITEMS_MAX
    """data items in its encoding beyond which it is refused"""

    @model_validator(mode="wrap")
    @classmethod
    def _name_the_culprit(
        cls, value: object, handler: ModelWrapValidatorHandler[Self], info: ValidationInfo
    ) -> Self:
        try:
            return handler(value)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False, include_context=False)[0]
            where = ".".join(str(part)[:64] for part in (cls.__name__, *first["loc"]))
            what = f"{where}: {first['msg'].removeprefix('Value error, ')}"
            if info.context == _RECEIVED:
                raise RejectedRecord(Reason.SCHEMA, what) from None
            raise InvalidLocal(what) from None

    def to_bytes(self) -> bytes:
        """The canonical encoding."""
        return encode(self.model_dump())

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Parse received bytes; `to_bytes` returns the same bytes.

        Raises RejectedRecord: encoding, not_canonical or schema.

        `decode` has compared the bytes with the canonical encoding. Validation is strict and changes no
        value, so a second comparison would find nothing new.
        """
        return cls.model_validate(decode(data, items_max=cls.ITEMS_MAX), context=_RECEIVED)


def _text(bytes_max: int, *, is_name: bool) -> AfterValidator:
    def check(value: str) -> str:
        size = len(value.encode())
        if size > bytes_max:
            raise ValueError(f"{size} bytes of UTF-8, at most {bytes_max} are allowed")
        if is_name:
            _check_name(value)
        return value

    return AfterValidator(check)


def _check_name(value: str) -> None:
    if not value:
        raise ValueError("must not be empty")
    if (outside := outside_of_names(value)) is not None:
        raise ValueError(f"the character U+{ord(outside):04X} is not allowed in a name")
    if value != value.strip(" "):
        raise ValueError("must not begin or end with a space")


def free_text(bytes_max: int) -> AfterValidator:
    """Any Unicode text of at most `bytes_max` UTF-8 bytes. Can be empty or hold control characters."""
    return _text(bytes_max, is_name=False)


def name_text(bytes_max: int) -> AfterValidator:
    """A non-empty line for people: at most `bytes_max` UTF-8 bytes, characters from `names.py` only."""
    return _text(bytes_max, is_name=True)


def _peer_id(value: str) -> str:
    try:
        public_key_from_peer_id(value)
    except RejectedRecord:
        raise ValueError("not the peer id of a usable Ed25519 key") from None
    return value


def _address(value: str) -> str:
    if not (value.isascii() and value.startswith("/") and " " not in value):
        raise ValueError("not a multiaddr: expected ASCII text that begins with / and has no space")
    return value


Count = Annotated[int, Field(ge=0, le=limits.INT_MAX)]
Timestamp = Annotated[int, Field(ge=0, le=limits.INT_MAX)]
"""Unix time in whole seconds."""
Milli = Annotated[int, Field(ge=0, le=limits.MILLI)]
"""A rate in [0, 1], in thousandths."""
Micro = Annotated[int, Field(ge=0, le=limits.MICRO)]
"""A reward in [0, 1], in millionths."""
Digest = Annotated[bytes, Field(min_length=limits.DIGEST_BYTES, max_length=limits.DIGEST_BYTES)]
TaskId = Annotated[bytes, Field(min_length=limits.TASK_ID_BYTES, max_length=limits.TASK_ID_BYTES)]
Fingerprint = Annotated[
    bytes, Field(min_length=limits.FINGERPRINT_BYTES, max_length=limits.FINGERPRINT_BYTES)
]
Name = Annotated[str, name_text(limits.NAME_BYTES_MAX)]
Model = Annotated[str, name_text(limits.MODEL_BYTES_MAX)]
Label = Annotated[str, name_text(limits.LABEL_BYTES_MAX)]
Address = Annotated[str, name_text(limits.ADDRESS_BYTES_MAX), AfterValidator(_address)]
PeerIdText = Annotated[str, AfterValidator(_peer_id)]
"""A peer id in the only form that SPEC section 2.3 allows."""
