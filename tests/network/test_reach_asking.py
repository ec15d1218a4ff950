"""A peer asks another at which address it sees it, and whether its port opens."""

from __future__ import annotations

import asyncio

import pytest

from swarmd.network import run_simulated
from swarmd.network.interface import Standing
from swarmd.network.malformed import MessageError
from swarmd.network.reach.asking import (
    KNOCKS,
    KNOCKS_OF_GROUP,
    REPLY_BYTES_MAX,
    Answer,
    Answerer,
    Knock,
    Own,
)
from swarmd.network.streams import ask
from tests.network.conftest import key_of
from tests.network.test_relay import pair

PEER = key_of(1).peer_id
AT = "/ip4/8.8.8.8/tcp/50000"


class Desk:
    """An answerer and what it knocks at."""

    def __init__(self, *, opens: bool = True, own: bool | None = None) -> None:
        self.now = 0.0
        self.knocked: list[tuple[str, int]] = []
        self._opens = opens
        self._answerer = Answerer(self._knock, lambda: self.now, lambda: own)

    async def _knock(self, host: str, port: int) -> bool:
        self.knocked.append((host, port))
        return self._opens

    def ask(self, port: int, address: str = AT, standing: Standing = Standing.MET) -> Answer:
        async def main() -> Answer:
            (reader, writer), (far_reader, far_writer) = pair()
            serving = asyncio.ensure_future(  # noqa: TID251  it ends with the stream
                self._answerer.serve(PEER, address, far_reader, far_writer, standing)  # type: ignore[arg-type]
            )
            body = await ask(reader, writer, port.to_bytes(2, "big"), bytes_max=REPLY_BYTES_MAX)  # type: ignore[arg-type]
            await serving
            return Answer.read(body)

        return run_simulated(main())


@pytest.mark.parametrize(
    ("opens", "own", "answer"),
    [
        (True, None, Answer(Knock.OPENED, Own.UNKNOWN, AT)),
        (False, True, Answer(Knock.CLOSED, Own.DIRECT, AT)),
        (False, False, Answer(Knock.CLOSED, Own.NOT_DIRECT, AT)),
    ],
)
def test_it_knocks_where_the_question_came_from(opens: bool, own: bool | None, answer: Answer) -> None:
    desk = Desk(opens=opens, own=own)
    assert desk.ask(41_000) == answer
    assert desk.knocked == [("8.8.8.8", 41_000)]


@pytest.mark.parametrize(
    ("port", "address", "standing"),
    [
        (0, AT, Standing.MET),
        (22, AT, Standing.KNOWN),
        (443, AT, Standing.STRANGER),
        (41_000, f"/ip4/9.9.9.9/tcp/1/p2p/{PEER}/p2p-circuit", Standing.MET),
        (41_000, "/dns4/localhost/tcp/1", Standing.MET),
        (41_000, "", Standing.MET),
    ],
)
def test_it_does_not_knock_where_no_peer_could_be_or_nobody_was_seen(
    port: int, address: str, standing: Standing
) -> None:
    desk = Desk()
    assert desk.ask(port, address, standing).knock is Knock.NOT_TRIED
    assert desk.knocked == []


def test_a_met_peer_may_listen_on_the_port_of_firewalls() -> None:
    assert Desk().ask(443).knock is Knock.OPENED


def test_knocks_are_few_for_one_network_and_in_all() -> None:
    desk = Desk()
    burst = int(KNOCKS_OF_GROUP.burst)
    answers = [desk.ask(41_000, f"/ip4/8.8.8.{n}/tcp/1").knock for n in range(burst + 3)]
    assert answers == [Knock.OPENED] * burst + [Knock.NOT_TRIED] * 3
    for number in range(100):
        desk.ask(41_000, f"/ip4/9.9.{number}.1/tcp/1")
    assert len(desk.knocked) == KNOCKS.burst
    desk.now = 1 / KNOCKS_OF_GROUP.per_second
    assert desk.ask(41_000).knock is Knock.OPENED


@pytest.mark.parametrize(
    "body", [b"", b"\x01", b"\x03\x00/ip4", b"\x00\x03/ip4", b"\x00\x00\xff", b"\x00\x00\x1b[2J", bytes(500)]
)
def test_an_answer_in_another_form_is_refused(body: bytes) -> None:
    with pytest.raises(MessageError):
        Answer.read(body)
