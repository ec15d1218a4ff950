"""Ask the daemon of a home for its state, over the home's unix socket."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Any

from swarmd.errors import ConfigError, SwarmdError
from swarmd.observe.socket_http import Answer, NobodyListensError, ask
from swarmd.places import OBSERVER_MARK, told_devices

if TYPE_CHECKING:
    from swarmd.observe.snapshot import StatusSnapshot

PING_ANSWER_S = 20.0  # dialling a peer can take 8 s, and its answer the rest
PLAY_ANSWER_S = 60.0  # a question and a score take milliseconds, but wait behind those of a step
ANSWER_S = 5.0  # a snapshot takes milliseconds; an event loop busy for longer than this is stuck


class NoDaemonError(SwarmdError):
    """Nothing listens on the home's socket."""


class StartingError(NoDaemonError):
    """A daemon listens, but is not a peer yet."""


def ask_status(home: Path, socket_path: Path, timeout_s: float | None = None) -> StatusSnapshot:
    """Return the snapshot of the daemon of `home`.

    Raises NoDaemonError, StartingError while it loads, or SwarmdError for an unusable answer.
    """
    with _asking(home, socket_path, timeout_s) as timeout:
        answer = ask(socket_path, "/status", timeout_s=timeout)
        _require(home, answer, HTTPStatus.OK)
        from swarmd.observe.snapshot import StatusSnapshot

        return StatusSnapshot.model_validate_json(answer.body)


def ask_to_judge(home: Path, socket_path: Path, order: str, peers: Sequence[str]) -> None:
    """Have the daemon of `home` carry out an order about peers.

    Raises ConfigError if it refuses, NoDaemonError, StartingError, or SwarmdError for an unusable answer.
    """
    with _asking(home, socket_path, None) as timeout:
        wanted: Mapping[str, object] = {"peers": list(peers)}
        answer = ask(socket_path, f"/peers/{order}", timeout_s=timeout, post=wanted)
        if answer.code == HTTPStatus.BAD_REQUEST:
            raise ConfigError(str(answer.json().get("error", "the daemon refuses")))
        _require(home, answer, HTTPStatus.OK)


def ask_to_ping(home: Path, socket_path: Path, peer_id: str) -> float:
    """Have the daemon of `home` ping a peer. Returns the seconds until the answer.

    Raises NoDaemonError, StartingError, or SwarmdError if the peer or the daemon does not answer.
    """
    with _asking(home, socket_path, PING_ANSWER_S) as timeout:
        answer = ask(socket_path, "/ping", timeout_s=timeout, post={"peers": [peer_id]})
        if answer.code == HTTPStatus.BAD_REQUEST:
            raise SwarmdError(str(answer.json().get("error", "the daemon refuses")))
        _require(home, answer, HTTPStatus.OK)
        return float(answer.json()["seconds"])


def ask_to_play(home: Path, socket_path: Path, what: str, wanted: Mapping[str, object] | None = None) -> Any:
    """Return the answer of `home`'s daemon to a person who plays: JSON of the views of `swarmd.observe.play`.

    `what`: the last part of a route of `play_routes.py`; `wanted`: the object to POST, None to GET. Raises
    ConfigError if the daemon refuses, NoDaemonError, StartingError, or SwarmdError for an unusable answer.
    """
    with _asking(home, socket_path, PLAY_ANSWER_S) as timeout:
        answer = ask(socket_path, f"/play/{what}", timeout_s=timeout, post=wanted)
        if answer.code == HTTPStatus.BAD_REQUEST:
            raise ConfigError(str(answer.json().get("error", "the daemon refuses")))
        if answer.code == HTTPStatus.NOT_FOUND:
            raise ConfigError(
                f"`swarmd play` does not work in {home}: an observer or an earlier version runs there"
            )
        _require(home, answer, HTTPStatus.OK)
        return answer.json()


def _require(home: Path, answer: Answer, code: HTTPStatus) -> None:
    """Raise StartingError, SwarmdError if the daemon reports something that it cannot read, or
    HTTPException.
    """
    if answer.code == HTTPStatus.SERVICE_UNAVAILABLE:
        if problem := answer.json().get("error"):
            raise SwarmdError(f"the daemon in {home} cannot tell its state: {problem}")
        from swarmd.observe.snapshot import Starting

        raise StartingError(f"the daemon in {home} is {Starting.model_validate_json(answer.body)}")
    if answer.code != code:
        raise HTTPException(f"it answers with code {answer.code}")


@contextmanager
def _asking(home: Path, socket_path: Path, timeout_s: float | None) -> Iterator[float]:
    """Yield the timeout in seconds. Errors of the socket are re-raised as errors about the daemon."""
    timeout_s = ANSWER_S if timeout_s is None else timeout_s
    try:
        yield timeout_s
    except NobodyListensError as error:
        raise NoDaemonError(_nobody(home)) from error
    except TimeoutError as error:
        raise SwarmdError(
            f"the daemon in {home} does not answer within {timeout_s:g} s: "
            "it may be busy; try again, and stop it if this persists"
        ) from error
    except (HTTPException, OSError, ValueError) as error:  # ValueError: not JSON, or not the expected JSON
        raise SwarmdError(f"{socket_path} does not answer like a swarmd daemon: {error}") from error


def _nobody(home: Path) -> str:
    if (home / OBSERVER_MARK).exists():
        return f"no observer is running in {home}: start it with `swarmd observe --home {home} --peer ADDR`"
    if devices := told_devices(home):
        return devices
    return f"no daemon is running in {home}: start one with `swarmd join`, or name another home with --home"
