"""What a peer remembers between steps to choose external groups: running means, no model.

Saved in the checkpoint, so a resumed peer chooses as if it had never stopped.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from swarmd.groups import ScoredGroup

MEMORY = 16
"""About how many observations a mean covers: after dozens of steps, a learning policy is a different one."""

TASKS_MAX = 1_024
"""Beyond this many task families, the least recently asked is forgotten. A manifest has fewer."""

PUBLISHERS_MAX = 1_024
"""Peers remembered: as many as the ledger keeps counts for."""

PRECISION = 1e-4
"""Precision of the bisection in `unhidden`."""

OWN = "own"
TEACHING = "teaching"

Mean = tuple[float, int]
"""A running mean, and the number of observations it covers, at most `MEMORY`."""

State = dict[str, dict[str, Mean]]


class Experience:
    """Success per task family, and how surprising text is to this policy, each for itself and for other
    peers."""

    def __init__(self) -> None:
        self._success: dict[str, Mean] = {}
        self._shown: dict[str, Mean] = {}
        self._sizes: dict[str, Mean] = {}
        self._surprisal: dict[str, Mean] = {}
        self._own_surprisal: dict[str, Mean] = {}
        self._teaching: dict[str, Mean] = {}
        self._work: dict[str, Mean] = {}
        self._capability: dict[str, Mean] = {}

    def see_own(self, groups: Sequence[ScoredGroup]) -> None:
        """Record groups that this peer has just sampled and scored. Those that no judge judged say nothing
        about success."""
        nats = size = 0.0
        for group in groups:
            if group.is_judged:
                _observe(self._success, group.task_id.hex(), group.mean_reward, TASKS_MAX)
            _observe(self._teaching, OWN, float(group.is_informative), 1)
            if group.work is not None:
                kind = TEACHING if group.is_informative else OWN
                _observe(self._work, kind, math.log(max(1.0, group.work)), 2)
            for turn in (turn for completion in group.completions for turn in completion.turns):
                if turn.behaviour_logprob_sum is not None:
                    nats -= turn.behaviour_logprob_sum
                    size += len(turn.text.encode())
        if size:
            _observe(self._own_surprisal, OWN, nats / size, 1)

    def see_external(self, surprisal: Mapping[str, float]) -> None:
        """Record nats per byte by publisher, as measured in a step (`StepMetrics.external_surprisal`)."""
        for publisher, value in surprisal.items():
            if math.isfinite(value):  # skips a step whose numbers overflowed
                _observe(self._surprisal, publisher, value, PUBLISHERS_MAX)

    def see_others(self, groups: Sequence[ScoredGroup]) -> None:
        """Record the external groups that a step trains on."""
        for group in groups:
            _observe(self._shown, group.task_id.hex(), group.mean_reward, TASKS_MAX)
            _observe(self._sizes, group.task_id.hex(), len(group.completions), TASKS_MAX)

    def see_everybody(self, own: Sequence[ScoredGroup], external: Sequence[ScoredGroup]) -> None:
        """Record all groups of a round in which every peer was asked the questions of `own`. A peer that sent
        no group for a question counts as wrong throughout, also in rounds before it was first heard from. A
        round with an own group that no judge judged counts for nobody."""
        if not all(group.is_judged for group in own):
            return
        groups = (*own, *external)
        rounds = max((seen for _, seen in self._capability.values()), default=0)
        for publisher in dict.fromkeys((*self._capability, *(group.publisher for group in groups))):
            self._capability.setdefault(publisher, (0.0, rounds))
            earned = sum(group.mean_reward for group in groups if group.publisher == publisher)
            _observe(self._capability, publisher, earned / len(own), PUBLISHERS_MAX)

    @property
    def capability(self) -> dict[str, float]:
        """Mean reward by publisher, including this peer, over rounds in which all were asked the same
        questions."""
        return {publisher: mean for publisher, (mean, _) in self._capability.items()}

    @property
    def others(self) -> dict[bytes, float]:
        """Other peers' success by task id: what their groups showed, as scored here, corrected for hidden
        groups."""
        return {
            bytes.fromhex(task): unhidden(mean, self._sizes[task][0])
            for task, (mean, _) in self._shown.items()
        }

    @property
    def success(self) -> dict[bytes, float]:
        """Mean own reward by task id, for families asked so far."""
        return {bytes.fromhex(task): mean for task, (mean, _) in self._success.items()}

    @property
    def surprisal(self) -> dict[str, float]:
        """Nats per byte by publisher, for publishers whose text was trained on."""
        return {publisher: mean for publisher, (mean, _) in self._surprisal.items()}

    @property
    def own_surprisal(self) -> float | None:
        """Nats per byte of own completions; None before the first."""
        own = self._own_surprisal.get(OWN)
        return None if own is None else own[0]

    @property
    def teaching_share(self) -> float | None:
        """Share of recent own groups with differing rewards; None before the first."""
        teaching = self._teaching.get(OWN)
        return None if teaching is None else teaching[0]

    @property
    def own_work(self) -> float | None:
        """The recent cost of an own group that is trained on (`learning.reading`), because only such groups
        are published by other peers. Before there is one, the cost of any own group; None before the first.

        A geometric mean: if one of sixteen groups costs fifty times as much as the cheap ones, external
        groups must not be allowed to cost ten times as much.
        """
        work = self._work.get(TEACHING, self._work.get(OWN))
        return None if work is None else math.exp(work[0])

    def to_state(self) -> State:
        """The state as JSON."""
        return {
            "success": dict(self._success),
            "shown": dict(self._shown),
            "sizes": dict(self._sizes),
            "surprisal": dict(self._surprisal),
            "own_surprisal": dict(self._own_surprisal),
            "teaching": dict(self._teaching),
            "work": dict(self._work),
            "capability": dict(self._capability),
        }

    def restore(self, state: State) -> None:
        """Restore the result of `to_state`; missing parts start empty."""
        self._success = dict(state.get("success", {}))
        self._sizes = dict(state.get("sizes", {}))
        self._shown = {task: mean for task, mean in state.get("shown", {}).items() if task in self._sizes}
        self._surprisal = dict(state.get("surprisal", {}))
        self._own_surprisal = dict(state.get("own_surprisal", {}))
        self._teaching = dict(state.get("teaching", {}))
        self._work = dict(state.get("work", {}))
        self._capability = dict(state.get("capability", {}))


def unhidden(shown: float, size: float) -> float:
    """Estimate the success p of a policy whose groups of `size` show the mean reward `shown`, if groups
    without a right answer are hidden: shown = p / (1 - (1 - p) ** size). Close to 0 if each group shows a
    single right answer. Assumes rewards of 0 or 1: with partial credit, less is hidden, and p comes out too
    low."""
    low, high = 0.0, shown
    while high - low > PRECISION:
        middle = (low + high) / 2
        if shown * (1 - (1 - middle) ** size) >= middle:
            low = middle
        else:
            high = middle
    return low


def _observe(means: dict[str, Mean], key: str, value: float, keys_max: int) -> None:
    """Update the mean of `key` and make it the newest; drop the oldest beyond `keys_max`."""
    mean, seen = means.pop(key, (0.0, 0))
    seen = min(seen + 1, MEMORY)
    means[key] = (mean + (value - mean) / seen, seen)
    if len(means) > keys_max:
        del means[next(iter(means))]
