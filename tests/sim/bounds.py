"""How much a gossip machine holds: every table and queue in it, found by looking, none named by hand."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Set
from dataclasses import is_dataclass

from swarmd import gossip as g
from swarmd.gossip.kept import Kept
from swarmd.gossip.outage import ENTRIES_MAX

LIMITS = g.GossipLimits()
SMALL = 64
"""Of what is not in BOUNDS: reasons, tasks, tables of one peer."""

BOUNDS = {
    "_acquaintances": LIMITS.acquaintances_max,
    "_lately": LIMITS.acquaintances_max,
    "_taught": LIMITS.acquaintances_max,
    "_widths": 2 * LIMITS.acquaintances_max + 1,
    "_parties": 2 * 8_192,
    "_connections": 512,
    "_connected": 512,
    "_counts": 512,
    "_unheard": 1_024,
    "_accounts": LIMITS.peers_judged_max,
    "_told": LIMITS.peers_judged_max,
    "_recent": 4_096,
    "_waiting": 4_096,
    "_offered": LIMITS.seen_max,
    "_finished": LIMITS.keys_remembered,
    "_known": LIMITS.seen_max,
    "_refused": LIMITS.seen_max,
    "_seen": LIMITS.seen_max,
    "_by_peer": LIMITS.candidates_max,
    "_in_flight": LIMITS.pulls_max,
    "_verifying": LIMITS.verifying_max,
    "_back_offs": LIMITS.peers_max,
    "_overdrawn": LIMITS.peers_max,
    "_pulled_from": LIMITS.peers_max,
    "_peers": LIMITS.peers_max,
    "_addresses": LIMITS.addresses_max,
    "_heard": LIMITS.clock_peers_max,
    "_failed": ENTRIES_MAX,
    "_worked": ENTRIES_MAX,
}
"""By the name of the attribute."""


def tables(thing: object, name: str, seen: set[int]) -> Iterator[tuple[str, int]]:
    """(name of the attribute, size) of every container below `thing`."""
    if id(thing) in seen:
        return
    seen.add(id(thing))
    if isinstance(thing, (Kept, Mapping, Set, list, deque)):
        yield name, len(thing)
        inner = list(thing.values()) if isinstance(thing, (Kept, Mapping)) else list(thing)
        for item in inner[:SMALL]:
            yield from tables(item, name, seen)
    elif type(thing).__module__.startswith("swarmd.gossip") and not is_dataclass(type(thing)):
        for attribute, value in vars(thing).items():
            yield from tables(value, attribute, seen)


def overfull(machine: g.Gossip) -> list[str]:
    """Tables beyond their bounds; empty is best."""
    found = tables(machine, "machine", set())
    return [f"{name}: {size}" for name, size in found if size > BOUNDS.get(name, SMALL)]
