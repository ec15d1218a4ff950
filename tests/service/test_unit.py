"""The text of a systemd unit: its walls, what starts again, and paths with characters that mean something."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from swarmd.errors import ConfigError
from swarmd.service.interface import service_name
from swarmd.service.unit import unit_text
from tests.service.making import make_wish

HOME = Path("/home/you/.swarmd")


def settings(text: str) -> list[tuple[str, str]]:
    return [
        tuple(line.split("=", 1)) for line in text.splitlines() if "=" in line and not line.startswith("#")
    ]


def test_only_the_home_and_what_is_named_can_be_written() -> None:
    found = settings(unit_text(make_wish(HOME, writable=[Path("/join")]), own_file_system=True))
    assert ("ProtectSystem", "strict") in found
    assert ("PrivateTmp", "yes") in found
    assert [value for name, value in found if name == "ReadWritePaths"] == ['"/home/you/.swarmd"', '"-/join"']


def test_without_namespaces_the_other_walls_stand() -> None:
    found = dict(settings(unit_text(make_wish(HOME), own_file_system=False)))
    assert {"PrivateUsers", "ProtectSystem", "PrivateTmp", "ReadWritePaths"}.isdisjoint(found)
    assert found["NoNewPrivileges"] == "yes"
    assert "landlock_restrict_self" in found["SystemCallFilter"], "the peer's own sandbox needs it"


def test_a_peer_is_started_again_unless_it_would_be_wrong_again() -> None:
    found = dict(settings(unit_text(make_wish(HOME), own_file_system=True)))
    assert found["Restart"] == "on-failure"
    assert found["RestartPreventExitStatus"] == "2 130"
    assert found["StartLimitIntervalSec"] == "0"


def test_only_the_parent_is_told_to_stop_and_memory_that_runs_out_is_its_affair() -> None:
    found = dict(settings(unit_text(make_wish(HOME), own_file_system=True)))
    assert found["KillMode"] == "mixed"
    assert found["OOMPolicy"] == "continue"


@pytest.mark.parametrize(("given", "written"), [("90%", "90%"), ("6GiB", str(6 * 2**30)), ("80 %", "80%")])
def test_memory_is_bounded_as_asked(given: str, written: str) -> None:
    found = dict(settings(unit_text(make_wish(HOME, memory_max=given), own_file_system=True)))
    assert found["MemoryMax"] == written


def test_characters_that_mean_something_to_systemd_are_escaped() -> None:
    home = Path('/home/you/50% "peer" \\ $HOME')
    wish = make_wish(home, command=["/bin/python", f"--home={home}"], environment={"SWARMD_X": "$a %b"})
    found = dict(settings(unit_text(wish, own_file_system=True)))
    escaped = '/home/you/50%% \\"peer\\" \\\\ '
    assert found["ExecStart"] == f'"/bin/python" "--home={escaped}$$HOME"'
    assert found["ReadWritePaths"] == f'"{escaped}$HOME"'
    assert found["Environment"] == '"SWARMD_X=$a %%b"'


def test_a_line_break_begins_no_setting_of_its_own() -> None:
    wish = make_wish(HOME, command=["/bin/python", "a\nExecStop=/bin/false"], description="a\nUser=root")
    found = dict(settings(unit_text(wish, own_file_system=True)))
    assert "ExecStop" not in found
    assert "User" not in found


@pytest.mark.parametrize(
    ("home", "word"),
    [
        ("/home/a\nb", "x"),
        ("/home/a\\", "x"),
        ("/home/a ", "x"),
        ("/home/a\rExecStop=b", "x"),
        ("/home/a", "x\rExecStopPost=/bin/false"),
        ("/home/a", "x\x1b"),
        ("/home/a", "x\udcff"),
    ],
)
def test_what_no_file_of_a_service_can_hold_is_refused(home: str, word: str) -> None:
    with pytest.raises(ConfigError, match="cannot be written to a service file"):
        make_wish(Path(home), command=["/bin/python", word])


@pytest.mark.parametrize("home", [Path("/tmp/peer"), Path("/home/you") / ("long" * 25)])
def test_a_peer_that_is_met_in_the_common_tmp_keeps_it(home: Path) -> None:
    found = settings(unit_text(make_wish(home), own_file_system=True))
    assert ("ReadWritePaths", "/tmp") in found
    assert "PrivateTmp" not in dict(found)


@pytest.mark.parametrize(
    "given",
    [
        {"command": ["/bin/python", "--model=/tmp/m"]},
        {"command": ["/bin/python", "--http-token=@/tmp/token"]},
        {"command": ["/bin/python"], "writable": [Path("/var/tmp/out")]},
        {"command": ["/bin/python"], "environment": {"SWARMD_SWARM": "/tmp/s.toml"}},
    ],
)
def test_a_peer_that_uses_files_in_the_common_tmp_sees_them(given) -> None:
    found = settings(unit_text(make_wish(Path("/home/you/peer"), **given), own_file_system=True))
    assert "PrivateTmp" not in dict(found)


@pytest.mark.parametrize("letter", ["x", "\N{CYRILLIC SMALL LETTER ZHE}"])
def test_a_service_of_any_home_has_a_name_of_its_own_that_a_file_can_have(letter: str) -> None:
    homes = [Path("/home/you") / "/".join([letter * 60] * 4) / end for end in ("a", "b")]
    names = [service_name(home, Path("/home/you/.swarmd")) for home in homes]
    assert names[0] != names[1]
    assert all(len(f"{name}.service") <= 255 for name in names)


@pytest.mark.parametrize("name", ["Ann's", 'a"b', "a\\b", "a$b"])
def test_a_shell_starts_a_program_whose_path_systemd_refuses(name: str) -> None:
    wish = make_wish(HOME, command=[f"/opt/{name}/python", "-m", "swarmd"])
    command = dict(settings(unit_text(wish, own_file_system=True)))["ExecStart"]
    assert command.startswith(r'"/bin/sh" "-c" "exec \"$$0\" \"$$@\"" "/opt/')
    assert command.endswith('python" "-m" "swarmd"')


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze")
@pytest.mark.parametrize("name", ["sh", "Ann's", 'a "b"', "a\\b", "$HOME"])
def test_systemd_itself_finds_nothing_wrong(tmp_path: Path, name: str) -> None:
    unit, program = tmp_path / "swarmd.service", tmp_path / name
    program.symlink_to("/bin/sh")
    wish = make_wish(tmp_path, command=[str(program), "-c", "true"], environment={"HF_HOME": "/hub"})
    unit.write_text(unit_text(wish, own_file_system=True))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True, text=True, check=False
    )
    assert unit.name not in done.stderr
    assert done.returncode == 0, done.stderr
