"""The worker's main program: `python -m swarmd.tasks.worker`. Reads requests on stdin, replies on stdout.

It imports the sources once, confines itself and forks a child for every job, so it stays warm and never runs
a scorer itself. The children that regenerate questions run the sources' code; those that score run it on text
chosen by peers. Answers to one question share a child if the task defines which answers it admits. Otherwise,
each text that is not a plain literal gets its own child. Answers that are programs run in processes of the
`nursery`; a child that has not run them judges their outputs.

    -> ("questions", (spec, ...))              <- (outcome, ...)   outcome = (True, (text, turns, hidden,
                                                                                     images))
    -> ("held out", (spec, ...))               <- (outcome, ...)   the same, or (True, None) if not held out,
                                                      or (True, True) if held out but too large for the reply
    -> ("answers", (spec, ...))                <- (outcome, ...)   outcome = (True, text or None)
    -> ("solutions", (spec, ...))              <- (outcome, ...)   outcome = (True, (answers, observations) or
                                                      None)
    -> ("try", (spec, ...))                    <- (outcome, ...)   outcome = (True, None): the same each time
    -> ("replies", ((spec, answers), ...))     <- (outcome, ...)   outcome = (True, text, or None: it is over)
    -> ("score", spec, (answer in UTF-8, ...)) <- (outcome, ...)   outcome = (True, (millionths, bare))
       or (True, (millionths, bare, observations, over)) for a completion of several turns, whose answer is a
       tuple; over: whether the task ended, or no turn was left
    -> ("score plain", (group, ...))           <- ((outcome, ...) or None, ...)
       group = (spec, (answer, ...)); None: send it alone, with "score". This is always so for programs
    -> ("score ours", (group, ...))            the same for answers of any form that we wrote ourselves
       answers = one per turn, None for a turn without an answer
       spec = (source, dataset, config, version or None for the installed one, seed, index)
       an outcome without a result = (False, kind, detail, option or None)
    A reply is (CPU microseconds used by the request, outcomes).

It sends a heartbeat every second while it starts and while it works. A worker silent for long is frozen.
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
from swarmd.tasks.huge_pages import use_huge_pages
from swarmd.tasks.launch import BEAT_S, WorkerOptions
from swarmd.tasks.nursery import Nursery
from swarmd.tasks.sandbox import Sandbox, kernel, seccomp
from swarmd.tasks.source import find_sources, source_directories


@contextmanager
def _beating(replies: int) -> Iterator[None]:
    """Send heartbeats during the block and none afterwards, so that no heartbeat falls into a reply.

    A timer sends them rather than a thread, because a fork could stop a thread in the middle of anything.
    Children have their own timers.
    """
    signal.signal(signal.SIGALRM, lambda *_: os.write(replies, BEAT))
    signal.siginterrupt(signal.SIGALRM, False)
    signal.setitimer(signal.ITIMER_REAL, BEAT_S, BEAT_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_IGN)  # after a last run, if one was due


def main() -> None:
    """Run the worker. argv: the parent's pid, the options."""
    parent, options = int(sys.argv[1]), WorkerOptions.from_argument(sys.argv[2])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the daemon handles Ctrl-C, and closes this worker
    if sys.platform == "linux":
        kernel.die_with_parent(signal.SIGKILL)
        if os.getppid() != parent:
            return  # the parent ended before `die_with_parent`
    requests, replies = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)  # a source that prints must not corrupt our frames
    os.close(null)
    gc.freeze()  # the nursery shares these pages
    nursery = Nursery.start(options.priority) if seccomp.is_supported() else None
    with _beating(replies), importing():
        sources = find_sources(options.sources)
    sandbox = Sandbox(source_directories(sources), priority=options.priority)
    gc.collect()
    use_huge_pages()
    sandbox.confine_worker()
    gc.freeze()  # the children share these pages; collecting garbage in a child would copy them
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
