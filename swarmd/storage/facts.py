"""Facts that a home must not forget: its peer, its swarm, and how far its checkpoints reached."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from swarmd.storage.connection import Connection


class Facts:
    """Text values by name. None means that a fact is not known yet."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @property
    def peer_id(self) -> str | None:
        """The peer whose counts the ledger holds."""
        return self._get("peer")

    @property
    def swarm_id(self) -> bytes | None:
        """The swarm that this home belongs to. Only `moving.py` changes it."""
        found = self._get("swarm")
        return None if found is None else bytes.fromhex(found)

    @property
    def saved_step(self) -> int | None:
        """The step of the checkpoint saved last."""
        found = self._get("saved_step")
        return None if found is None else int(found)

    @property
    def goodbyes(self) -> dict[str, int]:
        """Peers whose last status said that they leave, with the Unix time at which this was recorded."""
        found: dict[str, int] = json.loads(self._get("goodbyes") or "{}")
        return found

    def asked(self, swarm_id: bytes) -> tuple[bytes, ...]:
        """Return the digests of a swarm's held-out questions, by part (`Sitting.asked`); empty if those of
        another swarm, or of an earlier version of its rules, were asked last.
        """
        found = json.loads(self._get("asked") or "{}")
        return tuple(map(bytes.fromhex, found.get(swarm_id.hex(), [])))

    def set_asked(self, swarm_id: bytes, asked: Iterable[bytes]) -> None:
        self._set("asked", json.dumps({swarm_id.hex(): [each.hex() for each in asked]}))

    def set_peer(self, peer_id: str) -> None:
        self._set("peer", peer_id)

    def set_swarm(self, swarm_id: bytes) -> None:
        self._set("swarm", swarm_id.hex())

    def set_saved_step(self, step: int) -> None:
        self._set("saved_step", str(step))

    def set_goodbyes(self, goodbyes: Mapping[str, int]) -> None:
        self._set("goodbyes", json.dumps(goodbyes, sort_keys=True))

    def _get(self, name: str) -> str | None:
        rows = self._connection.execute("SELECT value FROM facts WHERE name = ?", (name,))
        return rows[0][0] if rows else None

    def _set(self, name: str, value: str) -> None:
        if self._get(name) != value:
            self._connection.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))
