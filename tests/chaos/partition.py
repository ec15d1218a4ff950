"""`python -m tests.chaos.partition --cut 120`: two daemons, the wire between them cut and healed.

Prints for each direction how many seconds after the heal the first group came through. With `--asleep` all
processes of the second daemon stand still for as long as the cut lasts, as in a laptop whose lid is closed.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path

import psutil

from swarmd.network.ports import free_port
from tests.chaos.relay import Relay
from tests.chaos.verdict import published
from tests.integration.daemon_process import DaemonProcess, Event

WARM_UP_GROUPS = 3  # pulled by each before the cut
START_S = 240.0
SILENT_MAX_S = 400.0  # after the heal; then the direction counts as dead
UNDER_WAY_S = 10.0  # what was here when the wire was cut is verified by then


def at(event: Event) -> float:
    return datetime.fromisoformat(event["ts"]).timestamp()


def pulled(daemon: DaemonProcess, since: float) -> list[float]:
    """When groups of the other came, in seconds after `since`."""
    return [at(event) - since for event in daemon.named("pulled") if at(event) >= since]


def pulled_news(daemon: DaemonProcess, other: DaemonProcess, cut_at: float, healed_at: float) -> list[float]:
    """When groups came that the other made since the cut, in seconds after the heal. One that was on its way
    into a daemon that fell asleep is not among them."""
    news = {digest.hex() for digest, at in published(other.home) if at > cut_at}
    came = [at(event) - healed_at for event in daemon.named("pulled") if event["digest"] in news]
    return [seconds for seconds in came if seconds >= 0.0]


async def wait_until(is_so: Callable[[], bool], daemons: list[DaemonProcess], seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            while not is_so():
                assert all(daemon.process.poll() is None for daemon in daemons), "a daemon ended"
                await asyncio.sleep(0.5)
    except TimeoutError:
        return


def tell(name: str, daemon: DaemonProcess) -> None:
    said = daemon.status()
    judged = said.judgement
    changes = [(event["change"], event["why"]) for event in daemon.named("standing")]
    print(f"  {name}: step {said.step}, health {said.health}", flush=True)
    print(f"     points lost {judged.points_lost}, refused {judged.refused}, changes {changes}", flush=True)


def stand_still(daemon: DaemonProcess, until: ExitStack) -> None:
    """Stop all its processes, its small parent too, until the stack is left."""
    for process in (psutil.Process(daemon.process.pid), *daemon.children()):
        process.send_signal(signal.SIGSTOP)
        until.callback(process.send_signal, signal.SIGCONT)


async def partition(cut_s: float, asleep: bool, home: Path, options: list[str]) -> list[float | None]:
    """Seconds of silence after the heal in either direction; None where nothing came any more."""
    ports = [free_port("127.0.0.1") for _ in range(2)]
    daemons: list[DaemonProcess] = []
    async with Relay(ports[0]) as to_first, Relay(ports[1]) as to_second:
        relays = (to_first, to_second)
        try:
            for index, (port, relay) in enumerate(zip(ports, relays, strict=True)):
                announced = f"/ip4/127.0.0.1/tcp/{relay.port}"
                peer = ["--peer", daemons[0].address] if daemons else []
                arguments = ["--port", str(port), "--announce", announced, *options, *peer]
                daemons.append(DaemonProcess(home / f"peer{index}", *arguments))
                await asyncio.to_thread(daemons[index].wait_for, "join_command")
            await wait_until(
                lambda: all(len(pulled(daemon, 0.0)) >= WARM_UP_GROUPS for daemon in daemons),
                daemons,
                START_S,
            )
            for relay in relays:
                relay.cut()
            cut_at = time.time()
            print(f"cut for {cut_s:.0f} s", flush=True)
            with ExitStack() as sleep:
                if asleep:
                    stand_still(daemons[1], sleep)
                await asyncio.sleep(cut_s)
                for name, daemon in zip("AB"[: 1 if asleep else 2], daemons, strict=False):
                    await asyncio.to_thread(tell, name, daemon)
                    late = [seconds for seconds in pulled(daemon, cut_at) if seconds > UNDER_WAY_S]
                    assert not late, f"the cut leaks: {late}"
                for relay in relays:
                    relay.heal()
                healed_at = time.time()

            def silences() -> list[float | None]:
                pairs = zip(daemons, daemons[::-1], strict=True)
                return [min(pulled_news(*pair, cut_at, healed_at), default=None) for pair in pairs]

            await wait_until(lambda: None not in silences(), daemons, SILENT_MAX_S)
            for name, daemon in zip("AB", daemons, strict=True):
                await asyncio.to_thread(tell, name, daemon)
            return silences()
        finally:
            for daemon in daemons:
                daemon.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cut", type=float, action="append", help="seconds; may be repeated (120)")
    parser.add_argument("--asleep", action="store_true", help="the second daemon stands still meanwhile")
    parser.add_argument("--home", type=Path, help="where the homes and logs are kept (a temporary directory)")
    arguments, options = parser.parse_known_args()
    for cut_s in arguments.cut or [120.0]:
        with tempfile.TemporaryDirectory() as temporary:
            home = arguments.home or Path(temporary)
            home.mkdir(parents=True, exist_ok=True)
            silences = asyncio.run(partition(cut_s, arguments.asleep, home, options))
        words = ["never" if silence is None else f"{silence:.1f} s" for silence in silences]
        print(
            f"cut {cut_s:.0f} s{' asleep' * arguments.asleep}: silence after the heal: "
            f"B -> A {words[0]}, A -> B {words[1]}",
            flush=True,
        )


if __name__ == "__main__":
    main()
