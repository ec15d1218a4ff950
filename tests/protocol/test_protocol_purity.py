"""`protocol` is the contract: it can be read, and run, without the daemon, a network, a clock or a disk."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import protocol

PACKAGE = Path(protocol.__file__).parent
SOURCES = sorted(PACKAGE.glob("**/*.py"))
ALLOWED = {
    "__future__",
    "collections.abc",
    "dataclasses",
    "enum",
    "functools",
    "hashlib",
    "json",
    "re",
    "typing",
    "zlib",
    "pydantic",
    "cryptography.exceptions",
    "cryptography.hazmat.primitives.asymmetric.ed25519",
}
IMPURE_BUILTINS = {"open", "input", "print", "eval", "exec", "compile", "__import__", "breakpoint"}


def imported_modules(tree: ast.AST) -> set[str]:
    modules: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            modules.add(node.module or "")
    return modules


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.name)
def test_imports_nothing_impure(source: Path):
    modules = imported_modules(ast.parse(source.read_text()))

    assert {m for m in modules if m != "protocol" and not m.startswith("protocol.")} <= ALLOWED


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.name)
def test_calls_no_impure_builtin(source: Path):
    names = {node.id for node in ast.walk(ast.parse(source.read_text())) if isinstance(node, ast.Name)}

    assert not names & IMPURE_BUILTINS


def test_public_surface_is_exactly_all():
    tree = ast.parse((PACKAGE / "__init__.py").read_text())
    imported = [
        alias.asname or alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    ]

    assert len(protocol.__all__) == len(set(protocol.__all__))
    assert set(protocol.__all__) == set(imported)
    assert all(hasattr(protocol, name) for name in protocol.__all__)


def test_the_contract_travels_with_the_package():
    assert (PACKAGE / "SPEC.md").is_file()
    assert (PACKAGE / "py.typed").is_file()
    assert any((PACKAGE / "vectors").glob("*.json"))
