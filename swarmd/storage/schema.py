"""The tables of a home's database, as scripts that migrate each version to the next."""

from __future__ import annotations

APPLICATION_ID = 0x5357_4D44
"""'SWMD' in SQLite's header, which distinguishes our database from other programs'."""

MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE pool (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        digest BLOB NOT NULL UNIQUE,
        round INTEGER NOT NULL,
        task_id BLOB NOT NULL,
        publisher TEXT NOT NULL,
        informative INTEGER NOT NULL,
        used_step INTEGER,
        body BLOB NOT NULL
    );
    CREATE INDEX pool_by_age ON pool (round, id);
    CREATE TABLE ledger (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        at REAL NOT NULL,
        event TEXT NOT NULL,
        digest BLOB,
        peer_id TEXT,
        round INTEGER,
        step INTEGER,
        reason TEXT,
        detail TEXT
    );
    CREATE TABLE totals (
        event TEXT NOT NULL,
        reason TEXT NOT NULL,
        n INTEGER NOT NULL,
        PRIMARY KEY (event, reason)
    );
    CREATE TABLE publishers (
        peer_id TEXT PRIMARY KEY,
        groups_pulled INTEGER NOT NULL,
        reward_sum REAL NOT NULL,
        last_pulled REAL NOT NULL
    );
    CREATE INDEX publishers_by_age ON publishers (last_pulled);
    CREATE TABLE steps (
        step INTEGER PRIMARY KEY,
        at REAL NOT NULL,
        reward REAL,
        window_mean REAL,
        metrics TEXT NOT NULL
    );
    CREATE INDEX steps_by_window ON steps (window_mean);
    CREATE TABLE peers (peer_id TEXT PRIMARY KEY, addresses TEXT NOT NULL, last_seen REAL NOT NULL);
    CREATE INDEX peers_by_age ON peers (last_seen);
    """,
    """
    CREATE TABLE acquaintances (
        peer_id TEXT PRIMARY KEY,
        groups INTEGER NOT NULL,
        first REAL NOT NULL,
        last REAL NOT NULL,
        met_at TEXT
    );
    CREATE TABLE words (peer_id TEXT PRIMARY KEY, word TEXT NOT NULL, at REAL NOT NULL);
    CREATE INDEX pool_by_publisher ON pool (publisher);
    """,
    """
    CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
    """,
    """
    CREATE TABLE held_out (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        step INTEGER NOT NULL,
        at REAL NOT NULL,
        part INTEGER NOT NULL,
        asked BLOB NOT NULL,
        model TEXT NOT NULL,
        untrained INTEGER NOT NULL,
        answers TEXT NOT NULL,
        questions INTEGER NOT NULL,
        right_answers INTEGER NOT NULL,
        tasks TEXT NOT NULL
    );
    CREATE TABLE reward_history (
        stretch INTEGER PRIMARY KEY,
        width INTEGER NOT NULL,
        last INTEGER NOT NULL,
        n INTEGER NOT NULL,
        total REAL NOT NULL,
        squares REAL NOT NULL
    );
    """,
    """
    CREATE TABLE partners (
        peer_id TEXT PRIMARY KEY,
        used INTEGER NOT NULL DEFAULT 0,
        pulls INTEGER NOT NULL DEFAULT 0,
        claimed INTEGER NOT NULL DEFAULT 0,
        last_seen REAL NOT NULL
    );
    CREATE TABLE events (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        at REAL NOT NULL,
        name TEXT NOT NULL,
        level TEXT NOT NULL,
        fields TEXT NOT NULL
    );
    """,
    """
    CREATE TABLE answers (
        question BLOB PRIMARY KEY,
        at REAL NOT NULL,
        task TEXT NOT NULL,
        gist TEXT NOT NULL,
        attempts INTEGER NOT NULL,
        right_attempts INTEGER NOT NULL,
        state TEXT NOT NULL,
        digest BLOB
    );
    CREATE INDEX answers_by_digest ON answers (digest);
    CREATE TABLE credits (
        peer_id TEXT NOT NULL,
        people INTEGER NOT NULL,
        groups INTEGER NOT NULL DEFAULT 0,
        gain REAL NOT NULL DEFAULT 0,
        claimed_groups INTEGER NOT NULL DEFAULT 0,
        claimed_gain_milli INTEGER NOT NULL DEFAULT 0,
        last_seen REAL NOT NULL,
        PRIMARY KEY (peer_id, people)
    );
    CREATE TABLE answer_pulls (digest BLOB NOT NULL, peer_id TEXT NOT NULL, PRIMARY KEY (digest, peer_id));
    """,
)
"""Script n, counting from 0, turns version n into version n + 1. Append only; never edit a released one."""
