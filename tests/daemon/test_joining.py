"""Which swarm a peer is in: the operator's word, then the peers', then the home's, then the built-in one."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

import pytest

from protocol import Manifest, PeerId, Versions
from swarmd.daemon import joining
from swarmd.daemon.joining import Invitation, choose_manifest, read_invitation
from swarmd.errors import ConfigError, NetworkError
from swarmd.network import MemoryHub, NetworkClosedError, run_simulated, simulated_wall_clock
from swarmd.storage import Home
from swarmd.tasks import SwarmFile
from swarmd.tasks.manifest import read_swarm_file
from tests.daemon.fakes import Events
from tests.finding.making import ADDRESS, AUTHOR, RULES, signed
from tests.gossip.making import key, make_manifest

STARTER = make_manifest(tasks=2)
OTHER = make_manifest(tasks=3)
THIRD = make_manifest(tasks=4)
DEAD = f"/ip4/192.0.2.1/tcp/1/p2p/{key(99).peer_id}"

FILE = """
name = "mine"
genesis = 2026-01-01T00:00:00Z
round_seconds = 15
reward = "exact"
max_new_tokens = 16
records_per_round_max = 64

[[tasks]]
name = "bits"
dataset = "count_bits"
[tasks.config]
max_n = 100
"""


@pytest.fixture(autouse=True)
def _presets(monkeypatch):
    """Trying every task of a preset takes a worker seconds; that belongs to the tests of manifests."""
    real, named = joining.find_swarm, {"starter": STARTER, "other": OTHER, "third": THIRD}
    monkeypatch.setattr(
        joining,
        "find_swarm",
        lambda name: SwarmFile(named[name], None, "") if name in named else real(name),
    )


Scene = Callable[..., Manifest]


@pytest.fixture
def choose(home: Home, events: Events) -> Scene:
    """choose(wanted, serving=[manifests], dead=False): the choice of a peer that is given those peers."""

    def run(wanted: str | None, *, serving: tuple[Manifest | None, ...] = (), dead: bool = False) -> Manifest:
        async def main() -> Manifest:
            hub = MemoryHub(random.Random(0), simulated_wall_clock)
            network = hub.network(key(1))
            addresses = [DEAD] if dead else []
            for number, manifest in enumerate(serving, 10):
                other = hub.network(key(number))
                if manifest is not None:
                    other.serve(bodies=lambda digest: None, manifest=manifest.to_bytes())
                addresses += other.addresses
            invitation = await read_invitation(wanted, home)
            return await choose_manifest(
                wanted,
                named=invitation.named,
                home=home,
                network=network,
                peers=addresses,
                events=events,
            )

        return run_simulated(main())

    return run


def kept(home: Home) -> Manifest:
    data = home.read_manifest()
    assert data is not None
    return Manifest.from_bytes(data)


def test_nothing_said_and_nobody_known_is_the_built_in_swarm(choose, home, events):
    assert choose(None) == STARTER == kept(home)
    assert events.named("warning") == []


def test_a_preset_by_name(choose, home):
    assert choose("other") == OTHER == kept(home)


def test_a_manifest_in_a_file(choose, home, tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(FILE)
    manifest = choose(str(path))
    assert (manifest.name, [task.name for task in manifest.tasks]) == ("mine", ["bits"])
    assert kept(home) == manifest


def test_a_name_that_is_nothing_is_the_operators_mistake(choose, home):
    with pytest.raises(ConfigError, match="startr"):
        choose("startr")
    assert home.read_manifest() is None


def test_the_swarm_of_the_peers_given(choose, home):
    assert choose(None, serving=(OTHER,)) == OTHER == kept(home)


def test_the_first_peer_that_answers_decides(choose, events):
    assert choose(None, serving=(None, OTHER), dead=True) == OTHER
    first, second = events.named("warning")
    assert DEAD in first["message"]
    assert "did not say which swarm it is in" in second["message"]


def test_a_peer_that_serves_nonsense_is_passed_over(choose, events, monkeypatch):
    monkeypatch.setattr(Manifest, "to_bytes", lambda self: b"\xff" * 40 if self is THIRD else OTHER_BYTES)
    assert choose(None, serving=(THIRD, OTHER)) == OTHER
    assert len(events.named("warning")) == 1


OTHER_BYTES = OTHER.to_bytes()


async def no_such_name() -> bytes:
    raise NetworkError("no such host")


async def served() -> bytes:
    return OTHER_BYTES


async def too_slow() -> bytes:
    await asyncio.sleep(3_600)
    return OTHER_BYTES


@pytest.mark.parametrize("passing", [no_such_name, too_slow])
def test_a_new_home_waits_for_the_peers_given_and_never_takes_the_built_in_swarm(
    home, events, monkeypatch, passing
):
    async def main() -> Manifest:
        network = MemoryHub(random.Random(0), simulated_wall_clock).network(key(1))
        answer = passing
        monkeypatch.setattr(network, "fetch_manifest", lambda address: answer())
        async with asyncio.TaskGroup() as group:
            choice = group.create_task(
                choose_manifest(None, home=home, network=network, peers=[DEAD], events=events)
            )
            await asyncio.sleep(600)
            assert not choice.done()
            assert home.read_manifest() is None
            answer = served
        return choice.result()

    assert run_simulated(main()) == OTHER == kept(home)
    asked, waiting = events.named("warning")[:2]
    assert DEAD in asked["message"]
    assert "asking again in 5 s" in waiting["message"]
    assert "--port 443" in waiting["message"], "what a network needs that lets little else out"
    assert "name the swarm with --swarm" in waiting["message"]


def test_a_new_home_whose_peers_serve_nothing_that_can_be_read_is_refused_and_bound_to_nothing(
    choose, home, monkeypatch
):
    monkeypatch.setattr(Manifest, "to_bytes", lambda self: b"\xff" * 40)
    with pytest.raises(ConfigError, match="none of the peers in --peer serves a manifest"):
        choose(None, serving=(THIRD, OTHER))
    assert home.read_manifest() is None


def test_a_peer_that_is_given_its_own_address_alone_knows_nobody(home, events):
    async def main() -> Manifest:
        network = MemoryHub(random.Random(0), simulated_wall_clock).network(key(1))
        own = [f"/ip4/192.0.2.1/tcp/1/p2p/{network.peer_id}"]
        return await choose_manifest(None, home=home, network=network, peers=own, events=events)

    assert run_simulated(main()) == STARTER


def test_a_network_that_is_closed_ends_the_wait(home, events, monkeypatch):
    async def closed(address: str) -> bytes:
        raise NetworkClosedError("closed")

    async def main() -> Manifest:
        network = MemoryHub(random.Random(0), simulated_wall_clock).network(key(1))
        monkeypatch.setattr(network, "fetch_manifest", closed)
        return await choose_manifest(None, home=home, network=network, peers=[DEAD], events=events)

    with pytest.raises(NetworkClosedError):
        run_simulated(main())


def test_with_all_peers_dead_a_home_stays_in_its_swarm(choose, home):
    home.write_manifest(OTHER.to_bytes())
    assert choose(None, dead=True) == OTHER


def test_a_home_stays_in_its_swarm(choose, home):
    home.write_manifest(OTHER.to_bytes())
    assert choose(None) == OTHER
    assert choose("other") == OTHER
    assert choose(OTHER.swarm_id.hex()) == OTHER
    assert choose(OTHER.swarm_id.hex().upper()) == OTHER


@pytest.mark.parametrize("wanted", ["third", THIRD.swarm_id.hex(), None])
def test_a_home_of_another_swarm_is_refused_and_left_as_it_is(choose, home, wanted):
    home.write_manifest(OTHER.to_bytes())
    with pytest.raises(ConfigError, match=r"belongs to the swarm .* use a different --home") as caught:
        choose(wanted, serving=(THIRD,))
    assert OTHER.swarm_id.hex()[:12] in str(caught.value)
    assert THIRD.swarm_id.hex()[:12] in str(caught.value)
    assert kept(home) == OTHER


def test_an_id_is_asked_of_the_peers(choose, home):
    assert choose(OTHER.swarm_id.hex(), serving=(OTHER,)) == OTHER == kept(home)


def test_an_id_without_anybody_to_ask_is_the_operators_mistake(choose):
    with pytest.raises(ConfigError, match="--peer"):
        choose(OTHER.swarm_id.hex())


def test_an_id_that_is_not_the_peers_swarm_is_the_operators_mistake(choose, home):
    with pytest.raises(ConfigError, match=THIRD.swarm_id.hex()):
        choose(OTHER.swarm_id.hex(), serving=(THIRD,))
    assert home.read_manifest() is None


def test_an_id_is_asked_for_until_somebody_is_there(home, events):
    async def main() -> Manifest:
        hub = MemoryHub(random.Random(0), simulated_wall_clock)
        network = hub.network(key(1))
        address = hub.network(key(2)).addresses  # not yet serving
        async with asyncio.TaskGroup() as group:
            choice = group.create_task(
                choose_manifest(
                    OTHER.swarm_id.hex(), home=home, network=network, peers=address, events=events
                )
            )
            await asyncio.sleep(60)
            assert not choice.done()
            hub._peers[key(2).peer_id].serve(bodies=lambda digest: None, manifest=OTHER.to_bytes())
        return choice.result()

    assert run_simulated(main()) == OTHER
    assert any("asking again" in line["message"] for line in events.named("warning"))


def test_a_manifest_that_was_damaged_is_named_with_the_remedy(choose, home):
    home.write_manifest(b"\x00" * 100)
    with pytest.raises(ConfigError, match=r"manifest\.cbor is not a manifest .* move it away"):
        choose(None)


def test_a_peer_of_another_protocol_version_is_told_as_such(home, events, monkeypatch):
    async def newer(peer: PeerId) -> bytes:
        return Versions(oldest=2, newest=2, agent="swarmd/9.0").to_bytes()

    async def refuse(address: str) -> bytes:
        raise NetworkError("protocols not supported")

    async def main() -> Manifest:
        hub = MemoryHub(random.Random(0), simulated_wall_clock)
        network, other, good = hub.network(key(1)), hub.network(key(10)), hub.network(key(11))
        good.serve(bodies=lambda digest: None, manifest=OTHER.to_bytes())
        monkeypatch.setattr(network, "ask_versions", newer)
        fetch = network.fetch_manifest
        monkeypatch.setattr(
            network,
            "fetch_manifest",
            lambda address: refuse(address) if address in other.addresses else fetch(address),
        )
        peers = [*other.addresses, *good.addresses]
        return await choose_manifest(None, home=home, network=network, peers=peers, events=events)

    assert run_simulated(main()) == OTHER
    [warning] = events.named("warning")
    assert "did not say which swarm it is in" in warning["message"]
    assert "supports protocol version 2 and newer, but this swarmd supports only 1" in warning["message"]
    assert "upgrade swarmd here" in warning["message"]


@pytest.fixture
def invitation_of(home: Home) -> Callable[[str], Invitation]:
    return lambda wanted: asyncio.run(read_invitation(wanted, home))


def test_a_signed_file_brings_addresses_and_its_author(invitation_of, home, tmp_path):
    path = tmp_path / "garden.toml"
    path.write_text(signed())
    invitation = invitation_of(str(path))
    assert invitation.bootstrap == (ADDRESS,)
    assert invitation.charter is not None
    assert invitation.charter.author == AUTHOR.peer_id
    assert home.charter() is None  # nothing is kept before the swarm is chosen


def test_without_a_word_the_author_of_the_home_is_remembered(home, tmp_path):
    path = tmp_path / "garden.toml"
    path.write_text(signed())
    charter = read_swarm_file(str(path))[0].charter
    assert charter is not None
    home.write_charter(charter)
    assert asyncio.run(read_invitation(None, home)).bootstrap == (ADDRESS,)
    assert asyncio.run(read_invitation("ab" * 32, home)).charter == charter


def test_an_unsigned_file_is_refused_where_a_signed_one_was(invitation_of, home, tmp_path):
    test_without_a_word_the_author_of_the_home_is_remembered(home, tmp_path)
    path = tmp_path / "plain.toml"
    path.write_text(RULES)
    with pytest.raises(ConfigError, match=r"plain\.toml is not signed"):
        invitation_of(str(path))
