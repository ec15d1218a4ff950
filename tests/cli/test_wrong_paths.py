"""Whatever path is given to any command, one that cannot be is one clear error, never a traceback."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from swarmd import exit_codes
from swarmd.cli.app import COMMANDS
from swarmd.storage import Home
from tests.cli.test_join import PEER

REQUIRED = {"file": "file", "name": "mine", "out": "out", "peers": PEER, "pushed": "x", "question": "1 + 1?"}
"""What a command needs besides the path."""
WRITTEN_AS_TEXT = (
    ("join", "--swarm"),
    ("join", "--model"),
    ("eval", "--model"),
    ("swarm", "show"),
    ("swarm", "verify"),
    ("swarm", "accept"),
    ("swarm", "announce"),
    ("swarm", "create", "mine", "--like"),
    ("testnet", "--models"),
    ("testnet", "--swarm"),
    ("testnet", "--json"),
    ("experiment", "compare", "a:b"),
)
"""Parameters that take a path or something else."""


def path_parameters() -> Iterator[tuple[str, ...]]:
    """Each command with each of its parameters that takes a path, and what else it needs."""
    return _parameters(lambda wanted: wanted.type_descriptor.annotation is Path)


def text_options() -> Iterator[tuple[str, ...]]:
    """Each command with each of its options that takes one text, and what else it needs."""
    return _parameters(
        lambda wanted: (
            wanted.type_descriptor.annotation is str
            and wanted.param_type_name == "option"
            and not wanted.multiple
        )
    )


def _parameters(is_wanted: Callable[[Any], bool]) -> Iterator[tuple[str, ...]]:
    """`service install` asks the system first."""
    for name, each in COMMANDS.items():
        command = each.load(name)
        subcommands = getattr(command, "commands", None)
        for called, found in ((name, command),) if subcommands is None else subcommands.items():
            path = (name,) if subcommands is None else (name, called)
            if name == "service":
                continue
            for wanted in found.params:
                if not is_wanted(wanted):
                    continue
                others = [
                    *(_given(other, "x") for other in found.params if other.required and other is not wanted)
                ]
                yield (*path, *(word for words in others for word in words), *_flag(wanted))


def _given(parameter: Any, otherwise: str) -> tuple[str, ...]:
    return (*_flag(parameter), REQUIRED.get(parameter.name, otherwise))


def _flag(parameter: Any) -> tuple[str, ...]:
    return () if parameter.param_type_name == "argument" else (parameter.opts[0],)


@pytest.fixture(autouse=True)
def _in_a_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Home.open(tmp_path / ".swarmd")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "file").write_bytes(Home(tmp_path / ".swarmd").identity_path.read_bytes())


@pytest.mark.parametrize("command", sorted({*path_parameters()}), ids=" ".join)
def test_an_empty_path_is_refused_by_every_command(swarmd, daemon, command: tuple[str, ...]) -> None:
    outcome = swarmd(*command, "")
    assert (outcome.code, daemon) == (2, [])
    assert "the path is empty: write . for this directory" in outcome.err


@pytest.mark.parametrize("command", sorted({*text_options()}), ids=" ".join)
def test_an_empty_text_is_not_taken_for_a_missing_one_by_any_command(swarmd, daemon, command) -> None:
    outcome = swarmd(*command, "")
    assert (outcome.code, daemon) == (2, [])
    assert f"{command[-1]}: the value is empty: give one, or leave the option out" in outcome.err


@pytest.mark.parametrize("path", ["~nosuchuser/x", "n" * 5_000, "loop/x"], ids=["nobody", "long", "loop"])
@pytest.mark.parametrize("command", sorted({*path_parameters(), *WRITTEN_AS_TEXT}), ids=" ".join)
def test_a_path_that_cannot_be_is_one_error(swarmd, daemon, command: tuple[str, ...], path: str) -> None:
    if path == "loop/x" and (command[0] in ("doctor", "testnet") or command[-1] == "--model"):
        pytest.skip("these go on: it may be the id of a model, or a home that is not there yet")
    outcome = swarmd(*command, path)
    assert outcome.code != exit_codes.BUG, outcome.err
    assert outcome.code == exit_codes.DONE or outcome.err.splitlines()[-1].startswith("error: ")
    if command[-1] == "--home" and path != "loop/x":
        assert outcome.code == exit_codes.MISUSED
        assert f"--home {path[:100]}" in outcome.err


REFUSED = (
    ("join", "--model"),
    ("join", "--swarm"),
    ("doctor", "--home"),
    ("join", "--home"),
    ("export",),
    ("swarm", "show"),
    ("testnet", "--json"),
)


@pytest.mark.parametrize("command", REFUSED, ids=" ".join)
def test_a_directory_that_this_user_may_not_look_into_is_one_error(
    swarmd, daemon, command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the system refuses anybody but root."""
    real = os.stat

    def refuse(path: Any, *more: Any, **named: Any) -> os.stat_result:
        if "secret" in str(path):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return real(path, *more, **named)

    monkeypatch.setattr(os, "stat", refuse)
    outcome = swarmd(*command, "secret/x")
    assert outcome.code == exit_codes.MISUSED, outcome.err
    assert "ermission denied" in outcome.err
    assert daemon == []
