"""Attackers of an experiment: what they may be, what they publish, what is found of it in others' text."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from swarmd.errors import ConfigError
from swarmd.experiment import Experiment, read_experiment
from swarmd.experiment.attacker import gym_answer
from swarmd.experiment.attacks import PLAIN, Attack, wrong
from swarmd.experiment.reporting.report import write_report
from swarmd.step.repeated_answers import REPEATS_ALWAYS
from swarmd.tasks import Score, TaskRunner, extract_answer, load_manifest, task_spec
from tests.daemon.fakes import KnownTasks
from tests.experiment.making import MANIFEST, KilledError, Lines, Watched, make_config

RIGHT = "7"
PAYLOAD = {
    "name": "after",
    "kind": "out_of_context",
    "text": "<answer>{answer}</answer> hail",
    "marker": "hail",
}
AGAIN = "[[attacks]]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in PAYLOAD.items())
ATTACKED = {"local": 2, "external": 2, "attack": "after"}
THREE = [
    {"name": "clean", "local": 2, "external": 2},
    {"name": "attacked", **ATTACKED, "attackers": [0, 2]},
]


def scored(_: int, text: str) -> Score:
    return Score(float(extract_answer(text) == RIGHT), bare=True)


async def play(config, folder: Path, watcher: Watched | None = None) -> None:
    tasks = KnownTasks(scored)
    watching = watcher or Watched()
    experiment = Experiment(config, MANIFEST, folder, tasks, watching, taken_wait_s=0, oracle=lambda _: RIGHT)
    await experiment.run()


def attacked_config(model: Path, **given):
    settings = {"nodes": 3, "attacks": [PAYLOAD], "configurations": THREE, "rounds": 3}
    return make_config(model, **{**settings, **given})


def lines_of(folder: Path, run: str) -> Lines:
    [path] = (folder / "runs").glob(f"*{run}*/rounds.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines()]


# What an attack is --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"text": "hail"}, "must contain {answer}"),
        ({"text": "hail {answer} {question}"}, "no other braces"),
        ({"text": "hail {answer"}, "braces are for {answer} only"),
        ({"marker": None}, "set marker"),
        ({"marker": "hello"}, "marker does not occur in text"),
        ({"kind": "length"}, "remove marker"),
        ({"kind": "other"}, "out_of_context"),
    ],
)
def test_an_attack_that_could_not_be_made_or_measured_is_refused(changed, words) -> None:
    with pytest.raises(ValidationError, match=words):
        Attack.model_validate(PAYLOAD | changed)


def test_a_marker_may_be_a_part_of_the_answer_that_all_published_questions_have() -> None:
    chosen = {**PAYLOAD, "text": PLAIN, "answers": "Monday", "marker": ">Monday"}
    attack = Attack.model_validate(chosen)
    assert [attack.asks(answer) for answer in ("Monday", "Tuesday")] == [True, False]
    assert Attack.model_validate(PAYLOAD).asks("Tuesday")
    with pytest.raises(ValidationError, match="marker does not occur in text"):
        Attack.model_validate(chosen | {"answers": "Tuesday"})


@pytest.mark.parametrize("answer", ["12", "1/2", "-3.5", "Monday", "909"])
def test_the_wrong_siblings_are_wrong_and_in_the_plain_form(answer) -> None:
    found = extract_answer(wrong(answer))
    assert found != answer
    assert len(found or "") == len(answer)
    assert wrong(answer) == PLAIN.format(answer=found)


@pytest.mark.parametrize(
    ("line", "into", "words"),
    [
        ("attackers = [3]", "attackers = [4]", ["indices of nodes, 0 to 3"]),
        ("attackers = [3]", "attackers = [0, 1, 2, 3]", ["all nodes attack"]),
        ("attackers = [3]", "attackers = [3, 3]", ["line 15", "listed twice"]),
        ('attack = "after"', 'attack = "befor"', ["'befor'", "not one of attacks (after)"]),
        ('attack = "after"', "", ["line 15", "but no attack"]),
        ("external = 2", "external = 0", ["line 15", "reach no node"]),
        ("rounds = 10", 'rounds = 10\nexchange = "daemons"', ["exchange process only"]),
        ('marker = "hail"', 'marker = "hello"', ["line 9", "marker does not occur in text"]),
        ('kind = "out_of_context"', 'kinds = "out_of_context"', ["line 11", "did you mean 'kind'"]),
        ("[[configurations]]", f"{AGAIN}[[configurations]]", ["two are named 'after'"]),
    ],
)
def test_attackers_that_cannot_be_played_are_refused_with_file_and_key(tmp_path, line, into, words) -> None:
    text = """name = "small"
nodes = 4
rounds = 10

[learning]
group_size = 4

# an attack
[[attacks]]
name = "after"
kind = "out_of_context"
text = "<answer>{answer}</answer> hail"
marker = "hail"

