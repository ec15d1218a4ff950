"""A person at a peer's desk: asked, judged, published in the peer's name, and told what became of it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from protocol import PERSON_TOKENIZER, Completion, Episode, TaskSpec, is_held_out, is_person
from swarmd.errors import ConfigError, TaskError
from swarmd.gossip import GroupOffer, NotPublished, Unpublished
from swarmd.images import Image
from swarmd.people.attempts import TURN_BYTES_MAX
from swarmd.people.desk import WAITING_MAX, Desk
from swarmd.people.failures import Failures
from swarmd.storage import Database
from swarmd.tasks import Item, Question, Score, TaskFailure, Written, extract_answer
from tests.daemon.fakes import KnownTasks, external_group
from tests.gossip.making import START, key, make_manifest, make_task, question

MANIFEST = make_manifest()
ALLOWED = [n for n in range(200) if not is_held_out(question(make_task(MANIFEST, n)))]
OPEN = [make_task(MANIFEST, n) for n in ALLOWED]


class Publishing:
    """The peer's side, with room for so many records in each round, or a reason to publish none."""

    peer_id = key(1).peer_id

    def __init__(self) -> None:
        self.room = 64
        self.refusal: NotPublished | None = None
        self.sent: list[GroupOffer] = []

    def publish(self, group: GroupOffer, *, round_: int) -> bytes | NotPublished:
        if self.refusal is not None:
            return self.refusal
        if not self.room:
            return NotPublished(Unpublished.ROUND_BUDGET)
        self.room -= 1
        self.sent.append(group)
        return bytes([len(self.sent)]) * 32


class Guessing(KnownTasks):
    """Two turns: it says `lower` to the first, and 1 is right."""

    async def questions(self, specs: Sequence[TaskSpec]) -> list[Question | TaskFailure]:
        return [Question(spec, "Guess.", turns=2, hidden=str(spec.seed)) for spec in specs]

    async def replies(
        self, items: Sequence[tuple[TaskSpec, Sequence[str]]]
    ) -> list[str | TaskFailure | None]:
        return ["lower" for _ in items]

    async def score(self, items: Sequence[Item]) -> list[list[Score]]:
        return [
            [
                Score(float(extract_answer(turns[-1]) == "1"), observations=("lower",) * (len(turns) - 1))
                for turns in row
            ]
            for _, row in items
        ]


class Slow(KnownTasks):
    """Scores with a pause in which others come to their turn."""

    async def score(self, items: Sequence[Item]) -> list[list[Score]]:
        await asyncio.sleep(0)
        return await super().score(items)


class Pictured(KnownTasks):
    """Every question is about a picture."""

    async def questions(self, specs: Sequence[TaskSpec]) -> list[Question | TaskFailure]:
        return [Question(spec, "What is this?", images=(Image(1, 1, bytes(3)),)) for spec in specs]


class Room:
    """A desk with what stands around it."""

    def __init__(self, database: Database, tasks: KnownTasks | None = None) -> None:
        self.now = START
        self.failures, self.tasks, self.publishing = Failures(), tasks or KnownTasks(), Publishing()
        self.database = database
        self.drawn = iter(OPEN * 5)
        self.judges: Judging | None = None
        self.desk = self.open()

    def open(self) -> Desk:
        return Desk(
            manifest=MANIFEST,
            attempts_max=3,
            failures=self.failures,
            draw=lambda: next(self.drawn),
            tasks=self.tasks,
            publishing=self.publishing,
            answers=self.database.answers,
            step=lambda: 7,
            clock=lambda: self.now,
            judges=self.judges,
        )

    async def asked(self) -> str:
        return (await self.desk.ask(())).question


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    with Database(tmp_path / "swarmd.db") as database:
        yield Room(database)


async def test_the_question_that_peers_fail_is_asked_with_how_often_they_failed(room: Room) -> None:
    failed = OPEN[3]
    room.failures.see(failed, Question(failed, question(failed)).digest, external_group(1, publisher="x"))
    found = await room.desk.ask(())
    assert (found.text, found.others.right, found.others.tries, found.attempts_max) == (
        question(failed), 1, 2, 3
    )  # fmt: skip


async def test_a_skipped_question_is_not_asked_again_and_without_failures_one_is_drawn(room: Room) -> None:
    first = await room.asked()
    assert (await room.desk.ask([first])).question != first


async def test_an_attempt_is_judged_and_nothing_is_kept(room: Room) -> None:
    asked = await room.asked()
    right, wrong = await room.desk.judge(asked, ["1"]), await room.desk.judge(asked, ["0"])
    assert (right.right, right.reward, right.plain) == (True, 1.0, True)
    assert (wrong.right, wrong.reward) == (False, 0.0)
    assert room.desk.answers().answers == ()


