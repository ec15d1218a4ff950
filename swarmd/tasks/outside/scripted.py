"""Plays an environment of the package verifiers with given answers.

An environment's `run` drives one agent. This agent follows a script: it returns the answers in order and
stops the run after the last one. So the same code computes both the reply to a turn and the score of all
turns.
"""

from __future__ import annotations

import mimetypes
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from numpy import random as numpy_random

from swarmd.tasks.outside.absent import NeedsError, absent
from swarmd.tasks.outside.still_loop import run_still

_SERVICE = "a model behind a service"
_HUB = "a dataset from a hub"
_PROGRAMS = "a container or a tool server"
NEEDS = {
    **dict.fromkeys(("openai", "anthropic", "renderers", "gepa"), _SERVICE),
    **dict.fromkeys(("datasets", "huggingface_hub", "nltk"), _HUB),
    **dict.fromkeys(("mcp", "zmq", "uvicorn", "prime_runs", "prime_sandboxes", "prime_tunnel"), _PROGRAMS),
    "httpx2": "the network",
}

mimetypes.knownfiles.clear()  # aiohttp would read the system's tables, which the sandbox refuses

with absent(NEEDS):
    import verifiers
    import verifiers.v1 as vf
    from verifiers.v1.agent import Agents
    from verifiers.v1.graph import MessageNode
    from verifiers.v1.state import state_cls
    from verifiers.v1.trace import AgentInfo, TraceTask, VersionInfo


class _Waiting(BaseException):
    """The environment asks for another answer, but none is left. A BaseException, so that nothing catches
    it."""


class Script:
    """The answers of one completion, returned one by one."""

    def __init__(self, answers: Sequence[str], *, is_all: bool) -> None:
        """`is_all`: whether the exchange ends after the last answer; otherwise the environment waits for
        more."""
        self._rest = list(answers)
        self._is_all = is_all
        self.asked: list[str | None] = []
        """The message before each answer, and the one after the last; None if there was none."""
        self.trace: Any = None

    def next(self, said: str | None) -> str | None:
        """The next answer. None if the exchange is over."""
        self.asked.append(said)
        if self._rest:
            return self._rest.pop(0)
        if self._is_all:
            return None
        raise _Waiting


class _Interaction:
    """Implements the part of `verifiers.v1.Interaction` that a run uses, with a script instead of a model."""

    def __init__(self, task: Any, script: Script) -> None:
        if script.trace is not None:
            raise NeedsError("several attempts at one task")
        self._script = script
        self._task = task
        self.trace = script.trace = vf.Trace(
            task=TraceTask(type=type(task).__name__, data=task.data, key=task.key, hash=task.hash),
            state=state_cls(type(task))(),
            agent=AgentInfo(config=vf.AgentConfig()),
            verifiers=VersionInfo(version=verifiers.__version__),
        )
        if task.data.system_prompt:
            self._add(vf.SystemMessage(content=task.data.system_prompt))
        for message in prompt_of(task):
            self._add(message)

    async def turn(self, message: str | None = None) -> Any:
        """Give one answer, to `message` or to the task's prompt."""
        answer = self._script.next(message)
        if message is not None:
            self._add(vf.UserMessage(content=message))
        if answer is None:
            self.trace.stop("max_turns")
            return vf.Segment([], terminated=True)
        given = vf.AssistantMessage(content=answer)
        self._add(given, sampled=True)
        return vf.Segment([given])

    async def close(self) -> None:
        """Let the task score the trace."""
        self.trace.is_completed = self.trace.ok = True
        await self._task.score(self.trace, None)

    def _add(self, message: Any, *, sampled: bool = False) -> None:
        nodes = self.trace.nodes
        parent = len(nodes) - 1 if nodes else None
        nodes.append(MessageNode(parent=parent, message=message, sampled=sampled, timestamp=0.0))


class _Agent:
    """Implements the part of `verifiers.v1.Agent` that a run uses."""

    def __init__(self, script: Script) -> None:
        self._script = script

    async def run(self, task: Any) -> Any:
        """Give one answer to the task's prompt, and score it."""
        async with self.interaction(task) as interaction:
            await interaction.turn()
        return interaction.trace

    @asynccontextmanager
    async def interaction(self, task: Any) -> AsyncIterator[_Interaction]:
        """The exchange, which is scored when the block ends."""
        held = _Interaction(task, self._script)
        yield held
        await held.close()


def prompt_of(task: Any) -> list[Any]:
    """The task's initial messages."""
    prompt = task.data.prompt
    if prompt is None:
        return []
    return [vf.UserMessage(content=prompt)] if isinstance(prompt, str) else list(prompt)


def play(env: Any, task: Any, answers: Sequence[str], number: int, *, is_all: bool) -> tuple[Script, bool]:
    """Run `task` in `env` with these answers, its generators seeded with `number`. Also returns whether the
    exchange is over.

    Raises what the environment raises.
    """
    random.seed(number)
    numpy_random.seed(number)
    script = Script(answers, is_all=is_all)
    agents: Any = Agents(env.config, lambda _name, _config: _Agent(script))
    try:
        run_still(env.run(task, agents))
    except _Waiting:
        return script, False
    return script, True
