"""What peers delivered, and the operator's words about them, so that a restarted peer still knows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from protocol import PeerId
from swarmd.errors import ConfigError, StorageError
from swarmd.gossip import Acquaintance, Word
from swarmd.gossip.orders import LIFTED, Order, word_of
from swarmd.storage.connection import Connection

ACQUAINTANCES_MAX = 4_096
"""Peers whose deliveries are remembered. Those that taught least are dropped first."""

WORDS_MAX = 4_096
"""Peers about which the operator can have said something: far more than a person types."""


class Acquaintances:
    """A bounded memory of deliveries. The operator's words stay until they are revoked."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def remember(self, found: Acquaintance) -> None:
        """Replace what was known of the peer."""
        with self._connection.transaction():
            self._connection.execute(
                "INSERT OR REPLACE INTO acquaintances VALUES (?, ?, ?, ?, ?)",
                (found.peer_id, found.groups, found.first, found.last, found.met_at),
            )
            self._connection.execute(
                "DELETE FROM acquaintances WHERE peer_id IN"
                " (SELECT peer_id FROM acquaintances ORDER BY groups DESC, last DESC LIMIT -1 OFFSET ?)",
                (ACQUAINTANCES_MAX,),
            )

    def forget(self, peer_id: PeerId) -> None:
        """Forget what the peer delivered."""
        self._connection.execute("DELETE FROM acquaintances WHERE peer_id = ?", (peer_id,))

    def all(self) -> list[Acquaintance]:
        """Return all entries, ordered by last delivery, newest last."""
        rows = self._connection.execute(
            "SELECT peer_id, groups, first, last, met_at FROM acquaintances ORDER BY last"
        )
        return [Acquaintance(*row) for row in rows]

    def say(self, peer_id: PeerId, word: Word, *, now: float) -> None:
        """Store the operator's word about a peer, replacing an earlier one; "none" revokes it.

        Raises StorageError if there are too many.
        """
        with self._connection.transaction():
            self._connection.execute("DELETE FROM words WHERE peer_id = ?", (peer_id,))
            if word == "none":
                return
            [(count,)] = self._connection.execute("SELECT COUNT(*) FROM words")
            if count >= WORDS_MAX:
                raise StorageError(
                    f"{count} peers are already banned or trusted, which is the limit: revoke some "
                    "with `swarmd unban` or `swarmd untrust`"
                )
            self._connection.execute("INSERT INTO words VALUES (?, ?, ?)", (peer_id, word, now))

    def judge(self, order: Order, peers: Sequence[PeerId], *, own: PeerId, now: float) -> Word:
        """Carry out an operator's order about `peers`, all or none. Return the resulting word.

        Raises ConfigError for an order that makes no sense, and StorageError.
        """
        if own in peers:
            raise ConfigError(f"{own} is this peer itself: name another one")
        if lifted := LIFTED.get(order):
            words = self.words()
            if others := [peer for peer in peers if words.get(peer) != lifted]:
                state = "banned" if lifted == "ban" else "trusted"
                raise ConfigError(f"not {state}: {', '.join(others)}; nothing was changed")
        word = word_of(order)
        with self._connection.transaction():
            for peer in peers:
                self.say(peer, word, now=now)
        return word

    def words(self) -> Mapping[PeerId, Word]:
        """Return the operator's words by peer."""
        return dict(self._connection.execute("SELECT peer_id, word FROM words ORDER BY at"))
