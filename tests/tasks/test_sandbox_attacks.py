"""Hostile text, through the scorers that evaluate it and through custom ones: it earns and does nothing.

An attack is a Python expression that is true only if it got through. As text it must not be run at all; and
as the code of a scorer, which is what a text would be if it were run, it must not get through.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import pytest_asyncio

from protocol import TaskSpec
from swarmd.tasks import Question, Score, TaskRunner
from swarmd.tasks.frames import pack
from swarmd.tasks.gym import ReasoningGym
from tests.tasks.conftest import QUICK, make_spec

pytestmark = pytest.mark.asyncio(loop_scope="module")

OS = "__import__('os')"
ATTACKS = {
    "reading": [
        "open('{secret}').read()",
        "__import__('io').open_code('{secret}').read()",
        OS + ".read(" + OS + ".open('{secret}', 0), 9)",
        "open('/proc/self/environ').read()",
        "open('/proc/%d/mem' % " + OS + ".getppid(), 'rb')",
        "open('/etc/passwd').read()",
        OS + ".listdir('{directory}')",
    ],
    "writing": [
        "open('{directory}/written', 'w')",
        OS + ".open('{directory}/written', 65)",
        OS + ".mkdir('{directory}/written') or 1",
        OS + ".rename('{secret}', '{directory}/written') or 1",
        OS + ".remove('{secret}') or 1",
        OS + ".symlink('{secret}', '{directory}/written') or 1",
        OS + ".chmod('{secret}', 0o777) or 1",
        OS + ".truncate('{secret}', 0) or 1",
    ],
    "network": [
        "__import__('socket').create_connection(('127.0.0.1', {port}), 1)",
        "__import__('socket').socket()",
        "__import__('_socket').socket()",
        "__import__('urllib.request').request.urlopen('http://127.0.0.1:{port}')",
    ],
    "processes": [
        OS + ".system('true') == 0",
        OS + ".popen('echo 1').read()",
        OS + ".fork() >= 0",
        OS + ".posix_spawn('/bin/true', ['true'], {{}})",
        OS + ".execv('/bin/true', ['true'])",
        "__import__('subprocess').run(['true'])",
        OS + ".kill({daemon}, 0) is None",
        OS + ".kill(" + OS + ".getppid(), 9) is None",
        OS + ".killpg(" + OS + ".getpgrp(), 9) is None",
        "__import__('ctypes').CDLL(None).getpid()",
        "__import__('threading').Thread(target=print).start() is None",
    ],
    "environment": [
        OS + ".environ.get('SWARMD_SECRET')",
        OS + ".environ.get('HOME')",
        OS + ".environ.get('PATH')",
        "__import__('sys').modules.get('torch')",
    ],
}

EVALUATING = ("binary_matrix", "n_queens", "spiral_matrix", "string_insertion")
PARSING = (
    "countdown", "puzzle24", "polynomial_multiplication", "simple_integration", "intermediate_integration",
)  # fmt: skip
FORGED = f"{OS}.write(3, {pack((True, (10**6, True)))!r})"
CODE = [
    FORGED,
    f"[{FORGED}][0]",
    f"(lambda: {FORGED})()",
    f"{FORGED} if 1 else 0",
    "eval('1')",
    "exec('x=1')",
    "setattr(print, 'x', 1)",
    "().__class__.__base__.__subclasses__()",
    "[x for x in (1,)]",
    "f'{1}'",
    "entry['answer']",
    "oracle_answer",
    "answer",
    "self",
    "valid_solutions[0]",
    "sympify('1')",
    "lambdify(x, x)",
    "Symbol('x').name",
    "(x := 1)",
    "not print",
    "1 if print else 2",
]
HANGING = [
    "9**9**9**9",
    "9**9**9",
    "1e99999999",
    "1e-99999999",
    "1E+9_99_99999",
    "1e9,9,9,9,9,9,9,9",
    "2**2**2**2**2**2",
    "factorial(999999999)",
    "999999999!",
    "gamma(10**9)",
    "1<<99999999999",
    "'x'*10**11",
    "[0]*10**11",
    "-" * 15_000 + "1",
    "(" * 8_000 + ")" * 8_000,
    "[" * 16_000,
    "\u00ac" * 15_000,
    "A\u2227" * 5_000 + "A",
    "9" * 16_000,
    "\u0669" * 8_000,
    "U999999999",
    "A+99999999999",
    "0x" + "f" * 16_000,
    "1," * 8_000,
    "1_" * 8_000 + "1",
]

HANGS = "[1 for _ in iter(int, 1) if _]"
"""Takes time and no memory: of that, a fast machine would run out first."""
DEVOURING: dict[str, set[str | None]] = {
    HANGS: {"hang"},
    "9 ** 9 ** 9 ** len(ATTACKS)": {"hang"},
    "os._exit(0)": {"crash"},
    "os.abort()": {"crash"},
    "sys.exit(3)": {"crash"},
    "os.close(3)": {"crash"},
    "os.write(3, b'\\xff' * 2000)": {"crash"},
    "os.write(3, b'\\x00\\x00\\x0f\\xff\\x99\\x0f\\xfc' + bytes(4092))": {"crash"},
    "'x' * 10**11": {"error"},
    "[[0] * 10**7 for _ in iter(int, 1)]": {"error", "crash", "hang"},
    "(lambda f: f(f))(lambda f: f(f))": {"error"},
    "print('x' * 10**7)": {None},
    "sys.stdout.buffer.write(bytes(10**7))": {None},
    "[os.fork() for _ in iter(int, 1)]": {"error"},
}
MICRO = [10**15, -(10**15)]
FORGING = "os.write(3, pack((True, ({micro}, True))))"

SOURCE = """
import os, signal, sys, time
from swarmd.tasks.frames import pack

