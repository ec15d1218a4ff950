"""How a record states that a person wrote its completions (SPEC 6.14). Like a model's name, it is a claim."""

from __future__ import annotations

import hashlib

from protocol.encoding import encode
from protocol.limits import ANNOUNCED_MODEL_BYTES_MAX, FINGERPRINT_BYTES

PERSON = "person"
"""`model` of a person who gives no name."""

_NAMED = f"{PERSON}: "

PERSON_NAME_BYTES_MAX = ANNOUNCED_MODEL_BYTES_MAX - len(_NAMED)
"""UTF-8 bytes of the longest name that fits whole in an announcement."""

PERSON_TOKENIZER = hashlib.sha256(encode(["swarmd-person"])).digest()[:FINGERPRINT_BYTES]
"""`tokenizer` of a person's record. No model has the same one, because a person writes no tokens."""


def person_model(name: str | None) -> str:
    """Return the `model` of a person's records. `name`: a name (SPEC 6.1), or None for none."""
    return PERSON if name is None else _NAMED + name


def is_person(model: str) -> bool:
    """Return whether a record with this `model` claims that a person wrote it."""
    return model == PERSON or model.startswith(_NAMED)
