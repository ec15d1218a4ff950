"""What is said about a port that cannot be had."""

from __future__ import annotations

import errno
import socket

import pytest

from swarmd.errors import ConfigError
from swarmd.network.ports import require_free_port


class Forbidding(socket.socket):
    """As on a system that keeps low ports for root."""

    def bind(self, address: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")


def test_a_port_that_is_not_for_everybody_comes_with_two_remedies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("swarmd.network.ports.socket.socket", Forbidding)
    with pytest.raises(ConfigError, match=r"port 443 .*Permission denied.*--announce.*ip_unprivileged_port"):
        require_free_port("127.0.0.1", 443)