ATTACKS = {attacks}

class Task:
    def question(self, seed, index):
        return f"question {{seed}}", seed

    def score(self, answer, entry):
        if answer.startswith("run "):
            return 1.0 if ATTACKS[int(answer[4:])]() else 0.5
        if answer.startswith("compile "):
            return 1.0 if eval(compile(answer[8:], "/usr/lib/python3/os.py", "eval")) else 0.5
        if answer.startswith("exec "):
            found = {{}}
            exec(answer[5:], found)
            return found.get("reward", 0.5)
        if answer.startswith("later "):
            from collections import namedtuple
            import dataclasses, wave
            return len(namedtuple("Two", "a b")(1, 2)) / 2
        secret = 41
        return 1.0 if eval(answer) == secret else 0.0

class Source:
    version = "1"

    def datasets(self):
        return ["ok"]

    def build(self, dataset, config):
        return Task()
"""


@dataclass(frozen=True)
class Arena:
    """A worker whose source has the attacks as its scorer's code, and the targets of the attacks."""

    runner: TaskRunner
    attacks: Sequence[str]
    home: Path
    server: socket.socket
    names: dict[str, object]

    async def score(self, *answers: str) -> list[Score]:
        return await run(self.runner, make_spec("ok", source="odd"), list(answers))

    async def attempt(self, attack: str) -> Score:
        [score] = await self.score(f"run {self.attacks.index(attack)}")
        return score


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def arena(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Arena]:
    home, sources = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("sources")
    (home / "peer.key").write_text("private")
    with socket.create_server(("127.0.0.1", 0)) as server, pytest.MonkeyPatch.context() as patch:
        server.setblocking(False)
        names: dict[str, object] = {
            "secret": home / "peer.key",
            "directory": home,
            "port": server.getsockname()[1],
            "daemon": os.getpid(),
        }
        attacks = [attack.format(**names) for kind in ATTACKS.values() for attack in kind]
        attacks += ["1 + 1", *DEVOURING, *(FORGING.format(micro=micro) for micro in MICRO)]
        code = "[" + ", ".join(f"lambda: {attack}" for attack in attacks) + "]"
        (sources / "evaluating_source.py").write_text(SOURCE.format(attacks=code))
        patch.syspath_prepend(sources)
        patch.setenv("SWARMD_SECRET", "hunter2")
        options = replace(QUICK, stop_at_loss=True, sources=("odd=evaluating_source:Source",))
        async with TaskRunner(reward="partial", options=options) as runner:
            yield Arena(runner, attacks, home, server, names)


@pytest.fixture(scope="module")
def oracle() -> str:
    return right_answer("string_insertion")


def right_answer(dataset: str) -> str:
    _, (_, entry) = ReasoningGym().build(dataset, {}).question(7, 0)
    return str(entry["metadata"].get("valid_answers", [entry["answer"]])[0])


