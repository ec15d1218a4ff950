"""`swarmd join` in a terminal: the live view, and Ctrl-C while it trains."""

from __future__ import annotations

import os
import pty
import re
import select
import sys
import time

from tests.integration.daemon_process import EVENT_S, EXIT_S, ONE_THREAD, SPARING

CTRL_C = b"\x03"
HIDE_CURSOR, SHOW_CURSOR = b"\x1b[?25l", b"\x1b[?25h"


def read_until(terminal: int, wanted: bytes | None, within_s: float) -> bytes:
    """What is printed until `wanted` has come, or until the other side has ended if it is None."""
    seen, end = b"", time.monotonic() + within_s
    while wanted is None or wanted not in seen:
        ready, _, _ = select.select([terminal], [], [], max(0.0, end - time.monotonic()))
        assert ready, f"after {within_s:.0f} s: {seen[-2_000:].decode(errors='replace')}"
        try:
            data = os.read(terminal, 65_536)
        except OSError:  # Linux says so when the other side has closed
            data = b""
        seen += data
        if not data:
            assert wanted is None, f"it ended: {seen[-2_000:].decode(errors='replace')}"
            break
    return seen


def test_ctrl_c_amid_training_leaves_a_whole_terminal_and_a_saved_step(tmp_path):
    command = [sys.executable, "-m", "swarmd", "join", "--home", str(tmp_path / "h"), "--host", "127.0.0.1"]
    environment = {**os.environ, **ONE_THREAD, **SPARING, "TERM": "xterm"}
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(command[0], [*command, "--no-lan"], environment)  # noqa: S606  arguments of this test
    try:
        seen = read_until(terminal, b"tokens/s", EVENT_S)  # the view shows a speed once a step is done
        assert HIDE_CURSOR in seen
        os.write(terminal, CTRL_C)
        last = read_until(terminal, None, EXIT_S)
    finally:
        os.close(terminal)  # a daemon that is still there gets SIGHUP, and stops
        _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert b"stopping: finishing or dropping the step" in last
    assert b"stopped at step" in last
    assert b"Traceback" not in seen + last
    assert (seen + last).rfind(SHOW_CURSOR) > (seen + last).rfind(HIDE_CURSOR)
    stopped = re.findall(rb"stopped at step (\d+)", last)[-1]
    saved = [path.name for path in (tmp_path / "h" / "checkpoints").iterdir()]
    assert any(int(name.rpartition("-")[2]) == int(stopped) for name in saved), saved
