"""The limit on open files: raised where the system allows it, refused where it is too low for a peer."""

from __future__ import annotations

import resource

from swarmd.errors import ConfigError

NEEDED = 256  # a peer with a few others holds 60, and so does its p2pd; a busy one has a socket per peer
WANTED = 8_192  # p2pd inherits it, and keeps up to 512 connections with what they need


def require_descriptors() -> None:
    """Raise the soft limit as far as the hard one allows. Raises ConfigError if it is still too low."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = resource.RLIM_INFINITY
    wanted = WANTED if hard == unlimited else min(WANTED, hard)
    if soft != unlimited and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    if soft != unlimited and soft < NEEDED:
        raise ConfigError(
            f"only {soft} files may be open at once here, and a peer needs {NEEDED}: raise the limit "
            f"(`ulimit -n {NEEDED}` or more, LimitNOFILE= of a service, --ulimit nofile= of a container)"
        )
