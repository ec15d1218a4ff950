"""The source `verifiers`: tasksets and environments for the package verifiers, by module name.

An environment is refused if it needs something that no peer can give it, such as tools, containers or other
models; the error names what it needs.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from protocol.limits import TURNS_MAX
from swarmd.quoting import quoted
from swarmd.tasks.answers import is_bounded
from swarmd.tasks.options import whole
from swarmd.tasks.outside.absent import NeedsError, absent
from swarmd.tasks.source import BadOptionError, UnknownDatasetError
from swarmd.tasks.versions import outside_versions

OWN_OPTIONS = ("package_version", "questions", "turns")
QUESTIONS, QUESTIONS_MAX = 256, 4_096  # tasks read from a taskset; they are read again for each question
TURNS = 8
ANSWER_CHARS_MAX = 4_096
_SHIPPED = {
    "harbor": "a container",
    "nemo_gym": "a server of its resources",
    "openenv": "a server of its environment",
    "textarena": "word lists that nltk downloads; the source textarena plays the games that need none",
}
"""The tasksets included in verifiers 0.4, all of which wrap something else."""


class Verifiers:
    """See `swarmd.tasks.source.TaskSource`."""

    version = outside_versions()["verifiers"]

    def datasets(self) -> Collection[str]:
        """The tasksets included in verifiers. Any installed module with a taskset works too."""
        return list(_SHIPPED)

    def prepare(self) -> None:
        """Import verifiers, which takes seconds."""
        import swarmd.tasks.outside.scripted  # noqa: F401

    def build(self, dataset: str, config: Mapping[str, Any]) -> OneAnswer | Exchange:
        """Raises UnknownDatasetError, BadOptionError, and NeedsError for an environment that cannot run
        here."""
        if dataset in _SHIPPED:
            raise NeedsError(f"{dataset} needs {_SHIPPED[dataset]}")
        from swarmd.tasks.outside.scripted import NEEDS

        with _explained(dataset), absent(NEEDS):
            return _build(dataset, config)


@contextmanager
def _explained(dataset: str) -> Iterator[None]:
    """Add the dataset's name to a NeedsError."""
    try:
        yield
    except NeedsError as error:
        raise NeedsError(f"{dataset} needs {error}") from error


def _build(dataset: str, config: Mapping[str, Any]) -> OneAnswer | Exchange:
    from pydantic import ValidationError
    from verifiers.v1.envs.single_agent import SingleAgentEnv
    from verifiers.v1.utils import loaders

    for option in config.keys() & {"id", "task", "system_prompt"}:
        raise BadOptionError(f"{dataset}: {option} refers to code or files on one machine: remove it", option)
    given = {option: value for option, value in config.items() if option not in OWN_OPTIONS}
    try:
        loaders.taskset_class(dataset)
        _require_version(dataset, config)
        env: Any = loaders.load_environment(loaders.resolve_env_config({"taskset": {**given, "id": dataset}}))
    except ModuleNotFoundError as error:
        why = error.__cause__ or error
        raise UnknownDatasetError(f"no taskset {quoted(dataset)} can be imported here: {why}") from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        named = str(first["loc"][-1]) if first["loc"] else None
        raise BadOptionError(f"{dataset}: {named}: {first['msg']}", named) from error
    except (AttributeError, TypeError, ValueError) as error:
        raise UnknownDatasetError(
            f"{dataset} is not a module with a taskset of verifiers 0.4: {error}"
        ) from error
    questions = whole(dataset, config, "questions", QUESTIONS, 1, QUESTIONS_MAX)
    _require_one_player(env)
    if isinstance(env, SingleAgentEnv):
        if "turns" in config:
            raise BadOptionError(f"{dataset} has one turn: remove the option turns", "turns")
        return OneAnswer(env, questions)
    return Exchange(env, questions, whole(dataset, config, "turns", TURNS, 2, TURNS_MAX))


def _require_version(dataset: str, config: Mapping[str, Any]) -> None:
    """Require the module's version in the task's options, because verifiers' own version does not cover
    it."""
    installed = _version_of(dataset)
    if config.get("package_version") != installed:
        raise BadOptionError(
            f'{dataset} is installed as {installed}: set package_version = "{installed}" in the config of '
            "the task, because other versions may ask other questions",
            "package_version",
        )


def _version_of(dataset: str) -> str:
    """The installed package's version, or the hash of the module's file if it is not part of a package."""
    try:
        return version(dataset)
    except PackageNotFoundError:
        from verifiers.v1.utils.loaders import import_taskset

        return (
            "sha256:"
            + hashlib.sha256(Path(str(import_taskset(dataset).__file__)).read_bytes()).hexdigest()[:16]
        )


