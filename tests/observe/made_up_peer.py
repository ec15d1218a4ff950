"""A made-up peer, for tests of what a peer shows."""

from __future__ import annotations

from swarmd.observe import (
    Durations,
    Groups,
    Health,
    LastStep,
    Learning,
    Measured,
    Memory,
    PeerView,
    Reward,
    SelfEvaluation,
    StatusSnapshot,
    TaskLearning,
    Traffic,
    Trend,
)

HOSTILE = "<img src=x onerror=alert(1)>"

NOW = Measured(first_step=10, step=10, success=0.43, interval=(0.34, 0.53), questions=100)

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
    learning=Learning(
        untrained=Measured(first_step=0, step=0, success=0.3, interval=(0.257, 0.347), questions=400),
        now=NOW,
        trend=Trend(
            since_step=0,
            difference=0.13,
            interval=(0.05, 0.21),
            questions=100,
            word="learned",
        ),
        tasks={HOSTILE: TaskLearning(now=NOW)},
        evaluation_share=0.012,
    ),
    last_step=LastStep(
        loss=0.004, reward_external=0.5, entropy=1.2, completion_tokens_mean=20.0, completions_finished=0.9
    ),
    durations={
        "step": Durations(counts=(0, 0, 0, 10, 2, 0, 0, 0, 0, 0, 0, 0), seconds=3.6),
        "generating": Durations(counts=(0, 0, 0, 12, 0, 0, 0, 0, 0, 0, 0, 0), seconds=2.4),
    },
    tokens_generated=5_000,
    memory=Memory(process=500_000_000, limit=2_000_000_000),
    traffic=Traffic(pulled_bytes=90_000, served_bytes=40_000),
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
