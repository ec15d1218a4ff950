"""On which line of a TOML text a key stands."""

from __future__ import annotations

import pytest

from swarmd.toml_lines import line_of

TEXT = """\
# a swarm of two tasks
name = "two"
genesis = 2026-01-01T00:00:00Z
round_seconds = 30
reward = "exact"
max_new_tokens = 64
records_per_round_max = 8

[[tasks]]
dataset = "gcd"
weight = 3
[tasks.config]
min_numbers = 2
max_numbers = 2

[[tasks]]
name = "letters"
dataset = "letter_counting"
"""


@pytest.mark.parametrize(
    ("key", "line"),
    [
        (("name",), 2),
        (("tasks", 0), 9),
        (("tasks", 0, "config"), 12),
        (("tasks", 0, "config", "max_numbers"), 14),
        (("tasks", 1, "name"), 17),
        (("tasks", 1, "config", "absent"), 16),
        (("absent",), 1),
        ((), 1),
    ],
)
def test_a_key_is_found_on_its_line_or_at_the_table_round_it(key: tuple[str | int, ...], line: int) -> None:
    assert line_of(TEXT, key) == line


def test_text_that_looks_like_the_beginning_of_a_header_costs_no_time() -> None:
    text = f'a = """\n[{" " * 100_000}\n"""\nb = 1\n'
    assert line_of(text, ("b",)) == 4
