"""Ports: what is said about one that cannot be had, and two processes that want one at the same moment."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import sys
from contextlib import ExitStack

import pytest

from swarmd.errors import ConfigError
from swarmd.network import ports
from swarmd.network.ports import NotFreeError, free_port, held_for_p2pd, on_free_port, require_free_port

HOST = "127.0.0.1"


class Forbidding(socket.socket):
    """As on a system that keeps low ports for root."""

    def bind(self, address: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")


def test_a_port_that_is_not_for_everybody_comes_with_two_remedies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("swarmd.network.ports.socket.socket", Forbidding)
    with pytest.raises(ConfigError, match=r"port 443 .*Permission denied.*--announce.*ip_unprivileged_port"):
        require_free_port("127.0.0.1", 443)


@pytest.mark.parametrize("error", [errno.EMFILE, errno.EAFNOSUPPORT])
def test_a_socket_that_cannot_be_made_is_no_bug(monkeypatch: pytest.MonkeyPatch, error: int) -> None:
    def refuse(*_: object) -> None:
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr("swarmd.network.ports.socket.socket", refuse)
    for ask in (lambda: require_free_port("::1", 443), lambda: free_port("::1")):
        with pytest.raises(ConfigError, match=f"cannot listen on .*{os.strerror(error)}"):
            ask()


@pytest.mark.parametrize("port", [-1, 65_536, 10**20])
@pytest.mark.parametrize("host", [HOST, "::1"])
def test_a_number_that_is_no_port_is_refused_with_the_flag_and_what_to_choose(host: str, port: int) -> None:
    with pytest.raises(ConfigError, match=rf"--http: {port} is not a port: choose 1 to 65535, or 0 for any"):
        require_free_port(host, port, "--http")
    with pytest.raises(ConfigError, match=f"{port} is not a port"), held_for_p2pd(host, port):
        pass
    assert not ports.is_free(host, port)


def test_a_port_is_not_given_twice_in_a_row_even_if_it_is_still_free(monkeypatch: pytest.MonkeyPatch) -> None:
    found = iter([45_861, 45_861, 45_861, 45_862])
    monkeypatch.setattr(ports, "_any_free_port", lambda _host: next(found))
    monkeypatch.setattr(ports, "_lately", ports.deque(maxlen=ports.LATELY))
    assert [free_port("127.0.0.1"), free_port("127.0.0.1")] == [45_861, 45_862]


def p2pd_listening(port: int) -> socket.socket:
    """A listener with p2pd's socket options."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.bind((HOST, port))
    listener.listen()
    return listener


def test_a_port_is_held_against_all_others_from_the_check_until_p2pd_listens_there() -> None:
    port = free_port(HOST)
    with held_for_p2pd(HOST, port):
        with pytest.raises(NotFreeError, match=f"TCP port {port}"), held_for_p2pd(HOST, port):
            pass
        listener = p2pd_listening(port)
    with listener, pytest.raises(NotFreeError), held_for_p2pd(HOST, port):
        pass
    require_free_port(HOST, port)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have longer queues")
def test_a_peer_that_dials_while_the_port_is_held_reaches_p2pd_afterwards() -> None:
    port = free_port(HOST)
    with ExitStack() as stack:
        with held_for_p2pd(HOST, port):
            stack.enter_context(socket.create_connection((HOST, port)))  # fills the queue
            dialling = stack.enter_context(socket.socket())
            dialling.setblocking(False)
            dialling.connect_ex((HOST, port))
            listener = stack.enter_context(p2pd_listening(port))
        listener.settimeout(30)
        accepted, address = listener.accept()
        stack.enter_context(accepted)
        assert address == dialling.getsockname()


def test_of_two_that_found_the_same_port_free_only_one_gets_it() -> None:
    """Both have bound it, which SO_REUSEADDR allows, before either listens."""
    port = free_port(HOST)
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind((HOST, port))
        with held_for_p2pd(HOST, port), pytest.raises(OSError, match="in use"):
            other.listen()
        other.listen()
        with pytest.raises(NotFreeError), held_for_p2pd(HOST, port):
            pass


@pytest.mark.parametrize(
    ("wanted", "usual", "taken", "tried"),
    [
        (0, None, 0, ["free"]),
        (0, None, 2, ["free"] * 3),
        (0, 41_000, 0, [41_000]),
        (0, 41_000, 1, [41_000, "free"]),
        (41_001, 41_000, 0, [41_001]),
    ],
)
def test_a_port_that_nobody_asked_for_is_replaced_if_it_is_taken(wanted, usual, taken, tried) -> None:
    found: list[int] = []

    async def listen(port: int) -> int:
        found.append(port)
        if len(found) <= taken:
            raise NotFreeError
        return port

    assert asyncio.run(on_free_port(HOST, wanted, usual, listen)) == found[-1]
    assert [port if port in (41_000, 41_001) else "free" for port in found] == tried
    assert len(set(found)) == len(found)


@pytest.mark.parametrize(("wanted", "tries"), [(41_001, 1), (0, 1 + ports.TRIED)])
def test_a_port_that_was_asked_for_is_not_replaced_and_no_search_is_endless(wanted, tries) -> None:
    found: list[int] = []

    async def taken(port: int) -> None:
        found.append(port)
        raise NotFreeError(f"TCP port {port}")

    with pytest.raises(NotFreeError):
        asyncio.run(on_free_port(HOST, wanted, 41_000, taken))
    assert len(found) == tries
