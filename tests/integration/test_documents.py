"""Every command in first-hour.md, operating.md and swarms.md works: in blocks it runs, in the text it parses.

In all documents, experiments write where the heads of their files say, and comparisons read there.

A block marked `<!-- runs -->` is run beside one daemon for each document. Any other block of commands says
after `<!-- not run: ` what runs it instead, or why nothing does.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from swarmd.cli.app import COMMANDS, main
from tests.integration.daemon_process import ONE_THREAD, SPARING

ROOT = Path(__file__).parents[2]
DOCUMENTS = ("docs/first-hour.md", "docs/operating.md", "docs/swarms.md")
BLOCK = re.compile(r"(<!-- [^\n]* -->\n)?(?:<!-- use -->\n)?```(console|sh)\n(.*?)```", re.DOTALL)
INLINE = re.compile(r"`(swarmd [^`]+)`")
FLAG = re.compile(r"`(--[a-z][a-z-]*)")
ADVISED = re.compile(r"(?<![\w-])--[a-z][a-z-]*")
DIGEST = re.compile(r"\b[0-9a-f]{16}\b")
EXPERIMENT = re.compile(r"swarmd\s+experiment\s+run\s+(examples/[\w.]+)(.*?)(?:`|\n\n|\n    |$)", re.DOTALL)
OUT = re.compile(r"--out\s+([\w.$-]+)")
COMPARED = re.compile(r"swarmd\s+experiment\s+compare\s+([\w.-]+):\S+\s+([\w.-]+):")
COLUMNS = 100  # of the terminal that is shown
REST = re.compile(r"[.…|#<].*| \[.*")
"""What in a command's mention is not typed: an ellipsis, a comment, an optional part."""


def blocks(document: str) -> list[tuple[str, str]]:
    """The marker of each block of commands, and its text."""
    return [(marker, text) for marker, _, text in BLOCK.findall((ROOT / document).read_text())]


def commands(text: str) -> list[str]:
    return [line.removeprefix("$ ").strip() for line in text.splitlines() if line.startswith("$ ")]


def run_blocks(document: str) -> Iterator[str]:
    for marker, text in blocks(document):
        if marker == "<!-- runs -->\n":
            yield from commands(text)


