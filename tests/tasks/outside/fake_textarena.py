"""A small textarena: the part of its interface that swarmd uses, with games that show each way to fail."""

from __future__ import annotations

from pathlib import Path

VERSION = "0.0.7"

PACKAGE = """
import enum, random
import openai, nltk

class ObservationType(enum.Enum):
    PROMPT = enum.auto()
    PLAYER_ACTION = enum.auto()
    GAME_MESSAGE = enum.auto()

class State:
    def __init__(self, num_players, seed):
        random.seed(seed)
        self.done, self.rewards, self.game_state, self.heard = False, None, {}, []

class SinglePlayerState(State):
    def __init__(self, num_players, seed=None):
        assert num_players == 1, f"The number of players has to be 1, received {num_players}"
        super().__init__(num_players, seed)

class TwoPlayerState(State):
    def __init__(self, num_players, seed=None):
        assert num_players == 2, f"The number of players has to be 2, received {num_players}"
        super().__init__(num_players, seed)

class Env:
    def get_observation(self):
        heard, self.state.heard = self.state.heard, []
        return 0, heard

class Wrapper(Env):
    def __init__(self, env):
        self.env = env
    def __getattr__(self, name):
        return getattr(self.env, name)
    def __deepcopy__(self, memo):
        import copy
        return type(self)(copy.deepcopy(self.env, memo))
    def reset(self, num_players, seed=None):
        return self.env.reset(num_players=num_players, seed=seed)
    def step(self, action):
        return self.env.step(action if "[" in action else f"[{action}]")

from textarena.envs.registration import make
"""

REGISTRATION = """
import importlib
from dataclasses import dataclass

@dataclass
class EnvSpec:
    entry_point: str
    kwargs: dict

GAMES = {"Guess-v0": ("Guess", {"max_turns": 9}), "Guess-v0-raw": ("Guess", {}), "Duel-v0": ("Duel", {}),
    "Words-v0": ("Words", {}), "Asking-v0": ("Asking", {}), "Clock-v0": ("Clock", {}),
    "Lost-v0": ("Lost", {})}
ENV_REGISTRY = {
    name: EnvSpec(f"textarena.envs.games:{kind}", kwargs) for name, (kind, kwargs) in GAMES.items()
}

def make(env_id, **kwargs):
    import textarena
    module, _, name = ENV_REGISTRY[env_id].entry_point.partition(":")
    kind = getattr(importlib.import_module(module), name)
    return textarena.Wrapper(kind(**{**ENV_REGISTRY[env_id].kwargs, **kwargs}))
"""

GAMES = """
import random, re, time
import nltk, openai, textarena as ta

class Guess(ta.Env):
    def __init__(self, largest=20, max_turns=9):
        if largest < 2:
            raise ValueError("largest is too small")
        self.largest, self.max_turns = largest, max_turns
    def reset(self, num_players, seed=None):
        self.state = ta.SinglePlayerState(num_players, seed)
        self.state.game_state = {"number": random.randint(1, self.largest), "turn": 0}
        self.say(f"Guess from 1 to {self.largest} in {self.max_turns} turns.", ta.ObservationType.PROMPT)
    def say(self, text, kind=ta.ObservationType.GAME_MESSAGE):
        self.state.heard.append((-1, text, kind))
    def step(self, action):
        facts = self.state.game_state
        facts["turn"] += 1
        self.say(action, ta.ObservationType.PLAYER_ACTION)
        guess = int(re.search(r"[[]([0-9]+)[]]", action)[1])
        if guess == facts["number"]:
            self.state.done, self.state.rewards = True, {0: 1}
        elif facts["turn"] == self.max_turns:
            self.state.done, self.state.rewards = True, {0: -0.5 if guess > self.largest else 0.25}
        else:
            self.say(("higher" if guess < facts["number"] else "lower") + random.choice("!?."))
        return self.state.done, {}

class Duel(ta.Env):
    def reset(self, num_players, seed=None):
        self.state = ta.TwoPlayerState(num_players, seed)

class Words(ta.Env):
    def __init__(self):
        self.words = nltk.corpus.words.words("en")

class Asking(ta.Env):
    def __init__(self):
        self.judge = openai.OpenAI()

class Clock(Guess):
    def step(self, action):
        self.say(str(time.perf_counter()))
        return False, {}

class Lost(ta.Env):
    def __init__(self):
        open(__file__ + ".missing")
"""


def install(directory: Path) -> None:
    """Put the package and its metadata into `directory`, from which modules are imported."""
    package = directory / "textarena"
    (package / "envs").mkdir(parents=True)
    (package / "__init__.py").write_text(PACKAGE)
    (package / "envs" / "__init__.py").write_text("")
    (package / "envs" / "registration.py").write_text(REGISTRATION)
    (package / "envs" / "games.py").write_text(GAMES)
    about = directory / f"textarena-{VERSION}.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: textarena\nVersion: {VERSION}\n")
