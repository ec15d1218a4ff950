"""The shell round gossip: each command meets its one call, each answer comes back as its one event."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from protocol import PeerId, Reason, is_held_out, sign_record, verify_record, verify_status
from swarmd import gossip as g
from swarmd.daemon import exchange as exchange_module
from swarmd.daemon.exchange import Exchange, well_formed
from swarmd.errors import ConfigError, NetworkError, StorageError
from swarmd.network import MemoryHub, run_simulated, simulated_wall_clock
from swarmd.network.interface import Misbehaviour, NetworkClosedError, Pulled, PullFailedError, Standing, Way
from swarmd.step.verification import Verification
from swarmd.storage import BlobStore, Database, Home
from swarmd.tasks import Score
from tests.daemon.fakes import (
    Events,
    KnownTasks,
    ScriptedGossip,
    ScriptedNetwork,
    external_group,
    peer,
)
from tests.gossip.making import (
    START,
    key,
    make_group,
    make_manifest,
    make_own_status,
    make_record,
    make_status,
    make_task,
    question,
)

MANIFEST = make_manifest()
ALLOWED = [n for n in range(300) if not is_held_out(question(make_task(MANIFEST, n)))]
OTHER = key(2).peer_id
ADDRESS = f"/ip4/192.0.2.7/tcp/4001/p2p/{OTHER}"
MALFORMED = f"/nonsense/p2p/{OTHER}"


class Bench:
    """An exchange between a gossip and a network that do as told."""

    def __init__(self, home: Home, database: Database, events: Events) -> None:
        self.gossip = ScriptedGossip()
        self.network = ScriptedNetwork(key(1).peer_id)
        self.database, self.events = database, events
        self.blobs = BlobStore(home.records_path, 2**20)
        self.tasks = KnownTasks()
        self.exchange = Exchange(
            gossip=self.gossip,
            network=self.network,
            verification=Verification(manifest=MANIFEST, tasks=self.tasks),
            database=database,
            blobs=self.blobs,
            events=events,
            clock=lambda: START,
        )

    def want(self, *commands: g.Command) -> None:
        self.gossip.wants = list(commands)
        self.exchange.handle(g.Tick(neighbours=0))

    async def told(self, kind: type, times: int = 1) -> list[g.Event]:
        """The events of that kind, once there are `times` of them."""
        async with asyncio.timeout(10):
            while len(self.gossip.of(kind)) < times:
                self.gossip.heard.clear()
                await self.gossip.heard.wait()
        return self.gossip.of(kind)

    async def called(self, times: int = 1) -> list[tuple]:
        async with asyncio.timeout(10):
            while len(self.network.calls) < times:
                self.network.asked.clear()
                await self.network.asked.wait()
        return self.network.calls

    async def fails_on(self, command: g.Command) -> None:
        """Runs until `command` ends the exchange."""
        async with self.running():
            self.want(command)
            async with asyncio.timeout(10):
                await asyncio.Event().wait()

    @asynccontextmanager
    async def running(self):
        async with asyncio.TaskGroup() as group:
            task = group.create_task(self.exchange.run())
            yield
            task.cancel()


@pytest.fixture
def bench(home: Home, database: Database, events: Events) -> Bench:
    return Bench(home, database, events)


def received(number: int, rewards: tuple[float, ...] = (1.0, 0.0), **changes: bytes):
    record = make_record(MANIFEST, number, START, rewards, **changes)
    return verify_record(sign_record(key(2), record), manifest=MANIFEST, now=START)


# Commands and answers ------------------------------------------------------------------------------

ANSWERED = [
    (g.Announce((b"a", b"b")), ("announce", (b"a", b"b")), 2, g.Announced(2), g.Announced(0)),
    (
        g.ReadAnnouncements((b"k",)),
        ("read_announcements", (b"k",)),
        [b"x"],
        g.AnnouncementsRead((b"x",)),
        g.AnnouncementsRead(()),
    ),
    (
        g.ReadStatuses((b"k",)),
        ("read_statuses", (b"k",)),
        [b"x"],
        g.StatusesRead((b"x",)),
        g.StatusesRead(()),
    ),
    (
        g.Pull(OTHER, b"d" * 32, 100),
        ("pull", OTHER, b"d" * 32, 100),
        Pulled(b"body", Way.INLINE),
        g.BodyArrived(b"d" * 32, b"body", Way.INLINE),
        g.PullFailed(b"d" * 32, "the other is away"),
    ),
]
UNANSWERED = [
    (g.PublishStatus(b"s"), ("publish_status", b"s"), True),
    (g.StoreBody(b"b"), ("store_body", b"b"), True),
    (g.Connect((ADDRESS,)), ("connect", (ADDRESS,)), 1),
    (g.Disconnect(OTHER), ("disconnect", OTHER), None),
]


@pytest.mark.parametrize(("command", "call", "answer", "event", "_"), ANSWERED)
async def test_what_the_network_answers_is_told_to_gossip(bench, command, call, answer, event, _):
    bench.network.answers[call[0]] = answer
    async with bench.running():
        bench.want(command)
        assert await bench.told(type(event)) == [event]
    assert bench.network.calls == [call]


@pytest.mark.parametrize(("command", "call", "_", "__", "event"), ANSWERED)
async def test_a_network_that_fails_is_told_too_and_ends_nothing(bench, command, call, _, __, event):
    bench.network.error = PullFailedError("the other is away")
    async with bench.running():
        bench.want(command)
        assert await bench.told(type(event)) == [event]
        bench.want(command)
        assert await bench.told(type(event), 2) == [event, event]
    assert bench.network.calls == [call, call]


@pytest.mark.parametrize(("command", "call", "answer"), UNANSWERED)
async def test_what_needs_no_answer_is_done_once_even_when_it_fails(bench, command, call, answer):
    bench.network.answers[call[0]] = answer
    async with bench.running():
        bench.want(command)
        assert await bench.called() == [call]
        bench.network.error = NetworkError("the p2p process died")
        bench.want(command)
        assert await bench.called(2) == [call, call]
        bench.want(command)
        await bench.called(3)
    assert "the p2p process died" in bench.events.named("warning")[0]["message"]


@pytest.mark.parametrize("command", [row[0] for row in ANSWERED + UNANSWERED])
async def test_a_network_that_is_closed_for_good_ends_the_exchange(bench, command):
    bench.network.error = NetworkClosedError("the network is closed: given up after 8 attempts")
    with pytest.raises(ExceptionGroup) as caught:
        await bench.fails_on(command)
    assert caught.group_contains(NetworkClosedError, match="given up after 8 attempts")


def test_what_a_peer_does_to_the_transport_is_told_to_gossip(bench: Bench):
    bench.network.report(OTHER, Misbehaviour.FLOOD)
    assert bench.gossip.of(g.Misbehaved) == [g.Misbehaved(OTHER, Misbehaviour.FLOOD)]


async def test_a_slow_peer_does_not_hold_up_the_others(bench: Bench):
    release = asyncio.Event()

    async def pull(peer_id: PeerId, digest: bytes, size: int) -> Pulled:
        if digest == b"slow":
            await release.wait()
        return Pulled(digest, Way.DIRECT)

    bench.network.pull = pull
    async with bench.running():
        bench.want(g.Pull(OTHER, b"slow", 1), *(g.Pull(OTHER, b"%d" % n, 1) for n in range(20)))
        arrived = await bench.told(g.BodyArrived, 20)
        assert b"slow" not in {event.digest for event in arrived}
        release.set()
        assert (await bench.told(g.BodyArrived, 21))[-1].digest == b"slow"


# What needs no network ----------------------------------------------------------------------------


def test_a_blob_is_stored_at_once(bench: Bench):
    envelope = received(ALLOWED[0]).envelope
    bench.want(g.StoreBlob(b"", envelope))
    assert bench.blobs.get(bench.blobs.newest()) == envelope


def test_an_own_group_that_gossip_publishes_is_entered_in_the_ledger(bench: Bench):
    group, envelope = make_group(MANIFEST, 7), received(ALLOWED[0]).envelope
    bench.gossip.wants = [g.StoreBlob(b"d" * 32, envelope)]
    bench.exchange.publish(group, round_=70)
    bench.exchange.publish(group, round_=70)
    assert bench.gossip.told == [group, group]
    assert bench.database.ledger.counts().published == 1, "the second was not worth publishing"
    [entry] = bench.database.ledger.entries(10)
    assert (entry.digest, entry.round, entry.step) == (b"d" * 32, 70, 7)


def test_a_lost_group_is_entered_with_its_reason(bench: Bench):
    bench.want(g.Drop(b"d" * 32, "signature", OTHER), g.Drop(b"e" * 32, "pull", OTHER))
    assert bench.database.ledger.counts().rejected == {"signature": 1, "pull": 1}
    assert [line["reason"] for line in bench.events.named("rejected")] == ["signature", "pull"]


def test_a_peer_is_remembered_under_the_addresses_that_can_be_dialled(bench: Bench):
    bench.want(g.RememberPeer(OTHER, (MALFORMED, ADDRESS)), g.RememberPeer(peer(9), ("/x/p2p/y",)))
    [seen] = bench.database.peers.known()
    assert (seen.peer_id, seen.addresses) == (OTHER, (ADDRESS,))
    assert [line["peer_id"] for line in bench.events.named("peer_seen")] == [OTHER]


async def test_a_malformed_address_is_never_handed_to_the_network(bench: Bench):
    """The network takes it for the operator's mistake, and would end the daemon."""
    bench.network.answers["connect"] = 1
    async with bench.running():
        bench.want(g.Connect((MALFORMED, ADDRESS)))
        assert await bench.called() == [("connect", (ADDRESS,))]


