"""The first half of a step: questions -> completions -> rewards -> publish."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Sequence

from protocol import InvalidLocal
from swarmd.daemon.lacks import OwnLacks
from swarmd.daemon.step_parts import Enter, Parts
from swarmd.groups import ScoredGroup
from swarmd.policy import Sample
from swarmd.step.offering import to_offer
from swarmd.step.own_groups import own_group, own_questions
from swarmd.step.playing import Episode, InModelThread, play, score
from swarmd.tasks import Question

UNSCORED_TOLD = 0.5  # share of a step's completions; fewer failures are attributed to junk text


class OwnGroups:
    """Writes a step's own groups. Its numbers describe the last step that had any."""

    def __init__(self, parts: Parts, stop: threading.Event, enter: Enter, in_model_thread: InModelThread):
        """`stop`: ends a generation in progress."""
        self._parts, self._stop = parts, stop
        self._enter, self._in_model_thread = enter, in_model_thread
        self._progress = parts.learner.progress
        self._lacks = OwnLacks()
        self.tokens_per_s: float | None = None
        self.unscored = 0.0
        """Share of the completions that the scorer failed on."""
        self.tokens = 0
        """Tokens generated."""
        self.written = self.ended = 0
        """Turns of the completions, and how many of them were not cut off."""

    @property
    def lacks(self) -> tuple[str, ...]:
        """Why this peer's own completions teach it nothing at present, with remedies."""
        return self._lacks.reasons

    def begin_step(self) -> None:
        self.tokens = self.ended = self.written = 0

    async def sample(self, round_: int, count: int) -> list[ScoredGroup]:
        """Generate, score and publish `count` groups. Raises GenerationStoppedError, TaskError."""
        parts = self._parts
        self._enter("questions")
        questions = await self._draw_questions(count)
        self._enter("generating", total=self._tokens_max(len(questions)))
        began = time.monotonic()
        episodes = await self._write(questions)
        self._count(episodes, time.monotonic() - began)
        ended = [parts.learner.policy.has_ended(sample) for sample in _samples(episodes)]
        self.ended, self.written = sum(ended), len(ended)
        self._enter("scoring")
        verified = await score(parts.tasks, questions, episodes)
        written = [[episode.written for episode in group] for group in episodes]
        scores = await parts.exchange.verification.panel.judge_own(questions, written, verified)
        self._note_failures([each.failure for row in scores for each in row])
        groups = [
            own_group(
                question,
                group,
                row,
                manifest=parts.manifest,
                policy=parts.learner.policy,
                publisher=parts.exchange.peer_id,
                round_=round_,
                step=self._progress.step,
                unended=parts.config.learning.unended,
            )
            for question, group, row in zip(questions, episodes, scores, strict=True)
        ]
        for question, group in zip(questions, groups, strict=True):
            parts.exchange.failures.see(question.spec, question.digest, group)
        judged = [(row, group) for row, group in zip(scores, groups, strict=True) if group.is_judged]
        lacks = self._lacks.see(
            [[episode.texts[-1] for episode in group] for group in episodes],
            scored=[[each.reward for each in row] for row, _ in judged],
            earned=[group.rewards for _, group in judged],
            ended=ended,
        )
        for lack in lacks:
            parts.events.emit("warning", message=lack)
        with parts.database.transaction():  # one write for all of them
            for scored, question, row in zip(groups, questions, scores, strict=True):
                if not any(each.is_lost for each in row):  # others would reject it and trust us less
                    self._publish(scored, question)
            parts.database.ledger.own(len(groups))
        return groups

    async def _write(self, questions: Sequence[Question]) -> list[list[Episode[Sample]]]:
        """Return one group of completions per question, each written to its end."""
        parts, loop = self._parts, asyncio.get_running_loop()

        def generate(prompts: Sequence[Sequence[int]], group_size: int) -> list[list[Sample]]:
            """Generate one turn per prompt. Runs in the model thread."""
            total, done = self._tokens_max(len(prompts)), 0

            def report(tokens: int) -> None:
                nonlocal done
                done += tokens
                loop.call_soon_threadsafe(self._enter, "generating", done, total)

            return parts.learner.policy.generate(
                prompts,
                group_size,
                rng=self._progress.sampling_rng,
                progress=report,
                should_stop=self._stop,
            )

        return await play(
            questions,
            parts.config.learning.group_size,
            generate,
            tasks=parts.tasks,
            policy=parts.learner.policy,
            in_model_thread=self._in_model_thread,
        )

    def _count(self, episodes: Sequence[Sequence[Episode[Sample]]], seconds: float) -> None:
        self.tokens = sum(len(sample.token_ids) for sample in _samples(episodes))
        self.tokens_per_s = self.tokens / max(seconds, 1e-9)

    def _note_failures(self, failures: Sequence[str | None]) -> None:
        """Warn if most texts crash the scorer. A few are expected: junk may crash it, and earns nothing."""
        failed = Counter(failure for failure in failures if failure is not None)
        self.unscored = failed.total() / len(failures)
        if self.unscored > UNSCORED_TOLD:
            kinds = ", ".join(f"{kind}: {count}" for kind, count in failed.items())
            self._parts.events.emit(
                "warning",
                message=f"{failed.total()} of {len(failures)} completions could not be scored ({kinds}) and "
                "count as wrong: is the machine overloaded, or the task's scorer broken?",
            )

    async def _draw_questions(self, count: int) -> list[Question]:
        """Return training questions that fit the model's context. Raises TaskError if there are none."""
        parts = self._parts
        return await own_questions(
            parts.draw,
            parts.tasks,
            parts.learner.policy,
            count,
            progress=self._progress,
            needed=parts.config.learning.needed_questions,
        )

    def _tokens_max(self, questions: int) -> int:
        return questions * self._parts.config.learning.group_size * self._parts.learner.policy.max_new_tokens

    def _publish(self, group: ScoredGroup, question: Question) -> None:
        """Offer the group to other peers, unless its text is too large for the protocol."""
        parts = self._parts
        try:
            offer = to_offer(
                group,
                question,
                parts.learner.policy.temperature,
                even_all_right=parts.config.learning.takes_all_right,
            )
        except InvalidLocal as error:
            parts.events.emit(
                "warning", message=f"a group cannot be published and is used only here: {error}"
            )
            return
        parts.exchange.publish(offer, round_=group.round)


def _samples(episodes: Sequence[Sequence[Episode[Sample]]]) -> list[Sample]:
    return [sample for group in episodes for episode in group for sample in episode.samples]
