"""What a peer lacks: external groups, right answers, or texts that end. Each lack is reported once, not every
step.

Pure: each step says what it saw, and gets back what to report, if anything.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import chain

from swarmd.observe import printable
from swarmd.tasks import extract_answer

ENOUGH_STEPS = 50  # in a row with enough groups: a lack after that is reported again
FRUITLESS_STEPS = 50  # in a row; the embedded model is right in its first step, a slow one within a few
FIRST_STEPS, LAST_STEPS = 20, 50  # steps compared: hundreds of completions each, at the default 32 per step
ENDING_SHARE = 0.5  # of the first share: half as many completions end by themselves
UNENDED_STEPS = 10  # whose right answers are counted: several, at the default 32 completions per step
SHOWN_CHARS = 300  # of one completion: a few lines of a log

NOTHING_TO_LEARN_FROM = (
    "nothing to learn from: --local 0 makes no groups here, and none has arrived from other peers; start "
    "another peer with the join command, name one with --peer, or set --local 4"
)


class ExternalLack:
    """A step had fewer external groups than it wanted."""

    def __init__(self) -> None:
        self._enough = ENOUGH_STEPS
        self.reason: str | None = None
        """Why the peer learns nothing at present; None if it learns."""

    def see(self, wanted: int, had: int, own: int) -> str | None:
        """Return what to report after drawing `had` of the `wanted` groups, beside `own` groups of this
        peer.
        """
        is_news = self._enough >= ENOUGH_STEPS
        self.reason = NOTHING_TO_LEARN_FROM if had + own == 0 else None
        if had >= wanted:
            self._enough += 1
            return None
        self._enough = 0
        if not is_news:
            return None
        if self.reason is not None:
            return self.reason
        if had == 0:
            return "no external groups yet: training on own groups alone until some arrive"
        return f"{had} of {wanted} external groups: training with these until more arrive"


class AnswerLack:
    """A run of steps in which nothing this peer wrote earned a reward."""

    def __init__(self) -> None:
        self._unanswered = 0
        self._fruitless = 0
        self._is_told = False
        self.reason: str | None = None
        """What is wrong at present; None if nothing is."""

    def see(self, texts: Sequence[Sequence[str]], rewards: Sequence[Sequence[float]]) -> str | None:
        """Return what to report after a step's completions, by group, and their rewards in 0..1, of the
        groups that were judged."""
        if not texts:
            return None
        flat = list(chain.from_iterable(texts))
        self._unanswered = (
            0 if any(extract_answer(text) is not None for text in flat) else self._unanswered + 1
        )
        if rewards:
            self._fruitless = 0 if any(chain.from_iterable(rewards)) else self._fruitless + 1
        self.reason = self._found()
        if self.reason is None:
            self._is_told = False
            return None
        if self._is_told:
            return None
        self._is_told = True
        shown = flat[0] if len(flat[0]) <= SHOWN_CHARS else f"{flat[0][:SHOWN_CHARS]}…"
        return f"{self.reason}. One completion: {printable(shown)!r}"

    def _found(self) -> str | None:
        if self._unanswered >= FRUITLESS_STEPS:
            return (
                f"no completion had an answer tag for {self._unanswered} steps, and none is right without: "
                "show the format with --examples 4, use a --model that follows instructions, or raise "
                "--max-new-tokens if answers are cut off"
            )
        if self._fruitless >= FRUITLESS_STEPS:
            return (
                f"no answer was right for {self._fruitless} steps, so there is nothing to reinforce: use a "
                "stronger --model or easier tasks (--swarm), or join peers that are sometimes right (--peer)"
            )
        return None


class EndLack:
    """Texts that stop ending: the share of own completions that end by themselves, now and at first.

    The reward does not show it, because text after an answer costs nothing. Generation takes longer, and
    entropy falls.
    """

    def __init__(self) -> None:
        self._first: list[float] = []
        self._last: deque[float] = deque(maxlen=LAST_STEPS)
        self.reason: str | None = None
        """What is wrong at present; None if nothing is."""

    def see(self, finished: Sequence[bool]) -> str | None:
        """Return what to report after a step. `finished`: for each completion, whether it ended by itself."""
        if not finished:
            return None
        share = sum(finished) / len(finished)
        if len(self._first) < FIRST_STEPS:
            self._first.append(share)
            return None
        self._last.append(share)
        was = self.reason
        self.reason = self._found()
        return self.reason if was is None else None

    def _found(self) -> str | None:
        first, last = sum(self._first) / FIRST_STEPS, sum(self._last) / len(self._last)
        if len(self._last) < LAST_STEPS or last >= ENDING_SHARE * first:
            return None
        return (
            f"completions stopped ending: {last:.0%} end by themselves in the last {LAST_STEPS} steps, "
            f"{first:.0%} did at first. The others are cut off at the limit, which costs time and teaches "
            "nothing: stop at the answer with --stop '</answer>', or lower --lr"
        )


class UnendedLack:
    """Right answers that earn nothing, because their texts continue until they are cut off."""

    def __init__(self) -> None:
        self._steps: deque[tuple[int, int]] = deque(maxlen=UNENDED_STEPS)
        self.reason: str | None = None
        """What is wrong at present; None if nothing is."""

    def see(self, withheld: int, rewarded: int) -> str | None:
        """Return what to report after a step in which `withheld` right answers earned nothing and `rewarded`
        did.
        """
        self._steps.append((withheld, rewarded))
        was = self.reason
        self.reason = self._found()
        return self.reason if was is None else None

    def _found(self) -> str | None:
        withheld, rewarded = (sum(counts) for counts in zip(*self._steps, strict=True))
        if len(self._steps) < UNENDED_STEPS or withheld <= rewarded:
            return None
        return (
            f"{withheld} of {withheld + rewarded} right answers of the last {UNENDED_STEPS} steps earned "
            "nothing, because their texts continue until they are cut off: stop at the answer with "
            "--stop '</answer>', raise --max-new-tokens, or let them keep their score: set "
            'learning.unended = "scored" in config.toml'
        )


class OwnLacks:
    """Everything that own groups can lack."""

    def __init__(self) -> None:
        self._answer = AnswerLack()
        self._end = EndLack()
        self._unended = UnendedLack()

    @property
    def reasons(self) -> tuple[str, ...]:
        """What is wrong at present."""
        lacks = (self._answer, self._end, self._unended)
        return tuple(lack.reason for lack in lacks if lack.reason is not None)

    def see(
        self,
        texts: Sequence[Sequence[str]],
        *,
        scored: Sequence[Sequence[float]],
        earned: Sequence[Sequence[float]],
        ended: Sequence[bool],
    ) -> list[str]:
        """Return what to report after a step's completions, by group: their texts, and the scores and the
        rewards of the groups that were judged. `ended`: for each completion, whether it was not cut off.
        """
        right, rewarded = (sum(reward > 0 for reward in chain(*rows)) for rows in (scored, earned))
        found = (
            self._answer.see(texts, scored),
            self._end.see(ended),
            self._unended.see(right - rewarded, rewarded),
        )
        return [lack for lack in found if lack is not None]
