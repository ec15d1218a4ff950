"""Which addresses count as one party."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarmd.network.address_groups import UNKNOWN, group_of_address, group_of_ip


@pytest.mark.parametrize(
    ("address", "group"),
    [
        ("/ip4/8.8.8.8/tcp/1", "8.8.8.0/24"),
        ("/ip4/8.8.8.255/udp/1/quic-v1", "8.8.8.0/24"),
        ("/ip4/127.0.0.1/tcp/1", "127.0.0.1"),
        ("/ip4/192.168.7.9/udp/1/quic-v1", "192.168.7.9"),
        ("/ip6/2a00:1450:4001:81b::200e/tcp/1", "2a00:1450:4001::/48"),
        ("/ip6/::ffff:8.8.8.8/tcp/1", "8.8.8.0/24"),
        ("/ip6/64:ff9b::8.8.8.8/tcp/1", "8.8.8.0/24"),
        ("/ip6/2002:808:808::1/tcp/1", "8.8.8.0/24"),
        ("/ip6/::1/tcp/1", "::1"),
        ("/ip6/fd00:1:2:3::1/tcp/1", "fd00:1:2::/48"),
        ("/dns4/A.example/tcp/1", "dns4:a.example"),
        ("/ip4/8.8.8.8/tcp/1/p2p/RELAY/p2p-circuit", "8.8.8.0/24"),
    ],
)
def test_whoever_has_one_address_of_a_group_has_the_others(address: str, group: str) -> None:
    assert group_of_address(address) == group


@pytest.mark.parametrize(
    "text",
    [None, "", "/", "/ip4", "/ip4/", "/ip4/junk", "/ip4/300.1.1.1/tcp/1", "/ip6/x", "/p2p/Q", "ip4/1.2.3.4"],
)
def test_what_is_no_address_is_all_one_group(text: str | None) -> None:
    assert group_of_address(text) == UNKNOWN


@given(st.binary(max_size=20))
def test_bytes_have_a_group_when_they_are_an_ip_address(ip: bytes) -> None:
    assert (group_of_ip(ip) == UNKNOWN) == (len(ip) not in (4, 16))
