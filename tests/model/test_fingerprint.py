"""A model is known by its files: not by where they are, and not by what lies beside them."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest

from swarmd.assets import EMBEDDED_MODEL_DIR
from swarmd.errors import ModelError
from swarmd.model import Base, locate, model_fingerprint


@pytest.fixture
def copied(tiny_model_dir, tmp_path) -> Path:
    return Path(shutil.copytree(tiny_model_dir, tmp_path / "copied"))


def test_the_place_and_other_files_decide_nothing(tiny_model_dir, copied) -> None:
    for name in ("figures.png", "LICENSE.txt", "evaluation.json", "consolidated.safetensors"):
        (copied / name).write_bytes(b"not of the model")
    assert model_fingerprint(str(copied)) == model_fingerprint(str(tiny_model_dir))
    assert model_fingerprint("embedded") == model_fingerprint(str(EMBEDDED_MODEL_DIR))


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json"])
def test_each_file_that_the_model_is_read_from_decides(tiny_model_dir, copied, name) -> None:
    file = copied / name
    file.write_bytes(file.read_bytes() + b" ")
    assert model_fingerprint(str(copied)) != model_fingerprint(str(tiny_model_dir))


def test_a_checkpoint_of_a_version_that_counted_other_files_is_gone_on_with(copied) -> None:
    (copied / "LICENSE.txt").write_text("Apache")
    names = sorted(path.name for path in copied.iterdir())  # it counted all of these
    lines = (f"{hashlib.sha256((copied / name).read_bytes()).hexdigest()}  {name}\n" for name in names)
    recorded = {"model": str(copied), "files": hashlib.sha256("".join(lines).encode()).hexdigest()}
    base = Base.of(locate(str(copied)))
    assert recorded["files"] != base.files
    base.require_same(recorded, "checkpoint")
    (copied / "config.json").write_text("{}")
    with pytest.raises(ModelError, match="was trained on"):
        Base.of(locate(str(copied))).require_same(recorded, "checkpoint")


def test_a_model_that_is_not_there_is_a_model_error(tmp_path) -> None:
    with pytest.raises(ModelError, match="neither a directory nor a hub id"):
        model_fingerprint(str(tmp_path / "none"))
