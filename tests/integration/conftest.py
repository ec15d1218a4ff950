"""Daemons that end with their test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.daemon_process import DaemonProcess


@pytest.fixture
def join(tmp_path: Path) -> Iterator[Callable[..., DaemonProcess]]:
    """join(name, *arguments): `swarmd join` in the home of that name; ended by its pid after the test."""
    started: list[DaemonProcess] = []

    def start(name: str, *arguments: str, prefix: tuple[str, ...] = ()) -> DaemonProcess:
        started.append(DaemonProcess(tmp_path / name, *arguments, prefix=prefix))
        return started[-1]

    yield start
    for daemon in started:
        daemon.close()