def test_addresses_are_well_formed_or_left_out():
    assert well_formed((ADDRESS, MALFORMED, "", "/", "\x00", ADDRESS + "/")) == (ADDRESS, ADDRESS)


async def test_more_than_can_be_done_is_dropped_and_said(bench: Bench):
    bench.want(*(g.PublishStatus(b"%d" % n) for n in range(exchange_module.OUTBOX_MAX + 3)))
    assert len(bench.events.named("warning")) == 3
    assert "PublishStatus" not in str(bench.network.calls)


async def test_a_restart_of_the_p2p_process_is_told_once(bench: Bench):
    bench.network.restarts = 1
    async with bench.running():
        await bench.told(g.NetworkRestarted)
        bench.exchange.handle(g.Demand(4, 1.0))
        await bench.told(g.Tick, 2)
    assert len(bench.gossip.of(g.NetworkRestarted)) == 1
    assert [line["restarts"] for line in bench.events.named("network_restarted")] == [1]


async def test_a_pause_of_this_machine_is_told_once(bench: Bench):
    bench.network.pauses = 1
    async with bench.running():
        await bench.told(g.Paused)
        bench.exchange.handle(g.Demand(4, 1.0))
        await bench.told(g.Tick, 2)
    assert len(bench.gossip.of(g.Paused)) == 1
    assert "slept or stood still" in bench.events.named("warning")[0]["message"]


