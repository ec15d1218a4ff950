"""Help, completion, status and version are light: they load only what they need."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from swarmd.cli.app import COMMANDS, app
from swarmd.cli.commands import print_help
from swarmd.config import flag_list
from swarmd.storage import Home
from tests.experiment.made_up_results import write_results

LIBRARIES = ("torch", "transformers", "hivemind", "numpy", "starlette", "uvicorn", "httpx", "uvloop")
MODULES = (*LIBRARIES, "cryptography", "sqlite3", "asyncio", "protocol", "swarmd.storage", "swarmd.gossip")


def loaded(arguments: list[str], environment: Mapping[str, str] | None = None) -> set[str]:
    """The modules that `swarmd ARGUMENTS` has imported when it ends."""
    code = (
        "import sys\nfrom swarmd.__main__ import main\n"
        f"sys.argv = ['swarmd', *{arguments!r}]\n"
        "try: main()\nexcept SystemExit: pass\n"
        "print('\\n' + ' '.join(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        check=True,
        text=True,
        env={**os.environ, **(environment or {})},
    )
    return set(done.stderr.splitlines()[-1].split())


@pytest.mark.parametrize("arguments", [["--help"], ["join", "--help"], ["experiment", "--help"]])
def test_help_loads_neither_the_libraries_nor_pydantic(arguments: list[str]) -> None:
    assert loaded(arguments) & {*LIBRARIES, "pydantic", "protocol", "swarmd.config.slices"} == set()


@pytest.mark.parametrize("arguments", [["version"], ["status", "--home", "nowhere"], ["join", "--locl", "4"]])
def test_version_status_and_wrong_flags_load_no_library(arguments: list[str]) -> None:
    assert loaded(arguments) & set(MODULES) == set()


@pytest.mark.parametrize("arguments", [["version"], ["status", "--home", "nowhere"]])
def test_texts_paths_and_flags_are_read_without_pydantic(arguments: list[str]) -> None:
    assert "pydantic" not in loaded(arguments)


def test_what_is_not_plain_is_read_by_typer(swarmd) -> None:
    assert "--local: " in swarmd("join", "--local", "many").err
    outcome = swarmd("ask", "question", "--checkpoint", "nowhere")
    assert outcome.code == 2
    assert "does not exist" in outcome.err


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("swarmd st", {"status"}),
        ("swarmd join --chec", {"--checkpoint-every"}),
        ("swarmd join --algorithm g", {"grpo", "gspo"}),
        ("swarmd join --device cu", {"cuda", "cuda:0"}),
    ],
)
def test_the_shell_completes_commands_flags_and_choices(typed: str, offered: set[str]) -> None:
    words = {"COMP_WORDS": typed, "COMP_CWORD": str(len(typed.split()) - 1)}
    done = subprocess.run(
        [sys.executable, "-m", "swarmd"],
        capture_output=True,
        check=True,
        text=True,
        env={**os.environ, "_SWARMD_COMPLETE": "complete_bash", **words},
    )
    assert set(done.stdout.split()) == offered


def test_completion_loads_no_library() -> None:
    environment = {"_SWARMD_COMPLETE": "complete_bash", "COMP_WORDS": "swarmd join --lo", "COMP_CWORD": "2"}
    assert loaded([], environment) & set(MODULES) == set()


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_of_commands_says_of_each_what_its_own_help_says_first(name: str) -> None:
    command = COMMANDS[name]
    assert " ".join(command.load(name).help.split()).startswith(command.summary.rstrip("."))


def test_the_file_of_flags_says_what_the_settings_say() -> None:
    assert flag_list.read() == flag_list.derive(), "run: python -m swarmd.config.flag_list"


def test_help_is_printed_directly_only_where_nothing_else_is_asked(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert print_help(app, ["records", "list", "--help"]) == 0
    assert "swarmd records list" in capsys.readouterr().out
    assert print_help(app, ["records"]) == 2  # a command is missing
    assert print_help(app, []) == 2
    assert print_help(app, ()) == 2
    assert print_help(app, ["join"]) is None
    assert print_help(app, ["join", "--steps", "3", "--help"]) is None  # typer finds its way through these
    assert print_help(app, ["joyn", "--help"]) is None


def test_a_report_of_an_experiment_loads_neither_torch_nor_transformers(tmp_path: Path) -> None:
    write_results(tmp_path)
    assert loaded(["experiment", "report", str(tmp_path), "--no-plots"]) & {"torch", "transformers"} == set()
    assert (tmp_path / "report.html").exists()


def test_a_missing_home_is_said_before_the_model_libraries_are_loaded() -> None:
    arguments = ["export", "new", "--home", "nowhere"]
    assert loaded(arguments) & {"torch", "transformers"} == set()


def test_an_export_of_a_home_that_never_trained_is_refused_before_the_model_libraries_are_loaded(
    tmp_path: Path,
) -> None:
    Home.open(tmp_path / "h")
    arguments = ["export", str(tmp_path / "new"), "--home", str(tmp_path / "h")]
    assert loaded(arguments) & {"torch", "transformers"} == set()
    assert not (tmp_path / "new").exists()
