"""A publisher that delivered is asked for more, and one that had to be dialled is pulled from again."""

from __future__ import annotations

import random
from collections import Counter

from protocol import KeyPair, sign_record
from swarmd import gossip as g
from swarmd.gossip.candidates import Candidate, Candidates
from swarmd.gossip.contacts import Contacts, Party
from swarmd.gossip.limits import GossipLimits
from swarmd.gossip.places import STRANGERS_PLACES
from swarmd.gossip.visits import VISIT_S, Visits
from swarmd.network.interface import PullFailure, Standing, Way
from tests.gossip.making import START, announce, announced_record, key, make_manifest, make_record
from tests.gossip.test_pulling import Hand

MANIFEST = make_manifest()
LIMITS = GossipLimits()
SHARE = int(LIMITS.pull_share_max * LIMITS.pull_window)


def party(number: int, standing: Standing = Standing.MET) -> Party:
    return Party(f"10.0.{number}.0", standing)


class Stall:
    """Candidates of some publishers, each a party of its own, that never run out."""

    def __init__(self, standings: dict[int, Standing], seed: int = 1) -> None:
        self.standings = {key(number).peer_id: (number, each) for number, each in standings.items()}
        self.candidates = Candidates(LIMITS, random.Random(seed))
        self.made = 0
        for number in standings:
            for _ in range(SHARE):
                self.fill(number)

    def fill(self, number: int) -> None:
        self.made += 1
        announced, _ = announced_record(MANIFEST, key(number), self.made, START)
        self.candidates.add(Candidate(announced))

    def take(self, visited: set[int], drawn_as: Party | None = None) -> int:
        peers = {key(number).peer_id for number in visited}
        taken = self.candidates.take(
            START,
            lambda _peer: True,
            (),
            lambda peer: party(*self.standings[peer]),
            lambda peer: (drawn_as or party(*self.standings[peer])) if peer in peers else None,
        )
        assert taken is not None
        number, _ = self.standings[taken.announced.publisher]
        self.fill(number)
        return number


def test_a_visited_publisher_has_the_next_pulls_up_to_its_share():
    stall = Stall(dict.fromkeys(range(1, 9), Standing.MET))
    took = [stall.take({3}) for _ in range(SHARE + 4)]
    assert took[:SHARE] == [3] * SHARE
    assert 3 not in took[SHARE:]


def test_whoever_is_always_there_has_no_more_pulls_for_being_visited():
    stall = Stall(dict.fromkeys(range(1, 9), Standing.MET))
    counts = Counter[int]()
    last = 0
    for _ in range(1_600):
        last = stall.take({1} if last == 1 else set())
        counts[last] += 1
    assert counts[1] <= 1.15 * 200, "an eighth"


def test_one_address_with_a_new_name_for_every_turn_of_the_strangers_has_no_more_pulls_for_being_visited():
    """Its names are strangers when they are drawn and leave after a visit, so no debt is paid by a name."""
    strangers, crowd = Party("unmet", Standing.STRANGER), party(99)
    stall = Stall(dict.fromkeys(range(1, 9), Standing.MET))
    numbers = {peer: number for peer, (number, _) in stall.standings.items()}
    met: set[str] = set()
    name = 100
    pulls = 0

    def arrive() -> None:
        stall.standings[key(name).peer_id] = name, Standing.MET
        for _ in range(SHARE):
            stall.fill(name)

    arrive()
    for _ in range(800):
        taken = stall.candidates.take(
            START,
            lambda _peer: True,
            (),
            lambda peer: party(numbers[peer]) if peer in numbers else crowd if peer in met else strangers,
            lambda peer: strangers if peer in met else None,
        )
        assert taken is not None
        peer = taken.announced.publisher
        if peer in numbers:
            stall.fill(numbers[peer])
            continue
        pulls += 1
        if peer not in met:
            met.add(peer)
            name += 1
            arrive()
    assert pulls <= 1.3 * 800 / 9, "a ninth: the strangers are one party beside eight others"


