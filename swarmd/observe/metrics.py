"""The snapshot as Prometheus metrics. No label holds text from peers: they would choose its cardinality."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from swarmd.observe.snapshot import StatusSnapshot
from swarmd.observe.text import printable

STANDINGS = ("banned", "stranger", "met", "known")


class _SnapshotCollector(Collector):
    """One snapshot, so that a scrape's numbers belong together."""

    def __init__(self, status: StatusSnapshot) -> None:
        self._status = status

    def collect(self) -> Iterator[Metric]:
        status = self._status
        yield from _gauges(status)
        yield _standings(status)
        yield from _counters(status)
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


def exposition(status: StatusSnapshot) -> bytes:
    """The text that Prometheus scrapes, from a registry of its own: several daemons may share a process."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_SnapshotCollector(status))
    return generate_latest(registry)


def _gauges(status: StatusSnapshot) -> Iterator[Metric]:
    values: tuple[tuple[str, str, float | None], ...] = (
        ("swarmd_healthy", "1 when the peer does its work, else 0.", float(status.health.ok)),
        ("swarmd_round", "The swarm's round.", status.round),
        ("swarmd_uptime_seconds", "Since the daemon started.", status.uptime_s),
        ("swarmd_reward_last", "Mean reward of own groups in the last step, 0..1.", status.reward.last),
        ("swarmd_reward_mean_20", "Mean reward over the last 20 steps, 0..1.", status.reward.mean_20),
        ("swarmd_reward_best_20", "The highest that mean_20 has been, 0..1.", status.reward.best_20),
        (
            "swarmd_held_out_success",
            "Greedy success on the swarm's held-out questions at the last evaluation, 0..1.",
            None if status.evaluation is None else status.evaluation.success,
        ),
        (
            "swarmd_held_out_step",
            "Policy updates before the last evaluation.",
            None if status.evaluation is None else status.evaluation.step,
        ),
        ("swarmd_peers", "Other peers seen.", sum(not peer.gone for peer in status.peers)),
        ("swarmd_ignored_peers", "Peers that are ignored now.", len(status.judgement.ignored)),
        ("swarmd_trusted_peers", "Peers that the operator trusts.", len(status.judgement.trusted)),
        ("swarmd_steps_per_minute", "Policy updates per minute.", status.steps_per_minute),
        ("swarmd_tokens_per_second", "Tokens sampled per second.", status.tokens_per_s),
        ("swarmd_disk_bytes_a_day", "Bytes written per day at this pace.", status.disk.bytes_a_day),
        ("swarmd_saved_step", "Step of the newest checkpoint.", status.disk.saved_step),
    )
    for name, text, value in values:
        if value is not None:
            yield GaugeMetricFamily(name, text, value=value)


def _standings(status: StatusSnapshot) -> GaugeMetricFamily:
    family = GaugeMetricFamily("swarmd_peers_by_standing", "Other peers, by standing.", labels=["standing"])
    counts = Counter(peer.standing for peer in status.peers)
    for standing in STANDINGS:
        family.add_metric([standing], counts[standing])
    return family


def _counters(status: StatusSnapshot) -> Iterator[Metric]:
    groups = status.groups
    yield CounterMetricFamily("swarmd_steps", "Policy updates since the home was created.", value=status.step)
    by_kind = CounterMetricFamily("swarmd_groups", "Groups since the home was created.", labels=["kind"])
    for kind in ("own", "published", "pulled", "external_used"):
        by_kind.add_metric([kind], getattr(groups, kind))
    yield by_kind
    rejected = CounterMetricFamily("swarmd_rejected", "Records refused, by reason.", labels=["reason"])
    for reason, count in groups.rejected.items():
        rejected.add_metric([reason], count)
    yield rejected
    yield CounterMetricFamily(
        "swarmd_disk_written_bytes",
        "Bytes the daemon wrote to disk since it started.",
        value=status.disk.written_bytes,
    )
    judged = status.judgement
    for name, text, label, counts in (
        ("swarmd_points_lost", "Times a peer lost points.", "reason", judged.points_lost),
        ("swarmd_misbehaved", "What peers did to the transport.", "what", judged.misbehaved),
        ("swarmd_refused", "What peers asked for and did not get.", "what", judged.refused),
        ("swarmd_junk", "Values read as announcements or statuses that are neither.", "reason", judged.junk),
    ):
        family = CounterMetricFamily(name, f"{text} Since the daemon started.", labels=[label])
        for value, count in counts.items():
            family.add_metric([value], count)
        yield family
