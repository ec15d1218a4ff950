"""`swarmd service`: a peer that this user's service manager starts and keeps.

    interface.py   what is asked of a service manager, and what it tells
    choosing.py    which service manager this machine has, or why none will do
    unit.py        the text of a systemd user unit, hardened: pure
    systemd.py     systemd's user manager (Linux, WSL)
    launchd.py     launchd (macOS)
    running.py     calls a program of the system, for a bounded time

The service manager runs the same `swarmd join` that a person would type. It needs no right of the
administrator's, and this room never asks for one.
"""

from swarmd.service.choosing import choose_manager
from swarmd.service.interface import ServiceManager, State, Wish

__all__ = ["ServiceManager", "State", "Wish", "choose_manager"]
