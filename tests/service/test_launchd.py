"""Services of macOS. No Mac was at hand: the property list is checked, and launchctl is a script."""

from __future__ import annotations

import plistlib
from pathlib import Path

import pytest

from swarmd.errors import SwarmdError
from swarmd.service.launchd import Launchd
from tests.service.making import Programs, make_wish


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def launchd(programs: Programs, home: Path) -> Launchd:
    return Launchd(home, programs.units, 501)


def test_the_agent_starts_at_login_and_again_after_an_error(launchd: Launchd, home: Path) -> None:
    wish = make_wish(home)
    launchd.install(wish)
    found = plistlib.loads(launchd.file(home).read_bytes())
    assert found["Label"] == "swarmd"
    assert found["ProgramArguments"] == list(wish.command)
    assert found["RunAtLoad"] is True
    assert found["KeepAlive"] == {"SuccessfulExit": False}


def test_the_log_of_the_daemon_fills_no_disk(launchd: Launchd, home: Path) -> None:
    launchd.install(make_wish(home))
    assert plistlib.loads(launchd.file(home).read_bytes())["StandardOutPath"] == "/dev/null"


def test_it_is_loaded_into_the_session_of_this_user(launchd: Launchd, programs: Programs, home: Path) -> None:
    launchd.install(make_wish(home))
    launchd.remove(home)
    assert programs.calls == [f"bootstrap gui/501 {launchd.file(home)}", "bootout gui/501/swarmd"]
    assert not launchd.file(home).exists()


def test_one_that_does_not_load_is_told_and_leaves_nothing(
    launchd: Launchd, programs: Programs, home: Path
) -> None:
    programs.says("fails")
    with pytest.raises(SwarmdError, match="Bootstrap failed: 5: Input/output error"):
        launchd.install(make_wish(home))
    assert not launchd.file(home).exists()


@pytest.mark.parametrize(
    ("shown", "text", "is_running"),
    [
        ("\tstate = running\n\tlast exit code = 0\n", "running", True),
        (
            "\tstate = not running\n\tlast exit code = 2\n",
            "not running, last exit code 2: a wrong flag, setting, file or home",
            False,
        ),
        ("", "not loaded", False),
    ],
)
def test_its_state_is_told_in_words(
    launchd: Launchd, programs: Programs, home: Path, shown: str, text: str, is_running: bool
) -> None:
    programs.says("state", shown)
    state = launchd.state(home)
    assert (state.text, state.is_running) == (text, is_running)
