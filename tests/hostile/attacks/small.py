"""The small ones: what a single daemon does with its own files, its page and the names that it is told.

Each is a check of its own, without a pair: a daemon or a command, and something laid in its way.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import socket
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from swarmd.network.streams import MANIFEST_PROTOCOL
from swarmd.storage import Home
from swarmd.tasks import load_manifest
from tests.hostile.attacker import Attacker, Target
from tests.hostile.daemons import Honest, ask
from tests.hostile.figures import Figure, at_most, true
from tests.hostile.forging import Forger, key_of, store
from tests.hostile.scene import Check, scene
from tests.integration.daemon_process import swarmd

PAGE_S_MAX = 2.0
HALF_OPEN = 80
STARTED_S = 240.0
COMMAND_S = 300.0
"""For one step of a new daemon; ten seconds on a quiet machine."""

BIDIRECTIONAL = "".join(map(chr, (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))))
"""Characters that turn the direction in which text is read."""

ONE_STEP = ("--host", "127.0.0.1", "--steps", "1", "--evaluate-every", "0", "--log-format", "json")

CONTENT = "somebody else's file\n"


def symlinks(directory: Path, seed: int) -> tuple[Figure, ...]:
    """Files of a home are links to files of somebody else: none may change."""
    figures = []
    for index, names in enumerate((("lock",), ("port", "rates.json", "budgets.json", "manifest.cbor"))):
        home = Home.open(directory / f"home {index}")
        for name in names:
            (directory / name).write_text(CONTENT)
            (home.path / name).unlink(missing_ok=True)
            (home.path / name).symlink_to(directory / name)
        swarmd("join", "--home", str(home.path), *ONE_STEP, timeout_s=COMMAND_S)
        for name in names:
            unharmed = (directory / name).read_text() == CONTENT
            figures.append(true(f"target of {name} unharmed", unharmed))
    return tuple(figures)


def key_modes(directory: Path, seed: int) -> tuple[Figure, ...]:
    """A key that others may read or write: refused, mended, or at least said."""
    figures = []
    for mode, command in ((0o644, ("join", *ONE_STEP)), (0o640, ("init",)), (0o606, ("init",))):
        home = Home.open(directory / f"{mode:o}")
        home.identity_path.chmod(mode)
        done = swarmd(*command, "--home", str(home.path), timeout_s=COMMAND_S)
        told = str(home.identity_path) in done.stdout + done.stderr and "mode" in done.stdout + done.stderr
        mended = stat.S_IMODE(home.identity_path.stat().st_mode) == 0o600
        figures.append(true(f"key of mode {mode:o} refused, mended or named", told or mended))
    return tuple(figures)


@contextlib.contextmanager
def alone(directory: Path, name: str, *options: str) -> Iterator[Honest]:
    """One daemon that takes steps."""
    honest = Honest(directory, name)
    honest.start([], *options)
    try:
        honest.daemon.wait_for_step(1, STARTED_S)
        yield honest
    finally:
        honest.close()


def half_open(directory: Path, seed: int) -> tuple[Figure, ...]:
    """80 clients begin a request and never end it: somebody who asks still gets the page."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = int(probe.getsockname()[1])
    beginnings = {
        "that send nothing": b"",
        "in the middle of a header": b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ",
        "before their body": b"POST /status HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n",
    }
    figures = []
    with alone(directory, "page", "--http", f"127.0.0.1:{port}") as honest:
        for name, beginning in beginnings.items():
            with contextlib.ExitStack() as stack:
                for _ in range(HALF_OPEN):
                    client = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=5))
                    client.sendall(beginning)
                figures.append(
                    at_most(f"page with {HALF_OPEN} {name}", _page_s("127.0.0.1", port), PAGE_S_MAX, " s")
                )
                figures.append(
                    true(f"status beside {HALF_OPEN} {name}", ask(honest.home.socket_path) is not None)
                )
    return tuple(figures)


