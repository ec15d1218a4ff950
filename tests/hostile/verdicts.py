"""What several kinds of attack are judged by."""

from __future__ import annotations

from tests.hostile.figures import Figure, at_least, at_most, share, true
from tests.hostile.forging import key_of
from tests.hostile.scene import Evidence

SHARE_MIN = 0.8
"""Of what the pair that is left alone did, the pair under attack does at least this."""

SCORING_TIMES_MAX = 2.0
"""The victim's longest scoring of its own step against the control's longest ..."""

SCORING_SPARE_S = 0.5
"""... and what a busy machine may add."""


def exchanges(evidence: Evidence) -> tuple[Figure, ...]:
    """Both go on getting each other's groups."""
    return (
        true("both alive", all(seen.alive for seen in evidence.attacked)),
        *(
            at_least(f"{who} external/control", share(seen.external, evidence.control_external), SHARE_MIN)
            for who, seen in zip(("V", "H"), evidence.attacked, strict=True)
        ),
    )


def own_scoring(evidence: Evidence) -> Figure:
    """The longest that own completions took to be scored: others' groups must not hold them up."""
    control = max(max(seen.scoring_s, default=0.0) for seen in evidence.control)
    slowest = max(max(seen.scoring_s, default=float("inf")) for seen in evidence.attacked)
    return at_most("own scoring", slowest, SCORING_TIMES_MAX * control + SCORING_SPARE_S, " s")


def steps(evidence: Evidence) -> Figure:
    fewest = min(seen.steps for seen in evidence.attacked)
    return at_least("steps/control", fewest / max(1.0, evidence.control_steps), SHARE_MIN)


def nothing_taken(numbers: range, refused_min: int, evidence: Evidence) -> tuple[Figure, ...]:
    """From the identities of these numbers, which publish nothing honest: no group is used, none is paid.

    `refused_min`: how many groups must have come so far that they were judged; 0 if all are refused before.
    """
    liars = frozenset(key_of(evidence.seed, number).peer_id for number in numbers)
    paid = sum(n for seen in evidence.attacked for (by, _), n in seen.paid.items() if by in liars)
    drawn = sum(seen.used[liar] for seen in evidence.attacked for liar in liars)
    refused = sum(seen.rejected_of(liars) for seen in evidence.attacked)
    return (
        *exchanges(evidence),
        steps(evidence),
        at_most("rewards in a pool", paid, 0),
        at_most("liars' groups drawn", drawn, 0),
        *([at_least("liars' groups refused", refused, refused_min)] if refused_min else []),
        at_least("groups published", evidence.did["published"], 10),
        at_least("entries that a target took", evidence.did["held"], 1),
    )


def nobody_held_up(numbers: range, evidence: Evidence) -> tuple[Figure, ...]:
    """By the identities of these numbers, whose groups are true, so that they may be drawn."""
    peers = [key_of(evidence.seed, number).peer_id for number in numbers]
    pulled = sum(seen.pulled[peer] for seen in evidence.attacked for peer in peers)
    return (
        *exchanges(evidence),
        steps(evidence),
        own_scoring(evidence),
        at_least("their groups pulled", pulled, 1),
        at_least("groups published", evidence.did["published"], 10),
    )
