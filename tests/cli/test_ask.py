"""swarmd ask with a real policy, a checkpoint on disk and, for tasks, the real sandbox."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from swarmd.cli import ask as ask_command
from swarmd.cli.answering import Answer, Manner, Reply, answer
from swarmd.cli.live_answer import LiveAnswer
from swarmd.cli.replies import print_reply
from swarmd.cli.subject import Subject
from swarmd.errors import OutOfMemoryError
from swarmd.policy import Policy
from swarmd.storage import Checkpoints, Home
from swarmd.tasks import load_manifest

QUESTION = "What is 2 + 3?"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home.open(tmp_path / "h")
    home.write_manifest(load_manifest("starter").to_bytes())
    return home


@pytest.fixture
def trained(make_policy) -> Policy:
    """A policy that answers otherwise than the untrained one."""
    policy: Policy = make_policy()
    random = torch.Generator().manual_seed(1)
    state = policy.trainable_state()
    changed = {n: t + 0.3 * torch.randn(t.shape, generator=random) for n, t in state.items()}
    policy.load_trainable_state(changed)
    return policy


def save(home: Home, policy: Policy, model: Path, step: int = 4, lora_rank: int | None = None) -> Path:
    state: dict[str, Any] = {"policy": {"model": str(model), "lora_rank": lora_rank}}
    checkpoints = Checkpoints(home.checkpoints_path, keep=2)
    return checkpoints.save(step, tensors=policy.trainable_state(), optimizer={}, state=state)


def greedy(policy: Policy) -> str:
    [sample] = policy.greedy([policy.render(QUESTION)], 16)
    return sample.text


def files(path: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in path.rglob("*") if p.is_file() and p.name != "lock"}


def test_one_question_is_answered_by_the_newest_weights_beside_a_daemon_and_the_home_stays_as_it_is(
    swarmd, home, trained, tiny_model_dir
) -> None:
    save(home, trained, tiny_model_dir)
    before = files(home.path)
    with home.lock():
        outcome = swarmd("ask", QUESTION, "--home", home.path, "--json")
    assert outcome.code == 0, outcome.err
    assert files(home.path) == before
    found = json.loads(outcome.out)
    [given] = found["answers"]
    assert given["text"] == greedy(trained)
    assert (found["question"], found["step"], found["untrained"], found["task"]) == (QUESTION, 4, None, None)
    assert (found["temperature"], given["reward"], given["right"]) == (None, None, None)
    assert f"step 4 ({home.checkpoints_path}" in outcome.err


@pytest.mark.parametrize("lora_rank", [None, 2])
def test_the_untrained_model_answers_beside_the_trained_one(
    swarmd, home, make_policy, tiny_model_dir, lora_rank
) -> None:
    policy = make_policy(lora_rank=lora_rank)
    untrained = greedy(policy)
    policy.load_trainable_state({n: t + 0.3 for n, t in policy.trainable_state().items()})
    save(home, policy, tiny_model_dir, lora_rank=lora_rank)
    outcome = swarmd("ask", QUESTION, "--home", home.path, "--untrained", "--json")
    assert outcome.code == 0, outcome.err
    found = json.loads(outcome.out)
    assert found["answers"][0]["text"] == greedy(policy) != untrained
    assert found["untrained"][0]["text"] == untrained


def test_the_trained_weights_are_back_after_the_untrained_model_answered(make_policy, trained) -> None:
    policy = make_policy()
    subject = Subject(policy, "tiny", "here", 4, policy.trainable_state())
    policy.load_trainable_state(trained.trainable_state())
    rng = torch.Generator().manual_seed(0)
    first = answer(subject, QUESTION, Manner(samples=0, both=True), rng=rng)
    assert greedy(policy) == greedy(trained)
    assert answer(subject, QUESTION, Manner(samples=0, both=True), rng=rng) == first


def test_samples_are_drawn_with_the_seed_at_the_temperature(swarmd, home, trained, tiny_model_dir) -> None:
    save(home, trained, tiny_model_dir)
    asked = ("ask", QUESTION, "--home", home.path, "--json", "--seed", 3)
    three = json.loads(swarmd(*asked, "--samples", 3, "--temperature", 0.7).out)
    assert (len(three["answers"]), three["temperature"], three["seed"]) == (3, 0.7, 3)
    assert json.loads(swarmd(*asked, "--samples", 3, "--temperature", 0.7).out) == three
    assert len(json.loads(swarmd(*asked, "--temperature", 0.7).out)["answers"]) == 1


def test_a_home_that_has_not_trained_answers_with_its_untrained_model(swarmd, home, tiny_model_dir) -> None:
    named = ("--home", home.path, "--model", tiny_model_dir)
    outcome = swarmd("ask", QUESTION, *named, "--untrained", "--json")
    assert outcome.code == 0, outcome.err
    found = json.loads(outcome.out)
    assert (found["weights"], found["untrained"]) == ("untrained", None)
    assert "has no trained weights yet" in outcome.err


def test_questions_from_a_pipe_are_answered_one_by_one_and_one_too_long_does_not_end_it(
    swarmd, tiny_model_dir, monkeypatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{QUESTION}\n\n{'long ' * 200}\nWhat is 7?\n"))
    template = "{% for m in messages %}{{ m['content'] }}{% endfor %}"
    monkeypatch.setattr("swarmd.cli.ask.NEW_TOKENS", 4)
    monkeypatch.setattr("tests.conftest.CHAT_TEMPLATE", template)
    outcome = swarmd("ask", "--model", tiny_model_dir, "--json")
    assert outcome.code == 0, outcome.err
    asked = [json.loads(line)["question"] for line in outcome.out.splitlines()]
    assert (asked[0], asked[-1]) == (QUESTION, "What is 7?")


def test_a_question_that_is_no_text_is_refused_before_the_model_is_loaded(swarmd, monkeypatch) -> None:
    monkeypatch.setattr("swarmd.cli.ask.load_subject", lambda *_, **__: pytest.fail("it was loaded"))
    outcome = swarmd("ask", "what \udcff is", "--model", "embedded")
    message = "error: the question is not UTF-8 text: convert it, or leave '\\udcff' out\n"
    assert (outcome.code, outcome.err) == (2, message)


def test_a_line_that_is_no_text_is_refused_and_the_next_is_answered(
    swarmd, tiny_model_dir, monkeypatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"what \udcff is\n{QUESTION}\n"))
    outcome = swarmd("ask", "--model", tiny_model_dir, "--json", "--max-new-tokens", 4)
    assert "error: the question is not UTF-8 text" in outcome.err
    assert [json.loads(line)["question"] for line in outcome.out.splitlines()] == [QUESTION]


def test_a_conversation_ends_with_ctrl_d(swarmd, tiny_model_dir, monkeypatch) -> None:
    typed = iter([QUESTION])

    def read(prompt: str) -> str:
        try:
            return next(typed)
        except StopIteration:
            raise EOFError from None

    monkeypatch.setattr("builtins.input", read)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    outcome = swarmd("ask", "--model", tiny_model_dir, "--max-new-tokens", 4)
    assert outcome.code == 0, outcome.err
    assert "Ctrl-D ends" in outcome.err
    assert outcome.out


def test_a_task_s_question_is_held_out_and_both_answers_are_scored(
    swarmd, home, trained, tiny_model_dir
) -> None:
    save(home, trained, tiny_model_dir)
    named = ("--home", home.path, "--task", "gcd", "--seed", 1, "--untrained")
    outcome = swarmd("ask", *named, "--json")
    assert outcome.code == 0, outcome.err
    found = json.loads(outcome.out)
    assert found["task"] == "gcd"
    assert "Greatest Common Divisor" in found["question"]
    assert found["expected"].isdigit()
    for given in (*found["answers"], *found["untrained"]):
        assert given["right"] == (given["reward"] == 1)


def test_a_task_of_several_turns_is_played_to_its_end(swarmd, tmp_path) -> None:
    home = Home.open(tmp_path / "guessing")
    home.write_manifest(load_manifest("guessing").to_bytes())
    task = load_manifest("guessing").tasks[0].name
    outcome = swarmd("ask", "--home", home.path, "--task", task, "--seed", 1, "--json")
    assert outcome.code == 0, outcome.err
    [given] = json.loads(outcome.out)["answers"]
    assert "\n> " in given["text"], "what the task said stands between the turns"
    assert given["right"] == (given["reward"] == 1)


def test_untrained_weights_are_shown_the_examples_of_the_settings(
    swarmd, home, trained, tiny_model_dir, monkeypatch
) -> None:
    shown: list[int] = []

    async def solved(runner: object, manifest: object, count: int) -> tuple[()]:
        shown.append(count)
        return ()

    monkeypatch.setattr(ask_command, "solved_examples", solved)
    monkeypatch.setenv("SWARMD_POLICY__EXAMPLES", "2")
    assert swarmd("ask", QUESTION, "--model", tiny_model_dir).code == 0
    save(home, trained, tiny_model_dir)
    assert swarmd("ask", QUESTION, "--home", home.path).code == 0, "weights have those of their training"
    assert shown == [2]


def test_an_unknown_task_lists_those_of_the_swarm(swarmd, home) -> None:
    outcome = swarmd("ask", "--home", home.path, "--task", "nonesuch")
    assert outcome.code == 2
    assert "has no such task; its tasks are base_conversion" in outcome.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((QUESTION, "--task", "gcd"), "leave out either --task or QUESTION"),
        ((QUESTION, "--model", "embedded", "--untrained"), "--model alone has none"),
        ((QUESTION, "--samples", 65), "--samples: input should be less than or equal to 64 (got '65')"),
        ((QUESTION, "--home", "absent"), "there is no swarmd home at"),
        ((QUESTION, "--temperature", 0), "--temperature"),
    ],
)
def test_what_cannot_be_asked_is_refused(swarmd, arguments, message) -> None:
    outcome = swarmd("ask", *arguments)
    assert (outcome.code, message in outcome.err) == (2, True)


def test_too_little_memory_says_how_to_ask_beside_a_daemon(swarmd, tiny_model_dir, monkeypatch) -> None:
    def short(*_: object, **__: object) -> None:
        raise OutOfMemoryError("memory ran out: try a smaller --model")

    monkeypatch.setattr(ask_command, "load_subject", short)
    outcome = swarmd("ask", QUESTION, "--model", tiny_model_dir)
    assert outcome.code == 1
    assert "use --device cpu next to it" in outcome.err


def test_answers_are_shown_line_by_line_without_control_characters(capsys) -> None:
    policy: Any = None
    subject = Subject(policy, "tiny", "here", 4)
    print_reply(Reply(QUESTION, [Answer("a\nb\x1b[2J[red]", True, 2)], None), subject)
    assert capsys.readouterr().out == "a\nb\\x1b[2J[red]\n"
    both = Reply("q?", [Answer("5", True, 2, 1.0)], [Answer("6", False, 2, 0.0)], "gcd", "5")
    print_reply(both, subject)
    assert capsys.readouterr().out.splitlines() == [
        "question, held out, of gcd",
        "  q?",
        "expected",
        "  5",
        "step 4: right (reward 1)",
        "  5",
        "untrained: wrong (reward 0), cut off",
        "  6",
    ]


def test_an_answer_that_a_stop_text_ended_is_not_cut_off(trained, monkeypatch) -> None:
    subject = Subject(trained, "tiny", "here", 4)
    rng = torch.Generator().manual_seed(0)
    for ended in (True, False):
        monkeypatch.setattr(trained, "has_ended", lambda sample, ended=ended: ended)
        for samples in (0, 2):
            found = answer(subject, QUESTION, Manner(samples=samples, both=False), rng=rng).answers
            assert {each.finished for each in found} == {ended}


def test_an_answer_is_heard_while_it_grows_and_is_the_same_as_unheard(trained, make_policy) -> None:
    subject = Subject(trained, "tiny", "here", 4, make_policy().trainable_state())
    rng = torch.Generator().manual_seed(0)
    heard: dict[bool, list[str]] = {False: [], True: []}

    class Listener:
        def __init__(self, untrained: bool) -> None:
            self.texts = heard[untrained]

        def write(self, text: str) -> None:
            self.texts.append(text)

        def end(self, answer: Answer) -> None:
            self.texts.append(answer.text)

    manner = Manner(samples=0, both=True)
    reply = answer(subject, QUESTION, manner, rng=rng, listen=Listener)
    assert reply == answer(subject, QUESTION, manner, rng=rng)
    for untrained, answers in ((False, reply.answers), (True, reply.untrained or ())):
        assert len(heard[untrained]) > 2
        assert heard[untrained][-1] == answers[0].text


def test_a_growing_answer_is_printed_once_and_safely() -> None:
    out = io.StringIO()
    live = LiveAnswer(out, "step 4")
    for text in ("a", "a\n", "a", "a\nb\ufffd", "a\nb\x1b[2J"):
        live.write(text)
    live.end(Answer("a\nb\x1b[2J!\ufffd", False, 5))
    assert out.getvalue() == "step 4\n  a\n  b\\x1b[2J!\ufffd\n  (cut off)\n"
    alone = io.StringIO()
    LiveAnswer(alone).end(Answer("whole", True, 1))
    assert alone.getvalue() == "whole\n"
