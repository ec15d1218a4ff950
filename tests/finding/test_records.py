"""TXT records: one points to a manifest, and whatever else the name holds is left alone."""

from __future__ import annotations

import dns.exception
import dns.resolver
import dns.rrset
import pytest

from swarmd.errors import ConfigError
from swarmd.finding.records import RECORDS_MAX, Pointer, find_pointer, look_up
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
        ((), "has no TXT records that begin with swarmd=1"),
        ((f"swarmd=1 url={URL}", "swarmd=1 url=https://other.org"), "has 2 TXT record"),
        (("swarmd=1",), "has no url="),
        ((f"swarmd=1 url={URL} url={URL}",), "an unknown or repeated word"),
        ((f"swarmd=1 url={URL} color=red",), "an unknown or repeated word, 'color=red'"),
        ((f"swarmd=1  url={URL}",), "an unknown or repeated word, ''"),
        ((f"swarmd=1 url={URL} author=me",), "names an author that is not a peer id"),
    ],
)
def test_a_record_that_is_not_understood_is_refused(records, message):
    with pytest.raises(ConfigError, match=message):
        pointer(*records)


@pytest.mark.parametrize("name", ["dns:", "dns:a b", "dns:-a.org", "dns:a..b", "dns:" + "a" * 64 + ".org"])
def test_a_text_that_is_no_dns_name_is_not_looked_up(name: str):
    with pytest.raises(ConfigError, match="is not a DNS name"):
        find_pointer(name, lambda _: pytest.fail("nothing is looked up"))


def answering(monkeypatch: pytest.MonkeyPatch, *texts: str) -> None:
    def resolve(name: str, kind: str, **_: object) -> object:
        assert kind == "TXT"
        return dns.rrset.from_text(f"{name}.", 60, "IN", "TXT", *texts)

    monkeypatch.setattr(dns.resolver, "resolve", resolve)


def test_the_pieces_of_a_record_are_one_text(monkeypatch):
    answering(monkeypatch, '"swarmd=1 url=https://exa" "mple.org"', '"v=spf1"')
    assert sorted(look_up("a.org")) == ["swarmd=1 url=https://example.org", "v=spf1"]


def test_records_that_are_long_or_no_text_are_left_alone_and_of_many_some_are_read(monkeypatch):
    answering(monkeypatch, *(f'"number {number}"' for number in range(99)))
    assert len(look_up("a.org")) == RECORDS_MAX
    answering(monkeypatch, '"' + "a" * 255 + '" "' + "a" * 255 + '" "' + "a" * 9 + '"', '"\\255"', '"fine"')
    assert look_up("a.org") == ["fine"]


def failing(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def resolve(name: str, kind: str, **_: object) -> object:
        raise error

    monkeypatch.setattr(dns.resolver, "resolve", resolve)


def test_a_name_that_is_not_there_has_no_records(monkeypatch):
    failing(monkeypatch, dns.resolver.NXDOMAIN())
    assert look_up("a.org") == []


@pytest.mark.parametrize(
    "error", [dns.resolver.NoNameservers(), dns.exception.Timeout(), OSError(101, "off")]
)
def test_a_dns_that_does_not_answer_is_told(monkeypatch, error):
    failing(monkeypatch, error)
    with pytest.raises(ConfigError, match=r"the DNS does not answer for a\.org"):
        look_up("a.org")
