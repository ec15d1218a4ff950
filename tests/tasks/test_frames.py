"""Frames survive slow and lying pipes."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest

from protocol import RejectedRecord
from swarmd.tasks import frames
from swarmd.tasks.frames import FrameError, pack, read_frame, split_frames, write_frame


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    yield reader, writer
    for fd in (reader, writer):
        try:
            os.close(fd)
        except OSError:
            continue


def test_values_come_back_in_order(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    for value in (1, "zwei", (b"\x03", None)):
        write_frame(writer, value)
    assert [read_frame(reader) for _ in range(3)] == [1, "zwei", (b"\x03", None)]


def test_a_closed_pipe_is_the_end_but_not_in_the_middle_of_a_frame(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    os.write(writer, pack("hello") + pack("cut off")[:6])
    os.close(writer)
    assert read_frame(reader) == "hello"
    with pytest.raises(FrameError, match="middle"):
        read_frame(reader)
    with pytest.raises(EOFError):
        read_frame(reader)


def test_a_deadline_that_has_passed_ends_the_wait(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    os.write(writer, pack("whole")[:5])
    with pytest.raises(TimeoutError):
        read_frame(reader, deadline=time.monotonic())


def test_a_size_beyond_the_limit_is_refused_before_it_is_read(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    os.write(writer, (frames.FRAME_BYTES_MAX + 1).to_bytes(4, "big"))
    with pytest.raises(FrameError, match="announced"):
        read_frame(reader)
    with pytest.raises(FrameError, match="do not fit"):
        pack(b"x" * frames.FRAME_BYTES_MAX)


def test_bytes_outside_the_protocols_cbor_are_refused(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    os.write(writer, b"\x00\x00\x00\x02\xc2\x40")  # a bignum tag
    with pytest.raises(RejectedRecord):
        read_frame(reader)


def test_whole_frames_are_split_from_a_cut_off_tail() -> None:
    assert split_frames(pack(1) + pack("two") + pack("three")[:-1]) == [1, "two"]
    assert split_frames(b"") == []
