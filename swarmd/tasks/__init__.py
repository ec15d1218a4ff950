"""Tasks: where questions come from, and how answers are scored without trusting any of their text.

The daemon uses `TaskRunner`. Sources and scorers run in a sandboxed worker process and are never imported
here.
"""

from typing import TYPE_CHECKING

from swarmd.lazy import at_first_use

if TYPE_CHECKING:
    from swarmd.tasks.draw import NoHeldOutQuestionError, TrainingDraw, held_out_questions, held_out_seed
    from swarmd.tasks.examples import solved_examples
    from swarmd.tasks.junk import Payer, find_payers, is_preset
    from swarmd.tasks.launch import FOR_PEERS, WorkerOptions
    from swarmd.tasks.manifest import PRESETS, SwarmFile, load_manifest, load_swarm_file, task_spec
    from swarmd.tasks.outcomes import Question, Score, TaskFailure, written
    from swarmd.tasks.prompt import (
        CLOSING_TAG,
        OPENING_TAG,
        Example,
        Exchange,
        extract_answer,
        find_answer,
        prompt_messages,
        transcript,
    )
    from swarmd.tasks.requests import Written
    from swarmd.tasks.runner import Item, TaskRunner
    from swarmd.tasks.source import (
        BadOptionError,
        Task,
        TaskSource,
        TurnsTask,
        UnknownDatasetError,
    )

__all__ = [
    "CLOSING_TAG",
    "FOR_PEERS",
    "OPENING_TAG",
    "PRESETS",
    "BadOptionError",
    "Example",
    "Exchange",
    "Item",
    "NoHeldOutQuestionError",
    "Payer",
    "Question",
    "Score",
    "SwarmFile",
    "Task",
    "TaskFailure",
    "TaskRunner",
    "TaskSource",
    "TrainingDraw",
    "TurnsTask",
    "UnknownDatasetError",
    "WorkerOptions",
    "Written",
    "extract_answer",
    "find_answer",
    "find_payers",
    "held_out_questions",
    "held_out_seed",
    "is_preset",
    "load_manifest",
    "load_swarm_file",
    "prompt_messages",
    "solved_examples",
    "task_spec",
    "transcript",
    "written",
]

__getattr__ = at_first_use(
    __name__,
    {
        **dict.fromkeys(
            ("NoHeldOutQuestionError", "TrainingDraw", "held_out_questions", "held_out_seed"), "draw"
        ),
        "solved_examples": "examples",
        **dict.fromkeys(("Payer", "find_payers", "is_preset"), "junk"),
        **dict.fromkeys(("FOR_PEERS", "WorkerOptions"), "launch"),
        **dict.fromkeys(
            ("PRESETS", "SwarmFile", "load_manifest", "load_swarm_file", "task_spec"), "manifest"
        ),
        **dict.fromkeys(("Question", "Score", "TaskFailure", "written"), "outcomes"),
        **dict.fromkeys(
            (
                "CLOSING_TAG",
                "OPENING_TAG",
                "Example",
                "Exchange",
                "extract_answer",
                "find_answer",
                "prompt_messages",
                "transcript",
            ),
            "prompt",
        ),
        **dict.fromkeys(("Item", "TaskRunner"), "runner"),
        "Written": "requests",
        **dict.fromkeys(
            ("BadOptionError", "Task", "TaskSource", "TurnsTask", "UnknownDatasetError"), "source"
        ),
    },
)
"""Imported at first use: the worker needs few of these modules, and importing pydantic, which some of the
others do, takes a tenth of its start-up time."""
