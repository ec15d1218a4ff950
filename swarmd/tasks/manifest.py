"""Reads a swarm's manifest from a preset or a TOML file, checked down to each dataset's options.

The file does not name the versions of the sources. The installed versions are filled in, and so become part
of the swarm's id.
"""

from __future__ import annotations

import contextlib
import difflib
import re
import subprocess
import tempfile
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from protocol import InvalidLocal, Manifest, TaskFamily, TaskSpec, canonical_json
from swarmd.errors import ConfigError, TaskError
from swarmd.tasks.frames import pack, split_frames
from swarmd.tasks.launch import STDERR_TAIL_BYTES, WorkerOptions, worker_environment
from swarmd.toml_lines import line_of

_PRESET_DIRECTORY = Path(__file__).parent / "presets"
PRESETS = tuple(sorted(path.stem for path in _PRESET_DIRECTORY.glob("*.toml")))
_PRESET_SOURCE, _PRESET_DISTRIBUTION = "reasoning_gym", "reasoning-gym"  # presets have no other source
_SHOWN_CHARS = 100  # of a wrong name, in messages
_START_S = 120.0  # of the worker that checks the tasks; beyond that, each task has its own limit


def _with_zone(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise ValueError("needs a zone, such as 2026-01-01T00:00:00Z")
    return value


class _TaskTable(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    dataset: str
    source: str = "reasoning_gym"
    name: str | None = None
    weight: int = 1
    config: dict[str, Any] = {}


class _ManifestTable(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    name: str
    genesis: Annotated[datetime, AfterValidator(_with_zone)]
    round_seconds: int
    reward: Literal["exact", "partial"]
    max_new_tokens: int
    records_per_round_max: int
    tasks: list[_TaskTable]


def load_manifest(name_or_path: str, options: WorkerOptions | None = None) -> Manifest:
    """The manifest of a preset (`PRESETS`) or of a TOML file. A worker tries a file's tasks (seconds).

    Raises ConfigError that names file, line and key, TaskError if the worker cannot start.
    """
    place, table = _read(name_or_path)
    if name_or_path in PRESETS:  # the tests have tried these: a start need not wait for a worker
        return place.manifest(table, {_PRESET_SOURCE: version(_PRESET_DISTRIBUTION)})
    place.manifest(table, dict.fromkeys((task.source for task in table.tasks), "unknown"))
    versions, outcomes = _try_tasks(table.tasks, options or WorkerOptions())
    for index, outcome in enumerate(outcomes):
        place.check(index, outcome)
    return place.manifest(table, versions)


def read_manifest(name_or_path: str) -> tuple[Manifest, bool]:
    """The manifest as it is written, in milliseconds: nobody tries whether its tasks give questions.

    False: it is not the final one, because a source's version is not known without loading it. Raises
    ConfigError that names file, line and key.
    """
    place, table = _read(name_or_path)
    sources = {task.source for task in table.tasks}
    versions = dict.fromkeys(sources, "unknown") | {_PRESET_SOURCE: version(_PRESET_DISTRIBUTION)}
    return place.manifest(table, versions), sources == {_PRESET_SOURCE}


def _read(name_or_path: str) -> tuple[_Place, _ManifestTable]:
    path = _find(name_or_path)
    try:
        text = path.read_text(encoding="utf-8")
        parsed = tomllib.loads(text)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: {error}") from error
    place = _Place(path, text)
    return place, place.parse(parsed)


def _find(name_or_path: str) -> Path:
    path = Path(name_or_path).expanduser()
    if name_or_path in PRESETS:
        return _PRESET_DIRECTORY / f"{name_or_path}.toml"
    try:
        found = path.is_file()
    except OSError as error:  # no permission to look there, or not a possible file name
        raise ConfigError(f"{name_or_path[:_SHOWN_CHARS]!r} cannot be read: {error.strerror}") from error
    if found:
        return path
    if path.suffix or len(path.parts) > 1:
        raise ConfigError(f"there is no swarm manifest at {path}; presets are {', '.join(PRESETS)}")
    near = difflib.get_close_matches(name_or_path, PRESETS, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"presets are {', '.join(PRESETS)}"
    raise ConfigError(f"{name_or_path!r} is neither a preset nor a file; {hint}")


class _Place:
    """Turns a mistake in the file into a ConfigError that says where it is."""

    def __init__(self, path: Path, text: str) -> None:
        self._path = path
        self._text = text

    def error(self, key: Sequence[str | int], message: str) -> ConfigError:
        name = ".".join(map(str, key)) or "the file"
        return ConfigError(f"{self._path}, line {line_of(self._text, key)}, {name}: {message}")

    def parse(self, parsed: dict[str, Any]) -> _ManifestTable:
        try:
            return _ManifestTable.model_validate(parsed)
        except ValidationError as error:
            errors = error.errors(include_url=False, include_context=False)
            first = min(errors, key=lambda found: found["type"] != "extra_forbidden")  # a typo makes two
            raise self.error(first["loc"], _explain(first["type"], first["msg"], first["loc"])) from None

    def check(self, index: int, outcome: tuple[object, ...]) -> None:
        """Raise ConfigError unless the task at `index` gave a question."""
        at = ("tasks", index)
        match outcome:
            case (True, str()):
                return
            case (False, "option", detail, str(option)):
                raise self.error((*at, "config", option), str(detail))
            case (False, ("source" | "dataset") as key, detail, _):
                raise self.error((*at, key), str(detail))
            case (False, kind, detail, _):
                raise self.error((*at, "config"), f"no question could be made: {kind} {detail}".rstrip())

    def manifest(self, table: _ManifestTable, versions: Mapping[str, str]) -> Manifest:
        """Raises ConfigError for a value that breaks a limit of the protocol."""
        families = []
        for index, task in enumerate(table.tasks):
            fields = task.model_dump(exclude={"config", "name"})
            fields |= {"name": task.name or task.dataset, "version": versions[task.source]}
            with self._located(("tasks", index, "config")):
                fields["config"] = canonical_json(task.config)
            with self._located(("tasks", index)):
                families.append(TaskFamily(**fields))
        fields = table.model_dump(exclude={"tasks", "genesis"})
        with self._located(()):
            return Manifest(**fields, genesis=int(table.genesis.timestamp()), tasks=tuple(families))

    @contextlib.contextmanager
    def _located(self, at: tuple[str | int, ...]) -> Iterator[None]:
        try:
            yield
        except InvalidLocal as error:
            found = re.match(r"(?:Manifest|TaskFamily)\.(\w+): (.*)", str(error), re.DOTALL)
            key, message = found.groups() if found else (None, str(error))
            raise self.error((*at, key) if key else at, message) from None


def _explain(kind: str, message: str, location: tuple[int | str, ...]) -> str:
    model = _TaskTable if location[0] == "tasks" and len(location) > 1 else _ManifestTable
    if kind != "extra_forbidden":
        return "is missing" if kind == "missing" else message
    near = difflib.get_close_matches(str(location[-1]), model.model_fields, n=1)
    return "unknown key; " + (
        f"did you mean {near[0]!r}?" if near else f"keys are {', '.join(model.model_fields)}"
    )


def _try_tasks(
    tasks: Sequence[_TaskTable], options: WorkerOptions
) -> tuple[dict[str, str], list[tuple[object, ...]]]:
    """The sources' versions, and per task the outcome of making a first question in a separate worker."""
    specs = [(task.source, task.dataset, canonical_json(task.config), None, 0, 0) for task in tasks]
    requests = b"".join(pack(("questions", (spec,))) for spec in specs)
    try:
        with tempfile.TemporaryDirectory(prefix="swarmd-worker-") as directory:
            done = subprocess.run(  # noqa: S603  our own interpreter and module
                options.command(),
                input=requests,
                capture_output=True,
                env=worker_environment(),
                cwd=directory,
                timeout=_START_S + len(specs) * options.question_s,
                start_new_session=True,
                check=False,
            )
    except subprocess.TimeoutExpired:
        raise TaskError("the task worker took too long to try the tasks of the manifest") from None
    except OSError as error:
        raise TaskError(f"the task worker could not be launched: {error}") from error
    replies = split_frames(done.stdout)
    if len(replies) != 1 + len(specs):
        tail = done.stderr[-STDERR_TAIL_BYTES:].decode(errors="replace").strip()
        raise TaskError(f"the task worker ended early: {tail}")
    greeting: Any = replies[0]  # trusted: this worker has run only its sources' own code
    outcomes: list[Any] = replies[1:]
    versions = {name: version for name, (version, _) in greeting[0].items()}
    return versions, [outcome for (_cpu_micro, (outcome,)) in outcomes]


def task_spec(family: TaskFamily, seed: int, index: int = 0) -> TaskSpec:
    """The spec of one question of `family`."""
    fields = {name: getattr(family, name) for name in ("source", "dataset", "config", "version")}
    return TaskSpec(**fields, seed=seed, index=index)
