"""HTTP over a unix socket, with the standard library: importing an HTTP client would take longer than the
request.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

ANSWER_BYTES_MAX = 64 * 2**20  # a status with thousands of peers has a few MB


@dataclass(frozen=True)
class Answer:
    """A response."""

    code: int
    body: bytes

    def json(self) -> Any:
        """Parse the body. Raises ValueError."""
        return json.loads(self.body)


class _SocketConnection(HTTPConnection):
    def __init__(self, path: Path, timeout_s: float) -> None:
        super().__init__("swarmd", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        try:
            self.sock.connect(str(self._path))
        except OSError as error:
            raise NobodyListensError(str(error)) from error


class NobodyListensError(Exception):
    """There is no such socket, or nothing listens on it."""


def ask(path: Path, target: str, *, timeout_s: float, post: Mapping[str, object] | None = None) -> Answer:
    """GET `target`, or POST an object as JSON, and return the answer.

    Raises NobodyListensError, TimeoutError if the other side is silent for `timeout_s`, and HTTPException or
    OSError for anything that is not an answer.
    """
    connection = _SocketConnection(path, timeout_s)
    try:
        if post is None:
            connection.request("GET", target)
        else:
            headers = {"content-type": "application/json"}
            connection.request("POST", target, json.dumps(dict(post)), headers)
        response = connection.getresponse()
        body = response.read(ANSWER_BYTES_MAX + 1)
    finally:
        connection.close()
    if len(body) > ANSWER_BYTES_MAX:
        raise HTTPException(f"the answer is longer than {ANSWER_BYTES_MAX} bytes")
    return Answer(response.status, body)
