"""The snapshot as Prometheus metrics, in OpenMetrics or in the older text format.

Base units, `_total` for counters, no rates: `rate()` computes them. No label contains text from peers, who
could then choose its cardinality: a peer is labelled by its name and the end of its id, and only the peers
with the most exchange have labels.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import accumulate

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from swarmd.names import named
from swarmd.observe.durations import BUCKETS_S
from swarmd.observe.snapshot import Durations, PeerView, ReachView, StatusSnapshot
from swarmd.observe.text import printable

REACH_STATES = ("direct", "punched", "relayed", "inline", "unknown")
WAYS = ("direct", "relay", "inline")
STANDINGS = ("banned", "stranger", "met", "known")

PEERS_MAX = 20
"""Peers with their own labels, those pulled from most: four series each, however large the swarm is."""


class _SnapshotCollector(Collector):
    """Holds one snapshot, so that all numbers of a scrape are from the same moment."""

    def __init__(self, status: StatusSnapshot) -> None:
        self._status = status

    def collect(self) -> Iterator[Metric]:
        status = self._status
        yield from _gauges(status)
        yield from _labelled_gauges(status)
        yield from _counters(status)
        yield from _judgement(status)
        yield from _reach(status.reach)
        yield from _durations(status.durations)
        yield from _peers(status.peers)
        yield InfoMetricFamily(
            "swarmd",
            "What this peer is.",
            value={
                "version": status.version,
                "peer_id": status.peer_id,
                "swarm": printable(status.swarm),
                "swarm_id": status.swarm_id,
                "model": status.model,
                "device": status.device,
                "dtype": status.dtype,
            },
        )


def exposition(status: StatusSnapshot, accept: str = "") -> tuple[bytes, str]:
    """Return what Prometheus scrapes, and its content type: OpenMetrics if the Accept header asks for it. If
    the version that it asks for is no number, the content is the older text format.

    Uses a registry of its own, because several daemons can share a process.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_SnapshotCollector(status))
    try:
        encode, content_type = choose_encoder(accept)
    except TypeError:  # from comparing the version with a number
        encode, content_type = choose_encoder("")
    return encode(registry), content_type


def _gauges(status: StatusSnapshot) -> Iterator[Metric]:
    learning, last = status.learning, status.last_step
    trend = learning.trend
    values: tuple[tuple[str, str, float | None], ...] = (
        ("swarmd_healthy", "1 if the peer does its work, else 0.", float(status.health.ok)),
        ("swarmd_round", "The swarm's round.", status.round),
        ("swarmd_uptime_seconds", "Since the daemon started.", status.uptime_s),
        ("swarmd_reward_mean_20", "Mean reward of own groups, last 20 steps, 0..1.", status.reward.mean_20),
        ("swarmd_reward_best_20", "The highest value of mean_20 so far, 0..1.", status.reward.best_20),
        (
            "swarmd_loss",
            "Loss of the last step. What it is averaged over depends on the algorithm.",
            last.loss,
        ),
        ("swarmd_entropy_nats", "Entropy per token of own completions in the last step.", last.entropy),
        (
            "swarmd_completion_tokens",
            "Mean tokens per own completion in the last step.",
            last.completion_tokens_mean,
        ),
        (
            "swarmd_completions_finished_ratio",
            "Share of own completions in the last step that ended by themselves.",
            last.completions_finished,
        ),
        (
            "swarmd_held_out_step",
            "Policy updates before the newest evaluation.",
            None if learning.now is None else learning.now.step,
        ),
        (
            "swarmd_held_out_gain_ratio",
            "Held-out success now minus that at the start, on the same questions, -1..1.",
            None if trend is None else trend.difference,
        ),
        (
            "swarmd_held_out_gain_low_ratio",
            "Lower end of its 95% interval: above 0, the peer has learned.",
            None if trend is None else trend.interval[0],
        ),
        (
            "swarmd_held_out_gain_high_ratio",
            "Upper end of its 95% interval: below 0, the peer has become worse.",
            None if trend is None else trend.interval[1],
        ),
        (
            "swarmd_evaluation_time_ratio",
            "Share of the time since the start that evaluations took, 0..1.",
            learning.evaluation_share,
        ),
        ("swarmd_memory_limit_bytes", "What the plan allows on the device.", status.memory.limit),
        ("swarmd_peers", "Other peers that are present.", sum(not peer.gone for peer in status.peers)),
        ("swarmd_ignored_peers", "Peers that are ignored now.", len(status.judgement.ignored)),
        ("swarmd_trusted_peers", "Peers that the operator trusts.", len(status.judgement.trusted)),
        (
            "swarmd_step",
            "Policy updates since the home was created. A kill loses those after the newest checkpoint.",
            status.step,
        ),
        ("swarmd_saved_step", "Step of the newest checkpoint.", status.disk.saved_step),
    )
    for name, text, value in values:
        if value is not None:
            yield GaugeMetricFamily(name, text, value=value)


