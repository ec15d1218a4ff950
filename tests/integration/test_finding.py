"""A signed file is all that a new member needs: no --peer, and IPv6 like IPv4."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from swarmd.network.ports import free_port, is_free
from swarmd.storage import Home
from tests.integration.daemon_process import swarmd

pytestmark = [
    pytest.mark.daemon,
    pytest.mark.skipif(not is_free("::1", 0), reason="this machine has no IPv6"),
]


def test_a_signed_file_leads_a_new_peer_over_ipv6_to_the_swarm(join, tmp_path: Path) -> None:
    author, file, port = tmp_path / "author", tmp_path / "garden.toml", free_port("::1")
    assert swarmd("init", "--home", str(author)).returncode == 0
    address = f"/ip6/::1/tcp/{port}/p2p/{Home(author).key().peer_id}"
    made = swarmd(
        *("swarm", "create", "garden", "--home", str(author), "--out", str(file), "--bootstrap", address)
    )
    assert made.returncode == 0, made.stderr

    first = join("author", "--host", "::1", "--port", str(port), "--swarm", str(file))
    assert first.address == address
    member = join("member", "--host", "::1", "--swarm", str(file))

    joined = member.wait_for("joined")
    assert (joined["peers"], joined["swarm"]) == (1, "garden")
    assert member.address.startswith("/ip6/::1/tcp/")
    member.wait_for("pulled", lambda event: event["publisher"] == Home(author).key().peer_id)
    shown = json.loads(swarmd("swarm", "show", str(file), "--json").stdout)
    status = member.status()
    assert (status.swarm_id, status.news) == (shown["id"], None)
    charter = member.home.charter()
    assert charter is not None
    assert charter.author == Home(author).key().peer_id
