"""The homes of the peers on one machine: HOME/devices/cuda-0 and so on, each a home like any other.

A device's home is tied to its name, so nothing is lost when devices are added, removed or reordered. Its
config.toml is a link to HOME's, so that one file holds the settings of all. To change a setting for one
device only, replace the link with a file.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from swarmd.errors import ConfigError
from swarmd.fleet.devices import Device
from swarmd.storage import Home
from swarmd.storage.durable import remedy

ADDRESSES = "addresses"
"""The file in a device's home with its peer's addresses, written at each start."""


def home_of(home: Path, device: Device) -> Home:
    """Return the home of the peer on `device`. Creates nothing."""
    return Home(Home(home).devices_path / device.directory)


def prepare_homes(home: Path, devices: Sequence[Device]) -> None:
    """Create missing homes, including keys. Raises ConfigError."""
    config_path = Home(home).config_path
    for device in devices:
        made = home_of(home, device)
        try:
            for directory in (home, made.path.parent, made.path):
                directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not os.path.lexists(made.config_path):
                made.config_path.symlink_to(os.path.relpath(config_path, made.path))
        except FileExistsError as error:
            raise ConfigError(f"home {error.filename} is a file; choose a directory with --home") from error
        except OSError as error:
            raise ConfigError(f"home {made.path} cannot be used: {remedy(error)}") from error
        Home.open(made.path)


def give_ports(homes: Sequence[Home], host: str) -> None:
    """Store a free port of this machine in each home that has none. No two of `homes` get the same one.

    Raises ConfigError.
    """
    taken = {home.read_port() for home in homes}
    with ExitStack() as stack:  # keeps every port open until the last is chosen, so that none is chosen twice
        for home in homes:
            if home.read_port() is not None:
                continue
            port = _listening(stack, host)
            while port in taken:
                port = _listening(stack, host)
            taken.add(port)
            home.write_port(port)


def share_swarm(sibling: Home, newcomer: Home) -> None:
    """Store in a new home which swarm `sibling` is in, because its peer may be gone before it can be asked.

    Raises ConfigError.
    """
    manifest = sibling.read_manifest()
    if manifest is not None and newcomer.read_manifest() is None:
        newcomer.write_manifest(manifest)


def _listening(stack: ExitStack, host: str) -> int:
    """Return a port that stays taken until `stack` is closed."""
    return int(stack.enter_context(socket.create_server((host, 0))).getsockname()[1])


def own_settings(home: Home) -> frozenset[str]:
    """Return the keys, such as "policy.threads", that a device's own config.toml sets; empty if it is the
    link.

    Raises ConfigError for an invalid file.
    """
    from pydantic import BaseModel

    from swarmd.config import load_config

    if home.config_path.is_symlink() or not home.config_path.exists():
        return frozenset()
    config = load_config(home.path, {})
    sections = {name: getattr(config, name) for name in config.model_fields_set}
    return frozenset(
        f"{name}.{key}"
        for name, section in sections.items()
        if isinstance(section, BaseModel)
        for key in section.model_fields_set
    )


def device_homes(home: Path) -> tuple[Home, ...]:
    """Return the homes of devices under `home`, by name, also of a peer that lost its key; empty if `home` is
    that of one peer. Raises ConfigError.
    """
    try:
        found = [Home(path) for path in sorted(Home(home).devices_path.iterdir())]
        return tuple(each for each in found if each.identity_path.exists() or each.traces())
    except (FileNotFoundError, NotADirectoryError):
        return ()
    except OSError as error:
        raise ConfigError(f"home {home} cannot be read: {remedy(error)}") from error
