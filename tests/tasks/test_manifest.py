"""Presets load; a file with a mistake is refused with its line, its key and the nearest right word."""

from __future__ import annotations

from pathlib import Path

import pytest

from swarmd.errors import ConfigError
from swarmd.tasks import PRESETS, load_manifest, task_spec
from swarmd.tasks.manifest import read_swarm_file

GOOD = """\
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


def write(directory: Path, text: str) -> str:
    path = directory / "swarm.toml"
    path.write_text(text)
    return str(path)


def test_the_papers_nine_tasks_and_the_easier_ones_are_presets() -> None:
    assert set(PRESETS) == {"code", "draw", "guessing", "sapo", "starter", "visual"}
    sapo = load_manifest("sapo")
    assert [task.dataset for task in sapo.tasks] == [
        "base_conversion", "basic_arithmetic", "arc_1d", "bf", "propositional_logic",
        "fraction_simplification", "decimal_arithmetic", "calendar_arithmetic", "binary_matrix",
    ]  # fmt: skip
    assert {task.weight for task in sapo.tasks} == {1}


def test_a_file_gives_a_manifest_with_defaults_and_installed_versions_filled_in(tmp_path: Path) -> None:
    manifest = load_manifest(write(tmp_path, GOOD))
    gcd, letters = manifest.tasks
    assert (manifest.name, manifest.round_seconds, manifest.genesis) == ("two", 30, 1_767_225_600)
    assert (gcd.name, gcd.source, gcd.weight, gcd.version) == ("gcd", "reasoning_gym", 3, "0.1.25")
    assert gcd.config == '{"max_numbers":2,"min_numbers":2}'
    assert (letters.name, letters.weight, letters.config) == ("letters", 1, "{}")
    assert task_spec(gcd, seed=5).task_id == gcd.task_id


@pytest.mark.parametrize(
    ("right", "wrong", "message"),
    [
        ('name = "two"', 'name = "two', r"line 2"),
        ("round_seconds", "round_secs", r"line 4, round_secs: unknown key; did you mean 'round_seconds'"),
        ("round_seconds = 30", 'round_seconds = "30"', r"line 4, round_seconds: .*integer"),
        ("round_seconds = 30", "round_seconds = 0", r"line 4, round_seconds: .*greater than or equal to 1"),
        ('reward = "exact"', 'reward = "most"', r"line 5, reward: .*'exact' or 'partial'"),
        ("00:00:00Z", "00:00:00", r"line 3, genesis: .*needs a time zone"),
        ("max_new_tokens = 64\n", "", r"line 1, max_new_tokens: is missing"),
        ("weight = 3", "wight = 3", r"line 11, tasks.0.wight: unknown key; did you mean 'weight'"),
        ("weight = 3", "weight = 0", r"line 11, tasks.0.weight: .*greater than or equal to 1"),
        ('dataset = "letter_counting"\n', "", r"line 16, tasks.1.dataset: is missing"),
        ('name = "letters"', 'name = "gcd"', r"two tasks have the same name"),
        ("max_numbers = 2", "max_numbers = 2026-01-01", r"line 12, tasks.0.config: has no canonical"),
    ],
    ids=[
        "syntax", "unknown key", "type", "bound", "choice", "zone", "missing", "unknown task key",
        "task bound", "missing in task", "same name", "no JSON",
    ],
)  # fmt: skip
def test_a_mistake_in_the_file_is_named_with_line_and_key(
    tmp_path: Path, right: str, wrong: str, message: str
) -> None:
    assert right in GOOD
    with pytest.raises(ConfigError, match=message) as refused:
        load_manifest(write(tmp_path, GOOD.replace(right, wrong, 1)))
    assert "swarm.toml" in str(refused.value)


@pytest.mark.parametrize(
    ("right", "wrong", "message"),
    [
        (
            '"letter_counting"',
            '"leter_counting"',
            r"line 18, tasks.1.dataset: .*did you mean 'letter_counting'",
        ),
        ("min_numbers = 2", "min_nubmers = 2", r"line 13, tasks.0.config.min_nubmers: .*'min_numbers'"),
        ("min_numbers = 2", "min_numbers = 9", r"line 1[34], tasks.0.config.m.._numbers: .*max_numbers"),
        ("min_numbers = 2", "seed = 2", r"line 13, tasks.0.config.seed: .*set for each question"),
        ('name = "letters"', 'source = "nowhere"', r"line 17, tasks.1.source: no source 'nowhere'"),
    ],
    ids=["dataset", "option", "value", "seed", "source"],
)
def test_a_task_that_cannot_be_made_is_named_with_line_and_key(
    tmp_path: Path, right: str, wrong: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        load_manifest(write(tmp_path, GOOD.replace(right, wrong, 1)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1" + "0" * 5_000, "4300 digits"),
        ("a." * 100_000 + "b = 1", "line 1: more than 256 dots"),
        ("x = 1\n" + '"\u2028".' * 50_000 + "b = 1", "line 2: more than 256 dots"),
        ("x = " + "[" * 100_000, "recursion"),
        ('name = "a"\nname = "b"', "overwrite"),
    ],
    ids=["digits", "dotted key", "dotted key with line separators", "depth", "a key twice"],
)
def test_a_file_that_a_stranger_made_to_hurt_is_refused_at_once(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_swarm_file("https://example.org/swarm.toml", text)


def test_a_name_no_file_could_have_is_a_config_error() -> None:
    with pytest.raises(ConfigError, match=r"'aaa.*cannot be read: File name too long"):
        load_manifest("a" * 5000)


def test_a_name_that_is_neither_preset_nor_file_is_answered_with_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'starter'"):
        load_manifest("startr")
    with pytest.raises(ConfigError, match="presets are code, draw, guessing, sapo, starter, visual"):
        load_manifest("zzz")
    with pytest.raises(ConfigError, match=r"no swarm manifest at .*absent\.toml"):
        load_manifest(str(tmp_path / "absent.toml"))
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="is not UTF-8 text"):
        load_manifest(str(tmp_path / "binary.toml"))
