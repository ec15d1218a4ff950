"""Training on CUDA: the loss and gradient of the CPU, within the planned memory."""

from itertools import pairwise

import pytest
import torch

from swarmd.config import LearningConfig, PolicyConfig
from swarmd.groups import ScoredCompletion, ScoredGroup
from swarmd.hardware.arrangement import Workload
from swarmd.learning import Trainer
from swarmd.policy import load_policy, prepare_plan

QUESTIONS = ["What is 3 + 4?", "Which of 5, 9 and 2 is the largest number?", "Reverse the word abc."]
WORK = Workload(own_groups=3, external_groups=0, group_size=4, new_tokens=12, prompt_tokens=64)


def loaded(device, dtype="float32", **more):
    config = PolicyConfig(device=device, dtype=dtype, **more)
    plan = prepare_plan(config, WORK).plan
    return load_policy(config, plan, max_new_tokens=12), plan


def groups_of(policy, samples):
    return [
        ScoredGroup(
            publisher="",
            task_id=bytes(16),
            task_name="cuda",
            question=question,
            completions=tuple(
                ScoredCompletion.from_sample(sample, float(index % 2)) for index, sample in enumerate(group)
            ),
            round=0,
            step=0,
            model=policy.family,
            tokenizer=policy.tokenizer_fingerprint,
            digest=None,
            external=False,
        )
        for question, group in zip(QUESTIONS, samples, strict=True)
    ]


def written_on_cpu():
    policy, _ = loaded("cpu")
    rng = torch.Generator().manual_seed(3)
    prompts = [policy.render(question) for question in QUESTIONS]
    return policy, policy.generate(prompts, 4, rng=rng)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-3), ("bfloat16", 0.1)])
def test_a_step_on_cuda_has_the_loss_and_gradient_norm_of_a_step_on_the_cpu(dtype, tolerance):
    cpu, samples = written_on_cpu()
    learning = LearningConfig(learning_rate=1e-4, warmup_steps=0)
    expected = Trainer(cpu, learning).step(groups_of(cpu, samples), [])
    cuda, plan = loaded("cuda", dtype)
    assert plan.device == "cuda:0"
    found = Trainer(cuda, learning).step(groups_of(cuda, samples), [])
    assert found.updated
    assert found.loss == pytest.approx(expected.loss, rel=tolerance, abs=tolerance)
    assert found.grad_norm == pytest.approx(expected.grad_norm, rel=tolerance)


@pytest.mark.parametrize("more", [{}, {"lora_rank": 4}])
def test_many_steps_on_cuda_stay_within_the_planned_memory(more):
    torch.cuda.reset_peak_memory_stats()
    policy, plan = loaded("cuda", "bfloat16", **more)
    trainer = Trainer(policy, LearningConfig(learning_rate=1e-4))
    rng = torch.Generator().manual_seed(3)
    prompts = [policy.render(question) for question in QUESTIONS]
    held = []
    for _ in range(4):
        trainer.step(groups_of(policy, policy.generate(prompts, 4, rng=rng)), [])
        torch.cuda.synchronize()
        held.append(torch.cuda.memory_allocated())
    assert all(later <= earlier for earlier, later in pairwise(held[1:])), held
    assert torch.cuda.max_memory_allocated() <= plan.predicted_peak_bytes


def test_the_model_writes_on_cuda_what_it_writes_on_the_cpu():
    _, expected = written_on_cpu()
    policy, _ = loaded("cuda")
    prompts = [policy.render(question) for question in QUESTIONS]
    found = policy.generate(prompts, 4, rng=torch.Generator().manual_seed(3))
    pairs = [
        (a, b) for one, other in zip(found, expected, strict=True) for a, b in zip(one, other, strict=True)
    ]
    # One token near a boundary of the sampler may differ by rounding, and what follows it.
    assert sum(a.text == b.text for a, b in pairs) >= len(pairs) - 1
