"""Wrong usage of any command is one line: what is wrong, what was given, and where to look."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from swarmd.cli.app import COMMANDS

NUMBER = 10**30
LONG = "a" * 300  # no file system takes more than 255


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["join", "--local", "four"], "--local: input should be a whole number (got 'four')"),
        (["join", "--local", "3.5"], "--local: input should be a whole number (got '3.5')"),
        (["join", "--local", ""], "--local: input should be a whole number (got '')"),
        (["join", "--duty", "half"], "--duty: input should be a number (got 'half')"),
        (["join", "--local"], "option '--local' requires an argument"),
        (["join", "--locl", "4"], "no such option: --locl (Possible options: --local"),
        (["join", "here"], "got unexpected extra argument(s) (here)"),
        (["join", "--lora", "x"], "--lora: 'x' is not r=RANK or r=RANK,alpha=ALPHA"),
        (["status", "--watch=3"], "option '--watch' does not take a value"),
        (["status", "--home", ""], "--home: the path is empty: write . for this directory"),
        (["join", "--address-file", ""], "--address-file: the path is empty: write . for this directory"),
        *(
            ([*command, flag, value], f"{flag}: the value is empty: give one, or leave the option out;")
            for *command, flag, value in (
                ("join", "--judge", ""),
                ("join", "--reward-model", " "),
                ("join", "--swarm", ""),
                ("join", "--devices", ""),
                ("ask", "--model", ""),
                ("eval", "--tasks", ""),
                ("testnet", "--attack", ""),
                ("status", "--peer", ""),
            )
        ),
        (["events", "--level", "loud"], "--level: 'loud' is not one of 'debug', 'info', 'warning', 'error';"),
        (["events", "--limit", "0"], "--limit: input should be greater than or equal to 1 (got '0')"),
        (["testnet", "-n", "x"], "--peers / -n: input should be a whole number (got 'x')"),
        (["join", "--local", "x" * 500], f"(got '{'x' * 99}…)"),
        (["join", "--local", "\x1b[31m4"], r"(got '\x1b[31m4')"),
        (["ping"], "missing argument 'PEER'"),
        (["records", "export"], "missing option '--out'"),
        (["health", "--nonsense"], "no such option: --nonsense"),
    ],
)
def test_wrong_usage_is_one_line_that_names_the_help(swarmd, daemon, arguments, message) -> None:
    outcome = swarmd(*arguments)
    assert (outcome.code, outcome.out, daemon) == (2, "", [])
    [line] = outcome.err.splitlines()
    assert line.startswith("error: ")
    assert message in line
    assert line.endswith(f"see `swarmd {arguments[0]}{' export' if 'export' in arguments else ''} --help`")


def test_a_mistyped_command_is_guessed(swarmd) -> None:
    outcome = swarmd("joni")
    assert outcome.code == 2
    assert (
        outcome.err == "error: no such command 'joni'. Did you mean 'join', 'config'? See `swarmd --help`\n"
    )


@pytest.mark.parametrize("arguments", [[], ["records"], ["config"]], ids=str)
def test_a_group_without_a_command_shows_its_help_and_is_misuse(swarmd, arguments) -> None:
    outcome = swarmd(*arguments)
    assert (outcome.code, outcome.err) == (2, "")
    assert "Usage: swarmd" in outcome.out


def whole_numbers() -> Iterator[tuple[str, ...]]:
    """Each command, and each of its options that takes a whole number; `service install` has join's."""
    for name, each in COMMANDS.items():
        command = each.load(name)
        subcommands = getattr(command, "commands", None)
        for called, found in ((name, command),) if subcommands is None else subcommands.items():
            if called == "install":
                continue
            path = (name,) if subcommands is None else (name, called)
            yield from (
                (*path, found, each) for each in found.params if each.type_descriptor.annotation is int
            )


