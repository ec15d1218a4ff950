"""Updates the policy step by step: groups in, new weights and metrics out.

    L = L_local / N_local + lambda * L_external / N_external

N is what the algorithm averages over (for GRPO, the completion tokens in the groups used). It is counted
separately for own and external groups, so that neither drowns out the other. The trainer is synchronous and
has no randomness: the same weights and groups give the same update. It samples nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from types import MappingProxyType

import structlog
import torch
from torch import Tensor

from swarmd.config import LearningConfig
from swarmd.errors import ModelError
from swarmd.groups import ScoredGroup
from swarmd.hardware.shortage import Shortage, attempt, out_of_memory_as_model_error
from swarmd.learning.algorithms import Denominators, policy_algorithm
from swarmd.learning.batching import TrainRow
from swarmd.learning.external import Imitate, external_loss
from swarmd.learning.gradient import Batch, Objective, Part, Pass
from swarmd.learning.metrics import StepMetrics
from swarmd.learning.optimizer import Optimizer
from swarmd.learning.reading import work_max
from swarmd.learning.same_question import Capability, Compared, same_question
from swarmd.learning.schedule import learning_rate_at
from swarmd.learning.selection import (
    Selection,
    mean_reward,
    sampled_entropy,
    select_rows,
    share_reencoded_differently,
)
from swarmd.learning.value_head import ValueHead
from swarmd.policy import Policy

STEP_KEY = "counters/step"
STUDIES_KEY = "counters/studies"
NO_LESSON_FITS = "no update: none of the right answers to study fits the context"
NOTHING_VERIFIED = (
    "no update: none of the right answers to study has its answer in a single pair of tags, and "
    "external_tokens is verified, which trains on nothing else"
)
NOBODY: Capability = MappingProxyType({})
IMITATE = Imitate()
NOTHING = Selection((), Denominators(0, 0), used=(), groups_too_long=0, untaught_tokens=0)
REMEDY = "--lora r=16"  # for memory that depends on the trained weights rather than on the batch

log = structlog.get_logger()


class Trainer:
    """Trains a policy with the configured algorithm on own and external groups.

    With a KL penalty, the weights at construction are the reference, so construct it before loading a
    checkpoint.
    """

    def __init__(self, policy: Policy, config: LearningConfig) -> None:
        self._policy = policy
        self._config = config
        self._algorithm = policy_algorithm(config, policy.max_new_tokens)
        self._value_head: ValueHead | None = None
        if self._algorithm.with_values:
            self._value_head = ValueHead(policy.state_width, policy.device, config)
        self._external_loss = external_loss(config, self._algorithm)
        self._same_question = same_question(config)
        self._objective = Objective(policy, self._algorithm, self._external_loss, config, self._value_head)
        self._studying = Objective(policy, self._algorithm, IMITATE, config, None)
        with out_of_memory_as_model_error(REMEDY):
            self._optimizer = Optimizer(
                dict(policy.trainable_parameters()), config, pending=policy.factored_gradients
            )
            if config.kl_coefficient > 0:
                policy.freeze_reference()
        self._others_tokens_max: float = math.inf
        """Tokens of the largest row of another peer that memory suffices for; lowered when it ran out."""
        self.is_whole = True
        """Whether the weights are as a step left them. False from a step's first update until its end."""
        self.steps = 0
        """Steps taken, with or without an update."""
        self._studies = 0  # steps that studied

    def step(
        self,
        own: Sequence[ScoredGroup],
        external: Sequence[ScoredGroup],
        success: Mapping[bytes, float] | None = None,
        rehearsed: Sequence[ScoredGroup] = (),
        *,
        studied: Sequence[Sequence[ScoredGroup]] = (),
        stopped: Callable[[], bool] = lambda: False,
        own_work: float | None = None,
        capability: Capability = NOBODY,
    ) -> StepMetrics:
        """Train once on own and external groups. Either may be empty; if no group teaches, the weights do not
        change. Own groups that no judge judged teach nothing.

        `success`: this peer's own mean reward by task id, in [0, 1], for the `shared` baseline of external
        groups. A missing family counts as one that this peer fails at; without `success`, groups have their
        own baseline. `rehearsed`: lessons, which are trained on like external groups but counted separately.
        `studied`: lessons for supervised updates, which replace the policy gradient if there are any. Before
        each of them but the first, `stopped` tells whether to leave out the rest.
        `own_work`: the recent cost of an own group; external groups are trained on up to `reading.work_max`
        of it. `capability`: mean reward by publisher, for the `hacpo` baseline.

        Never writes a non-finite number into the weights: such an update is skipped and reported. If memory
        runs out, micro-batches become smaller. Raises ModelError if even small ones do not fit. If it runs
        out for a single completion of another peer, that one is left out: no peer may end this one.
        """
        learning_rate = learning_rate_at(self.steps, self._config, studies=self._studies if studied else None)
        self._optimizer.set_learning_rate(learning_rate)
        if studied:
            unused = self._metrics(own, external, NOTHING, NOTHING, [], None, learning_rate)
            return self._study(studied, stopped, unused)
        algorithm = self._algorithm
        judged = [group for group in own if group.is_judged]
        compared = self._compare(judged, external, success, capability)
        own_rows = select_rows(
            self._policy,
            judged,
            trains_on=self._trains_on_own,
            with_equal_rewards=algorithm.with_values,
            advantages_of=compared.advantages,
        )
        of_others = partial(
            select_rows,
            self._policy,
            trains_on=self._external_loss.trains_on,
            with_equal_rewards=algorithm.with_values,
            advantages_of=compared.advantages,
            verified_only=self._config.external_tokens == "verified",
        )
        external_rows, lessons = (
            of_others(groups, most=work_max(own_work, len(groups)))
            for groups in (compared.external, rehearsed)
        )
        batch = self._batch(own_rows, external_rows.plus(lessons), self._config.external_coefficient)
        passes: list[Pass] = []
        note = None if batch.parts else _why_nothing_to_learn(own, external, own_rows, external_rows)
        for _ in range(self._config.updates_per_batch if batch.parts else 0):
            passes.append(self._update(batch, self._objective))
            if not passes[-1].applied:
                note = _why_skipped(passes[-1])
                break
        metrics = replace(
            self._metrics(own, external, own_rows, external_rows, passes, note, learning_rate),
            lessons=lessons.groups_used,
            tokens_lessons_trained=lessons.trained_tokens if passes else 0,
        )
        self.steps += 1
        self.is_whole = True
        return metrics

    def _study(
        self, studied: Sequence[Sequence[ScoredGroup]], stopped: Callable[[], bool], metrics: StepMetrics
    ) -> StepMetrics:
        """Take a supervised update on each batch of lessons. Every lesson is right, so every advantage is
        1. `metrics`: those of a step that trains on nothing.
        """
        if self._studies == 0:
            self._optimizer.forget()  # the moments are those of another loss
        selections: list[Selection] = []
        passes: list[Pass] = []
        for lessons in studied:
            if selections and stopped():
                break
            found = select_rows(
                self._policy,
                lessons,
                trains_on=IMITATE.trains_on,
                advantages_of=lambda group: torch.ones(len(group.completions), dtype=torch.float64),
                verified_only=self._config.external_tokens == "verified",
            )
            batch = self._batch(NOTHING, found, 1.0)
            selections.append(found)
            passes += [self._update(batch, self._studying)] if batch.parts else []
        self.steps += 1
        self.is_whole = True
        self._studies += 1
        updates, note = sum(each.applied for each in passes), None
        if not updates:
            note = _why_skipped(passes[-1]) if passes else _why_nothing_to_study(selections)
        return replace(
            metrics,
            updated=updates > 0,
            updates=updates,
            note=note,
            loss=_quotient(sum(each.loss for each in passes), len(passes)),
            grad_norm=passes[-1].grad_norm if passes else None,
            lessons=sum(found.groups_used for found in selections),
            tokens_lessons_trained=sum(found.trained_tokens for found in selections),
        )

    def _compare(
        self,
        own: Sequence[ScoredGroup],
        external: Sequence[ScoredGroup],
        success: Mapping[bytes, float] | None,
        capability: Capability,
    ) -> Compared:
        if self._same_question is not None:
            return self._same_question(own, external, capability)
        others_success = success if self._config.external_baseline == "shared" else None
        return Compared(
            external,
            lambda group: self._advantages(group, others_success if group.external else None),
        )

    def _advantages(self, group: ScoredGroup, success: Mapping[bytes, float] | None) -> Tensor:
        """[G], computed in double precision: in single precision, equal rewards can differ from their
        mean."""
        rewards = torch.tensor(group.rewards, dtype=torch.float64)
        own_success = None if success is None else success.get(group.task_id, 0.0)
        return self._algorithm.advantages(rewards, own_success)

    def _trains_on_own(self, row: TrainRow) -> bool:
        """Whether an own row is trained on. With zero advantage, only a KL penalty or a value head may need
        it."""
        return row.advantage != 0 or self._algorithm.with_values or self._config.kl_coefficient > 0

    def _batch(self, own: Selection, external: Selection, coefficient: float) -> Batch:
        """Build the parts whose losses are added; `coefficient` is lambda."""
        parts = []
        if own.rows:
            parts.append(Part(own.rows, external=False, denominators=own.denominators))
        if external.rows and coefficient > 0:
            parts.append(
                Part(
                    external.rows, external=True, denominators=external.denominators, coefficient=coefficient
                )
            )
        return Batch(tuple(parts))

    def _update(self, batch: Batch, objective: Objective) -> Pass:
        """Accumulate the gradient over all micro-batches, clip it, and apply it if it is finite."""
        try:
            done = self._accumulate(batch, objective)
            self._policy.release_freed_memory()
            if done.rows:
                # An update cannot be retried in smaller parts, because some weights have already changed.
                with out_of_memory_as_model_error(REMEDY):
                    self._apply(done)
        finally:
            self._drop_gradients()
            self._policy.release_freed_memory()
        return done

    def _apply(self, done: Pass) -> None:
        done.grad_norm = self._optimizer.clip()
        value_norm = self._value_head.clip() if self._value_head else 0.0
        if all(map(math.isfinite, (done.loss, done.grad_norm, done.value_loss, value_norm))):
            self.is_whole = False
            self._optimizer.update()
            if self._value_head:
                self._value_head.update()
            done.applied = True

    def _drop_gradients(self) -> None:
        self._optimizer.drop_gradients()
        if self._value_head:
            self._value_head.drop_gradients()

    def _accumulate(self, batch: Batch, objective: Objective) -> Pass:
        """Accumulate the gradient of all parts. If memory runs out, start over with smaller micro-batches."""
        budgets = self._policy.budgets
        while True:
            planned = budgets.budgets.train_tokens
            budget = min(self._config.token_budget or planned, planned)
            fitting = batch.where(self._fits)
            cut = objective.cut(fitting, budget)
            tokens = [self._policy.budget_tokens(micro.token_rows) for micro in cut]
            self._optimizer.expect(sum(tokens))
            done = attempt(lambda: objective.accumulate(fitting, cut))  # noqa: B023  called at once
            if not isinstance(done, Shortage):
                budgets.done("train_tokens")
                too_large = _right_tokens(batch) - _right_tokens(fitting)
                done.external_right_tokens += too_large
                done.external_left_out += too_large
                return done
            self._drop_gradients()
            largest = max(tokens)
            if largest > budget and cut[tokens.index(largest)].rows[0].external:  # a row of its own
                self._others_tokens_max = max(budget, largest // 2)
                log.warning(
                    f"memory ran out with a completion of {largest} tokens by another peer ({done.why}): "
                    f"those of more than {self._others_tokens_max} are left out"
                )
                continue
            budgets.short("train_tokens", min(budget, largest), done)

    def _fits(self, row: TrainRow) -> bool:
        if not row.external or math.isinf(self._others_tokens_max):
            return True
        return self._policy.budget_tokens([row.tokens]) <= self._others_tokens_max

    def _metrics(
        self,
        own: Sequence[ScoredGroup],
        external: Sequence[ScoredGroup],
        own_rows: Selection,
        external_rows: Selection,
        passes: Sequence[Pass],
        note: str | None,
        learning_rate: float,
    ) -> StepMetrics:
        first = passes[0] if passes else Pass()
        last = passes[-1] if passes else Pass()
        with_kl = self._config.kl_coefficient > 0
        used = {group.digest for group in external_rows.used}
        return StepMetrics(
            step=self.steps,
            updated=any(p.applied for p in passes),
            updates=sum(p.applied for p in passes),
            note=note,
            loss=_quotient(sum(p.loss for p in passes), len(passes)),
            value_loss=first.value_loss if self._value_head and passes else None,
            grad_norm=last.grad_norm if passes else None,
            learning_rate=learning_rate,
            reward_own=mean_reward(own),
            reward_external=mean_reward(external),
            entropy=sampled_entropy(own),
            kl=_quotient(last.kl, last.own_tokens) if with_kl else None,
            clip_fraction=_quotient(last.clipped, last.own_tokens),
            tokens_own=own_rows.denominators.tokens,
            tokens_external=external_rows.denominators.tokens,
            groups_own=len(own),
            groups_own_used=own_rows.groups_used,
            groups_external=len(external),
            groups_external_used=external_rows.groups_used,
            external_used=[n for n, group in enumerate(external) if group.digest in used],
            external_too_long=external_rows.groups_too_long,
            external_nats_per_byte=_quotient(
                sum(first.external_nats.values()), sum(first.external_bytes.values())
            ),
            external_surprisal={
                publisher: first.external_nats[publisher] / size
                for publisher, size in first.external_bytes.items()
                if size
            },
            external_left_out=_quotient(
                first.external_left_out + external_rows.untaught_tokens,
                first.external_right_tokens + external_rows.untaught_tokens,
            ),
            reencoded_differently_own=share_reencoded_differently(self._policy, own),
            reencoded_differently_external=external_rows.reencoded_differently,
            tokens_own_trained=own_rows.trained_tokens if passes else 0,
            tokens_external_trained=external_rows.trained_tokens if passes else 0,
        )

    def state_dict(self, *, live: bool = False) -> dict[str, Tensor]:
        """Optimiser moments, the value head and counters on the CPU, flat as in safetensors.

        The policy's weights are not included. Returns copies, except that with `live`, moments already on the
        CPU are shared: use them before the next step.
        """
        counters = {
            STEP_KEY: torch.tensor(self.steps, dtype=torch.int64),
            STUDIES_KEY: torch.tensor(self._studies, dtype=torch.int64),
        }
        head = self._value_head.state_dict() if self._value_head else {}
        return counters | head | self._optimizer.state_dict(live=live)

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore a `state_dict`. Raises ModelError, changing nothing, for the state of another model."""
        if STEP_KEY not in state:
            raise ModelError(
                f"the saved optimiser state lacks {STEP_KEY}: it was not written by this program"
            )
        if self._value_head:
            self._value_head.check(state)
        self._optimizer.load_state_dict(state)
        if self._value_head:
            self._value_head.load_state_dict(state)
        self.steps = int(state[STEP_KEY])
        self._studies = int(state.get(STUDIES_KEY, 0))  # missing in older checkpoints


def _quotient(total: float, count: int) -> float | None:
    return total / count if count else None


def _right_tokens(batch: Batch) -> int:
    return sum(len(row.tokens.completion_ids) for row in batch.rows if row.advantage > 0)


def _why_skipped(skipped: Pass) -> str:
    if not skipped.rows:
        return "no update: memory does not suffice for the completions of others"
    return f"update skipped: loss {skipped.loss}, gradient norm {skipped.grad_norm}"


def _why_nothing_to_study(selections: Sequence[Selection]) -> str:
    return NOTHING_VERIFIED if any(found.groups_used for found in selections) else NO_LESSON_FITS


def _why_nothing_to_learn(
    own: Sequence[ScoredGroup],
    external: Sequence[ScoredGroup],
    own_rows: Selection,
    external_rows: Selection,
) -> str:
    too_long = own_rows.groups_too_long + external_rows.groups_too_long
    rest = f", {too_long} do not fit the context" if too_long else ""
    if external_rows.groups_used:
        return (
            f"no update: none of {len(own)} own groups has completions of different reward{rest}, and the "
            f"external loss takes nothing from the {external_rows.groups_used} external groups that have"
        )
    return (
        f"no update: none of {len(own)} own and {len(external)} external groups has completions of different "
        f"reward{rest}"
    )
