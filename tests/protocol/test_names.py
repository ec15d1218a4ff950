"""Names print as themselves: nothing in them moves, hides or covers what stands beside them."""

from __future__ import annotations

import itertools
import re
import unicodedata
from pathlib import Path

import pytest

import protocol
from protocol import InvalidLocal, TaskFamily, outside_of_names
from protocol.names import NAME_RANGES

ALLOWED = [chr(code) for first, last in NAME_RANGES for code in range(first, last + 1)]
SPEC = (Path(protocol.__file__).parent / "SPEC.md").read_text()


def named(name: str) -> TaskFamily:
    return TaskFamily(name=name, source="s", dataset="d", config="{}", version="1", weight=1)


def test_every_allowed_character_is_assigned_visible_and_runs_from_left_to_right():
    for character in ALLOWED:
        assert unicodedata.category(character)[0] in "LNPS" or character == " ", ascii(character)
        assert unicodedata.bidirectional(character) not in {"R", "AL", "AN", "NSM", "BN"}, ascii(character)
        assert unicodedata.combining(character) == 0, ascii(character)


def test_the_ranges_are_in_order_and_apart():
    ends = [code for pair in NAME_RANGES for code in pair]

    assert ends == sorted(ends)
    assert all(last + 1 < first for (_, last), (first, _) in itertools.pairwise(NAME_RANGES))


def test_exactly_the_ranges_are_allowed():
    assert all(outside_of_names(character) is None for character in ALLOWED)
    allowed = set(ALLOWED)
    every = (chr(code) for code in range(0x110000))
    assert all(outside_of_names(character) == character for character in every if character not in allowed)


def test_the_ranges_are_those_of_the_specification():
    section = SPEC[SPEC.index("A name is made of") : SPEC.index("### 6.2")]

    assert [
        (int(first, 16), int(last or first, 16))
        for first, last in re.findall(r"U\+([0-9A-F]{4,6})(?: to U\+([0-9A-F]{4,6}))?[,;.\n]", section)
    ] == list(NAME_RANGES)


@pytest.mark.parametrize("name", [" a", "a ", " ", ""], ids=repr)
def test_a_name_has_a_first_and_a_last_character_that_can_be_seen(name):
    with pytest.raises(InvalidLocal, match=r"space|empty"):
        named(name)


@pytest.mark.parametrize(
    "name", ["a b", "größe-7B", "模型", "qwen2.5-0.5b (fp16)", "Ωμέγα", "модель", "モデル", "🐝"]
)
def test_names_may_be_of_many_languages(name):
    assert named(name).name == name
