"""Agreement among answers when no truth is known: each party has one vote per question. Pure.

Based on RLCCF (arXiv 2508.12338), where models reward each other by a vote weighted by each model's
self-consistency. Here, a party's vote is split among its answers in proportion to how often it gave each.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

QUESTIONS_MAX = 4_096  # with votes; beyond this, the one voted on longest ago is forgotten
PARTIES_MAX = 16  # per question; all strangers are one party, so few questions have more
ANSWERS_MAX = 16  # distinct ones per ballot, the most common; a rare one decides nothing
ANSWER_CHARS_MAX = 64  # a longer answer does not vote, because no two peers would write the same
# One party can fill some 10 MB with these; sixteen parties, in as many address groups, some 150 MB.
QUORUM = 2  # completions with the winning answer: a single one agrees with no other
_TIE = 1e-9  # votes closer than this are tied, because they are sums of fractions

Ballot = Mapping[str, float]
"""Answer -> share of a party's completions. The shares add up to 1, or less if some gave no answer."""


@dataclass(frozen=True)
class Verdict:
    """The result of a vote. Without a winner, nothing is known or there is a tie."""

    winner: str | None
    confidence: float
    """The winner's lead over the second, as a share of all votes: 0..1."""


def normal(answer: str | None) -> str | None:
    """The normal form in which answers are compared; None for an answer that does not vote."""
    if answer is None or len(answer) > ANSWER_CHARS_MAX:
        return None
    return " ".join(answer.split()).casefold() or None


class Ballots:
    """The latest ballot of each party on each question."""

    def __init__(self) -> None:
        self._of: OrderedDict[Hashable, OrderedDict[Hashable, tuple[Ballot, Counter[str]]]] = OrderedDict()

    def vote(self, question: Hashable, party: Hashable, answers: Sequence[str | None]) -> None:
        """Record the ballot of `party`, one answer per completion. It replaces the party's previous one."""
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
        """The result of the vote `without` one party. None if fewer than `parties` others have voted.

        There is no winner if votes are tied, or if fewer than `QUORUM` completions gave the answer.
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
