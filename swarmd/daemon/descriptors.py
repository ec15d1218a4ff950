"""The limit on open files: raise it where the system allows, and refuse to start where it is too low for a
peer.
"""

from __future__ import annotations

import resource

from swarmd.errors import ConfigError

NEEDED = 256  # a peer with a few neighbours holds 60, and so does its p2pd; a busy one has a socket per peer
WANTED = 8_192  # inherited by p2pd, which keeps up to 512 connections


def require_descriptors() -> None:
    """Raise the soft limit as far as the hard limit allows. Raises ConfigError if it is still too low."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = resource.RLIM_INFINITY
    wanted = WANTED if hard == unlimited else min(WANTED, hard)
    if soft != unlimited and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    if soft != unlimited and soft < NEEDED:
        raise ConfigError(
            f"only {soft} files can be open at once here, but a peer needs {NEEDED}: raise the limit "
            f"(`ulimit -n {NEEDED}` or more, LimitNOFILE= of a service, --ulimit nofile= of a container)"
        )
