"""Give the peer a desk at which a person can answer questions (`swarmd/people/desk.py`)."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable

from protocol import COMPLETIONS_MAX, Manifest
from swarmd.config import Config
from swarmd.daemon.exchange import Exchange
from swarmd.judges import Panel
from swarmd.observe.credit import Credit
from swarmd.people.desk import Desk
from swarmd.storage import Database
from swarmd.tasks import TaskRunner, TrainingDraw

SEED_BITS = 31


def open_desk(
    config: Config,
    manifest: Manifest,
    exchange: Exchange,
    tasks: TaskRunner,
    database: Database,
    *,
    step: Callable[[], int],
    credit: Callable[[], Credit],
    judges: Panel,
) -> Desk:
    """Return the desk of this peer. A person's answers go to the worker that scores external texts."""
    # The desk has its own sequence of questions: those of the steps are counted, and a resumed peer must ask
    # them again.
    draw = TrainingDraw(manifest, exchange.peer_id, secrets.randbits(SEED_BITS))
    return Desk(
        manifest=manifest,
        attempts_max=min(config.learning.group_size, COMPLETIONS_MAX - 1),
        failures=exchange.failures,
        draw=draw.next_spec,
        tasks=tasks,
        publishing=exchange,
        answers=database.answers,
        step=step,
        clock=time.time,
        credit=credit,
        judges=judges,
    )