async def test_attempts_are_one_group_signed_for_a_person(room: Room) -> None:
    asked = await room.asked()
    sent = await room.desk.finish(asked, [["0"], ["1"]], "Ann")
    [offer] = room.publishing.sent
    assert (offer.model, offer.tokenizer, offer.step) == ("person: Ann", PERSON_TOKENIZER, 7)
    assert is_person(offer.model)
    texts = [(c.text, c.reward_micro, c.finished) for c in offer.completions if isinstance(c, Completion)]
    assert texts == [("<answer>0</answer>", 0, True), ("<answer>1</answer>", 1_000_000, True)]
    assert (sent.state, sent.digest) == ("published", (b"\x01" * 32).hex())


async def test_who_is_right_at_once_sends_a_blank_attempt_beside_it(room: Room) -> None:
    await room.desk.finish(await room.asked(), [["1"]], None)
    [offer] = room.publishing.sent
    rewards = [(c.text, c.reward_micro) for c in offer.completions if isinstance(c, Completion)]
    assert rewards == [("<answer>1</answer>", 1_000_000), ("", 0)]
    assert offer.model == "person"


async def test_attempts_that_are_all_wrong_stay_here(room: Room) -> None:
    sent = await room.desk.finish(await room.asked(), [["0"], ["0"]], None)
    assert (sent.state, room.publishing.sent) == ("kept", [])
    [answer] = room.desk.answers().answers
    assert (answer.state, answer.attempts, answer.right) == ("kept", 2, 0)


async def test_a_question_counts_once(room: Room) -> None:
    asked = await room.asked()
    await room.desk.finish(asked, [["1"]], None)
    with pytest.raises(ConfigError, match="already answered here"):
        await room.desk.finish(asked, [["1"]], None)
    assert (await room.desk.ask(())).question != asked


async def test_a_question_counts_once_also_if_it_is_sent_twice_at_the_same_time(tmp_path: Path) -> None:
    with Database(tmp_path / "swarmd.db") as database:
        room = Room(database, Slow())
        asked = await room.asked()
        sent = await asyncio.gather(
            *(room.desk.finish(asked, [["1"]], None) for _ in range(2)), return_exceptions=True
        )
        assert [isinstance(each, ConfigError) for each in sent] == [False, True]
        assert len(room.publishing.sent) == 1


async def test_a_question_about_pictures_is_not_asked_because_they_are_not_shown(tmp_path: Path) -> None:
    with Database(tmp_path / "swarmd.db") as database:
        room = Room(database, Pictured())
        room.failures.see(OPEN[0], b"d" * 32, external_group(1, publisher="x"))
        with pytest.raises(ConfigError, match="about pictures"):
            await room.desk.ask(())


async def test_without_room_in_this_round_it_goes_out_in_the_next(room: Room) -> None:
    room.publishing.room = 0
    sent = await room.desk.finish(await room.asked(), [["1"]], None)
    assert sent.state == "waiting"
    assert "has used up its limit for this round, and the next round begins in 15 s" in sent.message
    room.publishing.room = 1
    room.desk.send_waiting()  # the same round
    assert room.publishing.sent == []
    room.now += MANIFEST.round_seconds
    room.desk.send_waiting()
    [answer] = room.desk.answers().answers
    assert (len(room.publishing.sent), answer.state) == (1, "published")


async def test_before_the_swarm_begins_an_answer_waits_for_its_first_round(room: Room) -> None:
    room.now = MANIFEST.genesis - 60
    room.publishing.refusal = NotPublished(Unpublished.BEFORE_GENESIS)
    sent = await room.desk.finish(await room.asked(), [["1"]], None)
    assert sent.state == "waiting"
    assert "the swarm has not begun, and the next round begins in 60 s" in sent.message
    room.now, room.publishing.refusal = MANIFEST.genesis, None
    room.desk.send_waiting()
    assert [answer.state for answer in room.desk.answers().answers] == ["published"]


INVALID = NotPublished(Unpublished.INVALID, "it has too many bytes")


async def test_an_answer_that_peers_would_refuse_is_kept_and_says_why(room: Room) -> None:
    room.publishing.refusal = INVALID
    sent = await room.desk.finish(await room.asked(), [["1"]], None)
    assert (sent.state, sent.message) == (
        "kept",
        "not published: other peers would refuse it: it has too many bytes",
    )
    [answer] = room.desk.answers().answers
    assert (answer.state, answer.right) == ("kept", 1)


async def test_a_waiting_answer_that_peers_would_refuse_does_not_hold_up_the_others(room: Room) -> None:
    room.publishing.room = 0
    for _ in range(2):
        await room.desk.finish(await room.asked(), [["1"]], None)
    room.publishing.room, room.publishing.refusal = 64, INVALID
    room.now += MANIFEST.round_seconds
    room.desk.send_waiting()
    assert [answer.state for answer in room.desk.answers().answers] == ["kept", "kept"]


