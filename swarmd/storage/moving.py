"""Moves a home to a new version of its swarm. Keeps key, weights, ledger, known peers and held-out history.

External groups in the pool answer questions under the old rules, so they are dropped. A kill in between
leaves a home that refuses to start; moving it again completes the work.
"""

from __future__ import annotations

from protocol import Manifest, VerifiedCharter
from swarmd.storage.database import Database
from swarmd.storage.home import Home


def move_home(home: Home, manifest: Manifest, charter: VerifiedCharter) -> int:
    """Move the home. Return how many waiting groups were dropped.

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
        home.write_charter(charter)  # last: until the charter exists, the home can be moved again
    return dropped
