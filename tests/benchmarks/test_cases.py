"""Which cases there are, and how they are named and chosen."""

import pytest

from benchmarks.cases import Case, cases_on, matching


def test_every_case_has_a_name_of_its_own():
    for device in ("cpu", "cuda"):
        names = [case.name for case in cases_on(device)]
        assert len(names) == len(set(names))


def test_the_sizes_are_there_in_fixed_and_natural_lengths():
    found = {(c.model, c.completions, c.new_tokens, c.lengths) for c in cases_on("cpu")}
    sizes = [("embedded", 16, 64), ("embedded", 64, 12), ("smollm2-135m", 8, 64), ("qwen2.5-0.5b", 4, 32)]
    assert found == {(*size, lengths) for size in sizes for lengths in ("fixed", "natural")}
    assert {(c.completions, c.new_tokens, c.dtype) for c in cases_on("cuda")} == {(64, 256, "bfloat16")}


@pytest.mark.parametrize(("completions", "groups", "size"), [(16, 2, 8), (8, 1, 8), (4, 1, 4)])
def test_completions_come_in_groups_of_eight_or_fewer(completions, groups, size):
    case = Case("embedded", completions, 64, "float32", "fixed")
    assert (case.groups, case.group_size) == (groups, size)


def test_cases_are_chosen_by_words_that_all_occur():
    chosen = matching(cases_on("cpu"), ["smollm2 fixed", "embedded natural"])
    assert {(c.model, c.lengths) for c in chosen} == {("smollm2-135m", "fixed"), ("embedded", "natural")}
    assert matching(cases_on("cpu"), []) == cases_on("cpu")
