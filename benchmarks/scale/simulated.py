"""A swarm of any size in simulated time: some real machines among a statistical crowd, from one seed."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks.scale.crowd import Crowd
from benchmarks.scale.network import SimulatedNetwork
from benchmarks.scale.peer import Ledger, ModellessPeer
from benchmarks.scale.publications import Publications
from benchmarks.scale.tally import Served, Tally
from benchmarks.scale.workload import MANIFEST
from swarmd.network.simulation import run_simulated, simulated_wall_clock

FORGET_S = 60.0


@dataclass(frozen=True)
class Setting:
    """One simulated swarm."""

    size: int
    real: int = 16
    """Real machines among them; all peers, if there are no more."""
    newcomers: int = 8
    """Machines that join once the others have settled."""
    started_within_s: float = 0.0
    """The machines start at random times in so many seconds, so that what each does every ten minutes does
    not coincide.
    """
    warm_s: float = 1740.0
    """Seconds before anything is counted: longer than gossip remembers contacts, and than a peer of a large
    swarm reads statuses more often than later.
    """
    measured_s: float = 360.0
    latency_s: float = 0.04
    """One way, on average; uniform within a half of it."""
    seed: int = 1

    @property
    def machines(self) -> int:
        return min(self.size, self.real)


@dataclass
class Outcome:
    """What the real machines did in the measured time."""

    setting: Setting
    tallies: list[Tally]
    served: list[Served]
    """Served by the machines, to other machines."""
    ages: list[float]
    """For every body pulled, seconds from the record's creation until it was usable here."""
    firsts: list[float]
    lasts: list[float]
    """Seconds until the first and the last machine that pulls a record has it; only if all peers are
    machines.
    """
    needed: int
    """Announcements that were new to the machine that read them."""
    pulled: int
    first_external_s: list[float]
    """For the newcomers."""
    sizes_believed: list[int]
    shards: list[int]
    connections: list[int]
    ended: float
    """Unix seconds of simulated time."""
    crowd: Crowd = field(repr=False)
    publications: Publications = field(repr=False)


def simulate(setting: Setting) -> Outcome:
    """Run the whole simulation."""
    return run_simulated(_play(setting))


async def _play(setting: Setting) -> Outcome:
    rng = random.Random(setting.seed)
    crowd = Crowd(setting.size, setting.seed)
    peers: list[ModellessPeer[SimulatedNetwork]] = []

    def shards() -> int:
        return rng.choice(peers).gossip.statistics().shards if peers else 1

    def swarm_size() -> int:
        return rng.choice(peers).gossip.statistics().swarm_size if peers else 1

    publications = Publications(crowd, setting.machines, setting.seed, shards, swarm_size)
    machines: dict[int, SimulatedNetwork] = {}
    ledger = Ledger()

    def machine(number: int, ledger: Ledger) -> ModellessPeer[SimulatedNetwork]:
        own = random.Random(f"{setting.seed} {number}")
        network = SimulatedNetwork(number, crowd, publications, machines, own, setting.latency_s)
        return ModellessPeer(crowd.nodes[number].key, network, own, simulated_wall_clock, ledger)

    async with asyncio.TaskGroup() as tasks:
        running = []
        for number in range(setting.machines):
            peers.append(machine(number, ledger))
        for peer in peers:
            peer.network.settle()
            running.append(tasks.create_task(_start(peer, rng.uniform(0.0, setting.started_within_s))))
        running.append(tasks.create_task(_tell_news(publications, machines)))
        await _pass(setting.warm_s, publications)
        newcomers = []
        before = [_read_so_far(peer) for peer in peers]
        for network in machines.values():
            network.tally, network.served = Tally(), Served()
        since = simulated_wall_clock()
        for _ in range(setting.newcomers):
            newcomer = machine(crowd.add(), Ledger(ledger.offered))  # what it pulls is not measured
            newcomers.append(newcomer)
            friend = crowd.nodes[rng.randrange(crowd.size)]
            running.append(tasks.create_task(_join(newcomer, friend.full_address)))
        await _pass(setting.measured_s, publications)
        for task in running:
            task.cancel()
    after = [_read_so_far(peer) for peer in peers]
    ended = since + setting.measured_s
    waits = ledger.waits(since, ended) if setting.machines == setting.size else []
    seen = [peer.gossip.statistics() for peer in peers]
    return Outcome(
        setting=setting,
        tallies=[peer.network.tally for peer in peers],
        served=[peer.network.served for peer in peers],
        ages=_ages(ledger, publications, since),
        firsts=[min(each) for each in waits],
        lasts=[max(each) for each in waits],
        needed=sum(now[0] - then[0] for now, then in zip(after, before, strict=True)),
        pulled=sum(now[1] - then[1] for now, then in zip(after, before, strict=True)),
        first_external_s=[
            setting.measured_s if each.first_external_s is None else each.first_external_s
            for each in newcomers
        ],
        sizes_believed=[each.swarm_size for each in seen],
        shards=[each.shards for each in seen],
        connections=[len(peer.network.statistics().connections) for peer in peers],
        ended=ended,
        crowd=crowd,
        publications=publications,
    )


async def _start(peer: ModellessPeer[SimulatedNetwork], after_s: float) -> None:
    await asyncio.sleep(after_s)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(peer.run())
        tasks.create_task(peer.network.run())


async def _join(newcomer: ModellessPeer[SimulatedNetwork], address: str) -> None:
    await newcomer.network.connect((address,), named=True)
    await _start(newcomer, 0.0)


async def _tell_news(publications: Publications, machines: dict[int, SimulatedNetwork]) -> None:
    """Deliver to the machines what statistical peers store with them."""
    while True:
        round_ = MANIFEST.round_at(int(simulated_wall_clock()))
        for at, holder, publisher, envelope in publications.news(round_):
            if (wait := at - simulated_wall_clock()) > 0:
                await asyncio.sleep(wait)
            if at > simulated_wall_clock() - 1.0:
                machines[holder].store_for(publisher, envelope)
        await asyncio.sleep(max(0.1, MANIFEST.round_start(round_ + 1) - simulated_wall_clock()))


async def _pass(seconds: float, publications: Publications) -> None:
    end = asyncio.get_running_loop().time() + seconds
    while (left := end - asyncio.get_running_loop().time()) > 0:
        await asyncio.sleep(min(FORGET_S, left))
        publications.forget_before(simulated_wall_clock())


def _read_so_far(peer: ModellessPeer[SimulatedNetwork]) -> tuple[int, int]:
    """Return candidates found and bodies pulled since the start."""
    return peer.new_candidates, peer.gossip.statistics().groups_pulled


def _ages(ledger: Ledger, publications: Publications, since: float) -> list[float]:
    ages = []
    for digest, times in ledger.usable.items():
        made = ledger.offered.get(digest) or publications.published_at(digest)
        if made is not None:
            ages += [at - made for at in times if at >= since]
    return ages


def median(values: Sequence[float]) -> float:
    ordered = sorted(values)
    return ordered[len(ordered) // 2] if ordered else float("nan")
