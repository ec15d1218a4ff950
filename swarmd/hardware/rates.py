"""Measures how fast this machine's device multiplies and reads memory, in a fraction of a second.

Other work on the machine makes a device look slow, so the best of several starts is kept. The rates only help
to choose between ways to compute the same result. Free memory is not measured here.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from swarmd.storage.durable import write_whole

BUDGET_S = 0.05  # per rate: far above the clock's error, and three of these are not noticeable at a start
REPEATS_MAX = 50
MATMUL_SIDE = {"cpu": 512, "cuda": 4096, "mps": 2048}  # large enough to keep the device busy
READ_BYTES = {"cpu": 64 * 2**20, "cuda": 512 * 2**20, "mps": 256 * 2**20}  # more than caches hold
READ_BYTES_MIN = 4 * 2**20  # reading less takes hardly longer than the call
SMALLER = 2  # times, in each dimension: a smaller product that shows whether a processor supports a dtype
SLOWER = 10  # times than float32: then it does not; being small does not make a product that much slower
MEASUREMENTS = 3  # per device, one per start: one may hit a busy moment, but hardly all three
CACHED_MAX = 16  # devices times thread counts of one machine, times a few sizes of small models
FORMAT = 1


@dataclass(frozen=True)
class Rates:
    """The rates of one device with a certain number of threads."""

    matmul_float32: float
    """Floating-point operations per second in a float32 product."""
    matmul_bfloat16: float | None
    """The same in bfloat16; None if the device does not support it."""
    bandwidth: float
    """Bytes per second while a matrix of `read_bytes` is read for one row."""

    @property
    def bfloat16_gain(self) -> float:
        """How many times faster than float32 bfloat16 multiplies; 0 if the device does not support it."""
        return (self.matmul_bfloat16 or 0.0) / self.matmul_float32

    def best(self, other: Rates) -> Rates:
        """The higher of each rate, because disturbances can only slow a measurement down."""
        bfloat16 = max(self.matmul_bfloat16 or 0.0, other.matmul_bfloat16 or 0.0) or None
        return Rates(
            max(self.matmul_float32, other.matmul_float32), bfloat16, max(self.bandwidth, other.bandwidth)
        )

    def __str__(self) -> str:
        reduced = ""
        if self.matmul_bfloat16 is not None and self.matmul_bfloat16 >= 1e9:
            reduced = f", {self.matmul_bfloat16 / 1e9:.0f} in bfloat16"
        return (
            f"{self.matmul_float32 / 1e9:.0f} GFLOP/s in float32{reduced}, "
            f"{self.bandwidth / 1e9:.1f} GB/s for reading weights"
        )


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid")
    device: str
    name: str
    torch: str
    threads: int
    read_bytes: int = Field(READ_BYTES["cpu"], gt=0)  # files without it read as much for any model
    matmul_float32: float = Field(gt=0, allow_inf_nan=False)
    matmul_bfloat16: float | None = Field(gt=0, allow_inf_nan=False)
    bandwidth: float = Field(gt=0, allow_inf_nan=False)
    measurements: int = Field(1, ge=1)
    """Number of measurements that these are the best of."""

    def same_device(self, other: _Entry) -> bool:
        keys = ("device", "name", "torch", "threads", "read_bytes")
        return all(getattr(self, key) == getattr(other, key) for key in keys)

    def rates(self) -> Rates:
        return Rates(self.matmul_float32, self.matmul_bfloat16, self.bandwidth)


class _Cache(BaseModel):
    model_config = ConfigDict(extra="forbid")
    format: int = FORMAT
    entries: list[_Entry] = []


def rates_of(
    device: str,
    threads: int,
    cache: Path | None,
    *,
    name: str,
    weights_bytes: int,
    measure: Callable[[str, int, int], Rates] | None = None,
    only_reads: bool = False,
) -> Rates:
    """The rates of `device` with `threads` threads for a model of `weights_bytes`: measured at the first
    MEASUREMENTS starts, keeping the best, then taken from `cache`.

    A different device, PyTorch version, number of threads or `read_bytes` is measured again, and so is
    everything if the file is damaged. If the cache cannot be written, the next start only takes a fraction of
    a second longer. With `only_reads`, nothing is written, and known rates are not measured again, because a
    daemon may be using the device.
    """
    known = _read(cache)
    size = read_bytes(device, weights_bytes)
    key = {
        "device": device,
        "name": name,
        "torch": torch.__version__,
        "threads": threads,
        "read_bytes": size,
    }
    wanted = _Entry(**key, matmul_float32=1, matmul_bfloat16=None, bandwidth=1)
    found = next((entry for entry in known.entries if entry.same_device(wanted)), None)
    if found is not None and (only_reads or found.measurements >= MEASUREMENTS):
        return found.rates()
    rates = (measure or measure_rates)(device, threads, size)
    measurements = 1
    if found is not None:
        rates = rates.best(found.rates())
        measurements += found.measurements
    if cache is not None and not only_reads:
        entry = _Entry(**key, **asdict(rates), measurements=measurements)
        others = [other for other in known.entries if not other.same_device(entry)]
        kept = [entry, *others][:CACHED_MAX]
        _write(cache, _Cache(entries=kept))
    return rates


def read_bytes(device: str, weights_bytes: int) -> int:
    """How many bytes are read to measure a model's bandwidth: READ_BYTES, but on a CPU at most about what its
    weights take.

    Small weights stay in the processor's caches, and are read as fast as a small matrix. Holding more would
    be a small peer's peak of memory (decision 49). Sizes are powers of two, so that models of similar size
    share a measurement.
    """
    kind = torch.device(device).type
    if kind != "cpu":
        return READ_BYTES[kind]
    rounded = 1 << (max(weights_bytes, READ_BYTES_MIN) - 1).bit_length()
    return min(rounded, READ_BYTES[kind])


def _read(cache: Path | None) -> _Cache:
    try:
        read = _Cache.model_validate_json(b"{}" if cache is None else cache.read_bytes())
    except (OSError, ValidationError):
        return _Cache()
    return read if read.format == FORMAT else _Cache()


def _write(path: Path, cache: _Cache) -> None:
    try:
        write_whole(path, cache.model_dump_json(indent=1).encode(), beside=f".writing-{path.name}")
    except OSError:
        return


def measure_rates(device: str, threads: int, size: int) -> Rates:
    """Measure now. Takes some tenths of a second. `size`: bytes that it reads, and holds meanwhile."""
    kind = torch.device(device).type
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        side = MATMUL_SIDE[kind]
        operations = 2.0 * side**3
        float32 = operations / _seconds(device, _product(device, side, torch.float32))
        bfloat16 = None
        with suppress(RuntimeError, TypeError):  # raised by backends that lack a dtype
            bfloat16 = _bfloat16_rate(device, side, float32)
        columns = MATMUL_SIDE[kind]
        matrix = torch.ones(size // (4 * columns), columns, device=device)
        row = torch.ones(columns, device=device)
        bandwidth = size / _seconds(device, lambda: torch.mv(matrix, row))
    finally:
        torch.set_num_threads(before)
    return Rates(float32, bfloat16, bandwidth)


def _bfloat16_rate(device: str, side: int, float32: float) -> float:
    """Operations per second. On a processor without bfloat16, the whole product takes .2 s; a small one
    suffices."""
    if torch.device(device).type == "cpu":  # on other devices, a small product is mostly waiting
        small = side // SMALLER
        rate = 2.0 * small**3 / _seconds(device, _product(device, small, torch.bfloat16))
        if rate < float32 / SLOWER:
            return rate
    return 2.0 * side**3 / _seconds(device, _product(device, side, torch.bfloat16))


def _product(device: str, side: int, dtype: torch.dtype) -> Callable[[], torch.Tensor]:
    left, right = torch.ones(2, side, side, device=device, dtype=dtype)
    return lambda: left @ right


def _seconds(device: str, work: Callable[[], torch.Tensor]) -> float:
    """Seconds of the fastest of a few runs, because slower ones were disturbed. The first run also loads
    code, so it counts only if it alone takes longer than BUDGET_S."""
    times: list[float] = []
    began = time.perf_counter()
    while len(times) < 2 or (len(times) < REPEATS_MAX and time.perf_counter() - began < BUDGET_S):
        start = time.perf_counter()
        work()
        _finish(device)
        times.append(time.perf_counter() - start)
        if len(times) == 1 and times[0] > BUDGET_S:
            break
    return max(min(times), 1e-9)


def _finish(device: str) -> None:
    kind = torch.device(device).type
    if kind == "cuda":
        torch.cuda.synchronize(device)
    elif kind == "mps":
        torch.mps.synchronize()
