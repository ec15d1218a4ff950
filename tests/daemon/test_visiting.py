"""A look at a swarm from outside: what the visitor sees, and that it leaves nothing behind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from protocol import FullStatus, Used, sign_full_status, verify_status
from swarmd.daemon import visiting
from swarmd.daemon.visiting import visit
from swarmd.errors import ConfigError, SwarmdError
from tests.network.conftest import MANIFEST, P2PWorld


@pytest.mark.p2p
def test_a_visitor_sees_the_members_and_takes_no_place_among_them(tmp_path: Path) -> None:
    async def scenario(world: Any) -> None:
        one, other = await world.swarm(2)
        for peer in (one, other):
            assert await peer.network.publish_status(world.status(peer.key, world.clock()))
        plain = verify_status(
            world.status(one.key, world.clock()), swarm=MANIFEST.swarm_id, now=world.clock()
        )
        used = (Used(publisher=other.key.peer_id, groups=7),)
        one.network.tell(sign_full_status(one.key, FullStatus(**dict(plain.status), used=used)))
        known = one.network.statistics().known_peers

        seen = await visit(one.network.addresses[0])

        assert seen.manifest == MANIFEST
        assert {member.peer_id: member.used for member in seen.members} == {
            one.key.peer_id: {other.key.peer_id: 7},
            other.key.peer_id: None,
        }
        session = await one.network._supervisor.session()
        assert session.peers_known == 1
        assert one.network.statistics().known_peers == known

    P2PWorld(tmp_path).run(scenario)


@pytest.mark.p2p
async def test_an_address_where_nobody_answers_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visiting, "ANSWER_S", 2.0)
    nobody = "/ip4/127.0.0.1/tcp/9/p2p/12D3KooWDjWbkpUQH71qivRyeQHSyLbvpPgNLgevryvNyaQCY9Ys"
    with pytest.raises(SwarmdError, match="nobody answers at"):
        await visit(nobody)


async def test_a_malformed_address_is_refused_before_anything_starts() -> None:
    with pytest.raises(ConfigError):
        await visit("nonsense")