async def test_what_waited_when_the_peer_stopped_is_said_to_be_lost(room: Room) -> None:
    room.publishing.room = 0
    await room.desk.finish(await room.asked(), [["1"]], None)
    assert [answer.state for answer in room.open().answers().answers] == ["lost"]


async def test_a_person_cannot_fill_the_memory_with_what_waits(room: Room) -> None:
    room.publishing.room = 0
    asked_before = await room.desk.ask(())
    for _ in range(WAITING_MAX):
        found = await room.desk.ask([asked_before.question])
        await room.desk.finish(found.question, [["1"]], None)
    with pytest.raises(ConfigError, match="are already waiting to be published"):
        await room.desk.finish(asked_before.question, [["1"]], None)
    with pytest.raises(ConfigError, match="already waiting"):  # before anything is written
        await room.asked()


async def test_a_task_of_turns_goes_on_until_it_is_over_and_is_published_as_turns(room: Room) -> None:
    turns = Room(room.database, Guessing())
    asked = await turns.asked()
    assert (await turns.desk.judge(asked, ["5"])).said == "lower"
    assert (await turns.desk.judge(asked, ["5", "1"])).right
    await turns.desk.finish(asked, [["5", "1"]], None)
    [offer] = turns.publishing.sent
    first = offer.completions[0]
    assert isinstance(first, Episode)
    assert [turn.text for turn in first.turns] == ["<answer>5</answer>", "<answer>1</answer>"]


@pytest.mark.parametrize(
    ("attempts", "name", "why"),
    [
        ([], None, "1 to 3 attempts"),
        ([["1"]] * 4, None, "1 to 3 attempts"),
        ([["1", "2"]], None, "1 to 1 turns"),
        ([["a" * (TURN_BYTES_MAX + 1)]], None, "at most 4096 bytes"),
        ([["\ud800"]], None, "a lone surrogate"),
        ([["1"]], "a\u202eb", r"U\+202E"),
        ([["1"]], "a" * 65, "at most 56 bytes"),
    ],
)
async def test_what_cannot_be_a_group_is_refused_with_the_reason(
    room: Room, attempts: list[list[str]], name: str | None, why: str
) -> None:
    with pytest.raises(ConfigError, match=why):
        await room.desk.finish(await room.asked(), attempts, name)
    assert room.publishing.sent == []


async def test_a_question_that_is_not_open_is_refused(room: Room) -> None:
    for text in ("00" * 32, "nonsense"):
        with pytest.raises(ConfigError, match=r"no longer open|hexadecimal"):
            await room.desk.judge(text, ["1"])


@pytest.mark.parametrize(("failure", "error"), [("hang", ConfigError), ("timeout", TaskError)])
async def test_an_answer_that_could_not_be_scored_is_not_called_wrong(
    tmp_path: Path, failure: str, error: type[Exception]
) -> None:
    with Database(tmp_path / "swarmd.db") as database:
        room = Room(database, KnownTasks(lambda *_: Score(0.0, failure)))
        asked = await room.asked()
        with pytest.raises(error):
            await room.desk.judge(asked, ["1"])
        with pytest.raises(error):
            await room.desk.finish(asked, [["1"]], None)


class Judging:
    """Judges that think 0 is right, whatever the verifier says; silent until they have an opinion."""

    def __init__(self) -> None:
        self.has_opinion = False

    def judges(self, task_id: bytes) -> bool:
        return True

    async def measure(
        self, question: Question, texts: Sequence[Written], row: Sequence[Score]
    ) -> list[Score]:
        return [
            Score(float(extract_answer(str(text)) == "0"), bare=True, confidence=1.0, truth=score.reward)
            if self.has_opinion
            else Score(0.0, bare=True, confidence=0.0, truth=score.reward)
            for text, score in zip(texts, row, strict=True)
        ]


async def test_a_judged_task_shows_its_judges_and_never_its_verifier(room: Room) -> None:
    judges = room.judges = Judging()
    room.desk = room.open()
    asked = await room.asked()
    silent = await room.desk.judge(asked, ["1"])
    assert (silent.reward, silent.right, silent.plain) == (None, None, True)
    judges.has_opinion = True
    liked, disliked = await room.desk.judge(asked, ["0"]), await room.desk.judge(asked, ["1"])
    assert (liked.right, liked.reward, disliked.right, disliked.reward) == (True, 1.0, False, 0.0)
    await room.desk.finish(asked, [["1"], ["0"]], None)
    [offer] = room.publishing.sent
    assert [completion.reward_micro for completion in offer.completions] == [0, 1_000_000]


async def test_an_answer_that_nobody_judged_is_kept_and_says_why(room: Room) -> None:
    room.judges = Judging()
    room.desk = room.open()
    sent = await room.desk.finish(await room.asked(), [["1"]], None)
    assert (sent.state, room.publishing.sent) == ("kept", [])
    assert "no judge has judged it yet" in sent.message
