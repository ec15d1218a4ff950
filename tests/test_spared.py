"""What is left out of others' packages until it is asked for, and what a start therefore does not load."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from swarmd import spared

INIT = """
from big.trainer import Trainer
__version__ = "7"
"""
PART = """
import big.part as itself
value = 1
"""
HELP = """
import sys
from swarmd.cli.app import app
from swarmd.cli.commands import print_help
print_help(app, ["join", "--help"])
was_loaded = "markdown_it" in sys.modules
from typer import rich_utils
made = rich_utils.Markdown("*text*")
print(was_loaded, type(made).__name__, type(made).__module__)
"""
START = """
import sys
import swarmd.daemon.assembly
unwanted = {"peft", "scipy", "hivemind.averaging", "hivemind.optim", "transformers.models.bloom"}
print(sorted(unwanted & set(sys.modules)))
import hivemind, transformers
from transformers import models
print(hivemind.Optimizer.__name__, hivemind.__version__, sys.modules["hivemind"] is hivemind)
print(models.gpt2.GPT2LMHeadModel is transformers.GPT2LMHeadModel, hasattr(models, "no such model"))
print(transformers.utils.is_scipy_available())
"""


@pytest.fixture
def big(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A package whose `__init__` imports all of it, put into sys.modules without running that."""
    package = tmp_path / "big"
    package.mkdir()
    (package / "__init__.py").write_text(INIT)
    (package / "part.py").write_text(PART)
    (package / "trainer.py").write_text("class Trainer: pass\n")
    (tmp_path / "asks_for_nothing.py").write_text("from big import nothing")
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("big", "big.part", "big.trainer"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))  # so that they are gone after the test
        del sys.modules[name]
    spared._defer("big")
    return sys.modules["big"]


def test_a_module_of_a_package_is_imported_without_the_packages_own_init(big: ModuleType) -> None:
    assert importlib.import_module("big.part").value == 1
    assert "big.trainer" not in sys.modules


@pytest.mark.parametrize("name", ["Trainer", "trainer", "__version__"])
def test_the_init_runs_once_a_name_is_asked_for_that_only_it_gives(big: ModuleType, name: str) -> None:
    assert getattr(big, name) is getattr(big, name)
    assert big.__version__ == "7"
    assert "big.trainer" in sys.modules


def test_what_python_asks_of_every_module_does_not_run_it(big: ModuleType) -> None:
    assert not hasattr(big, "__wrapped__")
    assert "big.trainer" not in sys.modules


def test_a_name_that_nothing_gives_is_missing_as_ever(big: ModuleType) -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = big.nothing
    with pytest.raises(ImportError, match="cannot import name 'nothing'"):
        importlib.import_module("asks_for_nothing")


def test_a_package_that_is_imported_already_or_not_installed_is_left_alone() -> None:
    spared._defer("pytest")
    assert sys.modules["pytest"] is pytest
    spared._defer("no_such_package")
    assert "no_such_package" not in sys.modules


def test_another_release_of_transformers_is_imported_as_it_wants_to_be(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    deferred: list[str] = []
    monkeypatch.setattr(spared, "_defer", deferred.append)
    monkeypatch.setattr(spared, "TRANSFORMERS", "4.0.")
    spared.spare_transformers()
    assert deferred == []


def test_a_peer_loads_none_of_it_and_whoever_asks_gets_it() -> None:
    done = subprocess.run([sys.executable, "-c", START], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[]", "Optimizer 1.1.12 True", "True False", "True"]


def test_help_is_printed_without_markdown_and_whoever_writes_markdown_gets_it() -> None:
    done = subprocess.run([sys.executable, "-c", HELP], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False Markdown rich.markdown"
    assert "--local" in done.stdout


def test_a_task_worker_loads_no_pydantic() -> None:
    code = "import sys, swarmd.tasks.worker; print('pydantic' in sys.modules, 'asyncio' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False False\n"
