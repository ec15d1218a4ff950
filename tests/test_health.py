"""`swarmd health`: one cheap question, three answers, nothing heavy loaded."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from swarmd.health import ask, look
from swarmd.observe import Health, Starting, StatusServer

HEAVY = (
    "torch",
    "rich",
    "typer",
    "pydantic",
    "httpx",
    "asyncio",
    "hivemind",
    "protocol",
    "typing",
    "pathlib",
)


def answering(home: Path, reply: bytes) -> Iterator[None]:
    """One connection to the home's socket gets `reply`."""
    home.mkdir(parents=True, exist_ok=True)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(home / "swarmd.sock"))
        listener.listen()

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(4_096)
                connection.sendall(reply)

        thread = threading.Thread(target=answer)
        thread.start()
        yield
        thread.join()


def http(code: int, ok: bool, *reasons: str) -> bytes:
    return b"HTTP/1.1 %d X\r\n\r\n" % code + json.dumps({"ok": ok, "reasons": reasons}).encode()


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (http(200, True), (0, "ok")),
        (http(503, False, "no step for 400 s", "the clock \x1b[31mdiffers"), None),
        (http(503, False, "starting for 9 s: loading the model (pid 7)"), None),
        (b"SSH-2.0-OpenSSH_9.2\r\n", None),
        (b"", None),
        (b"HTTP/1.1 200 OK\r\n\r\n[1]", None),
    ],
    ids=["ok", "reasons", "starting", "no HTTP", "nothing", "other JSON"],
)
def test_what_the_daemon_says_becomes_an_exit_code_and_a_line(
    tmp_path: Path, request: pytest.FixtureRequest, reply: bytes, expected: tuple[int, str] | None
) -> None:
    for _ in answering(tmp_path, reply):
        found = ask(str(tmp_path))
    name = request.node.callspec.id
    if expected is not None:
        assert found == expected
    elif name == "reasons":
        assert found == (1, "no step for 400 s; the clock  [31mdiffers")
    elif name == "starting":
        assert found == (3, "starting for 9 s: loading the model (pid 7)")
    else:
        assert found[0] == 1
        assert "does not answer like a swarmd daemon" in found[1]


def test_no_daemon_and_the_socket_of_a_killed_one_give_the_same_answer(tmp_path: Path) -> None:
    assert ask(str(tmp_path)) == (3, f"no daemon is running in {tmp_path}")
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / "swarmd.sock"))
    assert ask(str(tmp_path))[0] == 3
    assert ask(str(tmp_path / "nowhere"))[0] == 3


def test_one_that_does_not_answer_in_time_is_unhealthy(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as frozen:
        frozen.bind(str(tmp_path / "swarmd.sock"))
        frozen.listen()
        assert ask(str(tmp_path), seconds=0.05) == (
            1,
            f"the daemon in {tmp_path} does not answer within 0.05 s",
        )


async def test_it_understands_the_real_server(tmp_path: Path) -> None:
    now: list[Starting] = [Starting(phase="loading the model", uptime_s=3, peer_id="x", pid=1)]
    server = StatusServer(lambda: now[0], tmp_path / "swarmd.sock")
    server.bind()
    async with asyncio.TaskGroup() as group:
        group.create_task(server.serve())
        await server.started.wait()
        assert (await asyncio.to_thread(ask, str(tmp_path)))[
            1
        ] == "starting for 3 s: loading the model (pid 1)"
        server.stop()
    assert Health(ok=True).model_dump(mode="json") == {"ok": True, "reasons": []}


def test_among_several_devices_the_unhealthy_ones_are_named(tmp_path: Path) -> None:
    for name in ("cpu-0", "cpu-1"):
        (tmp_path / "devices" / name).mkdir(parents=True)
        (tmp_path / "devices" / name / "identity.key").touch()
    assert look(str(tmp_path))[0] == 3
    for _ in answering(tmp_path / "devices" / "cpu-0", http(200, True)):
        found = look(str(tmp_path))
    assert found == (1, f"cpu-1: no daemon is running in {tmp_path / 'devices' / 'cpu-1'}")


@pytest.mark.parametrize("arguments", [["--home", "nowhere"], ["--home=nowhere"], []])
def test_it_loads_nothing_heavy(tmp_path: Path, arguments: list[str]) -> None:
    code = (
        f"import sys; sys.argv = ['swarmd', 'health', *{arguments!r}]\n"
        "from swarmd.__main__ import main\n"
        "try: main()\nexcept SystemExit as done: assert done.code == 3, done.code\n"
        f"sys.exit(' '.join(set({HEAVY!r}) & set(sys.modules)) or 0)"
    )
    environment = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "SWARMD_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-S", "-c", code],  # an editable install loads modules by itself, which are not ours
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert "no daemon is running in" in done.stderr
