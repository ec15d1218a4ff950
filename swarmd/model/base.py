"""What a checkpoint depends on but does not contain: an adapter's base model, and the tokenizer.

If a base's weights were replaced, the adapter still loads, but silently answers worse. Therefore a checkpoint
records what it was trained on, and resuming with anything else is refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from pydantic import JsonValue

from swarmd.errors import ModelError
from swarmd.model.adapter_start import ADAPTER_CONFIGURATION, AdapterStart
from swarmd.model.fingerprint import fingerprints_of
from swarmd.model.locating import Located

SHOWN_CHARS = 12  # of a fingerprint, in messages
_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class Base:
    """A model as recorded in a checkpoint, without the adapter on it."""

    model: str
    """An absolute path, a hub id, or the name of a model that comes with a package."""
    revision: str | None
    """The commit, for a hub model."""
    files: str
    """`fingerprint_of` the base's files."""
    adapter: AdapterStart | None = None
    """The adapter that training started with; None if it was new."""
    formerly: str | None = None
    """What earlier versions recorded as `files`."""

    @classmethod
    def of(cls, located: Located) -> Base:
        """Compute from the model's files. Reads them all, which takes seconds per gigabyte. Raises
        ModelError."""
        folder = None if located.folder is None else located.folder.name
        revision = folder if folder is not None and _COMMIT.fullmatch(folder) else None
        files, formerly = fingerprints_of(replace(located, adapter=None))
        return cls(located.base, revision, files, located.adapter, formerly)

    def to_state(self) -> dict[str, JsonValue]:
        """The state as JSON."""
        state: dict[str, JsonValue] = {"model": self.model, "revision": self.revision, "files": self.files}
        if self.adapter is not None:
            state["adapter"] = {
                "folder": str(self.adapter.folder.absolute()),
                "settings": self.adapter.settings.to_state(),
            }
        return state

    def require_same(self, saved: object, checkpoint: object) -> None:
        """Raise ModelError if `saved`, from `to_state` when `checkpoint` was written, is a different base, or
        an adapter with different settings. The adapter's initial weights no longer matter.

        Checkpoints of earlier versions record no base, and are accepted.
        """
        if not isinstance(saved, dict):
            return
        if saved.get("files") not in (None, self.files, self.formerly):
            former = Base(str(saved.get("model")), saved.get("revision"), str(saved["files"]))
            raise ModelError(
                f"the adapter in {checkpoint} was trained on {former}, but the loaded model is {self}: an "
                "adapter works only on its own base. Restore the previous files, give the directory that has "
                "them with --model, or start again with another --home"
            )
        started = saved.get("adapter")
        own = None if self.adapter is None else self.adapter.settings.to_state()
        if isinstance(started, dict) and started.get("settings") != own:
            raise ModelError(
                f"{checkpoint} was started with the adapter in {started.get('folder')}, which had different "
                f"settings than the model given now: restore its {ADAPTER_CONFIGURATION} and give that "
                "directory as --model, or start again with another --home"
            )

    def __str__(self) -> str:
        revision = "" if self.revision is None else f"revision {self.revision[:SHOWN_CHARS]}, "
        return f"{self.model} ({revision}files {self.files[:SHOWN_CHARS]})"
