"""The runner survives its worker: restarts it, retries, reports; and it never blocks or leaks."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from protocol import TaskSpec, is_held_out
from swarmd.errors import TaskError
from swarmd.tasks import Question, Score, TaskFailure, TaskRunner, WorkerOptions
from swarmd.tasks.gym import ReasoningGym
from swarmd.tasks.requests import GROUPS_PER_REQUEST

pytestmark = pytest.mark.asyncio(loop_scope="module")

SOURCE = """
import os, signal, sys, time
from swarmd.tasks.frames import pack
{at_import}

class Task:
    def __init__(self, dataset):
        self.dataset = dataset

    def question(self, seed, index):
        if self.dataset == "hangs":
            time.sleep(1000)
        if self.dataset == "dies":
            os._exit(0)
        if self.dataset == "raises":
            raise LookupError("no question today")
        if self.dataset == "kills the worker":
            os.kill(os.getppid(), signal.SIGKILL)
        print("noise on stdout", flush=True)
        return f"question {{seed}}", seed

    def score(self, answer, entry):
        print("noise on stdout", flush=True)
        if self.dataset == "numbers":
            return answer.lstrip("0") in ("7", "[8!") or 1 / (answer != "raise") - 1
        if answer == "die":
            os._exit(0)
        if answer == "hang":
            time.sleep(1000)
        if answer == "fork":
            os.fork()
        if answer == "open":
            open("written", "w")
        if answer == "forge":
            os.write(3, pack((True, [[], []])))
        if answer == "pid":
            return os.getpid() % 1000 / 1000
        return {{"nan": float("nan"), "huge": 1e67, "text": "1.0", "half": 0.5}}.get(answer, -1)

class Source:
    version = "1"

    def datasets(self):
        return ["ok", "numbers", "hangs", "dies", "raises", "kills the worker"]

    def build(self, dataset, config):
        return Task(dataset)
