"""Reads a swarm's manifest from a preset or a TOML file and checks it, including each dataset's options.

The rules in the file do not name the versions of the sources. The installed versions are filled in and become
part of the swarm's id. `signed.py` reads the author's signature of the rules.
"""

from __future__ import annotations

import contextlib
import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from protocol import InvalidLocal, Manifest, TaskFamily, TaskSpec, VerifiedCharter, canonical_json
from swarmd.errors import ConfigError
from swarmd.quoting import PATH_CHARS_MAX, quoted
from swarmd.tasks.judge_rules import OPTION, BadJudgeError, rules_of
from swarmd.tasks.launch import WorkerOptions
from swarmd.tasks.signed import SignedTable, ZonedTime, charter_of, require_signed_rules
from swarmd.tasks.trying import try_tasks
from swarmd.tasks.versions import built_in_versions
from swarmd.toml_files import parse_toml, read_toml
from swarmd.toml_lines import line_of
from swarmd.user_paths import path_of

_PRESET_DIRECTORY = Path(__file__).parent / "presets"
PRESETS = tuple(sorted(path.stem for path in _PRESET_DIRECTORY.glob("*.toml")))
FILE_BYTES_MAX = 262_144  # bytes of a manifest file: the same limit as for its canonical form
OF_SETTINGS = frozenset({"swarm", "steps", "seed", "network", "policy", "learning", "storage", "observe"})
"""Top-level keys of a peer's config.toml that no manifest has."""
DOTS_OF_LINE_MAX = 256  # parsing is quadratic in a key's parts; 8 addresses on one line have 60 dots


@dataclass(frozen=True)
class SwarmFile:
    """The content of a manifest file: the rules, and the author's signature of them."""

    manifest: Manifest
    charter: VerifiedCharter | None
    """None if the file is not signed."""
    text: str

    @property
    def sources(self) -> dict[str, str]:
        """The versions of the task sources that its swarm id depends on."""
        return {task.source: task.version for task in self.manifest.tasks}


