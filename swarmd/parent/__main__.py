"""`python -m swarmd.parent join ...`: a peer of a fleet or an experiment, which stops when its input ends.

The process that started it holds the other end of that pipe. It closes the pipe to request a stop, and the
system closes it if that process is killed. Either way the peer stops as on a first Ctrl-C, only once.
"""

from __future__ import annotations

import sys

from swarmd.parent.keeping import keep, peer_command

if __name__ == "__main__":
    sys.exit(keep(peer_command(sys.argv[1:]), until_input_ends=True))
