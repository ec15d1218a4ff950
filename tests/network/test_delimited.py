"""Lengths in front: what goes in comes out, however the bytes arrive."""

from __future__ import annotations

import pytest
from hivemind.proto import p2pd_pb2
from hypothesis import given
from hypothesis import strategies as st

from swarmd.network.delimited import Splitter, delimited


def framed(payload: bytes) -> bytes:
    return delimited(p2pd_pb2.CallUnaryResponse(response=payload))


@given(st.lists(st.binary(max_size=400), max_size=12), st.lists(st.integers(1, 300), min_size=1, max_size=40))
def test_messages_come_out_whole_and_in_order_however_they_are_cut(
    payloads: list[bytes], cuts: list[int]
) -> None:
    stream, splitter, found, at = b"".join(map(framed, payloads)), Splitter(1_000), [], 0
    while at < len(stream):
        size = cuts[at % len(cuts)]
        found += splitter.feed(stream[at : at + size])
        at += size
    assert [p2pd_pb2.CallUnaryResponse.FromString(each).response for each in found] == payloads


@pytest.mark.parametrize("start", [bytes((0xFF,) * 4), bytes((0x81, 0x08))])
def test_a_message_that_is_announced_as_too_long_ends_it(start: bytes) -> None:
    with pytest.raises(OSError, match="more than 1000 bytes"):
        list(Splitter(1_000).feed(start))


def test_nothing_of_a_message_is_given_out_before_it_is_whole() -> None:
    whole = framed(bytes(300))
    splitter = Splitter(1_000)
    assert list(splitter.feed(whole[:-1])) == []
    assert len(list(splitter.feed(whole[-1:]))) == 1
