"""The pool: verified external groups, waiting to be drawn into a step.

When full, it drops the groups of the oldest rounds. Bodies are CBOR of plain values, which pydantic converts
back to the dataclass. The sampler decides which groups a step draws, not the pool.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import suppress

import cbor2
from pydantic import TypeAdapter, ValidationError

from swarmd.groups import ScoredGroup
from swarmd.storage.connection import Connection
from swarmd.storage.durable import Report
from swarmd.storage.ledger import Ledger

POOL_GROUPS_MAX = 2_048
"""Groups. At 64 KiB per record this is at most 128 MiB. Can be set in the configuration."""

Choose = Callable[[Sequence[str], int], Sequence[int]]
"""(publishers of the waiting groups, newest first; number wanted) -> positions of the groups to read."""

_GROUP = TypeAdapter(ScoredGroup)


def newest(publishers: Sequence[str], limit: int) -> range:
    """The default `Choose`: take the first `limit`."""
    return range(min(limit, len(publishers)))


class Pool:
    """External groups by digest, each at most once."""

    def __init__(self, connection: Connection, ledger: Ledger, groups_max: int, on_problem: Report) -> None:
        self._connection = connection
        self._ledger = ledger
        self._groups_max = groups_max
        self._on_problem = on_problem
        self._read: dict[int, ScoredGroup] = {}
        """Candidates of the last call, by row. Most of them wait from one step to the next, and reading
        the largest takes a millisecond.
        """

    def __len__(self) -> int:
        [(count,)] = self._connection.execute("SELECT COUNT(*) FROM pool")
        return int(count)

    def add(self, group: ScoredGroup, *, now: float) -> bool:
        """Store a verified and scored external group, and enter it in the ledger as pulled.

        Returns False if it is already stored. Drops the oldest groups above the bound. Raises ValueError for
        a group without a digest.
        """
        if group.digest is None:
            raise ValueError("the pool stores only groups that came in a record: this one has no digest")
        columns = (group.digest, group.round, group.task_id, group.publisher, group.can_teach)
        with self._connection.transaction():
            added = self._connection.changed(
                "INSERT OR IGNORE INTO pool (digest, round, task_id, publisher, informative, body)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (*columns, cbor2.dumps(_GROUP.dump_python(group))),
            )
            if added:
                self._ledger.pulled(
                    group.digest, group.publisher, group.round, reward_mean=group.mean_reward, now=now
                )
                self.prune(self._groups_max)
        return bool(added)

    def candidates(
        self, min_round: int, limit: int, *, informative_only: bool = False, choose: Choose = newest
    ) -> list[ScoredGroup]:
        """Return up to `limit` unused groups of round `min_round` or later, newest first, as chosen by
        `choose`.

        With `informative_only`, only groups that can teach.
        """
        waiting = self._connection.execute(
            "SELECT id, publisher FROM pool WHERE used_step IS NULL AND round >= ? AND informative >= ?"
            " ORDER BY round DESC, id DESC",
            (min_round, informative_only),
        )
        positions = choose([publisher for _, publisher in waiting], limit)
        read, self._read = self._read, {}
        for row_id in (waiting[position][0] for position in positions):
            group = read.get(row_id) or self._group(row_id)
            if group is not None:
                self._read[row_id] = group
        return list(self._read.values())

    def _group(self, row_id: int) -> ScoredGroup | None:
        """Read a group. Returns None for a corrupt row, which is removed."""
        [(body,)] = self._connection.execute("SELECT body FROM pool WHERE id = ?", (row_id,))
        try:
            return _GROUP.validate_python(cbor2.loads(body))
        except (cbor2.CBORDecodeError, ValidationError) as error:
            self._connection.execute("DELETE FROM pool WHERE id = ?", (row_id,))
            self._on_problem(f"a group in the pool was corrupt and has been removed: {type(error).__name__}")
            return None

    def newest(self, limit: int) -> list[tuple[ScoredGroup, int | None]]:
        """Return the `limit` groups that arrived last, newest first, each with the step that used it."""
        rows = self._connection.execute("SELECT body, used_step FROM pool ORDER BY id DESC LIMIT ?", (limit,))
        found = []
        for body, used_step in rows:
            with suppress(cbor2.CBORDecodeError, ValidationError):  # `candidates` reports and removes it
                found.append((_GROUP.validate_python(cbor2.loads(body)), used_step))
        return found

    def mark_used(
        self, digests: Sequence[bytes], step: int, *, now: float, untrained: Collection[bytes] = ()
    ) -> int:
        """Mark groups as used in the batch of `step`. They are no longer candidates, and the ledger counts
        them, except those in `untrained`, which were drawn and then not trained on.

        Returns how many were stored here and unused.
        """
        with self._connection.transaction():
            used = 0
            for digest in digests:
                if self._connection.changed(
                    "UPDATE pool SET used_step = ? WHERE digest = ? AND used_step IS NULL", (step, digest)
                ):
                    if digest not in untrained:
                        self._ledger.used(digest, step, now=now)
                    used += 1
        return used

    def remove(self, publisher: str) -> int:
        """Drop the unused groups of a peer that is ignored from now on. Return how many."""
        return self._connection.changed(
            "DELETE FROM pool WHERE publisher = ? AND used_step IS NULL", (publisher,)
        )

    def clear(self) -> int:
        """Drop all groups, because the swarm's rules changed. Return how many were unused.

        Used ones must not come back after a rewind, and rounds of the old rules may be higher than all that
        follow.
        """
        with self._connection.transaction():
            unused = self._connection.changed("DELETE FROM pool WHERE used_step IS NULL")
            self._connection.execute("DELETE FROM pool")
        return unused

    def release_after(self, step: int) -> int:
        """Make groups used after `step` candidates again. Return how many."""
        return self._connection.changed("UPDATE pool SET used_step = NULL WHERE used_step > ?", (step,))

    def prune(self, groups_max: int) -> int:
        """Drop the oldest groups above `groups_max`, by round and then by arrival. Return how many."""
        return self._connection.changed(
            "DELETE FROM pool WHERE id IN"
            " (SELECT id FROM pool ORDER BY round DESC, id DESC LIMIT -1 OFFSET ?)",
            (groups_max,),
        )
