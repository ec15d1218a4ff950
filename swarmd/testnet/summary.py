"""The results of a testnet, read from the peers' homes once all have ended, so nothing is missed."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean, stdev

from swarmd.storage import Database, Home
from swarmd.storage.ledger import ENTRIES_MAX
from swarmd.storage.steps import STEPS_MAX, WINDOW_STEPS
from swarmd.testnet.board import HeldOut, Row
from swarmd.testnet.chaos import Fault
from swarmd.testnet.homes import Settler

Z_95 = 1.959964  # two-sided 95% quantile of the normal distribution


@dataclass(frozen=True)
class Reward:
    """Mean reward of own groups in this run, 0..1; None without steps."""

    start: float | None
    """Over the first steps: half of them, at most 20."""
    now: float | None
    """Over as many last steps."""
    interval: tuple[float, float] | None
    """95% interval of `now`, from the spread between its steps; None with fewer than two."""


@dataclass(frozen=True)
class PeerSummary:
    """One peer."""

    number: int
    name: str
    peer_id: str
    model: str
    steps: int
    """Steps taken in this run."""
    step: int
    """The peer's own count, which continues from run to run."""
    reward: Reward
    held_out: HeldOut | None
    learned_from: Mapping[str, int]
    """External groups that it trained on since its home was created, by the publisher's label."""
    starts: int
    """How often it was started in this run."""
    end: str
    """done, stopped or failed."""


@dataclass(frozen=True)
class AttackersSummary:
    """What became of groups that no peer of this testnet signed, counted at the honest peers."""

    kinds: tuple[str, ...]
    identities: int
    """Peer ids that such groups came from."""
    pulled: int
    """Verified and kept."""
    refused: Mapping[str, int]
    """Reason -> groups."""
    drawn: int
    """Trained on."""
    drawn_share: float | None
    """Share of all external groups that were trained on, 0..1."""


@dataclass(frozen=True)
class Summary:
    """The whole run."""

    seconds: float
    """Since all peers were up; 0 if they never were."""
    peers: tuple[PeerSummary, ...]
    faults: tuple[Fault, ...]
    attackers: AttackersSummary | None
    failed: tuple[str, ...]

    def to_json(self) -> dict[str, object]:
        """Plain JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class _Books:
    """What one peer recorded."""

    rewards: Sequence[tuple[int, float]]
    used: Mapping[str, int]
    pulled: Mapping[str, int]
    refused: Sequence[tuple[str, str]]
    """(publisher, reason)"""


def sum_up(
    rows: Sequence[Row],
    settlers: Sequence[Settler],
    everybody: Sequence[Settler],
    *,
    faults: Sequence[Fault],
    attacks: Sequence[str],
    failed: Sequence[str],
    seconds: float,
) -> Summary:
    """Sum up a run. `everybody` includes peers that took no part this time, so that they do not count as
    attackers. Raises StorageError.
    """
    labels = {each.peer_id: each.label for each in everybody}
    books = [_read(each.home) for each in settlers]
    return Summary(
        seconds=seconds,
        peers=tuple(_peer(row, book, labels) for row, book in zip(rows, books, strict=True)),
        faults=tuple(faults),
        attackers=_attackers(books, labels, attacks) if attacks else None,
        failed=tuple(failed),
    )


def _read(home: Home) -> _Books:
    """Read a peer's home. Empty for a peer that never created its database."""
    if not home.database_path.exists():
        return _Books((), {}, {}, ())
    with home.lock(), Database(home.database_path) as database:
        return _Books(
            rewards=database.steps.curve(STEPS_MAX),
            used=database.partners.groups_used(),
            pulled={peer: n.groups_pulled for peer, n in database.ledger.by_publisher().items()},
            refused=[
                (entry.peer_id, entry.reason or "")
                for entry in database.ledger.entries(ENTRIES_MAX, "rejected")
                if entry.peer_id is not None
            ],
        )


def _peer(row: Row, book: _Books, labels: Mapping[str, str]) -> PeerSummary:
    first = row.first_step
    rewards = [] if first is None else [reward for step, reward in book.rewards if step > first]
    return PeerSummary(
        number=row.number,
        name=row.label.partition(" ")[2],
        peer_id=row.peer_id,
        model=row.model,
        steps=row.steps,
        step=row.state.step,
        reward=reward_of(rewards),
        held_out=row.held_out,
        learned_from={labels[peer]: n for peer, n in book.used.items() if peer in labels},
        starts=row.lives,
        end=row.over,
    )


def reward_of(rewards: Sequence[float]) -> Reward:
    """Compute it from the rewards of a run's steps, oldest first."""
    if not rewards:
        return Reward(None, None, None)
    window = max(1, min(WINDOW_STEPS, len(rewards) // 2))
    last = rewards[-window:]
    now = fmean(last)
    half = Z_95 * stdev(last) / math.sqrt(window) if window > 1 else None
    interval = None if half is None else (max(0.0, now - half), min(1.0, now + half))
    return Reward(fmean(rewards[:window]), now, interval)


def _attackers(
    books: Sequence[_Books], labels: Mapping[str, str], attacks: Sequence[str]
) -> AttackersSummary:
    def of_strangers(counts: Mapping[str, int]) -> dict[str, int]:
        return {peer: n for peer, n in counts.items() if peer not in labels}

    drawn = sum(sum(of_strangers(book.used).values()) for book in books)
    used = sum(sum(book.used.values()) for book in books)
    refused = [(peer, reason) for book in books for peer, reason in book.refused if peer not in labels]
    names = {peer for book in books for peer in (*of_strangers(book.used), *of_strangers(book.pulled))}
    return AttackersSummary(
        kinds=tuple(attacks),
        identities=len(names | {peer for peer, _ in refused}),
        pulled=sum(sum(of_strangers(book.pulled).values()) for book in books),
        refused=dict(Counter(reason for _, reason in refused).most_common()),
        drawn=drawn,
        drawn_share=drawn / used if used else None,
    )
