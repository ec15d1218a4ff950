"""`swarmd observe`: serve the page for a whole swarm from a peer that does not train."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from swarmd.cli.flags import Given, overrides, with_settings
from swarmd.cli.foresight import foresee_ports
from swarmd.cli.home import home_path
from swarmd.cli.open_token import warn_of_open_token
from swarmd.config import Config, load_config
from swarmd.errors import ConfigError
from swarmd.storage import Home

DEFAULT_HTTP = "127.0.0.1:8080"
OBSERVER_HOME = Path("~/.swarmd-observer")
ObserverHomeOption = Annotated[
    Path,
    typer.Option(
        "--home",
        metavar="DIR",
        help="Directory with the observer's key and what it saw. (default: ~/.swarmd-observer)",
        show_default=False,
    ),
]


@with_settings(
    "network.peers",
    "network.host",
    "network.port",
    "network.announce",
    "network.relay",
    "observe.http",
    "observe.http_token",
    "observe.http_hosts",
    "observe.log_format",
    "observe.log_level",
    words={
        "observe.http": f"HOST:PORT of the page. A port alone means loopback. (default: {DEFAULT_HTTP})",
        "observe.log_format": "console prints human-readable lines, json is for programs; auto is console in "
        "a terminal. (default: auto)",
    },
)
def observe(given: Given, home: ObserverHomeOption = OBSERVER_HOME) -> None:
    """Observe a swarm without training: --peer names one of its peers.

    The page shows the members over time, their models and devices, and the peers ranked by success. The
    observer measures success on the groups that peers publish: it pulls them and scores them again at a
    bounded rate. What a peer claims about itself is shown next to that.
    """
    path = home_path(home)
    config = _with_own_defaults(load_config(path, overrides(given)), in_terminal=sys.stdout.isatty())
    if not config.network.peers:  # checked first, because the network's libraries take seconds
        raise ConfigError("name a peer of the swarm to observe: --peer /ip4/ADDRESS/tcp/PORT/p2p/PEER_ID")
    warn_of_open_token(given)
    Home(path).require_unused()
    foresee_ports(config)
    typer.echo(
        "loading the network, some seconds; then asking the given peers which swarm they are in", err=True
    )
    from swarmd.observer import run

    raise typer.Exit(run(config, Home.open(path)))


def _with_own_defaults(config: Config, *, in_terminal: bool) -> Config:
    """An observer always serves its page, and shows no live view, which is about training."""
    http = config.observe.http or DEFAULT_HTTP
    wanted = config.observe.log_format
    log_format = "console" if wanted == "auto" and in_terminal else wanted
    told = config.observe.model_copy(update={"http": http, "log_format": log_format})
    return config.model_copy(update={"observe": told})
