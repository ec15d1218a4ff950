"""The lifetime of an observer: reach the swarm, follow it, verify what it publishes, serve the page, stop.

It stops on Ctrl-C, SIGTERM or SIGHUP. A kill loses at most the last minute.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress

import uvloop
from pydantic import JsonValue

from protocol import Manifest, PeerId, RejectedRecord
from swarmd import exit_codes
from swarmd.addresses import parse_peer_address
from swarmd.config import Config
from swarmd.daemon.books import require_own
from swarmd.daemon.descriptors import require_descriptors
from swarmd.daemon.exchange import Exchange, open_exchange
from swarmd.daemon.logs import route_logs
from swarmd.daemon.news import Newsroom
from swarmd.daemon.remembering import keep_events
from swarmd.daemon.rollouts import Rollouts
from swarmd.errors import ConfigError, NetworkError, SwarmdError
from swarmd.finding.bootstrap import look_up_named
from swarmd.gossip import AddressesRemembered, Demand, PeersRemembered
from swarmd.gossip.orders import parse_peer_id
from swarmd.network.hivemind import HivemindNetwork
from swarmd.network.interface import Network
from swarmd.observe import EventLog, RecordKind, RecordView, Sources, Starting, StatusServer, StatusSnapshot
from swarmd.observe.settings_view import settings_view
from swarmd.observe.token import page_token, page_words, tell_token
from swarmd.observer.author import learn_author
from swarmd.observer.board import Board
from swarmd.observer.members import Members, keep_counting
from swarmd.observer.view import View
from swarmd.parent.stops import LastStop, stop_signals
from swarmd.places import OBSERVER_MARK, runtime_directory
from swarmd.step.verification import Verification
from swarmd.storage import BlobStore, Database, Home
from swarmd.tasks import FOR_PEERS, TaskRunner

GROUPS_A_MINUTE = 30  # pulled and scored, half of them requested: a second or two of CPU per minute
ANSWER_S = 20.0  # for one address to say which swarm it is in; a dead one behind a router never answers
PATIENCE_S = 60.0  # for a restarting peer to answer again
AGAIN_S = 5.0  # between two attempts to reach all addresses
REMEMBERED_MAX = 64  # peers from earlier runs that gossip may dial


def run(config: Config, home: Home) -> int:
    """Observe the swarm of `config.network.peers` until a signal arrives. Return the exit code.

    Raises SwarmdError for problems that a person can act on: ConfigError for a swarm other than the home's,
    NetworkError if no peer answers. Any other exception is a bug.
    """
    require_descriptors()
    board = Board()
    events = EventLog(config.observe, clock=time.time, heard=_teller(board))
    with (
        home.lock(),
        runtime_directory(home.path),
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        try:
            runner.run(_Observer(config, home, events, board).live())
        except BaseExceptionGroup as group:
            raise _worst(group) from group
    return exit_codes.DONE


class _Observer:
    """One run of `swarmd observe`."""

    def __init__(self, config: Config, home: Home, events: EventLog, board: Board) -> None:
        self._config = config
        self._home = home
        self._events = events
        self._board = board
        self._key = home.key()
        self._began = time.monotonic()
        self._stop = asyncio.Event()
        self._last_stop = LastStop()
        self._view: View | None = None
        self._rollouts: Rollouts | None = None
        self._exchange: Exchange | None = None
        http, given = config.observe.http, config.observe.http_token
        self._token, self._token_is_new = page_token(http, given, home.path)
        sources = Sources(self._records, events.since, self._settings)
        self._server = StatusServer(
            self._snapshot,
            home.socket_path,
            http,
            ping=self._ping,
            sources=sources,
            token=self._token,
            http_hosts=config.observe.http_hosts,
        )

    async def live(self) -> None:
        """Serve, reach the swarm and observe until stopped."""
        loop = asyncio.get_running_loop()
        for number in stop_signals():
            loop.add_signal_handler(number, self._on_signal, number)
        route_logs(self._events, loop)
        self._server.bind()
        if self._token is not None and self._token_is_new:  # at once, because no later run shows it
            tell_token(f"{self._server.base_url}/", self._token, self._home.path)
        try:
            async with asyncio.TaskGroup() as group:
                serving = group.create_task(self._server.serve(), name="status")
                try:
                    async with asyncio.TaskGroup() as watching:
                        watch = watching.create_task(self._watch(serving), name="watch")
                        await self._stop.wait()
                        watch.cancel()
                finally:
                    self._server.stop()
        finally:
            self._server.close()
        self._events.emit("stopped")

    def _on_signal(self, number: int) -> None:
        if self._last_stop.repeated_by(number):
            return
        if self._stop.is_set():
            os._exit(exit_codes.FORCED)  # SQLite keeps its files intact
        self._stop.set()

    async def _stop_serving(self, serving: asyncio.Task[None]) -> None:
        """Stop serving before the parts that the pages read are closed."""
        self._server.stop()
        await asyncio.wait([serving])

    async def _watch(self, serving: asyncio.Task[None]) -> None:
        """Open the parts, then observe until cancelled. Parts are closed in reverse order."""
        home = self._home
        async with AsyncExitStack() as stack:
            database, blobs, members = self._open_books(stack)
            network, address, manifest = await self._open_network(stack)
            self._keep(manifest, database)
            network.serve(bodies=blobs.get, manifest=manifest.to_bytes())
            tasks = TaskRunner(
                reward=manifest.reward,
                options=FOR_PEERS,
                directory=home.runtime_path,
                on_problem=self._warn,
            )
            stack.push_async_callback(tasks.close)
            gossip, exchange = open_exchange(
                self._key,
                manifest,
                network=network,
                verification=Verification(manifest=manifest, tasks=tasks),
                database=database,
                blobs=blobs,
                events=self._events,
            )
            self._meet(exchange, database)
            self._exchange = exchange
            with suppress(NetworkError):  # gossip continues to try
                await network.connect([address], named=True)
            await learn_author(home, manifest, network, parse_peer_address(address).peer_id)
            newsroom = Newsroom(
                home,
                network,
                self._events,
                gossip.standing,
                lambda news: news.words_for_observer(manifest.swarm_id),
            )
            for scored, _ in reversed(database.pool.newest(self._config.storage.pool_groups_max)):
                self._board.add(scored.publisher, scored.mean_reward)
            self._rollouts = Rollouts(
                manifest=manifest,
                peer_id=self._key.peer_id,
                database_path=home.database_path,
                blobs=blobs,
                tasks=tasks,
            )
            self._view = view = View(
                manifest=manifest,
                network=network,
                gossip=gossip,
                database=database,
                board=self._board,
                members=members,
                joined_through=address,
                clock=time.time,
                http=self._server.base_url,
                news=lambda: newsroom.words,
            )
            stack.push_async_callback(self._stop_serving, serving)
            self._tell_page(manifest)
            async with asyncio.TaskGroup() as group:
                group.create_task(exchange.run(), name="exchange")
                group.create_task(newsroom.keep_asking(), name="news")
                group.create_task(keep_events(self._events, database), name="events")
                group.create_task(keep_counting(members, lambda: view.here, time.time), name="members")

    def _open_books(self, stack: AsyncExitStack) -> tuple[Database, BlobStore, Members]:
        home, storage = self._home, self._config.storage
        database = stack.enter_context(
            Database(home.database_path, pool_groups_max=storage.pool_groups_max, on_problem=self._warn)
        )
        require_own(database, home, self._key.peer_id)
        blobs = BlobStore(home.records_path, storage.records_bytes_max, on_problem=self._warn)
        members = Members(home.path / OBSERVER_MARK)
        stack.callback(members.close)
        return database, blobs, members

    async def _open_network(self, stack: AsyncExitStack) -> tuple[HivemindNetwork, str, Manifest]:
        """Return the network, the first of the given addresses that answered, and its swarm's manifest."""
        network_config = self._config.network
        peers = await look_up_named(network_config.peers, self._warn)
        network_config = network_config.model_copy(update={"peers": peers})
        self._config = self._config.model_copy(update={"network": network_config})
        self._enter("opening the network")
        manifests: list[Manifest] = []
        network = await HivemindNetwork.start(
            key=self._key,
            identity_path=self._home.identity_path,
            config=network_config,
            swarm=lambda: manifests[0] if manifests else None,
            runtime=self._home.runtime_path,
        )
        stack.push_async_callback(network.close)
        self._enter("asking which swarm this is")
        address, manifest = await find_swarm(network, peers, self._warn)
        manifests.append(manifest)
        return network, address, manifest

    def _meet(self, exchange: Exchange, database: Database) -> None:
        acquaintances = database.acquaintances
        exchange.handle(PeersRemembered(tuple(acquaintances.all()), acquaintances.words()))
        known: dict[PeerId, tuple[str, ...]] = {
            PeerId(seen.peer_id): seen.addresses for seen in database.peers.known(REMEMBERED_MAX)
        }
        for address in map(parse_peer_address, self._config.network.peers):
            known[address.peer_id] = (address.text, *known.get(address.peer_id, ()))
        exchange.handle(AddressesRemembered(tuple(known.items())))
        exchange.handle(Demand(groups=GROUPS_A_MINUTE // 2, step_seconds=60.0))

    def _keep(self, manifest: Manifest, database: Database) -> None:
        """Require that a home observes a single swarm, because its counts are for that swarm."""
        kept = self._home.manifest()
        if kept is not None and kept.swarm_id != manifest.swarm_id:
            raise ConfigError(
                f"{self._home.path} observes the swarm {kept.name} ({kept.swarm_id.hex()[:12]}), but "
                f"this peer is in {manifest.name} ({manifest.swarm_id.hex()[:12]}): use another --home"
            )
        if kept is None:
            self._home.write_manifest(manifest.to_bytes())
        database.facts.set_swarm(manifest.swarm_id)

    def _tell_page(self, manifest: Manifest) -> None:
        url, given = f"{self._server.base_url}/", self._config.observe.http_token
        page = page_words(url, given, self._token, self._home.path)
        self._events.emit("page", message=f"{page}: it shows the swarm {manifest.name}")

    async def _records(self, kind: RecordKind, limit: int) -> Sequence[RecordView]:
        return [] if self._rollouts is None else await self._rollouts.newest(kind, limit)

    async def _ping(self, peer: str) -> float:
        """Ping a peer, on request over the unix socket. Raises SwarmdError if it does not answer."""
        if self._exchange is None:
            raise SwarmdError("the observer is still starting: try again")
        return await self._exchange.ping(parse_peer_id(peer))

    def _settings(self) -> Mapping[str, JsonValue]:
        return settings_view(self._config, ())

    def _snapshot(self) -> StatusSnapshot | Starting:
        if self._view is not None:
            return self._view.snapshot()
        return Starting(
            phase=self._events.state.phase,
            uptime_s=time.monotonic() - self._began,
            peer_id=self._key.peer_id,
            pid=os.getpid(),
        )

    def _enter(self, phase: str) -> None:
        self._events.emit("phase", name=phase)

    def _warn(self, message: str) -> None:
        self._events.emit("warning", message=message)


async def find_swarm(
    network: Network, addresses: Sequence[str], say: Callable[[str], None]
) -> tuple[str, Manifest]:
    """Return (the first address that answers, the manifest of its swarm). Tries for a minute, saying so once.

    If none answers with a manifest, raises NetworkError with the result for each address.
    """
    loop = asyncio.get_running_loop()
    until = loop.time() + PATIENCE_S
    is_first = True
    while True:
        try:
            return await _ask_each(network, addresses)
        except NetworkError as error:
            if loop.time() + AGAIN_S > until:
                raise
            if is_first:
                say(f"no answer yet, trying for {PATIENCE_S:.0f} s in case a peer is restarting: {error}")
            is_first = False
        await asyncio.sleep(AGAIN_S)


async def _ask_each(network: Network, addresses: Sequence[str]) -> tuple[str, Manifest]:
    """Like `find_swarm`, but a single attempt."""
    said = []
    for address in addresses:
        try:
            async with asyncio.timeout(ANSWER_S):
                return address, Manifest.from_bytes(await network.fetch_manifest(address))
        except TimeoutError:
            said.append(f"{address}: no answer within {ANSWER_S:.0f} s")
        except (NetworkError, RejectedRecord) as error:
            said.append(f"{address}: {' '.join(str(error).split())}")
    raise NetworkError(
        "cannot observe: none of the given peers answers. Check that one is running, that this machine "
        f"reaches its port, and that the address is the one its `swarmd status` shows ({'; '.join(said)})"
    )


def _teller(board: Board) -> Callable[[str, Mapping[str, object]], None]:
    """Return a listener that counts groups scored here."""

    def heard(name: str, fields: Mapping[str, object]) -> None:
        if name == "pulled":
            board.add(str(fields["publisher"]), float(str(fields["reward"])))

    return heard


def _worst(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the first bug in `group`, or else the first error that a person can act on."""
    _, bugs = group.split(SwarmdError)
    found: BaseException = bugs or group
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found
