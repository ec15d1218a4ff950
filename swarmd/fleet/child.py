"""Run as a process: the command line of one peer, which stops when its standard input ends.

The parent holds the other end of that pipe. It closes it to ask for a stop, and the system closes it if the
parent is killed: either way the peer stops as on a first Ctrl-C, and never twice.
"""

from __future__ import annotations

import os
import signal
import threading

from swarmd.cli.app import main

STDIN = 0
READ_BYTES = 4_096  # nothing is ever written there


def _stop_at_end_of_input() -> None:
    while os.read(STDIN, READ_BYTES):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    threading.Thread(target=_stop_at_end_of_input, name="parent", daemon=True).start()
    main()
