"""Moves a home to a new version of its swarm. Key, weights, ledger, known peers and held-out history stay.

Groups by others that wait in the pool answer the questions of the old rules, so they are dropped. A kill in
between leaves a home that refuses to start; moving it once more completes the work.
"""

from __future__ import annotations

from protocol import Manifest, VerifiedCharter
from swarmd.storage.database import Database
from swarmd.storage.home import Home


def move_home(home: Home, manifest: Manifest, charter: VerifiedCharter) -> int:
    """Returns how many waiting groups were dropped.

    Raises ConfigError if a daemon uses the home, and StorageError.
    """
    with home.lock():
        dropped = 0
        if home.database_path.exists():
            with Database(home.database_path) as database, database.transaction():
                dropped = database.pool.clear()
                database.facts.set_swarm(manifest.swarm_id)
        home.write_manifest(manifest.to_bytes())
        news = home.news()
        if news is not None and not news.replaces(charter):
            home.news_path.unlink()
        home.write_charter(charter)  # last: until it is there, the home can be moved again
    return dropped
