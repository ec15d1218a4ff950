"""Every file of a home, damaged, missing or unreadable: what a start says, does next, and keeps.

A start here is the storage half of the daemon's: key, settings, books, swarm, checkpoints. In the table,
SILENT is a start that goes on and says nothing, told(...) one that says so, refused(...) one that ends.
"""

from __future__ import annotations

import asyncio
import re
import shutil
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from protocol import sign_record
from swarmd.cli.init import open_home
from swarmd.config import load_config
from swarmd.daemon import joining
from swarmd.daemon.beginning import Beginning
from swarmd.daemon.books import past_of, require_own, settle
from swarmd.daemon.joining import choose_manifest
from swarmd.daemon.resuming import find_resumption
from swarmd.errors import ConfigError, SwarmdError
from swarmd.hardware.remembered import read_shrunk
from swarmd.storage import BlobStore, Checkpoints, Database, Home
from swarmd.storage.checking import look
from swarmd.tasks import SwarmFile
from tests.daemon.fakes import Events, ScriptedNetwork
from tests.gossip.making import START, make_manifest, make_record
from tests.storage.faults import DAMAGE, FAULTS, READ_ERRORS, contents, lost, refusing

MANIFEST = make_manifest()
STEPS = (10, 20, 30)
CHECKPOINT = ("weights.safetensors", "optimizer.pt", "state.json", "manifest.json")


@dataclass(frozen=True)
class Outcome:
    """Regular expressions."""

    told: str = ""
    refused: str = ""
    step: int = STEPS[-1]
    """The step from which training goes on, unless the start is refused."""


SILENT = Outcome()


def told(words: str, step: int = STEPS[-1]) -> Outcome:
    return Outcome(told=words, step=step)


def refused(words: str) -> Outcome:
    return Outcome(refused=words)


UNREADABLE = {
    "unreadable": refused("permission denied"),
    "EIO": refused("input/output error|disk I/O error"),
    "EMFILE": refused("too many (open )?files|cannot be opened"),
    "ENOMEM": refused("cannot allocate memory|disk I/O error"),
    "ESTALE": refused("stale file handle|disk I/O error"),
}
"""A read that fails proves nothing: the start ends with the cause."""
FOUND_OUT_AGAIN = dict.fromkeys(FAULTS, SILENT)
SQLITE_REFUSES = {**UNREADABLE, "unreadable": refused("cannot be opened; check its permissions")}

FILES: dict[str, dict[str, Outcome]] = {
    "identity.key": {
        **dict.fromkeys(("truncated", "flipped", "empty"), refused("is damaged .*key restore FILE")),
        "missing": refused("is missing, but a peer has used this home .*--new-identity"),
        **UNREADABLE,
    },
    "config.toml": {  # the operator's text: whatever is left of it counts
        "truncated": SILENT,
        "flipped": refused(r"config\.toml"),
        "empty": SILENT,
        "missing": SILENT,  # said on standard error, by `open_home`
        **UNREADABLE,
    },
    "manifest.cbor": {
        **dict.fromkeys(("truncated", "flipped", "empty"), refused("not a manifest|is damaged or")),
        "missing": SILENT,  # the swarm is known by name, and its id is that of the database
        **UNREADABLE,
    },
    "port": {**dict.fromkeys(DAMAGE, SILENT), **UNREADABLE},
    "lock": {**dict.fromkeys(DAMAGE, SILENT), **UNREADABLE},
    "rates.json": FOUND_OUT_AGAIN,
    "budgets.json": FOUND_OUT_AGAIN,
    "swarmd.db": {
        **dict.fromkeys(("truncated", "flipped"), told("is damaged .*damaged-swarmd.db.*is new, and this")),
        **dict.fromkeys(
            ("empty", "missing"), told("totals, .* bans and trust are lost.*1 published groups were")
        ),
        **SQLITE_REFUSES,
    },
    "swarmd.db-wal": {  # its last transaction is lost, and with it the entry of the record
        **dict.fromkeys(DAMAGE, told("1 records were missing from the ledger")),
        **SQLITE_REFUSES,
    },
    "record": {  # damaged ones are found when they are asked for, and never served
        **dict.fromkeys(
            ("truncated", "flipped", "empty"), told("is damaged: it is not served, and is kept as")
        ),
        "missing": told("1 records listed in the ledger are missing"),
        **dict.fromkeys(READ_ERRORS, told("cannot read the record")),
    },
}
NEWEST = {
    **dict.fromkeys(DAMAGE, told("damaged: .* is kept as .*falling back.*steps 21 to 30 are lost", STEPS[1])),
    **UNREADABLE,
}
ALL = {
    **dict.fromkeys(
        DAMAGE, refused("(?s)no checkpoint can be loaded .*nothing was changed.*--from .*--fresh")
    ),
    **UNREADABLE,
}
ALL_WEIGHTS = {
    **ALL,
    **dict.fromkeys(DAMAGE, refused("(?s)no checkpoint can be loaded .*nothing was changed.*--fresh")),
}


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Homes that trained: "stopped", and "killed" while its last record was in the database's log."""
    folder = tmp_path_factory.mktemp("homes")
    path = folder / "stopped"
    home = open_home(path)
    key = home.key()
    home.config_path.write_text("[learning]\nlocal = 3\n")
    home.write_manifest(MANIFEST.to_bytes())
    home.write_port(41_017)
    home.rates_path.write_text("{}")
    home.budgets_path.write_text('{"entries": []}')
    checkpoints = Checkpoints(home.checkpoints_path, len(STEPS))
    for step in STEPS:
        checkpoints.save(
            step,
            tensors={"w": torch.full((64,), float(step))},
            optimizer={"m": torch.ones(64)},
            state={"n": step},
            about={"family": "tiny", "peer": key.peer_id},
        )
    envelope = sign_record(key, make_record(MANIFEST, 1, START))
    with Database(home.database_path) as database:
        database.facts.set_peer(key.peer_id)
        database.facts.set_swarm(MANIFEST.swarm_id)
        for step in range(1, STEPS[-1] + 1):
            database.steps.record(step, reward=0.5, metrics={"text": "x" * 500}, now=START)
        database.facts.set_saved_step(STEPS[-1])
    digest = BlobStore(home.records_path, 2**20).put(envelope)
    with home.lock(), Database(home.database_path) as database:
        database.ledger.published(digest, 1, 3, now=START)
        shutil.copytree(path, folder / "killed")  # with the log, which closing removes
    return folder


