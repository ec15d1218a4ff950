"""`swarmd join --devices`: one peer per device, each in a child process. See `swarmd.fleet`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

import typer

from swarmd.addresses import parse_peer_address
from swarmd.cli.flags import Given, arguments, overrides
from swarmd.cli.init import write_config
from swarmd.config import Config, load_config
from swarmd.fleet import (
    Member,
    Printed,
    choose_devices,
    device_homes,
    look_at_machine,
    members_of,
    prepare_homes,
    require_addresses_apart,
    share_swarm,
    supervise,
    under_parent,
)
from swarmd.storage import Home


def join_devices(config: Config, given: Given, devices: str) -> int:
    """Start one peer for each of `devices`, wait until all have ended, and return the exit code.

    `given` holds the settings of the command line; `config` adds those of the environment and the file.
    Raises ConfigError before anything is started, and SwarmdError if some peers failed.
    """
    equipment = look_at_machine()
    chosen = choose_devices(devices, equipment)
    members = members_of(
        chosen, config=config, given=given, equipment=equipment, terminal=sys.stdout.isatty()
    )
    home = Home(config.home)
    if home.identity_path.exists() and not device_homes(home.path):
        typer.echo(
            f"warning: the peer in {home.path} is not used: each device starts as a new peer; "
            "docs/operating.md says how to continue with the old one",
            err=True,
        )
    prepare_homes(home.path, chosen)
    write_config(home)
    configs = {each.name: load_config(each.home.path, overrides(each.settings)) for each in members}
    require_addresses_apart(configs)

    def start(member: Member, way_in: Sequence[str]) -> list[str]:
        for sibling in _up(members, way_in):
            if configs[sibling.name].swarm == configs[member.name].swarm:
                share_swarm(sibling.home, member.home)
        return command(member, (*config.network.peers, *way_in))

    with home.lock():
        return asyncio.run(
            supervise(
                members,
                command=start,
                host=config.network.host,
                listener=_Devices(members, config.network.address_file),
            )
        )


class _Devices(Printed):
    """Prints what the peers say. --address-file holds the addresses of the first peer that is up; the others
    are found through it.
    """

    def __init__(self, members: Sequence[Member], address_file: Path | None) -> None:
        as_json = members[0].settings["observe.log_format"] == "json"
        width = max(len(member.name) for member in members)
        super().__init__(sys.stdout, sys.stderr, as_json=as_json, width=width)
        self._address_file = address_file

    def reachable(self, member: Member, *, first: bool) -> None:
        if first and self._address_file is not None:
            _publish_addresses(member, self._address_file)


def command(member: Member, peers: Sequence[str]) -> list[str]:
    """Return the command that starts one peer: `swarmd join` on its device. It ends when its parent does."""
    settings = {**member.settings, "network.peers": list(peers)}
    return [*under_parent("join"), f"--home={member.home.path}", *arguments(settings)]


def _up(members: Sequence[Member], addresses: Sequence[str]) -> list[Member]:
    """Return the members that have these addresses."""
    peers = {parse_peer_address(address).peer_id for address in addresses}
    return [member for member in members if member.home.key().peer_id in peers]


def _publish_addresses(member: Member, path: Path) -> None:
    try:
        path.write_text(member.addresses_path.read_text(encoding="utf-8"), encoding="utf-8")
    except OSError as error:
        typer.echo(f"warning: --address-file {path} cannot be written: {error.strerror}", err=True)
