"""The source `reasoning_gym`: all of its datasets, one question at a time.

A question is item `index` of the dataset with the given seed, so (seed, index + 1) and (seed + 1, index) are
often the same question. Items do not depend on the dataset's size, which is therefore set to `index + 1`.
"""

from __future__ import annotations

import dataclasses
import difflib
import random
from collections.abc import Collection, Mapping
from importlib.metadata import version
from typing import Any

from numpy import random as numpy_random  # now, or else numpy imports it lazily, again in each child

from swarmd.quoting import quoted
from swarmd.tasks.answers import FORMS, is_bounded
from swarmd.tasks.plotting import without_plotting
from swarmd.tasks.source import BadOptionError, UnknownDatasetError

with without_plotting():
    from reasoning_gym.composite import DatasetSpec
    from reasoning_gym.dataset import ProceduralDataset
    from reasoning_gym.factory import DATASETS

SEVERAL_ANSWERS = frozenset({
    "countdown", "cryptarithm", "jugs", "kakurasu", "knight_swap", "n_queens", "palindrome_generation",
    "puzzle24", "quantum_lock", "shortest_path", "sokoban", "tower_of_hanoi", "word_ladder",
})  # fmt: skip
"""Datasets that give a right answer with the question, and whose scorers also accept other answers that are
not the same answer spelled differently. Datasets that give no answer (rubiks_cube, graph_color) are not
listed."""

_SET_BY_SPEC = ("seed", "size")  # a fixed seed in the options would give every peer the same few questions


class ReasoningGym:
    """The built-in source `reasoning_gym`."""

    version = version("reasoning-gym")  # not reasoning_gym.__version__, which lags behind

    def datasets(self) -> Collection[str]:
        return list(DATASETS)

    def build(self, dataset: str, config: Mapping[str, Any]) -> GymTask:
        """Raises UnknownDatasetError and BadOptionError, which suggest the nearest valid names."""
        _check_options(dataset, config)
        if dataset == "composite":
            config = {**config, "datasets": [_part(part) for part in config.get("datasets", ())]}
        task = GymTask(dataset, config)
        task.check()
        return task


class GymTask:
    """One dataset of reasoning-gym with its options."""

    def __init__(self, dataset: str, config: Mapping[str, Any]) -> None:
        self._dataset_class, self._config_class = DATASETS[dataset]
        self._dataset, self._config = dataset, config

    def check(self) -> None:
        """Raises BadOptionError if the dataset refuses its options."""
        try:
            self._configure(seed=0, index=0)
        except (AssertionError, ValueError, TypeError) as error:
            text = str(error) or "the options are not valid"
            named = [name for name in self._config if name in text]
            raise BadOptionError(f"{self._dataset}: {text}", max(named, key=len, default=None)) from error

    def _configure(self, seed: int, index: int) -> Any:
        config = self._config_class(seed=seed, size=index + 1, **self._config)
        if hasattr(config, "validate"):
            config.validate()
        return config

    def question(self, seed: int, index: int) -> tuple[str, Any]:
        # A few datasets (list_functions, pool_matrix) also draw from the global random generators.
        random.seed(seed + index)
        numpy_random.seed((seed + index) % 2**32)
        dataset = self._dataset_class(config=self._configure(seed, index))
        entry = dataset[index]
        return entry["question"], (dataset, entry)

    def admits(self, answer: str, entry: Any) -> bool:
        """Whether the scorer may see `answer`: whether it has the form that the dataset asks for."""
        name, dataset, _ = self._asked(entry)
        if type(dataset).score_answer is ProceduralDataset.score_answer:
            return True  # it compares text, and the answer may well be a long number in some base
        return FORMS.get(name, is_bounded)(answer)

    def is_bare(self, answer: str, entry: Any) -> bool | None:
        """Whether `answer` is the text that the dataset gives. None for other texts if several can be
        right."""
        name, _, item = self._asked(entry)
        own = item["answer"]
        if own is not None and answer == str(own).strip():
            return True
        return None if own is None or name in SEVERAL_ANSWERS else False

    def expected(self, entry: Any) -> str | None:
        """A right answer to show to people; None if the dataset gives none. Other answers may be right
        too."""
        _, _, item = self._asked(entry)
        own = item["answer"]
        return None if own is None else str(own).strip()

    def _asked(self, entry: Any) -> tuple[str, Any, Any]:
        """The name of the question's dataset, the dataset, and the item."""
        dataset, item = entry
        if self._dataset != "composite":
            return self._dataset, dataset, item
        name = item["metadata"]["source_dataset"]
        return name, dataset.datasets[name], item

    def score(self, answer: str, entry: Any) -> float:
        dataset, item = entry
        return dataset.score_answer(answer, item)  # type: ignore[no-any-return]  # `rewards` takes anything


def _check_options(dataset: str, config: Mapping[str, Any]) -> None:
    if dataset not in DATASETS:
        raise UnknownDatasetError(
            f"reasoning_gym has no dataset {quoted(dataset)}{_nearest(dataset, DATASETS)}"
        )
    known = {field.name for field in dataclasses.fields(DATASETS[dataset][1])} - set(_SET_BY_SPEC)
    for option in config:
        if option in _SET_BY_SPEC:
            raise BadOptionError(f"{dataset}: {quoted(option)} is set for each question: remove it", option)
        if option not in known:
            raise BadOptionError(f"{dataset} has no option {quoted(option)}{_nearest(option, known)}", option)


def _part(part: Any) -> DatasetSpec:
    """Build a sub-dataset of `composite`, checked like any other dataset."""
    if not isinstance(part, Mapping) or not {"name"} <= part.keys() <= {"name", "weight", "config"}:
        raise BadOptionError("composite: each dataset is {name, weight, config}", "datasets")
    if part["name"] == "composite":
        raise BadOptionError("composite: a composite cannot contain another", "datasets")
    try:
        ReasoningGym().build(part["name"], part.get("config", {}))
    except (UnknownDatasetError, BadOptionError) as error:
        raise BadOptionError(f"composite: {error}", "datasets") from error
    return DatasetSpec(part["name"], part.get("weight", 1), dict(part.get("config", {})))


def _nearest(word: str, known: Collection[str]) -> str:
    matches = difflib.get_close_matches(word, known, n=3)
    return (
        f"; did you mean {' or '.join(map(repr, matches))}?"
        if matches
        else f"; there are {', '.join(sorted(known))}"
    )
