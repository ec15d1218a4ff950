"""`swarmd swarm`: make, sign, show and verify manifest files, and move a home to a swarm's new version."""

from __future__ import annotations

import json
import os
import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from swarmd.cli.home import DEFAULT_HOME, HomeOption, home_path
from swarmd.errors import ConfigError
from swarmd.quoting import quoted
from swarmd.user_paths import require_writable_file

if TYPE_CHECKING:
    from protocol import KeyPair
    from swarmd.storage import Home

app = typer.Typer(
    help="Make, sign, show and verify manifests, and move to a swarm's new version.",
    no_args_is_help=True,
)

VERSION_MAX = 2**53 - 1  # the protocol's largest number; importing it would make --help slow
SWARM_HELP = "A preset, a manifest file, an https URL or dns:NAME."
Given = Annotated[str, typer.Argument(metavar="NAME|FILE|URL|dns:NAME", help=SWARM_HELP, show_default=False)]
File = Annotated[Path, typer.Argument(metavar="FILE", help="The manifest file.", show_default=False)]
KeyOption = Annotated[
    Path | None,
    typer.Option(
        "--key",
        metavar="FILE",
        help="Sign with this key, as `swarmd key backup` writes it. Unset: the home's.",
    ),
]
BootstrapOption = Annotated[
    list[str] | None,
    typer.Option(
        "--bootstrap",
        metavar="MULTIADDR",
        help="Address to join through: up to 8, with IP addresses or DNS names. Unset: as signed before.",
    ),
]
UrlOption = Annotated[
    list[str] | None,
    typer.Option(
        "--url", metavar="URL", help="Where others get the signed file: up to 4. Unset: as signed before."
    ),
]


@app.command("create")
def create(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="The swarm's name, for people.", show_default=False)
    ],
    like: Annotated[
        str, typer.Option("--like", metavar="NAME|FILE", help="Copy tasks and limits of this swarm.")
    ] = "starter",
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="File to write. Unset: NAME.toml.")
    ] = None,
    bootstrap: BootstrapOption = None,
    url: UrlOption = None,
    key: KeyOption = None,
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Write the manifest of a new swarm, which begins now, and sign it as version 1.

    Anyone who has the file joins with `swarmd join --swarm FILE`. To change tasks or limits, edit the file
    and run `swarmd swarm sign FILE`: changed rules make a new version.
    """
    from swarmd.finding.drafting import draft
    from swarmd.finding.signing import sign

    author = _author(key, home)
    if out is None and Path(name).name != name:
        raise ConfigError(f"{quoted(name)} cannot be a file name: name the file with --out FILE")
    path = Path(f"{name}.toml") if out is None else out
    if os.path.lexists(path):
        raise ConfigError(f"{path} already exists: choose another name with --out FILE")
    require_writable_file(path, "--out")
    text = draft(like, name, int(time.time()))
    signed = sign(
        str(path), text, author, version=1, bootstrap=bootstrap, urls=url, now=int(time.time()), before=None
    )
    _write(path, signed)
    _show(str(path))


@app.command("sign")
def sign_(
    file: File,
    version: Annotated[
        int | None,
        typer.Option(
            "--version",
            min=1,
            max=VERSION_MAX,
            help="Number of this version. Unset: one more than signed before.",
        ),
    ] = None,
    bootstrap: BootstrapOption = None,
    url: UrlOption = None,
    key: KeyOption = None,
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Sign a manifest file, or sign it again after a change. Each signature gets a higher version.

    Its tasks are tested first. The signature is at the end of the file. Comments can be changed later.
    """
    from swarmd.finding.signing import sign, signed_before

    author = _author(key, home)
    text = _read(file)
    before = signed_before(str(file), text, author.peer_id)
    signed = sign(
        str(file),
        text,
        author,
        version=version,
        bootstrap=bootstrap,
        urls=url,
        now=int(time.time()),
        before=before,
    )
    _write(file, signed)
    _show(str(file))


