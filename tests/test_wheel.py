"""What a wheel of this project holds: all of its packages, and nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
BUILT = "swarmd/llama/_native.*"
PACKAGES = ("swarmd", "protocol")
BUILD = "import sys; from setuptools import build_meta; print(build_meta.build_wheel(sys.argv[1]))"


@pytest.fixture
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a wheel is built from, copied, because setuptools writes beside what it reads."""
    return copied(tmp_path_factory.mktemp("copy"))


def copied(copy: Path) -> Path:
    for name in (*PACKAGES, "tests", "benchmarks", "examples"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__", "*.so"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy / name)
    return copy


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    copy, out = copied(tmp_path_factory.mktemp("copy")), tmp_path_factory.mktemp("out")
    done = subprocess.run(
        [sys.executable, "-c", BUILD, str(out)], cwd=copy, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return zipfile.ZipFile(next(out.iterdir()))


def test_it_holds_every_file_of_the_packages_and_no_other_but_the_native_library(
    wheel: zipfile.ZipFile,
) -> None:
    held = {name for name in wheel.namelist() if ".dist-info/" not in name}
    there = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and not path.match(BUILT)
    }
    assert {name for name in held if not Path(name).match(BUILT)} == there


@pytest.mark.skipif(shutil.which("c++") is None, reason="there is no C++ compiler")
def test_it_carries_the_native_library_for_every_python_on_this_platform(wheel: zipfile.ZipFile) -> None:
    assert [name for name in wheel.namelist() if Path(name).match(BUILT)]
    assert "-abi3-" in Path(str(wheel.filename)).name


def test_without_a_compiler_it_is_built_without_the_native_library(copy: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "CC": "/bin/false", "CXX": "/bin/false"}
    done = subprocess.run(
        [sys.executable, "-c", BUILD, str(tmp_path)],
        cwd=copy,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    names = zipfile.ZipFile(next(tmp_path.iterdir())).namelist()
    assert "swarmd/llama/native.py" in names
    assert not [name for name in names if Path(name).match(BUILT)]


@pytest.mark.parametrize(
    "name",
    [
        "swarmd/assets/embedded/model.safetensors",
        "swarmd/config/flags.json",
        "swarmd/observe/page/index.html",
        "swarmd/tasks/presets/starter.toml",
        "protocol/SPEC.md",
    ],
)
def test_what_a_peer_reads_at_run_time_is_as_it_is_here(wheel: zipfile.ZipFile, name: str) -> None:
    assert wheel.read(name) == (ROOT / name).read_bytes()


def test_it_installs_the_command_and_the_licence(wheel: zipfile.ZipFile) -> None:
    about = {Path(name).name: wheel.read(name).decode() for name in wheel.namelist() if ".dist-info/" in name}
    assert "swarmd = swarmd.__main__:main" in about["entry_points.txt"]
    assert "Apache License" in about["LICENSE"]
