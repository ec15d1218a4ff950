"""Addresses with DNS names: lists are read, names are tried, and what gives nothing is told."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping, Sequence

import pytest

from swarmd.errors import ConfigError
from swarmd.finding.bootstrap import LISTED_MAX, LISTS_MAX, look_up_addresses, look_up_named
from tests.finding.making import ADDRESS, AUTHOR, PEER

NAMED = f"/dns4/peer.example.org/tcp/41000/p2p/{PEER.peer_id}"
OTHER = f"/ip6/2001:db8::7/tcp/41000/p2p/{AUTHOR.peer_id}"


def look_up(
    *addresses: str, records: Mapping[str, Sequence[str]] | None = None, known: Sequence[str] = ()
) -> tuple[tuple[str, ...], list[str]]:
    """The addresses found, and the warnings. `known`: DNS names that have an address."""
    warnings: list[str] = []

    def resolve(name: str, family: int) -> list[object]:
        if name not in known:
            raise socket.gaierror(-2, "Name or service not known")
        return [family]

    found = asyncio.run(
        look_up_addresses(
            addresses, warnings.append, lookup=lambda name: (records or {}).get(name, []), resolve=resolve
        )
    )
    return found, warnings


def test_addresses_without_names_stay_as_they_are_each_once():
    assert look_up(ADDRESS, OTHER, ADDRESS) == ((ADDRESS, OTHER), [])


def test_a_name_with_an_address_stays_because_it_may_change():
    assert look_up(NAMED, known=["peer.example.org"]) == ((NAMED,), [])


def test_a_name_that_gives_nothing_is_told_and_tried_on():
    found, [warning] = look_up(NAMED)
    assert found == (NAMED,)
    assert "the DNS name peer.example.org of the peer address" in warning
    assert "check the spelling" in warning


def test_a_list_is_replaced_by_what_it_lists():
    records = {"_dnsaddr.example.org": [f"dnsaddr={ADDRESS}", "unrelated", f"dnsaddr={OTHER}", "dnsaddr=x"]}
    assert look_up("/dnsaddr/example.org", records=records) == ((ADDRESS, OTHER), [])


def test_of_a_list_only_the_peer_that_is_asked_for_counts():
    records = {"_dnsaddr.example.org": [f"dnsaddr={ADDRESS}", f"dnsaddr={OTHER}"]}
    assert look_up(f"/dnsaddr/example.org/p2p/{AUTHOR.peer_id}", records=records) == ((OTHER,), [])


def test_a_list_may_name_a_list_and_that_one_no_other():
    records = {
        "_dnsaddr.a.org": ["dnsaddr=/dnsaddr/b.org"],
        "_dnsaddr.b.org": [f"dnsaddr={ADDRESS}", "dnsaddr=/dnsaddr/a.org"],
    }
    assert look_up("/dnsaddr/a.org", records=records) == ((ADDRESS,), [])


def test_a_list_of_lists_that_never_answer_asks_for_few_of_them():
    asked: list[str] = []

    def lookup(name: str) -> list[str]:
        asked.append(name)
        return [f"dnsaddr=/dnsaddr/{number}.org" for number in range(32)] if "a.org" in name else []

    warnings: list[str] = []
    asyncio.run(look_up_addresses(["/dnsaddr/a.org"], warnings.append, lookup=lookup))
    assert len(asked) == 1 + LISTS_MAX


def test_an_empty_list_is_told():
    found, [warning] = look_up("/dnsaddr/example.org", ADDRESS)
    assert found == (ADDRESS,)
    assert "the DNS name example.org lists no address" in warning


def test_a_long_list_is_cut():
    several = [f"dnsaddr=/ip4/192.0.2.{number}/tcp/1/p2p/{PEER.peer_id}" for number in range(99)]
    found, _ = look_up("/dnsaddr/example.org", records={"_dnsaddr.example.org": several})
    assert len(found) == LISTED_MAX


def test_if_nothing_is_left_of_what_the_operator_named_the_start_ends_there():
    warnings: list[str] = []
    with pytest.raises(ConfigError, match="none of the --peer addresses can be used"):
        asyncio.run(look_up_named(["example.org:41000"], warnings.append))
    assert len(warnings) == 1
    assert asyncio.run(look_up_named([], warnings.append)) == ()


def test_a_malformed_address_is_told_and_left_out():
    found, [warning] = look_up("example.org:41000", ADDRESS)
    assert found == (ADDRESS,)
    assert "malformed" in warning
