"""The judge and the tasks chosen on a command line."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import Any

import torch
from starter_items import load_tasks

from swarmd.judges.generative import GenerativeVerifier
from swarmd.judges.interface import ModelJudge
from swarmd.judges.reward_model import load_reward_model
from swarmd.model import load_model, locate


def add_arguments(parser: ArgumentParser, *, per_task: int) -> None:
    """Add `--judge`, `--reward-model`, `--tasks` and `--per-task`."""
    parser.add_argument("--judge", default="embedded", help="causal LM that judges (default: embedded)")
    parser.add_argument("--reward-model", help="use this classifier instead")
    parser.add_argument("--tasks", default="", help="tasks of starter, comma-separated (default: all)")
    parser.add_argument("--per-task", type=int, default=per_task)


def chosen_judge(given: Namespace) -> ModelJudge:
    """Return the judge that `given` names, not calibrated. Raises ModelError."""
    if given.reward_model:
        return reward_model(given.reward_model)
    return generative_verifier(given.judge)


def chosen_tasks(given: Namespace) -> list[dict[str, Any]]:
    """Return the task tables that `given` names."""
    return [task for task in load_tasks() if not given.tasks or task["name"] in given.tasks.split(",")]


def reward_model(name: str) -> ModelJudge:
    """Raises ModelError."""
    return load_reward_model(locate(name), torch.float32, "cpu")


def generative_verifier(name: str) -> ModelJudge:
    """Raises ModelError."""
    return GenerativeVerifier(*load_model(locate(name), torch.float32), name)