async def run(runner: TaskRunner, spec: TaskSpec, answers: list[str]) -> list[Score]:
    [scores] = await runner.score([(spec, [f"Hm.\n<answer>{answer}</answer>" for answer in answers])])
    return scores


@pytest.mark.parametrize("dataset", [*EVALUATING, *PARSING])
async def test_text_without_the_form_asked_for_is_not_run_and_earns_nothing(
    runner: TaskRunner, spec: Callable[..., TaskSpec], dataset: str
) -> None:
    pid = runner.worker_pid
    scores = await run(runner, spec(dataset), [*CODE, *HANGING])
    assert [score for score in scores if score != Score(0.0)] == []
    assert (runner.worker_pid, runner.restarts) == (pid, 0)


@pytest.mark.parametrize(
    ("dataset", "answer", "reward"),
    [
        ("binary_matrix", None, 0.1),
        ("spiral_matrix", None, 0.1),
        ("n_queens", None, 0.5),
        ("string_insertion", None, 0.1),
    ],
)
async def test_a_list_of_the_right_parts_still_earns_what_the_scorer_gives_for_it(
    runner: TaskRunner, spec: Callable[..., TaskSpec], dataset: str, answer: str | None, reward: float
) -> None:
    right = right_answer(dataset)
    rows = [line.split() for line in right.split("\n")] if "\n" in right else right.split()
    parts = list(right) if dataset == "string_insertion" else rows
    [score] = await run(runner, spec(dataset), [repr(parts)])
    assert (score.reward, score.failure) == (pytest.approx(reward), None)


@pytest.mark.parametrize(
    "dataset",
    ["coin_flip", "complex_arithmetic", "power_function", "propositional_logic", "rush_hour", "rubiks_cube"],
)
async def test_numbers_and_repeats_without_end_do_not_hang_a_scorer(
    runner: TaskRunner, spec: Callable[..., TaskSpec], dataset: str
) -> None:
    scores = await run(runner, spec(dataset), HANGING)
    assert [score for score in scores if score.reward > 0.05 or score.is_lost] == []


async def test_a_custom_scorer_that_evaluates_gets_literals_and_arithmetic_and_nothing_else(
    arena: Arena,
) -> None:
    fine = await arena.score("41", "(40 + 2) - 1", "later on", "[41][0]", "secret")
    assert [score.reward for score in fine[:3]] == [1.0, 1.0, 1.0]
    assert [score.reward for score in fine[3:]] == [0.0, 0.0]
    forged = [f"{how}{code}" for how in ("", "compile ", "exec ") for code in CODE]
    scores = await arena.score(*forged, "exec reward=1")
    assert [score.reward for score in scores if score.reward > 0] == []
    assert {score.failure for score in scores} <= {None, "error"}
    assert arena.runner.restarts == 0


@pytest.mark.parametrize("kind", ATTACKS)
async def test_what_a_scorers_code_attempts_does_not_happen(arena: Arena, kind: str) -> None:
    pid = arena.runner.worker_pid
    assert await arena.attempt("1 + 1") == Score(1.0, bare=True)
    attacks = [attack.format(**arena.names) for attack in ATTACKS[kind]]
    assert [attack for attack in attacks if (await arena.attempt(attack)).reward > 0.5] == []
    with pytest.raises(BlockingIOError):
        arena.server.accept()
    assert (arena.home / "peer.key").read_text() == "private"
    assert os.listdir(arena.home) == ["peer.key"]  # noqa: PTH208  Path.iterdir is for synchronous tests
    assert (arena.runner.worker_pid, arena.runner.restarts) == (pid, 0)


@pytest.mark.parametrize("attack", DEVOURING)
async def test_hanging_dying_and_devouring_cost_one_completion(arena: Arena, attack: str) -> None:
    score = await arena.attempt(attack)
    assert score.failure in DEVOURING[attack]
    assert await arena.attempt("1 + 1") == Score(1.0, bare=True)
    assert arena.runner.restarts == 0


async def test_a_worker_for_peers_stops_at_the_first_text_that_hangs(arena: Arena) -> None:
    before = arena.runner.cpu_s
    hung = f"run {arena.attacks.index(HANGS)}"
    assert [score.failure for score in await arena.score("41", hung, "((41))")] == [None, "hang", "skipped"]
    assert [score.is_lost for score in await arena.score("(41)", "[hang(", "41")] == [False, False, False]
    assert arena.runner.cpu_s > before


