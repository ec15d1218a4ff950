"""A made-up peer, for tests of what a peer shows."""

from __future__ import annotations

from swarmd.observe import Groups, Health, PeerView, Reward, SelfEvaluation, StatusSnapshot

HOSTILE = "<img src=x onerror=alert(1)>"

SNAPSHOT = StatusSnapshot(
    health=Health(ok=True),
    peer_id="12D3KooWme",
    swarm="starter",
    swarm_id="ab" * 32,
    round=70,
    step=12,
    phase="generate",
    uptime_s=61.5,
    model="embedded",
    device="cpu",
    dtype="float32",
    addresses=("/ip4/127.0.0.1/tcp/4001/p2p/12D3KooWme",),
    reward=Reward(last=0.25, mean_20=0.2, best_20=0.22),
    evaluation=SelfEvaluation(
        step=10, success=0.43, interval=(0.34, 0.53), questions=100, tasks={HOSTILE: 0.43}
    ),
    groups=Groups(own=48, published=48, pulled=30, external_used=20, rejected={"signature": 2}),
    peers=(
        PeerView(
            peer_id="12D3KooWo",
            age_s=3.0,
            step=9,
            model=HOSTILE,
            groups_pulled=5,
            reward_mean=0.1,
            held_out_claimed=0.99,
        ),
    ),
    pid=4242,
    reward_history=(0.1, 0.25),
)
