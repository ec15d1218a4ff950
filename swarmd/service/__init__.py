"""`swarmd service`: a peer that this user's service manager starts and keeps running.

    interface.py   what a service manager must do, and what it reports
    choosing.py    which service manager this machine has, or why none can be used
    unit.py        the text of a systemd user unit, hardened: pure
    systemd.py     systemd's user manager (Linux, WSL)
    launchd.py     launchd (macOS)
    running.py     runs a system program, for a bounded time

The service manager runs the same `swarmd join` that a person would type. It needs no administrator rights,
and this package never asks for any.
"""

from swarmd.service.choosing import choose_manager
from swarmd.service.interface import ServiceManager, State, Wish

__all__ = ["ServiceManager", "State", "Wish", "choose_manager"]
