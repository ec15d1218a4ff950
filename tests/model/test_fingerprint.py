"""A model is known by its files: not by where they are, and not by what lies beside them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from swarmd.assets import EMBEDDED_MODEL_DIR
from swarmd.errors import ModelError
from swarmd.model import model_fingerprint


@pytest.fixture
def copied(tiny_model_dir, tmp_path) -> Path:
    return Path(shutil.copytree(tiny_model_dir, tmp_path / "copied"))


def test_the_place_and_other_files_decide_nothing(tiny_model_dir, copied) -> None:
    (copied / "figures.png").write_bytes(b"not of the model")
    assert model_fingerprint(str(copied)) == model_fingerprint(str(tiny_model_dir))
    assert model_fingerprint("embedded") == model_fingerprint(str(EMBEDDED_MODEL_DIR))


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json"])
def test_each_file_that_the_model_is_read_from_decides(tiny_model_dir, copied, name) -> None:
    file = copied / name
    file.write_bytes(file.read_bytes() + b" ")
    assert model_fingerprint(str(copied)) != model_fingerprint(str(tiny_model_dir))


def test_a_model_that_is_not_there_is_a_model_error(tmp_path) -> None:
    with pytest.raises(ModelError, match="neither a directory nor a hub id"):
        model_fingerprint(str(tmp_path / "none"))