@app.command("show")
def show(
    swarm: Given,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show what a manifest says: rules, id, author, version, addresses. Does not test its tasks."""
    _show(swarm, as_json=as_json)


@app.command("verify")
def verify(
    swarm: Given,
    author: Annotated[
        str | None, typer.Option("--author", metavar="PEER_ID", help="Who must have signed it.")
    ] = None,
) -> None:
    """Check that a manifest is signed and unchanged since, and that its tasks give questions.

    Exit code 0: all of this holds. Otherwise the message says what does not.
    """
    from swarmd.finding import find_swarm
    from swarmd.gossip.orders import parse_peer_id

    if author is not None:
        try:
            parse_peer_id(author)
        except ConfigError as error:
            raise ConfigError(f"--author {error}; `swarmd init` shows an author's id") from error
    found = find_swarm(swarm)
    if found.charter is None:
        raise ConfigError(f"{swarm} is not signed: its author signs it with `swarmd swarm sign FILE`")
    if author is not None and found.charter.author != author:
        raise ConfigError(f"{swarm} is signed by {found.charter.author}, not by {author}")
    typer.echo(
        f"{found.manifest.name}, version {found.charter.charter.version}, is signed by "
        f"{found.charter.author}; its {len(found.manifest.tasks)} tasks give questions"
    )


@app.command("accept")
def accept(
    swarm: Annotated[
        str | None,
        typer.Argument(
            metavar="[FILE|URL|dns:NAME]",
            help="The new version. Unset: where its author says that it is.",
            show_default=False,
        ),
    ] = None,
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Move a stopped peer to a new version of its swarm. It keeps its key, weights, ledger and known peers.

    Only a file by the author of the current version is accepted, and only if its version is higher.
    """
    from swarmd.finding import find_swarm, require_newer
    from swarmd.storage import Home
    from swarmd.storage.moving import move_home

    target = Home.existing(home_path(home))
    wanted = _announced(target) if swarm is None else swarm
    found = find_swarm(wanted, by_operator=swarm is not None)
    charter = require_newer(target.charter(), found, wanted, home=str(target.path))
    dropped = move_home(target, found.manifest, charter)
    typer.echo(
        f"{target.path} is now in {found.manifest.name}, version {charter.charter.version} "
        f"({found.manifest.swarm_id.hex()[:12]}): key, weights and ledger are kept; {dropped} groups that "
        "waited in the pool belong to the old rules and were dropped"
    )
    typer.echo(f"next       swarmd join --home {shlex.quote(str(target.path))}")


@app.command("announce")
def announce(file: Given, home: HomeOption = DEFAULT_HOME) -> None:
    """Have the daemon of a home tell other peers about a new version of its swarm.

    Only the author's signature counts, so any member can do this. Each operator who is told decides for
    themselves.
    """
    from swarmd.finding import look_at_swarm, require_newer
    from swarmd.storage import Home

    target = Home.existing(home_path(home))
    charter = require_newer(target.charter(), look_at_swarm(file), file, home=str(target.path))
    target.write_news(charter)
    typer.echo(
        f"{charter.charter.name}, version {charter.charter.version}, will be announced by the daemon of "
        f"{target.path} while it runs; members are told how to join it"
    )


def _announced(home: Home) -> str:
    """Return where the version that was announced can be fetched. Raises ConfigError."""
    news = home.news()
    if news is None:
        raise ConfigError(
            f"{home.path} knows of no new version of its swarm: name the author's file, URL or dns:NAME"
        )
    if not news.charter.urls:
        raise ConfigError(
            f"the author of {news.charter.name} does not say where to get version {news.charter.version}: "
            "obtain its file and name it"
        )
    return news.charter.urls[0]


def _author(key: Path | None, home: Path) -> KeyPair:
    """Return the key to sign with. Raises ConfigError."""
    from swarmd.cli.key import read_key_file
    from swarmd.storage import Home

    return Home.existing(home_path(home)).key() if key is None else read_key_file(key.absolute())


def _read(file: Path) -> str:
    from swarmd.tasks.manifest import read_rules

    try:
        return read_rules(file)
    except OSError as error:
        raise ConfigError(
            f"{file} cannot be read ({error.strerror}): name a manifest file, such as `swarmd swarm create` "
            "writes"
        ) from error


def _write(file: Path, text: str) -> None:
    from swarmd.storage.durable import FILE, remedy, write_whole

    path = file.absolute()
    try:
        write_whole(path, text.encode(), beside=f".writing-{path.name}")
        path.chmod(0o644)  # it is meant to be shared
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {remedy(error, FILE)}") from error


def _show(swarm: str, *, as_json: bool = False) -> None:
    from swarmd.cli.swarm_facts import facts_of, plain_of
    from swarmd.finding import look_at_swarm
    from swarmd.observe.text import printable

    found = look_at_swarm(swarm)
    if as_json:
        typer.echo(json.dumps(plain_of(found), indent=2))
        return
    for name, value in facts_of(found, time.time()):
        typer.echo(f"{name:<10} {printable(value)}")
