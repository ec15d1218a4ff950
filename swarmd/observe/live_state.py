"""What the live view shows, as a value: events in, next state out. Draws nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from swarmd.observe.text import printable

REWARDS_KEPT = 240  # steps in the curve: wider than any terminal
PEERS_KEPT = 256  # distinct peers counted by the view; the status snapshot has the list


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
    last_event: str = ""
    last_event_at: float | None = None

    def after(self, name: str, fields: Mapping[str, object], at: float) -> LiveState:
        """The state once event `name` with `fields` has happened at wall-clock time `at`."""
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
        if name == "stopping":
            state = replace(state, phase="stopping", phase_done=0, phase_total=0)
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
            own=self.own + (_int(fields.get("own")) or 0),
            external=self.external + (_int(fields.get("external")) or 0),
            tokens_per_s=_float(fields.get("tokens_per_s")),
        )


def describe(name: str, fields: Mapping[str, object]) -> str:
    """One line for people: the message if there is one, else name and fields."""
    if name == "join_command":
        return printable(f"others join with: {fields.get('command')}")
    if isinstance(message := fields.get("message"), str):
        return printable(message if name == "warning" else f"{name}: {message}")
    if name == "plan" and isinstance(reasons := fields.get("reasons"), list | tuple):
        return printable(f"model {fields.get('model')}: " + "; ".join(map(str, reasons)))
    given = {key: _short(value) for key, value in fields.items() if value is not None}
    number = [given.pop(name)] if name in given else []  # "step 3", not "step step=3"
    return printable(" ".join([name, *number, *(f"{key}={value}" for key, value in given.items())]))


_SHOWN_FROM: Mapping[str, tuple[str, ...]] = {
    "started": ("peer_id", "swarm", "round", "step"),
    "plan": ("model", "device", "dtype"),
    "joined": ("swarm", "round"),
    "alone": ("swarm", "round"),
    "resumed": ("step",),
}


def _taken(name: str, fields: Mapping[str, object]) -> dict[str, Any]:
    """The fields of an event that the screen shows under the same name. A swarm's name comes from peers."""
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
