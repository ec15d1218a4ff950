"""The native library, for tests that need it."""

import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from swarmd.llama import library

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "swarmd/llama/native.cpp"


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    """A directory with the library of this checkout, built as an install builds it."""
    compiler = shutil.which("c++")
    if compiler is None:
        pytest.skip("there is no C++ compiler")
    directory = tmp_path_factory.mktemp("native")
    target = directory / f"{library.NAME}.so"
    subprocess.run([compiler, *flags(), "-fPIC", "-shared", SOURCE, "-o", target], check=True)
    return directory


def flags():
    """The compiler's flags in an install."""
    (extension,) = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["ext-modules"]
    return extension["extra-compile-args"]


@pytest.fixture
def place_library(monkeypatch):
    """Makes another directory the one in which the library is looked for."""

    def place(directory):
        monkeypatch.setattr(library, "FOLDER", directory)
        library.find.cache_clear()

    yield place
    monkeypatch.undo()
    library.find.cache_clear()


@pytest.fixture
def native(built, place_library):
    """The native library is there."""
    place_library(built)
