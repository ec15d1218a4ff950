"""`swarmd health`: one question to the running daemon, for containers and service managers that ask often.

It does not import torch, rich, typer or an HTTP client. Nor does it import `typing` or `pathlib`, which
together take half as long as Python itself takes to start. It changes nothing, and says nothing that
`swarmd status` would not say.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Sequence

from swarmd.places import DEFAULT_HOME, HOME_VARIABLE, socket_name

HEALTHY, UNHEALTHY, NO_DAEMON = 0, 1, 3
"""Exit codes; 3 as in `swarmd status`: no daemon runs, or it is still starting."""

ANSWER_S = 5.0  # in all; a healthy daemon needs milliseconds, and tenths of a second under full load
ANSWER_BYTES_MAX = 65_536  # a handful of reasons are a few hundred bytes
REQUEST = b"GET /healthz HTTP/1.1\r\nhost: swarmd\r\nconnection: close\r\n\r\n"
STARTING = "starting for "  # how the daemon's only reason begins until it is a peer


Found = tuple[int, str]
"""The health of one home's daemon: the exit code, and a line that says why."""


def main(arguments: Sequence[str]) -> int | None:
    """Ask, print and return the exit code; None for arguments that need the whole command line."""
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
        home = os.path.expanduser(home)
    code, text = look(os.path.realpath(home))
    print(text, file=sys.stdout if code == HEALTHY else sys.stderr)
    return code


def look(home: str) -> Found:
    """The health of the daemon of `home`; of a home of `join --devices`, that of all its daemons together."""
    code, text = ask(home)
    devices = os.path.join(home, "devices")
    if code != NO_DAEMON or not os.path.isdir(devices):
        return code, text
    homes = {name: os.path.join(devices, name) for name in sorted(os.listdir(devices))}
    each = {name: ask(path) for name, path in homes.items() if os.path.exists(f"{path}/identity.key")}
    if all(code == NO_DAEMON for code, _ in each.values()):
        return NO_DAEMON, text if not each else _lines(each)
    if all(code == HEALTHY for code, _ in each.values()):
        return HEALTHY, "ok"
    return UNHEALTHY, _lines({name: one for name, one in each.items() if one[0] != HEALTHY})


def ask(home: str, seconds: float = ANSWER_S) -> Found:
    """The health of the daemon of this one home."""
    path = socket_name(home)
    try:
        code, body = _get(path, seconds)
        health = json.loads(body)
        ok, reasons = bool(health["ok"]), [str(reason) for reason in health["reasons"]]
    except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError):
        return NO_DAEMON, f"no daemon is running in {home}"
    except TimeoutError:
        return UNHEALTHY, f"the daemon in {home} does not answer within {seconds:g} s"
    except OSError as error:
        return UNHEALTHY, f"{path} cannot be asked: {error.strerror or error}"
    except (ValueError, KeyError, TypeError, IndexError):
        return UNHEALTHY, f"{path} does not answer like a swarmd daemon"
    if code == 200 and ok:
        return HEALTHY, "ok"
    text = "; ".join("".join(c if c.isprintable() else " " for c in reason) for reason in reasons)
    return (NO_DAEMON if text.startswith(STARTING) else UNHEALTHY, text or "unhealthy")


def _get(path: str, seconds: float) -> tuple[int, bytes]:
    """Status code and body of the answer. Raises OSError, TimeoutError, and ValueError if it is not HTTP."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(seconds)
        connection.connect(path)
        connection.sendall(REQUEST)
        answer = b""
        while len(answer) < ANSWER_BYTES_MAX and (part := connection.recv(ANSWER_BYTES_MAX)):
            answer += part
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split(maxsplit=2)[1]), body


def _lines(found: dict[str, Found]) -> str:
    return "\n".join(f"{name}: {text}" for name, (_, text) in found.items())
