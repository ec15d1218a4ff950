"""`python -m tests.hostile.fuzz`: every reader of the transport, with a million inputs each.

Inputs are sound messages and bombs, mutations of both, messages that are sound outside and spoiled inside,
and noise; all follow from --seed. A reader may accept, or refuse with its one named error. It may not raise
anything else, take long over one input, or grow. Each is fuzzed in a process of its own, so that one that
ends its process is told from one that passes. What is inside envelopes is for `tests.protocol.fuzz`.
"""

from __future__ import annotations

import argparse
import random
import resource
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache, partial
from itertools import islice

from hivemind.proto import dht_pb2

from swarmd.network import binary_addresses, messages, packing, peer_ids, streams
from swarmd.network.malformed import MessageError
from tests.hostile import bombs
from tests.hostile.samples import Samples, samples

COUNT = 1_000_000

CPU_S_MAX = 0.25
"""CPU seconds over one input: a full find answer takes some ten milliseconds."""

GROWTH_MB_MAX = 100.0

NOISE_BYTES_MAX = 512
SMALL_BYTES = 65_536
LARGE_BYTES = 2**20
EXTENSION_HEAD_BYTES = 4
PEER_ID_HEAD = b"\x00\x24\x08\x01\x12\x20"

Read = Callable[[bytes], object]


@dataclass(frozen=True)
class Reader:
    """One decode on the way in."""

    name: str
    read: Read
    refusals: tuple[type[Exception], ...]
    seeds: tuple[bytes, ...]
    """Sound inputs, and some that are nearly."""
    deeper: Callable[[random.Random], bytes] | None = None
    """Makes inputs that are sound outside and spoiled inside: what the outermost check would not refuse."""


@dataclass(frozen=True)
class Report:
    """What became of one reader."""

    name: str
    count: int
    accepted: int
    refused: Counter[str]
    """By the reason that the refusal names."""
    raised: Counter[str]
    """What should not have been raised."""
    slowest_s: float
    slowest_bytes: int
    growth_mb: float
    seconds: float

    @property
    def holds(self) -> bool:
        return not self.raised and self.slowest_s <= CPU_S_MAX and self.growth_mb <= GROWTH_MB_MAX

    def __str__(self) -> str:
        verdict = "ok" if self.holds else "MISSED"
        reasons = ", ".join(f"{reason} {number}" for reason, number in self.refused.most_common(4))
        raised = f"; RAISED {dict(self.raised)}" if self.raised else ""
        return (
            f"{verdict:<7}{self.name:<22}{self.count:>9} inputs, {self.accepted} accepted; slowest "
            f"{self.slowest_s * 1e3:.1f} ms ({self.slowest_bytes} bytes); +{self.growth_mb:.0f} MB; "
            f"{self.seconds:.0f} s; {reasons}{raised}"
        )


@cache
def readers() -> tuple[Reader, ...]:
    """All of them."""
    sound = samples()
    refusals = (MessageError,)
    keys = sound.find_keys
    rng = random.Random(0)
    dictionaries = tuple(value for _, value in bombs.dictionaries(rng) if len(value) < LARGE_BYTES)
    results = [result for _, result in bombs.results(rng) if result.ByteSize() < LARGE_BYTES]
    answers = tuple(dht_pb2.FindResponse(results=[result] * 2).SerializeToString() for result in results)
    found = partial(messages.read_find_answer, keys=keys)
    dictionary = partial(packing.read_dictionary, keys[0])
    return (
        Reader("ping request", messages.read_ping_request, refusals, sound.ping_requests),
        Reader("ping answer", messages.read_ping_answer, refusals, sound.ping_answers),
        Reader(
            "store request",
            messages.read_store_request,
            refusals,
            sound.store_requests,
            partial(_store_request, sound),
        ),
        Reader("store answer", partial(messages.read_store_answer, count=3), refusals, sound.store_answers),
        Reader(
            "store answer with names",
            partial(messages.read_store_answer, count=1, keys=keys),
            refusals,
            sound.naming_answers,
        ),
        Reader("find request", messages.read_find_request, refusals, sound.find_requests),
        Reader(
            "find answer",
            found,
            refusals,
            (*sound.find_answers, *answers),
            partial(_find_answer, sound.dictionaries),
        ),
        Reader("bin", partial(packing.read_bin, bytes_max=4_096), refusals, sound.bins),
        Reader(
            "dictionary",
            dictionary,
            refusals,
            (*sound.dictionaries, *dictionaries),
            partial(_dictionary, sound.dictionaries),
        ),
        Reader("peer id", peer_ids.read_peer_id, refusals, sound.peer_ids),
        Reader("binary address", binary_addresses.read_address, refusals, sound.addresses),
        Reader(
            "stream header", partial(streams.read_reply_header, bytes_max=65_536), refusals, sound.headers
        ),
    )


# Spoiled inside ------------------------------------------------------------------------------------


