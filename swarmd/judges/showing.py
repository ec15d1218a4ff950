"""What judges are shown of a completion, and what other peers may learn from it. Pure.

Only answers are shown, never the text around them. Of a task with several turns, judges see the whole
conversation: the answers, and the replies that this peer's own worker computed from seed and answers.
"""

from __future__ import annotations

from collections.abc import Sequence

from swarmd.judges.interface import Pair
from swarmd.judges.wording import is_judged, is_short
from swarmd.tasks import Exchange, Question, Score, Written, extract_answer

BARE_BYTES_MAX = 32  # answers this short may be learned from other peers: no useful payload fits


def shown(question: Question, text: Written, score: Score) -> Pair | None:
    """What a judge reads of one completion; None if there is nothing to judge, and it is worth nothing.

    That is so if it has no answer or one that is too long, if its turns could not be replayed, or if it stops
    before its task is over: a game given up after one turn looks like a game won in one.
    """
    *earlier, last = _answers(text)
    if last is None or not is_judged(last) or not all(map(is_short, earlier)):
        return None
    if question.turns > 1 and (score.failure is not None or not score.over):
        return None
    if len(score.observations) != len(earlier):
        return None
    replies = zip([answer or "" for answer in earlier], score.observations, strict=True)
    return Pair(question.text, last, tuple(map(Exchange._make, replies)), question.turns)


def last_answer(text: Written) -> str | None:
    """The answer in the last turn."""
    return _answers(text)[-1]


def is_bare(text: Written) -> bool:
    """Whether an external completion has no room for a payload. It need not be the only right one."""
    answers = _answers(text)
    return answers[-1] is not None and all(answer is None or _is_tiny(answer) for answer in answers)


def _answers(text: Written) -> Sequence[str | None]:
    return list(map(extract_answer, [text] if isinstance(text, str) else text))


def _is_tiny(answer: str) -> bool:
    return answer.isprintable() and 0 < len(answer.encode(errors="replace")) <= BARE_BYTES_MAX
