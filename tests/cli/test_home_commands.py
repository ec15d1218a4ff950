"""swarmd check, swarmd key and --new-identity: what is wrong with a home, and who it is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from protocol import KeyPair, sign_record
from swarmd.fleet import prepare_homes
from swarmd.fleet.devices import Device
from swarmd.storage import BlobStore, Checkpoints, Database, Home
from swarmd.storage.checking import look
from tests.gossip.making import START, make_manifest, make_record

MANIFEST = make_manifest()


@pytest.fixture
def home(swarmd, tmp_path: Path) -> Home:
    """One that has trained."""
    assert swarmd("init", "--home", tmp_path / "home").code == 0
    home = Home(tmp_path / "home")
    home.write_manifest(MANIFEST.to_bytes())
    checkpoints = Checkpoints(home.checkpoints_path, 3)
    for step in (1, 2):
        checkpoints.save(step, tensors={"w": torch.ones(8)}, optimizer={}, state={})
    blobs = BlobStore(home.records_path, 2**20)
    with Database(home.database_path) as database:
        for number in (1, 2):
            digest = blobs.put(sign_record(home.key(), make_record(MANIFEST, number, START)))
            database.ledger.published(digest, 1, 1, now=START)
    return home


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


# check --------------------------------------------------------------------------------------------


def test_a_whole_home_has_nothing_wrong(swarmd, home: Home) -> None:
    done = swarmd("check", "--home", home.path)
    assert done.code == 0
    assert done.out.endswith("nothing is wrong\n")
    for part in (
        "identity.key",
        "config.toml",
        "swarmd.db",
        "checkpoints/00000002-step-2",
        "2 whole",
        "ledger",
    ):
        assert part in done.out


def test_a_look_leaves_no_file_behind(swarmd, home: Home) -> None:
    before = sorted(home.path.rglob("*"))
    assert swarmd("check", "--home", home.path).code == 0
    assert sorted(home.path.rglob("*")) == before


def test_a_look_sees_what_a_running_daemon_has_just_written(swarmd, home: Home) -> None:
    with Database(home.database_path) as database:
        digest = BlobStore(home.records_path, 2**20).put(
            sign_record(home.key(), make_record(MANIFEST, 3, START))
        )
        database.ledger.published(digest, 1, 1, now=START)
        done = swarmd("check", "--home", home.path)
    assert done.code == 0
    assert "3 entries of records" in done.out


def test_records_that_a_running_daemon_enters_a_moment_later_are_not_wrong(home: Home) -> None:
    record = sign_record(home.key(), make_record(MANIFEST, 3, START))
    digest = BlobStore(home.records_path, 2**20).put(record)

    def enter(_seconds: float) -> None:
        with Database(home.database_path) as database:
            database.ledger.published(digest, 1, 1, now=START)

    [ledger] = [each for each in look(home, sleep=enter) if each.part == "ledger"]
    assert (ledger.state, ledger.detail) == ("whole", "3 entries of records")


def test_what_is_damaged_is_named_and_nothing_is_changed(swarmd, home: Home) -> None:
    flip(home.checkpoints_path / "00000002-step-2" / "state.json")
    record = next(home.records_path.iterdir())
    flip(record)
    done = swarmd("check", "--home", home.path, "--json")
    found = json.loads(done.out)
    wrong = {part["part"]: part["detail"] for part in found["parts"] if part["state"] == "damaged"}
    assert done.code == 1
    assert not found["ok"]
    assert wrong == {
        "checkpoints/00000002-step-2": "state.json does not match its hash",
        f"records/{record.name}": "does not match its hash",
    }
    assert record.exists()


@pytest.mark.parametrize(
    ("part", "remedy"),
    [
        ("charter.signed", "give --swarm with the signed file again"),
        ("news.signed", "tell of the new version"),
    ],
)
def test_what_an_author_signed_is_checked_too(swarmd, home: Home, part: str, remedy: str) -> None:
    (home.path / part).write_bytes(b"damaged")
    done = swarmd("check", "--home", home.path, "--json")
    [found] = [each for each in json.loads(done.out)["parts"] if each["part"] == part]
    assert (done.code, found["state"]) == (1, "wrong")
    assert remedy in found["detail"]


def test_repair_sets_aside_and_brings_the_books_together(swarmd, home: Home) -> None:
    flip(home.checkpoints_path / "00000002-step-2" / "weights.safetensors")
    oldest, newest = sorted(home.records_path.iterdir(), key=lambda path: path.stat().st_mtime_ns)
    flip(newest)
    envelope = sign_record(home.key(), make_record(MANIFEST, 9, START))
    BlobStore(home.records_path, 2**20).put(envelope)  # a kill before its entry
    assert swarmd("check", "--home", home.path).code == 1
    done = swarmd("check", "--repair", "--home", home.path, "--json")
    assert done.code == 0, done.out
    assert (home.checkpoints_path / "damaged-00000002-step-2").is_dir()
    assert (home.records_path / f"damaged-{newest.name}").is_file()
    assert oldest.exists()
    kept = [part["part"] for part in json.loads(done.out)["parts"] if part["state"] == "kept"]
    assert len(kept) == 2
    with Database(home.database_path) as database:
        events = [entry.event for entry in database.ledger.entries(10)]
    assert events == ["lost", "published", "published", "published"]
    assert swarmd("check", "--home", home.path).code == 0


def test_repair_is_refused_while_a_daemon_runs(swarmd, home: Home) -> None:
    with home.lock():
        assert swarmd("check", "--home", home.path).code == 0
        done = swarmd("check", "--repair", "--home", home.path)
    assert done.code == 2
    assert "is used by a running swarmd" in done.err


def test_the_home_of_each_device_is_verified_and_repaired(swarmd, home: Home, tmp_path: Path) -> None:
    fleet = tmp_path / "fleet"
    prepare_homes(fleet, [Device("cuda:1", "cuda:1")])
    home.path.rename(fleet / "devices" / "cuda-0")
    trained = Home(fleet / "devices" / "cuda-0")
    whole = swarmd("check", "--home", fleet)
    assert (whole.code, whole.out.splitlines()[-1]) == (0, "nothing is wrong")
    assert "cuda-1/identity.key" in whole.out
    flip(trained.checkpoints_path / "00000002-step-2" / "weights.safetensors")
    done = swarmd("check", "--home", fleet, "--json")
    wrong = [each["part"] for each in json.loads(done.out)["parts"] if each["state"] == "damaged"]
    assert (done.code, wrong) == (1, ["cuda-0/checkpoints/00000002-step-2"])
    with trained.lock():
        assert swarmd("check", "--repair", "--home", fleet).code == 2, "its daemon runs"
    [said] = json.loads(swarmd("check", "--repair", "--home", fleet, "--json").out)["repaired"]
    assert said.startswith("cuda-0/checkpoints/00000002-step-2 is kept as ")
    assert swarmd("check", "--home", fleet).code == 0


def test_a_device_whose_peer_lost_its_key_is_wrong(swarmd, home: Home, tmp_path: Path) -> None:
    (tmp_path / "fleet" / "devices").mkdir(parents=True)
    home.path.rename(tmp_path / "fleet" / "devices" / "cuda-0")
    (tmp_path / "fleet" / "devices" / "cuda-0" / "identity.key").unlink()
    done = swarmd("check", "--home", tmp_path / "fleet", "--json")
    wrong = [each["part"] for each in json.loads(done.out)["parts"] if each["state"] == "wrong"]
    assert (done.code, wrong) == (1, ["cuda-0/identity.key", "cuda-0/ledger"])
    assert "name one of them" in swarmd("peers", "--home", tmp_path / "fleet").err


def test_others_rights_and_a_missing_key_are_wrong(swarmd, home: Home) -> None:
    home.identity_path.unlink()
    home.path.chmod(0o777)
    done = swarmd("check", "--home", home.path)
    assert done.code == 1
    assert "other users can write to it" in done.out
    assert "swarmd key restore FILE" in done.out


def test_a_home_that_is_not_there_is_misuse(swarmd, tmp_path: Path) -> None:
    assert swarmd("check", "--home", tmp_path / "none").code == 2


# key ----------------------------------------------------------------------------------------------


def test_a_key_comes_back_from_its_backup(swarmd, home: Home, tmp_path: Path) -> None:
    before, file = home.identity_path.read_bytes(), tmp_path / "copy.key"
    assert swarmd("key", "backup", file, "--home", home.path).code == 0
    assert file.stat().st_mode & 0o777 == 0o600
    home.identity_path.unlink()
    assert swarmd("key", "restore", file, "--home", home.path).code == 0
    assert home.identity_path.read_bytes() == before
    assert home.identity_path.stat().st_mode & 0o777 == 0o600
    assert "as it was" in swarmd("key", "restore", file, "--home", home.path).out


def test_another_key_is_never_overwritten_unasked(swarmd, home: Home, tmp_path: Path) -> None:
    other, before = KeyPair.from_seed(bytes(32)).to_libp2p(), home.identity_path.read_bytes()
    file = tmp_path / "other.key"
    file.write_bytes(other)
    refused = swarmd("key", "restore", file, "--home", home.path)
    assert (refused.code, home.identity_path.read_bytes()) == (2, before)
    assert "--replace" in refused.err
    assert swarmd("key", "restore", file, "--replace", "--home", home.path).code == 0
    assert home.identity_path.read_bytes() == other
    assert (home.path / "former-identity.key").read_bytes() == before
    assert swarmd("key", "backup", file, "--home", home.path).code == 0
    file.write_bytes(before)
    assert swarmd("key", "backup", file, "--home", home.path).code == 2
    assert file.read_bytes() == before


@pytest.mark.parametrize("content", [None, b"", b"not a key"])
def test_what_is_no_key_is_not_restored(swarmd, home: Home, tmp_path: Path, content: bytes | None) -> None:
    file, before = tmp_path / "file", home.identity_path.read_bytes()
    if content is not None:
        file.write_bytes(content)
    assert swarmd("key", "restore", file, "--replace", "--home", home.path).code == 2
    assert home.identity_path.read_bytes() == before


# a missing key ------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["init", "join"])
def test_a_home_that_lost_its_key_is_no_new_peer_unasked(swarmd, home: Home, command: str) -> None:
    home.identity_path.unlink()
    done = swarmd(command, "--home", home.path)
    assert done.code == 2
    for way in ("swarmd key restore FILE", "--new-identity", "another --home"):
        assert way in done.err
    assert not home.identity_path.exists()


def test_a_new_identity_is_made_once_and_keeps_the_former_ledger(swarmd, home: Home) -> None:
    before = home.key().peer_id
    home.identity_path.unlink()
    assert swarmd("init", "--home", home.path, "--new-identity").code == 0
    made = home.key().peer_id
    assert made != before
    assert (home.path / "former-swarmd.db").is_file()
    assert "stays the same peer" in swarmd("init", "--home", home.path, "--new-identity").out
    assert home.key().peer_id == made
