"""Chooses this machine's service manager, or explains why none can be used and what to do instead."""

from __future__ import annotations

import os
import platform
import shutil
from pathlib import Path

from swarmd.errors import ConfigError
from swarmd.places import DEFAULT_HOME
from swarmd.service.interface import ServiceManager

FOREGROUND = "`swarmd join` runs in the foreground under any other service manager: see docs/install.md"


def choose_manager() -> ServiceManager:
    """Return the service manager of this user. Raises ConfigError."""
    system = platform.system()
    if system not in ("Linux", "Darwin"):
        raise ConfigError(
            f"swarmd cannot run as a service on {system}: use WSL 2 (`wsl --install`), and `swarmd service "
            "install` inside it"
        )
    if os.geteuid() == 0:
        raise ConfigError(
            "a service of root would give the peer all privileges on this machine, and it needs none: log "
            "in as the user who owns the peer and install it there, or write a unit with User=, as "
            "docs/install.md shows"
        )
    usual = Path(DEFAULT_HOME).expanduser().resolve()
    if system == "Darwin":
        from swarmd.service.launchd import Launchd

        return Launchd(usual, Path.home() / "Library/LaunchAgents", os.getuid())
    if shutil.which("systemctl") is None:
        raise ConfigError(f"this machine has no systemd (`systemctl` is not on the PATH): {FOREGROUND}")
    from swarmd.service.systemd import Systemd

    settings = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return Systemd(usual, settings / "systemd/user")