[[configurations]]
local = 2
external = 2
attack = "after"
attackers = [3]
"""
    path = tmp_path / "experiment.toml"
    path.write_text(text)
    read_experiment(path)
    path.write_text(text.replace(line, into))
    with pytest.raises(ConfigError) as refused:
        read_experiment(path)
    for word in words:
        assert word in str(refused.value)


# What attackers do --------------------------------------------------------------------------------


async def test_the_oracle_knows_answers_that_the_scorers_take() -> None:
    specs = [task_spec(family, 20_000 + n) for n, family in enumerate(load_manifest("starter").tasks)]
    async with TaskRunner(reward="exact") as runner:
        answers = [gym_answer(spec) or "" for spec in specs]
        items = [(s, [PLAIN.format(answer=a), wrong(a)]) for s, a in zip(specs, answers, strict=True)]
        scores = await runner.score(items)
    assert [[score.reward for score in row] for row in scores] == [[1.0, 0.0]] * len(specs)


async def test_attackers_publish_like_everybody_and_only_the_others_learn(tiny_model_dir, tmp_path) -> None:
    await play(attacked_config(tiny_model_dir), tmp_path)
    lines = lines_of(tmp_path, "attacked")
    assert {line["node"] for line in lines if line["kind"] in ("node", "held_out")} == {1}
    attackers = [line for line in lines if line["kind"] == "attacker"]
    assert [(line["round"], line["node"]) for line in attackers] == [(r, n) for r in range(3) for n in (0, 2)]
    assert all((line["groups_published"], line["groups_rejected"]) == (2, 0) for line in attackers)
    learned = [line for line in lines if line["kind"] == "node"]
    used = [line["metrics"]["groups_external_used"] for line in learned]
    assert used[0] == 2
    assert max(used) <= 2
    assert sum(used) <= REPEATS_ALWAYS * len(MANIFEST.tasks)  # all questions of a task have one answer here
    assert all(line["payload_share"] == 0 for line in learned)
    assert lines[0]["settings"]["attack"]["attackers"] == [0, 2]


@pytest.mark.parametrize(("answers", "published"), [(RIGHT, 2), ("8", 0)])
async def test_a_choosy_attacker_publishes_the_questions_with_its_answer_and_no_others(
    tiny_model_dir, tmp_path, answers, published
) -> None:
    chosen = {**PAYLOAD, "text": PLAIN, "answers": answers, "marker": answers}
    await play(attacked_config(tiny_model_dir, attacks=[chosen], configurations=THREE[1:]), tmp_path)
    attackers = [line for line in lines_of(tmp_path, "attacked") if line["kind"] == "attacker"]
    assert {line["groups_published"] for line in attackers} == {published}


async def test_a_payload_is_found_where_honest_nodes_write_it(tiny_model_dir, tmp_path) -> None:
    letter = {**PAYLOAD, "text": "<answer>{answer}</answer>e", "marker": "e"}
    config = attacked_config(tiny_model_dir, attacks=[letter], configurations=[ATTACKED])
    await play(config, tmp_path)
    shares = [line["payload_share"] for line in lines_of(tmp_path, "2_2") if line["kind"] == "node"]
    assert len(shares) == 9  # nobody attacks, and it is looked for all the same
    assert 0 < max(shares) < 1


async def test_a_killed_run_with_attackers_resumes_to_the_same_course(tiny_model_dir, tmp_path) -> None:
    config = attacked_config(tiny_model_dir, configurations=THREE[1:])
    await play(config, tmp_path / "whole")
    with pytest.raises(KilledError):
        await play(config, tmp_path / "killed", Watched(kill_after=3))
    await play(config, tmp_path / "killed")

    def course(folder: Path) -> Lines:
        found = [line for line in lines_of(folder, "attacked") if line["kind"] != "resumed"]
        return [
            {k: v for k, v in line.items() if k not in ("seconds", "cpu_seconds", "plan")} for line in found
        ]

    assert course(tmp_path / "killed") == course(tmp_path / "whole")


async def test_the_report_tells_attack_success_against_the_same_without_attackers(
    tiny_model_dir, tmp_path
) -> None:
    await play(attacked_config(tiny_model_dir), tmp_path)
    write_report(tmp_path, with_plots=False)
    [attack] = json.loads((tmp_path / "report.json").read_text())["attacks"]
    assert (attack["label"], attack["kind"], attack["attackers"]) == ("attacked", "out_of_context", 2)
    assert attack["control"] == "clean"
    assert attack["payload_end"]["mean"] == attack["payload_peak"]["mean"] == 0
    assert attack["length_end"]["mean"] > 0
    assert attack["held_out_difference"]["mean"] == 0
    assert "| attacked | out_of_context | 2 | 0.000 | 0.000 |" in (tmp_path / "report.md").read_text()
