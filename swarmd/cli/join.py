"""`swarmd join`: read the settings and run the daemon until it is stopped."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from swarmd.cli.flags import FLAGS, Given, overrides, suggesting, with_settings
from swarmd.cli.home import DEFAULT_HOME, HomeOption, NewIdentityOption, home_path
from swarmd.cli.open_token import warn_of_open_token
from swarmd.errors import ConfigError

DevicesOption = Annotated[
    str | None,
    typer.Option(
        "--devices",
        metavar="all|DEVICE,...",
        help="Run one peer per device, each in its own home under HOME/devices: cuda:0,cuda:1, or all "
        "accelerators. --port and --http count up from the first peer.",
        rich_help_panel="Model",
        autocompletion=suggesting(("all", "cpu,cpu", "cuda:0,cuda:1")),
    ),
]
FromOption = Annotated[
    Path | None,
    typer.Option(
        "--from",
        metavar="CHECKPOINT",
        help="Continue from this checkpoint directory, in this home or another. Only its weights must be "
        "whole; anything lost is reported.",
        rich_help_panel="Daemon",
    ),
]
FreshOption = Annotated[
    bool,
    typer.Option(
        "--fresh",
        help="Start over in a home whose checkpoints can no longer be loaded. They are kept.",
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

    No argument is needed: this creates the home if there is none, probes the hardware, dials known peers, and
    prints the command with which others join. The first Ctrl-C finishes or drops the step, writes a
    checkpoint and leaves. The second leaves at once. The same home resumes where it stopped.
    """
    from swarmd.cli.foresight import foresee, foresee_devices
    from swarmd.config import load_config
    from swarmd.storage import Home

    path = home_path(home)
    config = load_config(path, overrides(given))
    warn_of_open_token(given)
    if devices is not None:
        if given["policy.device"] is not None:
            raise ConfigError("--device and --devices are both given: keep one of them")
        if from_ is not None or fresh or new_identity:
            raise ConfigError(
                "--from, --fresh and --new-identity apply to one home: give them with --home "
                "HOME/devices/DEVICE and without --devices"
            )
        foresee_devices(devices)
        foresee(config, Home(path), ports=False)
        from swarmd.cli.devices import join_devices

        raise typer.Exit(join_devices(config, given, devices))
    foresee(config, Home(path), checkpoint=from_)
    from swarmd.cli.init import open_home
    from swarmd.importing import importing

    with importing():
        from swarmd.daemon import Beginning, run

    raise typer.Exit(run(config, open_home(home, new_identity=new_identity), Beginning(from_, fresh)))
