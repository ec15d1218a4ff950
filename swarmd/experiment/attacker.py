"""A node that does not learn: it publishes right answers that carry a payload.

It draws its questions and signs its groups like a peer. Other nodes verify and draw them like any others.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Protocol

from protocol import KeyPair, Manifest, PeerId, TaskSpec
from swarmd.experiment.attacks import Attack, wrong
from swarmd.experiment.round_groups import sign_groups
from swarmd.groups import ScoredGroup
from swarmd.policy import Policy, Sample
from swarmd.step.own_groups import fitting_questions, own_group
from swarmd.step.playing import Episode
from swarmd.tasks import Question, Score, TaskRunner, TrainingDraw

CLAIMED_NATS_PER_BYTE = 3.0
"""How unlikely it claims its text to be: the most that is believed (`learning.external`)."""


CHOOSY_DRAWS_MAX = 8  # per round; a choosy attacker publishes only questions with the answer it wants
CHOOSY_FACTOR = 16  # questions drawn at once for each group published


class Oracle(Protocol):
    """Knows right answers. Honest nodes never ask it."""

    def __call__(self, spec: TaskSpec) -> str | None:
        """Return a right answer to the question of `spec` as text; None if there is none."""
        ...


def gym_answer(spec: TaskSpec) -> str | None:
    """Return the answer that reasoning-gym gives with the question.

    This is the only place outside the sandbox that generates entries. It is safe because an attacker chooses
    its own questions, so it runs no code that others chose.
    """
    # Imports a hundred datasets, which only experiments with attackers need.
    from swarmd.tasks.gym import ReasoningGym
    from swarmd.tasks.judge_rules import without_judges

    task = ReasoningGym().build(spec.dataset, without_judges(json.loads(spec.config)))
    _, (_, entry) = task.question(spec.seed, spec.index)
    return None if entry["answer"] is None else str(entry["answer"])


class Attacker:
    """An attacking node. Its policy only says which questions fit and how texts are encoded."""

    def __init__(
        self,
        key: KeyPair,
        *,
        manifest: Manifest,
        own_tasks: Manifest,
        policy: Policy,
        tasks: TaskRunner,
        oracle: Oracle,
        attack: Attack,
        groups: int,
        group_size: int,
    ) -> None:
        """`groups`: how many it publishes per round, as many as an honest node generates."""
        self.peer_id: PeerId = key.peer_id
        self._key = key
        self._manifest = manifest
        self._own_tasks = own_tasks
        self._policy = policy
        self._tasks = tasks
        self._oracle = oracle
        self._attack = attack
        self._groups = groups
        self._group_size = group_size

    async def publish(self, round_: int) -> tuple[bytes, ...]:
        """Return the signed records of this round. Raises TaskError.

        Every round has its own stretch of the sequence of questions, so no state needs to be kept.
        """
        known = await self._questions(round_)
        texts = [self._texts(answer) for _, answer in known]
        scores = await self._tasks.score([(q.spec, row) for (q, _), row in zip(known, texts, strict=True)])
        groups = [
            self._group(question, row, verdicts, round_)
            for (question, _), row, verdicts in zip(known, texts, scores, strict=True)
        ]
        return sign_groups(
            self._key,
            self._manifest,
            [question for question, _ in known],
            groups,
            round_=round_,
            temperature=self._policy.temperature,
        )

    async def _questions(self, round_: int) -> list[tuple[Question, str]]:
        """Return the questions to publish, with their right answers; fewer if the attacker is choosy and
        finds no more.
        """
        draw = TrainingDraw(self._own_tasks, self.peer_id, round_)
        choosy = self._attack.answers is not None
        found: list[tuple[Question, str]] = []
        for _ in range(CHOOSY_DRAWS_MAX if choosy else 1):
            count = self._groups * (CHOOSY_FACTOR if choosy else 1)
            for question in await fitting_questions(draw, self._tasks, self._policy, count):
                answer = self._oracle(question.spec)
                if answer is not None and self._attack.asks(answer):
                    found.append((question, answer))
            if len(found) >= self._groups:
                break
        return found[: self._groups]

    def _texts(self, answer: str) -> list[str]:
        right = self._group_size // 2  # half: this maximises the sum of positive advantages
        return [self._attack.right(answer)] * right + [wrong(answer)] * (self._group_size - right)

    def _group(
        self, question: Question, texts: Sequence[str], scores: Sequence[Score], round_: int
    ) -> ScoredGroup:
        return own_group(
            question,
            [Episode.begin(question, self._as_if_sampled(text)) for text in texts],
            scores,
            manifest=self._manifest,
            policy=self._policy,
            publisher=self.peer_id,
            round_=round_,
            step=round_,
        )

    def _as_if_sampled(self, text: str) -> Sample:
        tokens = self._policy.encode_completion(text, finished=True)
        claimed = -CLAIMED_NATS_PER_BYTE * len(text.encode())
        return Sample(tokens, text, (claimed,), finished=True)
