"""TCP ports of this machine: checking whether one is free, finding a free one, and holding it."""

from __future__ import annotations

import errno
import socket
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TypeVar

from swarmd.addresses import PORT_MAX
from swarmd.errors import ConfigError

LATELY = 64  # ports; more than one process starts p2pd at once
Listening = TypeVar("Listening")
_lately: deque[int] = deque(maxlen=LATELY)

TRIED = 8
"""Free ports tried before a start fails. Each was free a moment before, so even a second try is rare."""


class NotFreeError(ConfigError):
    """Something listens on the port already, or this user may not. Another port can do."""


def require_free_port(host: str, port: int, flag: str = "--port") -> None:
    """Raise NotFreeError if this user cannot listen on the TCP port, and ConfigError if there is no such port
    or this machine does not have the address.

    Port 0 stands for any port.
    """
    with _bound(host, port, flag):
        pass


@contextmanager
def held_for_p2pd(host: str, port: int) -> Iterator[None]:
    """Keep the port from every other process while p2pd starts to listen on it. Raises as
    `require_free_port`.

    Only one process can listen without SO_REUSEPORT, so of several that want the port at once all but one
    fail. Set afterwards, the option lets in p2pd, which sets it too, and still nobody who does not.

    The socket that holds the port would also take some of the connections of peers that dial, and reset them
    at the end. It has room for one. Linux drops the others, and they reach p2pd when they are tried again.
    """
    with _bound(host, port) as socket_held:
        try:
            socket_held.listen(0)
        except OSError as error:  # another process was between these two calls, too
            raise _refusal(error, host, port) from error
        socket_held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        yield


@contextmanager
def _bound(host: str, port: int, flag: str = "--port") -> Iterator[socket.socket]:
    if not 0 <= port <= PORT_MAX:
        raise ConfigError(f"{flag}: {port} is not a port: choose 1 to {PORT_MAX}, or 0 for any free one")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        made = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:  # no file descriptor is left, or this machine has no IPv6
        raise _refusal(error, host, port, flag) from error
    with made as probe:
        if family == socket.AF_INET6:
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)  # like p2pd
        # REUSEADDR ignores past connections (TIME_WAIT). Without REUSEPORT, an active listener is still
        # detected.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise _refusal(error, host, port, flag) from error
        yield probe


def _refusal(error: OSError, host: str, port: int, flag: str = "--port") -> ConfigError:
    kind = NotFreeError if error.errno in (errno.EADDRINUSE, errno.EACCES) else ConfigError
    where = f"TCP port {port} of {host}" if port else host
    return kind(f"cannot listen on {where}: {error.strerror}; {_remedy(error, flag)}")


def is_free(host: str, port: int) -> bool:
    """Return whether this machine has the address and nothing listens on the TCP port."""
    try:
        require_free_port(host, port)
    except (ConfigError, OSError):  # OSError: a machine without IPv6 cannot create the socket
        return False
    return True


def _remedy(error: OSError, flag: str) -> str:
    if error.errno == errno.EADDRNOTAVAIL:
        return "is it an address of this machine?"
    if error.errno == errno.EACCES:
        return (
            "ports below 1024 need privileges: forward this one to a higher port and --announce it, or "
            "allow it with `sysctl net.ipv4.ip_unprivileged_port_start=443`"
        )
    free = "--port 0 for any free one" if flag == "--port" else "HOST:0 for any free one"
    return f"is another daemon running? Choose another port with {flag}, or {free}"


async def on_free_port(
    host: str, wanted: int, usual: int | None, listen: Callable[[int], Awaitable[Listening]]
) -> Listening:
    """Call `listen` with the port `wanted`, or if that is 0 with `usual` and then with free ones, until it
    finds one free. Returns what `listen` returns.

    Raises what `listen` raises, and NotFreeError only if it was `wanted`, or the last of several.
    """
    ports = [wanted] if wanted else [*([] if usual is None else [usual]), *[0] * TRIED]
    for port in ports[:-1]:
        with suppress(NotFreeError):
            return await listen(port or free_port(host))
    return await listen(ports[-1] or free_port(host))


def free_port(host: str) -> int:
    """Return a free TCP port that this process was not given recently.

    Two p2pd that start at the same time could otherwise listen on the same port without an error. The port is
    chosen here because p2pd does not report it when it announces other addresses.

    Raises ConfigError if this machine does not have the address.
    """
    port = _any_free_port(host)
    for _ in range(LATELY):
        if port not in _lately:
            break
        port = _any_free_port(host)
    _lately.append(port)
    return port


def _any_free_port(host: str) -> int:
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.bind((host, 0))
            return int(probe.getsockname()[1])
    except OSError as error:
        raise ConfigError(
            f"cannot listen on {host}: {error.strerror}; is it an address of this machine?"
        ) from error
