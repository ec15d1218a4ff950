"""Reports of a results folder with known numbers, and the arithmetic behind them."""

from __future__ import annotations

import json
import re
import sys
import tomllib
from collections.abc import Iterator

import pytest

from swarmd.errors import ConfigError, StorageError
from swarmd.experiment import ExperimentConfig
from swarmd.experiment.reporting.repeating import to_toml
from swarmd.experiment.reporting.report import write_report
from swarmd.experiment.seeding import SWEEP
from tests.experiment.made_up_results import CONFIG, PRICES, run_lines, write_lines, write_results


def test_the_tables_hold_what_was_measured(tmp_path) -> None:
    write_results(tmp_path)
    write_report(tmp_path, with_plots=False)
    tables = json.loads((tmp_path / "report.json").read_text())
    alone, sharing = tables["configurations"]
    assert (alone["label"], sharing["label"], tables["baseline"]) == ("4/0", "2/2", "4/0")
    assert alone["measures"]["own"]["values"] == pytest.approx([0.8, 1.6])  # 4 rounds of 2 nodes
    assert sharing["measures"]["own"]["mean"] == pytest.approx(2.4)
    assert sharing["measures"]["mixed"]["mean"] == pytest.approx(3.2)
    assert sharing["measures"]["external_share"]["mean"] == 0.5
    assert sharing["measures"]["held_out"]["mean"] == 0.5
    assert (alone["measures"]["tokens"]["mean"], sharing["measures"]["tokens"]["mean"]) == (800, 400)
    assert alone["measures"]["seconds"]["mean"] == 16
    assert alone["measures"]["surprisal"]["mean"] is None
    gained = sharing["against_baseline"]["rounds"]["own_gain"]
    assert (gained["mean"], gained["low"]) == (pytest.approx(1.0), pytest.approx(1.0))  # twice as much
    assert alone["against_baseline"] == {}
    assert alone["stability"]["held_out"]["drop"]["mean"] == 0
    assert alone["specialists"] is None


def test_at_equal_tokens_the_dearer_run_is_looked_at_where_the_cheaper_one_ends(tmp_path) -> None:
    write_results(tmp_path)
    write_report(tmp_path, with_plots=False)
    tables = json.loads((tmp_path / "report.json").read_text())
    by_tokens, by_time = tables["against_solo"]
    assert (by_tokens["label"], by_tokens["control"], by_tokens["strongest"]) == ("2/2", "4/0", True)
    assert (by_tokens["rounds"]["mean"], by_tokens["control_rounds"]["mean"]) == (4, 2)
    assert by_tokens["ended_first"] == "2/2"
    assert by_tokens["held_out_difference"]["mean"] == pytest.approx(0.25)  # half of its tokens
    assert (by_time["control_rounds"]["mean"], by_time["ended_first"]) == (4, None)
    assert "| 2/2 | tokens | 4/0 | 2 | 4.0, 2.0 | 2/2 |" in (tmp_path / "report.md").read_text()


def test_where_time_and_tokens_go_is_told_of_a_node_over_the_run(tmp_path) -> None:
    write_results(tmp_path)
    for path in tmp_path.glob("runs/run-0-*/rounds.jsonl"):  # as written before these were in the lines
        path.write_text(path.read_text().replace("tokens_own", "other"))
    write_report(tmp_path, with_plots=False)
    alone, sharing = json.loads((tmp_path / "report.json").read_text())["configurations"]
    assert {key: found["mean"] for key, found in sharing["spending"]["seconds"].items()} == {
        "generating": 4, "scoring": 2, "verifying": 1, "training": 1,
    }  # fmt: skip
    assert {key: found["mean"] for key, found in sharing["spending"]["tokens"].items()} == {
        "generated": 200, "trained_own": 100, "trained_external": 120,
    }  # fmt: skip
    assert alone["spending"]["tokens"]["trained_own"]["mean"] is None
    assert "| 4/0 | 4.0 (4.0 to 4.0) |" in (tmp_path / "report.md").read_text()


