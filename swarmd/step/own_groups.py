"""Own groups: chooses training questions that fit the model, and builds scored groups from its answers.

Does not generate or score anything itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from protocol import Manifest
from swarmd.errors import TaskError
from swarmd.groups import ScoredCompletion, ScoredGroup, Turn
from swarmd.learning.reading import row_work
from swarmd.policy import Policy, Sample
from swarmd.step.earning import Unended, earned
from swarmd.step.needed import asking
from swarmd.step.playing import Episode
from swarmd.step.progress import Progress
from swarmd.tasks import Question, Score, TaskRunner, TrainingDraw

DRAWS_MAX = 8  # after this, the step continues with fewer questions instead of searching forever


async def own_questions(
    draw: TrainingDraw, tasks: TaskRunner, policy: Policy, count: int, *, progress: Progress, needed: float
) -> list[Question]:
    """Up to `count` questions for own groups, continuing the draw at the position in `progress`. A share
    `needed` is chosen by what other peers need. Raises TaskError if none fits the model's context."""
    draw.counter = progress.questions_drawn
    draw.lean(asking(draw.families, progress.experience.success, progress.shown, needed))
    questions = await fitting_questions(draw, tasks, policy, count)
    progress.questions_drawn = draw.counter
    return questions


async def fitting_questions(
    draw: TrainingDraw, tasks: TaskRunner, policy: Policy, count: int
) -> list[Question]:
    """Up to `count` training questions that fit the model's context. Raises TaskError if none does."""
    questions: list[Question] = []
    for _ in range(DRAWS_MAX):
        drawn = await draw.draw(tasks, count - len(questions))
        questions += [question for question in drawn if policy.fits(question.text, (), question.images)]
        if len(questions) == count:
            break
    if not questions:
        raise TaskError(
            f"no question fits the context of {policy.family} ({DRAWS_MAX} draws): choose "
            "a model with a longer context, or a smaller --max-new-tokens"
        )
    return questions


def own_group(
    question: Question,
    episodes: Sequence[Episode[Sample]],
    scores: Sequence[Score],
    *,
    manifest: Manifest,
    policy: Policy,
    publisher: str,
    round_: int,
    step: int,
    unended: Unended = "wrong",
) -> ScoredGroup:
    """The group of the policy's `episodes` for `question`, with one score per episode. `unended`: what an
    episode earns if one of its turns was cut off after its answer."""
    family = manifest.family(question.spec.task_id)
    if family is None:
        raise RuntimeError("a question was drawn for a task that the manifest does not have")
    return ScoredGroup(
        publisher=publisher,
        task_id=family.task_id,
        task_name=family.name,
        question=question.text,
        images=question.images,
        completions=tuple(
            _scored(episode, score, policy, unended) for episode, score in zip(episodes, scores, strict=True)
        ),
        round=round_,
        step=step,
        model=policy.family,
        tokenizer=policy.tokenizer_fingerprint,
        digest=None,
        external=False,
        confidence=min(score.confidence for score in scores),
        work=sum(_work(episode, policy, is_first=episode is episodes[0]) for episode in episodes),
    )


def _work(episode: Episode[Sample], policy: Policy, *, is_first: bool) -> float:
    """The cost of its rows. All episodes of a group have the same first prompt, which most policies read only
    once."""
    reads_first = is_first or not policy.shares_prompts
    return sum(
        row_work(prompt, len(sample.token_ids), policy.state_width, reads_prompt=reads_first or turn > 0)
        for turn, (prompt, sample) in enumerate(zip(episode.prompts, episode.samples, strict=True))
    )


def _scored(episode: Episode[Sample], score: Score, policy: Policy, unended: Unended) -> ScoredCompletion:
    """Other peers are told what their own default will make of it: a group that is worthless to them must not
    be published, because they would ignore a peer that publishes such groups."""
    observations = [*episode.observations, ""][: len(episode.samples)]
    turns = tuple(map(Turn.from_sample, episode.samples, observations))
    ends = [(sample.text, policy.has_ended(sample)) for sample in episode.samples]
    published_ends = [(turn.text, turn.finished) for turn in turns]
    claimed = score.reward if score.claimed is None else score.claimed
    return replace(
        ScoredCompletion.from_turns(turns, earned(score.reward, ends, unended=unended)),
        claimed=earned(claimed, published_ends, unended="wrong"),
    )