def _labelled_gauges(status: StatusSnapshot) -> Iterator[Metric]:
    learning, memory = status.learning, status.memory
    held_out = {"untrained": learning.untrained, "now": learning.now}
    measured = {policy: found for policy, found in held_out.items() if found is not None}
    text = "Share of the swarm's held-out questions answered right, 0..1"
    yield _gauge(
        "swarmd_held_out_success_ratio",
        f"{text}, by the untrained model and now.",
        "policy",
        {policy: found.success for policy, found in measured.items()},
    )
    for end, which in (("low", 0), ("high", 1)):
        yield _gauge(
            f"swarmd_held_out_success_{end}_ratio",
            f"{text}: {end} end of the 95% interval.",
            "policy",
            {policy: found.interval[which] for policy, found in measured.items()},
        )
    rewards = {"own": status.reward.last, "external": status.last_step.reward_external}
    yield _gauge(
        "swarmd_reward",
        "Mean reward in the last step, as scored here, 0..1, for own and external groups.",
        "groups",
        {whose: value for whose, value in rewards.items() if value is not None},
    )
    held = {"process": float(memory.process), "device": memory.device}
    yield _gauge(
        "swarmd_memory_bytes",
        "Resident memory of the daemon, and the peak that PyTorch held on the accelerator.",
        "where",
        {where: value for where, value in held.items() if value is not None},
    )
    standings = Counter(peer.standing for peer in status.peers if not peer.gone)
    yield _gauge(
        "swarmd_peers_by_standing",
        "Other peers that are present, by standing.",
        "standing",
        {standing: standings[standing] for standing in STANDINGS},
    )


