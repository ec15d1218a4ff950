"""Games of textarena as tasks, in the sandboxed worker: with a small textarena, and with the real one."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from swarmd.errors import ConfigError
from swarmd.tasks import Question, TaskRunner, find_payers, load_manifest
from tests.tasks.outside import fake_textarena
from tests.tasks.outside.specs import game

pytestmark = pytest.mark.asyncio(loop_scope="module")

MANIFEST = """
name = "games"
genesis = 2026-01-01T00:00:00Z
round_seconds = 15
reward = "partial"
max_new_tokens = 16
records_per_round_max = 64
[[tasks]]
source = "textarena"
dataset = "{game}"
[tasks.config]
{options}
"""


def said(*answers: object) -> list[str]:
    return [f"<answer>{answer}</answer>" for answer in answers]


def manifest(directory: Path, name: str, options: str = "") -> str:
    path = directory / "swarm.toml"
    path.write_text(MANIFEST.format(game=name, options=options))
    return str(path)


@pytest.fixture(scope="module", autouse=True)
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The small textarena, before any other of that name."""
    directory = tmp_path_factory.mktemp("python") / "site-packages"
    fake_textarena.install(directory)
    sys.path.insert(0, str(directory))
    yield
    sys.path.remove(str(directory))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def runner(installed):
    async with TaskRunner(reward="partial") as running:
        yield running


async def number_of(runner: TaskRunner, question: Question) -> int:
    """The number that ends the game."""
    replies = await runner.replies([(question.spec, said(number)) for number in range(1, 21)])
    return 1 + replies.index(None)


async def test_the_version_names_the_package_and_how_it_is_asked(runner):
    assert runner.sources["textarena"].version == f"{fake_textarena.VERSION}+1"
    assert "Guess-v0-raw" not in runner.sources["textarena"].datasets


async def test_a_seed_makes_the_same_game_again_and_another_seed_another(runner):
    first, again, *others = await runner.questions([game(), game(), *(game(seed=s) for s in range(2, 12))])
    assert first == again
    assert first.turns == 9
    assert len({other.digest for other in others}) > 5


async def test_the_game_replies_from_its_beginning_each_time_and_pays_at_its_end(runner):
    [question] = await runner.questions([game(turns=3)])
    number = await number_of(runner, question)
    wrong = number % 20 + 1
    [once] = await runner.replies([(question.spec, said(wrong))])
    [twice] = await runner.replies([(question.spec, said(wrong, wrong))])
    [over] = await runner.replies([(question.spec, said(wrong, number))])
    assert once[:5].strip("!?.") in ("highe", "lower")
    assert over is None
    [[won, at_the_end, below, early]] = await runner.score(
        [
            (
                question.spec,
                [said(wrong, number), said(wrong, wrong, wrong), said(wrong, wrong, 99), said(wrong)],
            )
        ]
    )
    assert (won.reward, won.observations) == (1.0, (once,))
    assert (at_the_end.reward, at_the_end.observations) == (0.25, (once, twice))
    assert (below.reward, early.reward) == (0.0, 0.0)


async def test_a_move_that_breaks_the_game_is_its_last_and_earns_nothing(runner):
    [question] = await runner.questions([game(turns=3)])
    broken, fine = await runner.replies([(question.spec, ["hm"]), (question.spec, said(99))])
    assert broken is None
    assert fine.startswith("lower")
    [[score]] = await runner.score([(question.spec, [["hm"]])])
    assert (score.reward, score.failure) == (0.0, None)


async def test_a_move_that_is_too_long_or_takes_for_ever_to_read_is_as_if_it_were_missing(runner):
    [question] = await runner.questions([game(turns=3)])
    long, endless, none = await runner.replies(
        [(question.spec, said("7" * 257)), (question.spec, said("1e99999999")), (question.spec, ["hm"])]
    )
    assert long == endless == none


@pytest.mark.parametrize(
    ("name", "need"),
    [
        ("Duel-v0", "Duel-v0 needs several players"),
        ("Words-v0", "Words-v0 needs word lists that nltk downloads"),
        ("Asking-v0", "Asking-v0 needs a judge model behind a service"),
        ("Lost-v0", "Lost-v0 needs a file that textarena does not bring"),
        ("Gues-v0", "did you mean 'Guess-v0'"),
    ],
)
async def test_a_game_that_cannot_be_played_here_is_refused_with_what_it_needs(runner, name, need):
    [failure] = await runner.questions([game(name)])
    assert failure.reason == "dataset"
    assert need in failure.detail


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("turns", 17, "a whole number from 2 to 16"),
        ("max_turns", 3, "there are turns, largest"),
        ("smallest", 3, "there are turns, largest"),
        ("largest", 1, "largest is too small"),
    ],
)
async def test_an_option_that_the_game_does_not_take_is_named(runner, option, value, message):
    [failure] = await runner.questions([game(**{option: value})])
    assert failure.reason == "option"
    assert message in failure.detail


async def test_a_manifest_names_a_game_and_one_that_differs_each_time_is_refused(tmp_path):
    [task] = load_manifest(manifest(tmp_path, "Guess-v0", "turns = 4")).tasks
    assert (task.source, task.version) == ("textarena", f"{fake_textarena.VERSION}+1")
    with pytest.raises(ConfigError, match=r"its reply to a turn differs"):
        load_manifest(manifest(tmp_path, "Clock-v0"))


async def test_a_game_is_asked_to_score_junk_in_one_turn_and_in_all(runner, tmp_path):
    rules = load_manifest(manifest(tmp_path, "Guess-v0", "turns = 2"))
    [payer] = await find_payers(runner, rules)
    assert payer.reward >= 0.25
    assert payer.answer.isdigit()
