"""swarmd swarm: files are made, signed, shown and verified; a home moves to a new version and back never."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from protocol import KeyPair
from swarmd.cli.app import main
from swarmd.errors import ConfigError
from swarmd.storage import Home
from tests.finding.making import ADDRESS, RULES, STRANGER, URL
from tests.finding.test_news import charter

SMALL = RULES.replace("garden", "small")


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.toml").write_text(SMALL)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An author's home, and a signed file of a swarm with one task: made once, because a file is signed only
    after a worker has tried its tasks. Read it only."""
    path = tmp_path_factory.mktemp("made")
    (path / "small.toml").write_text(SMALL)
    home = str(path / "author")
    garden = ["garden", "--like", str(path / "small.toml"), "--out", str(path / "garden.toml")]
    for arguments in (["init"], ["swarm", "create", *garden, "--bootstrap", ADDRESS]):
        with pytest.raises(SystemExit) as ended:
            main([*arguments, "--home", home])
        assert ended.value.code == 0
    return path


@pytest.fixture
def author(made: Path, tmp_path: Path) -> Home:
    return Home(Path(shutil.copytree(made / "author", tmp_path / "author")))


@pytest.fixture
def garden(made: Path, tmp_path: Path) -> Path:
    """A copy of the signed file."""
    return Path(shutil.copy(made / "garden.toml", tmp_path))


def shown(swarmd, file: Path) -> dict:
    return json.loads(swarmd("swarm", "show", file, "--json").out)


def test_a_new_swarm_is_a_signed_file_that_says_where_to_meet(swarmd, author, garden):
    said = shown(swarmd, garden)
    assert (said["name"], said["version"], said["author"]) == ("garden", 1, author.key().peer_id)
    assert said["bootstrap"] == [ADDRESS]
    assert said["tasks"] == ["gcd"]
    assert author.key().peer_id in swarmd("swarm", "show", garden).out


def test_a_file_that_is_there_is_not_written_over(swarmd, author, garden):
    before = garden.read_text()
    outcome = swarmd("swarm", "create", "garden", "--home", author.path)
    assert outcome.code == 2
    assert "garden.toml already exists" in outcome.err
    assert garden.read_text() == before


def test_signing_after_a_change_is_the_next_version_with_the_same_addresses(swarmd, author, garden):
    first = shown(swarmd, garden)
    garden.write_text(garden.read_text().replace("round_seconds = 30", "round_seconds = 60"))
    outcome = swarmd("swarm", "verify", garden)
    assert outcome.code == 2
    assert "rules above were changed after signing" in outcome.err
    assert swarmd("swarm", "sign", garden, "--home", author.path).code == 0
    second = shown(swarmd, garden)
    assert (second["version"], second["bootstrap"]) == (2, first["bootstrap"])
    assert second["id"] != first["id"]
    verified = swarmd("swarm", "verify", garden, "--author", author.key().peer_id)
    assert verified.code == 0
    assert "garden, version 2, is signed by" in verified.out


