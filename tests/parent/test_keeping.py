"""The small parent with faulty children: small scripts instead of a peer."""

from __future__ import annotations

import os
import pty
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from swarmd.parent import keeping, stops

KEEP = """
import json, sys
from swarmd.parent import keeping, lives, stops
lives.BACK_OFF_S = json.loads(sys.argv[1])
stops.AGAIN_S = float("inf")  # however slow this machine is
sys.exit(keeping.keep([sys.executable, "-c", sys.argv[2]], until_input_ends=sys.argv[3] == "piped"))
"""
LINE = """
import json, os, signal, socket, sys, time
word = json.loads(os.environ["SWARMD_LIFELINE"])
line = socket.socket(fileno=word["descriptor"])
def die(number):
    os.kill(os.getpid(), number)
    time.sleep(60)
"""
WAITS = (
    LINE
    + """
def stop(number, frame):
    print("had", number, flush=True)
    sys.exit(0)
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP): signal.signal(number, stop)
print("up", os.getpid(), flush=True)
line.recv(1)
os._exit(130)
"""
)
BUSY_STOPPING = WAITS.replace("sys.exit(0)", "0")
WITH_A_CHILD_OF_ITS_OWN = (
    """
import atexit, subprocess, sys
waits = "import time; time.sleep(600)"
other = subprocess.Popen([sys.executable, "-c", waits], start_new_session=True)
atexit.register(other.kill)
"""
    + WAITS
)
WAIT_S = 60


@pytest.fixture
def keep() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """keep(script): a parent with that child; both are gone after the test."""
    started: list[subprocess.Popen[str]] = []

    def start(script: str, *, back_off: str = "[0.01]", piped: bool = False) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", KEEP, back_off, script, "piped" if piped else ""],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


def until_up(process: subprocess.Popen[str]) -> int:
    """The child's pid."""
    assert process.stdout is not None
    word, pid = process.stdout.readline().split()
    assert word == "up"
    return int(pid)


def until_stopped(process: psutil.Process) -> None:
    """Wait until it has stopped: it was told to before, and stops once it gets a core."""
    deadline = time.monotonic() + WAIT_S
    while process.status() != psutil.STATUS_STOPPED:
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("code", [0, 1, 2, 130])
def test_input_output_and_exit_code_are_the_childs_own(keep, code: int) -> None:
    process = keep(f"import sys; print(sys.stdin.read()); print('bad', file=sys.stderr); sys.exit({code})")
    out, err = process.communicate("words", timeout=WAIT_S)
    assert (out, err, process.returncode) == ("words\n", "bad\n", code)


def test_a_child_that_dies_of_a_fault_is_started_again_and_told_why_and_where_to_go_on(keep) -> None:
    script = (
        LINE
        + """
print(word["deaths"], word["first_step"], word["last_end"], flush=True)
line.send(b"at 7\\nstep 8\\ndoing training\\n")
if word["deaths"] < 2: die(signal.SIGSEGV if word["deaths"] else signal.SIGKILL)
"""
    )
    process = keep(script)
    out, err = process.communicate(timeout=WAIT_S)
    assert process.returncode == 0
    first, second, third = out.splitlines()
    assert first == "0 None "
    assert second.startswith("1 7 was killed (last activity: training): ")
    assert (
        third == "2 7 was ended by SIGSEGV (last activity: training): a fault in a library or in this machine"
    )
    assert "(once so far); restarting it in 0.01 s" in err
    assert "(2 times so far)" in err


def test_it_gives_up_with_the_reason_when_no_step_is_ever_finished(keep) -> None:
    process = keep(LINE + "line.send(b'at 0\\ndoing loading the model\\n'); die(signal.SIGABRT)")
    _, err = process.communicate(timeout=WAIT_S)
    assert process.returncode == 128 + signal.SIGABRT
    assert len(err.splitlines()) == 5
    assert "giving up: that was the 5th death in a row without a finished step" in err.splitlines()[-1]
    assert "SIGABRT (last activity: loading the model)" in err.splitlines()[-1]


def test_finished_steps_between_the_deaths_mean_that_it_goes_on(keep) -> None:
    process = keep(LINE + "line.send(b'step 1\\n'); word['deaths'] < 12 and die(signal.SIGKILL)")
    _, err = process.communicate(timeout=WAIT_S)
    assert process.returncode == 0
    assert "12 times so far" in err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_the_whole_group_reaches_the_child_exactly_once(keep, number: signal.Signals) -> None:
    process = keep(WAITS)
    until_up(process)
    os.killpg(process.pid, number)
    out, err = process.communicate(timeout=WAIT_S)
    assert (out, err, process.returncode) == (f"had {number.value}\n", "", 0)


def test_a_second_signal_closes_the_line_and_its_exit_code_says_so(keep) -> None:
    process = keep(BUSY_STOPPING)
    until_up(process)
    assert process.stdout is not None
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == "had 2\n"
    process.send_signal(signal.SIGINT)
    assert process.wait(WAIT_S) == 130


@pytest.mark.parametrize("first", [signal.SIGHUP, signal.SIGTERM])
def test_a_stop_that_comes_as_several_signals_is_one(keep, first: signal.Signals) -> None:
    process = keep(BUSY_STOPPING)
    until_up(process)
    assert process.stdout is not None
    process.send_signal(first)
    assert process.stdout.readline() == f"had {first.value}\n"
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGTSTP):
        process.send_signal(number)
    os.waitpid(process.pid, os.WUNTRACED)  # it has read them all once it is paused
    process.send_signal(signal.SIGCONT)
    process.send_signal(signal.SIGINT)
    assert process.wait(WAIT_S) == 130
    assert process.stdout.read() == "had 2\n"


