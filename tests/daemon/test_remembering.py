"""The daemon's events reach the home's database, the last ones too."""

from __future__ import annotations

import asyncio

from swarmd.daemon import remembering
from swarmd.daemon.remembering import keep_events
from swarmd.errors import StorageError

ALL = ("debug", "info", "warning", "error")


async def test_events_are_kept_as_they_come_and_once_more_at_the_end(database, events, monkeypatch):
    events.emit("started", version="1")
    kept = asyncio.Event()
    add = database.happenings.add

    def noted(batch):
        add(batch)
        kept.set()

    monkeypatch.setattr(database.happenings, "add", noted)
    monkeypatch.setattr(remembering, "KEEP_EVERY_S", 0.0)
    task = asyncio.get_running_loop().create_task(keep_events(events, database))
    await kept.wait()
    events.emit("step", step=1)
    events.emit("phase", name="training")
    task.cancel()
    await asyncio.wait([task])
    assert [(one.name, one.level, one.fields) for one in database.happenings.newest(9, ALL)] == [
        ("started", "info", {"version": "1"}),
        ("step", "info", {"step": 1}),
    ]


async def test_a_database_that_cannot_be_written_is_told_once_and_tried_again(database, events, monkeypatch):
    add, refusals, kept = database.happenings.add, iter(range(2)), asyncio.Event()

    def refuse_twice(batch):
        if next(refusals, None) is not None:
            raise StorageError("the database is locked")
        add(batch)
        kept.set()

    monkeypatch.setattr(database.happenings, "add", refuse_twice)
    monkeypatch.setattr(remembering, "RETRY_S", 0.0)
    events.emit("started", version="1")
    task = asyncio.get_running_loop().create_task(keep_events(events, database))
    await kept.wait()
    task.cancel()
    await asyncio.wait([task])
    [warning] = events.named("warning")
    assert (
        warning["message"] == "`swarmd events` is missing events, retrying every 0 s: the database is locked"
    )
    assert [one.name for one in database.happenings.newest(9, ALL)] == ["started", "warning"]
