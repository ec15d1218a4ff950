"""The native library, for tests that need it."""

import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from swarmd.llama import library

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    """A directory with the library of this checkout, built as an install builds it."""
    compiler = shutil.which("c++")
    if compiler is None:
        pytest.skip("there is no C++ compiler")
    (extension,) = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["ext-modules"]
    directory = tmp_path_factory.mktemp("native")
    target = directory / f"{library.NAME}.so"
    sources = [ROOT / source for source in extension["sources"]]
    flags = [*extension["extra-compile-args"], "-fPIC", "-shared", "-o", target]
    subprocess.run([compiler, *flags, *sources], check=True)
    return directory


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
