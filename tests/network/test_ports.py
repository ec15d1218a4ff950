"""What is said about a port that cannot be had."""

from __future__ import annotations

import errno
import socket

import pytest

from swarmd.errors import ConfigError
from swarmd.network import ports
from swarmd.network.ports import free_port, require_free_port


class Forbidding(socket.socket):
    """As on a system that keeps low ports for root."""

    def bind(self, address: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")


def test_a_port_that_is_not_for_everybody_comes_with_two_remedies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("swarmd.network.ports.socket.socket", Forbidding)
    with pytest.raises(ConfigError, match=r"port 443 .*Permission denied.*--announce.*ip_unprivileged_port"):
        require_free_port("127.0.0.1", 443)


def test_a_port_is_not_given_twice_in_a_row_even_if_it_is_still_free(monkeypatch: pytest.MonkeyPatch) -> None:
    found = iter([45_861, 45_861, 45_861, 45_862])
    monkeypatch.setattr(ports, "_any_free_port", lambda _host: next(found))
    monkeypatch.setattr(ports, "_lately", ports.deque(maxlen=ports.LATELY))
    assert [free_port("127.0.0.1"), free_port("127.0.0.1")] == [45_861, 45_862]
