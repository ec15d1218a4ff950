"""What both implementations of `Network` promise, run against both."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from protocol import PROTOCOL_VERSIONS, Versions, compress_body, digest_of
from swarmd.errors import ConfigError, NetworkError
from swarmd.network import Network, NetworkClosedError, PullFailedError

DEAD = "/ip4/127.0.0.1/tcp/9/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN"


def test_a_peer_alone_stores_and_reads_for_itself(world: Any) -> None:
    async def scenario(world: Any) -> None:
        peer = await world.peer(0)
        body = world.record(peer.key, world.clock())
        announcement = world.announcement(peer.key, body, world.clock())
        status = world.status(peer.key, world.clock())
        assert await peer.network.announce([announcement]) == 1
        assert await peer.network.publish_status(status)
        assert await peer.network.read_announcements([world.announcements_key]) == [announcement]
        assert await peer.network.read_statuses([world.members_key(peer.key)]) == [status]

    world.run(scenario)


def test_dead_bootstrap_peers_are_no_error(world: Any) -> None:
    async def scenario(world: Any) -> None:
        peer = await world.peer(0)
        assert await peer.network.connect([DEAD]) == 0
        assert await peer.network.connect([]) == 0
        assert peer.network.statistics().connected_peers == 0

    world.run(scenario)


def test_a_malformed_address_is_named_with_the_right_form(world: Any) -> None:
    async def scenario(world: Any) -> None:
        peer = await world.peer(0)
        with pytest.raises(ConfigError, match=r"'localhost:41000'.*/ip4/ADDRESS/tcp/PORT/p2p/PEER_ID"):
            await peer.network.connect(["localhost:41000"])

    world.run(scenario)


def test_what_one_peer_publishes_every_other_reads(world: Any) -> None:
    async def scenario(world: Any) -> None:
        peers = await world.swarm(4)
        sent = []
        for peer in peers:
            body = world.record(peer.key, world.clock())
            sent.append(world.announcement(peer.key, body, world.clock()))
            assert await peer.network.announce(sent[-1:]) == 1
            assert await peer.network.publish_status(world.status(peer.key, world.clock()))
        for peer in peers:
            read = await peer.network.read_announcements([world.announcements_key])
            assert sorted(read) == sorted(sent)
            statuses = await peer.network.read_statuses([world.members_key(other.key) for other in peers])
            assert len(statuses) == 4

    world.run(scenario)


def test_what_others_have_it_hold_is_news_to_a_peer_and_its_own_is_not(world: Any) -> None:
    async def scenario(world: Any) -> None:
        writer, holder = await world.swarm(2)
        news: dict[str, list[bytes]] = {"writer": [], "holder": []}
        writer.network.news_by(news["writer"].append)
        holder.network.news_by(news["holder"].append)
        announcement = world.announcement(writer.key, world.record(writer.key, world.clock()), world.clock())
        await writer.network.announce([announcement])
        await writer.network.publish_status(world.status(writer.key, world.clock()))
        assert news == {"writer": [], "holder": [announcement]}

    world.run(scenario)


def test_a_publisher_tells_its_own_announcements_and_no_others(world: Any) -> None:
    async def scenario(world: Any) -> None:
        one, other = await world.swarm(2)
        bodies = [world.record(one.key, world.clock(), number) for number in range(3)]
        sent = [world.announcement(one.key, body, world.clock()) for body in bodies]
        foreign = world.announcement(other.key, world.record(other.key, world.clock(), 9), world.clock())
        assert await other.network.announcements_of(one.network.peer_id) == []
        one.network.tell_announcement(sent[0])
        assert await other.network.announcements_of(one.network.peer_id) == sent[:1]
        assert await other.network.read_announcements([world.announcements_key]) == [], "not announced yet"
        await one.network.announce([*sent, foreign])
        assert await other.network.announcements_of(one.network.peer_id) == sent
        assert await one.network.announcements_of(other.network.peer_id) == []

    world.run(scenario)


def test_a_growing_dictionary_is_read_fresh_each_time(world: Any) -> None:
    async def scenario(world: Any) -> None:
        writer, reader, _ = await world.swarm(3)
        sent: list[bytes] = []
        for number in range(6):
            body = world.record(writer.key, world.clock(), number)
            sent.append(world.announcement(writer.key, body, world.clock()))
            assert await writer.network.announce(sent[-1:]) == 1
            assert sorted(await reader.network.read_announcements([world.announcements_key])) == sorted(sent)

    world.run(scenario)


def test_announcing_again_is_harmless(world: Any) -> None:
    async def scenario(world: Any) -> None:
        one, other = await world.swarm(2)
        announcement = world.announcement(one.key, world.record(one.key, world.clock()), world.clock())
        assert await one.network.announce([announcement]) == 1
        assert await other.network.announce([announcement]) == 1
        assert await one.network.read_announcements([world.announcements_key]) == [announcement]

    world.run(scenario)


def test_a_newer_status_replaces_the_older(world: Any) -> None:
    async def scenario(world: Any) -> None:
        one, other = await world.swarm(2)
        now = world.clock()
        older = world.status(one.key, now, step=1)
        newer = world.status(one.key, now, step=2, expires=int(now) + 700)
        assert await one.network.publish_status(older)
        assert await one.network.publish_status(newer)
        assert not await one.network.publish_status(older)
        assert await other.network.read_statuses([world.members_key(one.key)]) == [newer]

    world.run(scenario)


def test_a_shard_holds_no_more_than_its_bound(world: Any) -> None:
    async def scenario(world: Any) -> None:
        one, other = await world.swarm(2)
        now = world.clock()
        envelopes = [
            world.announcement(one.key, world.record(one.key, now, number), now) for number in range(70)
        ]
        assert await one.network.announce(envelopes) == 64
        assert len(await other.network.read_announcements([world.announcements_key])) == 64

    world.run(scenario)


def test_a_full_shard_makes_room_for_another_publisher(world: Any) -> None:
    async def scenario(world: Any) -> None:
        flooder, other = await world.swarm(2)
        now = world.clock()
        flood = [
            world.announcement(flooder.key, world.record(flooder.key, now, number), now)
            for number in range(64)
        ]
        assert await flooder.network.announce(flood) == 64
        own = world.announcement(other.key, world.record(other.key, now), now)
        assert await other.network.announce([own]) == 1
        assert own in await flooder.network.read_announcements([world.announcements_key])

    world.run(scenario)


def test_things_of_another_swarm_or_past_their_time_are_not_published(world: Any) -> None:
    async def scenario(world: Any) -> None:
        one, other = await world.swarm(2)
        now = world.clock()
        body = world.record(one.key, now)
        elsewhere = world.announcement(one.key, body, now, swarm=bytes(32))
        stale = world.announcement(one.key, body, now, expires=int(now) - 10)
        everlasting = world.announcement(one.key, body, now, expires=int(now) + 365 * 86_400)
        assert await one.network.announce([elsewhere, stale, everlasting, b"junk"]) == 0
        assert await other.network.read_announcements([world.announcements_key]) == []

    world.run(scenario)


def test_an_oversized_body_is_refused_and_does_no_harm(world: Any) -> None:
    async def scenario(world: Any) -> None:
        one, other = await world.swarm(2)
        assert not await one.network.store_body(bytes(65_537))
        assert not await one.network.store_body(bytes(5 * 2**20))
        announcement = world.announcement(one.key, world.record(one.key, world.clock()), world.clock())
        assert await one.network.announce([announcement]) == 1
        assert await other.network.read_announcements([world.announcements_key]) == [announcement]

    world.run(scenario)


def test_a_body_is_pulled_by_its_digest(world: Any) -> None:
    async def scenario(world: Any) -> None:
        one, other = await world.swarm(2)
        body = world.record(one.key, world.clock(), text="x" * 16_000)
        digest = one.hold(body)
        assert (await other.network.pull(one.network.peer_id, digest, len(body))).envelope == body
        taken, given = other.network.statistics(), one.network.statistics()
        assert (taken.bytes_pulled, taken.pulls_failed) == (len(compress_body(body)), 0)
        assert given.bytes_served == taken.bytes_pulled, "both count what travelled"

    world.run(scenario)


def test_many_pulls_at_once_all_succeed(world: Any) -> None:
    async def scenario(world: Any) -> None:
        one, other = await world.swarm(2)
        bodies = [world.record(one.key, world.clock(), number) for number in range(40)]
        async with asyncio.TaskGroup() as group:
            pulls = [
                group.create_task(other.network.pull(one.network.peer_id, one.hold(body), len(body)))
                for body in bodies
            ]
        assert [pull.result().envelope for pull in pulls] == bodies

    world.run(scenario)


def test_an_absent_body_cannot_be_pulled(world: Any) -> None:
    async def scenario(world: Any) -> None:
        one, other = await world.swarm(2)
        with pytest.raises(PullFailedError, match="does not hold it"):
            await other.network.pull(one.network.peer_id, bytes(32), 100)
        assert other.network.statistics().pulls_failed == 1

    world.run(scenario)


def test_a_body_of_another_digest_is_refused(world: Any) -> None:
    async def scenario(world: Any) -> None:
        one, other = await world.swarm(2)
        body = world.record(one.key, world.clock())
        one.bodies[bytes(32)] = body
        with pytest.raises(PullFailedError, match="other bytes"):
            await other.network.pull(one.network.peer_id, bytes(32), len(body))

    world.run(scenario)


def test_a_body_larger_than_announced_is_refused_and_never_read_far(world: Any) -> None:
    async def scenario(world: Any) -> None:
        one, other = await world.swarm(2)
        digest = one.hold(bytes(1_000))
        huge = one.hold(bytes(65_537))
        incompressible = one.hold(random.Random(1).randbytes(70_000))
        with pytest.raises(PullFailedError, match="more than 999 bytes"):
            await other.network.pull(one.network.peer_id, digest, 999)
        with pytest.raises(PullFailedError, match="more than 65536 bytes"):
            await other.network.pull(one.network.peer_id, huge, 65_537)
        with pytest.raises(PullFailedError, match="at most 65"):  # refused by its length, before it is read
            await other.network.pull(one.network.peer_id, incompressible, 70_000)

    world.run(scenario)


def test_a_body_stored_in_the_dht_can_be_pulled_when_its_publisher_is_gone(world: Any) -> None:
    async def scenario(world: Any) -> None:
        one, two, three = await world.swarm(3)
        body = world.record(three.key, world.clock())
        assert await three.network.store_body(body)
        await three.network.close()
        assert (await two.network.pull(three.network.peer_id, digest_of(body), len(body))).envelope == body
        assert (await one.network.pull(three.network.peer_id, digest_of(body), len(body))).envelope == body

    world.run(scenario)


def test_what_was_published_alone_is_found_by_later_peers(world: Any) -> None:
    async def scenario(world: Any) -> None:
        one = await world.peer(0)
        announcement = world.announcement(one.key, world.record(one.key, world.clock()), world.clock())
        assert await one.network.announce([announcement]) == 1
        two = await world.peer(1, to=one)
        assert await two.network.read_announcements([world.announcements_key]) == [announcement]

    world.run(scenario)


def test_the_manifest_is_fetched_from_a_peer_that_is_not_joined_yet(world: Any) -> None:
    async def scenario(world: Any) -> None:
        one, two = await world.peer(0), await world.peer(1)
        assert await two.network.fetch_manifest(one.network.addresses[0]) == world.manifest.to_bytes()
        with pytest.raises(NetworkError):
            await two.network.fetch_manifest(DEAD)

    world.run(scenario)


def test_a_newcomer_joins_through_any_peer(world: Any) -> None:
    async def scenario(world: Any) -> None:
        first, second = await world.swarm(2)
        announcement = world.announcement(first.key, world.record(first.key, world.clock()), world.clock())
        await first.network.announce([announcement])
        third = await world.peer(2, to=second)
        assert await third.network.read_announcements([world.announcements_key]) == [announcement]
        body = world.record(first.key, world.clock())
        assert (await third.network.pull(first.network.peer_id, first.hold(body), len(body))).envelope == body

    world.run(scenario)


def test_a_closed_network_says_so_and_closes_twice(world: Any) -> None:
    async def scenario(world: Any) -> None:
        network: Network = (await world.peer(0)).network
        await network.close()
        await network.close()
        with pytest.raises(NetworkClosedError):
            await network.read_announcements([world.announcements_key])
        with pytest.raises(NetworkClosedError):
            await network.connect([DEAD])

    world.run(scenario)


def test_a_full_status_is_given_to_whoever_asks_once_there_is_one(world: Any) -> None:
    async def scenario(world: Any) -> None:
        one, other = await world.swarm(2)
        with pytest.raises(NetworkError, match="does not hold it"):
            await other.network.ask_status(one.network.peer_id)
        one.network.tell(b"signed")
        assert await other.network.ask_status(one.network.peer_id) == b"signed"
        one.network.tell(b"signed", b"with credits")
        assert await other.network.ask_status(one.network.peer_id) == b"with credits"

    world.run(scenario)


def test_a_charter_is_given_once_there_is_one_and_the_versions_at_any_time(world: Any) -> None:
    async def scenario(world: Any) -> None:
        one, other = await world.swarm(2)
        with pytest.raises(NetworkError, match="does not hold it"):
            await other.network.ask_charter(one.network.peer_id)
        one.network.tell_charter(b"signed")
        assert await other.network.ask_charter(one.network.peer_id) == b"signed"
        versions = Versions.from_bytes(await other.network.ask_versions(one.network.peer_id))
        assert (versions.oldest, versions.newest) == PROTOCOL_VERSIONS
        assert versions.agent.startswith("swarmd/")

    world.run(scenario)


def test_who_pulled_a_body_is_reported_to_the_peer_that_served_it(world: Any) -> None:
    async def scenario(world: Any) -> None:
        one, other = await world.swarm(2)
        delivered: list[tuple[str, bytes]] = []
        one.network.count_by(lambda peer, body: delivered.append((peer, body)))
        body = world.record(one.key, world.clock())
        await other.network.pull(one.network.peer_id, one.hold(body), len(body))
        with pytest.raises(PullFailedError):
            await other.network.pull(one.network.peer_id, bytes(32), len(body))
        assert delivered == [(other.network.peer_id, body)]

    world.run(scenario)
