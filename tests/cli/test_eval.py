"""swarmd eval with a real policy, a real sandbox and a checkpoint on disk."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from protocol import Manifest
from swarmd.cli import evaluate as evaluate_command
from swarmd.cli import subject as subject_module
from swarmd.cli.evaluate import Exam, _take
from swarmd.cli.exam_progress import ExamProgress
from swarmd.cli.subject import Subject, Wanted
from swarmd.config import PolicyConfig
from swarmd.errors import ModelError
from swarmd.images import Images
from swarmd.model import Base
from swarmd.policy import Policy
from swarmd.rollout import GenerationStoppedError
from swarmd.storage import Checkpoints, Home
from swarmd.tasks import Exchange, Score, TaskRunner, held_out_seed, load_manifest

MANIFEST = """
name = "two"
genesis = 2026-01-01T00:00:00Z
round_seconds = 15
reward = "exact"
max_new_tokens = 4
records_per_round_max = 4

[[tasks]]
name = "greatest divisor"
source = "reasoning_gym"
dataset = "gcd"
weight = 1

[[tasks]]
name = "bits"
source = "reasoning_gym"
dataset = "count_bits"
weight = 1
"""


@pytest.fixture(scope="module")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The manifest's file."""
    path = tmp_path_factory.mktemp("tasks") / "two.toml"
    path.write_text(MANIFEST)
    return path


@pytest.fixture(scope="module")
def manifest(tasks: Path) -> Manifest:
    """Read once: a worker tries the tasks of a file, which takes seconds."""
    return load_manifest(str(tasks))


@pytest.fixture
def home(tmp_path: Path, manifest: Manifest) -> Home:
    home = Home.open(tmp_path / "h")
    home.write_manifest(manifest.to_bytes())
    return home


def save(home: Home, weights: Policy, step: int, **state: Any) -> None:
    checkpoints = Checkpoints(home.checkpoints_path, keep=2)
    checkpoints.save(step, tensors=weights.trainable_state(), optimizer={}, state=state)


def evaluate(swarmd, home: Home, *arguments: object):
    return swarmd("eval", "--home", home.path, "--questions", 6, "--seed", 1, *arguments)


def test_json_has_success_interval_and_tasks(swarmd, home, tiny_model_dir) -> None:
    first = evaluate(swarmd, home, "--model", tiny_model_dir, "--json")
    assert first.code == 0, first.err
    assert "loading PyTorch and the model, which then answers 6 questions\n" in first.err
    result = json.loads(first.out)
    assert set(result) >= {"success", "questions", "interval", "tasks", "step", "model"}
    assert (result["questions"], result["step"], result["model"]) == (6, 0, str(tiny_model_dir))
    assert set(result["tasks"]) == {"greatest divisor", "bits"}
    assert all(task["questions"] == 3 for task in result["tasks"].values())
    low, high = result["interval"]
    assert 0 <= low <= result["success"] <= high <= 1


def test_the_newest_whole_checkpoint_is_scored_even_while_a_daemon_runs(
    swarmd, home, tiny_model_dir, make_policy
) -> None:
    save(home, make_policy(lora_rank=2), 4, policy={"model": str(tiny_model_dir), "lora_rank": 2})
    save(home, make_policy(lora_rank=2), 8, policy={"model": str(tiny_model_dir), "lora_rank": 2})
    newest = max(home.checkpoints_path.iterdir())
    (newest / "weights.safetensors").write_bytes(b"gone")
    with home.lock():
        outcome = evaluate(swarmd, home, "--json")
    assert outcome.code == 0, outcome.err
    assert json.loads(outcome.out)["step"] == 4
    assert f"warning: checkpoint {newest} is damaged" in outcome.err


