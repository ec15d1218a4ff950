"""Strangers' programs through the real worker: what they attempt does not happen, and no verdict is theirs.

The task asks for `solve(n)` that gives n * 7919 + 13. A program that solves it is right; every other one
here tries to be called right without solving it, to break out, or to take time and memory from others.
"""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import pytest_asyncio

from swarmd.tasks import Score, TaskRunner
from swarmd.tasks.frames import pack
from swarmd.tasks.nursery import MODULES
from tests.tasks.conftest import QUICK, make_spec

pytestmark = pytest.mark.asyncio(loop_scope="module")

SOURCE = """
from swarmd.tasks.source import Program

EXPECTED_OUTPUTS = ["SECRET" + str(n) for n in range(4)]

class Task:
    def question(self, seed, index):
        inputs = [seed + n for n in range(4)]
        return f"times 7919 plus 13, {seed}", (inputs, [ascii(n * 7919 + 13) for n in inputs])

    def program(self, answer, entry):
        return Program(answer, tuple(f"solve({n})" for n in entry[0]))

    def judge(self, outputs, entry):
        return sum(a == b for a, b in zip(outputs, entry[1])) / 4

    def score(self, answer, entry):
        raise NotImplementedError

    def is_bare(self, answer, entry):
        return answer == "def solve(n): return n * 7919 + 13"

class Source:
    version = "1"

    def datasets(self):
        return ["seven"]

    def build(self, dataset, config):
        return Task()
"""

RIGHT = "def solve(n): return n * 7919 + 13"
WRONG = "def solve(n): return n"

ALLOWED = {
    "imports": f"import {', '.join(MODULES)}\ndef solve(n): return math.floor(n * 7919 + 13)",
    "a class": "class A:\n    def f(self, n): return n * 7919 + 13\nsolve = A().f",
    "recursion": "def more(n): return 13 if n == 0 else 7919 + more(n - 1)\nsolve = more",
    "state between calls": "seen = []\ndef solve(n):\n    seen.append(n)\n    return seen[-1] * 7919 + 13",
    "printing": "def solve(n):\n    print('x' * 10**5)\n    return n * 7919 + 13",
    "f-strings and sets": "def solve(n):\n    return int(f'{n * 7919}') + sum({6, 7})",
    "a generator": "def solve(n): return sum(n for _ in range(7919)) + 13",
}

# Each computes something true if it got through. It may not, and the program's outputs then are wrong anyway.
BREAKING_OUT = {
    "reading a file": "open('{secret}').read()",
    "reading by descriptor": "__import__('os').open('{secret}', 0) >= 0",
    "reading a package": "open(__import__('math').__file__ or __import__('os').__file__)",
    "importing the tasks": "__import__('swarmd.tasks.coding.families')",
    "listing": "__import__('os').listdir('/')",
    "stat": "__import__('os').stat('{secret}')",
    "the environment": "__import__('os').environ['SWARMD_SECRET']",
    "proc": "open('/proc/self/maps').read()",
    "proc of the parent": "open('/proc/%d/mem' % __import__('os').getppid(), 'rb')",
    "writing": "open('{directory}/written', 'w')",
    "making a directory": "__import__('os').mkdir('{directory}/written') is None",
    "a socket": "__import__('socket').socket()",
    "a connection": "__import__('socket').create_connection(('127.0.0.1', {port}), 1)",
    "a fork": "__import__('os').fork() >= 0",
    "a program": "__import__('os').execv('/bin/true', ['true'])",
    "a spawned program": "__import__('os').posix_spawn('/bin/true', ['true'], {{}}) > 0",
    "a fork unaudited": "__import__('_posixsubprocess').fork_exec(*[None] * 21)",
    "a shell": "__import__('os').system('true') == 0",
    "a thread": "__import__('_thread').start_new_thread(print, ())",
    "a signal to the parent": "__import__('os').kill(__import__('os').getppid(), 9) is None",
    "a signal to the group": "__import__('os').killpg(0, 9) is None",
    "a signal handler": "__import__('signal').signal(14, 1) is not None",
    "no alarm": "__import__('signal').setitimer(0, 0) is not None",
    "no alarm of CPU time": "__import__('signal').setitimer(2, 0) is not None",
    "masked signals": "__import__('signal').pthread_sigmask(0, [14, 27]) is not None",
    "higher limits": "__import__('resource').setrlimit(0, (99, 99)) is None",
    "sleeping": "__import__('time').sleep(3600) is None",
    "waiting for a lock": "[l.acquire() for l in [__import__('_thread').allocate_lock()] * 2 if 0]",
    "standard input": "__import__('os').read(0, 1) is not None",
    "ctypes": "__import__('ctypes').CDLL(None).getpid()",
    "ctypes memory": "__import__('ctypes').string_at(id(0), 8)",
    "shared memory": "__import__('mmap').mmap(-1, 4096)",
    "a pipe": "__import__('os').pipe()",
    "a second descriptor": "__import__('os').dup(3) > 0",
    "all objects": "__import__('gc').get_objects()",
    "referrers": "__import__('gc').get_referrers(0)",
    "a source's module": "__import__('sys').modules['strangers_source']",
    "a solution's module": "__import__('sys').modules['swarmd.tasks.coding']",
    "a profile": "__import__('sys').setprofile(print) is None",
    "a code object": "(lambda: 0).__code__.replace(co_consts=(1,))",
    "environment of the worker": "'PYTHONPATH' in __import__('os').environ and open('/etc/passwd')",
}

