"""What an attack is, what it gets to see, and what it is judged on."""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from protocol import Manifest
from tests.hostile.attacker import ATTACKER_HOST, Attacker, Target
from tests.hostile.daemons import Seen
from tests.hostile.figures import Figure
from tests.hostile.forging import Forger
from tests.hostile.swarms import STARTER

SECONDS = 60.0
"""How long an attack goes on, unless it says otherwise."""

SETTLE_S = 15.0
"""From an attack's begin until what it does is judged: what victims had in their pools is used up by then."""


LONG_S = 95.0
"""Of attacks on what is yet to be announced ..."""

LONG_SETTLE_S = 60.0
"""... for what was announced before is read and pulled for four rounds of 15 s."""


@dataclass
class Scene:
    """What an attack acts in: who is there, how long, and its chance."""

    first: Target
    """The victim, where there is one."""
    second: Target
    forger: Forger
    seconds: float
    """How long the attack lasts from `begin` on."""
    directory: Path
    stack: AsyncExitStack
    rng: random.Random = field(init=False)
    until: float = field(init=False)
    """Monotonic time of the attack's end."""
    began: float = field(init=False)
    """Unix time of its beginning."""

    def __post_init__(self) -> None:
        self.rng = random.Random(self.forger.seed)
        self.begin()

    def begin(self) -> None:
        """All is prepared: the attack has its full strength from now on, and its whole time before it."""
        self.began = time.time()
        self.until = time.monotonic() + self.seconds

    @property
    def targets(self) -> tuple[Target, Target]:
        return self.first, self.second

    @property
    def over(self) -> bool:
        return time.monotonic() >= self.until

    async def attacker(self, number: int = 0, host: str = ATTACKER_HOST) -> Attacker:
        """A p2pd with the attacker's key of that number, ended with the scene."""
        made = await Attacker.start(self.forger.key(number), self.directory, host)
        self.stack.push_async_callback(made.close)
        return made


@asynccontextmanager
async def scene(
    first: Target, second: Target, manifest: Manifest, seed: int, seconds: float
) -> AsyncIterator[Scene]:
    """A scene that begins now; its attackers end with it."""
    with tempfile.TemporaryDirectory(prefix="hostile-") as directory:
        async with AsyncExitStack() as stack:
            forger = Forger(manifest, seed)
            yield Scene(first, second, forger, seconds, Path(directory), stack)


Counts = Mapping[str, float]
"""What an attack did, in numbers."""

Act = Callable[[Scene], Awaitable[Counts]]


@dataclass(frozen=True)
class Evidence:
    """What was seen of the pair under attack, of the one left alone, and what the attacker did."""

    victim: Seen
    peer: Seen
    control: tuple[Seen, Seen]
    did: Counts
    seed: int

    @property
    def attacked(self) -> tuple[Seen, Seen]:
        return self.victim, self.peer

    @property
    def control_external(self) -> float:
        return sum(seen.external for seen in self.control) / 2

    @property
    def control_steps(self) -> float:
        return sum(seen.steps for seen in self.control) / 2

    @property
    def control_latency_s(self) -> float:
        return max(seen.latency_s for seen in self.control)


@dataclass(frozen=True)
class Attack:
    """One kind of attack at one strength, against a pair of daemons."""

    name: str
    what: str
    act: Act
    judge: Callable[[Evidence], tuple[Figure, ...]]
    seconds: float = SECONDS
    swarm: Mapping[str, Any] | str = STARTER
    """The name of a preset, or the tables of a manifest file."""
    options: tuple[str, ...] = ()
    """Of the daemons."""
    settle_s: float = SETTLE_S
    by_default: bool = True
    """Whether it is in the table that a run without --only or --all prints."""


@dataclass(frozen=True)
class Check:
    """Something laid in the way of one daemon or command; no pair, and no control."""

    name: str
    what: str
    check: Callable[[Path, int], tuple[Figure, ...]]
    """(empty directory, seed) -> what was found."""
    by_default: bool = True
