"""Into which kinds the time of a step is divided."""

from __future__ import annotations

import pytest

from benchmarks.profiling import BY_ELEMENT, PYTHON, Operator, kind_of, shares


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("aten::addmm_", "matrix products"),
        ("mkldnn::_linear_pointwise", "matrix products"),
        ("aten::_scaled_dot_product_flash_attention_for_cpu_backward", "attention"),
        ("aten::index_put_", "copies"),
        ("aten::mul_", BY_ELEMENT),
        ("aten::view", BY_ELEMENT),
    ],
)
def test_operators_are_told_apart_by_name(name: str, kind: str) -> None:
    assert kind_of(name) == kind


def test_the_kinds_and_what_is_outside_operators_add_up_to_the_wall_time() -> None:
    operators = [Operator("aten::mm", 2, 0.2), Operator("aten::bmm", 1, 0.1), Operator("aten::mul", 9, 0.3)]
    found = shares(operators, 1.0)
    assert found["matrix products"] == pytest.approx(0.3)
    assert found[PYTHON] == pytest.approx(0.4)
    assert sum(found.values()) == pytest.approx(1.0)


def test_operators_that_overlap_on_threads_leave_nothing_outside() -> None:
    assert shares([Operator("aten::mm", 1, 2.0)], 1.0)[PYTHON] == 0
