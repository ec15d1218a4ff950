"""Ledger and record files: a kill at any moment does not leave them different for good."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import KeyPair, sign_record
from swarmd.storage import BlobStore, Database
from swarmd.storage.reconciling import Reconciled, reconcile, without_file
from tests.gossip.making import START, key, make_manifest, make_record

MANIFEST = make_manifest()


def record(number: int, signer: KeyPair | None = None) -> bytes:
    return sign_record(signer or key(1), make_record(MANIFEST, number, START))


def test_an_own_record_without_its_entry_is_entered_once(tmp_path: Path) -> None:
    blobs = BlobStore(tmp_path / "records", 2**20)
    with Database(tmp_path / "swarmd.db") as database:
        database.ledger.published(blobs.put(record(1)), 1, 1, now=START)
        for number in (2, 3):
            blobs.put(record(number))
        blobs.put(record(4, key(2)))  # another peer's: it may be pulled again
        assert reconcile(database, blobs, key(1).peer_id, now=START) == Reconciled(entered=2, lost=0)
        assert reconcile(database, blobs, key(1).peer_id, now=START) == Reconciled(entered=0, lost=0)
        assert database.ledger.counts().published == 3
        assert database.ledger.records() == list(reversed(blobs.digests()))[:3]


def test_an_entry_without_its_record_is_reported_once(tmp_path: Path) -> None:
    blobs = BlobStore(tmp_path / "records", 2**20)
    with Database(tmp_path / "swarmd.db") as database:
        digests = [blobs.put(record(number)) for number in range(4)]
        for digest in digests:
            database.ledger.published(digest, 1, 1, now=START)
        (tmp_path / "records" / digests[2].hex()).unlink()
        blobs = BlobStore(tmp_path / "records", 2**20)
        assert reconcile(database, blobs, key(1).peer_id, now=START) == Reconciled(entered=0, lost=1)
        assert reconcile(database, blobs, key(1).peer_id, now=START) == Reconciled(entered=0, lost=0)


def test_records_that_a_flood_of_rejections_pushed_out_of_the_log_are_not_counted_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("swarmd.storage.ledger.ENTRIES_MAX", 10)
    monkeypatch.setattr("swarmd.storage.ledger.ENTRIES_SLACK", 1)
    blobs = BlobStore(tmp_path / "records", 2**20)
    with Database(tmp_path / "swarmd.db") as database:
        for number in range(3):
            database.ledger.published(blobs.put(record(number)), 1, 1, now=START)
        for _ in range(20):
            database.ledger.rejected("signature", "forged", now=START)
        assert database.ledger.is_trimmed
        assert reconcile(database, blobs, key(1).peer_id, now=START) == Reconciled(entered=0, lost=0)
        assert database.ledger.counts().published == 3


@given(st.integers(0, 20), st.integers(0, 20))
def test_what_the_store_dropped_as_the_oldest_is_not_missing(dropped: int, held: int) -> None:
    entered = [bytes([n]) * 32 for n in range(dropped + held)]
    missing = without_file(entered, entered[dropped:])
    assert missing == ([] if held else entered)


KILLS = """
import os, signal, sys
from pathlib import Path
from protocol import sign_record
from swarmd.storage import BlobStore, Database
from swarmd.storage.reconciling import reconcile
from tests.gossip.making import START, key, make_manifest, make_record

HOME, OWN, MANIFEST = Path(sys.argv[1]), key(1), make_manifest()
TOUCHING = {"open", "os.rename", "os.remove", "os.utime", "sqlite3.connect"}

def publish(number):
    blobs = BlobStore(HOME / "records", 2**20)
    with Database(HOME / "swarmd.db") as database:
        digest = blobs.put(sign_record(OWN, make_record(MANIFEST, number, START)))
        if kill_between:
            os.kill(os.getpid(), signal.SIGKILL)
        database.ledger.published(digest, 1, 1, now=START)

def in_child_killed_before(event_number, number):
    child = os.fork()
    if child == 0:
        left = event_number
        def count(event, arguments):
            nonlocal left
            if event in TOUCHING:
                left -= 1
                if left < 0:
                    os.kill(os.getpid(), signal.SIGKILL)
        sys.addaudithook(count)
        publish(number)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

def agree():
    blobs = BlobStore(HOME / "records", 2**20)
    with Database(HOME / "swarmd.db") as database:
        found = reconcile(database, blobs, OWN.peer_id, now=START)
        assert found.lost == 0, found
        assert set(database.ledger.records()) == set(blobs.digests())
        return found.entered

kill_between = False
publish(0)
number = kills = entered = 0
while in_child_killed_before(kills, kills + 1) == -signal.SIGKILL:
    kills += 1
    entered += agree()
kill_between = True
in_child_killed_before(10_000, 9_999)
entered += agree()
print(kills, entered)
"""


def test_a_kill_at_any_moment_of_a_publication_loses_no_record_and_no_entry(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLS, str(tmp_path)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    kills, entered = map(int, done.stdout.split())
    assert kills > 5
    assert entered > 0
