"""Hostile text, through the real scorers that evaluate it. Each costs its own completion and nothing else.

An attack is a Python expression that is true only if it got through. The scorers see
`ORACLE if (ATTACK) else None`, so that an attack that succeeds scores and one that is stopped does not.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from protocol import TaskSpec
from swarmd.tasks import Score, TaskRunner
from swarmd.tasks.frames import pack
from swarmd.tasks.gym import ReasoningGym

pytestmark = pytest.mark.asyncio(loop_scope="module")

HANG_S = 2.0  # a hanging answer's limit in the fixture's worker

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


@pytest.fixture(scope="module")
def oracle() -> str:
    _, (_, entry) = ReasoningGym().build("string_insertion", {}).question(7, 0)
    return str(entry["answer"])


async def run(runner: TaskRunner, spec: TaskSpec, answers: list[str]) -> list[Score]:
    [scores] = await runner.score([(spec, [f"Hm.\n<answer>{answer}</answer>" for answer in answers])])
    return scores


@pytest.mark.parametrize("kind", ATTACKS)
async def test_what_the_text_attempts_does_not_happen(
    runner: TaskRunner,
    spec: Callable[..., TaskSpec],
    oracle: str,
    kind: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SWARMD_SECRET", "hunter2")
    secret = tmp_path / "peer.key"
    secret.write_text("private")
    pid = runner.worker_pid
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        names = {
            "secret": secret, "directory": tmp_path, "port": server.getsockname()[1], "daemon": os.getpid()
        }  # fmt: skip
        attacks = [attack.format(**names) for attack in ATTACKS[kind]]
        expressions = [f"'{oracle}' if ({attack}) else None" for attack in ["1 + 1", *attacks, "2 > 1"]]
        first, *stopped, last = await run(runner, spec("string_insertion"), expressions)
        with pytest.raises(BlockingIOError):
            server.accept()
    assert first.reward == last.reward == pytest.approx(0.1), "the scorer evaluates the text and scores it"
    assert [score.reward for score in stopped] == [0.0] * len(attacks)
    assert secret.read_text() == "private"
    assert os.listdir(tmp_path) == ["peer.key"]  # noqa: PTH208  Path.iterdir is for synchronous tests
    assert runner.worker_pid == pid
    assert runner.restarts == 0


@pytest.mark.parametrize(
    ("attack", "failures"),
    [
        ("[1 for _ in iter(int, 1)]", {"timeout"}),
        ("9**9**9**9", {"timeout"}),
        ("__import__('time').sleep(1000)", {"timeout"}),
        ("[__import__('signal').setitimer(0, 0)] and [1 for _ in iter(int, 1)]", {"timeout"}),
        ("[__import__('signal').signal(14, 1)] and [1 for _ in iter(int, 1)]", {"timeout"}),
        (OS + "._exit(0)", {"crash"}),
        (OS + ".abort()", {"crash"}),
        ("exit()", {"crash"}),
        ("__import__('sys').exit(3)", {"crash"}),
        (OS + ".close(3)", {"crash"}),
        (OS + ".write(3, b'\\xff' * 2000)", {"crash"}),
        ("'x' * 10**11", {None, "error"}),
        ("[[0] * 10**7 for _ in iter(int, 1)]", {None, "error", "crash", "timeout"}),
        ("(lambda f: f(f))(lambda f: f(f))", {None, "error"}),
        ("(" * 500 + ")" * 500, {None, "error"}),
        ("-" * 15_000 + "1", {None, "error", "crash"}),
        ("print('x' * 10**7)", {None}),
        ("__import__('sys').stdout.buffer.write(b'\\x00\\x00\\x00\\x01\\x01' * 10**6)", {None}),
        ("__import__('builtins').__dict__.clear()", {None, "error", "crash"}),
        ("\\x00\ud800", {None, "error"}),
    ],
)
async def test_hanging_dying_and_devouring_cost_one_completion(
    runner: TaskRunner, spec: Callable[..., TaskSpec], oracle: str, attack: str, failures: set[str | None]
) -> None:
    before, attacked, after = await run(
        runner, spec("string_insertion"), [oracle, attack.replace("\\x00", "\0"), f"'{oracle}'"]
    )
    assert attacked.reward == 0.0
    assert attacked.failure in failures
    assert (before, after) == (Score(1.0), Score(0.1))
    assert runner.restarts == 0


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
async def test_a_forged_score_is_still_a_reward_between_0_and_1(
    runner: TaskRunner, spec: Callable[..., TaskSpec], micro: int
) -> None:
    forged = pack((True, micro))
    scores = await run(runner, spec("string_insertion"), [f"{OS}.write(3, {forged!r})"])
    assert scores == [Score(1.0 if micro > 0 else 0.0)]


async def test_many_hanging_answers_hold_the_worker_no_longer_than_a_few(
    runner: TaskRunner, spec: Callable[..., TaskSpec], oracle: str
) -> None:
    hanging = [f"9**9**9**{n}" for n in range(9, 25)]
    async with asyncio.timeout(8 * HANG_S):  # one after another they would take 16 of it
        first, *others = await run(runner, spec("string_insertion"), [oracle, *hanging])
    assert first == Score(1.0)
    assert others == [Score(0.0, "timeout")] * len(hanging)
    assert runner.restarts == 0


@pytest.mark.parametrize("dataset", ["binary_matrix", "spiral_matrix", "string_insertion", "n_queens"])
async def test_every_scorer_that_evaluates_is_contained(
    runner: TaskRunner, spec: Callable[..., TaskSpec], dataset: str, tmp_path: Path
) -> None:
    secret = tmp_path / "peer.key"
    secret.write_text("private")
    _, (_, entry) = ReasoningGym().build(dataset, {}).question(7, 0)
    oracle = entry["metadata"].get("valid_answers", [entry["answer"]])[0]
    rows = oracle.split("\n") if "\n" in oracle else None
    value = repr([row.split() for row in rows]) if rows else repr(oracle.split() if " " in oracle else oracle)
    attacks = [
        f"{value} if {attack} else 0" for attack in ("1", f"open('{secret}')", OS + "._exit(0)", "9**9**9**9")
    ]
    reached, read, left, hung = await run(runner, spec(dataset), attacks)
    assert reached.reward > 0, "the scorer evaluates the text"
    assert read.reward == 0.0
    assert left == Score(0.0, "crash")
    assert hung == Score(0.0, "timeout")


@pytest.mark.parametrize("dataset", ["countdown", "polynomial_multiplication"])
async def test_scorers_that_parse_with_sympy_are_contained(
    runner: TaskRunner, spec: Callable[..., TaskSpec], dataset: str, tmp_path: Path
) -> None:
    marker = tmp_path / "written"
    attacks = [
        f"open('{marker}', 'w')",
        f"__import__('os').mkdir('{marker}')",
        "9**9**9**9",
        "factorial(10**9)",
    ]
    scores = await run(runner, spec(dataset), attacks)
    assert all(score.reward <= 0.05 for score in scores)
    assert not marker.exists()
    assert runner.restarts == 0


async def test_deep_json_for_codeio_costs_that_completion(
    runner: TaskRunner, spec: Callable[..., TaskSpec]
) -> None:
    _, (_, entry) = ReasoningGym().build("codeio", {}).question(7, 0)
    deep, right = await run(runner, spec("codeio"), ['{"a":' * 3_000 + "1" + "}" * 3_000, entry["answer"]])
    assert deep.reward <= 0.05
    assert right == Score(1.0)
