"""How a record says that a person wrote it."""

from __future__ import annotations

from pathlib import Path

import pytest

import protocol
from protocol import PERSON_NAME_BYTES_MAX, PERSON_TOKENIZER, is_person, person_model
from protocol.limits import ANNOUNCED_MODEL_BYTES_MAX, FINGERPRINT_BYTES


@pytest.mark.parametrize("name", [None, "Ann", "a" * PERSON_NAME_BYTES_MAX])
def test_a_person_is_known_by_the_model_and_announced_whole(name: str | None) -> None:
    model = person_model(name)
    assert is_person(model)
    assert len(model.encode()) <= ANNOUNCED_MODEL_BYTES_MAX
    assert name is None or model.endswith(name)


@pytest.mark.parametrize("model", ["embedded", "persona-7B", "Person", "person:Ann", ""])
def test_no_other_model_is_taken_for_a_person(model: str) -> None:
    assert not is_person(model)


def test_a_persons_tokenizer_is_the_one_that_the_specification_names() -> None:
    specification = (Path(protocol.__file__).parent / "SPEC.md").read_text(encoding="utf-8")
    assert len(PERSON_TOKENIZER) == FINGERPRINT_BYTES
    assert f"`{PERSON_TOKENIZER.hex()}`" in specification
