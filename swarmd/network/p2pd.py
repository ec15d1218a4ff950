"""One p2pd child process (go-libp2p) and hivemind's connection to it: starting it, and cleaning up after it.

This module does not restart p2pd; `supervisor.py` does. If another p2pd already listens on a port, hivemind
starts a second one there without an error (port reuse), after which half of all joins fail. The port is
therefore held here until p2pd listens.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hivemind.p2p import P2P
from hivemind.utils.logging import use_hivemind_log_handler

from protocol import PeerId
from swarmd.addresses import PeerAddress, listen_address
from swarmd.errors import NetworkError
from swarmd.network.binary_addresses import write_address
from swarmd.network.control import MESSAGE_BYTES_MAX, P2PD_ERRORS, Connector, Control
from swarmd.network.peer_ids import write_peer_id
from swarmd.network.ports import held_for_p2pd, is_free

START_SECONDS = 15.0
"""Seconds for p2pd to report that it is up: 0.3 s on an idle machine, several under load."""

ASK_SECONDS = 3.0
"""Seconds for one dial while looking for another holder of the key, so that a silent endpoint does not delay
the start.
"""

ASK_TIMES = 30
"""Attempts. A peer can be asked about other peers only after it announces support for libp2p's DHT, about 0.1
s later.
"""

_NO_ONE_TO_ASK = "failed to find any peer in table"  # go-libp2p-kad-dht, ErrLookupFailure

EVERYWHERE_IPV4, EVERYWHERE_IPV6 = "0.0.0.0", "::"  # noqa: S104  the operator may choose these

EXIT_SECONDS = 3.0
"""Seconds between SIGTERM and SIGKILL."""

_IN_OWN_SESSION = """
import ctypes, os, signal, sys
os.setsid()
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, ctypes.c_ulong(signal.SIGKILL))  # PR_SET_PDEATHSIG
os.execv(sys.argv[1], sys.argv[1:])
"""
"""Starts p2pd in its own session, and has Linux kill it when the daemon dies.

