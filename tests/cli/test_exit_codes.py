"""What the command ends with when something is raised."""

from __future__ import annotations

import errno

import pytest

from swarmd import exit_codes
from swarmd.cli import app
from swarmd.errors import ConfigError, DiskFullError, NetworkError


def caused(error: Exception, code: int) -> Exception:
    error.__cause__ = OSError(code, "refused")
    return error


def ending(monkeypatch: pytest.MonkeyPatch, error: Exception) -> object:
    """The exit code of a command that raises `error`."""

    def fail(_: object) -> None:
        raise error

    monkeypatch.setattr(app, "run", fail)
    with pytest.raises(SystemExit) as ended:
        app.main([])
    return ended.value.code


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (NetworkError("no way"), exit_codes.FAILED),
        (ConfigError("no such flag"), exit_codes.MISUSED),
        (DiskFullError("full"), exit_codes.DISK_FULL),
        (caused(ConfigError("no port file"), errno.ENOSPC), exit_codes.DISK_FULL),
        (caused(NetworkError("no socket"), errno.EDQUOT), exit_codes.DISK_FULL),
        (caused(ConfigError("no port file"), errno.EACCES), exit_codes.MISUSED),
        (OSError(errno.ENOSPC, "full"), exit_codes.DISK_FULL),
        (OSError(errno.EIO, "broken"), exit_codes.BUG),
        (caused(TypeError("a bug"), errno.EIO), exit_codes.BUG),
        (ValueError("a bug"), exit_codes.BUG),
    ],
    ids=str,
)
def test_a_full_disk_has_a_code_of_its_own_whatever_it_was_met_at(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception, code: int
) -> None:
    assert ending(monkeypatch, error) == code
    assert ("Traceback" in capsys.readouterr().err) == (code == exit_codes.BUG)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, "No space left"), f"error: [Errno {errno.ENOSPC}] No space left\n"),
        (
            OSError(errno.ENOSPC, "No space left", "h/key"),
            "error: h/key cannot be written: no space is left\n",
        ),
    ],
    ids=str,
)
def test_a_file_of_no_name_is_not_called_the_output(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: OSError, said: str
) -> None:
    assert ending(monkeypatch, error) == exit_codes.DISK_FULL
    assert capsys.readouterr().err == said


def test_a_bug_on_a_full_disk_keeps_its_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ending(monkeypatch, caused(TypeError("a bug"), errno.ENOSPC)) == exit_codes.DISK_FULL
    assert capsys.readouterr().err.endswith("\nTypeError: a bug\n")
