"""The source `textarena`: single-player games of the package textarena.

To compute what a game says, it is replayed from the beginning: seeded, copied, and given the moves so far.
Games that need more players, word lists, or a model that answers are refused.
"""

from __future__ import annotations

import copy
import difflib
import hashlib
import importlib
import inspect
import random
import re
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from numpy import random as numpy_random

from protocol.limits import TURNS_MAX
from swarmd.quoting import quoted
from swarmd.tasks.answers import is_bounded
from swarmd.tasks.options import whole
from swarmd.tasks.outside import BY_SEED_ALONE
from swarmd.tasks.outside.absent import NeedsError, absent
from swarmd.tasks.source import BadOptionError, UnknownDatasetError
from swarmd.tasks.versions import outside_versions

NEEDS = {
    "nltk": "word lists that nltk downloads",
    "openai": "a judge model behind a service",
    "requests": "the network",
    "websockets": "the network",
    "rich": "a screen",
}
_VARIANTS = ("-raw", "-train")  # the same games with other observations; we choose the observations
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")  # of an object in memory: it differs between processes
OTHERS = 3  # seeds to compare with: four numbers from 1 to 20 are all the same in 1 of 8,000 cases
MOVE_CHARS_MAX = 256  # the longest move of these games, a whole crossword, has about a hundred

with absent(NEEDS):
    import textarena
    from textarena.envs.registration import ENV_REGISTRY

Answers = Sequence[str | None]


class TextArena:
    """See `swarmd.tasks.source.TaskSource`."""

    version = outside_versions()["textarena"]

    def datasets(self) -> Collection[str]:
        """The names of all games, including those that `build` refuses."""
        return [name for name in ENV_REGISTRY if not name.endswith(_VARIANTS)]

    def build(self, dataset: str, config: Mapping[str, Any]) -> ArenaGame:
        """Raises UnknownDatasetError, BadOptionError, and NeedsError for a game that cannot be played."""
        if dataset not in self.datasets():
            near = difflib.get_close_matches(dataset, self.datasets(), n=3)
            hint = (
                f"did you mean {' or '.join(map(repr, near))}?" if near else "docs/environments.md lists them"
            )
            raise UnknownDatasetError(f"textarena has no game {quoted(dataset)}; {hint}")
        with _explained(dataset):
            return _build(dataset, config)


@contextmanager
def _explained(name: str) -> Iterator[None]:
    """Raise NeedsError for whatever the game `name` lacks here."""
    try:
        with absent(NEEDS):
            yield
    except NeedsError as error:
        raise NeedsError(f"{name} needs {error}") from error
    except OSError as error:
        raise NeedsError(f"{name} needs a file that textarena does not bring") from error
    except ImportError as error:
        raise NeedsError(f"{name} needs another package: {error}") from error
    except SyntaxError as error:
        python = ".".join(map(str, sys.version_info[:2]))
        raise NeedsError(f"{name} needs a newer Python than {python}: {error}") from error


def _build(dataset: str, config: Mapping[str, Any]) -> ArenaGame:
    module, _, name = ENV_REGISTRY[dataset].entry_point.partition(":")
    options = inspect.signature(getattr(importlib.import_module(module), name)).parameters
    own = ENV_REGISTRY[dataset].kwargs
    limit = own.get("max_turns", TURNS_MAX)
    turns = whole(dataset, config, "turns", max(2, min(limit, TURNS_MAX)), 2, TURNS_MAX)
    given = {option: value for option, value in config.items() if option != "turns"}
    for option in given:
        if option == "max_turns" or option not in options:
            known = ", ".join(["turns", *(name for name in options if name != "max_turns")])
            raise BadOptionError(f"{dataset} has no option {quoted(option)}; there are {known}", option)
    if "max_turns" in options:  # so that the game reports the player's progress when the turns are over
        given["max_turns"] = turns
    try:
        game = textarena.make(dataset, **given)
    except ValueError as error:
        if "API key" in str(error):
            raise NeedsError(NEEDS["openai"]) from error
        raise BadOptionError(f"{dataset}: {error}") from error
    return ArenaGame(dataset, game, turns, bool(config))