class _TaskTable(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    dataset: str
    source: str = "reasoning_gym"
    name: str | None = None
    weight: int = 1
    config: dict[str, Any] = {}
    judges: list[dict[str, Any]] | None = None
    """Who gives the rewards; None: the verifier. Published as an option of the task (`judge_rules`)."""

    def options(self) -> dict[str, Any]:
        """The task's options as published. Raises ValueError for invalid judges."""
        if self.judges is None and OPTION not in self.config:
            return self.config
        if self.judges is not None and OPTION in self.config:
            raise ValueError("judges are given twice, beside config and inside it: remove one of them")
        judges = self.config.get(OPTION, self.judges)
        rules_of(judges)
        return {**self.config, OPTION: judges}


class _ManifestTable(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    name: str
    genesis: ZonedTime
    round_seconds: int
    reward: Literal["exact", "partial"]
    max_new_tokens: int
    records_per_round_max: int
    tasks: list[_TaskTable]
    signed: SignedTable | None = None


def load_manifest(name_or_path: str, options: WorkerOptions | None = None) -> Manifest:
    """The manifest of a preset (`PRESETS`) or of a TOML file; see `load_swarm_file`."""
    return load_swarm_file(name_or_path, options=options).manifest


def load_swarm_file(
    place: str, text: str | None = None, *, options: WorkerOptions | None = None
) -> SwarmFile:
    """Load a preset, a TOML file, or the `text` found at `place`. Tests its tasks in a worker (seconds).

    Raises ConfigError, which names place, line and key, also for an invalid signature, and TaskError if the
    worker cannot start.
    """
    found, table = _read(place) if text is None else _parse(place, text)
    if place in PRESETS:  # covered by the tests, so a start need not wait for a worker
        return SwarmFile(found.manifest(table, built_in_versions()), None, found.text)
    found.manifest(table, dict.fromkeys((task.source for task in table.tasks), "unknown"))
    charter = found.charter(table)
    asked = [(task.source, task.dataset, canonical_json(task.options())) for task in table.tasks]
    versions, outcomes = try_tasks(asked, options or WorkerOptions())
    for index, outcome in enumerate(outcomes):
        found.check(index, outcome)
    manifest = found.manifest(table, versions)
    found.require_signed(table, manifest, versions)
    return SwarmFile(manifest, charter, found.text)


def read_swarm_file(place: str, text: str | None = None) -> tuple[SwarmFile, bool]:
    """Parse the file without generating any questions, in milliseconds.

    Also returns whether the manifest is final. It is not if a source's version is unknown without loading the
    source. Raises ConfigError, which names place, line and key.
    """
    found, table = _read(place) if text is None else _parse(place, text)
    sources = {task.source for task in table.tasks}
    versions = dict.fromkeys(sources, "unknown") | built_in_versions()
    manifest, charter = found.manifest(table, versions), found.charter(table)
    is_final = sources <= built_in_versions().keys()
    if is_final:
        found.require_signed(table, manifest, versions)
    return SwarmFile(manifest, charter, found.text), is_final


def _read(name_or_path: str) -> tuple[_Place, _ManifestTable]:
    path = _find(name_or_path)
    try:
        return _parse(str(path), read_rules(path))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}; name another file") from error


def read_rules(path: Path) -> str:
    """The text of a manifest file. Raises ConfigError, and OSError if it cannot be read."""
    return read_toml(path, bytes_max=FILE_BYTES_MAX, kind="a swarm manifest")


def _parse(place: str, text: str) -> tuple[_Place, _ManifestTable]:
    for number, line in enumerate(text.split("\n"), start=1):
        if line.count(".") > DOTS_OF_LINE_MAX:
            raise ConfigError(
                f"{place}, line {number}: more than {DOTS_OF_LINE_MAX} dots, more than any manifest needs"
            )
    parsed = parse_toml(place, text)
    if parsed.keys() & OF_SETTINGS and not parsed.keys() & _ManifestTable.model_fields.keys():
        raise ConfigError(
            f"{place} is a file of settings, not a swarm manifest: `swarmd config check FILE` checks such a "
            "file, and `swarmd swarm create NAME` writes a manifest"
        )
    found = _Place(place, text)
    return found, found.parse(parsed)


def _find(name_or_path: str) -> Path:
    if not name_or_path.strip():
        raise ConfigError(f"the name of the swarm is empty: give a file, or one of {', '.join(PRESETS)}")
    path = path_of(name_or_path)
    if name_or_path in PRESETS:
        return _PRESET_DIRECTORY / f"{name_or_path}.toml"
    try:
        found = path.is_file()
    except OSError as error:  # no permission, or not a valid file name
        raise ConfigError(
            f"{quoted(name_or_path, PATH_CHARS_MAX)} cannot be read: {error.strerror}; name another file"
        ) from error
    if found:
        return path
    if path.is_dir():
        raise ConfigError(f"{path} is a directory: give the manifest file in it")
    if path.suffix or len(path.parts) > 1:
        raise ConfigError(f"there is no swarm manifest at {path}; presets are {', '.join(PRESETS)}")
    near = difflib.get_close_matches(name_or_path, PRESETS, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"presets are {', '.join(PRESETS)}"
    raise ConfigError(f"{quoted(name_or_path, PATH_CHARS_MAX)} is neither a preset nor a file; {hint}")


class _Place:
    """Turns an error in the file into a ConfigError that gives its location."""

    def __init__(self, place: str, text: str) -> None:
        self._place = place
        self.text = text

    def error(self, key: Sequence[str | int], message: str) -> ConfigError:
        name = ".".join(map(str, key)) or "the file"
        return ConfigError(f"{self._place}, line {line_of(self.text, key)}, {name}: {message}")

    def parse(self, parsed: dict[str, Any]) -> _ManifestTable:
        try:
            return _ManifestTable.model_validate(parsed)
        except ValidationError as error:
            errors = error.errors(include_url=False, include_context=False)
            first = min(errors, key=lambda found: found["type"] != "extra_forbidden")  # a typo causes two
            raise self.error(first["loc"], _explain(first["type"], first["msg"], first["loc"])) from None

    def charter(self, table: _ManifestTable) -> VerifiedCharter | None:
        """Raises ConfigError if the signature does not match the file."""
        try:
            return None if table.signed is None else charter_of(table.signed, table.name)
        except ValueError as error:
            raise self.error(("signed",), str(error)) from error

    def require_signed(self, table: _ManifestTable, manifest: Manifest, versions: Mapping[str, str]) -> None:
        """Raises ConfigError if the author signed different rules."""
        try:
            if table.signed is not None:
                require_signed_rules(table.signed, manifest.swarm_id, versions)
        except ValueError as error:
            raise self.error(("signed",), str(error)) from error

    def check(self, index: int, outcome: tuple[object, ...]) -> None:
        """Raise ConfigError unless the task at `index` gave a question, the same one twice."""
        at = ("tasks", index)
        match outcome:
            case (True, _):
                return
            case (False, "unsteady", detail, _):
                raise self.error(at, f"peers could not verify it: {detail}")
            case (False, "option", detail, str(option)):
                place = (OPTION,) if option == OPTION else ("config", option)
                raise self.error((*at, *place), str(detail))
            case (False, ("source" | "dataset") as key, detail, _):
                raise self.error((*at, key), str(detail))
            case (False, "image", detail, _):
                raise self.error(at, f"it cannot be shown to a model: {detail}")
            case (False, "question", detail, _):
                raise self.error((*at, "config"), f"it cannot be asked: {detail}")
            case (False, kind, detail, _):
                raise self.error((*at, "config"), f"no question could be generated: {kind} {detail}".rstrip())

    def manifest(self, table: _ManifestTable, versions: Mapping[str, str]) -> Manifest:
        """Raises ConfigError for a value beyond a limit of the protocol."""
        families = []
        for index, task in enumerate(table.tasks):
            fields = task.model_dump(exclude={"config", "name", "judges"})
            fields |= {"name": task.name or task.dataset, "version": versions[task.source]}
            with self._located(("tasks", index, "config")):
                fields["config"] = canonical_json(self._options(index, task))
            with self._located(("tasks", index)):
                families.append(TaskFamily(**fields))
        fields = table.model_dump(exclude={"tasks", "genesis", "signed"})
        with self._located(()):
            return Manifest(**fields, genesis=int(table.genesis.timestamp()), tasks=tuple(families))

    def _options(self, index: int, task: _TaskTable) -> dict[str, Any]:
        try:
            return task.options()
        except BadJudgeError as error:
            raise self.error(("tasks", index, OPTION, error.number), str(error)) from None
        except ValueError as error:
            raise self.error(("tasks", index, OPTION), str(error)) from None

    @contextlib.contextmanager
    def _located(self, at: tuple[str | int, ...]) -> Iterator[None]:
        try:
            yield
        except InvalidLocal as error:
            found = re.match(r"(?:Manifest|TaskFamily)\.(\w+): (.*)", str(error), re.DOTALL)
            key, message = found.groups() if found else (None, str(error))
            raise self.error((*at, key) if key else at, message) from None


def _explain(kind: str, message: str, location: tuple[int | str, ...]) -> str:
    tables: dict[str, type[BaseModel]] = {"tasks": _TaskTable, "signed": SignedTable}
    model = tables.get(str(location[0]), _ManifestTable) if len(location) > 1 else _ManifestTable
    if kind != "extra_forbidden":
        return "is missing" if kind == "missing" else message.removeprefix("Value error, ")
    near = difflib.get_close_matches(str(location[-1]), model.model_fields, n=1)
    return "unknown key; " + (
        f"did you mean {near[0]!r}?" if near else f"keys are {', '.join(model.model_fields)}"
    )


def task_spec(family: TaskFamily, seed: int, index: int = 0) -> TaskSpec:
    """The task spec of one question of `family`."""
    fields = {name: getattr(family, name) for name in ("source", "dataset", "config", "version")}
    return TaskSpec(**fields, seed=seed, index=index)
