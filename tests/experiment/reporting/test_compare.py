"""Two configurations, pair by pair: of known results, and what cannot be paired."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from swarmd.errors import ConfigError
from swarmd.experiment.reporting import compare as compare_module
from swarmd.experiment.reporting.compare import compare, comparison_values, to_text
from swarmd.experiment.reporting.results import RunResults
from tests.experiment.made_up_results import run_lines, write_lines, write_results


def change_settings(folder: Path, runs: str, **changed: Any) -> None:
    for path in folder.glob(f"runs/{runs}/rounds.jsonl"):
        first, *rest = path.read_text().splitlines()
        line = json.loads(first)
        line["settings"] |= changed
        path.write_text("\n".join([json.dumps(line), *rest, ""]))


def test_differences_are_paired_by_seed(tmp_path) -> None:
    write_results(tmp_path)
    found = compare(f"{tmp_path}:2/2", f"{tmp_path}:4/0")
    assert found.seeds == (0, 1)
    assert found.own.difference.values == pytest.approx((0.1, 0.2))
    assert found.own.gain.mean == pytest.approx(1.0)
    assert found.own.p == 0.5  # two pairs of one sign: two of four patterns are as extreme
    assert (found.held_out.difference.mean, found.held_out.p) == (0, 1.0)
    assert found.tasks["gcd"].p_holm == 1.0


def test_at_equal_tokens_the_dearer_side_ends_where_the_cheaper_one_does(tmp_path) -> None:
    write_results(tmp_path)
    found = compare(f"{tmp_path}:2/2", f"{tmp_path}:4/0", basis="tokens")
    assert found.held_out.difference.mean == pytest.approx(0.25)


def test_two_folders_are_charged_the_same_prices(tmp_path) -> None:
    for name in ("quiet", "busy"):
        write_results(tmp_path / name, counted=True)
    for path in (tmp_path / "busy").glob("runs/*/rounds.jsonl"):
        path.write_text(path.read_text().replace('"generating": 2.0', '"generating": 6.0'))
    found = compare(f"{tmp_path / 'quiet'}:4/0", f"{tmp_path / 'busy'}:4/0", basis="cpu")
    assert found.held_out.difference.mean == pytest.approx(0), "the same work costs the same"


def test_what_counted_nothing_cannot_be_compared_at_equal_cpu(tmp_path) -> None:
    write_results(tmp_path)
    with pytest.raises(ConfigError, match="so cpu cannot be compared: use --equal time"):
        compare(f"{tmp_path}:2/2", f"{tmp_path}:4/0", basis="cpu")


def test_daemons_are_said_to_count_nothing_instead_of_to_be_run_again(tmp_path) -> None:
    write_results(tmp_path)
    config = json.loads((tmp_path / "experiment.json").read_text())
    (tmp_path / "experiment.json").write_text(json.dumps(config | {"exchange": "daemons"}))
    with pytest.raises(ConfigError) as refused:
        compare(f"{tmp_path}:2/2", f"{tmp_path}:4/0", basis="cpu")
    assert str(refused.value) == (
        f"{tmp_path}:2/2 was run as daemons, which count no units, so cpu cannot be compared: "
        "use --equal time, or run it with --exchange process"
    )


def test_nodes_may_be_the_pairs(tmp_path) -> None:
    write_results(tmp_path)
    found = compare(f"{tmp_path}:2/2", f"{tmp_path}:4/0", pairs="node")
    assert found.own.difference.values == pytest.approx((0.1, 0.1, 0.2, 0.2))
    assert found.own.p == 2 / 2**4


def test_nodes_are_no_pairs_if_others_learned_on_the_other_side(tmp_path, monkeypatch) -> None:
    write_results(tmp_path)
    pairs_of = compare_module._check_asked

    def one_attacked(a: str, b: str, pairs: list[tuple[RunResults, RunResults]]) -> None:
        pairs_of(a, b, pairs)
        pairs[:] = [(ours, replace(theirs, learners=(1, 2))) for ours, theirs in pairs]

    monkeypatch.setattr(compare_module, "_check_asked", one_attacked)
    with pytest.raises(ConfigError, match=r"nodes 0, 1 learned in .*, and 1, 2 in .*: use --pairs seed"):
        compare(f"{tmp_path}:2/2", f"{tmp_path}:4/0", pairs="node")
    compare(f"{tmp_path}:2/2", f"{tmp_path}:4/0", pairs="seed")


def test_only_common_seeds_of_two_folders_are_used_and_the_others_named(tmp_path) -> None:
    write_results(tmp_path / "one")
    write_results(tmp_path / "two")
    write_lines(tmp_path / "two", "run-0-7", run_lines(0, 7, 0.1, 100, None))
    found = compare(f"{tmp_path / 'one'}:4/0", f"{tmp_path / 'two'}:4/0")
    assert (found.seeds, found.left_out) == ((0, 1), (7,))
    assert "left out because only one side has them: seeds 7" in to_text(comparison_values(found))


def test_a_folder_of_one_configuration_needs_no_name_and_others_are_listed(tmp_path) -> None:
    write_results(tmp_path)
    with pytest.raises(ConfigError, match=r"several configurations.*4/0, 2/2"):
        compare(str(tmp_path), f"{tmp_path}:4/0")
    with pytest.raises(ConfigError, match="no finished runs of '6/2'"):
        compare(f"{tmp_path}:6/2", f"{tmp_path}:4/0")
    for seed in (0, 1):
        (tmp_path / "runs" / f"run-1-{seed}" / "rounds.jsonl").unlink()
    assert compare(str(tmp_path), str(tmp_path)).a.label == "4/0"


def test_without_a_common_seed_there_is_nothing_to_compare(tmp_path) -> None:
    write_results(tmp_path)
    change_settings(tmp_path, "run-1-0", seed=5)
    change_settings(tmp_path, "run-1-1", seed=6)
    with pytest.raises(ConfigError, match=r"seeds 5, 6, .* of 0, 1: none in common"):
        compare(f"{tmp_path}:2/2", f"{tmp_path}:4/0")


@pytest.mark.parametrize(
    ("key", "other"),
    [("swarm_id", "11" * 32), ("held_out_questions", 5), ("node_tasks", [["gcd"], ["gcd"]])],
)
def test_runs_that_were_asked_other_questions_are_refused_by_the_setting(tmp_path, key, other) -> None:
    write_results(tmp_path)
    change_settings(tmp_path, "run-1-*", **{key: other})
    with pytest.raises(ConfigError, match=f"^{key}: "):
        compare(f"{tmp_path}:2/2", f"{tmp_path}:4/0")


def test_the_table_has_a_row_for_each_task_and_says_how_small_p_can_be(tmp_path) -> None:
    write_results(tmp_path)
    values = comparison_values(compare(f"{tmp_path}:2/2", f"{tmp_path}:4/0"))
    assert json.loads(json.dumps(values, allow_nan=False)) == values
    text = to_text(values)
    assert "| own reward | 0.300 (0.200 to 0.400) | 0.150 (0.100 to 0.200) | +0.150 " in text
    assert "| gcd | 0.500 (0.500 to 0.500) |" in text
    assert "2 pairs cannot give a p below 0.5000." in text
