"""What the packages log comes out of the one stream of events, from whatever thread it was logged in."""

from __future__ import annotations

import asyncio

import structlog

from swarmd.daemon.logs import route_logs
from tests.daemon.fakes import Events


async def test_warnings_and_errors_become_events_with_their_fields(events: Events):
    route_logs(events, asyncio.get_running_loop())
    log = structlog.get_logger("somewhere")
    log.warning("the p2p process died", exit_code=9)
    log.error("network given up", error="no port")
    log.info("for developers")
    log.debug("for developers")
    died, given_up = events.named("warning")
    assert (died["message"], died["exit_code"]) == ("the p2p process died", 9)
    assert (given_up["message"], given_up["error"]) == ("network given up", "no port")


async def test_the_cause_of_a_failure_is_not_lost(events: Events):
    route_logs(events, asyncio.get_running_loop())
    structlog.get_logger().error("network failed", exc_info=KeyError("digest"))
    [line] = events.named("warning")
    assert line["error"] == "KeyError('digest')"


async def test_a_field_named_message_does_no_harm(events: Events):
    route_logs(events, asyncio.get_running_loop())
    structlog.get_logger().warning("refused", message="what the peer said")
    [line] = events.named("warning")
    assert line["message"] == "refused"


async def test_a_line_of_another_thread_arrives_on_the_event_loop(events: Events):
    loop = asyncio.get_running_loop()
    route_logs(events, loop)
    arrived: list[bool] = []
    events.hook = lambda name, fields: arrived.append(asyncio.get_running_loop() is loop)
    await asyncio.to_thread(structlog.get_logger().warning, "from the model thread", free_mib=3)
    assert arrived == [True]
    [line] = events.named("warning")
    assert (line["message"], line["free_mib"]) == ("from the model thread", 3)
