"""`swarmd join`: reads the settings and runs the daemon until it is stopped."""

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
        help="Go on from this checkpoint's directory, in this home or any other. Only its weights must be "
        "whole; what is lost is reported.",
        rich_help_panel="Daemon",
    ),
]
FreshOption = Annotated[
    bool,
    typer.Option(
        "--fresh",
        help="Train from the beginning in a home whose checkpoints can no longer be loaded. They are kept.",
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

    No argument is needed. The home is created if there is none, the hardware is probed, known peers are
    tried, and the command for others to join is printed. The first Ctrl-C finishes or drops the step, writes
    a checkpoint and leaves. The second leaves at once. The same home resumes where it stopped.
    """
    config = load_config(home_path(home), overrides(given))
    if devices is not None:
        if given["policy.device"] is not None:
            raise ConfigError("--device and --devices are both given: keep one of them")
        if from_ is not None or fresh or new_identity:
            raise ConfigError(
                "--from, --fresh and --new-identity concern one home: give them with --home "
                "HOME/devices/DEVICE and without --devices"
            )
        raise typer.Exit(join_devices(config, given, devices))
    raise typer.Exit(run(config, open_home(home, new_identity=new_identity), Beginning(from_, fresh)))
