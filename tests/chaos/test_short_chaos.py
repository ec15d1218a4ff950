"""Two minutes of chaos among four real peers: everything happens to them, and nothing is lost.

How quickly they recover is for `python -m tests.chaos` on a quiet machine; here it only must not hang.
"""

from __future__ import annotations

import pytest

from tests.chaos.__main__ import run
from tests.chaos.wires import are_possible


@pytest.mark.timeout(900)
def test_two_minutes_of_faults_lose_no_record_no_saved_step_and_no_descriptor() -> None:
    result = run(peers=4, minutes=2.0, kills=None, seed=7, own_wires=are_possible())
    assert result.trouble == []
    assert result.survived == result.happened
    assert (result.records_lost, result.saved_steps_lost, result.false_accepts) == (0, 0, 0)
    assert result.records > 0
    assert result.tracebacks == []
    assert (result.files_left, result.processes_left, result.descriptors_leaked) == ([], 0, 0)
    assert result.exit_codes == [0, 0, 0, 0]
