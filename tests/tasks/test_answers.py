"""Every scorer that evaluates has a form, and right answers fit the forms. All datasets are recorded."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from reasoning_gym.factory import DATASETS

from swarmd.tasks import PRESETS, load_manifest
from swarmd.tasks.answers import FORMS, is_plain_literal

PRESET_TASKS = sorted(
    {
        (task.dataset, task.config)
        for name in PRESETS
        for task in load_manifest(name).tasks
        if task.source == "reasoning_gym"
    }
)
USABLE = sorted(set(DATASETS) - {"composite"})  # it mixes others, which must be named
# In a process of its own, with the hash seed of the worker: score right answers, again behind the sandbox,
# and note which datasets compile text of the answer's.
AGREE = """
import json, os, random, sys
from swarmd.tasks.children import Limits, Lost, run_jobs
from swarmd.tasks.gym import ReasoningGym
from swarmd.tasks.sandbox import Sandbox

sandbox = Sandbox([])
sandbox.confine_worker()
compiled = []
sys.addaudithook(lambda event, args: compiled.append(args[0]) if event == "compile" else None)
PROBE = "7917 + 1"
report = {"disagree": [], "compiles": [], "scored": 0}
for dataset, config, seeds in json.load(sys.stdin):
    task = ReasoningGym().build(dataset, json.loads(config))
    cases = []
    for seed in range(seeds):
        _, entry = task.question(seed * 7919 + 3, 0)
        if entry[1]["answer"] is not None:
            answer = str(entry[1]["answer"]).strip()
            cases.append((answer, entry, task.score(answer, entry)))
    compiled.clear()
    try:
        entry[0].score_answer(PROBE, entry[1])
    except Exception:
        pass
    if any(b"7917" in text for text in compiled if isinstance(text, bytes)):
        report["compiles"].append(dataset)

    def again():
        return [
            (task.admits(answer, entry), task.score(answer, entry) == score)
            for answer, entry, score in cases
        ]

    [results] = run_jobs([again], Limits(300.0), sandbox.confine_scorer)
    if isinstance(results, Lost):
        report["disagree"].append((dataset, results.kind))
        continue
    report["disagree"] += [
        (dataset, case[0]) for case, result in zip(cases, results) if result != (True, True)
    ]
    report["scored"] += len(cases)
sys.stdout.write(json.dumps(report))
"""


def agreement(tasks: list[tuple[str, str, int]]) -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, "-c", AGREE],
        input=json.dumps(tasks),
        capture_output=True,
        text=True,
        env={"PYTHONPATH": ":".join(path for path in sys.path if path), "PYTHONHASHSEED": "0"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout[done.stdout.index("{") :]))  # one dataset prints dots


def test_right_answers_of_the_presets_score_as_the_datasets_score_them() -> None:
    report = agreement([(dataset, config, 10) for dataset, config in PRESET_TASKS])
    assert report["disagree"] == []
    assert isinstance(report["scored"], int)
    assert report["scored"] >= 10 * (len(PRESET_TASKS) - 1), "propositional_logic comes without right answers"


@pytest.mark.slow
def test_right_answers_of_all_105_datasets_do_too_and_all_that_evaluate_have_a_form() -> None:
    report = agreement([(dataset, "{}", 25) for dataset in USABLE])
    assert report["disagree"] == []
    evaluating = {name for name, form in FORMS.items() if "fits" in form.__name__}
    assert set(report["compiles"]) <= evaluating  # type: ignore[call-overload]  a list of names
    assert len(USABLE) == 105


def test_the_forms_are_those_of_datasets() -> None:
    assert set(FORMS) <= set(USABLE)


@pytest.mark.parametrize(
    ("dataset", "right", "wrong"),
    [
        (
            "binary_matrix",
            ["0 1\n1 0", "[[0, 1], [1, 0]]", "[['0', '1']]"],
            ["f(0)", "[[0]*9]", "x", "[0].pop()"],
        ),
        (
            "n_queens",
            ["_ Q\nQ _", "[['_', 'Q'], ['Q', '_']]"],
            ["self", "valid_solutions[0]", "__import__('os')"],
        ),
        ("string_insertion", ["ABBA", "['A', 'B']"], ["oracle_answer", "'A' + 'B'", "entry"]),
        ("countdown", ["64*(62 - 17 - 39) - 48 + 44"], ["64x", "9**9**9", "sqrt(4)", "5!", "", "1e9"]),
        ("polynomial_multiplication", ["1281*x**4 + 189*x**3"], ["f(x)", "x.y", "x**99999"]),
        ("intermediate_integration", ["2*(-10*x - 10)**(3/2)/3 + C", "Integral(x, x)"], ["eval(x)", "x; y"]),
        ("coin_flip", ["0.234375", "1/8"], ["1e99999999", "1e9,9,9,9,9,9", "nan"]),
        ("complex_arithmetic", ["8.0 + 3.0i"], ["nan", "infinity"]),
        ("number_sorting", ["['-87.0', '19.0']"], ["[NaN, NaN]"]),
        ("rush_hour", ["F+1 K-1"], ["A+99999999999", "A+1" * 900]),
        ("propositional_logic", ["(P ∧ Q) → ¬R"], ["¬" * 900]),
    ],
)
def test_what_the_forms_let_through(dataset: str, right: list[str], wrong: list[str]) -> None:
    assert [answer for answer in right if not FORMS[dataset](answer)] == []
    assert [answer for answer in wrong if FORMS[dataset](answer)] == []


def test_plain_literals_are_words_numbers_and_literal_values() -> None:
    plain = [
        "",
        "Tuesday",
        "0.5",
        "-3 + 2i",
        "1 2\n3 4",
        "[1, 'a']",
        '{"a": true}',
        "593/1368",
        "53 days, 00:33:35",
    ]
    others = [
        "f(1)",
        "a.b",
        "__x__",
        "x = 1",
        "(P)",
        "3*(4)",
        "'a' * 9",
        "lambda: f(1)",
        "1e99999",
        "`a`",
        "{**a}",
    ]
    assert [answer for answer in plain if not is_plain_literal(answer)] == []
    assert [answer for answer in others if is_plain_literal(answer)] == []
