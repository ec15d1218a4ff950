"""What the live view shows, as a value: events in, next state out. Draws nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from swarmd.names import named
from swarmd.observe.text import printable
from swarmd.observe.words import downloading, short_count

REWARDS_KEPT = 240  # steps in the curve: wider than any terminal
MODEL_CHARS = 30  # of a model's name in the plan, so that its line is about 100 characters
GIB = 2**30
PEERS_KEPT = 256  # distinct peers counted by the view; the status snapshot lists them all


@dataclass(frozen=True)
class LiveState:
    """The newest value of everything on the screen."""

    started_at: float | None = None
    peer_id: str = ""
    swarm: str = ""
    model: str = ""
    device: str = ""
    dtype: str = ""
    round: int | None = None
    step: int = 0
    phase: str = "starting"
    phase_done: int = 0
    phase_total: int = 0
    rewards: tuple[float, ...] = ()
    own: int = 0
    external: int = 0
    tokens_per_s: float | None = None
    held_out: float | None = None
    held_out_step: int | None = None
    peers: frozenset[str] = frozenset()
    steps_here: int = 0
    """Steps since this start; `own` and `external` count groups since then too. `step` is the peer's total.
    """
    health: tuple[str, ...] | None = None
    """What is wrong, with remedies; empty if nothing is, None while the peer starts."""
    join_command: str = ""
    stopping: str = ""
    """How or why it stops; empty while it does not."""
    stopping_at: float | None = None
    last_event: str = ""
    last_event_at: float | None = None

    def after(self, name: str, fields: Mapping[str, object], at: float) -> LiveState:
        """Return the state after event `name` with `fields` has happened at wall-clock time `at`."""
        state = self
        if name == "phase":
            done, total = _int(fields.get("done")), _int(fields.get("total"))
            return replace(
                state, phase=_text(fields.get("name")), phase_done=done or 0, phase_total=total or 0
            )
        if name == "started":
            state = replace(state, started_at=at)
        if name == "peer_seen" and len(state.peers) < PEERS_KEPT:
            state = replace(state, peers=state.peers | {_text(fields.get("peer_id"))})
        if name == "step":
            state = state._after_step(fields)
        if name == "evaluated":
            success, at_step = _float(fields.get("success")), _int(fields.get("step"))
            state = replace(state, held_out=success, held_out_step=at_step)
        if name == "health":
            reasons = fields.get("reasons")
            found = tuple(map(_text, reasons)) if isinstance(reasons, list | tuple) else ()
            return replace(state, health=found)
        if name == "join_command":
            state = replace(state, join_command=_text(fields.get("command")))
        if name == "stopping":
            why = _text(fields.get("message")) or "stopping"
            state = replace(state, phase="stopping", phase_done=0, phase_total=0, stopping=why)
            state = replace(state, stopping_at=at if state.stopping_at is None else state.stopping_at)
        if name == "stopped":
            state = replace(state, phase="stopped", phase_done=0, phase_total=0, stopping="")
        state = replace(state, **_taken(name, fields))
        return replace(state, last_event=describe(name, fields), last_event_at=at)

    def _after_step(self, fields: Mapping[str, object]) -> LiveState:
        reward = _float(fields.get("reward"))
        rewards = self.rewards if reward is None else (*self.rewards, reward)[-REWARDS_KEPT:]
        return replace(
            self,
            step=_int(fields.get("step")) or self.step,
            round=_int(fields.get("round")),
            rewards=rewards,
            steps_here=self.steps_here + 1,
            own=self.own + (_int(fields.get("own")) or 0),
            external=self.external + (_int(fields.get("external")) or 0),
            tokens_per_s=_float(fields.get("tokens_per_s")),
        )


def describe(name: str, fields: Mapping[str, object]) -> str:
    """Return one line for people: the message if there is one, else name and fields."""
    if name == "join_command":
        return printable(f"others join with: {fields.get('command')}")
    if isinstance(message := fields.get("message"), str):
        return printable(message if name in ("warning", "external_short") else f"{name}: {message}")
    if name in _LINES:
        return printable(_LINES[name](fields))
    given = {key: _short(value) for key, value in fields.items() if value is not None}
    number = [given.pop(name)] if name in given else []  # "step 3", not "step step=3"
    return printable(" ".join([name, *number, *(f"{key}={value}" for key, value in given.items())]))


def _plan(fields: Mapping[str, object]) -> str:
    """Such as: plan embedded (1.4 M) on cpu, float32, 4 own + 4 external groups, 0.71 of 16.9 GiB.

    The reasons are left to `swarmd doctor` and the JSON log: they would fill the screen.
    """
    size, rank = _float(fields.get("parameters")), _int(fields.get("lora_rank"))
    model = str(fields.get("model"))
    model = model.rstrip("/").rpartition("/")[2] if model.startswith("/") else model
    parts = [
        f"plan {model if len(model) <= MODEL_CHARS else '…' + model[-MODEL_CHARS:]}"
        + ("" if size is None else f" ({short_count(size)})")
        + f" on {fields.get('device')}",
        str(fields.get("dtype")),
    ]
    if rank is not None:
        parts.append(f"LoRA {rank}")
    own, external = _int(fields.get("own_groups")), _int(fields.get("external_groups"))
    if own is not None and external is not None:
        parts.append(f"{own} own + {external} external groups")
    peak, limit = _float(fields.get("predicted_peak_bytes")), _float(fields.get("memory_limit_bytes"))
    if peak is not None and limit is not None:
        parts.append(f"{peak / GIB:.2g} of {limit / GIB:.3g} GiB")
    return ", ".join(parts)


def _started(fields: Mapping[str, object]) -> str:
    parts = [
        named(str(fields.get("peer_id"))),
        f"home {fields.get('home')}",
        f"swarmd {fields.get('version')}",
    ]
    return f"started {', '.join(parts)}"


def _step(fields: Mapping[str, object]) -> str:
    """Such as: step 3, reward 0.406, loss -0.0171, 4 own + 0 external groups, 2,078 tokens/s, 0.19 s."""
    reward, loss, speed = (_float(fields.get(key)) for key in ("reward", "loss", "tokens_per_s"))
    parts = [
        f"step {fields.get('step')}",
        "" if reward is None else f"reward {reward:.3f}",
        "" if loss is None else f"loss {round(loss, 4) + 0.0:.4f}",
        f"{fields.get('own', 0)} own + {fields.get('external', 0)} external groups",
        "" if speed is None else f"{speed:,.0f} tokens/s",
        "" if (seconds := _float(fields.get("seconds"))) is None else f"{seconds:.2g} s",
    ]
    return ", ".join(filter(None, parts))


def _joined(fields: Mapping[str, object]) -> str:
    count = fields.get("peers")
    return f"joined {fields.get('swarm')}: {count} {'peer answers' if count == 1 else 'peers answer'}"


def _resumed(fields: Mapping[str, object]) -> str:
    lost = _int(fields.get("steps_lost")) or 0
    again = f": {lost} later {'step is' if lost == 1 else 'steps are'} repeated" if lost else ""
    return f"resumed at step {fields.get('step')}{again}"


def _stopped(fields: Mapping[str, object]) -> str:
    step = _int(fields.get("step"))
    return "stopped" if step is None else f"stopped at step {step}"  # an observer takes no steps


def _downloading(fields: Mapping[str, object]) -> str:
    return downloading(str(fields.get("model")), *(_int(fields.get(key)) or 0 for key in ("done", "total")))


_LINES: Mapping[str, Callable[[Mapping[str, object]], str]] = {
    "joined": _joined,
    "peer_seen": lambda fields: f"peer_seen: {named(str(fields.get('peer_id')))}",
    "standing": lambda fields: (
        f"standing: {named(str(fields.get('peer_id')))}: {fields.get('change')} ({fields.get('why')})"
    ),
    "rejected": lambda fields: (
        f"rejected: a group of {named(str(fields.get('publisher')))}: {fields.get('reason')}"
    ),
    "checkpoint": lambda fields: f"checkpoint at step {fields.get('step')}",
    "resumed": _resumed,
    "stopped": _stopped,
    "started": _started,
    "plan": _plan,
    "step": _step,
    "downloading": _downloading,
}
"""Events with too many fields for a line: the JSON log has them all."""

_SHOWN_FROM: Mapping[str, tuple[str, ...]] = {
    "started": ("peer_id", "swarm", "round", "step"),
    "plan": ("model", "device", "dtype"),
    "joined": ("swarm", "round"),
    "alone": ("swarm", "round"),
    "resumed": ("step",),
}


def _taken(name: str, fields: Mapping[str, object]) -> dict[str, Any]:
    """Return the fields of an event that the screen shows under the same name. A swarm's name comes from
    peers.
    """
    found = {key: fields.get(key) for key in _SHOWN_FROM.get(name, ())}
    return {
        key: printable(value) if isinstance(value, str) else value
        for key, value in found.items()
        if isinstance(value, int | str)
    }


def _short(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        return ",".join(_short(item) for item in value)
    return str(value)


def _int(value: object) -> int | None:
    return value if isinstance(value, int) else None


def _float(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _text(value: object) -> str:
    return "" if value is None else str(value)
