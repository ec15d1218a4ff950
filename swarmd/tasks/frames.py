"""Length-prefixed frames over pipes: four bytes, big endian, then one value in the protocol's CBOR profile.
An empty frame is a heartbeat: the sender is still working.

Both ends are ours, but the worker's output is treated as hostile, because it may be.
"""

from __future__ import annotations

import os
import select
import time

from protocol.encoding import decode, encode

HEAD_BYTES = 4
BEAT = bytes(HEAD_BYTES)
FRAME_BYTES_MAX = 8 * 2**20  # 64 completions of 16 KiB are 1 MiB; 32 questions have 256 KiB each
FRAME_ITEMS_MAX = (
    20_000  # 1,024 outcomes of four items and their tuples are 5,121; the sources' names are hundreds
)


class FrameError(Exception):
    """The other end closed in mid-frame, was too slow, or announced a frame that is too large."""


def pack(value: object) -> bytes:
    """The frame that holds `value`. Raises FrameError if it is too large."""
    body = encode(value)
    if len(body) > FRAME_BYTES_MAX:
        raise FrameError(f"{len(body)} bytes do not fit into a frame of {FRAME_BYTES_MAX}")
    return len(body).to_bytes(HEAD_BYTES, "big") + body


def body_bytes(head: bytes, bytes_max: int = FRAME_BYTES_MAX) -> int:
    """The number of bytes that follow `head`. Raises FrameError if it exceeds `bytes_max`."""
    size = int.from_bytes(head, "big")
    if size > bytes_max:
        raise FrameError(f"the announced frame has {size} bytes, but at most {bytes_max} are accepted")
    return size


def unpack(body: bytes, items_max: int = FRAME_ITEMS_MAX) -> object:
    """The value in a frame's body. Raises RejectedRecord if it is outside the profile or has too many
    items."""
    return decode(body, items_max=items_max)


def write_frame(fd: int, value: object) -> None:
    """Write the whole frame to `fd`, blocking."""
    view = memoryview(pack(value))
    while view:
        view = view[os.write(fd, view) :]


def read_frame(
    fd: int,
    deadline: float | None = None,
    *,
    bytes_max: int = FRAME_BYTES_MAX,
    items_max: int = FRAME_ITEMS_MAX,
) -> object:
    """Read the next value from `fd`, waiting until `deadline` (monotonic seconds) or forever.

    Raises EOFError if the other end closed before the frame began, TimeoutError at the deadline, FrameError,
    and RejectedRecord for bytes outside the profile.
    """
    head = _read(fd, HEAD_BYTES, deadline)
    if not head:
        raise EOFError
    return unpack(_read(fd, body_bytes(head, bytes_max), deadline), items_max)


def split_frames(data: bytes) -> list[object]:
    """The values of the complete frames in `data`, skipping heartbeats and a truncated last frame."""
    values: list[object] = []
    while len(data) >= HEAD_BYTES:
        end = HEAD_BYTES + body_bytes(data[:HEAD_BYTES])
        if len(data) < end:
            break
        if end > HEAD_BYTES:
            values.append(unpack(data[HEAD_BYTES:end]))
        data = data[end:]
    return values


def _read(fd: int, size: int, deadline: float | None) -> bytes:
    data = b""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    while len(data) < size:
        if deadline is not None and not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
            raise TimeoutError
        chunk = os.read(fd, size - len(data))
        if not chunk:
            if data:
                raise FrameError("the pipe closed in the middle of a frame")
            return b""
        data += chunk
    return data
