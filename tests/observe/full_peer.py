"""A peer that has lived for days in a swarm of fourteen: what the page shows when everything is there.

Numbers are drawn from a seed, so screenshots and tests see the same peer each time.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Any

from protocol import KeyPair
from swarmd.observe import CompletionView, RecordKind, RecordView
from swarmd.observe.events import Event

HOSTILE = "<img src=x onerror=alert(1)>\u202egnp.exe"
NOW = 1_790_000_000.0
TASKS = (
    "basic_arithmetic",
    "chain_sum",
    "leg_counting",
    "letter_counting",
    "number_sorting",
    "spell_backward",
)
STEP = 12_480

IDS = tuple(KeyPair.from_seed(bytes([n]) * 32).peer_id for n in range(1, 15))


def full_status() -> dict[str, Any]:
    """The JSON of a snapshot, with every field filled."""
    rng = random.Random(7)
    untrained, now = 0.30, 0.52
    held = [
        min(0.95, max(0.02, untrained + (now - untrained) * (1 - math.exp(-i / 18)) + rng.gauss(0, 0.012)))
        for i in range(80)
    ]
    rewards = [
        min(0.95, max(0.02, 0.27 + 0.25 * (1 - math.exp(-i / 70)) + rng.gauss(0, 0.015))) for i in range(300)
    ]
    return {
        "health": {"ok": True, "reasons": []},
        "peer_id": IDS[0],
        "swarm": "starter",
        "swarm_id": "ab" * 32,
        "round": 1_878_595,
        "step": STEP,
        "phase": "generating",
        "uptime_s": 187_000.0,
        "model": "embedded",
        "device": "cpu",
        "dtype": "float32",
        "addresses": [f"/ip4/192.0.2.2/tcp/35793/p2p/{IDS[0]}"],
        "http": "http://127.0.0.1:8080",
        "last_step": {"reward_external": 0.61},
        "memory": {"process": 812_000_000},
        "traffic": {"pulled_bytes": 310_000_000, "served_bytes": 455_000_000},
        "reward": {"last": 0.5, "mean_20": 0.514, "best_20": 0.547},
        "evaluation": {
            "step": STEP - 80,
            "success": now,
            "interval": [0.471, 0.569],
            "questions": 400,
            "tasks": dict.fromkeys(TASKS, 0.5),
        },
        "learning": {
            "untrained": _measured(0, untrained),
            "now": _measured(STEP - 80, now),
            "trend": {
                "since_step": 0,
                "difference": now - untrained,
                "interval": [0.16, 0.28],
                "questions": 400,
                "word": "learned",
            },
            "tasks": {
                task: {
                    "untrained": _measured(0, 0.12 + 0.07 * n, 67),
                    "now": _measured(STEP - 80, 0.12 + 0.07 * n + (0.18 + 0.03 * n if n != 3 else -0.04), 67),
                    "trend": {
                        "since_step": 0,
                        "difference": 0.18 + 0.03 * n if n != 3 else -0.04,
                        "interval": [0.05, 0.3],
                        "questions": 67,
                        "word": "learned" if n != 3 else "not yet clear",
                    },
                }
                for n, task in enumerate(TASKS)
            },
            "held_out": {
                "step": [(i + 1) * STEP // 80 for i in range(80)],
                "success": held,
                "low": [value - 0.05 for value in held],
                "high": [value + 0.05 for value in held],
                "questions": [400] * 80,
                "tasks": {
                    task: [None if i < 2 else _of_task(n, i, rng) for i in range(80)]
                    for n, task in enumerate(TASKS)
                },
            },
            "reward": {
                "step": [(i + 1) * STEP // 300 for i in range(300)],
                "mean": rewards,
                "low": [value - 0.06 for value in rewards],
                "high": [value + 0.06 for value in rewards],
            },
            "evaluation_share": 0.017,
        },
        "groups": {
            "own": 49_920,
            "published": 31_244,
            "pulled": 40_812,
            "external_used": 38_002,
            "rejected": {"uninformative": 812, "pull": 66, "expired": 21, "question": 4},
        },
        "helping": {
            "groups_published": 31_244,
            "pulls": 61_020,
            "pulled_by": 11,
            "groups_trained_on_claimed": 5_486,
            "trained_on_by_claimed": 8,
            "peers": [],
        },
        "hearing": {
            "groups_used": 9_000,
            "taught_by": 11,
            "peers": [
                {"peer_id": IDS[n], "name": "", "groups_used": 4_000 // n, "last_seen": NOW, "gone": False}
                for n in range(1, 12)
            ],
        },
        "peers": [_peer(n, rng) for n in range(1, len(IDS))],
        "judgement": {
            "ignored": [{"peer_id": IDS[13], "reason": "question", "seconds_left": 520.0}],
            "trusted": [],
        },
        "disk": {
            "written_bytes": 7 * 10**9,
            "bytes_a_day": 2.1e9,
            "save_every_s": 120.0,
            "saved_step": STEP - 31,
        },
        "version": "0.1.0",
        "pid": 4242,
        "steps_per_minute": 8.3,
        "tokens_per_s": 1_934.0,
        "join_command": f"swarmd join --peer /ip4/192.0.2.2/tcp/35793/p2p/{IDS[0]}",
        "reward_history": rewards[-200:],
    }


def _of_task(n: int, i: int, rng: random.Random) -> float:
    gain = 0.18 + 0.03 * n if n != 3 else -0.04
    return min(1.0, max(0.0, 0.12 + 0.07 * n + gain * (1 - math.exp(-i / 20)) + rng.gauss(0, 0.02)))


def _measured(step: int, success: float, questions: int = 400) -> dict[str, Any]:
    return {
        "first_step": step,
        "step": step,
        "success": success,
        "interval": [success - 0.05, success + 0.05],
        "questions": questions,
    }


def _peer(n: int, rng: random.Random) -> dict[str, Any]:
    is_gone = n in (9, 11)
    return {
        "peer_id": IDS[n],
        "address": None if n == 5 else f"/ip4/198.51.100.{n}/tcp/41000/p2p/{IDS[n]}",
        "age_s": None if is_gone else 7.0 * n,
        "standing": "banned" if n == 13 else "known" if n < 7 else "met" if n < 12 else "stranger",
        "trust": 0.0 if n == 13 else 1.0,
        "groups_taught": 400 // n,
        "points_lost": {"question": 4} if n == 13 else {},
        "step": 14_000 - 700 * n,
        "model": HOSTILE if n == 2 else "Qwen2.5-0.5B-Instruct" if n % 3 == 0 else "embedded",
        "groups_pulled": 9_000 // n,
        "groups_used": 4_000 // n if n < 12 else 0,
        "gone": is_gone,
        "pulls": 6_000 // n,
        "groups_trained_on_claimed": 3_000 // (n + 1) if n < 9 else 0,
        "used_claimed": {IDS[k]: 2_500 // (k * n) for k in range(1, 14) if k != n and (k + n) % 3}
        if n < 10
        else {},
        "reward_mean": 0.5,
        "held_out_claimed": None if n == 12 else round(0.55 - 0.02 * n, 3),
    }


DRAWING = "<answer>RR--\nRR-B\n---B\nY--B</answer>"


async def full_records(kind: RecordKind, limit: int) -> Sequence[RecordView]:
    """What the rollout browser shows of this peer."""
    rng = random.Random(kind)
    if kind == "refused":
        return [
            RecordView(
                digest="", at=NOW - 60 * n, publisher=IDS[1 + n], fate="its question is not the task's"
            )
            for n in range(4)
        ]
    return [
        RecordView(
            digest=f"{n:064x}",
            at=NOW - 30 * n,
            publisher=IDS[0] if kind == "own" else IDS[1 + n % 12],
            task=TASKS[n % len(TASKS)],
            step=STEP - n,
            round=1_878_595,
            model="embedded" if n else HOSTILE,
            question=f"Calculate {n + 17} + {3 * n + 4} - 12.\nGive only the number." if n else HOSTILE,
            completions=tuple(
                CompletionView(
                    text=HOSTILE
                    if n == 0
                    else DRAWING
                    if n == 1
                    else f"The sum is {4 * n + 9}.\n<answer>{4 * n + 9 if right else n}</answer>",
                    finished=bool(right) or each % 3 > 0,
                    claimed=None if kind == "own" else float(right) if n != 3 else 1.0,
                    reward=float(right),
                )
                for each, right in enumerate(rng.random() < 0.5 for _ in range(8))
            ),
            fate="Published."
            if kind == "own"
            else f"Trained on in step {STEP - n}."
            if n % 2
            else "Waits in the pool.",
        )
        for n in range(min(limit, 12))
    ]


def full_events(number: int) -> Sequence[Event]:
    """What the peer did last, hostile text included."""
    told: list[tuple[str, str, dict[str, object]]] = [
        ("warning", "warning", {"message": f"the network did not answer: {HOSTILE}"}),
        ("peer_seen", "info", {"peer_id": IDS[3]}),
        ("evaluated", "info", {"step": STEP - 80, "success": 0.52, "questions": 100}),
        ("checkpoint", "info", {"step": STEP - 31}),
    ]
    told += [
        ("step", "info", {"step": STEP - 20 + n, "reward": 0.5, "own": 4, "external": 4, "seconds": 0.41})
        for n in range(20)
    ]
    events = [Event(i + 1, NOW - 8 * (len(told) - i), *each) for i, each in enumerate(told)]
    return [event for event in events if event.number > number]
