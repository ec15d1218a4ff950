"""`swarmd health`: one question to the running daemon, for containers and service managers that ask often.

Imports neither torch, rich, typer nor an HTTP client: it costs little more than starting Python. It changes
nothing and says nothing that `swarmd status` would not.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from swarmd.places import DEFAULT_HOME, HOME_VARIABLE, socket_path

HEALTHY, UNHEALTHY, NO_DAEMON = 0, 1, 3
"""Exit codes; 3 as of `swarmd status`: no daemon runs, or it is still starting."""

ANSWER_S = 5.0  # in all; a healthy daemon answers in milliseconds, under full load in tenths of a second
ANSWER_BYTES_MAX = 65_536  # a handful of reasons are a few hundred bytes
REQUEST = b"GET /healthz HTTP/1.1\r\nhost: swarmd\r\nconnection: close\r\n\r\n"
STARTING = "starting for "  # how the daemon's only reason begins until it is a peer


class Found(NamedTuple):
    """How one home's daemon is: an exit code, and a line that says why."""

    code: int
    text: str


def main(arguments: Sequence[str]) -> int | None:
    """Ask, print and return the exit code; None for arguments that want the whole command line."""
    match list(arguments):
        case []:
            home = os.environ.get(HOME_VARIABLE) or DEFAULT_HOME
        case ["--home", home]:
            pass
        case [option] if option.startswith("--home="):
            home = option.removeprefix("--home=")
        case _:
            return None
    if home.startswith("~"):
        home = os.path.expanduser(home)  # noqa: PTH111  leaves a user that is not there as it is
    code, text = look(Path(home).resolve())
    print(text, file=sys.stdout if code == HEALTHY else sys.stderr)
    return code


def look(home: Path) -> Found:
    """How the daemon of `home` is; of a home of `join --devices`, how they all are, the worst code first."""
    found = ask(home)
    if found.code != NO_DAEMON or not (home / "devices").is_dir():
        return found
    homes = sorted(path for path in (home / "devices").iterdir() if (path / "identity.key").exists())
    each = {path.name: ask(path) for path in homes}
    if all(one.code == NO_DAEMON for one in each.values()):
        return Found(NO_DAEMON, found.text if not each else _lines(each))
    if all(one.code == HEALTHY for one in each.values()):
        return Found(HEALTHY, "ok")
    return Found(UNHEALTHY, _lines({name: one for name, one in each.items() if one.code != HEALTHY}))


def ask(home: Path, seconds: float = ANSWER_S) -> Found:
    """How the daemon of this one home is."""
    path = socket_path(home)
    try:
        code, body = _get(path, seconds)
        health = json.loads(body)
        ok, reasons = bool(health["ok"]), [str(reason) for reason in health["reasons"]]
    except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError):
        return Found(NO_DAEMON, f"no daemon is running in {home}")
    except TimeoutError:
        return Found(UNHEALTHY, f"the daemon in {home} does not answer within {seconds:g} s")
    except OSError as error:
        return Found(UNHEALTHY, f"{path} cannot be asked: {error.strerror or error}")
    except (ValueError, KeyError, TypeError, IndexError):
        return Found(UNHEALTHY, f"{path} does not answer like a swarmd daemon")
    if code == 200 and ok:
        return Found(HEALTHY, "ok")
    text = "; ".join("".join(c if c.isprintable() else " " for c in reason) for reason in reasons)
    return Found(NO_DAEMON if text.startswith(STARTING) else UNHEALTHY, text or "unhealthy")


def _get(path: Path, seconds: float) -> tuple[int, bytes]:
    """Status code and body of the answer. Raises OSError, TimeoutError; ValueError for what is no HTTP."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(seconds)
        connection.connect(str(path))
        connection.sendall(REQUEST)
        answer = b""
        while len(answer) < ANSWER_BYTES_MAX and (part := connection.recv(ANSWER_BYTES_MAX)):
            answer += part
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split(maxsplit=2)[1]), body


def _lines(found: dict[str, Found]) -> str:
    return "\n".join(f"{name}: {one.text}" for name, one in found.items())
