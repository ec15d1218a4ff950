"""The devices that `--devices` names, checked against the machine before anything is started."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass

from swarmd.errors import ConfigError, SwarmdError
from swarmd.quoting import quoted

DEVICES_MAX = 64  # far more accelerators than one machine has; a longer list is a mistake
LOOK_S = 120.0  # seconds; importing torch takes 2, waking the drivers of many GPUs far longer
ALL = "all"
CUDA_VISIBLE = "CUDA_VISIBLE_DEVICES"


@dataclass(frozen=True)
class Equipment:
    """What the peers share: accelerators by PyTorch's names, and usable CPU cores."""

    accelerators: tuple[str, ...]
    cores: int
    omp_threads: int | None = None
    """OMP_NUM_THREADS: the operator's number of threads, used by each peer as it is."""
    cuda_visible: str | None = None
    """CUDA_VISIBLE_DEVICES: what cuda:0, cuda:1 and so on refer to; None if they are the driver's own."""


@dataclass(frozen=True)
class Device:
    """One peer's device. `name` distinguishes peers ("cpu:1"); `device` is PyTorch's name for it ("cpu")."""

    name: str
    device: str

    @property
    def directory(self) -> str:
        """The name of its home in the parent's home, without colons, which are awkward in paths."""
        return self.name.replace(":", "-")


def choose_devices(text: str, equipment: Equipment) -> tuple[Device, ...]:
    """Return the devices in `text`, "all" or a comma-separated list, in its order. Raises ConfigError.

    An accelerator can be named once. `cpu` can be named several times; its peers share the cores.
    """
    wishes = _wishes(text, equipment)
    if len(wishes) > DEVICES_MAX:
        raise ConfigError(f"--devices names {len(wishes)} devices: at most {DEVICES_MAX} at once")
    chosen: list[Device] = []
    for wish in wishes:
        if wish == "cpu":
            chosen.append(Device(f"cpu:{sum(each.device == 'cpu' for each in chosen)}", "cpu"))
            continue
        _require_present(wish, equipment)
        if any(each.device == wish for each in chosen):
            raise ConfigError(f"--devices names {wish} twice: a device runs one peer; name it once")
        chosen.append(Device(wish, wish))
    return tuple(chosen)


def _wishes(text: str, equipment: Equipment) -> list[str]:
    if text.strip() != ALL:
        wishes = [part.strip() for part in text.split(",")]
        if "" in wishes:
            raise ConfigError(
                f"--devices {quoted(text)} has an empty name in it: expected all, or a list such as "
                "cuda:0,cuda:1"
            )
        return wishes
    if not equipment.accelerators:
        raise ConfigError(
            "--devices all: PyTorch sees no accelerator on this machine: omit --devices to train on "
            "the CPU, or install a PyTorch build (and driver) for your devices"
        )
    return list(equipment.accelerators)


def _require_present(wish: str, equipment: Equipment) -> None:
    if wish in equipment.accelerators:
        return
    there = ", ".join((*equipment.accelerators, "cpu"))
    raise ConfigError(
        f"--devices names {quoted(wish)}, but PyTorch sees {there} on this machine: use these names, or all"
    )


def look_at_machine() -> Equipment:
    """Ask PyTorch in a separate process, so that its driver contexts end with it.

    Raises SwarmdError with the last line that the process printed.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "swarmd.fleet.probe"],
            capture_output=True,
            text=True,
            timeout=LOOK_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise SwarmdError(
            f"looking for devices took over {LOOK_S:.0f} s: a driver may hang; check `nvidia-smi` or similar"
        ) from error
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["it printed nothing"])[-1]
        raise SwarmdError(f"the devices of this machine could not be determined: {last}")
    found = json.loads(done.stdout.splitlines()[-1])
    visible = os.environ.get(CUDA_VISIBLE) or None
    return Equipment(tuple(found["accelerators"]), found["cores"], found["omp_threads"], visible)