def test_a_model_without_a_home_is_scored_as_it_is_published_and_makes_none(
    swarmd, tiny_model_dir, tmp_path
) -> None:
    arguments = ("eval", "--model", tiny_model_dir, "--questions", 4, "--samples", 4, "--json")
    first = swarmd(*arguments)
    assert first.code == 0, first.err
    result = json.loads(first.out)
    assert (result["model"], result["weights"], result["step"]) == (str(tiny_model_dir), "untrained", 0)
    assert (result["seed"], result["swarm"]) == (held_out_seed(load_manifest("starter")), "starter")
    assert (result["samples"], result["temperature"]) == (4, 1.0)
    for scored in (result, *result["tasks"].values()):
        assert list(scored["pass_at"]) == ["1", "2", "4"]
    assert not (tmp_path / ".swarmd").exists()
    assert swarmd(*arguments).out == first.out, "the same command gives the same numbers"


def test_untrained_weights_are_shown_the_examples_of_the_settings(
    swarmd, home, tiny_model_dir, tasks, make_policy, monkeypatch
) -> None:
    shown: list[int] = []

    async def solved(runner: object, manifest: object, count: int) -> tuple[()]:
        shown.append(count)
        return ()

    monkeypatch.setattr(evaluate_command, "solved_examples", solved)
    monkeypatch.setenv("SWARMD_POLICY__EXAMPLES", "2")
    asked = ("eval", "--tasks", tasks, "--questions", 2)
    assert swarmd(*asked, "--model", tiny_model_dir).code == 0
    assert swarmd(*asked, "--model", tiny_model_dir, "--examples", 1).code == 0
    save(home, make_policy(), 4, policy={"model": str(tiny_model_dir), "lora_rank": None})
    assert swarmd(*asked, "--home", home.path).code == 0, "weights have the examples of their training"
    assert shown == [2, 1]


def test_the_vision_model_answers_about_images_unless_another_is_named(swarmd, tmp_path, monkeypatch) -> None:
    planned: list[str] = []

    def plan(config: PolicyConfig, *_: object, **__: object) -> None:
        planned.append(config.model)
        raise ModelError("this far")

    monkeypatch.setattr("swarmd.policy.prepare_plan", plan)
    Home.open(tmp_path / "fresh")
    for more in ((), ("--model", "embedded")):
        swarmd("eval", "--tasks", "visual", "--questions", 2, "--home", tmp_path / "fresh", *more)
    assert planned == ["embedded-visual", "embedded"]


def test_a_named_checkpoint_is_asked_as_it_was_trained_and_not_as_the_home(tmp_path) -> None:
    of_home = PolicyConfig(stop=("</answer>",), template_args={"enable_thinking": False}, temperature=0.5)
    earlier: Any = SimpleNamespace(state={"policy": {"model": "embedded"}})
    for checkpoint, settings in ((tmp_path, {}), (None, {})):
        wanted = Wanted(tmp_path, False, checkpoint, settings)
        found = subject_module._policy_config(of_home, earlier, wanted)
        kept = checkpoint is None
        assert (found.stop, found.template_args) == (
            (of_home.stop, of_home.template_args) if kept else ((), {})
        )
        assert found.temperature == 0.5
    flags = Wanted(tmp_path, False, tmp_path, {"policy": {"stop": ["."]}})
    assert subject_module._policy_config(of_home, earlier, flags).stop == (".",)


def test_a_home_in_the_environment_does_not_outdo_a_model_on_the_command_line(
    swarmd, home, tiny_model_dir, make_policy, monkeypatch
) -> None:
    save(home, make_policy(), 4, policy={"model": str(tiny_model_dir), "lora_rank": None})
    monkeypatch.setenv("SWARMD_HOME", str(home.path))
    asked = ("eval", "--questions", 2, "--json")
    weights = [
        json.loads(swarmd(*asked, *named).out)["weights"]
        for named in (("--model", tiny_model_dir), (), ("--home", home.path, "--model", tiny_model_dir))
    ]
    [trained] = home.checkpoints_path.iterdir()
    assert weights == ["untrained", str(trained), str(trained)]


