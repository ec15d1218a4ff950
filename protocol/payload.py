"""What all payloads have in common: frozen, strict, nothing unknown, and the bounded field types.

A malformed payload raises InvalidLocal if our own side built it, and RejectedRecord(schema) if it was
received. The field types are named for what they hold.
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

_RECEIVED = "received"  # the validation context that tells their mistakes from ours


class Payload(BaseModel):
    """Base of everything that is encoded: a map from field names to values, every field present.

    A check across fields belongs to the last of them: a subclass's model validator would run outside
    `_name_the_culprit` and let pydantic's own error out.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    ITEMS_MAX: ClassVar[int] = limits.RECORD_ITEMS_MAX
    """data items of its encoding that are read before it is refused"""

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
        """Parse received bytes; `to_bytes` gives the same bytes back.

        Raises RejectedRecord: encoding, not_canonical or schema.

        `decode` compares with the canonical encoding. Validation is strict and changes no value, so a second
        comparison would say the same.
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
    """Any Unicode text up to `bytes_max` bytes of UTF-8; may be empty, may hold control characters."""
    return _text(bytes_max, is_name=False)


def name_text(bytes_max: int) -> AfterValidator:
    """One line for people: not empty, up to `bytes_max` bytes of UTF-8, of the characters of `names.py`."""
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
"""A peer id in the one form of SPEC section 2.3."""
