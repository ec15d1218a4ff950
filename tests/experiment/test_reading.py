"""What cannot run as it is written is refused with file, line and key, before anything runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from swarmd.errors import ConfigError
from swarmd.experiment import read_experiment
from swarmd.experiment.reading import FILE_BYTES_MAX
from swarmd.tasks import load_manifest

GOOD = """name = "small"
nodes = 4
rounds = 10

[learning]
group_size = 4

[[configurations]]
local = 4

[[configurations]]
local = 2
external = 2
"""

ALL = [task.name for task in load_manifest("starter").tasks]


def read(tmp_path: Path, text: str, **given: int):
    path = tmp_path / "experiment.toml"
    path.write_text(text)
    return read_experiment(path, **given)


def refusal(tmp_path: Path, text: str) -> str:
    with pytest.raises(ConfigError) as refused:
        read(tmp_path, text)
    assert str(refused.value).startswith(str(tmp_path / "experiment.toml"))
    return str(refused.value)


def test_a_good_file_is_read_and_the_seeds_given_win(tmp_path) -> None:
    config, manifest = read(tmp_path, GOOD, seeds=5)
    assert (config.seeds, manifest.name) == (5, "starter")
    assert [arm.label for arm in config.configurations] == ["4/0", "2/2"]
    assert config.baseline_label == "4/0"
    learning = config.learning_of(config.configurations[1], 1e-4)
    assert (learning.local, learning.external, learning.group_size) == (2, 2, 4)


@pytest.mark.parametrize(
    ("changed", "into", "words"),
    [
        ("rounds = 10", "rouns = 10", ["line 3", "rouns", "did you mean 'rounds'"]),
        ("rounds = 10", "rounds = 0", ["line 3", "rounds"]),
        ("rounds = 10\n", "", ["rounds", "missing"]),
        ("group_size", "groupsize", ["line 6", "learning.groupsize", "did you mean 'group_size'"]),
        ("group_size = 4", "group_size = 1", ["line 6", "learning.group_size"]),
        ("group_size = 4", "local = 4", ["line 6", "learning.local", "configurations"]),
        ("group_size = 4", "learning_rate = 1e-4", ["learning.learning_rate", "learning_rates"]),
        ("group_size = 4", 'schedule = "cosine"', ["total_steps"]),
        ("local = 4", "local = 0", ["line 9", "configurations.0.local"]),
        (
            "group_size = 4",
            "study = 1\nstudy_from = 10",
            ["line 7", "learning.study_from: is 10, but 4/0 has 10 rounds"],
        ),
        (
            "external = 2",
            "external = 2\nrounds = 4\nlearning = {study = 1, study_from = 4}",
            ["configurations.1.learning.study_from: is 4, but 2/2 has 4 rounds"],
        ),
        ("local = 4", "lokal = 4", ["line 9", "configurations.0.lokal", "did you mean 'local'"]),
        ("external = 2", "external = 7", ["2/7", "offer each other 6"]),
        ("external = 2", 'name = "4/0"', ["configurations", "4/0"]),
        ("external = 2", 'kind = "filtered_solo"', ["generated_max"]),
        ("external = 2", 'external = 2\nkind = "filtered_solo"\ngenerated_max = 8', ["external to 0"]),
        ("external = 2", "external = 2\ngenerated_max = 8", ["generated_max"]),
        ("external = 2", 'kind = "replay_solo"\nreplay_rounds = 6', ["replay_uses", "6 and 4"]),
        ("external = 2", "external = 2\nreplay_uses = 4", ["replay_uses are for kind replay_solo"]),
        ("local = 2", "local = 65\nlearning = {group_size = 4}", ["configurations.1.local", "64 groups"]),
        ("rounds = 10", 'rounds = 10\nmodels = ["embedded"]', ["models has 1 entries for 4 nodes"]),
        ("rounds = 10", 'rounds = 10\nbaseline = "9/9"', ["baseline", "9/9"]),
        ("rounds = 10", 'rounds = 10\nexchange = "gloo"', ["line 4", "exchange"]),
        ("rounds = 10", 'rounds = 10\nnode_tasks = [["gcd"], ["gcd"], ["gcf"], ["gcd"]]', ["node 2", "gcf"]),
        ("rounds = 10", 'rounds = 10\nspecialities = [["gcd"]]', ["specialities has 1 entries for 4 nodes"]),
        (
            "rounds = 10",
            'rounds = 10\nspecialities = [["gcd"], ["gcd"], ["gcf"], ["gcd"]]',
            ["line 4", "specialities", "node 2", "gcf"],
        ),
        ("rounds = 10", f"rounds = 10\nspecialities = [{ALL}, ['gcd'], ['gcd'], ['gcd']]", ["node 0", "all"]),
        (
            "rounds = 10",
            "rounds = 10\nheld_out_questions = 3\nspecialities = [['gcd'], ['gcd'], ['gcd'], ['gcd']]",
            ["line 4", "held_out_questions", "at least 8"],
        ),
        ("rounds = 10", "rounds = 10\nlearning_rates = [0.0]", ["line 4", "learning_rates"]),
        ("rounds = 10", "rounds = 10\nlearning_rates = []", ["line 4", "learning_rates"]),
        (
            "rounds = 10",
            "rounds = 10\nlearning_rates = [1e-4, 0.0001]",
            ["line 4", "learning_rates", "twice"],
        ),
        ("local = 4", "local = 4\nlearning_rates = [0.1, 0.1]", ["configurations.0.learning_rates", "twice"]),
        ("rounds = 10", "rounds = ", ["TOML"]),
    ],
)
def test_a_file_that_could_not_run_is_refused_by_the_key(tmp_path, changed, into, words) -> None:
    message = refusal(tmp_path, GOOD.replace(changed, into, 1))
    for word in words:
        assert word in message


@pytest.mark.parametrize(
    ("changed", "into", "word"),
    [
        (
            "[learning]",
            'node_tasks = [["gcd"], ["gcd"], ["gcd"], ["gcd"]]\n[learning]',
            "node_tasks: a daemon",
        ),
        ("external = 2", 'kind = "filtered_solo"\ngenerated_max = 8', "2/0-filtered: kind filtered_solo"),
        ("rounds = 10\n", "rounds = 100_001\n", "a daemon remembers its last 100000 steps"),
    ],
)
def test_what_a_daemon_cannot_do_is_refused_by_the_key(tmp_path, changed, into, word) -> None:
    text = GOOD.replace("rounds = 10", 'rounds = 10\nexchange = "daemons"')
    read(tmp_path, text)
    assert word in refusal(tmp_path, text.replace(changed, into))


def test_a_file_that_is_none_is_refused(tmp_path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read_experiment(tmp_path / "none.toml")
    (tmp_path / "large.toml").write_bytes(b"#" * (FILE_BYTES_MAX + 1))
    with pytest.raises(ConfigError, match="larger than"):
        read_experiment(tmp_path / "large.toml")


@pytest.mark.parametrize("example", sorted(Path("examples").glob("sapo_*.toml")), ids=lambda p: p.stem)
def test_the_examples_are_read(example) -> None:
    config, _ = read_experiment(example)
    assert config.baseline_label is not None


PAPERS = {"8/0", "6/2", "4/4", "2/6"}
CONTROL = "8/0-filtered"


def test_every_attack_of_the_example_is_made_with_the_default_and_the_main_ones_without_it_too() -> None:
    config, _ = read_experiment(Path("examples/poison.toml"))
    arms = {arm.label: arm for arm in config.configurations}
    tokens = {
        label: config.learning_of(arm, config.rates_of(arm)[0]).external_tokens for label, arm in arms.items()
    }
    assert all(found == ("all" if label.endswith("-all") else "verified") for label, found in tokens.items())
    undefended = {label for label in arms if label.endswith("-all")}
    main = {f"{name}-{count}-all" for name in ("after", "before", "long") for count in (1, 3)}
    main.add("inside-3-all")
    assert undefended == main | {"clean-all"}
    for label in main:
        assert arms[label.removesuffix("-all")].attackers == arms[label].attackers
    assert {attack.kind for attack in config.attacks} == {"out_of_context", "in_context", "length"}


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("paper", PAPERS | {CONTROL}),
        ("gpu", PAPERS | {CONTROL}),
        ("small", PAPERS | {CONTROL, "4/4-imitate", "4/2-imitate"}),
        ("dense", {"8/0", "4/4", CONTROL, "4/4-imitate"}),
    ],
)
def test_examples_of_the_papers_experiment_have_its_configurations_and_its_control(name, labels) -> None:
    config, _ = read_experiment(Path(f"examples/sapo_{name}.toml"))
    assert {arm.label for arm in config.configurations} == labels


@pytest.mark.parametrize("swarm", ["n" * 5_000, "~nosuchuser/x", "", "no/such.toml", "/", "strater"])
def test_a_swarm_that_cannot_be_is_told_with_the_line_that_names_it(tmp_path: Path, swarm: str) -> None:
    told = refusal(tmp_path, f'swarm = "{swarm}"\n{GOOD}')
    assert told.startswith(f"{tmp_path / 'experiment.toml'}, line 1: swarm: ")
    assert len(told) < 1_000


def test_no_name_is_quoted_in_full(tmp_path: Path) -> None:
    assert len(refusal(tmp_path, f'baseline = "{"n" * 5_000}"\n{GOOD}')) < 1_000
