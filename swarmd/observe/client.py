"""Asks the daemon of a home how it is, over the unix socket in it."""

from __future__ import annotations

from pathlib import Path

import httpx
from pydantic import ValidationError

from swarmd.errors import SwarmdError
from swarmd.observe.snapshot import Starting, StatusSnapshot

ANSWER_S = 5.0  # a snapshot takes milliseconds; a loop that is busy for longer than this is stuck


class NoDaemonError(SwarmdError):
    """Nothing listens on the home's socket."""


class StartingError(NoDaemonError):
    """A daemon listens, and is no peer yet."""


def ask_status(home: Path, socket_path: Path, timeout_s: float | None = None) -> StatusSnapshot:
    """The snapshot of the daemon of `home`.

    Raises NoDaemonError, StartingError while it loads, or SwarmdError for no good answer.
    """
    timeout_s = ANSWER_S if timeout_s is None else timeout_s
    transport = httpx.HTTPTransport(uds=str(socket_path))
    try:
        with httpx.Client(transport=transport, timeout=timeout_s) as client:
            answer = client.get("http://swarmd/status")
        if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:
            raise StartingError(f"the daemon in {home} is {Starting.model_validate_json(answer.content)}")
        answer.raise_for_status()
        return StatusSnapshot.model_validate_json(answer.content)
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
