"""Arguments that cannot be measured, or would be ignored, end with a usage message before anything runs."""

from __future__ import annotations

import importlib

import pytest


@pytest.mark.parametrize(
    ("command", "arguments", "told"),
    [
        ("ablation", "--steps 1", "--steps: 1 is less than 2"),
        ("costly_groups", "--steps 0", "--steps: 0 is less than 1"),
        ("decoding", "--runs 0", "--runs: 0 is less than 1"),
        ("decoding", "--threads many", "--threads: invalid number value"),
        ("decoding", "--steps --threads 4", "--threads has no effect with --steps"),
        ("prediction", "--threads -2", "--threads: -2 is less than 1"),
        ("prices", "missing.json", "cannot read missing.json"),
        ("profiling", "--threads 0", "--threads: 0 is less than 1"),
        ("scale.__main__", "--sizes 100 1", "--sizes: 1 is less than 2"),
        ("scale.__main__", "--machines 0", "--machines: 0 is less than 1"),
        ("scale.__main__", "--real 1", "--real: 1 is less than 2"),
        ("scale.__main__", "--real 4 --seconds 0", "--seconds: 0 is not a number of seconds above 0"),
        ("scale.__main__", "--seconds 60", "--seconds has no effect without --real"),
        ("scale.__main__", "--real 4 --short", "--short has no effect with --real"),
        ("start", "--runs 0", "--runs: 0 is less than 1"),
        ("status", "--seconds nan", "--seconds: nan is not a number of seconds above 0"),
        ("trainer", "--runs -1", "--runs: -1 is less than 0"),
        ("trainer", "--table missing.json", "cannot read missing.json"),
        ("trainer", "--table results.json --runs 3", "--runs has no effect with --table"),
        ("trainer", "--table other.json", "other.json has no results of benchmarks.trainer"),
        ("trainer", "--table damaged.json", "cannot read damaged.json"),
    ],
)
def test_what_cannot_be_measured_is_refused(command, arguments, told, tmp_path, monkeypatch, capsys):
    (tmp_path / "results.json").write_text('{"cases": []}')
    (tmp_path / "other.json").write_text("[]")
    (tmp_path / "damaged.json").write_text("{")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        importlib.import_module(f"benchmarks.{command}").main(arguments.split())
    assert ended.value.code == 2
    assert told in capsys.readouterr().err
