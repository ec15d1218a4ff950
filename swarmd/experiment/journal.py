"""The file of one run: JSON lines, appended round by round and cut back to the last checkpoint on resuming.

{"kind": "run", "format": 2, "settings": {...}, ...}        first
{"kind": "held_out", "round": 0, "node": 0, ...}            after that many rounds
{"kind": "node", "round": 0, "node": 0, ...}                what a node did in a round
{"kind": "attacker", "round": 0, "node": 7, ...}            what an attacker published in a round
{"kind": "resumed", "round": 10, "versions": {...}}
{"kind": "end"}                                             last, if the run was finished
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from swarmd.config import LearningConfig
from swarmd.errors import ConfigError, StorageError
from swarmd.storage.durable import OUT, disk_error, write_whole

ROUNDS_FILE = "rounds.jsonl"
FORMAT = 4
"""Version of the settings in the first line. 1 identified models by path, 2 had no stop texts and
`generator`, 3 rewarded texts that continued after their answer.
"""

Line = dict[str, Any]

KEPT_AT_START = ("resumed",)
"""Kinds written at the beginning of their round, before anything in it is done."""


class Journal:
    """One run's lines. One process writes; readers see whole rounds, and perhaps part of the last."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def lines(self) -> list[Line]:
        """Return the lines so far, without a last one that a kill cut off. Raises StorageError."""
        try:
            return read_lines(self._path)
        except FileNotFoundError:
            return []

    def rounds(self) -> int:
        """Return how many rounds have lines."""
        return len({line["round"] for line in self.lines() if line["kind"] == "node"})

    def is_finished(self) -> bool:
        """Whether the last line says that the run ended."""
        return bool(self.lines()) and self.lines()[-1]["kind"] == "end"

    def begin(self, header: Line) -> None:
        """Write the first line if there is none. Raises what `refuse_another` raises."""
        self.refuse_another(header)
        if not self.lines():
            self._rewrite([header])

    def refuse_another(self, header: Line) -> None:
        """Make sure that the file, if it exists, belongs to the same experiment.

        Raises ConfigError naming the first setting that differs, or for a file of an earlier version.
        """
        there = self.lines()
        if not there:
            return
        if there[0].get("format") != FORMAT:
            raise ConfigError(
                f"{self._path} was started by a version of swarmd that writes different settings: finish it "
                "with that version, or use another --out; `swarmd experiment report` can read it"
            )
        if difference := _difference(_completed(there[0]["settings"]), header["settings"], "settings"):
            raise ConfigError(
                f"{self._path} was made with different settings ({difference}): use another --out for this "
                "experiment, or restore those settings"
            )

    def cut_back(self, rounds: int) -> None:
        """Remove everything after the first `rounds` rounds."""
        self._rewrite([line for line in self.lines() if _is_before(line, rounds)])

    def append(self, lines: Iterable[Line]) -> None:
        """Append lines. They are on disk when this returns, so a checkpoint is never newer than the lines
        that led to it.
        """
        text = "".join(f"{_json(line)}\n" for line in lines)
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise disk_error(f"write {self._path}", error, OUT) from error

    def _rewrite(self, lines: Sequence[Line]) -> None:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(self._path, "".join(f"{_json(line)}\n" for line in lines).encode(), mode=0o644)
        except OSError as error:
            raise disk_error(f"write {self._path}", error, OUT) from error


def read_lines(path: Path) -> list[Line]:
    """Return all whole lines of a run's file. Raises FileNotFoundError, and StorageError if it cannot be
    read.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise
    except (OSError, UnicodeDecodeError) as error:
        raise StorageError(f"{path} cannot be read: {error}") from error
    whole = text[: text.rfind("\n") + 1]
    try:
        return [json.loads(line, parse_constant=_refuse) for line in whole.splitlines()]
    except (ValueError, RecursionError) as error:  # ValueError: also a number with thousands of digits
        raise StorageError(f"{path} is damaged ({error}): remove it to run this part again") from error


def _refuse(constant: str) -> None:
    """Raise ValueError for NaN and the infinities, which `_json` does not write."""
    raise ValueError(f"{constant} is no number")


def _is_before(line: Line, rounds: int) -> bool:
    if line["kind"] == "run":
        return True
    if line["kind"] in KEPT_AT_START:
        return bool(line["round"] <= rounds)
    return line["kind"] != "end" and bool(line["round"] < rounds)


def _completed(settings: Mapping[str, Any]) -> Line:
    """Return `settings`, in which each learning setting that did not exist when they were written has its
    default. A new setting changes nothing by default, so such a run goes on as it began.
    """
    return {**settings, "learning": LearningConfig().model_dump(mode="json") | settings["learning"]}


def _difference(there: Any, wanted: Any, name: str) -> str:
    """Return the first difference between two trees of plain values, as text; empty if there is none."""
    if isinstance(there, Mapping) and isinstance(wanted, Mapping):
        for key in dict.fromkeys((*there, *wanted)):
            if found := _difference(there.get(key), wanted.get(key), f"{name}.{key}"):
                return found
        return ""
    return "" if there == wanted else f"{name}: {there!r} there, {wanted!r} now"


def _json(line: Line) -> str:
    return json.dumps(line, allow_nan=False, separators=(",", ":"))
