"""TXT records: one points to a manifest, and whatever else the name holds is left alone."""

from __future__ import annotations

import pytest

from swarmd.errors import ConfigError
from swarmd.finding.records import Pointer, find_pointer
from tests.finding.making import AUTHOR

URL = "https://example.org/swarm.toml"


def pointer(*records: str, wanted: str = "dns:swarm.example.org") -> Pointer:
    asked: list[str] = []

    def lookup(name: str) -> list[str]:
        asked.append(name)
        return list(records)

    found = find_pointer(wanted, lookup)
    assert asked == ["_swarmd.swarm.example.org"]
    return found


def test_a_record_names_the_file_and_may_name_the_author():
    assert pointer(f"swarmd=1 url={URL}") == Pointer(URL, None)
    assert pointer(f"swarmd=1 author={AUTHOR.peer_id} url={URL}") == Pointer(URL, AUTHOR.peer_id)


def test_other_records_of_the_name_are_left_alone():
    assert pointer("v=spf1 -all", f"swarmd=1 url={URL}", "swarmd=2 what=ever").url == URL


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ((), "has no TXT record that begins with swarmd=1"),
        ((f"swarmd=1 url={URL}", "swarmd=1 url=https://other.org"), "has 2 TXT record"),
        (("swarmd=1",), "says no url="),
        ((f"swarmd=1 url={URL} url={URL}",), "a word that is not understood"),
        ((f"swarmd=1 url={URL} color=red",), "a word that is not understood, 'color=red'"),
        ((f"swarmd=1  url={URL}",), "a word that is not understood, ''"),
        ((f"swarmd=1 url={URL} author=me",), "names an author that is no peer id"),
    ],
)
def test_a_record_that_is_not_understood_is_refused(records, message):
    with pytest.raises(ConfigError, match=message):
        pointer(*records)


@pytest.mark.parametrize("name", ["dns:", "dns:a b", "dns:-a.org", "dns:a..b", "dns:" + "a" * 64 + ".org"])
def test_a_text_that_is_no_dns_name_is_not_looked_up(name: str):
    with pytest.raises(ConfigError, match="names no swarm"):
        find_pointer(name, lambda _: pytest.fail("nothing is looked up"))
