"""The shell round gossip: each command meets its one call, each answer comes back as its one event."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from protocol import PeerId, sign_record, verify_status
from swarmd import gossip as g
from swarmd.daemon import exchange as exchange_module
from swarmd.daemon.exchange import Exchange
from swarmd.errors import NetworkError
from swarmd.network import MemoryHub, run_simulated, simulated_wall_clock
from swarmd.network.interface import Misbehaviour, NetworkClosedError, Pulled, PullFailedError, Standing, Way
from swarmd.step.verification import Verification
from swarmd.storage import BlobStore, Database, Home
from tests.daemon.exchange_bench import ALLOWED, MANIFEST, OTHER, Bench, received
from tests.daemon.fakes import (
    Events,
    KnownTasks,
    peer,
)
from tests.gossip.making import (
    START,
    key,
    make_group,
    make_own_status,
    make_record,
    make_status,
    make_task,
    question,
)

ADDRESS = f"/ip4/192.0.2.7/tcp/4001/p2p/{OTHER}"
MALFORMED = f"/nonsense/p2p/{OTHER}"


# Commands and answers ------------------------------------------------------------------------------

ANSWERED = [
    (g.Announce((b"a", b"b")), ("announce", (b"a", b"b")), 2, g.Announced(2), g.Announced(0)),
    (
        g.ReadAnnouncements((b"k",)),
        ("read_announcements", (b"k",)),
        [b"x"],
        g.AnnouncementsRead((b"x",)),
        g.AnnouncementsRead((), failed=True),
    ),
    (
        g.ReadStatuses((b"k",)),
        ("read_statuses", (b"k",)),
        [b"x"],
        g.StatusesRead((b"x",)),
        g.StatusesRead((), failed=True),
    ),
    (
        g.Pull(OTHER, b"d" * 32, 100),
        ("pull", OTHER, b"d" * 32, 100),
        Pulled(b"body", Way.INLINE),
        g.BodyArrived(b"d" * 32, b"body", Way.INLINE),
        g.PullFailed(b"d" * 32, "the other is away"),
    ),
    (
        g.PublishStatus(b"s", 32),
        ("publish_status", b"s", 32),
        False,
        g.StatusPublished(kept=False),
        g.StatusPublished(kept=True),
    ),
]
UNANSWERED = [
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


async def test_commands_that_wait_for_nobody_and_ask_for_more_leave_others_their_turn(bench) -> None:
    read, plain, reads = g.ReadAnnouncements((b"k",)), bench.gossip.handle, []

    async def read_at_once(keys: tuple[bytes, ...]) -> list[bytes]:
        reads.append(keys)
        return []

    def handle(event: g.Event, now: float) -> list[g.Command]:
        if isinstance(event, g.AnnouncementsRead) and len(reads) < 1_000:
            bench.gossip.wants = [read]
        return plain(event, now)

    bench.network.read_announcements, bench.gossip.handle = read_at_once, handle
    async with bench.running():
        bench.want(read)
        for _ in range(50):
            await asyncio.sleep(0)
        assert 1 < len(reads) < 1_000


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
    assert bench.exchange.publish(group, round_=70) == b"d" * 32
    assert bench.exchange.publish(group, round_=70) == g.NotPublished(g.Unpublished.UNINFORMATIVE)
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
    assert "was asleep or suspended" in bench.events.named("warning")[0]["message"]


async def test_ticks_carry_the_number_of_neighbours_and_who_does_not_answer(bench: Bench):
    bench.network.connected, bench.network.unheard = 3, frozenset({OTHER})
    async with bench.running():
        told = (await bench.told(g.Tick))[-1]
    assert told == g.Tick(neighbours=3, dialable=True, unheard=frozenset({OTHER}))


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


async def test_an_announcement_that_waits_is_told_by_the_network(bench: Bench) -> None:
    async with bench.running():
        bench.want(g.TellAnnouncement(b"own"))
        await bench.told(g.Tick)
    assert ("tell_announcement", b"own") in bench.network.calls


async def test_a_publisher_is_asked_for_its_announcements(bench: Bench) -> None:
    bench.network.answers["announcements_of"] = [b"one", b"two"]
    async with bench.running():
        bench.want(g.AskPublisher(OTHER))
        assert await bench.told(g.PublisherTold) == [g.PublisherTold(OTHER, (b"one", b"two"))]
    assert ("announcements_of", OTHER) in bench.network.calls


async def test_a_publisher_that_does_not_answer_tells_nothing_and_is_no_news(bench: Bench) -> None:
    bench.network.error = NetworkError("gone")
    async with bench.running():
        bench.want(g.AskPublisher(OTHER))
        assert await bench.told(g.PublisherTold) == [g.PublisherTold(OTHER, ())]
    assert bench.events.named("warning") == []


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