def test_what_a_round_costs_is_counted_from_prices_that_all_runs_give(tmp_path) -> None:
    write_results(tmp_path, counted=True)
    write_report(tmp_path, with_plots=False)
    tables = json.loads((tmp_path / "report.json").read_text())
    assert tables["prices"][""] == pytest.approx(PRICES)
    alone, sharing = tables["configurations"]
    assert sum(found["mean"] for found in alone["spending"]["cpu"].values()) == pytest.approx(2.5)
    assert sum(found["mean"] for found in sharing["spending"]["cpu"].values()) == pytest.approx(1.55)
    by_cpu = next(pair for pair in tables["against_solo"] if pair["basis"] == "cpu")
    assert by_cpu["control_rounds"]["mean"] == pytest.approx(4 * 1.55 / 2.5)
    text = (tmp_path / "report.md").read_text()
    assert "| token generated | 20.000 |" in text
    assert "smollm2-135m, generated : trained 0.52 per token" in text


def test_rounds_in_which_a_phase_had_work_have_a_price(tmp_path) -> None:
    """8/0 signs nothing. 2/2 signs 2 or 4 records in rounds of 0.5 and 0.6 s, and none in two rounds."""
    write_results(tmp_path, counted=True)
    for path in tmp_path.glob("runs/run-1-*/rounds.jsonl"):
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        for line in lines:
            if line["kind"] == "node":
                signed, seconds = [(2, 0.5), (4, 0.6), (0, 0.0), (0, 0.0)][line["round"]]
                line["units"]["records_signed"], line["cpu_seconds"]["publishing"] = signed, seconds
        path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    write_report(tmp_path, with_plots=False)
    prices = json.loads((tmp_path / "report.json").read_text())["prices"][""]
    assert (prices["rounds_published"], prices["records_signed"]) == pytest.approx((0.4, 0.05))


@pytest.mark.parametrize("lessons", [0, 3])
def test_only_runs_that_trained_on_uncounted_lessons_have_no_cpu_time(tmp_path, lessons) -> None:
    write_results(tmp_path, counted=True)
    for path in tmp_path.glob("runs/run-1-*/rounds.jsonl"):  # as older versions wrote them
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        for line in lines:
            if line["kind"] == "node":
                del line["units"]["tokens_trained_lessons"]
                line["metrics"]["lessons"] = lessons
        path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    write_report(tmp_path, with_plots=False)
    alone, sharing = json.loads((tmp_path / "report.json").read_text())["configurations"]
    assert "cpu" in alone["spending"]
    assert ("cpu" in sharing["spending"]) == ("cpu" in sharing["against_baseline"]) == (lessons == 0)


def test_a_busy_machine_makes_no_run_dearer_than_another(tmp_path) -> None:
    write_results(tmp_path, counted=True)
    for path in tmp_path.glob("runs/run-1-*/rounds.jsonl"):  # those that shared met other work
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        for line in lines:
            if line["kind"] == "node":
                line["cpu_seconds"] = {phase: 3 * cpu for phase, cpu in line["cpu_seconds"].items()}
        path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    write_report(tmp_path, with_plots=False)
    alone, sharing = json.loads((tmp_path / "report.json").read_text())["configurations"]
    generating = [row["spending"]["cpu"]["generating"]["mean"] for row in (alone, sharing)]
    assert generating[0] / generating[1] == pytest.approx(2.0), "twice the tokens"


def test_runs_that_counted_nothing_are_compared_by_what_they_measured(tmp_path) -> None:
    write_results(tmp_path)
    write_report(tmp_path, with_plots=False)
    tables = json.loads((tmp_path / "report.json").read_text())
    assert tables["prices"] == {}
    assert set(tables["configurations"][1]["against_baseline"]) == {"rounds", "tokens", "time"}
    assert "What a node's round costs" not in (tmp_path / "report.md").read_text()


def test_the_markdown_names_every_configuration_with_its_interval(tmp_path) -> None:
    write_results(tmp_path)
    write_report(tmp_path, with_plots=False)
    text = (tmp_path / "report.md").read_text()
    assert "| 2/2 | 0.0001 | 4 | 2 | 3.20 (2.40 to 4.00) |" in text
    assert "+100.0% (+100.0% to +100.0%)" in text


