"""What a checkpoint depends on and does not hold: an adapter's base model, and the tokenizer.

A base whose weights were replaced still takes the adapter, and answers worse without a word. So a checkpoint
says what it was trained on, and going on with something else is refused.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass

from pydantic import JsonValue

from swarmd.errors import ModelError
from swarmd.model.fingerprint import model_fingerprint
from swarmd.model.locating import locate
from swarmd.model_names import SMOLLM2

SHOWN_CHARS = 12  # of a fingerprint, for people
_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class Base:
    """A model as a checkpoint names it."""

    model: str
    """An absolute path, a hub id, or the name of a model that comes with a package."""
    revision: str | None
    """The commit of a hub model."""
    files: str
    """`model_fingerprint`."""

    @classmethod
    def of(cls, model: str) -> Base:
        """Reads all its files: a gigabyte takes seconds. Raises ModelError."""
        folder = None if model == SMOLLM2 else locate(model).name
        revision = folder if folder is not None and _COMMIT.fullmatch(folder) else None
        return cls(model, revision, model_fingerprint(model))

    def to_state(self) -> dict[str, JsonValue]:
        """As JSON holds it."""
        return asdict(self)

    def require_same(self, saved: object, checkpoint: object) -> None:
        """Raises ModelError if `saved`, what `to_state` gave when `checkpoint` was written, is another base.

        Checkpoints of earlier versions name none, and are believed.
        """
        if not isinstance(saved, dict) or saved.get("files") in (None, self.files):
            return
        former = Base(str(saved.get("model")), saved.get("revision"), str(saved["files"]))
        raise ModelError(
            f"the adapter in {checkpoint} was trained on {former}, and the model loaded is {self}: an "
            "adapter works on its own base only. Put the former files back, give the directory that has "
            "them with --model, or begin anew with another --home"
        )

    def __str__(self) -> str:
        revision = "" if self.revision is None else f"revision {self.revision[:SHOWN_CHARS]}, "
        return f"{self.model} ({revision}files {self.files[:SHOWN_CHARS]})"
