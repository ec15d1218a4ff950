"""The blob store: content-addressed, bounded, and never fooled by what is on disk."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from protocol import digest_of
from swarmd.errors import StorageError
from swarmd.storage import BlobStore
from swarmd.storage.blobs import BLOCK_BYTES

ROOMY = 100 * BLOCK_BYTES


def test_an_envelope_comes_back_under_its_digest(tmp_path: Path) -> None:
    store = BlobStore(tmp_path / "records", ROOMY)
    digest = store.put(b"envelope")
    assert digest == digest_of(b"envelope")
    assert store.get(digest) == b"envelope"
    assert digest in store


def test_the_file_name_is_the_digest_and_nothing_else(tmp_path: Path) -> None:
    digest = BlobStore(tmp_path, ROOMY).put(b"../../etc/passwd")
    assert [path.name for path in tmp_path.iterdir()] == [digest.hex()]


@pytest.mark.parametrize("asked", [b"", b"short", b"../" * 11, b"\0" * 33, b"\0" * 32])
def test_what_is_not_held_is_none(tmp_path: Path, asked: bytes) -> None:
    store = BlobStore(tmp_path / "records", ROOMY)
    (tmp_path / "secret").write_bytes(b"secret")
    assert store.get(asked) is None


def test_digests_are_newest_first_and_the_order_survives_a_restart(tmp_path: Path) -> None:
    store = BlobStore(tmp_path, ROOMY)
    digests = [store.put(f"record {n}".encode()) for n in range(20)]
    assert store.newest() == digests[-1]
    assert store.digests() == digests[::-1]
    assert BlobStore(tmp_path, ROOMY).digests() == digests[::-1]


def test_the_order_holds_when_the_clock_goes_back(tmp_path: Path) -> None:
    store = BlobStore(tmp_path, ROOMY)
    from_the_future = store.put(b"written before the clock was set right")
    os.utime(tmp_path / from_the_future.hex(), (4e9, 4e9))
    store = BlobStore(tmp_path, ROOMY)
    later = store.put(b"written after")
    assert BlobStore(tmp_path, ROOMY).digests() == [later, from_the_future]


def test_an_empty_store_has_no_newest(tmp_path: Path) -> None:
    store = BlobStore(tmp_path, ROOMY)
    assert store.newest() is None
    assert store.digests() == []


def test_the_oldest_make_room_for_the_newest(tmp_path: Path) -> None:
    store = BlobStore(tmp_path, 3 * BLOCK_BYTES)
    first, *rest = [store.put(f"record {n}".encode()) for n in range(4)]
    assert store.get(first) is None
    assert store.digests() == rest[::-1]
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(d.hex() for d in rest)


def test_an_envelope_larger_than_the_store_is_refused_and_costs_nothing(tmp_path: Path) -> None:
    store = BlobStore(tmp_path, 2 * BLOCK_BYTES)
    kept = store.put(b"kept")
    with pytest.raises(ValueError, match="exceeds the limit"):
        store.put(b"x" * (2 * BLOCK_BYTES + 1))
    assert store.digests() == [kept]


def test_putting_the_same_envelope_again_changes_nothing(tmp_path: Path) -> None:
    store = BlobStore(tmp_path, ROOMY)
    old, new = store.put(b"old"), store.put(b"new")
    assert store.put(b"old") == old
    assert store.digests() == [new, old]
    assert store.disk_bytes == 2 * BLOCK_BYTES


@pytest.mark.parametrize("damage", [b"", b"envelop", b"envelopE", b"envelope+"])
def test_a_damaged_blob_is_none_set_aside_and_reported(tmp_path: Path, damage: bytes) -> None:
    problems: list[str] = []
    store = BlobStore(tmp_path, ROOMY, problems.append)
    digest = store.put(b"envelope")
    (tmp_path / digest.hex()).write_bytes(damage)
    assert store.get(digest) is None
    assert not (tmp_path / digest.hex()).exists()
    assert digest not in store
    [problem] = problems
    assert digest.hex() in problem
    assert "damaged" in problem
    assert (tmp_path / f"damaged-{digest.hex()}").read_bytes() == damage
    assert store.put(b"envelope") == digest
    assert store.get(digest) == b"envelope"


def test_a_blob_that_somebody_deleted_is_none(tmp_path: Path) -> None:
    store = BlobStore(tmp_path, ROOMY)
    digest = store.put(b"envelope")
    (tmp_path / digest.hex()).unlink()
    assert store.get(digest) is None
    assert store.disk_bytes == 0


def test_a_second_reader_sees_what_the_writer_stores_later(tmp_path: Path) -> None:
    writer = BlobStore(tmp_path, ROOMY)
    reader = BlobStore(tmp_path, ROOMY)
    assert reader.get(writer.put(b"later")) == b"later"


def test_leftovers_and_other_files_are_not_blobs(tmp_path: Path) -> None:
    (tmp_path / ".writing").write_bytes(b"a killed put")
    (tmp_path / "README").write_bytes(b"somebody's note")
    store = BlobStore(tmp_path, ROOMY)
    assert store.digests() == []
    digest = store.put(b"envelope")
    assert {path.name for path in tmp_path.iterdir()} == {"README", digest.hex()}


def test_a_shrunk_store_drops_the_oldest_at_the_next_put_or_prune(tmp_path: Path) -> None:
    digests = [BlobStore(tmp_path, ROOMY).put(f"record {n}".encode()) for n in range(6)]
    store = BlobStore(tmp_path, 4 * BLOCK_BYTES)
    assert store.prune(4 * BLOCK_BYTES) == 2
    assert store.digests() == digests[:1:-1]
    assert store.prune(4 * BLOCK_BYTES) == 0


def test_a_full_disk_is_a_storage_error_and_nothing_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = BlobStore(tmp_path, ROOMY)
    kept = store.put(b"kept")

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="no space left on device; free some space"):
        store.put(b"one too many")
    monkeypatch.undo()
    assert store.digests() == [kept]
    assert [path.name for path in tmp_path.iterdir()] == [kept.hex()]


def test_a_directory_that_cannot_be_listed_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "records").write_bytes(b"a file")
    with pytest.raises(StorageError, match="cannot list the records"):
        BlobStore(tmp_path / "records", ROOMY)


class BoundedStore(RuleBasedStateMachine):
    """Against a model: a list of envelopes in the order they were put, cut at the front to the bound."""

    BYTES_MAX = 4 * BLOCK_BYTES
    stored = Bundle("stored")

    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.TemporaryDirectory()
        self.store = BlobStore(Path(self.directory.name), self.BYTES_MAX)
        self.model: dict[bytes, bytes] = {}

    def blocks(self) -> int:
        return sum(max(1, -(-len(envelope) // BLOCK_BYTES)) for envelope in self.model.values())

    @rule(target=stored, seed=st.binary(max_size=8), size=st.integers(1, 2 * BLOCK_BYTES))
    def put(self, seed: bytes, size: int) -> bytes:
        envelope = (seed or b"\0").ljust(size, b".")
        digest = self.store.put(envelope)
        if digest not in self.model:
            self.model[digest] = envelope
            while self.blocks() > self.BYTES_MAX // BLOCK_BYTES:
                del self.model[next(iter(self.model))]
        return digest

    @rule(digest=stored)
    def get(self, digest: bytes) -> None:
        assert self.store.get(digest) == self.model.get(digest)

    @rule(digest=stored, keep=st.integers(0, 100))
    def corrupt(self, digest: bytes, keep: int) -> None:
        path = Path(self.directory.name) / digest.hex()
        if path.exists():
            path.write_bytes(path.read_bytes()[:keep] + b"!")
            assert self.store.get(digest) is None
            self.model.pop(digest)

    @rule()
    def restart(self) -> None:
        self.store = BlobStore(Path(self.directory.name), self.BYTES_MAX)

    @invariant()
    def the_bound_and_the_order_hold(self) -> None:
        assert self.store.digests() == list(self.model)[::-1]
        assert self.store.disk_bytes == self.blocks() * BLOCK_BYTES <= self.BYTES_MAX
        files = list(Path(self.directory.name).iterdir())
        held = {path.name for path in files if not path.name.startswith("damaged-")}
        assert held == {digest.hex() for digest in self.model}

    def teardown(self) -> None:
        self.directory.cleanup()


TestBoundedStore = BoundedStore.TestCase
TestBoundedStore.settings = settings(max_examples=40, stateful_step_count=25)