def test_newcomers_that_are_visited_still_have_at_most_half_of_the_pulls_beside_known_peers():
    standings = dict.fromkeys(range(1, 9), Standing.MET) | dict.fromkeys(range(9, 17), Standing.KNOWN)
    stall = Stall(standings)
    counts = Counter(stall.standings[key(stall.take(set(range(1, 9)))).peer_id][1] for _ in range(1_000))
    assert 430 <= counts[Standing.MET] <= 550


def test_a_visit_is_a_turn_of_the_party_as_which_the_publisher_was_drawn():
    """Strangers and peers on trial do not exchange turns by delivering once."""
    late, strangers = Party("10.0.1.0", Standing.MET, on_trial=True), Party("unmet", Standing.STRANGER)
    standings = {1: Standing.MET, 2: Standing.STRANGER}
    shares = {}
    for drawn_as in (late, strangers):
        stalls = [Stall(standings, seed) for seed in range(25)]
        shares[drawn_as.on_trial] = sum(
            stall.take({1}, drawn_as) == 1 for stall in stalls for _ in range(SHARE)
        )
    assert shares[False] == 25 * SHARE
    assert shares[True] <= 25 * SHARE * 0.3, "a fifth"


def test_a_stranger_is_not_visited():
    stall = Stall({1: Standing.STRANGER, 2: Standing.MET})
    assert Counter(stall.take({1}) for _ in range(200))[1] <= 130


def test_who_was_connected_is_not_visited_and_who_had_to_be_dialled_is_for_a_while():
    near, far = key(1), key(2)
    for enough in (False, True):
        hand = Hand()
        crowd = (key(number).peer_id for number in range(100, 100 + LIMITS.visit_connections_min - 1))
        others = {peer: f"/ip4/10.0.{number}.1/tcp/1" for number, peer in enumerate(crowd) if enough}
        hand.contacts.connected({near.peer_id: "/ip4/192.0.2.1/tcp/1"} | others, START)
        for number, signer in enumerate((near, far)):
            hand.offer(signer, number)
        assert len(hand.puller.pulls(START)) == 2
        visits = hand.puller.visits
        assert (visits.drawn_as(far.peer_id, START) is None) is not enough, "a small swarm stays connected"
    assert visits.drawn_as(near.peer_id, START + 1) is None
    drawn_as = visits.drawn_as(far.peer_id, START + 1)
    assert drawn_as is not None
    assert drawn_as.standing is Standing.STRANGER
    assert visits.drawn_as(far.peer_id, START + VISIT_S) is None


def test_the_pulls_of_a_visit_take_the_places_of_the_party_as_which_the_publisher_was_drawn():
    """A stranger that delivered once must not fill the backlog of verification with slow groups at once."""
    hand = Hand()
    crowd = {key(n).peer_id: f"/ip4/10.1.{n}.1/tcp/1" for n in range(100, 100 + LIMITS.visit_connections_min)}
    hand.contacts.connected(crowd, START)
    hand.contacts.delivered(key(100).peer_id, Way.DIRECT, "/ip4/10.1.100.1/tcp/1", START)
    assert hand.puller.pulls(START) == []
    number = 0
    for name in range(1, 9):
        hand.offer(key(name), number := number + 1)
        now = START + 20 * name
        if not (pulls := hand.puller.pulls(now)):
            break
        first, *slow = pulls
        hand.teach(first, now, Way.DIRECT, "/ip4/192.0.2.1/tcp/1")
        for _ in range(LIMITS.pulls_per_peer):
            hand.offer(key(name), number := number + 1)
        for pull in [*slow, *hand.puller.pulls(now)]:
            hand.deliver(pull, now, Way.DIRECT, "/ip4/192.0.2.1/tcp/1")
    assert 0 < hand.puller.verifying <= STRANGERS_PLACES * LIMITS.verifying_max


def test_a_publisher_is_asked_again_only_after_a_while_however_many_others_are_asked():
    visits, peer = Visits(LIMITS, Contacts(LIMITS)), key(1).peer_id
    assert visits.ask(peer, START)
    for number in range(2, 500):
        assert visits.ask(key(number).peer_id, START)
    assert not visits.ask(peer, START + LIMITS.publisher_interval_s - 1)
    assert visits.ask(peer, START + LIMITS.publisher_interval_s)