def test_every_figure_is_drawn_in_both_formats_and_is_in_the_page_and_in_the_json(tmp_path) -> None:
    pytest.importorskip("matplotlib")
    write_results(tmp_path)
    paths = write_report(tmp_path)
    curves = json.loads((tmp_path / "report.json").read_text())["curves"]
    assert {"reward_own", "held_out", "reward_by_tokens", "cumulative_mixed"} <= curves.keys()
    assert "payload" not in curves  # nobody attacked
    assert {path.name for path in paths} >= {f"{name}.{end}" for name in curves for end in ("png", "svg")}
    assert (tmp_path / "held_out.png").read_bytes().startswith(b"\x89PNG")
    page = (tmp_path / "report.html").read_text()
    assert page.count('<img src="data:image/svg+xml;base64,') == len(curves)
    for name in curves:
        assert f"({name}.svg)" in (tmp_path / "report.md").read_text()


def test_the_page_asks_for_nothing_from_elsewhere(tmp_path) -> None:
    write_results(tmp_path)
    write_report(tmp_path, with_plots=False)
    page = (tmp_path / "report.html").read_text()
    assert "default-src 'none'" in page
    assert all(target.startswith("#") for target in re.findall(r'href="([^"]*)"', page))
    assert not re.findall(r"<(?:script|link|iframe|img)|src=|url\(", page)
    assert "3.20" in page
    assert '<span class="range">2.40 to 4.00</span>' in page


def test_it_is_told_what_the_runs_ran_with_and_names_that_look_like_markup_stay_text(tmp_path) -> None:
    odd = "<img src=x onerror=alert(1)>|[a](javascript:b)`*\x1b[2J"
    write_results(tmp_path)
    for path in tmp_path.glob("runs/*/rounds.jsonl"):
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        lines[0] |= {"versions": {"machine": odd}, "plan": {"a/model": ["one thread because of it"]}}
        lines[0]["settings"]["model_files_sha256"] = ["c58a"]
        for line in lines:
            if line["kind"] == "held_out":
                line["tasks"][odd] = line["tasks"]["gcd"]
        path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    write_report(tmp_path, with_plots=False)
    page = (tmp_path / "report.html").read_text()
    as_text = "&lt;img src=x onerror=alert(1)&gt;|[a](javascript:b)`*\\x1b[2J"
    assert f"<th>{as_text}</th>" in page
    assert f"<li>4 runs: machine {as_text}</li>" in page
    assert "<li>model files, SHA-256: c58a</li>\n<li>first run: one thread because of it</li>" in page
    assert not re.search("<img|<a href=.javascript", page)
    assert "\x1b" not in (tmp_path / "report.md").read_text()


def test_the_report_holds_the_settings_as_a_file_that_runs_again(tmp_path) -> None:
    write_results(tmp_path)
    write_report(tmp_path, with_plots=False)
    repeating = json.loads((tmp_path / "report.json").read_text())["repeating"]
    assert repeating["commands"] == [
        "swarmd experiment run ./made-up.toml --out ./made-up",
        "swarmd experiment report ./made-up",
    ]
    assert ExperimentConfig.model_validate(tomllib.loads(repeating["settings"])) == CONFIG
    assert repeating["settings"] in (tmp_path / "report.md").read_text()


def test_settings_of_every_kind_come_back_from_their_toml() -> None:
    config = ExperimentConfig.model_validate(
        CONFIG.model_dump(mode="json")
        | {
            "policy": {"model": 'a "quoted" \\ path', "temperature": 0.5},
            "learning": {"group_size": 4},
            "specialities": [["gcd"], ["products", "gcd"]],
            "attacks": [
                {"name": "a", "kind": "in_context", "text": "\n<answer>{answer}</answer>x", "marker": "x"}
            ],
            "configurations": [
                {"local": 4, "external": 0, "learning": {"group_size": 8}},
                {"local": 2, "external": 2, "attack": "a", "attackers": [1]},
            ],
        }
    )
    assert ExperimentConfig.model_validate(tomllib.loads(to_toml(config))) == config


def test_without_matplotlib_the_extra_is_named(tmp_path, monkeypatch) -> None:
    write_results(tmp_path)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ConfigError, match=r"swarmd\[experiment\]"):
        write_report(tmp_path)


def test_a_folder_without_finished_runs_says_so(tmp_path) -> None:
    with pytest.raises(ConfigError, match="has no results"):
        write_report(tmp_path / "none")
    write_results(tmp_path / "begun", finished=False)
    with pytest.raises(ConfigError, match="no run is finished"):
        write_report(tmp_path / "begun")


