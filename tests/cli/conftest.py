"""Runs the command line as a process would, without the cost of one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from swarmd.cli.app import main
from swarmd.config import Config
from swarmd.daemon import Beginning
from swarmd.storage import Home


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A wide terminal, a home of the test's own, and no settings of the person who runs the tests."""
    import os

    for name in list(os.environ):
        if name.startswith("SWARMD_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NO_COLOR", "1")


@pytest.fixture
def swarmd(capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """swarmd("status", "--json") -> exit code, stdout, stderr."""

    def run(*arguments: str | Path) -> Outcome:
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        code = ended.value.code
        return Outcome(code if isinstance(code, int) else 0, captured.out, captured.err)

    return run


@pytest.fixture
def daemon(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Config, Home]]:
    """Stands where the daemon stands and keeps what it is started with."""
    started: list[tuple[Config, Home]] = []

    def run(config: Config, home: Home, beginning: Beginning) -> int:
        started.append((config, home))
        return 0

    monkeypatch.setattr("swarmd.daemon.run", run)
    return started
