"""`swarmd join`: settings from flags, then the daemon until it is stopped."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from swarmd.cli.devices import DevicesOption, join_devices
from swarmd.cli.flags import Given, overrides, with_settings
from swarmd.cli.home import DEFAULT_HOME, HomeOption, home_path
from swarmd.cli.init import NewIdentityOption, open_home
from swarmd.config import load_config
from swarmd.config.settings import FLAGS
from swarmd.daemon import run
from swarmd.daemon.beginning import Beginning
from swarmd.errors import ConfigError

FromOption = Annotated[
    Path | None,
    typer.Option(
        "--from",
        metavar="CHECKPOINT",
        help="Go on from this checkpoint's directory, of this home or any other, though all but its weights "
        "be damaged; says what is lost.",
        rich_help_panel="Daemon",
    ),
]
FreshOption = Annotated[
    bool,
    typer.Option(
        "--fresh",
        help="Train from the beginning in a home whose checkpoints cannot be loaded any more; they are kept.",
        rich_help_panel="Daemon",
    ),
]


@with_settings(*FLAGS, listed_after={"devices": "--device"})
def join(
    given: Given,
    home: HomeOption = DEFAULT_HOME,
    devices: DevicesOption = None,
    from_: FromOption = None,
    fresh: FreshOption = False,
    new_identity: NewIdentityOption = False,
) -> None:
    """Join a swarm, or start one, and train until stopped.

    Without arguments: the home is created where needed, the hardware is probed, known peers are tried, and
    the command with which others join is printed. The first Ctrl-C finishes or drops the step, writes a
    checkpoint and leaves; the second leaves at once. The same home resumes where it stopped.
    """
    config = load_config(home_path(home), overrides(given))
    if devices is not None:
        if given["policy.device"] is not None:
            raise ConfigError("--device and --devices are both given: one peer, or one a device? keep one")
        if from_ is not None or fresh or new_identity:
            raise ConfigError(
                "--from, --fresh and --new-identity are about one home: give them with --home "
                "HOME/devices/DEVICE and without --devices"
            )
        raise typer.Exit(join_devices(config, given, devices))
    raise typer.Exit(run(config, open_home(home, new_identity=new_identity), Beginning(from_, fresh)))
