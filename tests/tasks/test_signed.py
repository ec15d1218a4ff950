"""A signed manifest file: its author vouches for the rules and the table, and any edit of them shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from swarmd.errors import ConfigError
from swarmd.tasks.manifest import FILE_BYTES_MAX, read_swarm_file
from swarmd.tasks.signed import without_signature
from tests.finding.making import ADDRESS, AUTHOR, RULES, STRANGER, URL, signed


def read(text: str):
    found, _ = read_swarm_file("garden.toml", text)
    return found


def test_a_file_without_a_signature_has_no_author():
    assert read(RULES).charter is None


def test_a_signed_file_says_who_signed_which_version_and_where_to_meet():
    found = read(signed(version=3))
    assert found.charter is not None
    charter = found.charter.charter
    assert found.charter.author == AUTHOR.peer_id
    assert (charter.version, charter.bootstrap, charter.urls) == (3, (ADDRESS,), (URL,))
    assert charter.swarm == found.manifest.swarm_id == read(RULES).manifest.swarm_id


def test_signing_again_replaces_the_signature_and_keeps_the_rest_of_the_text():
    twice = signed(signed(version=1), version=2)
    assert twice.startswith(RULES)
    assert twice.count("[signed]") == 1
    assert read(twice).charter.charter.version == 2


@pytest.mark.parametrize("header", [" [signed]", "[ signed ]", "\t[\tsigned\t] # mine"])
@pytest.mark.parametrize("after", ["", '  [[tasks]]\ndataset = "products"\n'])
def test_a_signature_is_replaced_however_its_table_is_spaced(header, after):
    before = signed(RULES + after)
    table = before[before.index("[signed]") :].replace("[signed]", header, 1)
    twice = signed(f"{RULES}\n{table}\n{after}", version=2)
    assert read(twice).charter.charter.version == 2
    assert read(twice).manifest == read(RULES + after).manifest


@pytest.mark.parametrize(
    "text",
    [
        signed().replace("[signed]", '["signed"]', 1),
        RULES + 'config = { words = """\n[signed]\n""" }\n',
        RULES + 'config = { words = """\n[signed]\n""" }\n' + signed().removeprefix(RULES),
    ],
)
def test_a_signature_that_cannot_be_told_from_the_rules_is_left_to_its_author(text):
    with pytest.raises(ConfigError, match=r"garden.toml: the table of the signature .* remove it by hand"):
        without_signature("garden.toml", text)


def test_comments_and_layout_may_change_after_signing():
    changed = signed().replace("# how this garden grows", "# anything").replace("= 30", "=    30  # seconds")
    assert read(changed).charter == read(signed()).charter


@pytest.mark.parametrize(
    ("right", "wrong", "message"),
    [
        ("round_seconds = 30", "round_seconds = 31", "the rules above were changed after signing"),
        ('dataset = "gcd"', 'dataset = "products"', "the rules above were changed after signing"),
        ('name = "garden"', 'name = "gardem"', "did not sign this content .*signature"),
        ("version = 1", "version = 9", "did not sign this content .*signature"),
        ("127.0.0.1", "127.0.0.2", "did not sign this content .*signature"),
        ("example.org", "example.net", "did not sign this content .*signature"),
        ("2027-01-15", "2027-01-16", "did not sign this content .*signature"),
        (AUTHOR.peer_id, STRANGER.peer_id, "did not sign this content .*signature"),
        (AUTHOR.peer_id, "somebody", "somebody did not sign this content .*peer id"),
        ("version = 1", "version = 0", "did not sign .*greater than or equal to 1"),
        ("version = 1", 'version = "1"', r"signed.version: .*valid integer"),
        ("version = 1", "versoin = 1", r"versoin: unknown key; did you mean 'version'"),
        ('signature = "', 'signature = "zz', r"signed.signature: .*non-hexadecimal"),
        ("0.1.25", "0.1.24", "the signature holds"),
    ],
)
def test_an_edit_after_signing_is_refused_with_its_line(right, wrong, message):
    text = signed()
    assert right in text
    if message == "the signature holds":  # which versions were installed is a hint, as long as the id agrees
        assert read(text.replace(right, wrong)).charter is not None
        return
    with pytest.raises(ConfigError, match=message) as caught:
        read(text.replace(right, wrong))
    assert "garden.toml, line " in str(caught.value)


def test_a_file_signed_for_another_version_of_its_tasks_says_which():
    text = signed().replace('"reasoning_gym" = "0.1.25"', '"reasoning_gym" = "0.1.24"')
    text = text.replace("round_seconds = 30", "round_seconds = 31")
    with pytest.raises(ConfigError, match=r"signed for reasoning_gym 0\.1\.24, but reasoning_gym 0\.1\.25"):
        read(text)


def test_a_file_that_is_no_manifest_because_of_its_size_is_refused_unread(tmp_path: Path):
    path = tmp_path / "large.toml"
    path.write_text("#" * (FILE_BYTES_MAX + 1))
    with pytest.raises(ConfigError, match="larger than 262144 bytes"):
        read_swarm_file(str(path))