"""


def custom(directory: Path, monkeypatch: pytest.MonkeyPatch, at_import: str = "") -> WorkerOptions:
    (directory / "odd_source.py").write_text(SOURCE.format(at_import=at_import))
    monkeypatch.syspath_prepend(directory)
    return WorkerOptions(question_s=2.0, score_s=2.0, sources=("odd=odd_source:Source",))


async def test_questions_come_in_order_with_failures_in_their_places(
    runner: TaskRunner, spec: Callable[..., TaskSpec]
) -> None:
    specs = [spec("gcd", seed=seed) for seed in range(70)]
    specs[10] = spec("gdc")
    specs[20] = spec("gcd", min_nubmers=3)
    specs[30] = spec("gcd").model_copy(update={"version": "9.9"})
    specs[40] = spec("gcd", source="elsewhere")
    found = await runner.questions(specs)
    assert [item.spec for item in found] == specs
    failures = {i: item.reason for i, item in enumerate(found) if isinstance(item, TaskFailure)}
    assert failures == {10: "dataset", 20: "option", 30: "version", 40: "source"}
    again = await runner.questions(specs)
    assert again == found
    assert isinstance(found[0], Question)
    assert len(found[0].digest) == 32


async def test_of_many_questions_those_held_out_come_as_when_asked_for_one_by_one(
    runner: TaskRunner, spec: Callable[..., TaskSpec], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("swarmd.tasks.runner.HELD_OUT_PER_REQUEST", 90)
    specs = [spec("gcd", seed=1000 * seed) for seed in range(200)]
    specs[10] = spec("gdc")
    found = await runner.held_out(specs)
    assert [item.reason for item in found if isinstance(item, TaskFailure)] == ["dataset"]
    made = await runner.questions(specs)
    assert [item for item in found if isinstance(item, Question)] == [
        item for item in made if isinstance(item, Question) and item.held_out
    ]
    assert len(found) > 5


async def test_the_same_item_is_reached_by_seed_or_by_index(
    runner: TaskRunner, spec: Callable[..., TaskSpec]
) -> None:
    one, other = await runner.questions([spec("gcd", seed=7, index=1), spec("gcd", seed=8, index=0)])
    assert isinstance(one, Question)
    assert isinstance(other, Question)
    assert one.text == other.text


async def test_a_completion_without_an_answer_scores_nothing_even_if_the_scorer_would_pay(
    runner: TaskRunner, spec: Callable[..., TaskSpec]
) -> None:
    [scores] = await runner.score([(spec("fraction_simplification"), ["no tags", "<answer>junk</answer>"])])
    assert scores == [Score(0.0), Score(0.01)]


async def test_a_right_answer_is_bare_in_the_form_that_its_question_gives_it(
    runner: TaskRunner, spec: Callable[..., TaskSpec]
) -> None:
    for dataset in ("chain_sum", "products", "decimal_arithmetic"):
        item = spec(dataset)
        _, (_, entry) = ReasoningGym().build(dataset, {}).question(item.seed, item.index)
        right = entry["answer"]
        texts = [f"<answer>{text}</answer>" for text in (f" {right}\n", f"00{right}", f"+{right}", "wrong")]
        for kind in (runner.score, runner.score_ours):
            [scores] = await kind([(item, texts)])
            assert [score.bare for score in scores] == [True, False, False, False]
            assert scores[0].reward == 1.0


@pytest.mark.parametrize("answers", [["7"], ["7", "[8!"]], ids=["shared", "alone"])
async def test_for_a_task_that_does_not_say_its_answer_shorter_texts_are_scored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spec: Callable[..., TaskSpec], answers: list[str]
) -> None:
    padded = [f"0{answer}" for answer in answers]
    texts = [f"<answer>{text}</answer>" for text in (*answers, *padded, "raise")]
    async with TaskRunner(reward="partial", options=custom(tmp_path, monkeypatch)) as runner:
        [scores] = await runner.score([(spec("numbers", source="odd"), texts)])
    assert [score.bare for score in scores] == [*[True] * len(answers), *[False] * len(padded), False]
    assert scores[-1].failure == "error"


async def test_calendar_answers_that_are_far_too_good_are_clamped(
    runner: TaskRunner, spec: Callable[..., TaskSpec]
) -> None:
    answers = [f"<answer>{text}</answer>" for text in ("1e67", "-1e300", "nan", "inf", "9" * 4000)]
    [scores] = await runner.score([(spec("calendar_arithmetic", tasks=["count_days"]), answers)])
    assert all(0.0 <= score.reward <= 1.0 for score in scores)


async def test_a_proposition_without_a_model_answer_is_still_judged(
    runner: TaskRunner, spec: Callable[..., TaskSpec]
) -> None:
    item = spec("propositional_logic")
    [question] = await runner.questions([item])
    assert isinstance(question, Question)
    premise = next(line for line in question.text.splitlines() if line.startswith("1. "))[3:]
    [scores] = await runner.score([(item, [f"<answer>{text}</answer>" for text in (premise, "(A", "zzz")])])
    assert scores[0].reward >= 0.25
    assert max(scores[1].reward, scores[2].reward) <= 0.05


async def test_a_right_answer_can_be_shown_and_none_where_the_source_gives_none(
    runner: TaskRunner, spec: Callable[..., TaskSpec]
) -> None:
    asked = [spec("gcd"), spec("rubiks_cube"), spec("no such dataset")]
    [greatest, *others] = await runner.expected(asked)
    [[score]] = await runner.score([(asked[0], [f"<answer>{greatest}</answer>"])])
    assert score.reward == 1
    assert others == [None, None]


async def test_it_says_which_sources_and_which_walls_it_has(runner: TaskRunner) -> None:
    info = runner.sources["reasoning_gym"]
    assert info.version == "0.1.25"
    assert len(info.datasets) == 106
    if sys.platform == "linux":
        assert not [line for line in runner.sandbox_report() if "memory" in line]


async def test_the_worker_holds_no_torch_no_environment_and_few_descriptors(runner: TaskRunner) -> None:
    assert runner.worker_pid is not None
    worker = psutil.Process(runner.worker_pid)
    assert "HOME" not in worker.environ()
    assert not [entry.path for entry in worker.memory_maps() if "torch" in entry.path]
    assert worker.num_fds() < 10
    assert worker.memory_info().rss < 400 * 2**20


async def test_a_killed_worker_is_replaced_and_the_request_retried(
    runner: TaskRunner, spec: Callable[..., TaskSpec]
) -> None:
    before = runner.restarts
    assert runner.worker_pid is not None
    async with asyncio.TaskGroup() as group:
        scoring = group.create_task(
            runner.score([(spec("gcd", seed=seed), ["<answer>1</answer>", "x"]) for seed in range(20)])
        )
        os.kill(runner.worker_pid, signal.SIGKILL)
    assert [len(scores) for scores in scoring.result()] == [2] * 20
    assert not [score for scores in scoring.result() for score in scores if score.failure]
    assert runner.restarts == before + 1


async def test_overlapping_calls_get_their_own_answers_and_the_loop_runs_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spec: Callable[..., TaskSpec]
) -> None:
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0)
            ticks += 1

    ok = spec("ok", source="odd")
    options = custom(tmp_path, monkeypatch)
    async with TaskRunner(reward="partial", options=options) as runner, asyncio.TaskGroup() as group:
        ticking = group.create_task(tick())
        calls = [
            group.create_task(runner.questions([spec("ok", source="odd", seed=seed)])) for seed in range(20)
        ]
        hung = group.create_task(runner.score([(ok, ["<answer>hang</answer>"])]))
        expected = [await call for call in calls]
        assert (await hung)[0][0].failure == "timeout"
        ticking.cancel()
    assert [found[0].spec.seed for found in expected] == list(range(20))
    assert ticks > 100


async def test_a_cancelled_call_leaves_the_runner_usable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spec: Callable[..., TaskSpec]
) -> None:
    ok = spec("ok", source="odd")
    async with TaskRunner(reward="partial", options=custom(tmp_path, monkeypatch)) as runner:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await runner.score([(ok, ["<answer>hang</answer>"])])
        [question] = await runner.questions([ok])
        assert isinstance(question, Question)


async def test_a_source_that_hangs_dies_or_raises_costs_its_own_question(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spec: Callable[..., TaskSpec]
) -> None:
    options = custom(tmp_path, monkeypatch)
    names = ["ok", "hangs", "dies", "raises", "ok"]
    async with TaskRunner(reward="partial", options=options) as runner:
        found = await runner.questions([spec(name, source="odd", seed=n) for n, name in enumerate(names)])
        assert [item.text if isinstance(item, Question) else item.reason for item in found] == [
            "question 0", "timeout", "crash", "error", "question 4",
        ]  # fmt: skip
        assert "no question today" in found[3].detail
        among = ["ok"] * 70 + ["dies"] + ["ok"] * 70 + ["raises"]  # several jobs, and one of them is lost
        many = [spec(name, source="odd", seed=n) for n, name in enumerate(among)]
        kept = [n for n, name in enumerate(among) if name == "ok" and is_held_out(f"question {n}")]
        assert len(kept) > 5
        assert [item.spec.seed for item in await runner.held_out(many)] == sorted([*kept, 70, 141])
        answers = [
            f"<answer>{text}</answer>" for text in ("nan", "huge", "die", "text", "hang", "half", "other")
        ]
        ok = spec("ok", source="odd")
        half = ["<answer>half</answer>"]
        scores = await runner.score(
            [(ok, answers), (spec("dies", source="odd"), answers[:2]), (ok, ["no answer"]), (ok, half)]
        )
        assert [score.reward for score in scores[0]] == [0.0, 1.0, 0.0, 0.0, 0.0, 0.5, 0.0]
        assert [score.failure for score in scores[0]] == [None, None, "crash", None, "timeout", None, None]
        assert scores[1] == [Score(0.0, "crash")] * 2
        assert scores[2:] == [[Score(0.0)], [Score(0.5, bare=True)]]
        together = [f"<answer>{text}</answer>" for text in ("half", "fork", "open", "huge")]
        [scores] = await runner.score([(ok, together)])
        assert [score.reward for score in scores] == [0.5, 0.0, 0.0, 1.0]
        assert [score.failure for score in scores] == [None, "error", "error", None]
        assert runner.restarts == 0
        found = await runner.questions([spec("ok", source="odd"), spec("kills the worker", source="odd")])
        assert isinstance(found[0], Question)
        assert found[1].reason == "crash"
        assert runner.restarts <= 3


async def test_plain_answers_to_many_questions_share_a_child_and_keep_their_places(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spec: Callable[..., TaskSpec]
) -> None:
    texts = ["half", "pid", "(half)", "huge", "pid", ""] * GROUPS_PER_REQUEST
    groups = [[f"<answer>{text}</answer>"] if text else ["no answer"] for text in texts]
    async with TaskRunner(reward="partial", options=custom(tmp_path, monkeypatch)) as runner:
        scores = [
            score.reward for [score] in await runner.score([(spec("ok", source="odd"), g) for g in groups])
        ]
    pids = [score for score, text in zip(scores, texts, strict=True) if text == "pid"]
    others = [score for score, text in zip(scores, texts, strict=True) if text != "pid"]
    assert others == [0.5, 0.0, 1.0, 0.0] * GROUPS_PER_REQUEST
    assert len(set(pids)) <= len(texts) // GROUPS_PER_REQUEST


async def test_after_a_result_of_another_shape_each_group_is_asked_for_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spec: Callable[..., TaskSpec]
) -> None:
    groups = [["<answer>half</answer>"], ["<answer>forge</answer>"]]
    async with TaskRunner(reward="partial", options=custom(tmp_path, monkeypatch)) as runner:
        half, forged = await runner.score([(spec("ok", source="odd"), group) for group in groups])
        assert half == [Score(0.5, bare=True)]
        assert forged == [Score(0.0, "error")]
        assert runner.restarts == 0


async def test_a_source_that_cannot_be_imported_ends_the_start_with_its_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = custom(tmp_path, monkeypatch, at_import="raise RuntimeError('the dog ate it')")
    with pytest.raises(TaskError, match=r"(?s)did not start.*the dog ate it"):
        async with TaskRunner(reward="exact", options=options):
            pytest.fail("entered")
    with pytest.raises(TaskError, match=r"task source 'odd' \(json:Absent\) cannot be loaded"):
        async with TaskRunner(reward="exact", options=WorkerOptions(sources=("odd=json:Absent",))):
            pytest.fail("entered")


async def test_closing_leaves_no_process_and_ends_further_calls(spec: Callable[..., TaskSpec]) -> None:
    async with TaskRunner(reward="exact") as runner:
        pid = runner.worker_pid
    assert not psutil.pid_exists(pid or 0)
    await runner.close()
    with pytest.raises(TaskError, match="closed"):
        await runner.questions([spec("gcd")])
