"""A peer that is killed comes back as the same peer: counters, randomness, weights, optimiser."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from pydantic import JsonValue, ValidationError

from swarmd.config import LearningConfig, PolicyConfig
from swarmd.errors import ConfigError, ModelError, StorageError
from swarmd.images import Image
from swarmd.learning import Trainer
from swarmd.observe import SelfEvaluation
from swarmd.step import progress as saved_progress
from swarmd.step.progress import Progress
from swarmd.step.trained_on import examples_of
from swarmd.storage import Checkpoint, Checkpoints
from swarmd.tasks import Example, Exchange
from tests.daemon.fakes import external_group

PROMPT = "What is 1 + 1?"


def drawn(progress: Progress) -> tuple[list[float], list[float], float]:
    """The next random numbers of each kind."""
    gauss = progress.drawing_rng.gauss(0.0, 1.0)
    return (
        [progress.drawing_rng.random() for _ in range(5)],
        torch.rand(5, generator=progress.sampling_rng).tolist(),
        gauss,
    )


def used(seed: int = 1) -> Progress:
    progress = Progress.fresh(seed)
    drawn(progress)
    progress.step, progress.questions_drawn = 7, 91
    progress.evaluation = SelfEvaluation(step=5, success=0.5, interval=(0.1, 0.9), questions=4)
    progress.experience.see_own([external_group(1, publisher="me")])
    progress.experience.see_external({"other": 0.75})
    progress.rehearsal.see([], [external_group(2, publisher="other")])
    progress.study.see([external_group(3, publisher="other")])
    return progress


def checkpoint_with(examples: JsonValue) -> Checkpoint:
    return Checkpoint(1, {}, {}, {"examples": examples}, Path("checkpoint"))


def test_a_restored_progress_draws_what_the_saved_one_would_have_drawn():
    progress = used()
    state = json.loads(json.dumps(progress.to_state()))
    expected = drawn(progress)
    restored = Progress.fresh(2)
    restored.restore(state)
    assert drawn(restored) == expected
    assert (restored.step, restored.saved_step, restored.questions_drawn) == (7, 7, 91)
    assert restored.experience.success == progress.experience.success != {}
    assert restored.experience.surprisal == {"other": 0.75}
    assert restored.rehearsal.to_state() == progress.rehearsal.to_state() != {"others": {}, "own": {}}
    assert restored.study.to_state() == progress.study.to_state() != {}
    assert restored.evaluation == progress.evaluation


def test_a_state_of_before_experience_and_evaluation_were_kept_starts_them_anew():
    state = used().to_state()
    del state["experience"], state["evaluation"]
    restored = Progress.fresh(2)
    restored.restore(state)
    assert restored.experience.success == {}
    assert restored.evaluation is None


def test_seeds_decide():
    assert drawn(Progress.fresh(3)) == drawn(Progress.fresh(3))
    assert drawn(Progress.fresh(3)) != drawn(Progress.fresh(4))


@pytest.mark.parametrize("damage", [{"step": "seven"}, {"rng": [3, [1, 2], None, 4]}, {"generator": 5}])
def test_a_state_of_another_kind_is_refused(damage):
    with pytest.raises(ValidationError):
        Progress.fresh(1).restore(used().to_state() | damage)


def test_a_checkpoint_holds_everything(make_policy, tmp_path: Path):
    policy, progress = make_policy(), used()
    trainer = Trainer(policy, LearningConfig(warmup_steps=0, learning_rate=0.01))
    trainer.step([], [external_group(1, publisher="other")])
    checkpoints = Checkpoints(tmp_path, 2)
    saved_progress.save(checkpoints, progress, policy, trainer, PolicyConfig())
    assert progress.saved_step == 7
    expected = policy.generate([policy.render(PROMPT)], 3, rng=progress.sampling_rng)
    trainer.step([], [external_group(2, publisher="other")])
    next_draw = progress.drawing_rng.random()

    again, found = make_policy(), Progress.fresh(99)
    fresh_trainer = Trainer(again, LearningConfig(warmup_steps=0, learning_rate=0.01))
    checkpoint = checkpoints.load_latest()
    assert checkpoint is not None
    saved_progress.resume(checkpoint, found, again, fresh_trainer)
    assert (found.step, found.saved_step, found.questions_drawn) == (7, 7, 91)
    assert again.generate([again.render(PROMPT)], 3, rng=found.sampling_rng) == expected
    fresh_trainer.step([], [external_group(2, publisher="other")])
    assert found.drawing_rng.random() == next_draw
    assert fresh_trainer.steps == trainer.steps == 2
    for name, tensor in policy.trainable_state().items():
        assert torch.equal(tensor, again.trainable_state()[name]), name


def test_a_checkpoint_of_another_model_is_refused_with_the_remedy(make_policy, tmp_path: Path):
    policy = make_policy()
    checkpoints = Checkpoints(tmp_path, 2)
    saved_progress.save(checkpoints, used(), policy, Trainer(policy, LearningConfig()), PolicyConfig())
    checkpoint = checkpoints.load_latest()
    assert checkpoint is not None
    other = make_policy()
    other.family = "llama-7B"
    with pytest.raises(ConfigError, match="--model") as caught:
        saved_progress.resume(checkpoint, Progress.fresh(1), other, Trainer(other, LearningConfig()))
    assert "llama-7B" in str(caught.value)
    assert policy.family in str(caught.value)


def test_weights_do_not_fit_an_adapter(make_policy, tmp_path: Path):
    policy = make_policy()
    checkpoints = Checkpoints(tmp_path, 2)
    saved_progress.save(checkpoints, used(), policy, Trainer(policy, LearningConfig()), PolicyConfig())
    checkpoint = checkpoints.load_latest()
    assert checkpoint is not None
    adapted, progress = make_policy(lora_rank=4), Progress.fresh(1)
    with pytest.raises(ModelError, match="LoRA"):
        saved_progress.resume(checkpoint, progress, adapted, Trainer(adapted, LearningConfig()))
    assert progress.step == 0


def test_a_disk_that_refuses_leaves_the_progress_unsaved(make_policy, tmp_path: Path):
    (tmp_path / "file").write_text("in the way")
    policy, progress = make_policy(), used()
    trainer, checkpoints = Trainer(policy, LearningConfig()), Checkpoints(tmp_path / "file", 2)
    with pytest.raises(StorageError, match="checkpoints"):
        saved_progress.save(checkpoints, progress, policy, trainer, PolicyConfig())
    assert progress.saved_step == 0


def test_steps_of_another_peer_are_not_claimed_and_its_weights_are_used(make_policy, tmp_path: Path):
    policy, checkpoints = make_policy(), Checkpoints(tmp_path, 2)
    saved_progress.save(
        checkpoints, used(), policy, Trainer(policy, LearningConfig()), PolicyConfig(), "former"
    )
    checkpoint = checkpoints.load_latest()
    assert checkpoint is not None
    for peer_id, step in (("former", used().step), ("new", 0)):
        progress = Progress.fresh(1)
        told = saved_progress.resume(checkpoint, progress, policy, Trainer(policy, LearningConfig()), peer_id)
        assert progress.step == step
        assert bool(told) is (peer_id == "new")


def test_the_checkpoint_of_the_best_evaluation_is_kept(make_policy, tmp_path: Path):
    policy, checkpoints, progress = make_policy(), Checkpoints(tmp_path, 2), Progress()
    trainer = Trainer(policy, LearningConfig())
    best = []
    for step, success in ((1, 0.1), (2, 0.5), (3, 0.5), (4, 0.2), (5, 0.3), (6, 0.4)):
        progress.step = step
        found = SelfEvaluation(step=step, success=success, interval=(0.0, 1.0), questions=10)
        best += [step] * progress.see_evaluation(found, [b"these"])
        saved_progress.save(checkpoints, progress, policy, trainer, PolicyConfig())
    assert best == [1, 2]
    assert sorted(int(path.name.rpartition("-")[2]) for path in tmp_path.iterdir()) == [2, 5, 6]
    again = Progress()
    checkpoint = checkpoints.load_latest()
    assert checkpoint is not None
    saved_progress.resume(checkpoint, again, policy, trainer)
    assert again.best is not None
    assert again.best.step == 2
    lower = found.model_copy(update={"step": 7, "success": 0.05})
    again.asked = ()  # as in a checkpoint of an earlier version
    assert not again.see_evaluation(lower, [b"these"])
    assert again.see_evaluation(lower, [b"others"]), "after a change of the rules there are other questions"
    assert again.best == lower


def test_a_checkpoint_keeps_the_examples_it_was_trained_with(make_policy, tmp_path: Path):
    policy, progress = make_policy(), used()
    policy.examples = (
        Example("2+2?", "4"),
        Example("Guess.", "7", (Exchange("<answer>5</answer>", "It is higher."),)),
        Example("What is it?", "red", (), (Image(1, 1, bytes((255, 0, 128))),)),
    )
    trainer = Trainer(policy, LearningConfig())
    checkpoints = Checkpoints(tmp_path, 1)
    saved_progress.save(checkpoints, progress, policy, trainer, PolicyConfig())
    other = make_policy()
    checkpoint = checkpoints.load_latest()
    saved_progress.resume(checkpoint, Progress.fresh(1), other, Trainer(other, LearningConfig()))
    assert other.examples == policy.examples
    other.examples = other.examples[:2]  # this model sees nothing
    assert "It is higher." in other.tokenizer.hf.decode(other.render("3+3?"))


def test_examples_of_an_older_checkpoint_are_pairs_and_are_still_read():
    assert examples_of(checkpoint_with([["2+2?", "4"]])) == (Example("2+2?", "4"),)


@pytest.mark.parametrize("damaged", ["4", [["2+2?"]], [["What is it?", "red", [], [[2, 2, "AAAA"]]]]])
def test_examples_that_are_damaged_are_refused(damaged: JsonValue):
    with pytest.raises(ConfigError, match=r"not solved questions.*swarmd check"):
        examples_of(checkpoint_with(damaged))
