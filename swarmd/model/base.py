"""What a checkpoint depends on and does not hold: an adapter's base model, and the tokenizer.

A base whose weights were replaced still takes the adapter, and answers worse without a word. So a checkpoint
says what it was trained on, and going on with something else is refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from pydantic import JsonValue

from swarmd.errors import ModelError
from swarmd.model.adapter_start import ADAPTER_CONFIGURATION, AdapterStart
from swarmd.model.fingerprint import fingerprint_of
from swarmd.model.locating import Located

SHOWN_CHARS = 12  # of a fingerprint, for people
_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class Base:
    """A model as a checkpoint names it, without the adapter on it."""

    model: str
    """An absolute path, a hub id, or the name of a model that comes with a package."""
    revision: str | None
    """The commit of a hub model."""
    files: str
    """`fingerprint_of` the base's files."""
    adapter: AdapterStart | None = None
    """What training started with; None for a fresh adapter."""

    @classmethod
    def of(cls, located: Located) -> Base:
        """Reads all its files: a gigabyte takes seconds. Raises ModelError."""
        folder = None if located.folder is None else located.folder.name
        revision = folder if folder is not None and _COMMIT.fullmatch(folder) else None
        files = fingerprint_of(replace(located, adapter=None))
        return cls(located.base, revision, files, located.adapter)

    def to_state(self) -> dict[str, JsonValue]:
        """As JSON holds it."""
        state: dict[str, JsonValue] = {"model": self.model, "revision": self.revision, "files": self.files}
        if self.adapter is not None:
            state["adapter"] = {
                "folder": str(self.adapter.folder.absolute()),
                "settings": self.adapter.settings.to_state(),
            }
        return state

    def require_same(self, saved: object, checkpoint: object) -> None:
        """Raises ModelError if `saved`, what `to_state` gave when `checkpoint` was written, is another base,
        or an adapter that computes in another way. The adapter's first weights do not matter any more.

        Checkpoints of earlier versions name none, and are believed.
        """
        if not isinstance(saved, dict):
            return
        if saved.get("files") not in (None, self.files):
            former = Base(str(saved.get("model")), saved.get("revision"), str(saved["files"]))
            raise ModelError(
                f"the adapter in {checkpoint} was trained on {former}, and the model loaded is {self}: an "
                "adapter works on its own base only. Put the former files back, give the directory that has "
                "them with --model, or begin anew with another --home"
            )
        started = saved.get("adapter")
        own = None if self.adapter is None else self.adapter.settings.to_state()
        if isinstance(started, dict) and started.get("settings") != own:
            raise ModelError(
                f"{checkpoint} was started with the adapter in {started.get('folder')}, which had other "
                f"settings than the model given now: put its {ADAPTER_CONFIGURATION} back and give that "
                "directory as --model, or begin anew with another --home"
            )

    def __str__(self) -> str:
        revision = "" if self.revision is None else f"revision {self.revision[:SHOWN_CHARS]}, "
        return f"{self.model} ({revision}files {self.files[:SHOWN_CHARS]})"
