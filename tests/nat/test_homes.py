"""The routers of the NAT laboratory do what their kinds say."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.nat.homes import Kind, Street, why_not_possible
from tests.nat.sixes import StreetOfSixes

LISTEN = """
import socket, sys
family = socket.AF_INET6 if sys.argv[1] == "6" else socket.AF_INET
server = socket.create_server(("", 41000), family=family, reuse_port=True)
print("listening", flush=True)
for _ in range(2):
    one, where = server.accept()
    print(where[1], flush=True)
"""

CALL = """
import socket, sys
caller = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET)
caller.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
caller.bind(("", int(sys.argv[2])))
caller.settimeout(5.0)
try:
    caller.connect((sys.argv[1], 41000))
    print("reached")
except OSError:
    print("silence")
"""

pytestmark = pytest.mark.skipif(bool(why_not_possible()), reason=why_not_possible() or "possible")


def listening(street: Street, number: int) -> subprocess.Popen[str]:
    command = (*street.inside(number), sys.executable, "-c", LISTEN, str(street.VERSION))
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    assert server.stdout.readline().strip() == "listening"
    return server


def call(street: Street, here: int, address: str, port: int = 0) -> str:
    command = (*street.inside(here), sys.executable, "-c", CALL, address, str(port))
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize(
    ("kind", "a_stranger_finds", "keeps_its_port"),
    [
        (Kind.FULL_CONE, "reached", True),
        (Kind.PORT_RESTRICTED, "silence", True),
        (Kind.SYMMETRIC, "silence", False),
    ],
)
def test_a_router_is_of_its_kind(kind: Kind, a_stranger_finds: str, keeps_its_port: bool) -> None:
    with Street(3, kinds=(kind,)).laid() as street:
        home = street.public
        servers = [listening(street, number) for number in (0, 1, home)]
        try:
            assert [call(street, home, street.address(n), 45_000) for n in (0, 1)] == ["reached"] * 2
            ports = [server.stdout.readline().strip() for server in servers[:2] if server.stdout]
            assert (ports == ["45000", "45000"]) is keeps_its_port
            assert call(street, 0, street.address(home)) == a_stranger_finds
        finally:
            for server in servers:
                server.kill()
                server.wait()


@pytest.mark.parametrize(
    ("kind", "a_stranger_finds"), [(Kind.OPEN_6, "reached"), (Kind.FIREWALL_6, "silence")]
)
def test_a_router_of_ipv6_lets_out_and_lets_in_by_its_kind(kind: Kind, a_stranger_finds: str) -> None:
    with StreetOfSixes(3, kinds=(kind,)).laid() as street:
        home = street.public
        servers = [listening(street, number) for number in (0, home)]
        try:
            assert call(street, home, street.address(0)) == "reached"
            assert call(street, 1, street.home_address(home)) == a_stranger_finds
        finally:
            for server in servers:
                server.kill()
                server.wait()


UDP = """
import socket, sys
try:
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", (sys.argv[1], 41000))
    print("sent")
except OSError:
    print("refused")
"""


def test_without_udp_no_datagram_leaves_a_machine_and_connections_do() -> None:
    with Street(2).laid() as street:
        server = listening(street, 0)
        try:
            street.block_udp()
            command = (*street.inside(1), sys.executable, "-c", UDP, street.address(0))
            assert subprocess.run(command, capture_output=True, text=True).stdout.strip() == "refused"
            assert call(street, 1, street.address(0)) == "reached"
        finally:
            server.kill()
            server.wait()
