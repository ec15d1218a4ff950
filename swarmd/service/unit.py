"""The text of a systemd user unit for one peer, hardened as far as a user's manager allows (systemd.exec(5)).

A user's manager has no privileges. Anything that needs a private file system therefore needs a user namespace
(PrivateUsers=), which some systems refuse; the other restrictions still apply without it.
ProtectKernelTunables= and ProtectKernelLogs= are omitted because they fail in a user namespace (systemd 252),
and protect what this user cannot write anyway. MemoryDenyWriteExecute= is omitted because PyTorch compiles
code, and PrivateDevices= because GPUs are devices.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from swarmd import exit_codes
from swarmd.config.memory_limit import memory_limit_bytes
from swarmd.places import socket_name
from swarmd.service.interface import AGAIN_S, STOP_S, Wish

SANDBOX_CALLS = "landlock_create_ruleset landlock_add_rule landlock_restrict_self seccomp"
"""System calls with which swarmd confines its own task workers; @system-service lacks them (systemd 252)."""

STRICT = frozenset("'\"\\$")
"""Characters that the path of a program cannot have in a unit (systemd 252)."""

SHELL = ("/bin/sh", "-c", 'exec "$0" "$@"')
"""Starts the program that the next word names, with the arguments that follow it."""

WALLS = f"""\
NoNewPrivileges=yes
CapabilityBoundingSet=
LockPersonality=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service {SANDBOX_CALLS}
SystemCallErrorNumber=EPERM
UMask=0077
"""

FILE_WALLS = """\
PrivateUsers=yes
ProtectSystem=strict
ProtectHome=read-only
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelModules=yes
"""


def unit_text(wish: Wish, *, own_file_system: bool) -> str:
    """Return the unit. `own_file_system`: all but the home and `wish.writable` is read-only for the peer."""
    return "\n".join(
        [
            "# Written by `swarmd service install`; `swarmd service remove` removes it.",
            "[Unit]",
            f"Description={_plain(wish.description)}",
            "# A peer is restarted without a limit.",
            "StartLimitIntervalSec=0",
            "",
            "[Service]",
            "Type=exec",
            f"ExecStart={_command(wish.command)}",
            f"WorkingDirectory={_plain(str(wish.home))}",
            *(f"Environment={_quoted(f'{name}={value}')}" for name, value in wish.environment.items()),
            "Restart=on-failure",
            f"RestartPreventExitStatus={exit_codes.MISUSED} {exit_codes.FORCED}",
            f"RestartSec={AGAIN_S}",
            "# The parent forwards the signal; without p2pd, the peer could not say goodbye.",
            "KillMode=mixed",
            f"TimeoutStopSec={STOP_S}",
            f"MemoryMax={_memory(wish.memory_max)}",
            "# The parent itself restarts the peer after memory ran out.",
            "OOMPolicy=continue",
            "",
            WALLS + ("".join(f"{line}\n" for line in _file_walls(wish)) if own_file_system else ""),
            "[Install]",
            "WantedBy=default.target",
            "",
        ]
    )


def _file_walls(wish: Wish) -> Iterator[str]:
    yield from FILE_WALLS.splitlines()
    yield "ReadWritePaths=/tmp" if _needs_common_tmp(wish) else "PrivateTmp=yes"
    yield f"ReadWritePaths={_quoted(str(wish.home))}"
    for path in wish.writable:
        yield f"ReadWritePaths={_quoted(f'-{path}')}"


def _needs_common_tmp(wish: Wish) -> bool:
    """Whether /tmp must be shared: something that the command, the environment or the walls name is there,
    or the socket of `swarmd status` is, because the home's path is too long for a socket.
    """
    words = (word.partition("=")[2] if word.startswith("--") else word for word in wish.command)
    named = (*words, *wish.environment.values(), *map(str, wish.writable))
    used = (*named, str(wish.home), socket_name(str(wish.home)))
    return any(path.removeprefix("@").startswith(("/tmp/", "/var/tmp/")) for path in used)  # noqa: S108  nothing is made there


def _memory(text: str) -> str:
    """Return the size in systemd's form: a share of the machine's memory, or bytes."""
    return text.replace(" ", "") if text.strip().endswith("%") else str(memory_limit_bytes(text, 0))


def _plain(text: str) -> str:
    """Escape a value that is not split into words: only `%` has a meaning (systemd.unit(5))."""
    return " ".join(text.split("\n")).replace("%", "%%")


def _quoted(text: str) -> str:
    """Quote one word of a list (systemd.syntax(7), "Quoting")."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{_plain(escaped)}"'


def _command(words: Sequence[str]) -> str:
    """Quote a command line. systemd refuses some characters in the path of the program itself, even if they
    are quoted, so a shell starts such a program.
    """
    shell = SHELL if STRICT & set(words[0]) else ()
    return " ".join(_argument(word) for word in (*shell, *words))


def _argument(text: str) -> str:
    """Quote one word of a command line, in which `$` also introduces a variable (systemd.service(5))."""
    return _quoted(text).replace("$", "$$")
