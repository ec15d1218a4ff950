"""Determines which models judge on this peer, how much memory they need, and loads them.

The manifest names the models that the swarm expects. `learning.judge` and `learning.reward_model` override
them for this peer, because each peer uses its own judges.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Executor

import torch
from transformers import AutoModelForSequenceClassification

from protocol import Manifest
from swarmd.config import LearningConfig
from swarmd.errors import ConfigError, ModelError
from swarmd.hardware.shortage import out_of_memory_as_model_error
from swarmd.judges.batches import TOKENS_AT_ONCE
from swarmd.judges.generative import GenerativeVerifier
from swarmd.judges.interface import Key, ModelJudge
from swarmd.judges.panel import Panel, rules_by_task
from swarmd.judges.reward_model import load_reward_model
from swarmd.model import TO_PLAN, Located, load_model, locate, on_meta, read_configuration
from swarmd.model.third_party import third_party
from swarmd.tasks.judge_rules import WITH_MODEL

FLAGS = {"generative": "--judge", "reward_model": "--reward-model"}
ACTIVATIONS = 24  # most floats per token and unit of width that a pass without gradients holds


def wanted(manifest: Manifest, learning: LearningConfig) -> dict[Key, str]:
    """The model for each judge named by the swarm's tasks, according to this peer's settings.

    Raises ConfigError if the swarm leaves the choice to its peers and none is set, or if the manifest is
    invalid.
    """
    own = {"generative": learning.judge, "reward_model": learning.reward_model}
    found: dict[Key, str] = {}
    for task_id, rules in rules_by_task(manifest).items():
        for rule in (rule for rule in rules if rule.kind in WITH_MODEL):
            model = own[rule.kind] or rule.model
            if model is None:
                family = manifest.family(task_id)
                task = "a task" if family is None else family.name
                raise ConfigError(
                    f"{task} of the swarm {manifest.name} is judged by each peer's own {rule.kind}, and this "
                    f"peer has none: set a directory or a hub id with {FLAGS[rule.kind]}"
                )
            found[rule.kind, rule.model] = model
    return found


def memory_of_judges(manifest: Manifest, learning: LearningConfig) -> int:
    """Bytes that the judges need in addition to the policy, as float32, computed from their configurations.

    Raises ConfigError, and ModelError if a judge is missing.
    """
    models = {(kind, model) for (kind, _), model in wanted(manifest, learning).items()}
    return sum(_bytes(_located(kind, model, TO_PLAN), kind) for kind, model in models)


def load_panel(
    manifest: Manifest,
    learning: LearningConfig,
    device: str,
    thread: Executor | None = None,
) -> Panel:
    """The loaded judges of `manifest`. Raises ConfigError, and ModelError that names the judge."""
    return Panel(manifest, load_models(manifest, learning, device), thread)


def load_models(manifest: Manifest, learning: LearningConfig, device: str) -> Mapping[Key, ModelJudge]:
    """Load each model once, however many tasks it judges. Raises the same errors as `load_panel`."""
    loaded: dict[tuple[str, str], ModelJudge] = {}
    found: dict[Key, ModelJudge] = {}
    for key, model in wanted(manifest, learning).items():
        kind = key[0]
        if (kind, model) not in loaded:
            loaded[kind, model] = _load(kind, model, device)
        found[key] = loaded[kind, model]
    return found


def _load(kind: str, model: str, device: str) -> ModelJudge:
    located = _located(kind, model)
    if kind == "reward_model":
        return load_reward_model(located, torch.float32, device)
    with out_of_memory_as_model_error("a smaller --judge, another --device"):
        policy, tokenizer = load_model(located, torch.float32, sees=False)
        with third_party(model, "moving the judge to its device", "another --device"):
            placed = policy.to(device)  # type: ignore[arg-type]
    return GenerativeVerifier(placed, tokenizer, located.base)


def _located(kind: str, model: str, files: tuple[str, ...] | None = None) -> Located:
    try:
        located = locate(model) if files is None else locate(model, files, lambda _: None)
    except ModelError as error:
        raise ModelError(
            f"the judge {model} was not found ({error}): choose another with {FLAGS[kind]}"
        ) from error
    if located.adapter is not None:
        raise ModelError(
            f"the judge {model} is an adapter: merge it into its base first, or choose another model"
        )
    return located


def _bytes(located: Located, kind: str) -> int:
    config = read_configuration(located)
    with third_party(located.base, "building the judge from its configuration", f"another {FLAGS[kind]}"):
        if kind == "generative":
            model = on_meta(config)
        else:
            with torch.device("meta"):
                model = AutoModelForSequenceClassification.from_config(  # type: ignore[no-untyped-call]
                    config, trust_remote_code=False
                )
    text = config.get_text_config(decoder=True)
    width = int(text.hidden_size)
    vocabulary = int(text.vocab_size) if kind == "generative" else 0
    held = TOKENS_AT_ONCE * (ACTIVATIONS * width + vocabulary)
    return 4 * (sum(p.numel() for p in model.parameters()) + held)