async def test_ticks_carry_the_number_of_neighbours_and_who_does_not_answer(bench: Bench):
    bench.network.connected, bench.network.unheard = 3, frozenset({OTHER})
    async with bench.running():
        told = (await bench.told(g.Tick))[-1]
    assert told == g.Tick(neighbours=3, dialable=True, unheard=frozenset({OTHER}))


# Verdicts -----------------------------------------------------------------------------------------


async def test_a_true_group_goes_into_the_pool_and_can_be_served_to_others(bench: Bench):
    record = received(ALLOWED[0])
    async with bench.running():
        bench.want(g.Verify(record))
        assert await bench.told(g.GroupScored) == [g.GroupScored(record.digest, informative=True)]
    [group] = bench.database.pool.candidates(0, 10)
    assert (group.digest, group.publisher, group.rewards) == (record.digest, OTHER, (1.0, 0.0))
    assert bench.blobs.get(record.digest) == record.envelope
    [line] = bench.events.named("pulled")
    assert (line["digest"], line["publisher"], line["reward"]) == (record.digest.hex(), OTHER, 0.5)


async def test_what_was_on_its_way_from_a_peer_that_is_ignored_now_is_not_kept(bench: Bench):
    record = received(ALLOWED[0])
    bench.gossip.distrusted = {OTHER}
    async with bench.running():
        bench.want(g.Verify(record))
        assert await bench.told(g.GroupRejected) == [g.GroupRejected(record.digest, "ignored")]
    assert len(bench.database.pool) == 0
    assert bench.blobs.get(record.digest) is None


