"""Games of `guessing_tasks.toml` as their judges see them, played by players of all skills.

A player follows what it was told with a probability of its own, and else guesses any number, sometimes one
outside the range. The games are about numbers that are not held out.
"""

from __future__ import annotations

import random
import tomllib
from collections import defaultdict
from pathlib import Path

from protocol import is_digest_held_out
from swarmd.judges.interface import ModelJudge, Pair
from swarmd.tasks import Exchange
from swarmd.tasks.episodes import digest_of
from swarmd.tasks.games.guessing import Guessing

TASKS = Path(__file__).parent / "guessing_tasks.toml"
MUTE = 0.03  # share of turns without an answer
WILD = 0.3  # share of careless guesses that may lie outside the range
LEFT = {1: "the only number left", 2: "one of two left"}
SHOWN = 1_000  # games that `print_games` plays


class Games:
    """An endless supply of finished games, half of them won."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.tasks = [task["config"] for task in tomllib.loads(TASKS.read_text())["tasks"]]

    def draw(self) -> tuple[Pair, bool]:
        """Return a game, and whether it was won."""
        wanted = self.rng.random() < 0.5
        while True:
            game, won, _ = self.play()
            if won == wanted:
                return game, won

    def play(self) -> tuple[Pair, bool, str]:
        """Return a game, whether it was won, and how it ended."""
        config = self.rng.choice(self.tasks)
        task, number = self._question(config)
        skill, possible = self.rng.random() ** 0.5, list(range(1, config["largest"] + 1))
        earlier: list[Exchange] = []
        while True:
            last = len(earlier) + 1 == config["turns"]
            careful = self.rng.random() < skill
            guess = self.rng.choice(possible) if careful else self._careless(config["largest"])
            silent = not last and self.rng.random() < MUTE
            reply = task.reply([None if silent else str(guess)], number)
            if last or reply is None:
                pair = Pair(task.question(0, 0)[0], str(guess), tuple(earlier), config["turns"])
                return pair, reply is None, _ending(reply is None, last=last, guess=guess, possible=possible)
            earlier.append(Exchange("" if silent else str(guess), reply))
            if not silent:
                possible = [n for n in possible if (n > guess) == (number > guess) and n != guess]

    def _careless(self, largest: int) -> int:
        return self.rng.randint(0, 99) if self.rng.random() < WILD else self.rng.randint(1, largest)

    def _question(self, config: dict[str, int]) -> tuple[Guessing, int]:
        task = Guessing(**config)
        while True:
            text, number = task.question(self.rng.randrange(2**31), 0)
            if not is_digest_held_out(digest_of(text, task.turns, task.hidden(number))):
                return task, number


def _ending(won: bool, *, last: bool, guess: int, possible: list[int]) -> str:
    if not last:
        return "won before the last turn"
    if guess not in possible:
        return "lost: the last guess cannot be right"
    left = LEFT.get(len(possible), "one of several left")
    return f"{'won' if won else 'lost'}: the last guess is {left}"


def print_games(judge: ModelJudge, seed: int = 1) -> None:
    """Print, by how a game ended, the share that the uncalibrated judge calls won."""
    games = Games(random.Random(seed))
    played = [games.play() for _ in range(SHOWN)]
    said = judge.probabilities([pair for pair, _, _ in played])
    called: defaultdict[str, list[bool]] = defaultdict(list)
    for (_, _, ending), probability in zip(played, said, strict=True):
        called[ending].append(probability >= 0.5)
    for ending, yes in sorted(called.items()):
        print(f"{ending:50} {len(yes):5} games, called won {sum(yes) / len(yes):.2f}", flush=True)
    right = sum((p >= 0.5) == won for (_, won, _), p in zip(played, said, strict=True))
    print(f"{'all':50} {SHOWN:5} games, judged rightly {right / SHOWN:.2f}")
