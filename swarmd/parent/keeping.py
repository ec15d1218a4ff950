"""Runs the peer as a child process, life after life. Signals reach the peer once, and only through this
process.

The peer leads its own session. What a terminal, `timeout` or a shell sends to the process group arrives here
and is forwarded. Input, output and exit code are the peer's own.
"""

from __future__ import annotations

import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress

from swarmd import exit_codes
from swarmd.hardware import cgroups
from swarmd.parent.lifeline import LINE_BYTES_MAX, Word
from swarmd.parent.lives import Again, End, Final, Lives, how_it_ended
from swarmd.parent.stops import STOP, LastStop
from swarmd.parent.trees import pause, signal_tree

KILL_AT = 3  # stop signals: the first asks, the second ends at once, from the third on the peer is killed
READ_BYTES = 4_096
STDIN, STDERR = 0, 2
SHOW_CURSOR = b"\x1b[?25h"  # a live view that is interrupted leaves the cursor hidden


def keep(command: Sequence[str], *, until_input_ends: bool = False) -> int:
    """Run `command` until it ends for good. Return the exit code. Takes over this process's signals.

    `until_input_ends`: the end of standard input requests a stop, like a first signal, but never a second.
    """
    return _Keeper(command, until_input_ends).run()


class _Keeper:
    def __init__(self, command: Sequence[str], until_input_ends: bool) -> None:
        self._command = list(command)
        self._lives = Lives()
        self._first_step: int | None = None
        self._last_end = ""
        self._child: subprocess.Popen[bytes] | None = None
        self._lifeline: socket.socket | None = None
        self._told = b""
        self._steps = 0
        self._doing = ""
        self._stops = 0
        self._last_stop = LastStop()
        self._selector = selectors.DefaultSelector()
        self._until_input_ends = until_input_ends
        if until_input_ends:
            self._selector.register(STDIN, selectors.EVENT_READ, self._read_input)

    def run(self) -> int:
        self._take_signals()
        while True:
            end = self._live()
            if self._stops:
                return self._after_stop(end)
            following = self._lives.after(end)
            match following:
                case Final(code, text):
                    _say(text)
                    return code
                case Again(wait_s, text):
                    self._last_end = how_it_ended(end)
                    _say(text)
                    self._look(wait_s)
            if self._stops:
                _say("stopped before the peer was started again")
                return exit_codes.DONE

    def _live(self) -> End:
        """Run one life, from start to end."""
        self._steps, self._doing, self._told = 0, "", b""
        born, kills = time.monotonic(), cgroups.oom_kills()
        ours, theirs = socket.socketpair()
        with ours:
            word = Word(theirs.fileno(), self._lives.deaths, self._first_step, self._last_end)
            try:
                self._child = self._start(word)
            except OSError as error:
                return End(None, 0.0, why=error.strerror or str(error))
            finally:
                theirs.close()
            ours.setblocking(False)
            self._lifeline = ours
            self._selector.register(ours, selectors.EVENT_READ, self._read_lifeline)
            while self._child.poll() is None:
                self._look(None)
            self._read_lifeline()
            if self._lifeline is not None:
                self._drop_lifeline()
        code = self._child.returncode
        if code < 0 or self._stops > 1:
            _show_cursor()
        return End(
            code,
            time.monotonic() - born,
            steps=self._steps,
            doing=self._doing,
            memory_limit=cgroups.limit_bytes(),
            out_of_memory=code == -signal.SIGKILL and cgroups.oom_kills() > kills,
        )

    def _start(self, word: Word) -> subprocess.Popen[bytes]:
        return subprocess.Popen(  # noqa: S603  our own interpreter and module
            self._command,
            stdin=subprocess.DEVNULL if self._until_input_ends else None,
            pass_fds=(word.descriptor,),
            env={**os.environ, **word.to_environment()},
            start_new_session=True,
        )

    def _after_stop(self, end: End) -> int:
        """Return the exit code. A peer that does not handle signals yet is ended by the signal itself."""
        if end.code is not None and end.code >= 0:
            return end.code
        if self._stops > 1:
            return exit_codes.FORCED
        if end.code is None or -end.code in STOP:
            return exit_codes.DONE
        _say(f"the peer {how_it_ended(end)} after it was asked to stop")
        return exit_codes.of_signal(-end.code)

    # Events during a life -------------------------------------------------------------------------

    def _take_signals(self) -> None:
        self._woken, waker = socket.socketpair()
        self._waker = waker
        for end in (self._woken, waker):
            end.setblocking(False)
        for number in (*STOP, signal.SIGTSTP, signal.SIGCHLD):
            is_needed = number in (signal.SIGINT, signal.SIGCHLD)  # without the latter, all ends look orderly
            if signal.getsignal(number) is not signal.SIG_IGN or is_needed:
                signal.signal(number, lambda *_: None)  # nohup's SIGHUP stays ignored, here and in the peer
        signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
        self._selector.register(self._woken, selectors.EVENT_READ, self._read_signals)

    def _look(self, seconds: float | None) -> None:
        """Wait for an event and handle it. With `seconds`: handle events until then, or until a stop."""
        until = None if seconds is None else time.monotonic() + seconds
        while True:
            left = None if until is None else max(0.0, until - time.monotonic())
            for key, _ in self._selector.select(left):
                key.data()
            if until is None or self._stops or time.monotonic() >= until:
                return

    def _read_signals(self) -> None:
        """Signals that arrive together count as one: `timeout` signals both the process and its group."""
        came = self._woken.recv(READ_BYTES)
        if signal.SIGTSTP in came:
            pause([self._child.pid] if self._child is not None and self._child.poll() is None else [])
        stops = [number for number in STOP if number in came and not self._last_stop.repeated_by(number)]
        if stops:
            self._stop(stops[0])

    def _stop(self, number: signal.Signals) -> None:
        self._stops += 1
        if self._child is not None and self._child.poll() is None:
            self._child.send_signal(number if self._stops < KILL_AT else signal.SIGKILL)
            if self._stops > 1 and self._lifeline is not None:
                with suppress(OSError):  # the peer has just closed its end
                    self._lifeline.shutdown(socket.SHUT_WR)  # ends the peer at once; signals alone do not
            signal_tree(self._child.pid, signal.SIGCONT)  # it may be frozen, and could then not stop
        self._last_stop.handled()

    def _read_input(self) -> None:
        if not os.read(STDIN, READ_BYTES):
            self._selector.unregister(STDIN)
            if not self._last_stop.repeated_by(signal.SIGTERM) and not self._stops:
                self._stop(signal.SIGTERM)

    def _read_lifeline(self) -> None:
        while self._lifeline is not None:
            try:
                data = self._lifeline.recv(READ_BYTES)
            except BlockingIOError:
                return
            except ConnectionError:
                data = b""
            if not data:
                self._drop_lifeline()
                return
            *lines, self._told = (self._told + data).split(b"\n")
            self._told = self._told[-LINE_BYTES_MAX:]
            for line in lines:
                self._heard(*line.decode("utf-8", "replace").partition(" ")[::2])

    def _heard(self, kind: str, text: str) -> None:
        if kind == "at" and self._first_step is None and text.isdigit():
            self._first_step = int(text)
        elif kind == "step":
            self._steps += 1
        elif kind == "doing":
            self._doing = text

    def _drop_lifeline(self) -> None:
        if self._lifeline is not None:
            self._selector.unregister(self._lifeline)
            self._lifeline = None


def peer_command(arguments: Sequence[str]) -> list[str]:
    """Return the command that runs `swarmd` as the peer itself, with faulthandler for library faults.

    -P: a file in the user's directory must not be imported instead of a library.
    """
    return [sys.executable, "-P", "-X", "faulthandler", "-m", "swarmd", *arguments]


def _say(text: str) -> None:
    """Write to standard error, if it still exists."""
    if text:
        with suppress(OSError):
            os.write(STDERR, f"swarmd: {text}\n".encode())


def _show_cursor() -> None:
    with suppress(OSError):
        if os.isatty(1):
            os.write(1, SHOW_CURSOR)
