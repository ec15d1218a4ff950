"""Hostile text, through the scorers that evaluate it and through custom ones: it earns and does nothing.

An attack is a Python expression that is true only if it got through. As text it must not be run at all; and
as the code of a scorer, which is what a text would be if it were run, it must not get through.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from protocol import TaskSpec
from swarmd.tasks import Score, TaskRunner, WorkerOptions
from swarmd.tasks.frames import pack
from swarmd.tasks.gym import ReasoningGym

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
FORGED = f"{OS}.write(3, {pack((True, 10**6))!r})"
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

SOURCE = """
import os, signal, sys, time

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


def custom(
    directory: Path,
    monkeypatch: pytest.MonkeyPatch,
    attacks: Sequence[str] = (),
) -> WorkerOptions:
    code = "[" + ", ".join(f"lambda: {attack}" for attack in attacks) + "]"
    (directory / "evaluating_source.py").write_text(SOURCE.format(attacks=code))
    monkeypatch.syspath_prepend(directory)
    return WorkerOptions(score_s=4.0, score_cpu_s=1.0, sources=("odd=evaluating_source:Source",))


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
async def test_text_that_is_no_answer_of_the_form_asked_for_is_not_run_and_earns_nothing(
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
    assert score == Score(pytest.approx(reward))


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
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spec: Callable[..., TaskSpec]
) -> None:
    async with TaskRunner(reward="partial", options=custom(tmp_path, monkeypatch)) as runner:
        fine = await run(
            runner, spec("ok", source="odd"), ["41", "(40 + 2) - 1", "later on", "[41][0]", "secret"]
        )
        assert fine[:3] == [Score(1.0), Score(1.0), Score(1.0)]
        assert [score.reward for score in fine[3:]] == [0.0, 0.0]
        forged = [
            *CODE,
            *(f"compile {code}" for code in CODE),
            *(f"exec {code}" for code in CODE),
            "exec reward=1",
        ]
        scores = await run(runner, spec("ok", source="odd"), forged)
        assert [score.reward for score in scores if score.reward > 0] == []
        assert {score.failure for score in scores} <= {None, "error"}
        assert runner.restarts == 0


@pytest.mark.parametrize("kind", ATTACKS)
async def test_what_a_scorers_code_attempts_does_not_happen(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spec: Callable[..., TaskSpec]
) -> None:
    monkeypatch.setenv("SWARMD_SECRET", "hunter2")
    home, sources = tmp_path / "home", tmp_path / "sources"
    home.mkdir()
    sources.mkdir()
    secret = home / "peer.key"
    secret.write_text("private")
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        names = {
            "secret": secret, "directory": home, "port": server.getsockname()[1], "daemon": os.getpid()
        }  # fmt: skip
        attacks = ["1 + 1", *(attack.format(**names) for attack in ATTACKS[kind])]
        async with TaskRunner(reward="partial", options=custom(sources, monkeypatch, attacks)) as runner:
            pid = runner.worker_pid
            answers = [f"run {number}" for number in range(len(attacks))]
            reached, *stopped = await run(runner, spec("ok", source="odd"), answers)
            assert (runner.worker_pid, runner.restarts) == (pid, 0)
        with pytest.raises(BlockingIOError):
            server.accept()
    assert reached == Score(1.0)
    assert [score for score in stopped if score.reward > 0.5] == []
    assert secret.read_text() == "private"
    assert os.listdir(home) == ["peer.key"]  # noqa: PTH208  Path.iterdir is for synchronous tests


async def test_hanging_dying_and_devouring_cost_one_completion(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spec: Callable[..., TaskSpec]
) -> None:
    attacks = {
        "[1 for _ in iter(int, 1)]": {"hang"},
        "9 ** 9 ** 9 ** len(ATTACKS)": {"hang"},
        "os._exit(0)": {"crash"},
        "os.abort()": {"crash", "error"},
        "sys.exit(3)": {"crash"},
        "os.close(3)": {"crash"},
        "os.write(3, b'\\xff' * 2000)": {"crash"},
        "os.write(3, b'\\x00\\x00\\x0f\\xff' + b'\\x80' * 4095)": {"crash"},
        "'x' * 10**11": {"error"},
        "[[0] * 10**7 for _ in iter(int, 1)]": {"error", "crash", "hang"},
        "(lambda f: f(f))(lambda f: f(f))": {"error"},
        "print('x' * 10**7)": {None},
        "sys.stdout.buffer.write(b'\\x00\\x00\\x00\\x01\\x01' * 10**6)": {None},
        "[os.fork() for _ in iter(int, 1)]": {"error"},
    }
    options = custom(tmp_path, monkeypatch, ["1", *attacks, "1"])
    async with TaskRunner(reward="partial", options=options) as runner:
        answers = [f"run {number}" for number in range(len(attacks) + 2)]
        results = [(await run(runner, spec("ok", source="odd"), [answer]))[0] for answer in answers]
        assert results[0] == results[-1] == Score(1.0)
        for (attack, failures), score in zip(attacks.items(), results[1:-1], strict=True):
            assert score.failure in failures, attack
        assert runner.restarts == 0


async def test_a_worker_for_peers_stops_at_the_first_text_that_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spec: Callable[..., TaskSpec]
) -> None:
    options = replace(custom(tmp_path, monkeypatch, ["[1 for _ in iter(int, 1)]", "1"]), stop_at_loss=True)
    async with TaskRunner(reward="partial", options=options) as runner:
        before = runner.busy_s
        scores = await run(runner, spec("ok", source="odd"), ["(run 0", "run 0", "later ("])
        assert [score.failure for score in scores][-2:] == ["hang", "skipped"]
        assert runner.busy_s > before
        assert all(score.is_lost for score in scores[-2:])


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


@pytest.mark.parametrize("micro", [10**15, -(10**15)])
async def test_a_score_that_a_source_forges_is_still_a_reward_between_0_and_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spec: Callable[..., TaskSpec], micro: int
) -> None:
    options = custom(tmp_path, monkeypatch, [f"os.write(3, {pack((True, micro))!r})"])
    async with TaskRunner(reward="partial", options=options) as runner:
        assert await run(runner, spec("ok", source="odd"), ["run 0"]) == [Score(1.0 if micro > 0 else 0.0)]


async def test_deep_json_for_codeio_costs_that_completion(
    runner: TaskRunner, spec: Callable[..., TaskSpec]
) -> None:
    deep, right = await run(
        runner, spec("codeio"), ['{"a":' * 3_000 + "1" + "}" * 3_000, right_answer("codeio")]
    )
    assert deep.reward <= 0.05
    assert right == Score(1.0)
