"""The swarm's held-out questions in parts: each evaluation answers one part, in turn.

Together the parts are the questions of `swarmd eval --questions 400`, the same for every peer of the swarm.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from protocol import Manifest
from swarmd.tasks import Question, held_out_questions, held_out_seed
from swarmd.tasks.draw import HeldOutSource

QUESTIONS = 400  # the 95% interval of success is then at most +-0.05, and that of a difference narrower
PARTS = 4  # a part costs about three times the completions of a default step


@dataclass(frozen=True)
class Part:
    """Questions answered in one sitting, spread over all tasks."""

    number: int
    questions: tuple[Question, ...]

    @property
    def asked(self) -> bytes:
        """Digest of texts and images: equal only for the same questions in the same order."""
        texts = "\0".join(question.text for question in self.questions)
        shown = b"".join(image.digest for question in self.questions for image in question.images)
        return hashlib.sha256(texts.encode() + shown).digest()[:16]


class HeldOutParts:
    """Drawn once, on first use: it takes the task worker 1.5 s (the starter tasks)."""

    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest
        self._parts: tuple[Part, ...] | None = None

    async def draw(self, source: HeldOutSource) -> tuple[Part, ...]:
        """Return all parts. Raises NoHeldOutQuestionError if the swarm's tasks have no such question."""
        if self._parts is None:
            manifest = self._manifest
            found = await held_out_questions(source, manifest.tasks, held_out_seed(manifest), QUESTIONS)
            self._parts = tuple(Part(n, tuple(found[n::PARTS])) for n in range(PARTS))
        return self._parts