_SCORE = pack((True, (10**6, True)))
_REFUSAL = pack((False, "timeout", "", None))
_OUTPUTS = pack((True, ("79203", "87122", "95041", "102960")))

FORGING = {
    "a score into the pipe": f"import os\nos.write(3, {_SCORE!r})\n{WRONG}",
    "a refusal into the pipe": f"import os\nos.write(3, {_REFUSAL!r})\n{WRONG}",
    "outputs for other inputs": f"import os\nos.write(3, {_OUTPUTS!r})\n{WRONG}",
    "an equal to everything": """
class Equal:
    def __eq__(self, other): return True
    def __hash__(self): return 0
def solve(n): return Equal()
""",
    "a text that says it is right": """
class Text(str):
    def __eq__(self, other): return True
def solve(n): return Text("x")
""",
    "another ascii": f"import builtins\nbuiltins.ascii = lambda value: '1000000'\n{WRONG}",
    "a patched judge": f"""
import sys
for module in list(sys.modules.values()):
    module.judge = module.score = module.score_micro = lambda *_: 1.0
{WRONG}
""",
    "patched frames": f"import swarmd.tasks.frames as f\nf.encode = lambda value: {_SCORE!r}\n{WRONG}",
    "patched children": f"import swarmd.tasks.children as c\nc.attempt = lambda job: (True, (9,))\n{WRONG}",
    "the frames below": """
import sys
def solve(n):
    frame, found = sys._getframe(), []
    while frame:
        found += [value for value in frame.f_locals.values() if "SECRET" in str(value)]
        frame = frame.f_back
    return found
""",
    "the source's names": """
import sys
def solve(n):
    return [m for m in sys.modules.values() if hasattr(m, "EXPECTED_OUTPUTS")][0].EXPECTED_OUTPUTS[0]
""",
    "one of four": "def solve(n): return n * 7919 + 13 if n == 7 else 0",
}

_LOCK = "import _thread\nl = _thread.allocate_lock()\nl.acquire()\nl.acquire()\n"
_CATCHING = """
while True:
    try:
        while True: pass
    except BaseException: pass
"""
_DEEPER = "import sys\nsys.setrecursionlimit(10 ** 9)\ndef solve(n): return solve(n)"

