"""Our update against TRL's on the same batch: the same loss, the same gradient in every weight."""

import pytest
import torch
from transformers import AutoModelForCausalLM

from swarmd.config import LearningConfig
from swarmd.learning import Trainer
from swarmd.learning.advantages import centred_advantages, group_advantages
from swarmd.logprobs import TokenRow
from swarmd.policy.engines import Subject

QUESTIONS = ["1+1?", "a longer question?"]
GROUP = 6
TEMPERATURE = 0.9
TOKENS_MAX = 12


@pytest.fixture(scope="module")
def trl_trainer(tiny_model_dir, tmp_path_factory):
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    trainer = GRPOTrainer(
        model=AutoModelForCausalLM.from_pretrained(tiny_model_dir, dtype=torch.float32),
        reward_funcs=lambda completions, **_: [0.0] * len(completions),
        train_dataset=Dataset.from_dict({"prompt": QUESTIONS}),
        args=GRPOConfig(
            output_dir=str(tmp_path_factory.mktemp("trl")),
            use_cpu=True,
            bf16=False,
            gradient_checkpointing=False,
            report_to=[],
            loss_type="dapo",
            beta=0.0,
            use_bias_correction_kl=False,  # ours is the plain k3 estimate
            epsilon=0.2,
            epsilon_high=0.28,
            temperature=TEMPERATURE,
            num_generations=GROUP,
            per_device_train_batch_size=GROUP * len(QUESTIONS),
        ),
    )
    trainer.current_gradient_accumulation_steps = 1
    trainer.model.train()
    return trainer


def set_algorithm(trl_trainer, algorithm):
    """TRL's names for ours."""
    trl_trainer.loss_type = {"grpo": "dapo", "dr_grpo": "dr_grpo", "gspo": "grpo"}[algorithm]
    trl_trainer.importance_sampling_level = "sequence" if algorithm == "gspo" else "token"
    trl_trainer.max_completion_length = TOKENS_MAX


def trl_inputs(policy, groups, algorithm):
    """The batch as TRL prepares it: prompts padded left, completions right, advantages per row."""
    advantages_of = centred_advantages if algorithm == "dr_grpo" else group_advantages
    rows = [
        (policy.render(g.question), c, a)
        for g in groups
        for c, a in zip(g.completions, advantages_of(torch.tensor(g.rewards)), strict=True)
    ]
    width = max(len(prompt) for prompt, _, _ in rows)
    length = max(len(c.token_ids) for _, c, _ in rows)

    def right(values, fill):
        return list(values) + [fill] * (length - len(values))

    mask = torch.tensor([right([1] * len(c.token_ids), 0) for _, c, _ in rows])
    inputs = {
        "prompt_ids": torch.tensor([[0] * (width - len(p)) + list(p) for p, _, _ in rows]),
        "prompt_mask": torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p, _, _ in rows]),
        "completion_ids": torch.tensor([right(c.token_ids, 0) for _, c, _ in rows]),
        "completion_mask": mask,
        "advantages": torch.stack([a for _, _, a in rows]),
        "old_per_token_logps": torch.tensor([right(c.logprobs, 0.0) for _, c, _ in rows]),
        "num_items_in_batch": mask.sum(),
    }
    if algorithm == "gspo":  # without them TRL's ratios are to the policy before the update, as ours
        del inputs["old_per_token_logps"]
    return inputs


def move(model, scale):
    """The policy has moved since it sampled: ratios leave 1, and some tokens are clipped."""
    generator = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for _, parameter in sorted(model.named_parameters()):
            parameter.add_(scale * torch.randn(parameter.shape, generator=generator))


@pytest.mark.parametrize(
    ("algorithm", "moved", "kl"),
    [
        ("grpo", 0.0, 0.0),
        ("grpo", 0.03, 0.0),
        ("grpo", 0.03, 0.1),
        ("dr_grpo", 0.03, 0.1),
        ("gspo", 0.03, 0.1),
    ],
)
def test_loss_and_gradients_agree_with_trl(
    make_policy, own_groups, trl_trainer, tiny_model_dir, algorithm, moved, kl
):
    policy = make_policy(max_new_tokens=TOKENS_MAX)
    policy.temperature = TEMPERATURE
    policy.tokenizer.eos_ids = frozenset(range(30)) | policy.tokenizer.eos_ids
    policy._engine = policy._engine_for(Subject(policy.model, policy.tokenizer.pad_id, torch.float32))
    groups = own_groups(policy, QUESTIONS, lambda text: len(set(text)) / 20, size=GROUP)
    assert len({len(c.token_ids) for g in groups for c in g.completions}) > 2, (
        "completions of several lengths"
    )

    inputs = trl_inputs(policy, groups, algorithm)
    config = LearningConfig(
        algorithm=algorithm, warmup_steps=0, max_grad_norm=1e9, kl_coefficient=kl, token_budget=256
    )
    trainer = Trainer(policy, config)
    if kl:
        rows = [
            TokenRow(tuple(policy.render(g.question)), c.token_ids) for g in groups for c in g.completions
        ]
        inputs["ref_per_token_logps"] = policy.reference_logprobs(rows)
    move(policy.model, moved)
    metrics = trainer.step(groups, [])
    assert (metrics.clip_fraction > 0.05) == (moved > 0 and algorithm != "gspo")

    theirs = trl_trainer.model
    theirs.load_state_dict(AutoModelForCausalLM.from_pretrained(tiny_model_dir).state_dict())
    move(theirs, moved)
    theirs.zero_grad()
    trl_trainer.beta = kl
    set_algorithm(trl_trainer, algorithm)
    loss = trl_trainer.compute_loss(theirs, inputs)
    loss.backward()

    assert metrics.loss == pytest.approx(loss.item(), abs=1e-5)
    ours = trainer.state_dict()
    for name, parameter in theirs.named_parameters():
        gradient = ours[f"optimizer/exp_avg/{name}"] / 0.1  # Adam's first moment after one step
        assert torch.allclose(gradient, parameter.grad, atol=1e-5), name