def test_while_only_the_sweep_is_finished_the_report_has_its_rates_and_no_empty_tables(tmp_path) -> None:
    write_results(tmp_path, finished=False)
    write_lines(tmp_path, "sweep", run_lines(0, SWEEP, 0.25, 100, None, rate=1e-4, sweep=True))
    write_report(tmp_path)
    text = (tmp_path / "report.md").read_text()
    assert "Only runs of the sweep are finished." in text
    assert [line for line in text.splitlines() if line.startswith("## ")] == [
        "## Learning rates tried, on other seeds",
        "## How to run it again",
        "## What it ran with",
    ]


DAMAGED = {"bytes": b"\xff\xfe", "brackets": b"[" * 100_000, "a number": b"1" * 5_000, "a word": b"nonsense"}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=list(DAMAGED))
def test_damaged_results_are_refused_in_one_line_with_what_to_do(tmp_path, content) -> None:
    write_results(tmp_path)
    [lines, *_] = tmp_path.glob("runs/*/rounds.jsonl")
    lines.write_bytes(content + b"\n")
    with pytest.raises(StorageError, match=r"rounds\.jsonl (cannot be read|is damaged)"):
        write_report(tmp_path)
    (tmp_path / "experiment.json").write_bytes(content)
    with pytest.raises(ConfigError, match=r"missing or damaged.*name the folder that --out named"):
        write_report(tmp_path)


def test_runs_of_a_rate_that_is_not_chosen_any_more_are_no_further_seeds(tmp_path) -> None:
    write_results(tmp_path)
    config = CONFIG.model_dump(mode="json") | {"learning_rates": [1e-4, 1e-3]}
    (tmp_path / "experiment.json").write_text(json.dumps(config))
    for rate, reward in ((1e-4, 0.1), (1e-3, 0.3)):
        write_lines(tmp_path, f"sweep-{rate}", run_lines(0, SWEEP, reward, 100, None, rate=rate, sweep=True))
    write_lines(tmp_path, "run-better", run_lines(0, 0, 0.3, 100, None, rate=1e-3))
    write_report(tmp_path, with_plots=False)
    tables = json.loads((tmp_path / "report.json").read_text())
    [alone] = tables["configurations"]  # the sweep of 2/2 is not done, so its rate is open
    assert (alone["label"], alone["learning_rate"], alone["seeds"]) == ("4/0", 1e-3, [0])
    assert alone["measures"]["own"]["values"] == pytest.approx([2.4])
    assert tables["superseded_runs"] == 4
    assert "no longer part of the experiment: 4 runs." in (tmp_path / "report.md").read_text()


def test_a_run_that_lacks_lines_is_damaged(tmp_path) -> None:
    write_results(tmp_path)
    lines = run_lines(0, 0, 0.1, 100, None)
    write_lines(tmp_path, "run-short", [line for line in lines if line.get("round") != 2])
    with pytest.raises(StorageError, match="run-short"):
        write_report(tmp_path, with_plots=False)


