"""What a manifest may say about judges, and what it may not."""

from __future__ import annotations

import json

import pytest

from protocol import KeyPair
from swarmd.errors import ConfigError
from swarmd.tasks.draw import TrainingDraw
from swarmd.tasks.judge_rules import JUDGES_MAX, JudgeRule, judges_of, rules_of, why_unfit, without_judges
from swarmd.tasks.manifest import read_swarm_file

HEAD = """\
name = "judged"
genesis = 2026-01-01T00:00:00Z
round_seconds = 30
reward = "exact"
max_new_tokens = 64
records_per_round_max = 8

[[tasks]]
dataset = "gcd"
[tasks.config]
min_numbers = 2
"""
AGREEMENT = '[[tasks.judges]]\nkind = "agreement"\nquestions = 5\n'


def read(text):
    return read_swarm_file("judged.toml", text)[0].manifest


def test_judges_travel_as_an_option_of_the_task_and_change_its_id():
    plain, judged = read(HEAD).tasks[0], read(HEAD + AGREEMENT).tasks[0]
    assert json.loads(judged.config)["judges"] == [{"kind": "agreement", "questions": 5}]
    assert judges_of(judged.config) == (JudgeRule("agreement", questions=5),)
    assert judges_of(plain.config) == ()
    assert plain.task_id != judged.task_id
    assert without_judges(json.loads(judged.config)) == json.loads(plain.config)


@pytest.mark.parametrize(
    ("judge", "why"),
    [
        ('kind = "oracle"', "a judge needs a kind: verifier, agreement"),
        ('kind = "generative"\nmodel = "../mine"', "a path means nothing to other peers"),
        ('kind = "generative"\nmodel = "/home/me/model"', "a path means nothing to other peers"),
        ('kind = "agreement"\nmodel = "embedded"', "remove it from agreement"),
        ('kind = "verifier"\nweight = 0', "weight must be a whole number from 1 to 100"),
        ('kind = "verifier"\nweight = 1.5', "weight must be a whole number from 1 to 100"),
        ('kind = "verifier"\nwieght = 2', "no key 'wieght'"),
        ('kind = "verifier"\nquestions = 2', "questions applies to agreement"),
    ],
)
def test_a_wrong_judge_is_named_with_its_line(judge, why):
    with pytest.raises(ConfigError, match=r"line 12, tasks\.0\.judges\.0") as caught:
        read(HEAD + f"[[tasks.judges]]\n{judge}\n")
    assert why in str(caught.value)


@pytest.mark.parametrize("tables", [[], {}, "agreement", [{"kind": "verifier"}] * (JUDGES_MAX + 1)])
def test_judges_are_a_short_list(tables):
    with pytest.raises(ValueError, match=f"a list of 1 to {JUDGES_MAX}"):
        rules_of(tables)


def test_the_same_judge_twice_is_refused():
    with pytest.raises(ValueError, match="listed twice"):
        rules_of([{"kind": "agreement"}, {"kind": "agreement", "weight": 2}])


def test_judges_in_config_and_beside_it_are_refused():
    with pytest.raises(ConfigError, match="beside config and inside it"):
        read(HEAD + 'judges = [{ kind = "verifier" }]\n' + AGREEMENT)


@pytest.mark.parametrize(
    ("kind", "turns", "images", "why"),
    [
        ("agreement", 3, False, "remove it from a task of several turns, or use generative"),
        ("agreement", 1, True, None),
        ("verifier", 3, True, None),
        ("generative", 3, False, None),
        ("reward_model", 3, False, None),
        ("generative", 1, True, "generative reads text only and cannot see the images"),
        ("reward_model", 1, True, "reward_model reads text only"),
    ],
)
def test_a_judge_that_cannot_judge_such_a_task_is_refused_with_the_reason(kind, turns, images, why):
    found = why_unfit([JudgeRule("verifier"), JudgeRule(kind)], turns=turns, images=images)
    assert found is None if why is None else found is not None and why in found


def test_peers_of_an_agreement_are_asked_the_same_few_questions():
    manifest = read(HEAD + AGREEMENT)

    def seeds(peer):
        draw = TrainingDraw(manifest, KeyPair.from_seed(bytes([peer]) * 32).peer_id, seed=peer)
        return {draw.next_spec().seed for _ in range(200)}

    assert seeds(1) == seeds(2)
    assert len(seeds(1)) == 5
