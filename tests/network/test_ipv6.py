"""IPv6 like IPv4: peers meet, store and pull over ::1, and all interfaces means those of IPv6 too."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from swarmd.network.address_groups import group_of_address
from swarmd.network.p2pd import P2PSettings
from swarmd.network.ports import free_port, is_free

HAS_IPV6 = is_free("::1", 0)
needs_ipv6 = pytest.mark.skipif(not HAS_IPV6, reason="this machine has no IPv6")


@needs_ipv6
@pytest.mark.p2p
def test_two_peers_over_ipv6_store_read_and_pull(p2p: Any) -> None:
    async def scenario(world: Any) -> None:
        one, two = await world.peer(0, host="::1"), await world.peer(1, host="::1")
        [address] = one.network.addresses
        assert address.startswith("/ip6/::1/tcp/")
        assert await two.network.connect([address], named=True) == 1
        assert two.network.statistics().connections[one.network.peer_id].startswith("/ip6/::1/tcp/")
        mine = world.announcement(one.key, world.record(one.key, world.clock(), 1), world.clock())
        assert await one.network.announce([mine]) == 1
        assert await two.network.read_announcements([world.announcements_key]) == [mine]
        body = world.record(one.key, world.clock())
        assert (await two.network.pull(one.network.peer_id, one.hold(body), len(body))).envelope == body

    p2p.run(scenario)


@needs_ipv6
def test_all_interfaces_are_those_of_ipv6_too_on_the_same_port() -> None:
    port = free_port("0.0.0.0")  # noqa: S104
    both = P2PSettings(Path("key"), "0.0.0.0", port)  # noqa: S104
    assert both.listen == [f"/ip4/0.0.0.0/tcp/{port}", f"/ip6/::/tcp/{port}"]
    assert P2PSettings(Path("key"), "0.0.0.0", port, ipv6=False).listen == both.listen[:1]  # noqa: S104
    assert P2PSettings(Path("key"), "127.0.0.1", port).listen == [f"/ip4/127.0.0.1/tcp/{port}"]


@needs_ipv6
def test_a_port_that_is_taken_in_ipv6_alone_costs_only_that() -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as taken:
        port = taken.getsockname()[1]
        assert P2PSettings(Path("key"), "0.0.0.0", port).listen == [f"/ip4/0.0.0.0/tcp/{port}"]  # noqa: S104


def test_a_machine_without_ipv6_listens_on_ipv4(monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.socket

    def refuse(family: int = socket.AF_INET, *arguments: Any, **named: Any) -> socket.socket:
        if family == socket.AF_INET6:
            raise OSError(97, "Address family not supported by protocol")
        return real(family, *arguments, **named)

    monkeypatch.setattr("swarmd.network.ports.socket.socket", refuse)
    assert P2PSettings(Path("key"), "0.0.0.0", 0).listen == ["/ip4/0.0.0.0/tcp/0"]  # noqa: S104


def test_addresses_of_one_ipv6_site_are_one_party() -> None:
    site = group_of_address("/ip6/2001:db8:1:1::7/tcp/1")
    assert group_of_address("/ip6/2001:db8:1:ffff::9/tcp/2") == site == "2001:db8:1::/48"
    assert group_of_address("/ip6/2001:db8:2::7/tcp/1") != site
