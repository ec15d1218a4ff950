"""The worker loads no plotting library, and a process that plots still can."""

from __future__ import annotations

import importlib
import subprocess
import sys

import matplotlib
import pytest

from swarmd.tasks.plotting import PLOTTING, without_plotting

SOURCE = """
import sys
import swarmd.tasks.gym
print([name for name in sys.modules if name.partition(".")[0] in ("matplotlib", "mpl_toolkits")])
import matplotlib.figure
print(matplotlib.figure.Figure().axes)
"""


def test_the_source_loads_none_and_leaves_the_real_one_to_be_loaded() -> None:
    done = subprocess.run([sys.executable, "-c", SOURCE], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n[]\n"


def test_whatever_is_imported_within_is_empty_and_gone_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] in PLOTTING]:
        monkeypatch.delitem(sys.modules, name)
    with without_plotting():
        empty = importlib.import_module("matplotlib.any.thing")
        assert isinstance(empty.Anything, type)
        assert not hasattr(empty, "__file__")
    assert not any(name.partition(".")[0] in PLOTTING for name in sys.modules)
    assert "numpy" in sys.modules


def test_where_it_is_loaded_already_it_stays() -> None:
    with without_plotting():
        assert importlib.import_module("matplotlib") is matplotlib
