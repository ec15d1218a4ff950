"""TCP ports of this machine: checking whether one is free, and finding a free one."""

from __future__ import annotations

import errno
import socket
from collections import deque

from swarmd.errors import ConfigError

LATELY = 64  # ports; more than one process starts p2pd at once
_lately: deque[int] = deque(maxlen=LATELY)


def require_free_port(host: str, port: int, flag: str = "--port") -> None:
    """Raise ConfigError if something listens on the TCP port, or if this machine does not have the address.

    Port 0 stands for any port.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        if family == socket.AF_INET6:
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)  # like p2pd
        # REUSEADDR ignores past connections (TIME_WAIT). Without REUSEPORT, an active listener is still
        # detected.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            where = f"TCP port {port} of {host}" if port else host
            raise ConfigError(
                f"cannot listen on {where}: {error.strerror}; {_remedy(error, flag)}"
            ) from error


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
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM) as probe:
        try:
            probe.bind((host, 0))
        except OSError as error:
            raise ConfigError(
                f"cannot listen on {host}: {error.strerror}; is it an address of this machine?"
            ) from error
        return int(probe.getsockname()[1])
