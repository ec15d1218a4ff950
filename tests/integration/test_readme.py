"""The README's commands do what the README shows."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

README = Path(__file__).parents[2] / "README.md"
EVENT = re.compile(r"^\d\d:\d\d:\d\d (\w+)", re.MULTILINE)


def block(marker: str) -> list[str]:
    """The lines of the code block that follows `<!-- marker -->`."""
    found = re.search(rf"<!-- {marker} -->\n```\w*\n(.*?)```", README.read_text(), re.DOTALL)
    assert found is not None, f"README.md has no block marked {marker}"
    return found[1].splitlines()


def test_set_up_is_two_commands_with_the_development_install() -> None:
    commands = block("set-up")
    assert len(commands) == 2
    assert commands[1] == 'pip install -e ".[dev]"'


@pytest.mark.daemon
def test_the_command_shown_gives_the_events_shown(tmp_path: Path) -> None:
    first, *shown = block("runs")
    assert first.startswith("$ ")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        first[2:].split(),
        env={"HOME": str(tmp_path), "PATH": path, "SWARMD_NETWORK__HOST": "127.0.0.1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=150,
    )
    assert done.returncode == 0, done.stderr
    assert EVENT.findall(done.stdout) == EVENT.findall("\n".join(shown)) != []
    assert "Traceback" not in done.stderr
