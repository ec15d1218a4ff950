"""Run as a process, one of two: plays an experiment, is stopped in it, and plays it to its end.

Arguments: the experiment as JSON, and the folder. The environment is torchrun's.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from contextlib import suppress
from pathlib import Path

from swarmd.errors import SwarmdError
from swarmd.experiment import ExperimentConfig
from swarmd.experiment.exchanges.distributed import exchange_of
from swarmd.experiment.exchanges.interface import RoundExchange
from tests.experiment.making import KilledError, Watched, run

KILLED_AFTER = 3  # rounds, before this one's checkpoint


def main(config: ExperimentConfig, folder: Path) -> None:
    with exchange_of(config) as exchange:
        play(config, folder, exchange)
        if exchange.rank > 0:
            sys.stdout.flush()
            os._exit(0)  # as one that dies: it says goodbye to nobody
        try:
            exchange.gather("what nobody else brings", [])
        except SwarmdError as error:
            print(error)


def play(config: ExperimentConfig, folder: Path, exchange: RoundExchange) -> None:
    with suppress(KilledError):
        asyncio.run(run(config, folder, Watched(KILLED_AFTER), exchange=exchange))
    if exchange.rank > 0:  # as if it had been killed before its last save
        newest = max(folder.glob(f"runs/*/checkpoints-{exchange.rank}-of-2/*"))
        shutil.rmtree(newest)
    asyncio.run(run(config, folder, exchange=exchange))


if __name__ == "__main__":
    main(ExperimentConfig.model_validate_json(sys.argv[1]), Path(sys.argv[2]))
