"""The real textarena, where it is installed: `pip install 'swarmd[textarena]'`."""

from __future__ import annotations

import pytest

from swarmd.tasks import TaskRunner
from swarmd.tasks.versions import outside_versions
from tests.tasks.outside.specs import game

pytestmark = [
    pytest.mark.asyncio,
    pytest.mark.skipif("textarena" not in outside_versions(), reason="textarena is not installed"),
]


async def test_a_number_is_found_by_halving_and_wordle_says_what_it_lacks():
    async with TaskRunner(reward="exact") as runner:
        [question, wordle] = await runner.questions(
            [game("GuessTheNumber-v0", 1, turns=6), game("Wordle-v0", 1)]
        )
        low, high, answers = 1, 20, []
        while True:
            answers.append(f"<answer>{(low + high) // 2}</answer>")
            [reply] = await runner.replies([(question.spec, answers)])
            if reply is None:
                break
            middle = (low + high) // 2
            low, high = (middle + 1, high) if "higher" in reply else (low, middle - 1)
        [[score]] = await runner.score([(question.spec, [answers])])
    assert score.reward == 1.0
    assert len(score.observations) == len(answers) - 1
    assert "needs word lists that nltk downloads" in wordle.detail
