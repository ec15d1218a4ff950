"""Signed manifest files for tests of finding."""

from __future__ import annotations

from protocol import Charter, KeyPair, sign_charter, verify_charter
from swarmd.tasks.manifest import read_swarm_file
from swarmd.tasks.signed import with_signature, without_signature

AUTHOR, STRANGER, PEER = (KeyPair.from_seed(bytes([number]) * 32) for number in (1, 2, 3))
ADDRESS = f"/ip4/127.0.0.1/tcp/41000/p2p/{PEER.peer_id}"
URL = "https://example.org/garden.toml"
NOW = 1_800_000_000
RULES = """\
# how this garden grows
name = "garden"
genesis = 2026-01-01T00:00:00Z
round_seconds = 30
reward = "exact"
max_new_tokens = 64
records_per_round_max = 8

[[tasks]]
dataset = "gcd"
"""


def signed(
    text: str = RULES, *, by: KeyPair = AUTHOR, version: int = 1, bootstrap: tuple[str, ...] = (ADDRESS,)
) -> str:
    """A signed file, without trying its tasks."""
    rules = without_signature("garden.toml", text)
    found, _ = read_swarm_file("garden.toml", rules)
    charter = Charter(
        name=found.manifest.name,
        version=version,
        swarm=found.manifest.swarm_id,
        created=NOW,
        bootstrap=bootstrap,
        urls=(URL,),
    )
    return with_signature(rules, verify_charter(sign_charter(by, charter)), found.sources)