def _require_one_player(env: Any) -> None:
    import verifiers.v1 as vf
    from verifiers.v1.configs.agent import agent_config_fields

    if len(agent_config_fields(env.config)) > 1:
        raise NeedsError("several agents")
    if any(
        getattr(type(env), name) is not getattr(vf.Env, name)
        for name in ("setup", "finalize", "start", "stop")
    ):
        raise NeedsError("hooks of its own around a run (setup, finalize, start, stop)")
    if type(env.taskset).toolsets(env.taskset.config):
        raise NeedsError("tools")


def _require_text_alone(task: Any) -> None:
    """Raise NeedsError if a model would have to do more than write text."""
    import verifiers.v1 as vf
    from verifiers.v1.types import content_text

    from swarmd.tasks.outside.scripted import prompt_of

    kind = type(task)
    lacks = {
        "a container": task.NEEDS_CONTAINER or task.data.image or task.data.skills,
        "tools": kind.toolsets(task.config),
        "a judge model": task.config.judges,
        "a runtime (setup, finalize)": kind.setup is not vf.Task.setup
        or kind.finalize is not vf.Task.finalize,
        "stops of its own": task.hooks("stop"),
        "a runtime to be scored": any("runtime" in _parameters(each) for each in task.hooks("reward")),
        "images": any(content_text(message.content) != message.content for message in prompt_of(task)),
    }
    for what, needed in lacks.items():
        if needed:
            raise NeedsError(what)


def _parameters(function: Any) -> Collection[str]:
    import inspect

    return inspect.signature(function).parameters


class Entry(NamedTuple):
    """A task, and its index in its taskset, which seeds the random generators."""

    task: Any
    place: int


class _Tasks:
    """The tasks of an environment, in its own order."""

    def __init__(self, env: Any, questions: int) -> None:
        self._env = env
        self._name = env.config.taskset.id
        self._questions = questions

    def _entry(self, seed: int, index: int) -> Entry:
        random.seed(0)  # a taskset may draw its tasks at random
        tasks = list(islice(self._env.taskset, self._questions))
        if not tasks:
            raise NeedsError("a non-empty taskset")
        place = random.Random(f"{seed},{index}").randrange(len(tasks))  # noqa: S311  a choice, not a secret
        _require_text_alone(tasks[place])
        return Entry(tasks[place], place)

    def _text(self, entry: Entry, first: str | None = None) -> str:
        from swarmd.tasks.outside.scripted import prompt_of

        said = [entry.task.data.system_prompt, *(m.content for m in prompt_of(entry.task)), first]
        return "\n\n".join(text for text in said if text)

    def expected(self, entry: Entry) -> str | None:
        """The task's `answer`, if it has one."""
        answer = getattr(entry.task.data, "answer", None)
        return answer if isinstance(answer, str) else None

    def admits(self, answer: str, entry: Entry) -> bool:  # noqa: ARG002
        """Admit answers of up to 4,096 characters."""
        return len(answer) <= ANSWER_CHARS_MAX and is_bounded(answer)

    def _reward(self, answers: Sequence[str], entry: Entry) -> float:
        from swarmd.tasks.outside.scripted import play

        script, _ = play(self._env, entry.task, answers, entry.place, is_all=True)
        return float(script.trace.reward)


class OneAnswer(_Tasks):
    """A taskset without an environment of its own: one prompt, one answer."""

    def question(self, seed: int, index: int) -> tuple[str, Entry]:
        """The prompt of one task."""
        with _explained(self._name):
            entry = self._entry(seed, index)
            return self._text(entry), entry

    def score(self, answer: str, entry: Entry) -> float:
        """The weighted sum of the task's rewards."""
        return self._reward([answer], entry)


class Exchange(_Tasks):
    """An environment that plays the user: its reply to a turn is an observation."""

    def __init__(self, env: Any, questions: int, turns: int) -> None:
        super().__init__(env, questions)
        self.turns = turns

    def question(self, seed: int, index: int) -> tuple[str, Entry]:
        """The prompt of one task, or the environment's first message."""
        with _explained(self._name):
            entry = self._entry(seed, index)
            script, _ = self._play([], entry)
            return self._text(entry, script.asked[0] if script.asked else None), entry

    def hidden(self, entry: Entry) -> str:
        """The hash of the task's data, which include the prompt."""
        return str(entry.task.hash)

    def reply(self, answers: Sequence[str | None], entry: Entry) -> str | None:
        """The environment's next message; None if the exchange is over."""
        script, over = self._play([answer or "" for answer in answers], entry)
        return None if over else script.asked[-1] or ""

    def score(self, answers: Sequence[str | None], entry: Entry) -> float:
        """The weighted sum of the rewards if the exchange ends after these answers."""
        return self._reward([answer or "" for answer in answers], entry)

    def _play(self, answers: Sequence[str], entry: Entry) -> tuple[Any, bool]:
        from swarmd.tasks.outside.scripted import play

        return play(self._env, entry.task, answers, entry.place, is_all=False)