DEVOURING: dict[str, tuple[str, set[str | None]]] = {
    "a loop": ("while True: pass", {"hang"}),
    "a loop in a call": ("def solve(n):\n    while True: pass", {"hang"}),
    "a loop that catches": (_CATCHING, {"hang"}),
    "a long regex": ("import re\ndef solve(n): return re.match('(a+)+$', 'a' * 40 + 'b')", {"hang"}),
    "a lock": (_LOCK + RIGHT, {"crash", "hang"}),
    "a huge power": ("def solve(n): return 9 ** 9 ** 9", {"hang", None}),
    "a huge text": ("def solve(n): return 'x' * 10 ** 10", {None}),
    "a large text": ("def solve(n): return 'x' * 10 ** 6", {None}),
    "memory": ("x = []\nwhile True: x.append(bytearray(10 ** 6))", {None}),
    "recursion": ("def solve(n): return solve(n)", {None}),
    "recursion without end": (_DEEPER, {"crash", "hang", None}),
    "nesting": ("(" * 3000 + ")" * 3000, {None}),
    "exit": ("exit()", {None}),
    "sys.exit": ("import sys\nsys.exit(0)", {None}),
    "os._exit": ("import os\nos._exit(0)", {"crash"}),
    "abort": ("import os\nos.abort()", {"crash"}),
    "a closed pipe": ("import os\nos.close(3)\n" + RIGHT, {"crash"}),
    "a flood into the pipe": ("import os\nwhile True: os.write(3, b'\\xff' * 65536)", {"crash"}),
    "a slow frame": ("import os\nos.write(3, bytes([0, 0, 1, 0]))\nwhile True: pass", {"hang", "crash"}),
    "a flood of printing": ("import sys\nwhile True: sys.stdout.write('x' * 10 ** 6)", {"hang"}),
    "a null byte": ("x = 1\0", {None}),
    "a surrogate": ("def solve(n): return '\\udc80'", {None}),
    "a broken repr": (
        "class A:\n    def __repr__(self): raise SystemExit\ndef solve(n): return A()",
        {None},
    ),
    "nothing": ("pass", {None}),
    "no program": ("This is not Python.", {None}),
}


@dataclass(frozen=True)
class Arena:
    """A worker with the source above, and the targets of the attacks."""

    runner: TaskRunner
    directory: Path
    server: socket.socket

    async def score(self, *programs: str, seed: int = 7) -> list[Score]:
        spec = make_spec("seven", source="strangers", seed=seed)
        [scores] = await self.runner.score([(spec, [f"<answer>{program}</answer>" for program in programs])])
        return scores

    def target(self, attack: str) -> str:
        port = self.server.getsockname()[1]
        return attack.format(secret=self.directory / "peer.key", directory=self.directory, port=port)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def arena(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Arena]:
    home, sources = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("sources")
    (home / "peer.key").write_text("private")
    (sources / "strangers_source.py").write_text(SOURCE)
    with socket.create_server(("127.0.0.1", 0)) as server, pytest.MonkeyPatch.context() as patch:
        server.setblocking(False)
        patch.syspath_prepend(sources)
        patch.setenv("SWARMD_SECRET", "hunter2")
        options = replace(
            QUICK, program_cpu_s=0.25, hangs_per_group=30, sources=("strangers=strangers_source:Source",)
        )
        async with TaskRunner(reward="partial", options=options) as runner:
            if [line for line in runner.sandbox_report() if "no programs run" in line]:
                pytest.skip("no system-call filter on this platform")
            yield Arena(runner, home, server)


async def test_a_right_program_is_right_however_it_is_written_and_bare_only_as_the_task_writes_it(
    arena: Arena,
) -> None:
    scores = await arena.score(RIGHT, WRONG, *ALLOWED.values())
    assert scores[:2] == [Score(1.0, bare=True), Score(0.0)]
    assert dict(zip(ALLOWED, scores[2:], strict=True)) == dict.fromkeys(ALLOWED, Score(1.0))


async def test_the_reward_is_the_share_of_calls_that_come_out_right(arena: Arena) -> None:
    half = "def solve(n): return n * 7919 + 13 if n % 2 else 1 / 0"
    assert await arena.score(half) == [Score(0.5)]


async def test_what_a_program_attempts_does_not_happen(arena: Arena) -> None:
    pid = arena.runner.worker_pid
    attempts = {
        name: "def solve(n):\n    if n != 7: return 0\n    try:\n"
        f"        through = bool({arena.target(attack)})\n"
        "    except BaseException:\n        through = False\n    return n * 7919 + 13 if through else 0"
        for name, attack in BREAKING_OUT.items()
    }
    scores = await arena.score(*attempts.values())
    assert [name for name, score in zip(attempts, scores, strict=True) if score.reward > 0] == []
    assert [name for name, score in zip(attempts, scores, strict=True) if score.is_lost] == []
    with pytest.raises(BlockingIOError):
        arena.server.accept()
    assert (arena.directory / "peer.key").read_text() == "private"
    assert os.listdir(arena.directory) == ["peer.key"]  # noqa: PTH208  Path.iterdir is for synchronous tests
    assert (arena.runner.worker_pid, arena.runner.restarts) == (pid, 0)


