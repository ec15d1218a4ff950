"""The peers on one machine, and the settings each is started with. Computes values and starts nothing."""

from __future__ import annotations

import ipaddress
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from swarmd.addresses import PORT_MAX, listen_address, parse_http
from swarmd.errors import ConfigError
from swarmd.fleet.devices import CUDA_VISIBLE, Device, Equipment
from swarmd.fleet.homes import ADDRESSES, home_of, own_settings
from swarmd.storage import Home

if TYPE_CHECKING:
    from swarmd.config import Config

ACCELERATOR_HOST_THREADS = 4  # what a single peer uses; its host side only tokenises and launches kernels
# Too small to use a second thread, according to the hardware plan.
ONE_THREAD_MODELS = frozenset({"embedded", "embedded-visual"})


def under_parent(command: str) -> list[str]:
    """The words that run `swarmd COMMAND` with its small parent. -P: nothing is imported from the working
    directory."""
    return [sys.executable, "-P", "-m", "swarmd.parent", command]


@dataclass(frozen=True)
class Member:
    """One peer: its device, home, settings by name ("policy.device"), and environment variables that
    differ from the parent's. A value of None removes the variable.
    """

    device: Device
    home: Home
    settings: Mapping[str, object]
    environment: Mapping[str, str | None]
    has_parent: bool = True
    """Whether the process that the fleet starts is the small parent of the member. An attacker has none."""

    @property
    def name(self) -> str:
        return self.device.name

    @property
    def addresses_path(self) -> Path:
        return self.home.path / ADDRESSES


def members_of(
    devices: Sequence[Device],
    *,
    config: Config,
    given: Mapping[str, object],
    equipment: Equipment,
    terminal: bool,
) -> tuple[Member, ...]:
    """Return one peer per device, in that order.

    Each peer gets what was `given` on the command line, and otherwise only what must differ between peers:
    device, address file, ports (counted up from the first), and a share of the cores and main memory. Ports
    and shares that a device's own config.toml sets are kept. `config` is the full configuration of the
    parent's home; `terminal` says whether people read the output. Each peer sees only its own GPU, as cuda:0,
    because inspecting a GPU allocates memory on it, and some libraries use the first GPU that they see.
    Raises ConfigError.
    """
    _require_room_for_ports(config, len(devices))
    on_cpu = sum(device.device == "cpu" for device in devices)
    members: list[Member] = []
    for index, device in enumerate(devices):
        home = home_of(config.home, device)
        fixed = {
            "policy.device": "cuda" if _cuda_index(device) is not None else device.device,
            "network.address_file": home.path / ADDRESSES,
            "observe.log_format": _log_format(config, terminal),
        }
        share = {
            "policy.threads": _threads(device, config, equipment, len(devices)),
            "policy.memory_limit": _memory_limit(device, config, on_cpu),
            "network.port": config.network.port + index if config.network.port else None,
            "observe.http": _http(config.observe.http, index),
        }
        own = {key for key in own_settings(home) if given.get(key) is None}
        share = {key: value for key, value in share.items() if value is not None and key not in own}
        settings = {**given, **fixed, **share}
        members.append(Member(device, home, settings, {CUDA_VISIBLE: _visible(device, equipment)}))
    return tuple(members)


def address_on_this_machine(member: Member, host: str) -> str | None:
    """Return the address at which a sibling dials `member` once it listens. `host`: the IP address it listens
    on.

    Announced addresses are not used: they may lead to a router that does not lead back.
    """
    port = member.home.read_port()
    if port is None:
        return None
    ip = ipaddress.ip_address(host)
    if ip.is_unspecified:
        ip = ipaddress.ip_address("127.0.0.1" if ip.version == 4 else "::1")
    return f"{listen_address(str(ip), port)}/p2p/{member.home.key().peer_id}"


def require_addresses_apart(configs: Mapping[str, Config]) -> None:
    """Raise ConfigError if two peers would announce the same address. `configs`: by device name."""
    announced: dict[str, str] = {}
    for name, config in configs.items():
        for address in config.network.announce:
            if address in announced:
                raise ConfigError(
                    f"{announced[address]} and {name} would both announce {address}, but they are two peers: "
                    f"omit --announce, and put a config.toml with network.announce into each device's "
                    f"home (such as {config.home}) instead of the link"
                )
            announced[address] = name


def _require_room_for_ports(config: Config, count: int) -> None:
    ports = {"--port": config.network.port}
    if config.observe.http is not None:
        ports["--http"] = parse_http(config.observe.http)[1]
    for flag, port in ports.items():
        if port and port + count - 1 > PORT_MAX:
            raise ConfigError(
                f"{flag}: {count} peers take {count} ports starting at {port}, but the last is {PORT_MAX}: "
                "choose a lower port"
            )


def _http(wish: str | None, index: int) -> str | None:
    """Count up the port for the same host. 0 stays 0: each peer takes a free port."""
    if wish is None:
        return None
    host, port = parse_http(wish)
    return f"{f'[{host}]' if ':' in host else host}:{port + index if port else 0}"


def _log_format(config: Config, terminal: bool) -> str:
    """Choose the format, because a child has no terminal, and several live views do not fit into one."""
    if config.observe.log_format != "auto":
        return config.observe.log_format
    return "console" if terminal else "json"


def _cuda_index(device: Device) -> int | None:
    kind, _, index = device.device.partition(":")
    return int(index) if kind == "cuda" else None


def _visible(device: Device, equipment: Equipment) -> str:
    """Return CUDA_VISIBLE_DEVICES for its GPU; empty for a peer on any other kind of device."""
    index = _cuda_index(device)
    if index is None:
        return ""
    return str(index) if equipment.cuda_visible is None else equipment.cuda_visible.split(",")[index].strip()


def _memory_limit(device: Device, config: Config, on_cpu: int) -> str | None:
    """Divide a share of free main memory among the peers on the CPU. A size applies to each of them."""
    limit = config.policy.memory_limit.strip()
    if device.device != "cpu" or on_cpu == 1 or not limit.endswith("%"):
        return None
    return f"{float(limit.removesuffix('%')) / on_cpu:.4g}%"


def _threads(device: Device, config: Config, equipment: Equipment, count: int) -> int | None:
    """Return an equal share of the cores; otherwise peers that start together would each take all of them.

    None leaves the choice to each peer's hardware plan.
    """
    if config.policy.threads is not None or equipment.omp_threads is not None:
        return None
    if config.policy.model in ONE_THREAD_MODELS:
        return None
    share = max(1, equipment.cores // count)
    return share if device.device == "cpu" else min(share, ACCELERATOR_HOST_THREADS)