@pytest.fixture
def home(homes: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(homes / "stopped", tmp_path / "home"))


@pytest.fixture
def killed(homes: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(homes / "killed", tmp_path / "killed"))


@pytest.fixture(autouse=True)
def _preset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joining, "find_swarm", lambda _: SwarmFile(MANIFEST, None, ""))


def start(path: Path, beginning: Beginning | None = None) -> tuple[int, str]:
    """The storage half of a start: the step it goes on from, and what it says. Raises SwarmdError."""
    said: list[str] = []
    home = open_home(path)
    with home.lock():
        key = home.key()
        load_config(home.path, {})
        home.read_port()
        read_shrunk(home.budgets_path)
        with Database(home.database_path, on_problem=said.append) as database:
            require_own(database, home, key.peer_id)
            blobs = BlobStore(home.records_path, 2**20, said.append)
            settle(database, blobs, home, key.peer_id, now=START, warn=said.append)
            asyncio.run(
                choose_manifest(
                    None,
                    home=home,
                    network=ScriptedNetwork(key.peer_id),
                    peers=(),
                    events=Events(),
                    belongs_to=database.facts.swarm_id,
                )
            )
            for digest in blobs.digests():
                blobs.get(digest)  # as when another peer asks
            found = find_resumption(
                Checkpoints(home.checkpoints_path, 3), home, beginning or Beginning(), past_of(database)
            )
            said += found.problems
            step = 0 if found.checkpoint is None else found.checkpoint.step
            database.rewind(step)
            database.facts.set_saved_step(step)
    return step, " ".join(said)


def files_of(home: Path, name: str) -> list[Path]:
    return [next((home / "records").iterdir())] if name == "record" else [home / name]


def damage(paths: list[Path], fault: str) -> None:
    for path in paths:
        DAMAGE[fault](path)


def expect(home: Path, paths: list[Path], fault: str, outcome: Outcome) -> None:
    if fault in DAMAGE:
        damage(paths, fault)
        check(home, outcome, nullcontext())
    else:
        check(home, outcome, refusing(paths[0], READ_ERRORS[fault]))
        step, said = start(home)
        assert (step, said) == (STEPS[-1], ""), "all is as before once the disk can be read again"


def check(home: Path, outcome: Outcome, disk: AbstractContextManager[None]) -> None:
    before = contents(home)
    if outcome.refused:
        with disk, pytest.raises(SwarmdError) as raised:
            start(home)
        assert re.search(outcome.refused, str(raised.value), re.IGNORECASE), str(raised.value)
    else:
        with disk:
            step, said = start(home)
        assert step == outcome.step
        assert re.search(outcome.told, said) if outcome.told else said == "", said
    written = {"lock", "swarmd.db-shm"}  # the pid, and SQLite's memory
    if not any(home.glob("damaged-swarmd.db*")):
        written |= {"swarmd.db", "swarmd.db-wal"}  # the database is in use
    assert lost(before, home) <= written


CASES = [(name, fault, outcome) for name, row in FILES.items() for fault, outcome in row.items()]


@pytest.mark.parametrize(("name", "fault", "outcome"), CASES, ids=[f"{n}-{f}" for n, f, _ in CASES])
def test_a_fault_of_a_file(home: Path, killed: Path, name: str, fault: str, outcome: Outcome) -> None:
    at = killed if name == "swarmd.db-wal" else home
    expect(at, files_of(at, name), fault, outcome)


