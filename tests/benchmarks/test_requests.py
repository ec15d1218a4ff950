"""The benchmark of requests to the sandboxed worker, once."""

from __future__ import annotations

import re

from benchmarks.requests import QUESTIONS, measure


async def test_it_prints_what_questions_and_scoring_cost_with_and_without_huge_pages(capsys) -> None:
    await measure("starter", repeats=1)
    rows = re.findall(
        r"^\d+ (?:questions|groups scored) +(\d+\.\d) +(\d+\.\d)$", capsys.readouterr().out, re.M
    )
    assert len(rows) == 2 * len(QUESTIONS)
    assert all(float(cell) > 0 for row in rows for cell in row)