def test_groups_that_their_publisher_told_are_no_chance_meetings_that_show_the_size_of_the_swarm():
    sizes = {}
    for told in (True, False):
        contacts = Contacts(LIMITS)
        for number in range(1, 41):
            for time in range(4):
                address = f"/ip4/10.0.{number}.1/tcp/1"
                contacts.delivered(key(number).peer_id, Way.DIRECT, address, START, told=told and time > 0)
        for second in range(30):
            sizes[told] = contacts.size(START + second)
    assert sizes == {True: 81, False: 41}, "no publisher was met twice by chance: as many again are unheard"


# The machine ---------------------------------------------------------------------------------------------


def announcement(signer: KeyPair, number: int) -> tuple[bytes, bytes]:
    """An announcement and its body."""
    record = make_record(MANIFEST, number, START)
    body = sign_record(signer, record)
    return announce(signer, record, body), body


def visiting(*, way: Way = Way.DIRECT) -> tuple[g.Gossip, list[g.Command]]:
    """A machine that pulled one record of peer 1, and its commands when the body arrived."""
    gossip = g.Gossip(key=key(0), manifest=MANIFEST, rng=random.Random(1))
    gossip.handle(g.Demand(8, 5.0), START)
    envelope, body = announcement(key(1), 1)
    (pull,) = [c for c in gossip.handle(g.AnnouncementHeld(envelope), START) if isinstance(c, g.Pull)]
    return gossip, gossip.handle(g.BodyArrived(pull.digest, body, way, "/ip4/10.0.0.1/tcp/1"), START + 1)


def test_whoever_delivered_is_asked_and_what_it_tells_is_pulled():
    gossip, commands = visiting()
    assert g.AskPublisher(key(1).peer_id) in commands
    told = tuple(announcement(key(1), number)[0] for number in (2, 3))
    pulls = [
        c for c in gossip.handle(g.PublisherTold(key(1).peer_id, told), START + 2) if isinstance(c, g.Pull)
    ]
    assert [pull.publisher for pull in pulls] == [key(1).peer_id] * 2
    assert not gossip.handle(g.PublisherTold(key(1).peer_id, told), START + 2), "known"


def test_a_body_from_the_dht_or_a_failed_pull_leads_to_no_question():
    _, commands = visiting(way=Way.INLINE)
    assert not [c for c in commands if isinstance(c, g.AskPublisher)]
    gossip = g.Gossip(key=key(0), manifest=MANIFEST, rng=random.Random(1))
    gossip.handle(g.Demand(8, 5.0), START)
    envelope, _ = announcement(key(1), 1)
    (pull,) = [c for c in gossip.handle(g.AnnouncementHeld(envelope), START) if isinstance(c, g.Pull)]
    failed = gossip.handle(g.PullFailed(pull.digest, "gone", PullFailure.UNREACHABLE), START + 1)
    assert not [c for c in failed if isinstance(c, g.AskPublisher)]


def test_a_publisher_tells_only_of_itself():
    gossip, _ = visiting()
    others, junk = announcement(key(2), 2)[0], b"\0" * 100
    commands = gossip.handle(g.PublisherTold(key(1).peer_id, (others, junk)), START + 2)
    assert not [c for c in commands if isinstance(c, g.Pull)]
    assert gossip.statistics().candidates == 0
    assert [c for c in gossip.handle(g.AnnouncementHeld(others), START + 3) if isinstance(c, g.Pull)]
    gossip, _ = visiting()
    gossip.handle(g.PublisherTold(key(1).peer_id, (others,)), START + 2)
    told = gossip.handle(g.PublisherTold(key(2).peer_id, (others,)), START + 3)
    assert [c for c in told if isinstance(c, g.Pull)], "what another told of it is no reason to refuse it"


def test_the_dht_is_read_for_less_while_publishers_tell():
    keys = {}
    for told in (True, False):
        gossip, _ = visiting()
        envelopes = [announcement(key(1), number)[0] for number in range(2, 2 + 8 * told)]
        gossip.handle(g.PublisherTold(key(1).peer_id, tuple(envelopes)), START + 2)
        wanted = gossip._puller.allowance.candidates_wanted()
        assert gossip._finding.missing(START + 2) <= (wanted / 2 if told else wanted)
        keys[told] = gossip._finding.missing(START + 2)
    assert keys[True] < keys[False] / 2