def test_who_delivered_is_remembered_and_whoever_is_ignored_is_forgotten_with_its_groups(bench: Bench):
    entry = g.Acquaintance(OTHER, 3, START - 60, START, "192.0.2.7")
    bench.want(g.RememberAcquaintance(entry))
    assert bench.database.acquaintances.all() == [entry]
    bench.database.pool.add(external_group(1, publisher=OTHER), now=START)
    bench.want(g.StandingChanged(OTHER, "ignored", "question"), g.ForgetPeer(OTHER))
    assert bench.database.acquaintances.all() == []
    assert len(bench.database.pool) == 0
    [line] = bench.events.named("standing")
    assert (line["peer_id"], line["change"], line["why"]) == (OTHER, "ignored", "question")


def test_the_operators_order_is_remembered_and_told_to_gossip(bench: Bench):
    third = key(3).peer_id
    bench.exchange.judge("ban", [OTHER, third])
    assert bench.gossip.of(g.OperatorSaid) == [g.OperatorSaid(OTHER, "ban"), g.OperatorSaid(third, "ban")]
    assert bench.database.acquaintances.words() == {OTHER: "ban", third: "ban"}
    with pytest.raises(ConfigError, match="not trusted"):
        bench.exchange.judge("untrust", [OTHER])
    with pytest.raises(ConfigError, match="this peer itself"):
        bench.exchange.judge("ban", [bench.network.peer_id])
    assert len(bench.gossip.of(g.OperatorSaid)) == 2


async def test_a_group_that_teaches_nothing_here_is_told_as_such(bench: Bench):
    bench.tasks.score_by = lambda position, text: Score(0.0)
    record = received(ALLOWED[0])
    async with bench.running():
        bench.want(g.Verify(record))
        assert await bench.told(g.GroupScored) == [g.GroupScored(record.digest, informative=False)]
    assert bench.database.pool.candidates(0, 10, informative_only=True) == []


async def test_a_false_group_is_rejected_and_kept_nowhere(bench: Bench):
    record = received(ALLOWED[0], question_digest=bytes(32))
    async with bench.running():
        bench.want(g.Verify(record))
        assert await bench.told(g.GroupRejected) == [g.GroupRejected(record.digest, Reason.QUESTION)]
    assert len(bench.database.pool) == 0
    assert bench.blobs.get(record.digest) is None


async def test_many_bodies_at_once_are_all_judged(bench: Bench):
    records = [received(n) for n in ALLOWED[:30]]
    async with bench.running():
        bench.want(*(g.Verify(record) for record in records))
        scored = await bench.told(g.GroupScored, 30)
    assert [event.digest for event in scored] == [record.digest for record in records]
    assert bench.database.ledger.counts().pulled == 30


async def test_a_disk_that_refuses_ends_the_exchange(bench: Bench, home: Home):
    home.records_path.rmdir()
    home.records_path.write_text("not a directory any more")
    with pytest.raises(ExceptionGroup) as caught:
        await bench.fails_on(g.Verify(received(ALLOWED[0])))
    assert caught.group_contains(StorageError, match="records")


# Two of them --------------------------------------------------------------------------------------


def real_exchange(
    hub: MemoryHub, number: int, directory: Path, clock: Callable[[], float]
) -> tuple[Exchange, Database, Events]:
    """A peer's exchange over the memory network, with the real gossip."""
    home = Home.open(directory / str(number))
    database = Database(home.database_path)
    network = hub.network(key(number))
    blobs = BlobStore(home.records_path, 2**20)
    network.serve(bodies=blobs.get, manifest=MANIFEST.to_bytes())
    events = Events(clock)
    exchange = Exchange(
        gossip=g.Gossip(key=key(number), manifest=MANIFEST, rng=random.Random(number), dialable=True),
        network=network,
        verification=Verification(manifest=MANIFEST, tasks=KnownTasks()),
        database=database,
        blobs=blobs,
        events=events,
        clock=clock,
    )
    exchange.handle(make_own_status(key(number)))
    exchange.handle(g.Demand(groups=8, step_seconds=2.0))
    return exchange, database, events


