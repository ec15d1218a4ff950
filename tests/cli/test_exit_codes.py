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
        (ValueError("a bug"), exit_codes.BUG),
    ],
    ids=str,
)
def test_a_full_disk_has_a_code_of_its_own_whatever_it_was_met_at(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception, code: int
) -> None:
    def fail(_: object) -> None:
        raise error

    monkeypatch.setattr(app, "run", fail)
    with pytest.raises(SystemExit) as ended:
        app.main([])
    assert ended.value.code == code
    assert ("Traceback" in capsys.readouterr().err) == (code == exit_codes.BUG)
