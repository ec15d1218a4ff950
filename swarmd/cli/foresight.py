"""Find errors before anything heavy is loaded: each check takes milliseconds.

A command that passes can still fail later: a model may be damaged, or a port taken in the meantime. A command
that fails here would fail later anyway, after half a minute of loading.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from swarmd import model_names
from swarmd.addresses import parse_http
from swarmd.config.memory_limit import memory_limit_bytes
from swarmd.errors import ConfigError
from swarmd.hardware import drivers
from swarmd.network.ports import require_free_port
from swarmd.user_paths import looking_at, require_writable_file

if TYPE_CHECKING:
    from swarmd.config import Config, PolicyConfig
    from swarmd.storage import Home

WEIGHTS = "weights.safetensors"  # file name in a checkpoint, as swarmd.storage writes it
MEMORY_BYTES_MIN = 2**28  # Python, PyTorch and the embedded model need more than 256 MiB


def foresee(config: Config, home: Home, *, checkpoint: Path | None = None, ports: bool = True) -> None:
    """Raise ConfigError for the first thing that cannot work. Creates nothing, not even the home.

    `checkpoint` is what --from names. `ports`: whether this process itself would listen.
    """
    home.require_known_versions()
    _swarm(config, home)
    foresee_policy(config.policy, home)
    if checkpoint is not None and not any(home.checkpoints_path.glob(f"*/{WEIGHTS}")):
        require_weights(checkpoint, "--from")  # a home that continued from it no longer needs it
    if config.network.address_file is not None:
        require_writable_file(config.network.address_file, "--address-file")
    home.require_unused()
    if ports:
        foresee_ports(config)


def foresee_testnet(config: Config, models: Sequence[str], first: Home) -> None:
    """The same for peers of these models; `first` is the home of the first peer. Raises ConfigError."""
    _swarm(config, first)
    device = config.policy.device if "device" in config.policy.model_fields_set else "cpu"
    for model in models:
        model_names.require_plausible(model, "--models")
        foresee_policy(config.policy.model_copy(update={"model": model, "device": device}), first)
    # Each peer listens on its own free port, whatever a variable says.
    foresee_ports(config.model_copy(update={"network": config.network.model_copy(update={"port": 0})}))


def foresee_policy(policy: PolicyConfig, home: Home) -> None:
    """The checks of the model and its device. Raises ConfigError."""
    if not _is_remembered(policy.model, home):
        model_names.require_plausible(policy.model)
    drivers.require_plausible(policy.device, "--device")
    if policy.device == "cpu" and memory_limit_bytes(policy.memory_limit, 2**62) < MEMORY_BYTES_MIN:
        raise ConfigError(
            f"--memory-limit {policy.memory_limit} is less than PyTorch alone needs: give 1GiB or more, or a "
            "share such as 80%"
        )


def foresee_devices(names: str) -> None:
    """Check the list given with --devices. Raises ConfigError."""
    from swarmd.fleet.devices import ALL, Equipment, choose_devices

    if names.strip() == ALL:
        cuda, mps = drivers.why_no_cuda(), drivers.why_no_mps()
        if cuda is not None and mps is not None:
            raise ConfigError(f"--devices all: {cuda}: leave out --devices to train on the CPU")
        return
    wishes = [part.strip() for part in names.split(",")]
    for wish in wishes:
        if wish in ("auto", "cuda"):
            raise ConfigError(f"--devices {wish}: name each device, such as cuda:0,cuda:1, or use all")
        if wish:
            drivers.require_plausible(wish, "--devices")
    choose_devices(names, Equipment(tuple(dict.fromkeys(wish for wish in wishes if wish != "cpu")), cores=1))


def _is_remembered(model: str, home: Home) -> bool:
    """Whether the home's weights belong to this model: the home then resumes with its absolute path, from any
    directory.
    """
    here = Path(model).is_absolute() or os.path.exists(model)  # noqa: PTH110  false if too long
    return not here and home.has_checkpoints()


def _swarm(config: Config, home: Home) -> None:
    from swarmd.finding import Kind, kind_of, require_charter, require_plausible
    from swarmd.tasks.manifest import read_swarm_file

    wanted, saved = config.swarm, home.manifest()
    if wanted is None:
        return
    require_plausible(wanted)
    if kind_of(wanted).is_remote:  # the daemon fetches it, and can wait for it
        return
    if kind_of(wanted) is Kind.ID:
        if saved is None and not config.network.peers:
            raise ConfigError(
                f"nobody to ask what the swarm {wanted[:12]} is: name one of its peers with --peer ADDRESS"
            )
        named, name = wanted.lower(), wanted[:12]
    else:
        found, is_final = read_swarm_file(wanted)
        manifest = found.manifest
        require_charter(home.charter(), found, wanted, home=str(home.path))
        if not is_final:
            return
        named, name = manifest.swarm_id.hex(), f"{manifest.name} ({manifest.swarm_id.hex()[:12]})"
    if saved is not None and saved.swarm_id.hex() != named:
        raise ConfigError(
            f"home {home.path} belongs to the swarm {saved.name} ({saved.swarm_id.hex()[:12]}), and --swarm "
            f"names {name}: use a different --home for each swarm"
        )


def require_weights(path: Path, flag: str) -> None:
    """Raise ConfigError if `path`, which `flag` names, is neither a checkpoint nor a file in one."""
    with looking_at(path, flag):
        found = (
            "there is nothing" if not path.exists() else f"there are no whole weights ({WEIGHTS} is missing)"
        )
        if not ((path if path.is_dir() else path.parent) / WEIGHTS).is_file() or not path.exists():
            raise ConfigError(
                f"{flag} {path}: {found}: give a directory such as HOME/checkpoints/00000004-step-40"
            )


def foresee_ports(config: Config) -> None:
    """Check where the process would listen. Raises ConfigError for a port in use, or an address of another
    machine.
    """
    for host, port, flag in _listened_on(config):
        require_free_port(host, port, flag)


def _listened_on(config: Config) -> Iterator[tuple[str, int, str]]:
    yield config.network.host, config.network.port, "--port"
    if config.observe.http is not None:
        host, port = parse_http(config.observe.http)
        host = "127.0.0.1" if host == "localhost" else host
        try:
            ipaddress.ip_address(host)
        except ValueError:
            return  # a name: resolving it may take long, and the server does so soon anyway
        yield host, port, "--http"
