"""The built-in source `games`: tasks of several turns, where each turn uses what the earlier ones
revealed."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from swarmd.quoting import quoted
from swarmd.tasks.games.guessing import Guessing
from swarmd.tasks.options import check_names, whole
from swarmd.tasks.source import UnknownDatasetError
from swarmd.tasks.versions import GAMES

_GAMES = {"guessing": Guessing}


class Games:
    """See `swarmd.tasks.source.TaskSource`."""

    version = GAMES

    def datasets(self) -> Collection[str]:
        return list(_GAMES)

    def build(self, dataset: str, config: Mapping[str, Any]) -> Guessing:
        """Raises UnknownDatasetError and BadOptionError, which name the valid choices."""
        if dataset not in _GAMES:
            raise UnknownDatasetError(f"there is no game {quoted(dataset)}; there is {', '.join(_GAMES)}")
        game = _GAMES[dataset]
        check_names(dataset, config, game.OPTIONS)
        for option, (default, low, high) in game.OPTIONS.items():
            whole(dataset, config, option, default, low, high)
        return game(**config)
