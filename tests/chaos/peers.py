"""One machine of the chaos: its wire, its disk, its clock, and the daemon that lives there."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from swarmd.errors import SwarmdError
from swarmd.storage import Home
from tests.chaos.wires import Wires, run_command
from tests.integration.daemon_process import DaemonProcess

PORT = 41_000
DISK_MB = 400
"""Four checkpoints of the embedded model take 70 MB, records and database some more."""

BLOCK_BYTES = 4_096
CLOCK = Path(__file__).parent / "clock"
OPTIONS = (
    "--local",
    "2",
    "--external",
    "8",
    "--group-size",
    "4",
    "--max-new-tokens",
    "8",
    "--evaluate-every",
    "0",
    "--duty",
    "0.1",
)
"""Small steps of peers that want more groups than there are: so they are always seen to exchange some. They
rest, so that two cores suffice for twelve peers and their restarts: the swarm is judged, not the machine."""
STOP_S = 90.0
"""For a daemon to stop in order on a machine with eleven others."""


@dataclass
class Life:
    """One run of a daemon, from its start to its end."""

    daemon: DaemonProcess
    peer_id: str
    began: float = field(default_factory=time.monotonic)
    ended_by_us: bool = False
    over_at: float | None = None
    """When it was killed or was seen to have ended, by the monotonic clock."""

    @property
    def is_over(self) -> bool:
        return self.daemon.process.poll() is not None

    def pid(self) -> int | None:
        """Of the process that trains, which may be a child of the one that was started."""
        with suppress(SwarmdError, OSError):
            return self.daemon.status().pid
        return None

    def tree(self) -> list[psutil.Process]:
        """All that belongs to it, what was started first at the front."""
        with suppress(psutil.NoSuchProcess):
            top = psutil.Process(self.daemon.process.pid)
            return [top, *top.children(recursive=True)]
        return []

    def children(self, word: str) -> list[psutil.Process]:
        """Its processes with this word in their command line."""
        found = []
        for process in self.tree()[1:]:
            with suppress(psutil.Error):
                if any(word in part for part in process.cmdline()[:8]):
                    found.append(process)
        return found


class Machine:
    """Keeps a home on a disk of its own, and one daemon after the other in it."""

    def __init__(self, number: int, directory: Path, wires: Wires | None) -> None:
        self.number = number
        self.directory = directory / f"m{number}"
        self.wires = wires
        self.lives: list[Life] = []
        self.homes: list[Path] = []
        self.disk = self.directory / "disk"
        self.temporary = self.directory / "tmp"
        self._image = self.directory / "image"
        self._clock = self.directory / "clock"
        self._mounted = False

    @property
    def host(self) -> str:
        return self.wires.address(self.number) if self.wires else "127.0.0.1"

    @property
    def has_disk(self) -> bool:
        """Whether its disk can be filled and broken without harm to anybody else's."""
        return self._mounted

    @property
    def port(self) -> int:
        return PORT if self.wires else PORT + self.number

    @property
    def home(self) -> Home:
        return Home(self.homes[-1])

    @property
    def life(self) -> Life:
        return self.lives[-1]

    @property
    def address(self) -> str:
        return f"/ip4/{self.host}/tcp/{self.port}/p2p/{self.life.peer_id}"

    def prepare(self) -> None:
        for directory in (self.disk, self.temporary):
            directory.mkdir(parents=True)
        if os.geteuid() == 0:
            with self._image.open("wb") as image:
                image.truncate(DISK_MB * 2**20)
            run_command("mkfs.ext4", "-q", str(self._image))
            self._mount()

    def _mount(self) -> None:
        run_command("mount", "-o", "loop,errors=remount-ro", str(self._image), str(self.disk))
        self._mounted = True

    def new_home(self, rates: Path | None) -> None:
        """A home of another peer; the machine's measured speed is taken over, as measuring takes seconds."""
        path = self.disk / f"h{len(self.homes)}"
        home = Home.open(path)
        home.write_port(self.port)
        if rates is not None and rates.exists():
            shutil.copy(rates, home.rates_path)
        self.homes.append(path)

    def start(self, neighbours: Sequence[Machine], options: Sequence[str]) -> None:
        named = [word for other in neighbours for word in ("--peer", other.address)]
        listen = ("--host", self.host, "--port", str(self.port))
        if self.lives and self.life.over_at is None:
            self.life.over_at = time.monotonic()
        daemon = DaemonProcess(
            self.homes[-1],
            *(*OPTIONS, *listen, *options, *named),
            prefix=self.wires.inside(self.number) if self.wires else (),
            environment=self._environment(),
            errors_in=self.directory,
        )
        self.lives.append(Life(daemon, str(self.home.key().peer_id)))

    def _environment(self) -> Mapping[str, str]:
        paths = [str(CLOCK), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
        return {
            "TMPDIR": str(self.temporary),
            "SWARMD_CHAOS_CLOCK": str(self._clock),
            "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        }

    # What can happen to it ------------------------------------------------------------------------

    def kill(self) -> None:
        """A power cut: all its processes at once."""
        self.life.ended_by_us = True
        self.life.over_at = time.monotonic()
        for process in self.life.tree():
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self.life.daemon.wait(STOP_S)

    def signal(self, processes: Sequence[psutil.Process], number: signal.Signals) -> int:
        """Returns how many were there to take it."""
        taken = 0
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)
                taken += 1
        return taken

    def shift_clock(self, seconds: float) -> None:
        beside = self._clock.with_suffix(".new")
        beside.write_text(f"{seconds}\n", encoding="ascii")
        beside.rename(self._clock)

    def fill_disk(self) -> None:
        """Not a byte is free any more."""
        with suppress(OSError), (self.disk / "ballast").open("wb", buffering=0) as file:
            while True:
                file.write(bytes(BLOCK_BYTES))

    def empty_disk(self) -> None:
        (self.disk / "ballast").unlink(missing_ok=True)

    def break_disk(self) -> None:
        """The file system finds an error in itself, and takes no more writes, open files included."""
        backing = run_command("findmnt", "--noheadings", "--output", "SOURCE", str(self.disk)).strip()
        (Path("/sys/fs/ext4") / Path(backing).name / "trigger_fs_error").write_text("1")

    def repair_disk(self) -> None:
        """Only after its daemon has ended."""
        run_command("umount", str(self.disk))
        subprocess.run(("e2fsck", "-fy", str(self._image)), capture_output=True, check=False)
        self._mount()

    # The end --------------------------------------------------------------------------------------

    def stop(self) -> int | None:
        """Ask the daemon to stop; its exit code, or None where it had to be killed."""
        if not self.life.is_over:
            self.life.daemon.terminate()
        try:
            return self.life.daemon.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()
            return None

    def close(self) -> None:
        for life in self.lives:
            life.daemon.close()
        if self._mounted:
            run_command("umount", "--lazy", str(self.disk))


def rates_of(machines: Sequence[Machine]) -> Path | None:
    """Where a machine has measured how fast it is."""
    paths = [machine.homes[0] / "rates.json" for machine in machines if machine.homes]
    return next((path for path in paths if path.exists()), None)
