"""A second tiny model, whose tokenizer is another."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import byte_tokenizer, tiny_model


@pytest.fixture(scope="session")
def other_tokenizer_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("other-tokenizer")
    tiny_model().save_pretrained(path)
    byte_tokenizer().save_pretrained(path)
    file = path / "tokenizer.json"
    saved = json.loads(file.read_text())
    vocabulary = saved["model"]["vocab"]
    vocabulary["A"], vocabulary["B"] = vocabulary["B"], vocabulary["A"]
    file.write_text(json.dumps(saved))
    return path