async def test_no_program_is_called_right_without_solving_the_problem(arena: Arena) -> None:
    scores = await arena.score(*FORGING.values())
    rewards = dict(zip(FORGING, (score.reward for score in scores), strict=True))
    assert rewards == {**dict.fromkeys(FORGING, 0.0), "one of four": 0.25}
    assert not any(score.bare for score in scores)
    assert not any(score.failure == "timeout" for score in scores)
    assert await arena.score(WRONG, RIGHT) == [Score(0.0), Score(1.0, bare=True)]


async def test_what_hangs_dies_or_devours_costs_that_program_alone(arena: Arena) -> None:
    programs = [text for text, _ in DEVOURING.values()]
    scores = await arena.score(RIGHT, *programs, RIGHT + "  # again")
    assert (scores[0], scores[-1]) == (Score(1.0, bare=True), Score(1.0))
    ends = dict(zip(DEVOURING, scores[1:-1], strict=True))
    assert {n: s for n, s in ends.items() if s.reward > 0 or s.failure not in DEVOURING[n][1]} == {}
    assert arena.runner.restarts == 0


async def test_no_program_leaves_anything_to_the_next_one(arena: Arena) -> None:
    leaving = "import builtins, math, sys\nbuiltins.left = math.left = sys.left = 41\n" + WRONG
    found = "any(hasattr(module, 'left') for module in (builtins, math, sys))"
    finding = f"import builtins, math, sys\ndef solve(n): return 41 if {found} else n * 7919 + 13"
    assert [score.reward for score in await arena.score(leaving, finding)] == [0.0, 1.0]


async def test_programs_cost_cpu_time_that_is_counted(arena: Arena) -> None:
    before = arena.runner.cpu_s
    await arena.score("while True: pass", seed=8)
    assert arena.runner.cpu_s - before >= 0.1, "the program had 0.25 s, which a busy machine may cut short"


async def test_programs_are_never_scored_among_what_is_quick(arena: Arena) -> None:
    spec = make_spec("seven", source="strangers")
    assert await arena.runner.score_shared([(spec, ["<answer>banana</answer>"])]) == [None]


async def test_a_worker_for_peers_stops_at_the_first_program_that_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "strangers_source.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(tmp_path)
    options = replace(
        QUICK, program_cpu_s=0.25, stop_at_loss=True, sources=("strangers=strangers_source:Source",)
    )
    async with TaskRunner(reward="exact", options=options) as runner:
        spec = make_spec("seven", source="strangers")
        programs = [RIGHT, "while True: pass", WRONG]
        scores = await runner.score_alone(spec, [f"<answer>{program}</answer>" for program in programs])
    assert [score.failure for score in scores] == [None, "hang", "skipped"]


WITHOUT_FILTER = """
from swarmd.tasks import sandbox, worker
from strangers_source import Source

class Unwalled(Source):
    pass

sandbox.seccomp.is_supported = lambda: False
"""


async def test_without_a_filter_no_program_is_run_not_even_one_of_plain_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "strangers_source.py").write_text(SOURCE)
    (tmp_path / "unwalled_programs.py").write_text(WITHOUT_FILTER)
    monkeypatch.syspath_prepend(tmp_path)
    options = replace(QUICK, sources=("strangers=unwalled_programs:Unwalled",))
    async with TaskRunner(reward="exact", options=options) as runner:
        spec = make_spec("seven", source="strangers")
        scores = await runner.score_alone(
            spec, [f"<answer>{text}</answer>" for text in (RIGHT, "import time")]
        )
        assert [line for line in runner.sandbox_report() if "no programs run" in line]
    assert scores == [Score(0.0), Score(0.0)]
