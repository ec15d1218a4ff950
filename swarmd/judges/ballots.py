"""Agreement among answers where no truth is known: each party has one vote per question. Pure.

After RLCCF (arXiv 2508.12338), where models reward each other by a vote that is weighted by how far each
agrees with itself. Here a party's vote is spread over its answers, each as often as the party gave it.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

QUESTIONS_MAX = 4_096  # with votes; beyond it, those voted on longest ago are forgotten
PARTIES_MAX = 16  # per question; a swarm's strangers are one party, so few places have more
ANSWERS_MAX = 16  # different ones of one ballot, the commonest: a rare one decides nothing
ANSWER_CHARS_MAX = 64  # a longer answer does not vote: no two peers would write it alike
# One party can fill some 10 MB with these, and sixteen of them, at as many address groups, some 150 MB.
QUORUM = 2  # completions that gave the winning answer: one alone agrees with nobody
_TIE = 1e-9  # votes closer than this are a tie; they are sums of fractions

Ballot = Mapping[str, float]
"""Answer -> share of a party's completions, 1 at most in all; less if some gave no answer."""


@dataclass(frozen=True)
class Verdict:
    """What the votes say. Without a winner nothing is known, or there is a tie."""

    winner: str | None
    confidence: float
    """The lead of the winner over the second, as a share of all votes: 0..1."""


def normal(answer: str | None) -> str | None:
    """The form in which answers are compared; None for one that does not vote."""
    if answer is None or len(answer) > ANSWER_CHARS_MAX:
        return None
    return " ".join(answer.split()).casefold() or None


class Ballots:
    """The newest ballot of each party on each question."""

    def __init__(self) -> None:
        self._of: OrderedDict[Hashable, OrderedDict[Hashable, tuple[Ballot, Counter[str]]]] = OrderedDict()

    def vote(self, question: Hashable, party: Hashable, answers: Sequence[str | None]) -> None:
        """Put in the ballot of `party`, one answer per completion. It replaces its last one."""
        every = Counter(answer for answer in map(normal, answers) if answer is not None)
        counted = Counter(dict(every.most_common(ANSWERS_MAX)))
        ballots = self._of.setdefault(question, OrderedDict())
        self._of.move_to_end(question)
        ballots.pop(party, None)
        ballots[party] = ({a: count / len(answers) for a, count in counted.items()}, counted)
        if len(ballots) > PARTIES_MAX:
            ballots.popitem(last=False)
        if len(self._of) > QUESTIONS_MAX:
            self._of.popitem(last=False)

    def verdict(
        self, question: Hashable, *, without: Hashable | None = None, parties: int = 1
    ) -> Verdict | None:
        """What the parties say, `without` one of them. None if fewer than `parties` others have voted.

        A tie has no winner, and neither has an answer that fewer than `QUORUM` completions gave.
        """
        votes: defaultdict[str, float] = defaultdict(float)
        times: Counter[str] = Counter()
        heard = [found for party, found in self._of.get(question, {}).items() if party != without]
        for ballot, counted in heard:
            times += counted
            for answer, share in ballot.items():
                votes[answer] += share
        if len(heard) < parties:
            return None
        ranked = sorted(votes.values(), reverse=True)
        first, second = [*ranked, 0.0, 0.0][:2]
        if first - second < _TIE:
            return Verdict(None, 0.0)
        winner = max(votes, key=lambda answer: votes[answer])
        if times[winner] < QUORUM:
            return Verdict(None, 0.0)
        return Verdict(winner, (first - second) / sum(ranked))