def _gauge(name: str, text: str, label: str, values: dict[str, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family


def _counters(status: StatusSnapshot) -> Iterator[Metric]:
    groups, traffic = status.groups, status.traffic
    yield _counter(
        "swarmd_generated_tokens", "Tokens generated since the daemon started.", status.tokens_generated
    )
    yield _counter_by(
        "swarmd_groups",
        "Groups since the home was created, by outcome.",
        "way",
        {way: getattr(groups, way) for way in ("own", "published", "pulled", "external_used")},
    )
    yield _counter_by("swarmd_rejected", "Records refused, by reason.", "reason", groups.rejected)
    since = "since the daemon started."
    yield _counter("swarmd_pulled_bytes", f"Bodies of external groups, {since}", traffic.pulled_bytes)
    yield _counter("swarmd_served_bytes", f"Bodies given to others, {since}", traffic.served_bytes)
    yield _counter(
        "swarmd_disk_written_bytes",
        "Bytes the daemon wrote to disk since it started.",
        status.disk.written_bytes,
    )


def _judgement(status: StatusSnapshot) -> Iterator[Metric]:
    judged = status.judgement
    for name, text, label, counts in (
        ("swarmd_points_lost", "Times a peer lost points.", "reason", judged.points_lost),
        ("swarmd_misbehaved", "What peers did to the transport.", "what", judged.misbehaved),
        ("swarmd_refused", "What peers requested and were refused.", "what", judged.refused),
        ("swarmd_junk", "Values that are neither valid announcements nor statuses.", "reason", judged.junk),
    ):
        yield _counter_by(name, f"{text} Since the daemon started.", label, counts)


def _reach(reach: ReachView) -> Iterator[Metric]:
    yield _gauge(
        "swarmd_reach",
        "How others reach this peer: 1 for the current state.",
        "state",
        {state: float(state == reach.state) for state in REACH_STATES},
    )
    yield GaugeMetricFamily("swarmd_relays", "Peers that relay for this one.", value=len(reach.relays))
    yield GaugeMetricFamily("swarmd_relay_places", "Peers for which this one relays.", value=reach.places)
    yield GaugeMetricFamily("swarmd_relay_circuits", "Connections relayed now.", value=reach.circuits)
    ways = {way: reach.ways.get(way, 0) for way in WAYS}
    yield _counter_by(
        "swarmd_arrived_groups", "External groups since the daemon started, by how they came.", "way", ways
    )
    since = "since the daemon started."
    yield _counter("swarmd_relayed_bytes", f"Bytes relayed for others, {since}", reach.relayed_bytes)
    yield _counter(
        "swarmd_relay_refused", f"Requests to relay that were refused, {since}", reach.relay_refused
    )


def _counter(name: str, text: str, value: float) -> CounterMetricFamily:
    return CounterMetricFamily(name, text, value=value)


def _counter_by(name: str, text: str, label: str, counts: dict[str, int]) -> CounterMetricFamily:
    family = CounterMetricFamily(name, text, labels=[label])
    for key, count in counts.items():
        family.add_metric([key], count)
    return family


def _durations(durations: dict[str, Durations]) -> Iterator[Metric]:
    """Both histograms exist from the start, so that a dashboard finds them."""
    steps = HistogramMetricFamily("swarmd_step_seconds", "How long policy updates took.")
    phases = HistogramMetricFamily(
        "swarmd_phase_seconds", "How long the phases of a step, evaluations and saves took.", labels=["phase"]
    )
    none = Durations(counts=(0,) * (len(BUCKETS_S) + 1), seconds=0.0)
    step = durations.get("step", none)
    steps.add_metric([], _buckets(step), step.seconds)
    for name, found in durations.items():
        if name != "step":
            phases.add_metric([name], _buckets(found), found.seconds)
    yield steps
    yield phases


def _buckets(found: Durations) -> list[tuple[str, float]]:
    ends = [*(str(end) for end in BUCKETS_S), "+Inf"]
    return [(end, float(count)) for end, count in zip(ends, accumulate(found.counts), strict=True)]


def _peers(peers: Sequence[PeerView]) -> Iterator[Metric]:
    most = sorted(peers, key=lambda peer: (-peer.groups_pulled, peer.peer_id))[:PEERS_MAX]
    # A dict: two peers with the same name and ending share one label, which a scrape must not contain twice.
    labels = {named(peer.peer_id): peer for peer in most}
    pulled = {label: peer.groups_pulled for label, peer in labels.items()}
    taught = {label: peer.groups_taught for label, peer in labels.items()}
    text = f"for the {PEERS_MAX} peers that were pulled from most."
    yield _counter_by("swarmd_peer_pulled_groups", f"Groups pulled, {text}", "peer", pulled)
    yield _counter_by("swarmd_peer_taught_groups", f"Groups that taught something, {text}", "peer", taught)
    yield _gauge(
        "swarmd_peer_trust_ratio",
        f"0 (ignored) to 1 (nothing is held against it), {text}",
        "peer",
        {label: peer.trust for label, peer in labels.items()},
    )
    ages = {label: peer.age_s for label, peer in labels.items()}
    yield _gauge(
        "swarmd_peer_status_age_seconds",
        f"Since its status was signed, {text}",
        "peer",
        {label: age for label, age in ages.items() if age is not None},
    )
