"""This user's service manager, played by scripts on the PATH."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.service.making import LAUNCHCTL, LOGINCTL, SYSTEMCTL, Programs


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
    place, units = tmp_path / "programs", tmp_path / "units"
    place.mkdir()
    found = Programs(place, units)
    for name, text in (("systemctl", SYSTEMCTL), ("loginctl", LOGINCTL), ("launchctl", LAUNCHCTL)):
        found.write(name, text)
    found.says("linger", "no\n")
    monkeypatch.setenv("PATH", found.path)
    monkeypatch.setenv("USER", "you")
    monkeypatch.setenv("LOGNAME", "you")
    return found
