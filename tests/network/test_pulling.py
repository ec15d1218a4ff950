"""How a body is fetched: compressed first, then from the DHT, then as older peers serve it."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import RECORD_BYTES_MAX, compress_body, compressed_bytes_max, decompress_body, digest_of
from swarmd.errors import NetworkError
from swarmd.network.interface import PullFailedError, PullFailure, Way
from swarmd.network.pulling import BodyPuller
from swarmd.network.streams import BODY_PROTOCOL, PLAIN_BODY_PROTOCOL, as_it_travels

BODY = b"what a policy wrote " * 50
ADDRESS = "/ip4/192.0.2.1/tcp/4000"


class Server:
    """A peer that speaks some protocols, and what it was asked."""

    def __init__(self, *speaks: str, body: bytes = BODY) -> None:
        self._speaks = speaks
        self._body = body
        self.asked: list[tuple[str, int]] = []

    async def __call__(self, protocol: str, bytes_max: int) -> tuple[bytes, str | None]:
        self.asked.append((protocol, bytes_max))
        if protocol not in self._speaks:
            raise NetworkError("protocols not supported")
        return as_it_travels(protocol, self._body), ADDRESS


async def nothing() -> bytes | None:
    return None


async def test_a_body_travels_compressed_and_is_counted_so() -> None:
    puller, server = BodyPuller(), Server(BODY_PROTOCOL, PLAIN_BODY_PROTOCOL)
    pulled = await puller.pull("peer", digest_of(BODY), len(BODY), server, nothing)
    assert (pulled.envelope, pulled.way) == (BODY, Way.DIRECT)
    assert server.asked == [(BODY_PROTOCOL, compressed_bytes_max(len(BODY)))]
    assert puller.bytes_pulled == len(compress_body(BODY)) < len(BODY) / 5


async def test_a_peer_that_does_not_compress_is_asked_for_the_body_as_it_is() -> None:
    puller, server = BodyPuller(), Server(PLAIN_BODY_PROTOCOL)
    pulled = await puller.pull("peer", digest_of(BODY), len(BODY), server, nothing)
    assert pulled.envelope == BODY
    assert server.asked[1] == (PLAIN_BODY_PROTOCOL, len(BODY))
    assert puller.bytes_pulled == len(BODY)
    await puller.pull("peer", digest_of(BODY), len(BODY), server, nothing)
    assert server.asked[2:] == [(PLAIN_BODY_PROTOCOL, len(BODY))], "remembered"
    upgraded = Server(BODY_PROTOCOL)
    assert (await puller.pull("peer", digest_of(BODY), len(BODY), upgraded, nothing)).envelope == BODY
    assert [protocol for protocol, _ in upgraded.asked] == [PLAIN_BODY_PROTOCOL, BODY_PROTOCOL]


async def test_the_inline_copy_comes_before_the_second_try() -> None:
    async def inline() -> bytes | None:
        return BODY

    puller, server = BodyPuller(), Server(PLAIN_BODY_PROTOCOL)
    pulled = await puller.pull("peer", digest_of(BODY), len(BODY), server, inline)
    assert (pulled.envelope, pulled.way, len(server.asked)) == (BODY, Way.INLINE, 1)
    assert puller.bytes_pulled == len(BODY)


async def test_a_body_that_grows_beyond_what_was_announced_is_a_wrong_one_and_not_asked_for_again() -> None:
    puller, server = BodyPuller(), Server(BODY_PROTOCOL, PLAIN_BODY_PROTOCOL, body=bytes(100_000))
    with pytest.raises(PullFailedError, match="more than 1000 bytes") as caught:
        await puller.pull("peer", digest_of(BODY), len(BODY), server, nothing)
    assert caught.value.kind is PullFailure.WRONG
    assert len(server.asked) == 1


@pytest.mark.parametrize("size", [16_383, 16_384, 32_768, 49_153, 65_535, RECORD_BYTES_MAX])
def test_a_body_that_does_not_shrink_keeps_to_its_bound_too(size: int) -> None:
    body = random.Random(size).randbytes(size)
    sent = compress_body(body)
    assert size < len(sent) <= compressed_bytes_max(size)
    assert decompress_body(sent, size) == body


@given(st.binary(max_size=5_000), st.integers(1, 20))
def test_no_body_takes_more_bytes_than_its_bound_says(part: bytes, times: int) -> None:
    body = (part * times)[:RECORD_BYTES_MAX]
    sent = compress_body(body)
    assert len(sent) <= compressed_bytes_max(len(body))
    assert decompress_body(sent, len(body)) == body