def test_the_table_names_every_file_and_every_fault(killed: Path) -> None:
    names = {path.name for path in killed.iterdir() if path.is_file()} - {"swarmd.db-shm"}
    assert names == FILES.keys() - {"record"}
    assert all(row.keys() == set(FAULTS) for row in (*FILES.values(), NEWEST, ALL, ALL_WEIGHTS))


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", CHECKPOINT)
def test_a_fault_of_the_newest_checkpoint(home: Path, name: str, fault: str) -> None:
    newest = max((home / "checkpoints").iterdir())
    expect(home, [newest / name], fault, NEWEST[fault])


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", CHECKPOINT)
def test_a_fault_of_all_checkpoints(home: Path, name: str, fault: str) -> None:
    paths = sorted((home / "checkpoints").iterdir(), reverse=True)
    table = ALL_WEIGHTS if name == CHECKPOINT[0] else ALL
    expect(home, [path / name for path in paths], fault, table[fault])


def test_what_a_kill_left_is_whole(killed: Path) -> None:
    assert start(killed) == (STEPS[-1], "")


@pytest.mark.parametrize("fault", DAMAGE)
@pytest.mark.parametrize("name", CHECKPOINT[1:])
def test_whole_weights_are_usable_and_what_is_lost_is_said(home: Path, name: str, fault: str) -> None:
    paths = sorted((home / "checkpoints").iterdir())
    damage([path / name for path in paths], fault)
    before = contents(home / "checkpoints")
    for _ in range(2):  # if the first start ends before it saves, the same option works again
        step, said = start(home, Beginning(checkpoint=paths[1]))
        assert step == STEPS[1]
        assert re.search(f"lost with .*{paths[1].name}: .*{name}", said)
    assert all(path.with_name(f"damaged-{path.name}").is_dir() for path in paths)
    assert lost(before, home) == set()


def test_a_home_that_continued_from_a_checkpoint_no_longer_needs_it(home: Path) -> None:
    elsewhere = home / "checkpoints" / "00000009-step-9"
    state = {"n": 9, "origin": "0" * 64, "origin_place": str(elsewhere)}
    Checkpoints(home / "checkpoints", 3).save(
        9, tensors={"w": torch.ones(64)}, optimizer={}, state=state, about={"family": "tiny"}
    )
    step, said = start(home, Beginning(checkpoint=elsewhere))
    assert step == 9
    assert f"continued from {elsewhere}, which is gone" in said
    with pytest.raises(ConfigError, match="cannot be used"):
        start(home, Beginning(checkpoint=elsewhere.with_name("00000008-step-8")))


def test_checking_a_home_whose_database_is_missing_makes_none(home: Path) -> None:
    for path in home.glob("swarmd.db*"):
        path.unlink()
    [found] = [each for each in look(Home(home)) if each.part == "swarmd.db"]
    assert found.state == "absent"
    assert not (home / "swarmd.db").exists()


def test_a_damaged_one_is_reported_once(home: Path) -> None:
    damage([max((home / "checkpoints").iterdir()) / "state.json"], "flipped")
    assert "is kept as" in start(home)[1]
    assert start(home) == (STEPS[1], "")


def test_untrained_on_purpose_keeps_what_is_damaged_and_must_be_said_once(home: Path) -> None:
    damage([path / "weights.safetensors" for path in (home / "checkpoints").iterdir()], "flipped")
    before = contents(home / "checkpoints")
    step, said = start(home, Beginning(fresh=True))
    assert step == 0
    assert "starts over, untrained" in said
    assert lost(before, home) == set()


def test_fresh_never_discards_what_can_be_loaded(home: Path) -> None:
    step, said = start(home, Beginning(fresh=True))
    assert step == STEPS[-1]
    assert "is whole: continuing from it" in said


def test_a_home_whose_checkpoints_are_gone_is_refused(home: Path) -> None:
    shutil.rmtree(home / "checkpoints")
    with pytest.raises(SwarmdError, match=r"(?s)has trained up to step 30.*there is no checkpoint.*--fresh"):
        start(home)


def test_a_backup_older_than_the_database_is_noticed(home: Path) -> None:
    shutil.rmtree(max((home / "checkpoints").iterdir()))
    step, said = start(home)
    assert step == STEPS[1]
    assert "older than this home: its database knows one of step 30" in said
    assert "steps 21 to 30 are lost and trained again" in said


def test_a_new_identity_claims_nothing_of_the_former_peer(home: Path) -> None:
    former = Home(home).key().peer_id
    (home / "identity.key").unlink()
    opened = open_home(home, new_identity=True)
    assert opened.key().peer_id != former
    assert (home / "former-swarmd.db").is_file()
    step, said = start(home)
    assert f"counts from 0; the ledger of the home's previous peer is kept as {home}" in said
    assert step == STEPS[-1], "the weights; `progress.resume` counts from 0"
    assert open_home(home, new_identity=True).key().peer_id == opened.key().peer_id, "once only"


def test_the_key_of_another_peer_is_refused(home: Path, tmp_path: Path) -> None:
    other = Home.open(tmp_path / "other")
    other.identity_path.replace(home / "identity.key")
    with pytest.raises(SwarmdError, match=r"the ledger of this home belongs to .*key restore FILE --replace"):
        start(home)
