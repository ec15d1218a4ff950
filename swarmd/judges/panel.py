"""The judges of a swarm's tasks on this peer: they turn completions into rewards.

Each peer uses its own judges. A task whose rules name none keeps its verifier's rewards. Models run in their
own thread and bound their batches themselves, so neither the event loop nor the trainer waits for them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Hashable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace

from protocol import Manifest
from swarmd.errors import ConfigError
from swarmd.judges.ballots import Ballots, normal
from swarmd.judges.batches import chunks
from swarmd.judges.calibration import Calibration
from swarmd.judges.interface import Key, ModelJudge, Pair
from swarmd.judges.opinions import Opinion, checked, combined, sureness
from swarmd.judges.record import Agreement
from swarmd.judges.showing import is_bare, last_answer, shown
from swarmd.tasks import Question, Score, Written
from swarmd.tasks.draw import agreed_seeds
from swarmd.tasks.judge_rules import WITH_MODEL, JudgeRule, judges_of

OWN = "own"
"""This peer as a party."""


def rules_by_task(manifest: Manifest) -> dict[bytes, tuple[JudgeRule, ...]]:
    """The rules of all judged tasks, by task id. Raises ConfigError for a manifest with bad rules."""
    found = {}
    for family in manifest.tasks:
        try:
            rules = judges_of(family.config)
        except ValueError as error:
            raise ConfigError(
                f"the manifest of {manifest.name}: task {family.name}: {error}. Its author has to fix it"
            ) from error
        if rules:
            found[family.task_id] = rules
    return found


@dataclass(frozen=True)
class TaskJudges:
    """Shows people which judges a task has here, and how good they are."""

    task: str
    judges: tuple[str, ...]
    calibrated: Mapping[str, float | None]
    """Model judge -> its agreement with the truth on held-out answers; None if not measured."""
    own: Agreement


class Panel:
    """Judges groups. If `manifest` has no judged task, it changes nothing and needs no model."""

    def __init__(
        self,
        manifest: Manifest,
        models: Mapping[Key, ModelJudge] | None = None,
        thread: Executor | None = None,
    ) -> None:
        """`models` has one for each model judge in the rules. They run in `thread`; None: a thread of
        asyncio's.

        Raises ConfigError for a manifest with bad rules.
        """
        self._manifest = manifest
        self._rules = rules_by_task(manifest)
        self._models = dict(models or {})
        self._thread = thread
        self._ballots = Ballots()
        self._agreement: dict[bytes, Agreement] = {}
        self.calibrations: dict[tuple[bytes, Key], Calibration] = {}
        """By task id and judge. Probabilities of a judge without calibration are used as they are."""
        self.cpu_s = 0.0
        """CPU seconds that model judges have spent on external groups."""

    def judges(self, task_id: bytes) -> bool:
        """Whether the rewards of this task come from judges."""
        return task_id in self._rules

    def needs_scores(self, question: Question) -> bool:
        """Whether the task worker must see completions: its score counts, or it has to replay their turns."""
        rules = self._rules.get(question.spec.task_id)
        return rules is None or question.turns > 1 or any(rule.kind == "verifier" for rule in rules)

    def names(self, task_id: bytes) -> tuple[str, ...]:
        """The judges of this task, for people; empty if only its verifier rewards it."""
        return tuple(self._name(rule) for rule in self._rules.get(task_id, ()))

    def agreement(self, task_id: bytes) -> Agreement:
        """How its judges and its verifier agree on own completions."""
        return self._agreement.get(task_id, Agreement())

    def views(self) -> list[TaskJudges]:
        """One per judged task, in the manifest's order."""
        return [
            TaskJudges(
                family.name,
                self.names(family.task_id),
                {
                    self._models[key].name: self.calibrations.get(
                        (family.task_id, key), Calibration()
                    ).agreement
                    for key in self.models_of(family.task_id)
                    if key in self._models
                },
                self.agreement(family.task_id),
            )
            for family in self._manifest.tasks
            if self.judges(family.task_id)
        ]

    def doubts(self) -> list[str]:
        """One sentence for each model found unable to judge one of its tasks."""
        return [
            f"{self._models[key].name} cannot tell right answers of {family.name} from wrong ones "
            f"(agreement {calibration.agreement:.2f}, chance is 0.50), so it is ignored for this task: "
            "choose another model with --judge or --reward-model"
            for family in self._manifest.tasks
            for key in self.models_of(family.task_id)
            if (calibration := self.calibrations.get((family.task_id, key))) is not None
            and calibration.slope == 0
            and calibration.agreement is not None
        ]

    def models_of(self, task_id: bytes) -> tuple[Key, ...]:
        """The judges of a task that are models."""
        return tuple(
            (rule.kind, rule.model) for rule in self._rules.get(task_id, ()) if rule.kind in WITH_MODEL
        )

    async def judge_own(
        self,
        questions: Sequence[Question],
        written: Sequence[Sequence[Written]],
        scores: Sequence[list[Score]],
    ) -> list[list[Score]]:
        """The judges' scores for own groups. The completions are counted as this peer's ballot.

        Raises ModelError if a judge returns values that are not probabilities.
        """
        judged = []
        for question, texts, row in zip(questions, written, scores, strict=True):
            task_id = question.spec.task_id
            if not self.judges(task_id):
                judged.append(row)
                continue
            self.hear(question.digest, OWN, texts)
            found = self._with_claims(question, texts, await self._judge(question, texts, row, without=None))
            if any(each.confidence for each in found):
                self._agreement[task_id] = self.agreement(task_id).after(
                    [each.reward for each in found], [each.truth for each in found]
                )
            judged.append(found)
        return judged

    async def judge_external(
        self,
        question: Question,
        party: Hashable,
        texts: Sequence[Written],
        row: Sequence[Score] | None,
    ) -> list[Score]:
        """The scores of a group written by `party`. A party's own votes never count for its own group.

        `row` are the verifier's scores; None if it was not asked (`needs_scores`). Raises ModelError if a
        judge returns values that are not probabilities.
        """
        found = await self._judge(question, texts, row, without=party)
        if self._is_asked_by_all(question):
            self.hear(question.digest, party, texts)
        return found

    async def ask(self, key: Key, pairs: Sequence[Pair], *, of_others: bool = False) -> list[float]:
        """A model's uncalibrated probabilities. Raises ModelError if they are not probabilities.

        Pairs `of_others` are judged a few at a time, so that own ones never wait for a whole group.
        """
        model = self._models[key]
        if not of_others:
            raw, _ = await self._in_thread(model, pairs)
            return checked(model.name, raw)
        found: list[float] = []
        for few in chunks(pairs):
            raw, cpu_s = await self._in_thread(model, few)
            self.cpu_s += cpu_s
            found += raw
        return checked(model.name, found)

    async def _in_thread(self, model: ModelJudge, pairs: Sequence[Pair]) -> tuple[list[float], float]:
        return await asyncio.get_running_loop().run_in_executor(self._thread, _timed, model, pairs)

    async def measure(
        self, question: Question, texts: Sequence[Written], row: Sequence[Score]
    ) -> list[Score]:
        """Judge answers only for measurement: no vote or agreement is recorded."""
        return await self._judge(question, texts, row, without=None)

    def hear(self, digest: bytes, party: Hashable, texts: Sequence[Written]) -> None:
        """Count the vote of `party` on the question with this digest."""
        self._ballots.vote(digest, party, [last_answer(text) for text in texts])

    async def _judge(
        self,
        question: Question,
        texts: Sequence[Written],
        asked: Sequence[Score] | None,
        *,
        without: Hashable | None,
    ) -> list[Score]:
        row = [Score(0.0)] * len(texts) if asked is None else asked
        rules = self._rules[question.spec.task_id]
        opinions = [await self._opinion(rule, question, texts, row, without) for rule in rules]
        judged = combined(opinions, len(texts), self._manifest.reward)
        verified = any(rule.kind == "verifier" for rule in rules)
        replayed = question.turns > 1
        return [
            replace(
                score,
                reward=reward,
                truth=None if asked is None else score.reward,
                failure=score.failure if verified or replayed else None,
                bare=score.bare if verified else is_bare(text),
                confidence=judged.confidence,
            )
            for score, text, reward in zip(row, texts, judged.rewards, strict=True)
        ]

    def _is_asked_by_all(self, question: Question) -> bool:
        """Whether to keep votes on it. Strangers choose their questions, and would otherwise fill the
        store."""
        family = self._manifest.family(question.spec.task_id)
        seeds = None if family is None else agreed_seeds(family)
        return seeds is not None and question.spec.seed in seeds and question.spec.index == 0

    def _with_claims(self, question: Question, texts: Sequence[Written], row: list[Score]) -> list[Score]:
        """For agreement tasks, let a record claim its own ballot, so that no peer waits for others to
        vote."""
        if not any(rule.kind == "agreement" for rule in self._rules[question.spec.task_id]):
            return row
        alone = Ballots()
        answers = [last_answer(text) for text in texts]
        alone.vote(question.digest, OWN, answers)
        verdict = alone.verdict(question.digest)
        winner = None if verdict is None else verdict.winner
        return [
            replace(score, claimed=float(winner is not None and normal(answer) == winner))
            for score, answer in zip(row, answers, strict=True)
        ]

    async def _opinion(
        self,
        rule: JudgeRule,
        question: Question,
        texts: Sequence[Written],
        row: Sequence[Score],
        without: Hashable | None,
    ) -> Opinion | None:
        if rule.kind == "verifier":
            return Opinion(rule.weight, tuple(score.reward for score in row), 1.0)
        if rule.kind == "agreement":
            return self._vote(rule, question, texts, without)
        key = (rule.kind, rule.model)
        if key not in self._models or self._calibration(question, key).slope == 0:
            return None  # observers have no models; useless judges are ignored
        pairs = [shown(question, text, score) for text, score in zip(texts, row, strict=True)]
        probabilities = await self._ask(key, question, pairs, of_others=without is not None)
        return Opinion(rule.weight, probabilities, sureness(probabilities))

    def _vote(
        self, rule: JudgeRule, question: Question, texts: Sequence[Written], without: Hashable | None
    ) -> Opinion | None:
        # The party being judged counts towards the quorum, although it has no vote on itself.
        parties = rule.parties if without is None else max(1, rule.parties - 1)
        verdict = self._ballots.verdict(question.digest, without=without, parties=parties)
        if verdict is None or verdict.winner is None:
            return None
        agrees = tuple(float(normal(last_answer(text)) == verdict.winner) for text in texts)
        return Opinion(rule.weight, agrees, verdict.confidence)

    async def _ask(
        self, key: Key, question: Question, pairs: Sequence[Pair | None], *, of_others: bool
    ) -> tuple[float, ...]:
        """A model's calibrated opinion, each distinct pair asked once; 0 for what it does not see."""
        distinct = [pair for pair in dict.fromkeys(pairs) if pair is not None]
        calibration = self._calibration(question, key)
        found = {
            pair: calibration.of(value)
            for pair, value in zip(distinct, await self.ask(key, distinct, of_others=of_others), strict=True)
        }
        return tuple(0.0 if pair is None else found[pair] for pair in pairs)

    def _calibration(self, question: Question, key: Key) -> Calibration:
        return self.calibrations.get((question.spec.task_id, key), Calibration())

    def _name(self, rule: JudgeRule) -> str:
        if rule.kind not in WITH_MODEL:
            return rule.kind
        model = self._models.get((rule.kind, rule.model))
        return rule.kind if model is None else model.name


def _timed(model: ModelJudge, pairs: Sequence[Pair]) -> tuple[list[float], float]:
    """The model's probabilities, and the CPU seconds that this thread spent on them."""
    began = time.thread_time()
    values = model.probabilities(pairs) if pairs else []
    return values, time.thread_time() - began
