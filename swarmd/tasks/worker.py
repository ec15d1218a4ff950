"""The worker's main program: `python -m swarmd.tasks.worker`. Reads requests on stdin, answers on stdout.

It imports the sources once, locks itself in and forks a child for every piece of work, so it stays warm and
never runs a scorer itself. The children that regenerate questions run the sources' code; those that score run
it on text chosen by peers. Answers to one question share a child if the task says what it admits. Otherwise a
text that is not a plain literal gets a child to itself. Answers that are programs run in processes of the
`nursery`, and a child that has not run them judges what they gave.

    -> ("questions", (spec, ...))              <- (outcome, ...)   outcome = (True, (text, turns, hidden,
                                                                                     images))
    -> ("held out", (spec, ...))               <- (outcome, ...)   the same, or (True, None) if it is not,
                                                      or (True, True) if it is and takes too much room
    -> ("answers", (spec, ...))                <- (outcome, ...)   outcome = (True, text or None)
    -> ("solutions", (spec, ...))              <- (outcome, ...)   outcome = (True, (answers, observations) or
                                                      None)
    -> ("try", (spec, ...))                    <- (outcome, ...)   outcome = (True, None): it is steady
    -> ("replies", ((spec, answers), ...))     <- (outcome, ...)   outcome = (True, text, or None: it is over)
    -> ("score", spec, (answer in UTF-8, ...)) <- (outcome, ...)   outcome = (True, (millionths, bare))
       or (True, (millionths, bare, observations)): of a completion of turns, whose answer is a tuple of them
    -> ("score plain", (group, ...))           <- ((outcome, ...) or None, ...)
       group = (spec, (answer, ...)); None: ask for it with "score", by itself. So it is with programs
    -> ("score ours", (group, ...))            the same for any answers: nobody else chose them
       answers = one per turn, None where a turn has none
       spec = (source, dataset, config, version or None for the installed one, seed, index)
       an outcome without a result = (False, kind, detail, option or None)
    A reply is (CPU microseconds that the request took, outcomes).

While it starts and while it works it sends a beat every second: a worker that is silent for long is frozen.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import swarmd.tasks.spared  # noqa: F401  before what imports the protocol
from swarmd.importing import importing
from swarmd.tasks.bench import Bench
from swarmd.tasks.frames import BEAT, read_frame, write_frame
from swarmd.tasks.launch import BEAT_S, WorkerOptions
from swarmd.tasks.nursery import Nursery
from swarmd.tasks.sandbox import Sandbox, kernel, seccomp
from swarmd.tasks.source import find_sources, source_directories


@contextmanager
def _beating(replies: int) -> Iterator[None]:
    """Send beats while the block runs, and none afterwards, so that no beat cuts a reply in two.

    A timer sends them instead of a thread, which a fork would lose in the middle of anything. Children have
    their own timers.
    """
    signal.signal(signal.SIGALRM, lambda *_: os.write(replies, BEAT))
    signal.siginterrupt(signal.SIGALRM, False)
    signal.setitimer(signal.ITIMER_REAL, BEAT_S, BEAT_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_IGN)  # after it ran for the last time, if one was due


def main() -> None:
    """argv: the parent's pid, the options."""
    parent, options = int(sys.argv[1]), WorkerOptions.from_argument(sys.argv[2])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the daemon, which closes us
    if sys.platform == "linux":
        kernel.die_with_parent(signal.SIGKILL)
        if os.getppid() != parent:
            return  # the parent ended before the line above
    requests, replies = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)  # a source that prints must not write into our frames
    os.close(null)
    gc.freeze()  # the nursery shares these pages
    nursery = Nursery.start(options.priority) if seccomp.is_supported() else None
    with _beating(replies), importing():
        sources = find_sources(options.sources)
    sandbox = Sandbox(source_directories(sources), priority=options.priority)
    sandbox.confine_worker()
    gc.collect()
    gc.freeze()  # the children share these pages; a collection there would copy them
    versions = {name: (source.version, sorted(source.datasets())) for name, source in sources.items()}
    write_frame(replies, (versions, sandbox.missing))
    bench = Bench(sources, sandbox, nursery, options)
    while True:
        try:
            request = read_frame(requests)
        except EOFError:
            return
        before = bench.cpu_micro()
        with _beating(replies):
            outcomes = bench.answer(request)
        write_frame(replies, (bench.cpu_micro() - before, tuple(outcomes)))


if __name__ == "__main__":
    main()
