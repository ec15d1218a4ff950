"""How a record says that a person wrote its completions (SPEC 6.14): a claim, like the name of a model."""

from __future__ import annotations

import hashlib

from protocol.encoding import encode
from protocol.limits import ANNOUNCED_MODEL_BYTES_MAX, FINGERPRINT_BYTES

PERSON = "person"
"""`model` of a person who gives no name."""

_NAMED = f"{PERSON}: "

PERSON_NAME_BYTES_MAX = ANNOUNCED_MODEL_BYTES_MAX - len(_NAMED)
"""UTF-8 bytes of a name that announcements hold whole."""

PERSON_TOKENIZER = hashlib.sha256(encode(["swarmd-person"])).digest()[:FINGERPRINT_BYTES]
"""`tokenizer` of a person's record: equal to no model's, because a person writes no tokens."""


def person_model(name: str | None) -> str:
    """`model` of the records of a person. `name` is a name (SPEC 6.1); None: the person gives none."""
    return PERSON if name is None else _NAMED + name


def is_person(model: str) -> bool:
    """Whether a record with this `model` says that a person wrote it."""
    return model == PERSON or model.startswith(_NAMED)