async def test_what_hangs_can_be_given_up_and_the_worker_lives_on(arena: Arena) -> None:
    pid, hung = arena.runner.worker_pid, f"run {arena.attacks.index(HANGS)}"

    async def keep_giving_up() -> None:
        while True:
            await asyncio.sleep(0.05)
            arena.runner.give_up()

    async with asyncio.TaskGroup() as group:
        giving_up = group.create_task(keep_giving_up())
        scores = await arena.score("41", hung)
        giving_up.cancel()
    assert scores[1].is_lost
    assert await arena.attempt("1 + 1") == Score(1.0, bare=True)
    assert (arena.runner.worker_pid, arena.runner.restarts) == (pid, 0)


@pytest.mark.parametrize("micro", MICRO)
async def test_a_score_that_a_source_forges_is_still_a_reward_between_0_and_1(
    arena: Arena, micro: int
) -> None:
    assert (await arena.attempt(FORGING.format(micro=micro))).reward == (micro > 0)


async def test_a_text_cannot_reach_the_score_of_another(
    runner: TaskRunner, spec: Callable[..., TaskSpec], oracle: str
) -> None:
    module = "reasoning_gym.algorithmic.string_insertion"
    dataset = f"__import__('{module}', fromlist=['x']).StringInsertionDataset"
    patch = f"setattr({dataset}, 'score_answer', lambda *_: 1.0)"
    scores = await run(runner, spec("string_insertion"), [patch, "wrong", "also wrong", oracle])
    assert [score.reward for score in scores] == [0.0, 0.0, 0.0, 1.0]
    scores = await run(runner, spec("string_insertion", seed=8), ["wrong"])
    assert scores == [Score(0.0)]


async def test_deep_json_for_codeio_costs_that_completion(
    runner: TaskRunner, spec: Callable[..., TaskSpec]
) -> None:
    deep, right = await run(
        runner, spec("codeio"), ['{"a":' * 3_000 + "1" + "}" * 3_000, right_answer("codeio")]
    )
    assert deep.reward <= 0.05
    assert right == Score(1.0, bare=True)


WITHOUT_WALLS = """
import sys
from swarmd.tasks import sandbox
from swarmd.tasks.gym import ReasoningGym
sandbox.seccomp.is_supported = lambda: False
sandbox.kernel.landlock_version = lambda: 0

class Unwalled(ReasoningGym):
    pass
"""


async def test_if_the_kernel_has_no_walls_only_plain_literals_are_scored_and_the_report_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spec: Callable[..., TaskSpec]
) -> None:
    (tmp_path / "unwalled_source.py").write_text(WITHOUT_WALLS)
    monkeypatch.syspath_prepend(tmp_path)
    options = replace(QUICK, sources=("unwalled=unwalled_source:Unwalled",))
    async with TaskRunner(reward="partial", options=options) as runner:
        assert [line for line in runner.sandbox_report() if "not plain literals score 0" in line]
        fine = ["gcd", "binary_matrix", "calendar_arithmetic", "number_sorting", "coin_flip"]
        found = [await run(runner, spec(name), [right_answer(name)]) for name in fine]
        assert found == [[Score(1.0, bare=True)]] * len(fine)
        assert await run(runner, spec("countdown"), [right_answer("countdown")]) == [Score(0.0)]
        scores = await run(runner, spec("string_insertion"), [*CODE, *HANGING])
        assert [score for score in scores if score != Score(0.0)] == []


async def test_text_that_hangs_the_worker_for_peers_does_not_delay_own_questions_and_scores(
    arena: Arena, runner: TaskRunner, spec: Callable[..., TaskSpec], oracle: str
) -> None:
    async with asyncio.TaskGroup() as group:
        hung = group.create_task(arena.attempt(HANGS))
        await asyncio.sleep(0)
        questions = await runner.questions([spec("string_insertion")])
        scores = await run(runner, spec("string_insertion"), [oracle])
        was_over = hung.done()
    assert isinstance(questions[0], Question)
    assert scores == [Score(1.0, bare=True)]
    assert not was_over
    assert hung.result() == Score(0.0, "hang")
