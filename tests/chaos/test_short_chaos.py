"""Chaos among four real peers: nothing is lost, whatever happens to them.

How quickly they recover is for `python -m tests.chaos` on a quiet machine; here it only must not hang.
"""

from __future__ import annotations

import pytest

from tests.chaos.__main__ import run
from tests.chaos.wires import are_possible

KINDS_MIN = 3
"""Of faults in a minute. Nothing else happens round its cut, and a machine is hit again only once it has
recovered. In half a minute, what found no machine free is left out: five kinds happened on a busy machine."""


DUTY = 0.3  # peers that train without a pause take the CPU from those that start again


@pytest.mark.timeout(900)
@pytest.mark.parametrize(("minutes", "seed"), [(0.5, 4), pytest.param(2.0, 7, marks=pytest.mark.slow)])
def test_faults_of_several_kinds_lose_no_record_no_saved_step_and_no_descriptor(
    minutes: float, seed: int
) -> None:
    result = run(peers=4, minutes=minutes, kills=None, seed=seed, own_wires=are_possible(), duty=DUTY)
    assert len(result.happened) >= KINDS_MIN
    assert result.trouble == []
    assert result.survived == result.happened
    assert (result.records_lost, result.saved_steps_lost, result.false_accepts) == (0, 0, 0)
    assert result.records > 0
    assert result.tracebacks == []
    assert (result.files_left, result.processes_left, result.descriptors_leaked) == ([], 0, 0)
    assert result.exit_codes == [0, 0, 0, 0]
