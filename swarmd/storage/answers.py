"""What a person answered on this peer, and what became of it. Kept permanently, within a bound.

One row per question. The person's text is not stored here: it is in the record, if it was published.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from swarmd.storage.connection import Connection

ANSWERS_MAX = 1_000
"""Answers kept, newest first: more than a person writes in a month of evenings."""

PULLERS_MAX = 256
"""Peers remembered per answer for having pulled it. A record lives at most six hours."""

State = Literal["waiting", "published", "kept", "lost"]
"""waiting: it is right, and is published when the round allows. kept: it is not published, mostly because
none of its attempts is right. lost: the peer stopped while the answer was waiting.
"""


@dataclass(frozen=True)
class Answer:
    """A person's attempts at one question."""

    question: bytes
    """The digest of the question."""
    at: float
    """Unix time in seconds."""
    task: str
    gist: str
    """The end of the question, for display."""
    attempts: int
    right: int
    """The number of right attempts."""
    state: State
    digest: bytes | None = None
    """The digest of the record; None if it was not published."""
    pulled_by: int = 0
    """Peers that pulled the record from here and confirmed it; at most `PULLERS_MAX`."""


class Answers:
    """Every write is one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, answer: Answer) -> None:
        """Store an answer, replacing any to the same question. Drops the oldest above `ANSWERS_MAX`."""
        with self._connection.transaction():
            self._connection.execute(
                "INSERT OR REPLACE INTO answers (question, at, task, gist, attempts, right_attempts,"
                " state, digest) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    answer.question,
                    answer.at,
                    answer.task,
                    answer.gist,
                    answer.attempts,
                    answer.right,
                    answer.state,
                    answer.digest,
                ),
            )
            self._connection.execute(
                "DELETE FROM answers WHERE question IN"
                " (SELECT question FROM answers ORDER BY at DESC LIMIT -1 OFFSET ?)",
                (ANSWERS_MAX,),
            )
            self._connection.execute(
                "DELETE FROM answer_pulls WHERE digest NOT IN"
                " (SELECT digest FROM answers WHERE digest IS NOT NULL)"
            )

    def published(self, question: bytes, digest: bytes) -> None:
        """The answer was published as this record."""
        self._connection.execute(
            "UPDATE answers SET state = 'published', digest = ? WHERE question = ?", (digest, question)
        )

    def kept(self, question: bytes) -> None:
        """The answer will not be published."""
        self._connection.execute("UPDATE answers SET state = 'kept' WHERE question = ?", (question,))

    def give_up_waiting(self) -> int:
        """Mark as lost the answers that were still waiting when the peer stopped. Return how many."""
        return self._connection.changed("UPDATE answers SET state = 'lost' WHERE state = 'waiting'")

    def pulled(self, pulls: Collection[tuple[bytes, str]]) -> None:
        """Store (digest of a record, peer that pulled it) pairs. Records that are not answers are ignored."""
        with self._connection.transaction():
            for digest, peer_id in pulls:
                self._connection.execute(
                    "INSERT OR IGNORE INTO answer_pulls (digest, peer_id) SELECT ?1, ?2"
                    " WHERE EXISTS (SELECT 1 FROM answers WHERE digest = ?1)"
                    " AND (SELECT COUNT(*) FROM answer_pulls WHERE digest = ?1) < ?3",
                    (digest, peer_id, PULLERS_MAX),
                )

    def knows(self, question: bytes) -> bool:
        """Whether a person answered this question here."""
        return bool(self._connection.execute("SELECT 1 FROM answers WHERE question = ?", (question,)))

    def newest(self, limit: int) -> list[Answer]:
        """Return at most `limit` answers, newest first."""
        rows = self._connection.execute(
            "SELECT question, at, task, gist, attempts, right_attempts, state, digest,"
            " (SELECT COUNT(*) FROM answer_pulls WHERE answer_pulls.digest = answers.digest)"
            " FROM answers ORDER BY at DESC LIMIT ?",
            (limit,),
        )
        return [Answer(*row) for row in rows]