def test_a_key_in_a_file_signs_too(swarmd, author, garden, tmp_path):
    key = KeyPair.from_seed(bytes([9]) * 32)
    (tmp_path / "author.key").write_bytes(key.to_libp2p())
    assert swarmd("swarm", "create", "other", "--like", "small.toml", "--key", "author.key").code == 0
    assert shown(swarmd, tmp_path / "other.toml")["author"] == key.peer_id


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sign", "nothing.toml"], r"nothing.toml cannot be read \(No such file or directory\): name a"),
        (["create", "a/b"], "'a/b' cannot be a file name: name the file with --out FILE"),
        (["create", ""], "name: must not be empty"),
        (["show", "."], "is a directory: give the manifest file in it"),
        (["sign", "garden.toml", "--key", "small.toml"], "small.toml is not the key of a peer"),
        (["sign", "garden.toml", "--version", "1"], "is already signed as version 1"),
        (["sign", "garden.toml", "--bootstrap", "example.org:41000"], "'example.org:41000' is malformed"),
        (
            ["sign", "garden.toml", "--url", "http://example.org/"],
            "cannot be signed: .*urls.0: not a URL",
        ),
        (["verify", "small.toml"], "small.toml is not signed"),
        (["verify", "garden.toml", "--author", "foo"], "--author 'foo' is not a peer id: expected 52"),
        (["verify", "nothing.toml", "--author", "foo"], "--author 'foo' is not a peer id"),
        (["verify", "garden.toml", "--author", STRANGER.peer_id], "is signed by 12D3KooW.*, not by 12D3"),
        (
            ["create", "other", "--out", "none/other.toml"],
            "--out none/other.toml: there is no directory none: make it first",
        ),
        (["verify", "starter"], "starter is not signed"),
        (["show", "0" * 64], "is a swarm id, and only peers know"),
        (["show", "http://127.0.0.1/x"], "is not https://"),
        (["show", "dns:a b"], "is not a DNS name"),
        (["accept"], "knows of no new version"),
        (["accept", "garden.toml"], "does not know the author of its swarm"),
        (["announce", "garden.toml"], "does not know the author of its swarm"),
    ],
    ids=lambda value: " ".join(value)[:50] if isinstance(value, list) else "",
)
def test_a_mistake_is_one_message_with_the_remedy(swarmd, author, garden, arguments, message):
    before = garden.read_text()
    home = [] if "--key" in arguments or arguments[0] in ("show", "verify") else ["--home", str(author.path)]
    outcome = swarmd("swarm", *arguments, *home)
    assert outcome.code == 2
    assert "Traceback" not in outcome.err
    assert re.search(message, outcome.err.replace("\n", " ")), outcome.err
    assert garden.read_text() == before


def test_a_wrong_address_is_told_before_the_tasks_are_tried(swarmd, author, monkeypatch):
    monkeypatch.setattr("swarmd.finding.signing.load_swarm_file", lambda *_: pytest.fail("tasks were tried"))
    for wrong in (["--bootstrap", "example.org:41000"], ["--url", "http://example.org/"]):
        outcome = swarmd("swarm", "create", "x", "--like", "small.toml", *wrong, "--home", author.path)
        assert outcome.code == 2, outcome.err


def test_a_place_that_the_author_named_cannot_lead_into_the_own_network(swarmd, tmp_path, monkeypatch):
    """Unless the operator names it."""
    asked: list[tuple[str, bool]] = []

    def fetch_text(url: str, *, local: bool) -> str:
        asked.append((url, local))
        raise ConfigError("not now")

    monkeypatch.setattr("swarmd.finding.fetching.fetch_text", fetch_text)
    member = Home.open(tmp_path / "member")
    member.write_charter(charter(1))
    member.write_news(charter(2, rules=1))
    assert swarmd("swarm", "accept", "--home", member.path).code == 2
    assert swarmd("swarm", "accept", URL, "--home", member.path).code == 2
    assert asked == [(URL, False), (URL, True)]


def test_a_home_moves_to_the_authors_next_version_and_never_back(swarmd, author, garden, tmp_path):
    from swarmd.tasks import load_swarm_file

    old = load_swarm_file(str(garden))
    assert old.charter is not None
    member = Home.open(tmp_path / "member")
    member.write_manifest(old.manifest.to_bytes())
    member.write_charter(old.charter)
    (tmp_path / "old.toml").write_text(garden.read_text())
    garden.write_text(garden.read_text().replace("round_seconds = 30", "round_seconds = 60"))
    assert swarmd("swarm", "sign", garden, "--home", author.path).code == 0

    refused = swarmd("join", "--home", member.path, "--swarm", garden)
    assert refused.code == 2
    assert "`swarmd swarm accept" in refused.err

    assert swarmd("swarm", "announce", garden, "--home", member.path).code == 0
    assert member.news() is not None
    moved = swarmd("swarm", "accept", garden, "--home", member.path)
    assert moved.code == 0
    assert "now in garden, version 2" in moved.out
    assert member.news() is None
    assert member.manifest() == load_swarm_file(str(garden)).manifest

    back = swarmd("swarm", "accept", "old.toml", "--home", member.path)
    assert back.code == 2
    assert "is version 1, and" in back.err
