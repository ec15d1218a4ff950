"""What a peer remembers between steps in order to choose others' groups. Running means, no model.

It is saved in the checkpoint, so that a resumed peer chooses as if it had never stopped.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from swarmd.groups import ScoredGroup

MEMORY = 16
"""About how many observations a mean is over: after some dozens of steps, a policy that learns is a different
one."""

TASKS_MAX = 1_024
"""Task families; beyond it, those asked longest ago are forgotten. A manifest holds fewer."""

PUBLISHERS_MAX = 1_024
"""Peers; as many as the ledger keeps counts of."""

PRECISION = 1e-4
"""Of a success that is found by halving."""

OWN = "own"
TEACHING = "teaching"

Mean = tuple[float, int]
"""A running mean, and how many observations it is over, at most `MEMORY`."""

State = dict[str, dict[str, Mean]]


class Experience:
    """Own and others' success by task family, and how surprising own and others' text is to this policy."""

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
        """Take in groups that this peer has just sampled and scored."""
        nats = size = 0.0
        for group in groups:
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
        """Take in nats per byte by publisher, as a step measured them (`StepMetrics.external_surprisal`)."""
        for publisher, value in surprisal.items():
            if math.isfinite(value):  # a step whose numbers overflowed is not remembered
                _observe(self._surprisal, publisher, value, PUBLISHERS_MAX)

    def see_others(self, groups: Sequence[ScoredGroup]) -> None:
        """Take in the groups of others that a step trains on."""
        for group in groups:
            _observe(self._shown, group.task_id.hex(), group.mean_reward, TASKS_MAX)
            _observe(self._sizes, group.task_id.hex(), len(group.completions), TASKS_MAX)

    def see_everybody(self, own: Sequence[ScoredGroup], external: Sequence[ScoredGroup]) -> None:
        """Take in all groups of a round in which all peers were asked the questions of `own`. Who sent none
        of a question was wrong throughout, also in the rounds before it was first heard of."""
        groups = (*own, *external)
        rounds = max((seen for _, seen in self._capability.values()), default=0)
        for publisher in dict.fromkeys((*self._capability, *(group.publisher for group in groups))):
            self._capability.setdefault(publisher, (0.0, rounds))
            earned = sum(group.mean_reward for group in groups if group.publisher == publisher)
            _observe(self._capability, publisher, earned / len(own), PUBLISHERS_MAX)

    @property
    def capability(self) -> dict[str, float]:
        """Mean reward by publisher, this peer included, of rounds in which all were asked the same."""
        return {publisher: mean for publisher, (mean, _) in self._capability.items()}

    @property
    def others(self) -> dict[bytes, float]:
        """Others' success by task id: what their groups showed, as scored here, and what was hidden."""
        return {
            bytes.fromhex(task): unhidden(mean, self._sizes[task][0])
            for task, (mean, _) in self._shown.items()
        }

    @property
    def success(self) -> dict[bytes, float]:
        """Mean own reward by task id, for the families asked so far."""
        return {bytes.fromhex(task): mean for task, (mean, _) in self._success.items()}

    @property
    def surprisal(self) -> dict[str, float]:
        """Nats per byte by publisher, for those whose text was trained on."""
        return {publisher: mean for publisher, (mean, _) in self._surprisal.items()}

    @property
    def own_surprisal(self) -> float | None:
        """Nats per byte of own completions; None before the first."""
        own = self._own_surprisal.get(OWN)
        return None if own is None else own[0]

    @property
    def teaching_share(self) -> float | None:
        """Share of recent own groups whose rewards differed; None before the first."""
        teaching = self._teaching.get(OWN)
        return None if teaching is None else teaching[0]

    @property
    def own_work(self) -> float | None:
        """What a recent own group costs that is trained on (`learning.reading`), as others publish only such.
        That of the others before there is one, and None before there is any.

        It is the geometric mean: among sixteen cheap groups one that costs fifty times as much must not allow
        every group of others to cost ten times as much.
        """
        work = self._work.get(TEACHING, self._work.get(OWN))
        return None if work is None else math.exp(work[0])

    def to_state(self) -> State:
        """The state as JSON holds it."""
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
        """Put back what `to_state` gave; what it lacks starts anew."""
        self._success = dict(state.get("success", {}))
        self._sizes = dict(state.get("sizes", {}))
        self._shown = {task: mean for task, mean in state.get("shown", {}).items() if task in self._sizes}
        self._surprisal = dict(state.get("surprisal", {}))
        self._own_surprisal = dict(state.get("own_surprisal", {}))
        self._teaching = dict(state.get("teaching", {}))
        self._work = dict(state.get("work", {}))
        self._capability = dict(state.get("capability", {}))


def unhidden(shown: float, size: float) -> float:
    """The success p of a policy whose groups of `size` show the mean reward `shown`, if those without a right
    answer are hidden: shown = p / (1 - (1 - p) ** size). Next to 0 if each group shows a single right answer.
    Rewards are taken to be 0 or 1: of partial credit less is hidden, and p is too low."""
    low, high = 0.0, shown
    while high - low > PRECISION:
        middle = (low + high) / 2
        if shown * (1 - (1 - middle) ** size) >= middle:
            low = middle
        else:
            high = middle
    return low


def _observe(means: dict[str, Mean], key: str, value: float, keys_max: int) -> None:
    """Move the mean of `key` and make it the newest; forget the oldest above `keys_max`."""
    mean, seen = means.pop(key, (0.0, 0))
    seen = min(seen + 1, MEMORY)
    means[key] = (mean + (value - mean) / seen, seen)
    if len(means) > keys_max:
        del means[next(iter(means))]