def test_an_adapter_is_not_scored_on_another_base_than_its_own(
    swarmd, home, tiny_model_dir, make_policy
) -> None:
    trained = {"model": str(tiny_model_dir), "lora_rank": 2}
    base = Base(str(tiny_model_dir), None, "0" * 64).to_state()
    save(home, make_policy(lora_rank=2), 4, policy=trained, base=base)
    outcome = evaluate(swarmd, home)
    assert outcome.code == 1
    assert "works only on its own base" in outcome.err


def test_a_checkpoint_is_scored_wherever_it_is_whatever_the_default_home_s_settings(
    swarmd, home, tasks, tiny_model_dir, make_policy, tmp_path
) -> None:
    save(home, make_policy(lora_rank=2), 4, policy={"model": str(tiny_model_dir), "lora_rank": 2})
    elsewhere = home.checkpoints_path.rename(tmp_path / "elsewhere")
    [directory] = elsewhere.iterdir()
    (tmp_path / ".swarmd").mkdir()
    (tmp_path / ".swarmd" / "config.toml").write_text('[policy]\nmodel = "another"\nlora_rank = 8\n')
    named = ("--checkpoint", directory / "weights.safetensors", "--tasks", tasks)
    outcome = swarmd("eval", *named, "--questions", 2, "--json")
    assert outcome.code == 0, outcome.err
    result = json.loads(outcome.out)
    assert (result["model"], result["step"]) == (str(tiny_model_dir), 4)
    assert result["weights"] == str(directory)
    assert (result["samples"], result["temperature"], result["pass_at"]) == (0, None, {})


def test_what_is_no_whole_checkpoint_is_named_with_the_remedy(swarmd, home, make_policy) -> None:
    save(home, make_policy(), 4)
    [directory] = home.checkpoints_path.iterdir()
    (directory / "weights.safetensors").write_text("junk")
    missing, cut = "weights.safetensors is missing", "weights.safetensors has 4 bytes"
    for path, problem, code in ((home.path, missing, 2), (directory, cut, 1)):
        outcome = swarmd("eval", "--checkpoint", path)
        assert outcome.code == code
        assert f"--checkpoint {path}: there are no whole weights ({problem}" in outcome.err
        assert "give a directory such as" in outcome.err


def test_whole_weights_with_damaged_counters_are_scored_aloud(
    swarmd, home, make_policy, tiny_model_dir
) -> None:
    save(home, make_policy(), 4)
    [directory] = home.checkpoints_path.iterdir()
    (directory / "state.json").write_text("junk")
    named = ("--checkpoint", directory, "--model", tiny_model_dir, "--tasks", "starter")
    outcome = swarmd("eval", *named, "--questions", 2, "--json")
    assert outcome.code == 0, outcome.err
    assert json.loads(outcome.out)["step"] == 4
    assert f"warning: {directory} is damaged, but its weights are whole and are used" in outcome.err


def test_a_home_in_which_all_is_damaged_is_not_scored_as_untrained(swarmd, home, make_policy) -> None:
    save(home, make_policy(), 4)
    [directory] = home.checkpoints_path.iterdir()
    (directory / "state.json").write_text("junk")
    outcome = swarmd("eval", "--home", home.path)
    assert outcome.code == 1
    assert "none of the checkpoints in" in outcome.err
    assert directory.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--checkpoint", "absent"), "'absent' does not exist"),
        (("--samples", 65), "--samples: input should be less than or equal to 64 (got '65')"),
        (("--temperature", 0), "--temperature"),
    ],
)
def test_a_flag_that_cannot_be_is_refused(swarmd, home, arguments, message) -> None:
    outcome = evaluate(swarmd, home, *arguments)
    assert outcome.code == 2
    assert message in outcome.err


def test_the_tables_are_for_people_and_say_which_weights_were_scored(swarmd, home, tiny_model_dir) -> None:
    out = evaluate(swarmd, home, "--model", tiny_model_dir, "--constant", "--samples", 2).out
    assert "untrained, greedy, on held-out questions of two" in out
    assert "2 samples of each at temperature 1" in out
    assert "pass@2" in out
    for column in ("task", "success", "95% interval", "constant answer", "questions"):
        assert column in out
    assert [line.split()[0] for line in out.splitlines() if line.startswith("all")] == ["all", "all", "all,"]


