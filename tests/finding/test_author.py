"""Whose word a home believes: its author's, and a new version only with the operator's consent."""

from __future__ import annotations

import pytest

from protocol import VerifiedCharter
from swarmd.errors import ConfigError
from swarmd.finding import require_charter
from swarmd.tasks import SwarmFile
from swarmd.tasks.manifest import read_swarm_file
from tests.finding.making import AUTHOR, RULES, STRANGER, signed

NEW_RULES = RULES.replace("round_seconds = 30", "round_seconds = 60")


def file(text: str) -> SwarmFile:
    return read_swarm_file("garden.toml", text)[0]


def saved(version: int = 1) -> VerifiedCharter:
    charter = file(signed(version=version)).charter
    assert charter is not None
    return charter


def kept(before: VerifiedCharter | None, text: str, wanted: str = "garden.toml") -> VerifiedCharter | None:
    return require_charter(before, file(text), wanted, home="/h")


def test_a_home_without_an_author_takes_the_first_that_it_is_given():
    assert kept(None, signed()) == saved()
    assert kept(None, RULES) is None


def test_the_same_rules_with_new_addresses_replace_older_words_and_never_newer_ones():
    assert kept(saved(1), signed(version=2)) == saved(2)
    assert kept(saved(2), signed(version=1)) == saved(2)


def test_an_unsigned_file_is_refused_where_a_signed_one_was():
    with pytest.raises(ConfigError, match=f"garden.toml is not signed, .* by .*{AUTHOR.peer_id}.*: get the"):
        kept(saved(), RULES)


def test_a_preset_needs_no_signature():
    assert kept(saved(), RULES, "starter") == saved()  # by its id, the daemon sees that it is another swarm


def test_another_authors_file_is_refused_and_both_are_named():
    with pytest.raises(ConfigError, match=f"{STRANGER.peer_id}.*{AUTHOR.peer_id}.*: get that author's file"):
        kept(saved(), signed(by=STRANGER))


def test_a_new_version_needs_consent_and_the_command_for_it_is_told():
    with pytest.raises(ConfigError, match=r"version 2 .* `swarmd swarm accept garden.toml --home /h`"):
        kept(saved(), signed(NEW_RULES, version=2))


def test_an_older_version_is_refused():
    with pytest.raises(ConfigError, match="is version 1 of the swarm garden, and /h is in version 2"):
        kept(saved(2), signed(NEW_RULES, version=1))


def test_two_rules_under_one_number_are_the_authors_mistake():
    with pytest.raises(ConfigError, match="signed two files with the same version"):
        kept(saved(1), signed(NEW_RULES, version=1))
