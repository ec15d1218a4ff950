"""Asks the daemon of a home how it is, over the home's unix socket."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
from pydantic import ValidationError

from swarmd.errors import ConfigError, SwarmdError
from swarmd.observe.snapshot import Starting, StatusSnapshot

PING_ANSWER_S = 20.0  # dialling a peer may take 8 s, and its answer the rest
ANSWER_S = 5.0  # a snapshot takes milliseconds; a loop that is busy for longer than this is stuck


class NoDaemonError(SwarmdError):
    """Nothing listens on the home's socket."""


class StartingError(NoDaemonError):
    """A daemon listens, but is not a peer yet."""


def ask_status(home: Path, socket_path: Path, timeout_s: float | None = None) -> StatusSnapshot:
    """The snapshot of the daemon of `home`.

    Raises NoDaemonError, StartingError while it loads, or SwarmdError for no good answer.
    """
    with _asking(home, socket_path, timeout_s) as client:
        answer = client.get("http://swarmd/status")
        _require_started(home, answer)
        answer.raise_for_status()
        return StatusSnapshot.model_validate_json(answer.content)


def ask_to_judge(home: Path, socket_path: Path, order: str, peers: Sequence[str]) -> None:
    """Have the daemon of `home` carry out an order about peers.

    Raises ConfigError when it refuses, NoDaemonError, StartingError, or SwarmdError for no good answer.
    """
    with _asking(home, socket_path, None) as client:
        answer = client.post(f"http://swarmd/peers/{order}", json={"peers": list(peers)})
        _require_started(home, answer)
        if answer.status_code == httpx.codes.BAD_REQUEST:
            raise ConfigError(str(answer.json().get("error", "the daemon refuses")))
        answer.raise_for_status()


def ask_to_ping(home: Path, socket_path: Path, peer_id: str) -> float:
    """Have the daemon of `home` greet a peer; returns the seconds that the answer took.

    Raises NoDaemonError, StartingError, or SwarmdError if the peer does not answer, or the daemon does not.
    """
    with _asking(home, socket_path, PING_ANSWER_S) as client:
        answer = client.post("http://swarmd/ping", json={"peers": [peer_id]})
        _require_started(home, answer)
        if answer.status_code == httpx.codes.BAD_REQUEST:
            raise SwarmdError(str(answer.json().get("error", "the daemon refuses")))
        answer.raise_for_status()
        return float(answer.json()["seconds"])


def _require_started(home: Path, answer: httpx.Response) -> None:
    if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:
        raise StartingError(f"the daemon in {home} is {Starting.model_validate_json(answer.content)}")


@contextmanager
def _asking(home: Path, socket_path: Path, timeout_s: float | None) -> Iterator[httpx.Client]:
    """A client of the socket. Its errors are raised again as errors about the daemon."""
    timeout_s = ANSWER_S if timeout_s is None else timeout_s
    transport = httpx.HTTPTransport(uds=str(socket_path))
    try:
        with httpx.Client(transport=transport, timeout=timeout_s) as client:
            yield client
    except httpx.ConnectError as error:
        raise NoDaemonError(
            f"no daemon is running in {home}: start one with `swarmd join`, or name another home with --home"
        ) from error
    except httpx.TimeoutException as error:
        raise SwarmdError(
            f"the daemon in {home} does not answer within {timeout_s:g} s: "
            "it may be busy; try again, and stop it if this stays so"
        ) from error
    except (httpx.HTTPError, ValidationError) as error:
        raise SwarmdError(f"{socket_path} does not answer like a swarmd daemon: {error}") from error
