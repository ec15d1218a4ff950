"""Peer addresses as people type them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarmd.addresses import (
    ADDRESS_CHARS_MAX,
    is_public,
    listen_address,
    most_public_first,
    parse_announced_address,
    parse_http,
    parse_peer_address,
    well_formed,
)
from swarmd.errors import ConfigError
from swarmd.quoting import quoted

PEER = "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN"
OTHER = "12D3KooWFpPiCCGDcHoRvsZk3383wv67ET5aTEE6VCteesWANveD"


@pytest.mark.parametrize(
    "text",
    [
        f"/ip4/10.0.0.7/tcp/41000/p2p/{PEER}",
        f"/ip6/2001:db8::1/tcp/41000/p2p/{PEER}",
        f"/dns4/peer.example.org/tcp/443/wss/p2p/{PEER}",
        f"/dns/localhost/udp/4001/quic-v1/p2p/{PEER}",
        f"/ip4/192.0.2.1/tcp/1/p2p/{OTHER}/p2p-circuit/p2p/{PEER}",
    ],
)
def test_a_dialable_address_is_taken_as_it_stands(text: str) -> None:
    address = parse_peer_address(text)
    assert (address.text, address.peer_id, f"{address.transport}/p2p/{PEER}") == (text, PEER, text)


def test_spellings_of_one_address_become_one() -> None:
    spelled = parse_peer_address(f"/ip6/2001:DB8:0:0::1/tcp/041000/p2p/{PEER}/")
    assert spelled.text == f"/ip6/2001:db8::1/tcp/41000/p2p/{PEER}"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "does not begin with /"),
        ("10.0.0.7:41000", "does not begin with /"),
        ("/", "has no value"),
        (f"/p2p/{PEER}", "does not begin with an IP"),
        ("/ip4/10.0.0.7/tcp/41000", "peer id is missing"),
        ("/ip4/10.0.0.7/tcp/41000/p2p", "/p2p has no value"),
        (f"/ip4/10.0.0.7/p2p/{PEER}", "port is missing"),
        (f"/ip4/10.0.0/tcp/1/p2p/{PEER}", "not an IP address"),
        (f"/ip4/::1/tcp/1/p2p/{PEER}", "not an ip4 address"),
        (f"/ip4/0.0.0.0/tcp/1/p2p/{PEER}", "name the one to dial"),
        (f"/ip6/fe80::1%eth0/tcp/1/p2p/{PEER}", "has a zone"),
        (f"/ip4/10.0.0.7/tcp/0/p2p/{PEER}", "port '0'"),
        (f"/ip4/10.0.0.7/tcp/65536/p2p/{PEER}", "port '65536'"),
        (f"/ip4/10.0.0.7/tcp/١/p2p/{PEER}", "port"),
        (f"/dns4/-x-/tcp/1/p2p/{PEER}", "not a DNS name"),
        (f"/dns4/a..b/tcp/1/p2p/{PEER}", "not a DNS name"),
        ("/ip4/10.0.0.7/tcp/1/p2p/QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N", "not an Ed25519 peer id"),
        (f"/ip4/10.0.0.7/tcp/1/onion/x/p2p/{PEER}", "/onion is not known"),
        (f"/ip4/10.0.0.7/tcp/1/p2p/{OTHER}/p2p/{PEER}", "two peer ids"),
        (f"/dns4/{'a.' * 200}/tcp/1/p2p/{PEER}", "longer than"),
    ],
)
def test_a_malformed_address_is_refused_with_the_fault_and_the_right_form(text: str, fault: str) -> None:
    with pytest.raises(ConfigError) as raised:
        parse_peer_address(text)
    message = str(raised.value)
    assert quoted(text, ADDRESS_CHARS_MAX) in message
    assert fault in message
    assert "/ip4/ADDRESS/tcp/PORT/p2p/PEER_ID" in message


@given(st.text(max_size=300))
def test_no_text_does_anything_but_parse_or_raise_config_error(text: str) -> None:
    try:
        parsed = parse_peer_address(text)
    except ConfigError:
        return
    assert parse_peer_address(parsed.text) == parsed


@given(
    st.lists(
        st.sampled_from(["ip4", "dns4", "tcp", "p2p", "p2p-circuit", "1", "127.0.0.1", PEER]), max_size=9
    )
)
def test_neither_does_any_sequence_of_components(parts: list[str]) -> None:
    try:
        parsed = parse_peer_address("/" + "/".join(parts))
    except ConfigError:
        return
    assert parse_peer_address(parsed.text) == parsed
    assert parsed.peer_id == PEER


def test_an_announced_address_may_leave_the_own_id_out_but_not_name_another() -> None:
    peer_id = parse_peer_address(f"/ip4/10.0.0.7/tcp/1/p2p/{PEER}").peer_id
    assert parse_announced_address("/dns4/example.org/tcp/1", peer_id).peer_id == PEER
    assert parse_announced_address(f"/dns4/example.org/tcp/1/p2p/{PEER}", peer_id).peer_id == PEER
    relayed = f"/ip4/192.0.2.1/tcp/1/p2p/{OTHER}/p2p-circuit"
    assert parse_announced_address(relayed, peer_id).text == f"{relayed}/p2p/{PEER}"
    with pytest.raises(ConfigError, match="names another peer"):
        parse_announced_address(f"/dns4/example.org/tcp/1/p2p/{OTHER}", peer_id)
    with pytest.raises(ConfigError, match="port is missing"):
        parse_announced_address("/dns4/example.org", peer_id)


def test_addresses_are_listed_from_far_to_near() -> None:
    public, private, loopback = (f"/ip4/{ip}/tcp/1" for ip in ("8.8.8.8", "192.168.1.2", "127.0.0.1"))
    assert most_public_first([loopback, private, public, private]) == (public, private, loopback)
    assert [is_public(address) for address in (public, private, loopback)] == [True, False, False]


def test_only_ip_addresses_are_listened_on() -> None:
    assert listen_address("10.0.0.7", 7) == "/ip4/10.0.0.7/tcp/7"
    assert listen_address("::1", 7) == "/ip6/::1/tcp/7"
    with pytest.raises(ConfigError, match=r"'localhost' is not an IP address"):
        listen_address("localhost", 7)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("127.0.0.1:8080", ("127.0.0.1", 8080)),
        ("[::1]:0", ("::1", 0)),
        ("8080", ("127.0.0.1", 8080)),
        ("localhost:65535", ("localhost", 65535)),
    ],
)
def test_where_http_listens_is_a_host_and_a_port_or_a_port_on_loopback(text, found) -> None:
    assert parse_http(text) == found


@pytest.mark.parametrize("text", ["", "localhost", "localhost:", "localhost:65536", "localhost:٣"])
def test_a_malformed_port_of_http_is_named(text: str) -> None:
    with pytest.raises(ConfigError, match=r"is not HOST:PORT: .* is not a port"):
        parse_http(text)


@pytest.mark.parametrize("text", ["my..host:8080", f"{'h' * 64}:8080"])
def test_a_host_of_http_that_no_resolver_takes_is_named(text: str) -> None:
    with pytest.raises(ConfigError, match=r"is not HOST:PORT: .* is not a host name"):
        parse_http(text)


def test_addresses_by_other_peers_are_well_formed_or_left_out():
    address = f"/ip4/10.0.0.7/tcp/41000/p2p/{PEER}"
    malformed = f"/nonsense/p2p/{OTHER}"
    assert well_formed((address, malformed, "", "/", "\x00", address + "/")) == (address, address)
