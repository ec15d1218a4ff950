"""Services of systemd's user manager: installed, looked at, removed; and what the system refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from swarmd.errors import ConfigError, SwarmdError
from swarmd.service.systemd import Systemd
from tests.service.making import Programs, make_wish


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def systemd(programs: Programs, home: Path) -> Systemd:
    return Systemd(home, programs.units)


def test_installing_writes_enables_and_starts_it(systemd: Systemd, programs: Programs, home: Path) -> None:
    systemd.install(make_wish(home))
    assert systemd.file(home) == programs.units / "swarmd.service"
    assert "ProtectSystem=strict" in systemd.file(home).read_text()
    assert [call.removeprefix("--user ") for call in programs.calls[1:]] == [
        "daemon-reload",
        "enable swarmd.service",
        "restart swarmd.service",
    ]


def test_others_do_not_read_a_file_that_may_hold_a_token(systemd: Systemd, home: Path) -> None:
    systemd.install(make_wish(home))
    assert systemd.file(home).stat().st_mode & 0o077 == 0


def test_another_home_has_a_service_of_its_own(systemd: Systemd) -> None:
    assert systemd.file(Path("/data/peer 2")).name == "swarmd-data-peer\\x202.service"
    assert systemd.file(Path("/data-peer 2")) != systemd.file(Path("/data/peer 2"))


@pytest.mark.parametrize(("linger", "said"), [("no", ["sudo loginctl enable-linger you"]), ("yes", [])])
def test_whoever_logs_out_is_told_how_the_peer_stays(
    systemd: Systemd, programs: Programs, home: Path, linger: str, said: list[str]
) -> None:
    programs.says("linger", linger)
    notes = systemd.install(make_wish(home))
    assert [note.rpartition(": ")[2] for note in notes] == said


def test_a_system_without_user_namespaces_gets_the_other_walls_and_says_so(
    systemd: Systemd, programs: Programs, home: Path
) -> None:
    programs.says("no-namespaces")
    notes = systemd.install(make_wish(home))
    assert "user namespaces are off" in notes[0]
    assert "PrivateUsers" not in systemd.file(home).read_text()
    assert "NoNewPrivileges=yes" in systemd.file(home).read_text()


def test_one_that_does_not_start_is_told_and_leaves_nothing(
    systemd: Systemd, programs: Programs, home: Path
) -> None:
    programs.says("fails", "203")
    with pytest.raises(SwarmdError, match=r"swarmd\.service did not start \(exit code 203\): Job for"):
        systemd.install(make_wish(home))
    assert not systemd.file(home).exists()
    assert "--user reset-failed swarmd.service" in programs.calls


@pytest.mark.parametrize(
    ("shown", "text", "is_running"),
    [
        (
            "ActiveState=active\nActiveEnterTimestamp=Thu 15:02\nNRestarts=1",
            "running since Thu 15:02, started again 1 time",
            True,
        ),
        (
            "ActiveState=activating\nExecMainStatus=1\nNRestarts=4",
            "waiting to start again after exit code 1: it could not continue, started again 4 times",
            False,
        ),
        (
            "ActiveState=failed\nExecMainStatus=2\nNRestarts=0",
            "failed, exit code 2: a wrong flag, setting, file or home",
            False,
        ),
        ("ActiveState=inactive", "inactive", False),
    ],
)
def test_its_state_is_told_in_words(
    systemd: Systemd, programs: Programs, home: Path, shown: str, text: str, is_running: bool
) -> None:
    programs.says("state", f"{shown}\nUnitFileState=enabled\n")
    state = systemd.state(home)
    assert (state.text, state.is_running) == (text, is_running)
    assert state.starts == "at login, and stops at logout"


def test_one_that_was_disabled_by_hand_never_starts(systemd: Systemd, programs: Programs, home: Path) -> None:
    programs.says("state", "ActiveState=inactive\nUnitFileState=disabled\n")
    assert systemd.state(home).starts == "never: it is disabled"


def test_removing_stops_it_and_leaves_no_file(systemd: Systemd, programs: Programs, home: Path) -> None:
    systemd.install(make_wish(home))
    systemd.remove(home)
    assert not systemd.file(home).exists()
    assert "--user disable --now swarmd.service" in programs.calls


def test_its_log_is_the_journal(systemd: Systemd, home: Path) -> None:
    command = systemd.log_command(home, 20, follow=True)
    assert command == [
        "journalctl", "--user", "--unit=swarmd.service", "--lines=20", "--no-pager", "--follow",
    ]  # fmt: skip


def test_a_user_without_a_manager_is_told_how_to_get_one(programs: Programs, home: Path) -> None:
    programs.says("no-manager")
    with pytest.raises(ConfigError, match="log in as this user"):
        Systemd(home, programs.units)