@contextmanager
def daemon(command: str) -> Iterator[None]:
    """The command that starts a daemon, until it has written its first checkpoint; stopped in the end."""
    process = subprocess.Popen(
        [sys.executable, "-m", *shlex.split(command)],
        env={**os.environ, **ONE_THREAD, **SPARING, "SWARMD_NETWORK__HOST": "127.0.0.1"},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        assert any("checkpoint" in line for line in process.stdout), "no step was done"
        yield
    finally:
        process.terminate()
        process.communicate(timeout=60)
    assert process.returncode == 0


@pytest.mark.parametrize("document", DOCUMENTS)
def test_each_block_of_commands_is_run_or_says_why_not(document: str) -> None:
    unmarked = [
        text for marker, text in blocks(document) if not re.match(r"<!-- (runs|not run: .{10,}) -->", marker)
    ]
    assert unmarked == []


def test_output_in_the_first_hour_is_no_wider_than_a_terminal() -> None:
    lines = (ROOT / "docs/first-hour.md").read_text().splitlines()
    assert [line for line in lines if len(line) > 120] == []
    shown = [line for _, text in blocks("docs/first-hour.md") for line in text.splitlines()]
    assert [line for line in shown if len(line) > COLUMNS] == []


@pytest.mark.parametrize("document", [*DOCUMENTS, "README.md"])
def test_each_command_in_the_text_exists_with_its_flags(document: str) -> None:
    text = (ROOT / document).read_text()
    typed = INLINE.findall(text) + [line for _, block in blocks(document) for line in block.splitlines()]
    wrong = [
        command for command in typed if command.startswith(("swarmd ", "$ swarmd ")) and not known(command)
    ]
    assert wrong == []


def known(command: str) -> bool:
    """Whether the command line has this command, and the command these flags."""
    name, *words = REST.sub("", command.removeprefix("$ ")).split()[1:] or ["--help"]
    if name.startswith("--"):
        return True
    if name not in COMMANDS:
        return False
    found = COMMANDS[name].load(name)
    if further := getattr(found, "commands", {}):
        found = further.get(words[0], found) if words else found
    flags = {name for option in found.params for name in (*option.opts, *option.secondary_opts)} | {"--help"}
    return {word.partition("=")[0].strip(",") for word in words if word.startswith("--")} <= flags


def all_flags() -> set[str]:
    found = [COMMANDS[name].load(name) for name in COMMANDS]
    found += [each for command in found for each in getattr(command, "commands", {}).values()]
    options = [option for command in found for option in command.params]
    return {name for option in options for name in (*option.opts, *option.secondary_opts)} | {"--help"}


@pytest.mark.parametrize("document", [*DOCUMENTS, "README.md"])
def test_each_flag_in_the_text_exists(document: str) -> None:
    assert set(FLAG.findall((ROOT / document).read_text())) - all_flags() == set()


def test_each_flag_that_a_message_advises_exists() -> None:
    """In the package's source. Here stand the flags of other programs, and a style sheet's names."""
    others = {
        "--editable", "--ink", "--install", "--line", "--link", "--list", "--logdir", "--manifest", "--no-",
        "--no-deps", "--no-pager", "--now", "--nproc-per-node", "--outfile", "--paper", "--path",
        "--property", "--quiet", "--row", "--save", "--target", "--ulimit", "--unit", "--user", "--value",
    }  # fmt: skip
    texts = [path.read_text() for path in (ROOT / "swarmd").rglob("*.py")]
    assert {flag for text in texts for flag in ADVISED.findall(text)} - all_flags() - others == set()


def folders_of_examples() -> dict[str, str]:
    """Where each experiment writes by the head of its file, as a pattern: `$share` stands for a number."""
    found = {}
    for path in (ROOT / "examples").glob("*.toml"):
        for file, rest in EXPERIMENT.findall(re.sub("(?m)^# ?", "", path.read_text())):
            found[file] = re.escape(OUT.findall(rest)[0]).replace(r"\$share", r"[\d.]+")
    return found


@pytest.mark.parametrize(
    "document", sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("docs/**/*.md"))
)
def test_experiments_write_where_comparisons_read(document: str) -> None:
    text, folders = (ROOT / document).read_text(), folders_of_examples()
    wrong = [
        (file, rest)
        for file, rest in EXPERIMENT.findall(text)
        if not any(re.fullmatch(folders[file], out) for out in OUT.findall(rest))
    ]
    read = {folder for pair in COMPARED.findall(text) for folder in pair}
    nowhere = {folder for folder in read if not any(re.fullmatch(each, folder) for each in folders.values())}
    assert (wrong, nowhere) == ([], set())


@pytest.mark.daemon
@pytest.mark.parametrize("document", DOCUMENTS)
def test_the_commands_shown_work_beside_a_daemon(
    document: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [name for name in os.environ if name.startswith("SWARMD_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.chdir(tmp_path)
    join, *others = ["swarmd join --log-format console", *run_blocks(document)]
    assert others
    with daemon(join):
        for command in others:
            if command.startswith("swarmd join"):
                assert command == join, "the daemon that runs is the one that the document starts"
                continue
            words = shlex.split(DIGEST.sub(lambda _: newest_record(capsys), command))
            with pytest.raises(SystemExit) as ended:
                main(words[1:])
            shown = capsys.readouterr()
            assert ended.value.code in (0, None), f"{command}: {shown.err}"
            assert shown.out + shown.err, command


def newest_record(capsys: pytest.CaptureFixture[str]) -> str:
    """A digest of the home, instead of the one in the document."""
    with pytest.raises(SystemExit):
        main(["records", "list", "--limit", "1"])
    found = DIGEST.search(capsys.readouterr().out)
    assert found is not None
    return found[0]