def _dictionary(values: Sequence[bytes], rng: random.Random) -> bytes:
    """The extension's length fits whatever is in it."""
    inside = rng.choice(values)[EXTENSION_HEAD_BYTES:]
    return bombs.extension(bombs.DICTIONARY, bombs.mutated(rng, inside))


def _find_answer(values: Sequence[bytes], rng: random.Random) -> bytes:
    results = []
    for _ in range(2):
        result = bombs.found(_dictionary(values, rng), rng.choice((2e9, 0.0, float("nan"), float("inf"))))
        result.type = rng.choice((0, 1, 2, 2, 2, 3))
        for _ in range(rng.choice((0, 0, 1, 20, 21))):
            result.nearest_node_ids.append(rng.randbytes(rng.choice((20, 20, 20, 19))))
            result.nearest_peer_ids.append(PEER_ID_HEAD + rng.randbytes(rng.choice((32, 32, 31))))
        results.append(result)
    return bytes(dht_pb2.FindResponse(results=results).SerializeToString())


def _store_request(sound: Samples, rng: random.Random) -> bytes:
    count = rng.choice((1, 1, 3, 64))
    request = dht_pb2.StoreRequest(
        keys=[rng.randbytes(rng.choice((20, 20, 20, 0, 21))) for _ in range(count)],
        subkeys=[rng.choice((b"\xc0", b"", bombs.mutated(rng, sound.bins[1][:40]))) for _ in range(count)],
        values=[bombs.mutated(rng, rng.choice(sound.bins)) for _ in range(count)],
        expiration_time=[rng.choice((2e9, float("nan"), float("-inf"), 0.0))] * (count - rng.randint(0, 1)),
    )
    return bytes(request.SerializeToString())


# Feeding them --------------------------------------------------------------------------------------


def inputs(reader: Reader, rng: random.Random, count: int) -> Iterator[bytes]:
    """Each seed as it is; then, in turn, what is spoiled inside, mutations, and noise now and then."""
    yield from reader.seeds[:count]
    small = [seed for seed in reader.seeds if len(seed) <= SMALL_BYTES] or list(reader.seeds)
    for number in range(max(0, count - len(reader.seeds))):
        if number % 20 == 0:
            yield rng.randbytes(rng.randrange(NOISE_BYTES_MAX))
        elif number % 2 and reader.deeper is not None:
            yield reader.deeper(rng)
        else:
            yield bombs.mutated(rng, rng.choice(small))


def fuzz(reader: Reader, seed: int, count: int) -> Report:
    """Feed it, in this process."""
    rng = random.Random(f"{seed} {reader.name}")
    accepted, slowest, slowest_bytes = 0, 0.0, 0
    refused: Counter[str] = Counter()
    raised: Counter[str] = Counter()
    began, before = time.monotonic(), _peak_mb()
    for data in inputs(reader, rng, count):
        started = time.process_time()
        try:
            reader.read(data)
            accepted += 1
        except reader.refusals as error:
            refused[str(getattr(error, "reason", type(error).__name__))] += 1
        except Exception as error:  # noqa: BLE001  what is looked for
            raised[f"{type(error).__name__}: {error}"[:120]] += 1
        took = time.process_time() - started
        if took > slowest:
            slowest, slowest_bytes = took, len(data)
    return Report(
        name=reader.name,
        count=count,
        accepted=accepted,
        refused=refused,
        raised=raised,
        slowest_s=slowest,
        slowest_bytes=slowest_bytes,
        growth_mb=_peak_mb() - before,
        seconds=time.monotonic() - began,
    )


def _peak_mb() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


def _fuzz_named(name: str, seed: int, count: int) -> Report:
    [reader] = [reader for reader in readers() if reader.name == name]
    return fuzz(reader, seed, count)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.hostile.fuzz", description=__doc__)
    parser.add_argument("--list", action="store_true", help="name the readers and end")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these readers alone")
    parser.add_argument("--count", type=int, default=COUNT, help="inputs for each")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2, help="readers at a time")
    options = parser.parse_args(arguments)
    names = [reader.name for reader in readers() if not options.only or reader.name in options.only]
    if options.list:
        print("\n".join(names))
        return 0
    missed, waiting = 0, iter(names)
    while batch := list(islice(waiting, options.workers)):
        for name, report in _batch(batch, options.seed, options.count):
            print(report if report is not None else f"MISSED {name}: its process died", flush=True)
            missed += report is None or not report.holds
    print(f"{len(names)} readers; {missed} missed a bound")
    return 1 if missed else 0


def _batch(names: Sequence[str], seed: int, count: int) -> Iterator[tuple[str, Report | None]]:
    """Each in a pool of one process: when that dies, its own reader is to blame."""
    with ExitStack() as stack:
        pools = [stack.enter_context(ProcessPoolExecutor(1)) for _ in names]
        futures = [
            pool.submit(_fuzz_named, name, seed, count) for pool, name in zip(pools, names, strict=True)
        ]
        for name, future in zip(names, futures, strict=True):
            try:
                yield name, future.result()
            except BrokenProcessPool:
                yield name, None


if __name__ == "__main__":
    sys.exit(main())
