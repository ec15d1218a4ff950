"""TCP ports of this machine: whether one is free, and which."""

from __future__ import annotations

import errno
import socket
from collections import deque

from swarmd.errors import ConfigError

LATELY = 64  # ports; more p2pd than one process starts at once
_lately: deque[int] = deque(maxlen=LATELY)


def require_free_port(host: str, port: int, flag: str = "--port") -> None:
    """Raises ConfigError if something listens on the TCP port, or this machine does not have the address.
    Port 0 stands for any."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        if family == socket.AF_INET6:
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)  # as p2pd listens
        # REUSEADDR ignores past connections (TIME_WAIT); without REUSEPORT a listener is still noticed.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            where = f"TCP port {port} of {host}" if port else host
            raise ConfigError(
                f"cannot listen on {where}: {error.strerror}; {_remedy(error, flag)}"
            ) from error


def is_free(host: str, port: int) -> bool:
    """Whether this machine has the address, and nothing listens on the TCP port."""
    try:
        require_free_port(host, port)
    except (ConfigError, OSError):  # the latter: a machine without IPv6 has no such socket
        return False
    return True


def _remedy(error: OSError, flag: str) -> str:
    if error.errno == errno.EADDRNOTAVAIL:
        return "is it an address of this machine?"
    if error.errno == errno.EACCES:
        return (
            "ports below 1024 are not for everybody: forward this one to a higher port and --announce it, or "
            "allow it with `sysctl net.ipv4.ip_unprivileged_port_start=443`"
        )
    free = "--port 0 for any free one" if flag == "--port" else "HOST:0 for any free one"
    return f"is another daemon running? Choose another port with {flag}, or {free}"


def free_port(host: str) -> int:
    """A TCP port that is free now, and none of those that this process was given lately: two p2pd that start
    at once would listen on one port without an error. Chosen here, because p2pd does not name it when it
    announces other addresses.

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
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM) as probe:
        try:
            probe.bind((host, 0))
        except OSError as error:
            raise ConfigError(
                f"cannot listen on {host}: {error.strerror}; is it one of this machine's?"
            ) from error
        return int(probe.getsockname()[1])