def _page_s(host: str, port: int) -> float:
    """How long the page takes; infinite if it does not come within 10 s or is no page."""
    began = time.monotonic()
    while time.monotonic() - began < 10:
        connection = http.client.HTTPConnection(host, port, timeout=10)
        try:
            connection.request("GET", "/")
            if connection.getresponse().status == http.client.OK:
                return time.monotonic() - began
        except (OSError, http.client.HTTPException):
            pass
        finally:
            connection.close()
        time.sleep(0.1)
    return float("inf")


def bidirectional_names(directory: Path, seed: int) -> tuple[Figure, ...]:
    """A peer's names turn the direction of text: none of that is shown or logged."""
    manifest = load_manifest("starter")
    with alone(directory, "names") as honest:
        asyncio.run(_send_names(honest.target, Forger(manifest, seed)))
        time.sleep(25)  # two reads of every membership shard
        shown = swarmd("status", "--home", str(honest.home.path)).stdout
        text = shown + json.dumps([ask(honest.home.socket_path), honest.daemon.events], ensure_ascii=False)
    found = sum(text.count(character) for character in BIDIRECTIONAL)
    return (
        at_most("characters shown", found, 0),
        true("alive", honest.daemon.process.returncode in (None, -9)),
    )


async def _send_names(target: Target, forger: Forger) -> None:
    async with scene(target, target, forger.manifest, forger.seed, 10) as opened:
        attacker = await opened.attacker()
        await attacker.enter(target)
        items = []
        for index, character in enumerate(BIDIRECTIONAL):
            name = f"a{character}b"
            key = forger.key(index + 1)
            items.append(forger.status(key, model=name, device=name, agent=name, phase=name))
        await store(attacker, target, items)


def hostile_manifests(directory: Path, seed: int) -> tuple[Figure, ...]:
    """Whoever joins through a hostile peer is told a swarm that is none: it says so, and trains or ends."""
    figures: list[Figure] = []
    for name, manifest in _manifests(seed).items():
        code, seconds, said = asyncio.run(_join_through(manifest, directory / name, seed))
        figures.append(true(f"{name}: ends well", code in (0, 1, 2) and "Traceback" not in said))
        figures.append(at_most(f"{name}: takes", seconds, 120.0, " s"))
    return tuple(figures)


def _manifests(seed: int) -> dict[str, bytes]:
    good = load_manifest("starter").to_bytes()
    return {
        "nested": b"\x81" * 100_000,
        "many": b"\x9a\x00\x03\xff\xff" + b"\x00" * 262_139,
        "cut": good[:-10],
    }


async def _join_through(manifest: bytes, home: Path, seed: int) -> tuple[int, float, str]:
    home.parent.mkdir(exist_ok=True)
    keys = home.with_name(f"{home.name} keys")
    keys.mkdir(parents=True)

    async def serve(_info: object, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            writer.write(b"\x00" + len(manifest).to_bytes(4, "big") + manifest)
            await writer.drain()
            await reader.read(1)
        writer.close()

    attacker = await Attacker.start(key_of(seed, 0), keys)
    try:
        await attacker.serve(MANIFEST_PROTOCOL, serve)
        [address, *_] = await attacker.addresses()
        began = time.monotonic()
        join = ("join", "--home", str(home), "--peer", address, *ONE_STEP)
        done = await asyncio.to_thread(swarmd, *join, timeout_s=COMMAND_S)
        return done.returncode, time.monotonic() - began, done.stdout + done.stderr
    finally:
        await attacker.close()


CHECKS = (
    Check("small-symlinks", "files of a home are links to somebody else's", symlinks),
    Check("small-key-modes", "a key that others may read or write", key_modes),
    Check("small-half-open", "80 requests that never end", half_open),
    Check("small-names", "names that turn the direction of text", bidirectional_names),
    Check("small-manifests", "a swarm that is none, told by the peer one joins through", hostile_manifests),
)