Ctrl-C in a terminal reaches all its processes, but p2pd must run until the daemon has stopped in an orderly
way. It must not outlive the daemon: a p2pd that is frozen, or has not yet noticed, would hold the port that
the next start needs.
"""


@dataclass(frozen=True)
class P2PSettings:
    """The options p2pd is started with."""

    identity_path: Path
    host: str
    port: int
    announce: tuple[str, ...] = ()
    ipv6: bool = True
    """Whether listening on all interfaces includes IPv6."""
    runtime: Path | None = None
    """The directory for p2pd's sockets; None uses hivemind's default."""

    @property
    def reachable_from_outside(self) -> bool:
        """Whether to look for gateways and punch holes. On loopback there are none."""
        return not self.host.startswith("127.") and self.host != "::1"

    @property
    def listen(self) -> list[str]:
        """The multiaddrs to listen on. To go-libp2p, 0.0.0.0 means IPv4 only and :: means IPv6 only."""
        both = self.ipv6 and self.host == EVERYWHERE_IPV4 and is_free(EVERYWHERE_IPV6, self.port)
        hosts = (self.host, EVERYWHERE_IPV6) if both else (self.host,)
        return [listen_address(host, self.port) for host in hosts]


async def spawn(settings: P2PSettings) -> Any:
    """Start p2pd and return a hivemind `P2P`. Raises ConfigError (port, host) or NetworkError (p2pd), leaving
    no child behind.
    """
    outside = settings.reachable_from_outside
    with held_for_p2pd(settings.host, settings.port):
        return await _create(
            host_maddrs=settings.listen,
            announce_maddrs=list(settings.announce) or None,
            identity_path=str(settings.identity_path),
            # hivemind reads only RSA keys; `is_running_elsewhere` checks instead
            check_if_identity_free=False,
            nat_port_map=outside,
            auto_nat=outside,  # enables hole punching
            # libp2p punches holes only once its AutoNAT reports "private", which takes minutes. Forcing it
            # does not affect a dialable peer: libp2p punches only for incoming relayed connections, and such
            # a peer gets none.
            force_reachability="private" if outside else None,
            runtime=settings.runtime,
        )


async def is_running_elsewhere(
    peer_id: PeerId, peers: Sequence[PeerAddress], runtime: Path | None = None
) -> bool:
    """Return whether a peer with this identity can be dialled through `peers`.

    A p2pd with a temporary identity checks before our own p2pd starts, because two peers with the same key
    would start without an error and answer alternately. Best effort: a peer that joined less than a second
    ago can be missed. Raises NetworkError if the temporary p2pd cannot be started.
    """
    stranger = await _create(
        no_listen=True, dht_mode="client", nat_port_map=False, auto_nat=False, runtime=runtime
    )
    try:
        async with asyncio.TaskGroup() as group:
            dials = [group.create_task(_refusal(stranger, peer.peer_id, [peer.transport])) for peer in peers]
        if all(dial.result() is not None for dial in dials):
            return False
        for _ in range(ASK_TIMES):
            refusal = await _refusal(stranger, peer_id, [])
            if refusal is None or _NO_ONE_TO_ASK not in refusal:
                break
            await asyncio.sleep(ASK_SECONDS / ASK_TIMES)
        return refusal is None
    finally:
        await stop(stranger)


async def _refusal(p2p: Any, peer_id: PeerId, addresses: Sequence[str]) -> str | None:
    """Dial, and return None if the peer answered or else the error. Without addresses, p2pd asks its
    connected peers.
    """
    try:
        async with asyncio.timeout(ASK_SECONDS):
            await control_of(p2p).dial(write_peer_id(peer_id), [write_address(text) for text in addresses])
    except (TimeoutError, *P2PD_ERRORS) as error:
        return str(error)
    return None


async def _create(*, runtime: Path | None, **options: Any) -> Any:
    quieten_hivemind()
    born: list[P2P] = []

    class Tracked(P2P):  # type: ignore[misc]  # hivemind is untyped
        """Keeps track of the child before `P2P.create` returns, so that it can be stopped after an error."""

        if runtime is not None:
            _UNIX_SOCKET_PREFIX = f"/unix{runtime}/"

        def __init__(self) -> None:
            super().__init__()
            born.append(self)

        @staticmethod
        def _make_process_args(*args: Any, **kwargs: Any) -> list[str]:
            options = {"relayService": False, **kwargs}  # `reach/relay.py` is the relay
            return [sys.executable, "-ISc", _IN_OWN_SESSION, *P2P._make_process_args(*args, **options)]

    try:
        p2p = await Tracked.create(
            startup_timeout=START_SECONDS, persistent_conn_max_msg_size=MESSAGE_BYTES_MAX, **options
        )
        await _take_control(p2p)
    except BaseException as error:
        for p2p in born:
            await stop(p2p)
        if isinstance(error, P2PD_ERRORS):
            raise NetworkError(f"the p2p process could not be started: {error}") from error
        raise
    return p2p


async def _take_control(p2p: Any) -> None:
    """Replace hivemind's end of the connection with ours. Raises P2PD_ERRORS."""
    hiveminds = p2p._client.control
    p2p._client.control = await Control.create(
        daemon_connector=Connector(control_maddr=p2p._daemon_listen_maddr),
        listen_maddr=p2p._client_listen_maddr,
        persistent_conn_max_msg_size=MESSAGE_BYTES_MAX,
    )
    hiveminds.close()  # only now, because p2pd exits when it has no client


def control_of(p2p: Any) -> Control:
    """Return our end of the connection to this p2pd."""
    control: Control = p2p._client.control
    return control


async def stop(p2p: Any) -> None:
    """Stop the child and remove its sockets. When this returns, nothing of it is running. Also works if it is
    already dead.
    """
    child = p2p._child
    p2p._terminate()
    if child is None:
        return
    try:
        async with asyncio.timeout(EXIT_SECONDS):
            await child.wait()
    except TimeoutError:
        kill(child)
        await child.wait()
    for address in (p2p._daemon_listen_maddr, p2p._client_listen_maddr):
        Path(address["unix"]).unlink(missing_ok=True)  # noqa: ASYNC240  two names in /tmp, no blocking


def kill(child: asyncio.subprocess.Process) -> None:
    """Kill the child. It may already be dead without asyncio having noticed."""
    with suppress(ProcessLookupError):
        child.kill()


def quieten_hivemind() -> None:
    """Disable hivemind's log handler, and its warnings about what is normal here. Errors still pass."""
    use_hivemind_log_handler("nowhere")
    logging.getLogger("hivemind").setLevel(logging.ERROR)
