"""Prices from the results of the benchmark."""

from __future__ import annotations

import json

from benchmarks.prices import main


def test_a_token_costs_its_share_of_a_case_of_fixed_length(tmp_path, capsys) -> None:
    ours = {f"{part}_s": {"median": seconds} for part, seconds in
            (("generation", 4.096), ("loss_backward", 2.048), ("optimizer", 0.1))}  # fmt: skip
    names = ("smollm2-135m 8x64 float32 fixed", "smollm2-135m 8x64 float32 natural")
    file = tmp_path / "results.json"
    file.write_text(json.dumps({"cases": [{"name": name, "ours": ours} for name in names]}))
    assert main([str(file)]) == 0
    shown = capsys.readouterr().out
    assert "| smollm2-135m 8x64 float32 fixed | 8.00 | 4.00 | 100 | 2.00 |" in shown
    assert "natural" not in shown


def test_the_prices_of_reports_are_told_without_a_file(capsys) -> None:
    assert main([]) == 0
    assert "| smollm2-135m | 3.22 | 6.25 | 59 | 0.52 |" in capsys.readouterr().out


def test_a_file_without_a_case_of_fixed_length_is_an_error_that_says_what_to_do(tmp_path, capsys) -> None:
    (tmp_path / "none.json").write_text('{"cases": []}')
    assert main([str(tmp_path / "none.json")]) == 1
    assert "--cases fixed" in capsys.readouterr().err
