"""Every room reads its slice of the configuration, so the configuration imports none of them."""

from __future__ import annotations

import ast
from pathlib import Path

import swarmd.config

BELOW = {"swarmd.addresses", "swarmd.errors", "swarmd.toml_lines"}


def test_the_configuration_imports_no_other_room() -> None:
    sources = Path(swarmd.config.__file__).parent.glob("*.py")
    imports = (node for source in sources for node in ast.walk(ast.parse(source.read_text())))
    modules = {node.module for node in imports if isinstance(node, ast.ImportFrom) and node.module}
    ours = {module for module in modules if module.startswith("swarmd.")}
    assert {module for module in ours if not module.startswith("swarmd.config.")} <= BELOW
