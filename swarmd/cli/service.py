"""`swarmd service`: have this user's service manager keep a peer running. See `swarmd.service`."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from swarmd import exit_codes
from swarmd.cli.flags import FLAGS, Given, arguments, overrides, with_settings
from swarmd.cli.home import DEFAULT_HOME, HomeOption, home_path
from swarmd.cli.join import DevicesOption
from swarmd.errors import ConfigError

if TYPE_CHECKING:
    from swarmd.config import Config
    from swarmd.service import ServiceManager

app = typer.Typer(help="Keep a peer running as a service of this user.", no_args_is_help=True)

FILES = ("policy.model", "learning.judge", "learning.reward_model", "swarm", "network.address_file")
"""Settings that may name a file or a directory."""
TOKEN = "observe.http_token"  # noqa: S105  the setting's name
MEMORY_MAX = "90%"
"""Share of the machine's memory; the rest is left to the system. `--memory-limit` is what a peer plans with.
"""
LINES = 50  # about a screen, as `swarmd events` shows
LINES_MAX = 1_000_000  # days of a busy peer
PASSED_ON = ("CUDA_VISIBLE_DEVICES", "HF_ENDPOINT", "HF_HUB_OFFLINE", "OMP_NUM_THREADS")
"""Variables other than SWARMD_*, `PLACES` and `READ` that change what a peer does; a service inherits nothing
else from the shell.
"""
CACHES = "XDG_CACHE_HOME"
HUB = ("HF_HOME", "HF_HUB_CACHE", "HF_XET_CACHE", "HUGGINGFACE_HUB_CACHE")
PLACES = (CACHES, *HUB, "TMPDIR", "TRITON_CACHE_DIR", "VLLM_CACHE_ROOT")
"""Variables that name a directory: the hub's library, the engines and the sockets of a peer are kept there.
"""
READ = ("HF_TOKEN_PATH",)
"""Variables that name a file which a peer only reads."""
MemoryMaxOption = Annotated[
    str,
    typer.Option(
        "--memory-max",
        metavar="SIZE|SHARE",
        help="Limit for all processes of the peer together, enforced by systemd: 6GiB, or 80% of the "
        "machine's memory. --memory-limit is what the peer itself plans with.",
    ),
]


@app.command("install")
@with_settings(*FLAGS, listed_after={"devices": "--device"})
def install(
    given: Given,
    home: HomeOption = DEFAULT_HOME,
    devices: DevicesOption = None,
    memory_max: MemoryMaxOption = MEMORY_MAX,
) -> None:
    """Start a peer now and at each login, and restart it if it fails.

    Takes the flags of `swarmd join`, checks them first, and creates the home if there is none. Not taken:
    --from, --fresh and --new-identity; use these once with `swarmd join`, before you install the service.
    Linux: a systemd user unit that can only write to the home. macOS: a LaunchAgent.
    """
    from swarmd.cli.foresight import foresee, foresee_devices
    from swarmd.cli.init import open_home
    from swarmd.config.loading import as_written, is_setting, load_with_origins
    from swarmd.config.memory_limit import memory_limit_bytes
    from swarmd.names import named
    from swarmd.service import Wish, choose_manager
    from swarmd.storage import Home

    manager = choose_manager()
    path = home_path(home)
    if manager.file(path).exists():
        raise ConfigError(
            f"home {path} has a service already ({manager.file(path)}): `swarmd service status{_at(path)}` "
            f"shows it; to change it, `swarmd service remove{_at(path)}` and install it again"
        )
    memory_limit_bytes(memory_max, 0)  # report a wrong amount now, in our words rather than systemd's
    config, origins = load_with_origins(path, overrides(given))
    token = as_written(path, overrides(given), TOKEN)
    given = {**given, **_absolute(config, origins), **_absolute_token(token)}
    if devices is not None:
        foresee_devices(devices)
    foresee(config, Home(path), ports=devices is None)
    of_all = [] if devices is None else [f"--devices={devices}"]
    peer = "peers" if devices else f"peer {named(open_home(path).key().peer_id)}"
    places = _places(PLACES)
    wish = Wish(
        home=path,
        command=[*_swarmd(), "join", f"--home={path}", *of_all, *arguments(given)],
        description=f"swarmd {peer}",
        memory_max=memory_max,
        writable=list(_writable(config.network.address_file, places)),
        environment={
            name: value for name, value in sorted(os.environ.items()) if name in PASSED_ON or is_setting(name)
        }
        | {name: str(place) for name, place in (places | _places(READ)).items()},
    )
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    notes = manager.install(wish)
    state = manager.state(path)
    typer.echo(f"installed {state.name} ({state.file})")
    for note in notes:
        typer.echo(f"note: {note}")
    at = _at(path)
    typer.echo(f"next: swarmd service status{at}, swarmd service logs{at}, swarmd status{at}")


@app.command("status")
def status(
    home: HomeOption = DEFAULT_HOME,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show whether the service of a home is running, and how its peer is. Exit code 3: it is not running."""
    from swarmd.health import look

    path = home_path(home)
    state = _manager_of(path).state(path)
    _, health = look(str(path))
    if as_json:
        typer.echo(json.dumps({**asdict(state), "file": str(state.file), "health": health}))
    else:
        typer.echo(f"service  {state.name} ({state.file})")
        typer.echo(f"home     {path}")
        typer.echo(f"state    {state.text}")
        typer.echo(f"starts   {state.starts}")
        typer.echo(f"health   {health}")
    raise typer.Exit(exit_codes.DONE if state.is_running else exit_codes.NO_DAEMON)