def test_two_peers_swap_groups_while_a_third_tells_lies_about_its_address(tmp_path: Path):
    async def main() -> list[set[tuple[str, str]]]:
        clock = simulated_wall_clock
        hub = MemoryHub(random.Random(0), clock)
        first, first_database, first_events = real_exchange(hub, 1, tmp_path, clock)
        second, second_database, second_events = real_exchange(hub, 2, tmp_path, clock)
        liar = hub.network(key(3), lambda: MANIFEST)
        bootstrap = hub._peers[key(1).peer_id].addresses
        await hub._peers[key(2).peer_id].connect(bootstrap)
        await liar.connect(bootstrap)
        async with asyncio.TaskGroup() as group:
            running = [group.create_task(first.run()), group.create_task(second.run())]
            for number in range(12):
                nonsense = (f"/nonsense/p2p/{key(3).peer_id}",)
                await liar.publish_status(make_status(MANIFEST, key(3), clock(), addresses=nonsense))
                for exchange, offset in ((first, 0), (second, 100)):
                    exchange.publish(make_group(MANIFEST, ALLOWED[offset + number]), round_=0)
                await asyncio.sleep(10)
            for task in running:
                task.cancel()
        for events in (first_events, second_events):
            assert events.named("published")
            assert {line["publisher"] for line in events.named("pulled")} <= {key(1).peer_id, key(2).peer_id}
        seen = []
        for database in (first_database, second_database):
            seen.append({(group.publisher, group.question) for group in database.pool.candidates(0, 100)})
            assert database.ledger.counts().published == 12
            assert key(3).peer_id not in {known.peer_id for known in database.peers.known()}
            database.close()
        return seen

    def offered(number: int, offset: int) -> set[tuple[str, str]]:
        numbers = ALLOWED[offset : offset + 12]
        return {(key(number).peer_id, question(make_task(MANIFEST, n))) for n in numbers}

    at_first, at_second = run_simulated(main())
    assert at_first <= offered(2, 100)
    assert at_second <= offered(1, 0)
    assert min(len(at_first), len(at_second)) >= 6


async def test_who_pulls_an_own_record_is_counted_with_the_next_tick(bench: Bench) -> None:
    own = sign_record(key(1), make_record(MANIFEST, ALLOWED[0], START))
    others = sign_record(key(3), make_record(MANIFEST, ALLOWED[0], START))
    for envelope in (own, own, others):
        bench.network.delivered(OTHER, envelope)
    async with bench.running():
        await bench.told(g.Tick)
    [partner] = bench.database.partners.all().values()
    assert (partner.peer_id, partner.pulls, partner.used) == (OTHER, 2, 0)


async def test_a_full_status_is_asked_for_told_and_remembered(bench: Bench) -> None:
    bench.network.answers["ask_status"] = b"signed"
    async with bench.running():
        bench.want(g.TellStatus(b"own"), g.AskStatus(OTHER), g.RememberClaim(OTHER, 9))
        assert await bench.told(g.FullStatusRead) == [g.FullStatusRead(OTHER, b"signed")]
    assert ("tell", b"own") in bench.network.calls
    assert bench.database.partners.all()[OTHER].claimed == 9


async def test_a_peer_without_a_full_status_is_no_news(bench: Bench) -> None:
    bench.network.error = NetworkError("protocols not supported")
    async with bench.running():
        bench.want(g.AskStatus(OTHER))
        assert await bench.told(g.FullStatusRead) == [g.FullStatusRead(OTHER, None)]
    assert bench.events.named("warning") == []


async def test_a_peer_was_seen_when_it_said_so_last_or_now_if_it_is_connected(bench: Bench) -> None:
    partners, connected = bench.database.partners, key(4).peer_id
    partners.used({OTHER: 1, key(3).peer_id: 1, connected: 1}, now=START - 500)
    status = verify_status(make_status(MANIFEST, key(2), START - 90), swarm=MANIFEST.swarm_id, now=START)
    view = g.PeerView(OTHER, status.status, 90.0, 0, 0, Standing.MET, 1.0, {})
    bench.gossip.peers = (view,)
    bench.network.connections = {connected: "/ip4/192.0.2.7/tcp/4001"}
    async with bench.running():
        await bench.told(g.Tick)
    assert {peer: START - one.last_seen for peer, one in partners.all().items()} == {
        connected: 0,
        OTHER: 90,
        key(3).peer_id: 500,
    }
