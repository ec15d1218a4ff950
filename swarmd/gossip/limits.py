"""All bounds and intervals of gossip, with unit and reason.

`protocol.limits` holds the bounds that all implementations must share. These are one peer's own choice.
"""

from __future__ import annotations

from dataclasses import dataclass

from protocol import MEMBERSHIP_SHARDS, MEMBERSHIP_SHARDS_MAX, SHARD_ENTRIES_MAX


@dataclass(frozen=True)
class GossipLimits:
    """Defaults for a peer that trains. Tests and experiments can tighten them."""

    # Publishing
    record_lifetime_rounds: int = 4  # a group older than a few rounds is far from every peer's policy
    record_lifetime_s_min: float = 300.0  # a slow peer draws every few minutes and must still find groups
    # a sixth of SHARD_ENTRIES_MAX: publishers disagree about the size of the swarm, by a factor of three
    shard_entries_target: int = 10
    # Where half of all shards are in use, a record is announced at a random time within so many rounds, but
    # at most half of what it lives.
    spread_rounds: float = 2.0
    announce_batch_s: float = 1.0  # own groups of one step are announced together
    # Twice what a peer can publish in that time. A receiver's 64 tokens per second (network/rates.py) pay for
    # 26 announcements, and a newcomer is handed the values that it should hold at the same time.
    announce_batch_max: int = 16
    announce_answer_s: float = 60.0  # a batch that is not answered within this time counts as failed
    announce_tries: int = (
        2  # the first failure is usually a restart of the transport; a second one is the swarm's
    )

    # Reading announcements
    read_keys_max: int = 8  # keys in one read; 8 x 64 entries x 512 bytes = 256 KiB in the worst case
    read_interval_s_min: float = 2.0  # while the trainer is short of groups
    read_interval_s_max: float = 30.0  # while reads bring nothing new; still shorter than any record's life
    # the same while the trainer's steps are shorter, so it waits for groups
    read_interval_s_hungry: float = 4.0
    read_rounds_back: int = 3  # older announcements are about to expire and not worth the lookup
    read_answer_s: float = (
        60.0  # a read not answered within this time is forgotten; the network's time-outs are shorter
    )
    # Keys that were fully read, of the rounds that are still read; 250 bytes each.
    keys_remembered: int = 4_096

    # Asking publishers for their announcements: older ones are about to expire
    publisher_interval_s: float = 180.0  # between two requests to one publisher
    # with fewer connections no connection is closed for being idle, and publishers are not visited
    visit_connections_min: int = 32

    # Announcements that other peers store here
    news_per_s: float = 8.0  # accepted as candidates per second: as many as are pulled at once ...
    news_burst: float = 64.0  # ... or as many as one message contains

    # Choosing and pulling
    candidates_max: int = 512  # announcements that wait to be pulled; 512 x ~400 bytes
    candidates_per_peer: int = 16  # a flood by one peer fills only its own slots
    overpull: float = (
        2.0  # groups pulled for each one that is used: some are useless, and samplers need a choice
    )
    pulls_max: int = 8  # at once; 8 x 64 KiB
    pulls_per_peer: int = 2  # at once, because publishers serve many peers
    pull_share_max: float = 0.25  # of the last `pull_window` pulls from one peer, if others have candidates
    pull_window: int = 16  # pulls over which that share is measured
    pull_tries: int = 2  # one retry after a failure, then drop
    pull_retry_s: float = 5.0  # a restart of the transport takes less
    back_off_s_max: float = 300.0  # the longest back-off from one peer; each consecutive failure doubles it
    pull_answer_s: float = 60.0  # like read_answer_s
    verifying_max: int = 32  # bodies handed over and not yet scored, so a slow sandbox slows the pulls
    verify_answer_s: float = (
        600.0  # a verdict not received by then is forgotten; the sandbox's time-outs are shorter
    )
    seen_max: int = (
        8_192  # (publisher, digest) pairs that are not pulled again; at 8 per second, outlasts any record
    )

    # Membership
    status_interval_s: float = 40.0  # between two publications of our own status; each takes 20 calls
    status_lifetime_s: float = 120.0  # three intervals, so a peer does not vanish after two lost statuses
    # Statuses in the DHT at a time: 16 under each key, which a node tells in full. In a larger swarm a peer
    # publishes its own less often than it expires.
    statuses_listed: int = 256
    # ... while there is no room for it: the interval is multiplied by four, up to this. In a swarm of
    # thousands nine in ten have no slot, and the nodes next to the 16 keys refuse them all.
    status_interval_s_max: float = 3_600.0
    peers_max: int = 1_024  # statuses kept; a larger swarm is estimated, not listed
    membership_keys_max: int = 8  # keys in one read of statuses
    membership_interval_s: float = 5.0  # between two reads, until every shard was read once
    membership_first: int = 64  # ... or this many peers are listed: as many as one full shard holds
    membership_interval_s_max: float = 15.0  # ... and at least this long afterwards
    # Seconds to wait after a read for each status it returned. With copies from many nodes and names, one
    # status costs 6 KB on the wire.
    membership_s_per_status: float = 8.0
    addresses_max: int = 512  # peers whose addresses are remembered, even after they fell silent
    neighbours_min: int = 4  # with fewer connections, dial more peers
    connect_interval_s: float = 20.0  # between two attempts while there are too few neighbours
    missed_interval_s: float = 5.0  # between two dials of peers whose bodies came from the DHT
    missed_max: int = 64  # such peers in the queue; the transport dials each at most 12 times per hour
    reach_out_interval_s: float = 120.0  # otherwise dial a silent peer this often, which heals a partition
    connect_peers_max: int = 4  # peers in one attempt

    # Asking for full statuses
    ask_interval_s: float = 4.0  # between two requests: a swarm of fifteen is asked once a minute ...
    # ... and with more than that connected, the interval grows with the square of their number, up to this:
    # in a large swarm most connections end before their turn
    ask_interval_s_max: float = 24.0
    ask_peer_interval_s: float = 60.0  # between two requests to one peer; its counts grow by a few per minute
    # a request not answered within this time has failed; the network's time-outs are shorter
    ask_answer_s: float = 30.0
    unanswered_s: float = (
        600.0  # longest time between two requests to a peer that never answers: an older version
    )
    full_statuses_max: int = 256  # answers kept, a few KB each; those that list publishers stay longest

    # Contacts
    contact_s: float = 600.0  # a delivery makes a contact for this long: a slow peer pulls every few minutes
    # Peers that were connected count in the size for this long. In a large swarm a peer meets 80 in a minute
    # and few of them twice, so the longer they count, the less it underestimates the swarm.
    parted_s: float = 1_200.0
    # connections per address group that make contacts, because a host can open many
    connected_per_group: int = 8
    contacts_per_group: int = 256  # contacts of one party that count in the size: 64 shards are in use then
    size_doubles_s: float = 2.0  # least time in which the size doubles or halves: a thousandfold takes 20 s
    met_lately_s: float = 300.0  # a met peer's delivery restricts strangers for this long: a record's life
    trial_delays: float = 20.0  # a peer that came later waits this many times as long as it was late ...
    trial_s_max: float = 600.0  # ... or ten minutes, before it takes full turns: a fraction of most sessions
    trial_elder_s: float = 60.0  # an earlier peer restricts nobody after delivering nothing for this long
    acquaintances_max: int = 4_096  # peers whose deliveries are remembered; ~200 bytes each
    known_groups: int = 20  # groups that taught something, after which a peer is known ...
    known_after_s: float = 1_800.0  # ... if they span at least half an hour ...
    known_for_s: float = 30 * 86_400.0  # ... and until it has delivered nothing for a month

    # Reputation
    peers_judged_max: int = 1_024  # peers with a reputation; the least interesting one is dropped first
    penalty_half_life_s: float = 600.0  # a bad disk or a bad minute is forgiven
    penalty_ignored_at: float = 3.0  # two forged bodies, or four announced but not held
    ignore_s: float = 300.0  # the first time; doubled with every relapse ...
    ignore_s_max: float = 3_600.0  # ... up to an hour, because machines get repaired

    # Clock
    clock_peers_min: int = 3  # peers that must agree before this clock is doubted
    clock_peers_max: int = 64  # peers whose offset is kept
    clock_tolerance_s: float = 5.0  # between what NTP leaves and what the transport refuses

    tick_s_unheard: float = 1.0  # while a peer does not answer, to notice its return as quickly
    tick_s_max: float = 5.0  # never sleep longer, so a clock that jumps does no harm

    def status_interval_in(self, swarm_size: int) -> float:
        """Return the seconds between two publications of one status in a swarm of this size, if there is
        room for it.
        """
        return max(self.status_interval_s, self.status_lifetime_s * swarm_size / self.statuses_listed)


def status_shards_in(swarm_size: int) -> int:
    """Return the number of shards of the statuses of a swarm of this size: as many as have room for all of
    them, but no fewer and no more than the protocol allows.

    The number of nodes next to their keys thus grows with the swarm, and a node serves no more peers.
    """
    full = max(1, swarm_size // SHARD_ENTRIES_MAX)
    return min(MEMBERSHIP_SHARDS_MAX, max(MEMBERSHIP_SHARDS, 1 << (full.bit_length() - 1)))