@app.command("logs")
def logs(
    home: HomeOption = DEFAULT_HOME,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Keep showing new lines.")] = False,
    lines: Annotated[
        int, typer.Option("--lines", min=1, max=LINES_MAX, help="Number of lines to show.")
    ] = LINES,
) -> None:
    """Show what the service of a home wrote. `swarmd events` shows what happened to its peer."""
    path = home_path(home)
    command = _manager_of(path).log_command(path, lines, follow=follow)
    try:
        code = subprocess.run(command, check=False).returncode  # noqa: S603  the system's own reader
    except OSError as error:
        raise ConfigError(
            f"`{command[0]}` cannot be run ({error.strerror}): `swarmd events` shows what happened"
        ) from error
    except KeyboardInterrupt:
        code = exit_codes.DONE
    raise typer.Exit(code)


@app.command("remove")
def remove(home: HomeOption = DEFAULT_HOME) -> None:
    """Stop the service of a home and remove it. The home is left unchanged."""
    path = home_path(home)
    manager = _manager_of(path)
    manager.remove(path)
    typer.echo(f"stopped, and removed {manager.file(path)}; the home {path} is unchanged")


def _swarmd() -> list[str]:
    """Return the command of this installation, whatever is on the PATH; -P ignores the working directory."""
    return [sys.executable, "-P", "-m", "swarmd"]


def _absolute(config: Config, origins: Mapping[str, str]) -> dict[str, object]:
    """Return as flags, with absolute paths, the settings that name files by relative ones, whether they come
    from a flag, a variable or config.toml: the service runs in a different directory."""
    named = {key: attrgetter(key)(config) for key in FILES if key in origins}
    return {
        key: str(Path(name).absolute())
        for key, name in named.items()
        if isinstance(name, str | Path)
        and not Path(name).is_absolute()
        and (isinstance(name, Path) or os.path.exists(name))  # noqa: PTH110  false if too long
    }


def _absolute_token(written: object) -> dict[str, object]:
    """Return @FILE with a relative path as a flag with an absolute one."""
    if not isinstance(written, str) or not written.startswith("@") or Path(written[1:]).is_absolute():
        return {}
    return {TOKEN: f"@{Path(written[1:]).expanduser().absolute()}"}


def _manager_of(home: Path) -> ServiceManager:
    """Return the manager of this home's service. Raises ConfigError if it has none."""
    from swarmd.service import choose_manager

    manager = choose_manager()
    if not manager.file(home).exists():
        raise ConfigError(
            f"home {home} has no service: `swarmd service install{_at(home)}` creates one, or name another "
            "--home"
        )
    return manager


def _at(home: Path) -> str:
    return "" if home == home_path(DEFAULT_HOME) else f" --home {shlex.quote(str(home))}"


def _places(variables: Sequence[str]) -> dict[str, Path]:
    """Return what `variables` name, as this shell means it: the service runs in a different directory."""
    given = {name: os.environ[name] for name in variables if os.environ.get(name)}
    return {name: Path(os.path.expandvars(place)).expanduser().absolute() for name, place in given.items()}


def _writable(address_file: Path | None, places: Mapping[str, Path]) -> Iterator[Path]:
    """Yield what a peer writes outside its home. `places` by variable."""
    if address_file is not None:
        yield address_file.absolute().parent
    caches = places.get(CACHES, Path.home() / ".cache")
    found = {
        "HF_HOME": caches / "huggingface",
        "TRITON_CACHE_DIR": Path.home() / ".triton",
        "VLLM_CACHE_ROOT": caches / "vllm",
    } | {name: place for name, place in places.items() if name != CACHES}
    for name, place in found.items():
        if name in HUB:  # for the model, and for the judges that a manifest may name
            with suppress(OSError):  # then a download fails later, if there is one, and says why
                place.mkdir(parents=True, exist_ok=True)
        yield place
