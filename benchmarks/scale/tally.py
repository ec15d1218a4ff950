"""What was sent, by purpose. Bytes are those of the DHT's messages and of streams, as peers see them."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from enum import StrEnum


class Purpose(StrEnum):
    """Why a peer makes a request."""

    READ = "reading announcements"
    MEMBERS = "reading statuses"
    TELL = "asking publishers"
    ANNOUNCE = "announcing"
    STATUS = "publishing the status"
    LOOK = "looking around"
    GREET = "greeting"
    PULL = "pulling bodies"
    ASK = "asking for full statuses"


class To(StrEnum):
    """To which node."""

    NEAR = "near"
    """one of the eight nodes nearest to the key"""
    FAR = "far"
    """a node on the way there, or a contact"""
    KEEPER = "keeper"
    """one of the eight nodes nearest to the key, to store something"""
    FRIEND = "friend"
    """any other node, to store something"""
    ANYBODY = "anybody"
    """a particular peer"""


@dataclass
class Flow:
    """Messages of one kind, there and back."""

    calls: float = 0.0
    asked: float = 0.0
    """Bytes of requests."""
    answered: float = 0.0
    """Bytes of answers, without the dictionaries stored under the keys."""
    found: float = 0.0
    """Bytes of those dictionaries."""

    def add(self, asked: float, answered: float, found: float = 0.0) -> None:
        self.calls += 1
        self.asked += asked
        self.answered += answered
        self.found += found


@dataclass
class Tally:
    """The requests of one peer."""

    flows: dict[tuple[Purpose, To], Flow] = field(default_factory=lambda: defaultdict(Flow))
    walks: Counter[Purpose] = field(default_factory=Counter)
    keys: Counter[Purpose] = field(default_factory=Counter)
    """Keys walked to."""
    connections: Counter[Purpose] = field(default_factory=Counter)
    """Connections made, by the purpose of the first call over each."""
    unaided: Counter[Purpose] = field(default_factory=Counter)
    """Those of them to peers whose address was unknown, so that p2pd has to know it or look it up."""
    copies: int = 0
    """Announcements received, counting repeats."""

    @property
    def sent(self) -> float:
        return sum(flow.asked for flow in self.flows.values())

    @property
    def received(self) -> float:
        return sum(flow.answered + flow.found for flow in self.flows.values())

    @property
    def calls(self) -> float:
        return sum(flow.calls for flow in self.flows.values())

    def of(self, purpose: Purpose) -> Flow:
        """Return all flows of one purpose together."""
        several = [flow for (what, _), flow in self.flows.items() if what is purpose]
        return together(several)


def together(flows: list[Flow]) -> Flow:
    return Flow(
        sum(flow.calls for flow in flows),
        sum(flow.asked for flow in flows),
        sum(flow.answered for flow in flows),
        sum(flow.found for flow in flows),
    )


@dataclass
class Served:
    """The requests that one peer answered."""

    calls: float = 0.0
    received: float = 0.0
    sent: float = 0.0
    stores: float = 0.0
    """Calls that stored something."""