def places(value: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Where the parts of a JSON value are."""
    if path:
        yield path
    found = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in found:
        yield from places(part, (*path, key))


WRONG: tuple[object, ...] = (None, "x", [], {}, [[]], 10**400, float("nan"), float("inf"))


@pytest.mark.parametrize("kind", ["run", "held_out", "node"])
def test_a_line_with_any_wrong_value_is_reported_or_called_damaged(tmp_path, kind: str) -> None:
    write_results(tmp_path, counted=True)
    [path, *_] = sorted(tmp_path.glob("runs/*/rounds.jsonl"))
    lines = path.read_text().splitlines()
    at = next(index for index, line in enumerate(lines) if json.loads(line)["kind"] == kind)
    refused = 0
    for number, place in enumerate(places(json.loads(lines[at]))):
        line = json.loads(lines[at])
        part = line
        for key in place[:-1]:
            part = part[key]
        part[place[-1]] = WRONG[number % len(WRONG)]
        path.write_text("\n".join([*lines[:at], json.dumps(line), *lines[at + 1 :], ""]))
        try:
            write_report(tmp_path, with_plots=False)
        except StorageError as error:
            refused += str(error).startswith(f"{path} is damaged (")
    assert refused > 2


def test_runs_of_other_learning_rates_than_the_experiment_s_are_no_results(tmp_path) -> None:
    write_results(tmp_path)
    config = CONFIG.model_dump(mode="json") | {"learning_rates": [0.5]}
    (tmp_path / "experiment.json").write_text(json.dumps(config))
    with pytest.raises(ConfigError, match=r"no finished run has .* rate of experiment\.json: continue"):
        write_report(tmp_path, with_plots=False)


def test_specialists_are_reported_on_their_own_and_on_foreign_tasks(tmp_path) -> None:
    write_results(tmp_path)
    config = CONFIG.model_dump(mode="json") | {"specialities": [["gcd"], ["count_bits"]]}
    (tmp_path / "experiment.json").write_text(json.dumps(config))
    for path in tmp_path.glob("runs/*/rounds.jsonl"):
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        for line in lines:
            if line["kind"] == "held_out":
                line["tasks"]["count_bits"] = {"success": line["node"] * 0.2, "questions": 4}
            if line["kind"] == "node":
                line["own_by_task"] = {"count_bits": {"groups": 4, "reward": 0.1 + 0.2 * line["node"]}}
        path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    write_report(tmp_path, with_plots=False)
    tables = json.loads((tmp_path / "report.json").read_text())
    assert [line["label"] for line in tables["curves"]["specialists"]["lines"]["4/0"]] == [
        "own tasks",
        "others' tasks",
    ]
    alone, sharing = tables["configurations"]
    own, others = alone["specialists"]["own"], alone["specialists"]["others"]
    assert (own["before"]["mean"], own["after"]["mean"]) == (pytest.approx(0.1), pytest.approx(0.35))
    assert (others["before"]["mean"], others["after"]["mean"]) == (0, pytest.approx(0.25))
    assert others["difference"] is None
    assert sharing["specialists"]["others"]["difference"]["mean"] == pytest.approx(0)
    report = (tmp_path / "report.md").read_text()
    assert "others' tasks, before" in report
    assert "What others learned of each task" in report
    handed_on = alone["handed_on"]["count_bits"]
    assert [handed_on[what]["mean"] for what in ("level", "others", "least")] == pytest.approx([0.2, 0, 0])
    on_own_questions = "0.300 (0.300 to 0.300) → 0.100 (0.100 to 0.100)"
    assert f"| count_bits | {on_own_questions} | {on_own_questions} |" in report


def test_specialists_without_a_control_or_rewards_by_task_are_reported_without_empty_columns(
    tmp_path,
) -> None:
    write_lines(tmp_path, "run", run_lines(1, 0, 0.5, 100, None))
    config = CONFIG.model_dump(mode="json") | {"specialities": [["count_bits"], ["gcd"]]}
    config["configurations"] = config["configurations"][1:]
    (tmp_path / "experiment.json").write_text(json.dumps(config))
    write_report(tmp_path, with_plots=False)
    report = (tmp_path / "report.md").read_text()
    assert "1 run of 1 configuration, of 2 nodes each" in report
    assert "## Specialists" in report
    assert "against" not in report[report.index("## Specialists") :].split("\n\n")[1]
    assert "own questions" not in report


def test_specialists_are_reported_where_some_of_them_attack(tmp_path) -> None:
    write_results(tmp_path)
    config = CONFIG.model_dump(mode="json") | {"specialities": [["count_bits"], ["gcd"]]}
    (tmp_path / "experiment.json").write_text(json.dumps(config))
    for path in tmp_path.glob("runs/run-1-*/rounds.jsonl"):
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        lines[0]["settings"]["attack"] = {"kind": "in_context", "attackers": [0]}
        kept = [line for line in lines if line.get("node") != 0]
        path.write_text("".join(f"{json.dumps(line)}\n" for line in kept))
    write_report(tmp_path, with_plots=False)
    _, attacked = json.loads((tmp_path / "report.json").read_text())["configurations"]
    assert attacked["specialists"]["own"]["after"]["mean"] == 0.5  # of node 1, whose own task is gcd
    assert attacked["specialists"]["others"]["after"]["mean"] is None
