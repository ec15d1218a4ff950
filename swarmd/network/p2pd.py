"""One p2pd child process (go-libp2p) and hivemind's connection to it: started, and ended without a trace.

It does not restart anything: `supervisor.py` does. hivemind starts p2pd silently on a port that another p2pd
listens on (port reuse, after which half of all joins fail), so the port is tried here first.
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
from swarmd.network.ports import is_free, require_free_port

START_SECONDS = 15.0
"""For p2pd to say that it is up; 0.3 s on an idle machine, several under load."""

ASK_SECONDS = 3.0
"""For one dial while looking for a second holder of the key: a silent endpoint must not hold up the start."""

ASK_TIMES = 30
"""Attempts: a peer can be asked for others only once it said that it speaks libp2p's DHT, after 0.1 s."""

_NO_ONE_TO_ASK = "failed to find any peer in table"  # go-libp2p-kad-dht, ErrLookupFailure

EVERYWHERE_IPV4, EVERYWHERE_IPV6 = "0.0.0.0", "::"  # noqa: S104  what the operator may have chosen

EXIT_SECONDS = 3.0
"""Between SIGTERM and SIGKILL."""

_IN_OWN_SESSION = """
import ctypes, os, signal, sys
os.setsid()
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, ctypes.c_ulong(signal.SIGKILL))  # PR_SET_PDEATHSIG
os.execv(sys.argv[1], sys.argv[1:])
"""
"""Ctrl-C in a terminal goes to all its processes, and p2pd must outlive the daemon's orderly stop. It must
not outlive the daemon itself: a frozen p2pd, or one that has not noticed yet, would hold the next start's
port."""


@dataclass(frozen=True)
class P2PSettings:
    """How p2pd is started."""

    identity_path: Path
    host: str
    port: int
    announce: tuple[str, ...] = ()
    ipv6: bool = True
    """Whether all interfaces means those of IPv6 as well."""
    runtime: Path | None = None
    """The directory for its sockets; None: hivemind's own choice."""

    @property
    def reachable_from_outside(self) -> bool:
        """Whether to look for gateways and punch holes: on loopback there are none."""
        return not self.host.startswith("127.") and self.host != "::1"

    @property
    def listen(self) -> list[str]:
        """The multiaddrs to listen on. go-libp2p takes 0.0.0.0 for IPv4 alone, and :: for IPv6 alone."""
        both = self.ipv6 and self.host == EVERYWHERE_IPV4 and is_free(EVERYWHERE_IPV6, self.port)
        hosts = (self.host, EVERYWHERE_IPV6) if both else (self.host,)
        return [listen_address(host, self.port) for host in hosts]


async def spawn(settings: P2PSettings) -> Any:
    """A running hivemind `P2P`. Raises ConfigError (port, host) or NetworkError (p2pd); leaves no child."""
    require_free_port(settings.host, settings.port)
    outside = settings.reachable_from_outside
    return await _create(
        host_maddrs=settings.listen,
        announce_maddrs=list(settings.announce) or None,
        identity_path=str(settings.identity_path),
        check_if_identity_free=False,  # hivemind reads RSA keys only; `is_running_elsewhere` asks instead
        nat_port_map=outside,
        auto_nat=outside,  # enables hole punching
        # libp2p punches holes only once its AutoNAT says private, which takes minutes. It changes nothing for
        # a dialable peer: libp2p punches only when a relayed connection comes in, and such a peer gets none.
        force_reachability="private" if outside else None,
        runtime=settings.runtime,
    )


async def is_running_elsewhere(
    peer_id: PeerId, peers: Sequence[PeerAddress], runtime: Path | None = None
) -> bool:
    """Whether somebody with this identity can be dialled by whoever knows `peers`.

    A p2pd with a temporary identity asks before our own p2pd starts: two with the same key would start
    silently and answer in turns. Best effort: a peer that joined less than a second ago may be missed.
    Raises NetworkError if that p2pd cannot be started.
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
    """Dial; None if it answered. Without addresses, the peers that p2pd is connected to are asked."""
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
        """`P2P.create` returns its object only at the end. Until then the child must not be lost."""

        if runtime is not None:
            _UNIX_SOCKET_PREFIX = f"/unix{runtime}/"

        def __init__(self) -> None:
            super().__init__()
            born.append(self)

        @staticmethod
        def _make_process_args(*args: Any, **kwargs: Any) -> list[str]:
            options = {"relayService": False, **kwargs}  # `reach/relay.py` relays
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
    hiveminds.close()  # afterwards: p2pd ends when nobody is connected


def control_of(p2p: Any) -> Control:
    """Our end of the connection to this p2pd."""
    control: Control = p2p._client.control
    return control


async def stop(p2p: Any) -> None:
    """End the child and remove its sockets; after this nothing of it runs. Works on one that died already."""
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
        Path(address["unix"]).unlink(missing_ok=True)  # noqa: ASYNC240  two names in /tmp, no waiting


def kill(child: asyncio.subprocess.Process) -> None:
    """End the child at once. It may have died a moment ago, and nobody has been told yet."""
    with suppress(ProcessLookupError):
        child.kill()


def quieten_hivemind() -> None:
    """Stop hivemind's own log handler, and its warnings of what is ordinary here; errors get through."""
    use_hivemind_log_handler("nowhere")
    logging.getLogger("hivemind").setLevel(logging.ERROR)
