"""Every bound and interval of gossip, with its unit and its reason.

Bounds that all implementations must share are in `protocol.limits`. These are one peer's own choice.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class GossipLimits:
    """Defaults for a peer that trains; tests and experiments may tighten them."""

    # Publishing
    record_lifetime_rounds: int = 4  # a group older than a few rounds is far from everybody's policy
    record_lifetime_s_min: float = 300.0  # a slow peer draws every few minutes and must still find something
    shard_entries_target: int = (
        16  # a quarter of SHARD_ENTRIES_MAX: publishers disagree about the swarm's size
    )
    announce_batch_s: float = 1.0  # own groups of one step are announced together
    # Twice what a peer may publish in that time. A receiver's 64 tokens per second (network/rates.py) are 26
    # announcements, and a newcomer is handed what it should hold at the same time.
    announce_batch_max: int = 16
    announce_answer_s: float = 60.0  # a batch that was never answered counts as failed
    announce_tries: int = (
        2  # the first failure is usually a restart of the transport; the second is the swarm's
    )

    # Reading announcements
    read_keys_max: int = 8  # keys in one read; 8 x 64 entries x 512 bytes = 256 KiB in the worst case
    read_interval_s_min: float = 2.0  # the pace while the trainer is short of groups
    read_interval_s_max: float = (
        30.0  # the pace while reads bring nothing new, still inside any record's life
    )
    read_interval_s_hungry: float = 4.0  # the same while the trainer's steps are shorter: it waits for groups
    read_rounds_back: int = 3  # older announcements are close to their expiry: not worth the lookup
    read_answer_s: float = (
        60.0  # a read that was never answered is forgotten; the network's own time-outs are shorter
    )
    # Keys that were read to their end, of the rounds that are still read; 250 bytes each.
    keys_remembered: int = 4_096

    # Announcements that others have this peer hold
    news_per_s: float = 8.0  # taken as candidates: at most as many as are pulled at once ...
    news_burst: float = 64.0  # ... or as many as one message brings

    # Choosing and pulling
    candidates_max: int = 512  # announcements waiting to be pulled; 512 x ~400 bytes
    candidates_per_peer: int = 16  # a flood by one peer fills only its own places
    overpull: float = (
        2.0  # groups pulled for each one the trainer uses: some turn out useless, and samplers choose
    )
    pulls_max: int = 8  # at once; 8 x 64 KiB
    pulls_per_peer: int = 2  # at once: publishers serve many
    pull_share_max: float = 0.25  # of the last `pull_window` pulls from one peer, while others have something
    pull_window: int = 16  # pulls over which the share is taken
    pull_tries: int = 2  # once more after a failure, then forget
    pull_retry_s: float = 5.0  # a transport restart takes less
    back_off_s_max: float = (
        300.0  # the longest time that nothing is pulled from one peer; each failure in a row doubles it
    )
    pull_answer_s: float = 60.0  # as read_answer_s
    verifying_max: int = 32  # bodies handed over and not yet scored: a slow sandbox slows the pulls
    verify_answer_s: float = (
        600.0  # a verdict that never came is forgotten; the sandbox's time-outs are shorter
    )
    seen_max: int = (
        8_192  # (publisher, digest) pairs never pulled again; outlasts any record's life at 8 a second
    )

    # Membership
    status_interval_s: float = 40.0  # between two publications of the own status; each takes 20 calls
    status_lifetime_s: float = 120.0  # three intervals: two lost ones in a row do not make a peer vanish
    status_interval_s_max: float = 960.0  # ... while there is no room for it: the interval doubles up to this
    peers_max: int = 1_024  # statuses kept; beyond it the swarm is estimated, not listed
    membership_keys_max: int = 8  # keys in one read of statuses
    membership_interval_s: float = 5.0  # between two reads, until every shard was read once
    membership_first: int = 64  # ... or so many peers are listed: what one full shard holds
    membership_interval_s_max: float = 15.0  # ... and afterwards at least
    # After a read, for each status that it brought. Copies of many nodes and names make one 6 KB on the wire.
    membership_s_per_status: float = 5.0
    addresses_max: int = 512  # peers whose addresses are remembered, also after they fell silent
    neighbours_min: int = 4  # with fewer, dial
    connect_interval_s: float = 20.0  # between two attempts while there are too few neighbours
    missed_interval_s: float = 5.0  # between two dials of peers whose bodies had to come from the DHT
    missed_max: int = 64  # such peers that wait; the transport dials each 12 times an hour at most
    reach_out_interval_s: float = 120.0  # otherwise dial one silent peer now and then: this heals a partition
    connect_peers_max: int = 4  # peers in one attempt

    # Asking for full statuses
    ask_interval_s: float = 4.0  # between two questions: a swarm of fifteen is asked once a minute
    ask_peer_interval_s: float = 60.0  # between two questions to one peer; its counts grow by a few a minute
    ask_answer_s: float = 30.0  # a question that was never answered; the network's own time-outs are shorter
    unanswered_s: float = (
        600.0  # at most between two questions to a peer that never answers: an older version
    )
    full_statuses_max: int = 256  # answers kept, some KB each; those that name somebody stay longest

    # Contacts
    contact_s: float = 600.0  # delivering makes a contact for this long: a slow peer pulls every few minutes
    connected_per_group: int = 8  # connections of one address group that make contacts: a host can open many
    contacts_per_group: int = 256  # contacts of one party that count in the size: 64 shards are in use then
    size_doubles_s: float = 2.0  # the least time for the size to double or halve: a thousandfold takes 20 s
    met_lately_s: float = 300.0  # a met peer's delivery holds strangers back this long: a record's life
    trial_delays: float = 20.0  # a peer that came later waits this many times as long as it came later ...
    trial_s_max: float = (
        600.0  # ... or ten minutes, until it takes turns like others: a part of most sessions
    )
    trial_elder_s: float = 60.0  # an earlier peer that delivered nothing for this long holds nobody back
    acquaintances_max: int = 4_096  # peers whose deliveries are remembered; ~200 bytes each
    known_groups: int = 20  # groups that taught something make a peer known ...
    known_after_s: float = 1_800.0  # ... over no less than half an hour ...
    known_for_s: float = 30 * 86_400.0  # ... until it has delivered nothing for a month

    # Reputation
    peers_judged_max: int = 1_024  # peers with a reputation; the least interesting is forgotten first
    penalty_half_life_s: float = 600.0  # a bad disk or a bad minute is forgiven
    penalty_ignored_at: float = 3.0  # two forged bodies, or six pulls that failed
    ignore_s: float = 300.0  # the first time; doubles with every relapse ...
    ignore_s_max: float = 3_600.0  # ... up to an hour, since machines get repaired

    # Clock
    clock_peers_min: int = 3  # peers that must agree before we doubt our own clock
    clock_peers_max: int = 64  # peers whose offset is kept
    clock_tolerance_s: float = 5.0  # between what NTP leaves and what the transport refuses

    tick_s_unheard: float = 1.0  # while a peer does not answer, so that its return is noticed as quickly
    tick_s_max: float = 5.0  # the machine never asks to sleep longer, so that a clock that jumps does no harm