class Start(NamedTuple):
    """A game that has just begun, and the state of the random generators."""

    number: int
    """Its seed."""
    game: Any
    of_python: Any
    of_numpy: Any


class ArenaGame:
    """One game with its options. A move is an answer, and the game's reply to it is an observation.

    The score is the reward that the game gives; it is 0 while the game is not over.
    """

    def __init__(self, name: str, game: Any, turns: int, has_options: bool) -> None:
        self._name = name
        self._has_options = has_options
        self._game = game
        self.turns = turns

    def question(self, seed: int, index: int) -> tuple[str, Start]:
        """The game's first message. Raises NeedsError if the game is not for a single player."""
        number = random.Random(f"{seed},{index}").getrandbits(32)  # noqa: S311  a game, not a secret
        game = self._begun(number)
        return _said(game), Start(number, game, random.getstate(), numpy_random.get_state())

    def _begun(self, number: int) -> Any:
        """The game started with the seed `number`. Leaves the random generators as the game left them."""
        random.seed(number)
        numpy_random.seed(number)
        game = copy.deepcopy(self._game)
        with _explained(self._name):
            try:
                game.reset(num_players=1, seed=number)
            except (AssertionError, ValueError, LookupError, TypeError, ArithmeticError) as error:
                if self._has_options and "player" not in str(error).lower():
                    raise BadOptionError(f"{self._name} does not begin: {error}") from error
                raise NeedsError("several players") from error
            if not isinstance(_bare(game).state, textarena.SinglePlayerState):
                raise NeedsError("several players")
        return game

    def hidden(self, entry: Start) -> str:
        """A hash of the game's initial state, or the seed if other seeds start the same."""
        state = _state(entry.game)
        others = (self._begun(entry.number + other) for other in range(1, 1 + OTHERS))
        return state if any(_state(other) != state for other in others) else f"{BY_SEED_ALONE}{entry.number}"

    def reply(self, answers: Answers, entry: Start) -> str | None:
        """The game's reply to the last move; None if the game is over."""
        played = self._played(answers, entry)
        return None if played.over else played.said

    def score(self, answers: Answers, entry: Start) -> float:
        """The reward that the game gives once it is over. A negative reward, for a wrong move, counts as
        0."""
        return self._played(answers, entry).pays

    def admits(self, answer: str, entry: Start) -> bool:  # noqa: ARG002
        """Moves of up to 256 characters."""
        return len(answer) <= MOVE_CHARS_MAX and is_bounded(answer)

    def _played(self, answers: Answers, entry: Start) -> _Played:
        """Replay the moves in `answers`."""
        random.setstate(entry.of_python)
        numpy_random.set_state(entry.of_numpy)
        game, said = copy.deepcopy(entry.game), ""
        for answer in answers:
            try:
                game.step(answer or "")
            except Exception:  # noqa: BLE001  a game may raise anything on a move, which then ends it
                return _Played(over=True, said="", pays=0.0)
            state, said = _bare(game).state, _said(game)
            if state.done:
                pays = (state.rewards or {}).get(0)  # some games return the reason as the reward
                return _Played(over=True, said=said, pays=pays if isinstance(pays, int | float) else 0.0)
        return _Played(over=False, said=said, pays=0.0)


class _Played(NamedTuple):
    over: bool
    said: str
    """The reply to the last move."""
    pays: float


def _bare(game: Any) -> Any:
    """The game without wrappers, which would put its whole history into each observation."""
    while isinstance(game, textarena.Wrapper):
        game = game.env
    return game


def _state(game: Any) -> str:
    """A hash of the game's complete state, which can be large, for example for a crossword."""
    bare = _bare(game)
    known = {name: value for name, value in vars(bare).items() if name != "state"}
    return hashlib.sha256(_ADDRESS.sub("", repr((known, bare.state.game_state))).encode()).hexdigest()


def _said(game: Any) -> str:
    """What the game has said since the last call, without the player's own moves."""
    _, messages = _bare(game).get_observation()
    own = textarena.ObservationType.PLAYER_ACTION
    told = (text for _, text, kind in messages if kind is not own)
    # Some games log a move with its arguments swapped; its text is then the player's number.
    return "\n".join(text for text in told if isinstance(text, str)).strip()