@pytest.mark.parametrize(
    ("words", "option"),
    [(found[:-2], found[-1]) for found in whole_numbers()],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else value.opts[0],
)
def test_no_whole_number_is_too_large_to_be_refused(swarmd, daemon, tmp_path, words, option) -> None:
    required = {"export": ["--out", "x"], "sign": ["x"]}.get(words[-1], [])
    outcome = swarmd(*words, *required, option.opts[0], NUMBER)
    assert (outcome.code, daemon) == (2, [])
    assert option.opts[0] in outcome.err
    assert "input should be less than" in outcome.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["status", "--home", "file"], "--home file is a file: name a directory"),
        (["init", "--home", "file"], "--home file is a file: name a directory"),
        (["init", "--home", "x" * 5_000], "cannot be used: File name too long; name another path"),
        (["check", "--home", "."], "there is no swarmd home at"),
        (
            ["eval", "--checkpoint", "."],
            "--checkpoint .: there are no whole weights (weights.safetensors is missing)",
        ),
        (["eval", "--model", "./no"], "--model './no' is neither a directory nor a hub id"),
        (["ask", " "], "the question is empty"),
        (["join", "--from", "."], "--from .: there are no whole weights"),
        (["join", "--address-file", "."], "--address-file . is a directory: name a file in it"),
        (["join", "--from", LONG], "a… cannot be used: File name too long; name another path"),
        (["join", "--address-file", f"{LONG}/x"], "a… cannot be used: File name too long; name another path"),
        (["config", "check", LONG], "a… cannot be read: File name too long; name another file"),
        (["join", "--host", "192.0.2.77"], "cannot listen on 192.0.2.77: "),
        (["join", "--model", "~nobody-here/x"], "there is no such user"),
        (["join", "--http-token", "hunter2"], "a token has 16 to 128 letters, digits or characters of"),
        (["join", "--peer", "@none"], "--peer @none: the file cannot be read (No such file or directory)"),
        (["experiment", "run", "none"], "none cannot be read: No such file or directory; name"),
        (["experiment", "run", "."], ". cannot be read: Is a directory; name an experiment file"),
    ],
)
def test_a_wrong_place_or_value_is_refused_before_anything_is_loaded(
    swarmd, daemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments, message
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    outcome = swarmd(*arguments)
    assert (outcome.code, daemon) == (2, [])
    [line] = outcome.err.splitlines()
    assert message in line
    assert "hunter2" not in line
    assert {path.name for path in tmp_path.iterdir()} == {"file"}


def in_a_shell(command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """`command` as a shell runs it, with $SWARMD as the command."""
    return subprocess.run(
        ["/bin/sh", "-c", command.replace("swarmd", f"{sys.executable} -m swarmd")],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )


@pytest.mark.parametrize(
    ("command", "code", "error"),
    [
        ("swarmd config show > /dev/full", 75, "error: the output cannot be written: no space is left\n"),
        (
            "ulimit -f 0; swarmd config show > $HOME/a",
            1,
            "error: the output cannot be written: File too large\n",
        ),
        ("swarmd config show >&-", 0, ""),
        ("swarmd nonsense 2>&-", 2, ""),
        ("swarmd config show <&-", 0, ""),
    ],
)
def test_streams_that_are_full_or_closed(tmp_path: Path, command: str, code: int, error: str) -> None:
    done = in_a_shell(command, HOME=str(tmp_path))
    assert (done.returncode, done.stderr) == (code, error)


@pytest.mark.parametrize(
    ("limits", "output", "ended", "left", "error"),
    [
        ("", "/dev/full", 0, 75, "error: the output cannot be written: no space is left\n"),
        ("", "/dev/full", 3, 3, ""),
        ("ulimit -f 0;", '"$HOME/a"', 0, 1, "error: the output cannot be written: File too large\n"),
        ("", "/dev/null", 0, 0, ""),
    ],
)
def test_output_that_only_the_last_flush_writes_is_not_lost_unheard(
    tmp_path: Path, limits: str, output: str, ended: int, left: int, error: str
) -> None:
    code = (
        "from swarmd.streams import leave, mend_streams; mend_streams(); "
        f"print('kept in a buffer'); leave({ended})"
    )
    command = f'{limits} "$PYTHON" -c "$CODE" > {output}'
    done = in_a_shell(command, HOME=str(tmp_path), PYTHON=sys.executable, CODE=code, PYTHONUNBUFFERED="")
    assert (done.returncode, done.stderr) == (left, error)


@pytest.mark.parametrize("command", ["join --help", "config show"])
def test_a_reader_that_leaves_early_is_no_bug(tmp_path: Path, command: str) -> None:
    done = in_a_shell(f"(swarmd {command}; echo $? >&2) | true", HOME=str(tmp_path))
    assert done.stderr in ("0\n", "1\n")  # 0 if the output fitted into a buffer


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_child_inherits_the_streams_in_place_of_closed_ones(closed: str) -> None:
    look = "import os; [os.fstat(number) for number in range(3)]"
    begin = (
        "import subprocess, sys; from swarmd.streams import mend_streams; mend_streams(); "
        f"sys.exit(subprocess.call([sys.executable, '-c', {look!r}]))"
    )
    assert in_a_shell(f'"$PYTHON" -c "$BEGIN" {closed}', PYTHON=sys.executable, BEGIN=begin).returncode == 0


def test_a_byte_of_the_input_that_is_no_text_is_read_as_a_lone_surrogate() -> None:
    read = (
        "import sys; from swarmd.streams import mend_streams; mend_streams(); print(ascii(sys.stdin.read()))"
    )
    command = 'printf "what \\377 is" | "$PYTHON" -c "$READ"'
    done = in_a_shell(command, PYTHON=sys.executable, READ=read, PYTHONIOENCODING="utf-8:strict")
    assert (done.stdout, done.stderr) == ("'what \\udcff is'\n", "")


def test_a_character_that_the_terminal_lacks_is_a_question_mark(tmp_path: Path) -> None:
    done = in_a_shell("swarmd config show", HOME=str(tmp_path), PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, "")
    assert "?" in done.stdout  # what stands for no value


def test_whoever_leaves_a_question_unanswered_gets_code_1(swarmd, monkeypatch: pytest.MonkeyPatch) -> None:
    from swarmd.cli import app

    def asked_and_left(_: object) -> None:
        raise typer.Abort

    monkeypatch.setattr(app, "run", asked_and_left)
    outcome = swarmd("version", "x")
    assert (outcome.code, outcome.err) == (1, "")
