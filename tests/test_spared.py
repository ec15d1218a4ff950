"""What is left out of others' packages until it is asked for, and what a start therefore does not load."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

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
unwanted = {"accelerate", "peft", "scipy", "sympy"}
unwanted |= {"hivemind.averaging", "hivemind.optim", "transformers.models.bloom"}
unwanted |= {"torch._dynamo.eval_frame", "torch._inductor", "torch.distributed.tensor", "torch.onnx"}
print(sorted(unwanted & set(sys.modules)))
import hivemind, transformers
from transformers import models
print(hivemind.Optimizer.__name__, hivemind.__version__, sys.modules["hivemind"] is hivemind)
print(models.gpt2.GPT2LMHeadModel is transformers.GPT2LMHeadModel, hasattr(models, "no such model"))
print(transformers.utils.is_scipy_available(), transformers.utils.is_torch_distributed_available())
import torch
print(torch.compile(lambda x: x + 1, backend="eager")(torch.ones(1)).item())
"""
ROOM = """
import sys
import swarmd.{room}
print(sorted({"scipy", "sympy", "torch._dynamo.eval_frame"} & set(sys.modules)))
"""
STEP = """
import sys
import torch
from swarmd.model_names import EMBEDDED
from swarmd.config import LearningConfig
from swarmd.learning.optimizer import Optimizer
from swarmd.model import load_model, locate, on_meta, read_configuration
located = locate(EMBEDDED)
sizes = sum(p.numel() for p in on_meta(read_configuration(located)).parameters())
model, _ = load_model(located, torch.float32)
optimizer = Optimizer(dict(model.named_parameters()), LearningConfig())
model(torch.ones(1, 2, dtype=torch.long)).logits.sum().backward()
optimizer.update()
print(sorted({"scipy", "sympy", "torch._dynamo.eval_frame"} & set(sys.modules)))
print(sizes == model.num_parameters())
from swarmd.hardware.plan import LoraPlan
from swarmd.model.adapters import adapter_parameters_per_rank, with_adapters
added = adapter_parameters_per_rank(on_meta(read_configuration(located)))
model.save_pretrained("whole")
adapted = with_adapters(model, LoraPlan(1, 1))
print(added == sum(p.numel() for p in adapted.parameters() if p.requires_grad))
adapted.save_pretrained("adapter")
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
    assert done.stdout.splitlines() == ["[]", "Optimizer 1.1.12 True", "True False", "True False", "2.0"]


@pytest.mark.parametrize("room", ["judges", "llama", "policy"])
def test_none_of_it_is_loaded_by_whichever_room_is_imported_first(room: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", ROOM.replace("{room}", room)], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == ["[]"]


def test_planning_loading_and_training_a_model_load_none_of_it_and_the_model_is_adapted_and_saved(
    tmp_path: Path,
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", STEP], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout.splitlines()[-3:] == ["[]", "True", "True"]
    assert {path.name for path in tmp_path.iterdir()} == {"whole", "adapter"}


def test_whoever_asks_the_compiler_for_more_than_marks_gets_the_real_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "compiler.py").write_text("def optimize(): return 7")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(spared, "COMPILER", "compiler")
    with spared._without_compiler():
        stand_in: Any = importlib.import_module("compiler")
        assert stand_in.disable(len) is stand_in.disable()(len) is len
        assert not hasattr(stand_in, "__wrapped__")
        assert stand_in.optimize() == 7
        assert sys.modules["compiler"] is not stand_in
    del sys.modules["compiler"]


def test_the_compiler_is_as_if_never_imported_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spared, "COMPILER", "this")
    with spared._without_compiler():
        assert "this" in sys.modules
    assert "this" not in sys.modules


def test_help_is_printed_without_markdown_and_whoever_writes_markdown_gets_it() -> None:
    done = subprocess.run([sys.executable, "-c", HELP], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False Markdown rich.markdown"
    assert "--local" in done.stdout


def test_a_task_worker_loads_no_pydantic() -> None:
    code = "import sys, swarmd.tasks.worker; print('pydantic' in sys.modules, 'asyncio' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False False\n"
