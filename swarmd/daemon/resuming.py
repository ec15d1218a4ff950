"""Where a start continues: from the home's newest whole checkpoint, from the named one, or from the
beginning.

A home that has trained never starts over just because its checkpoints cannot be read. The start is refused
instead, and the message names the options. Damaged checkpoints are set aside and reported only once it is
certain that the start will continue.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from swarmd.daemon.beginning import Beginning
from swarmd.errors import ConfigError, StorageError
from swarmd.storage import Checkpoint, Checkpoints, Home
from swarmd.storage.checkpoint_files import CorruptCheckpointError, salvage
from swarmd.storage.checkpoints import Damage, NothingWholeError
from swarmd.storage.durable import DAMAGED


@dataclass(frozen=True)
class Past:
    """How far this home got, according to its database."""

    last_step: int = 0
    saved_step: int | None = None
    """Step of the newest checkpoint; None if none is known."""

    @property
    def has_trained(self) -> bool:
        """Whether the home ever had a checkpoint: the first step is saved at once, so a home with a second
        step had one.
        """
        return self.last_step > 1 or self.saved_step is not None


@dataclass(frozen=True)
class Resumption:
    """Where to continue."""

    checkpoint: Checkpoint | None
    origin: str | None = None
    """SHA-256 of the --from weights that this home continued from; None if it started on its own."""
    origin_place: str | None = None
    """The absolute path that --from named for them."""
    named: bool = False
    """Whether this start named the checkpoint with --from."""
    problems: tuple[str, ...] = ()
    """What is wrong, one sentence each."""


def find_resumption(checkpoints: Checkpoints, home: Home, beginning: Beginning, past: Past) -> Resumption:
    """Find the checkpoint and set damaged ones aside. Blocks while it reads them.

    Raises StorageError, with nothing changed, if the disk cannot be read, or if the home has trained and no
    checkpoint in it can be loaded; ConfigError for a --from that cannot be used.
    """
    damaged: Sequence[Damage] = ()
    try:
        newest = checkpoints.load_latest(lambda _: None)
    except NothingWholeError as error:
        newest, damaged = None, error.damaged
    found = _named(beginning.checkpoint, newest) if beginning.checkpoint else _own(newest, beginning.fresh)
    if found.checkpoint is None and not beginning.fresh:
        _require_untrained(checkpoints, home, damaged, past)
    moved = checkpoints.set_damaged_aside()
    places = {damage.path: aside for damage, aside in moved}
    checkpoint = found.checkpoint
    if checkpoint is not None and checkpoint.path in places:
        checkpoint = replace(checkpoint, path=places[checkpoint.path])
    told = [f"{damage}; it is kept as {aside} until you remove it" for damage, aside in moved]
    if newest is not None and not found.named:
        told += _behind(newest, [damage for damage, _ in moved], past)
    if newest is None and beginning.fresh and (moved or past.has_trained):
        told.append("training starts over, untrained, as --fresh says")
    return replace(found, checkpoint=checkpoint, problems=(*told, *found.problems))


def _own(newest: Checkpoint | None, fresh: bool) -> Resumption:
    problems = []
    if newest is not None and fresh:
        problems.append(
            f"--fresh is for a home in which no checkpoint can be loaded, but {newest.path} is whole: "
            "continuing from it. To start over separately, use another --home"
        )
    return _again(newest, *problems)


def _again(newest: Checkpoint | None, *problems: str) -> Resumption:
    """Resume from a checkpoint of this home."""
    state = {} if newest is None else newest.state
    origin, place = (
        value if isinstance(value, str) else None
        for value in (state.get("origin"), state.get("origin_place"))
    )
    return Resumption(newest, origin, place, problems=problems)


def _named(path: Path, newest: Checkpoint | None) -> Resumption:
    """Resume from the directory that --from names, unless this home has already done so."""
    place = str(path.absolute())
    directory = path.absolute() if path.is_dir() else path.absolute().parent
    if not path.exists():  # one of this home's checkpoints, since set aside
        directory = path.absolute().with_name(f"{DAMAGED}{path.name}")
    try:
        salvaged = salvage(directory)
    except CorruptCheckpointError as error:
        if newest is not None and newest.state.get("origin_place") == place:
            return _again(
                newest,
                f"this home continued from {path}, which is gone: continuing from its own {newest.path}",
            )
        raise ConfigError(
            f"--from {path}: the weights there cannot be used ({error}): give the directory of a checkpoint, "
            "such as HOME/checkpoints/00000004-step-40"
        ) from error
    if newest is not None and newest.state.get("origin") == salvaged.weights_sha256:
        why = f"this home has already continued from {directory}: continuing from its own {newest.path}"
        return replace(_again(newest, why), origin_place=place)
    problems = [f"continuing with the weights of {directory}, as --from says"]
    if salvaged.lost:
        problems.append(f"lost with {directory}: {'; '.join(salvaged.lost)}")
    return Resumption(
        salvaged.checkpoint, salvaged.weights_sha256, place, named=True, problems=tuple(problems)
    )


def _behind(newest: Checkpoint, damaged: Sequence[Damage], past: Past) -> list[str]:
    """Return how many steps are lost, if that is more than a kill would cost."""
    reached = max([past.last_step, past.saved_step or 0, *(damage.step for damage in damaged)])
    lost = f"steps {newest.step + 1} to {reached} are" if reached > newest.step + 1 else f"step {reached} is"
    again = f"{lost} lost and trained again; what was published stays published and counted"
    if damaged and reached > newest.step:
        return [f"falling back to the one before, {newest.path}: {again}"]
    if past.saved_step is not None and past.saved_step > newest.step:
        return [
            f"the newest checkpoint, {newest.path}, is older than this home: its database knows one of step "
            f"{past.saved_step}. Was an older backup restored, or were checkpoints removed? {again}"
        ]
    return []


def _require_untrained(checkpoints: Checkpoints, home: Home, damaged: Sequence[Damage], past: Past) -> None:
    """Raise StorageError for a home that has trained; the message names the options."""
    aside = checkpoints.aside()
    if not damaged and not aside and not past.has_trained:
        return
    reached = max([past.last_step, past.saved_step or 0, *(damage.step for damage in damaged)])
    until = f" up to step {reached}" if reached else ""
    lines = [f"no checkpoint can be loaded from {home.path}, which has trained{until}:"]
    lines += [f"  {damage}" for damage in damaged]
    lines += [f"  {path} was set aside as damaged before" for path in aside]
    if not damaged and not aside:
        lines.append(f"  there is no checkpoint in {home.checkpoints_path}")
    lines.append("nothing was changed. Your options:")
    lines.append("  restore a backup of the home, or of a checkpoint")
    join = f"swarmd join --home {shlex.quote(str(home.path))}"
    lines += [
        f"  {join} --from {shlex.quote(str(path))}\n    its weights are usable; lost: {lost}"
        for path, lost in _usable([*(damage.path for damage in damaged), *aside])
    ]
    lines.append(f"  {join} --fresh\n    to start over untrained; damaged files are kept")
    raise StorageError("\n".join(lines))


def _usable(paths: Sequence[Path]) -> list[tuple[Path, str]]:
    """Return the checkpoints whose weights can be used, and what is lost with each."""
    found = []
    for path in paths:
        try:
            found.append((path, "; ".join(salvage(path).lost) or "nothing"))
        except CorruptCheckpointError:
            continue
    return found