def test_a_hang_up_while_a_stop_is_being_handled_is_the_same_stop(monkeypatch) -> None:
    now = 0.0

    def wake_slowly(pid: int, number: signal.Signals) -> bool:
        nonlocal now
        now += 2 * stops.AGAIN_S
        return True

    keeper = keeping._Keeper([], until_input_ends=False)
    keeper._last_stop = stops.LastStop(lambda: now)
    monkeypatch.setattr(keeping, "signal_tree", wake_slowly)
    keeper._woken, waker = socket.socketpair()
    with (
        keeper._selector,
        keeper._woken,
        waker,
        subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as keeper._child,
    ):
        for number in (signal.SIGTERM, signal.SIGHUP):
            waker.send(bytes([number]))
            keeper._read_signals()
    assert keeper._stops == 1


def test_a_third_signal_kills_a_child_that_hears_none(keep) -> None:
    process = keep(BUSY_STOPPING.replace("os._exit(130)", "time.sleep(60)"))
    until_up(process)
    assert process.stdout is not None
    for _ in range(2):
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "had 2\n"
    process.send_signal(signal.SIGINT)
    assert process.wait(WAIT_S) == 130


def test_a_child_that_is_asked_to_stop_before_it_listens_counts_as_stopped(keep) -> None:
    process = keep("import os, time; print('up', os.getpid(), flush=True); time.sleep(60)")
    until_up(process)
    process.send_signal(signal.SIGTERM)
    assert process.wait(WAIT_S) == 0


def test_a_stop_while_it_waits_for_the_next_life_ends_it(keep) -> None:
    process = keep(LINE + "die(signal.SIGKILL)", back_off="[600]")
    assert process.stderr is not None
    assert "restarting it in 600 s" in process.stderr.readline()
    process.send_signal(signal.SIGTERM)
    assert process.wait(WAIT_S) == 0
    assert "stopped before the peer was started again" in process.stderr.read()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the child ends when it sees the line closing")
def test_killing_the_parent_kills_the_child(keep) -> None:
    script = "from swarmd.parent import lifeline\nlifeline.begin()\n"
    process = keep(script + "import os, time; print('up', os.getpid(), flush=True); time.sleep(60)")
    child = psutil.Process(until_up(process))
    process.kill()
    assert psutil.wait_procs([child], timeout=WAIT_S)[1] == []


def test_the_end_of_its_input_asks_it_to_stop_once(keep) -> None:
    process = keep(WAITS, piped=True)
    until_up(process)
    assert process.stdin is not None
    process.stdin.close()
    process.stdin = None
    assert process.wait(WAIT_S) == 0
    assert process.stdout is not None
    assert process.stdout.read() == "had 15\n"


def test_the_end_of_its_input_is_no_second_stop(keep) -> None:
    process = keep(BUSY_STOPPING, piped=True)
    until_up(process)
    assert process.stdin is not None
    assert process.stdout is not None
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == "had 2\n"
    process.stdin.close()
    process.stdin = None
    process.send_signal(signal.SIGTSTP)
    os.waitpid(process.pid, os.WUNTRACED)
    process.send_signal(signal.SIGCONT)
    process.send_signal(signal.SIGINT)
    assert process.wait(WAIT_S) == 130
    assert process.stdout.read() == "had 2\n"


def test_a_closed_terminal_stops_the_child_in_good_order(tmp_path: Path) -> None:
    """The parent leads the terminal's session, like a command of `ssh -t`. The kernel hangs it up."""
    written = tmp_path / "written"
    script = WAITS.replace(
        'print("had", number, flush=True)', f"open({str(written)!r}, 'w').write(str(number))"
    )
    pid, terminal = pty.fork()
    if pid == 0:
        path = os.pathsep.join(filter(None, sys.path))
        os.execve(  # noqa: S606  the terminal is the point
            sys.executable, [sys.executable, "-c", KEEP, "[0]", script, ""], {"PYTHONPATH": path}
        )
    assert b"up" in os.read(terminal, 100)
    os.close(terminal)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert written.read_text() == str(signal.SIGHUP.value)


def test_ctrl_z_stops_the_child_and_all_that_it_started_and_fg_wakes_them(keep) -> None:
    process = keep(WITH_A_CHILD_OF_ITS_OWN)
    child = psutil.Process(until_up(process))
    [other] = child.children()
    process.send_signal(signal.SIGTSTP)
    _, status = os.waitpid(process.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status)
    until_stopped(child)
    until_stopped(other)
    process.send_signal(signal.SIGCONT)
    process.send_signal(signal.SIGTERM)
    assert process.wait(WAIT_S) == 0
    assert process.stdout is not None
    assert process.stdout.read() == "had 15\n"


def test_a_child_that_somebody_froze_stops_too_when_it_is_asked(keep) -> None:
    process = keep(WAITS)
    child = until_up(process)
    os.killpg(child, signal.SIGSTOP)
    until_stopped(psutil.Process(child))
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=WAIT_S)
    assert (out, process.returncode) == (f"had {signal.SIGTERM.value}\n", 0)


def test_the_parent_imports_nothing_heavy_and_stays_small(keep) -> None:
    code = (
        "import sys; from swarmd.parent import keeping; "
        "heavy = {'torch', 'rich', 'typer', 'pydantic', 'asyncio', 'hivemind', 'protocol', 'numpy'}; "
        "sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
