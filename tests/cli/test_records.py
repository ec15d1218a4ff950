"""swarmd records on a home that holds an own record, a pulled one and, where said, a broken one."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from protocol import (
    RECORD_BYTES_MAX,
    RECORD_DOMAIN,
    RECORD_PAYLOAD_TYPE,
    Completion,
    KeyPair,
    Manifest,
    Record,
    TaskFamily,
    TaskSpec,
    digest_of,
    open_envelope,
    sign_record,
)
from swarmd.storage import BlobStore, Home

GCD = TaskFamily(name="gcd", source="reasoning_gym", dataset="gcd", config="{}", version="0.1.25", weight=1)
MANIFEST = Manifest(
    name="test",
    genesis=1_700_000_000,
    round_seconds=15,
    reward="exact",
    max_new_tokens=16,
    records_per_round_max=4,
    tasks=(GCD,),
)


def record(created: int, text: str = "<answer>4</answer>", seed: int = 1) -> Record:
    completions = tuple(
        Completion(
            text=said,
            reward_micro=reward,
            logprob_sum_micro=-1_000,
            tokens=3,
            bytes=len(said.encode()),
            finished=True,
        )
        for said, reward in ((text, 1_000_000), ("no idea", 0))
    )
    return Record(
        swarm=MANIFEST.swarm_id,
        round=MANIFEST.round_at(created),
        step=3,
        created=created,
        expires=created + 60,
        task=TaskSpec(source=GCD.source, dataset="gcd", config="{}", version=GCD.version, seed=seed, index=0),
        question_digest=bytes(32),
        completions=completions,
        temperature_milli=1_000,
        model="qwen2-1.4M",
        tokenizer=bytes(8),
    )


@dataclass(frozen=True)
class Stocked:
    home: Home
    own: bytes
    pulled: bytes


@pytest.fixture
def stocked(tmp_path: Path) -> Stocked:
    home = Home.open(tmp_path / "h")
    home.write_manifest(MANIFEST.to_bytes())
    store = BlobStore(home.records_path, 2**20)
    now = int(time.time())
    store.put(sign_record(home.key(), record(now - 30, seed=7)))
    own = sign_record(home.key(), record(now))
    pulled = sign_record(KeyPair.from_seed(bytes(32)), record(now, text="\x1b[2J<answer>[b]</answer>"))
    store.put(own)
    store.put(pulled)
    return Stocked(home, own, pulled)


def test_export_writes_the_newest_own_envelope_byte_for_byte(swarmd, stocked, tmp_path) -> None:
    outcome = swarmd("records", "export", "--home", stocked.home.path, "--out", tmp_path / "r")
    assert outcome.code == 0
    exported = (tmp_path / "r").read_bytes()
    assert exported == stocked.own
    opened = open_envelope(exported, RECORD_DOMAIN, RECORD_PAYLOAD_TYPE, RECORD_BYTES_MAX)
    assert opened.peer_id == stocked.home.key().peer_id
    assert RECORD_DOMAIN in outcome.out


def test_export_takes_a_digest_or_its_beginning(swarmd, stocked, tmp_path) -> None:
    digest = digest_of(stocked.pulled).hex()
    for given in (digest, digest[:10].upper()):
        swarmd("records", "export", given, "--home", stocked.home.path, "--out", tmp_path / "r")
        assert (tmp_path / "r").read_bytes() == stocked.pulled


def test_export_says_what_is_missing(swarmd, stocked, tmp_path) -> None:
    export = ("records", "export", "--out", tmp_path / "r", "--home")
    assert "has no record '1234567890'" in swarmd(*export, stocked.home.path, "1234567890").err
    assert "3 records begin with ''" in swarmd(*export, stocked.home.path, "").err
    empty = swarmd(*export, Home.open(tmp_path / "empty").path)
    assert empty.code == 2
    assert "has no own record yet" in empty.err
    assert "there is no swarmd home at" in swarmd(*export, tmp_path / "absent").err
    nowhere = swarmd("records", "export", "--home", stocked.home.path, "--out", tmp_path / "no" / "r")
    assert "cannot be written: No such file or directory" in nowhere.err


def test_list_tells_own_from_pulled_newest_first(swarmd, stocked) -> None:
    lines = swarmd("records", "list", "--home", stocked.home.path).out.splitlines()[1:]
    assert [line.split()[0] for line in lines[:2]] == [
        digest_of(envelope).hex()[:16] for envelope in (stocked.pulled, stocked.own)
    ]
    assert ["this peer" in line for line in lines] == [False, True, True]
    assert "gcd" in lines[0]
    assert "0.500" in lines[0]
    only_own = swarmd("records", "list", "--own", "--limit", "1", "--home", stocked.home.path).out
    assert len(only_own.splitlines()) == 2
    others = swarmd("records", "list", "--others", "--home", stocked.home.path).out.splitlines()[1:]
    assert [line.split()[0] for line in others] == [digest_of(stocked.pulled).hex()[:16]]
    neither = swarmd("records", "list", "--own", "--others", "--home", stocked.home.path)
    assert neither.code == 2
    assert "leave nothing to show" in neither.err


def test_a_listed_digest_can_be_copied_in_a_narrow_terminal_too(swarmd, stocked, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    shown = swarmd("records", "list", "--home", stocked.home.path).out.splitlines()[1].split()[0]
    assert digest_of(stocked.pulled).hex().startswith(shown)


def test_list_of_an_empty_home_says_so(swarmd, tmp_path) -> None:
    assert "no records yet" in swarmd("records", "list", "--home", Home.open(tmp_path).path).out


def test_verify_checks_the_signature_and_the_home_s_swarm(swarmd, stocked, tmp_path) -> None:
    (tmp_path / "r").write_bytes(stocked.pulled)
    outcome = swarmd("records", "verify", tmp_path / "r", "--home", stocked.home.path)
    assert outcome.code == 0
    assert f"signed by {KeyPair.from_seed(bytes(32)).peer_id}" in outcome.out
    assert "swarm    test: allowed there" in outcome.out
    alone = swarmd("records", "verify", tmp_path / "r", "--home", tmp_path / "absent")
    assert alone.code == 0
    assert "not checked: this home has no swarm yet" in alone.out


def test_verify_of_an_old_record_holds_and_says_it_is_too_old(swarmd, stocked, tmp_path) -> None:
    (tmp_path / "r").write_bytes(sign_record(stocked.home.key(), record(int(time.time()) - 10_000)))
    outcome = swarmd("records", "verify", tmp_path / "r", "--home", stocked.home.path)
    assert outcome.code == 0
    assert "peers would reject it now: expired: expired" in outcome.out


def test_verify_refuses_any_changed_byte_and_what_is_no_record(swarmd, stocked, tmp_path) -> None:
    changed = bytearray(stocked.own)
    changed[-1] ^= 1
    for data in (bytes(changed), b"", b"hello", stocked.own[:-1]):
        (tmp_path / "r").write_bytes(data)
        outcome = swarmd("records", "verify", tmp_path / "r", "--home", stocked.home.path)
        assert outcome.code == 1
        assert outcome.err.startswith(f"error: {tmp_path}/r is not a valid record: ")
    assert "cannot be read: No such file" in swarmd("records", "verify", tmp_path / "absent").err


def test_what_is_stored_but_no_record_is_passed_over(swarmd, stocked) -> None:
    digest = BlobStore(stocked.home.records_path, 2**20).put(b"written by some other version")
    assert len(swarmd("records", "list", "--home", stocked.home.path).out.splitlines()) == 4
    shown = swarmd("records", "show", digest.hex(), "--home", stocked.home.path)
    assert shown.code == 2
    assert "has no record" in shown.err


@pytest.mark.parametrize("text", ["shady-rabbit", "0" * 65, "0x12"])
def test_what_can_be_no_digest_is_told_as_that(swarmd, stocked, text) -> None:
    shown = swarmd("records", "show", text, "--home", stocked.home.path)
    assert shown.code == 2
    assert f"{text!r} is not a digest: give up to 64 characters of 0-9 and a-f" in shown.err


def test_a_corrupt_manifest_is_not_blamed_on_the_record(swarmd, stocked, tmp_path) -> None:
    (tmp_path / "r").write_bytes(stocked.own)
    stocked.home.write_manifest(b"junk")
    outcome = swarmd("records", "verify", tmp_path / "r", "--home", stocked.home.path)
    assert outcome.code == 2
    assert f"{stocked.home.manifest_path} is not a manifest" in outcome.err


def test_verify_refuses_a_record_of_another_swarm(swarmd, stocked, tmp_path) -> None:
    other = MANIFEST.model_copy(update={"name": "other"})
    stocked.home.write_manifest(other.to_bytes())
    (tmp_path / "r").write_bytes(stocked.own)
    outcome = swarmd("records", "verify", tmp_path / "r", "--home", stocked.home.path)
    assert outcome.code == 1
    assert "is not a valid record: swarm: for swarm" in outcome.err


def test_show_regenerates_the_question_and_scores_here(swarmd, stocked) -> None:
    outcome = swarmd("records", "show", digest_of(stocked.pulled).hex(), "--home", stocked.home.path)
    assert outcome.code == 0, outcome.err
    assert "question (NOT the one signed)" in outcome.out
    assert "Find the Greatest Common Divisor" in outcome.out
    assert "completion 1: reward 1.000 by its publisher, 0.000 here" in outcome.out
    assert "\\x1b[2J<answer>[b]</answer>" in outcome.out
    assert "\x1b" not in outcome.out


def test_the_list_has_all_its_columns_in_80_characters(swarmd, stocked, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    head, *lines = swarmd("records", "list", "--home", stocked.home.path).out.splitlines()
    assert head.split() == ["digest", "by", "step", "task", "reward", "age"]
    assert all(line.split()[-2:][1] in ("s", "min") and "0.500" in line for line in lines)