def test_a_task_s_name_is_shown_as_it_is_written_and_not_as_markup(
    swarmd, home, manifest, tiny_model_dir
) -> None:
    divisor, bits = manifest.tasks
    odd = bits.model_copy(update={"name": "[/bits] [red]"})
    home.write_manifest(manifest.model_copy(update={"tasks": (divisor, odd)}).to_bytes())
    outcome = evaluate(swarmd, home, "--model", tiny_model_dir)
    assert outcome.code == 0, outcome.err
    assert "[/bits] [red]" in outcome.out


def test_a_corrupt_manifest_in_the_home_is_named_with_the_remedy(swarmd, home) -> None:
    home.write_manifest(b"junk")
    outcome = swarmd("eval", "--home", home.path)
    assert outcome.code == 2
    assert f"{home.manifest_path} is not a manifest" in outcome.err
    assert "move it away" in outcome.err


def test_a_checkpoint_of_another_model_is_named_with_the_remedy(
    swarmd, home, tiny_model_dir, make_policy
) -> None:
    save(home, make_policy(lora_rank=2), 4)
    outcome = evaluate(swarmd, home, "--model", tiny_model_dir)
    assert outcome.code == 1
    assert "the saved weights belong to another model" in outcome.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--model", "no-such-model"), "--model 'no-such-model' is neither a directory nor a hub id"),
        (("--device", "tpu"), "--device 'tpu' is not known"),
    ],
)
def test_a_model_or_device_that_is_not_there_is_named(swarmd, home, arguments, message) -> None:
    outcome = evaluate(swarmd, home, *arguments)
    assert outcome.code == 2
    assert message in outcome.err
    assert "Traceback" not in outcome.err


def test_an_unknown_swarm_and_an_absent_home_are_named(swarmd, home, tmp_path) -> None:
    unknown = swarmd("eval", "--home", home.path, "--tasks", "nonesuch")
    assert unknown.code == 2
    assert "nonesuch" in unknown.err
    assert "there is no swarmd home at" in swarmd("eval", "--home", tmp_path / "absent").err


def test_answers_that_could_not_be_scored_are_told(swarmd, home, tiny_model_dir, monkeypatch) -> None:
    async def lost(self: TaskRunner, items: Any) -> list[list[Score]]:
        return [[Score(0.0, "timeout") for _ in texts] for _, texts in items]

    monkeypatch.setattr(TaskRunner, "score", lost)
    outcome = evaluate(swarmd, home, "--model", tiny_model_dir, "--json")
    assert outcome.code == 0, outcome.err
    assert "6 of 6 greedy answers could not be scored" in outcome.err


class Interrupted:
    """Is interrupted while it answers, and answers until it is told to stop."""

    interrupt: Callable[[], object]
    told = False

    def fits(self, question: str, exchanges: Sequence[Exchange] = (), images: Images = ()) -> bool:
        return True

    def render(self, question: str, exchanges: Sequence[Exchange] = (), images: Images = ()) -> list[int]:
        return [1]

    def greedy(
        self, prompts: Any, max_new_tokens: int, *, progress: Any, should_stop: threading.Event
    ) -> Any:
        self.interrupt()
        self.told = should_stop.wait(30)
        raise GenerationStoppedError


async def test_an_interrupt_does_not_wait_for_the_model_s_last_token(manifest) -> None:
    policy: Any = Interrupted()
    exam = Exam(manifest, seed=1, questions=2, samples=0, constant=False, examples=None)
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(1) as threads:
        loop.set_default_executor(threads)
        async with asyncio.TaskGroup() as group:
            taken = group.create_task(_take(Subject(policy, "any", "untrained", 0), exam, ExamProgress()))
            policy.interrupt = lambda: loop.call_soon_threadsafe(taken.cancel)
    assert taken.cancelled()
    assert policy.told
