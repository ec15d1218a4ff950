"""Step stands below the daemon and the experiments, and storage below learning."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

SWARMD = Path(__file__).parents[2] / "swarmd"


def rooms_imported_by(room: str) -> set[str]:
    """The names after `swarmd.` in all imports of a room's files."""
    modules: set[str] = set()
    for path in (SWARMD / room).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module == "swarmd":
                modules |= {f"swarmd.{alias.name}" for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                modules.add(node.module or "")
            elif isinstance(node, ast.Import):
                modules |= {alias.name for alias in node.names}
    return {name.split(".")[1] for name in modules if name.startswith("swarmd.")}


@pytest.mark.parametrize(
    ("room", "above"),
    [
        ("step", {"daemon", "experiment", "cli"}),
        ("experiment", {"daemon", "cli"}),
        ("learning", {"step", "storage", "daemon", "experiment"}),
        ("storage", {"learning", "step", "daemon", "experiment"}),
    ],
)
def test_a_room_imports_nothing_that_stands_above_it(room: str, above: set[str]) -> None:
    assert not rooms_imported_by(room) & above
