"""DownloadWord: a download as people see it while the model loads."""

from __future__ import annotations

import io

from swarmd.config import ObserveConfig
from swarmd.daemon.download_word import LOG_EVERY_S, DownloadWord
from swarmd.model import Downloaded
from swarmd.observe import EventLog

AFTER = "loading the model"


class Bench:
    """A console, a clock that is set, and 988 MB on their way."""

    def __init__(self) -> None:
        self.now = 0.0
        self.out = io.StringIO()
        self.events = EventLog(ObserveConfig(log_format="console"), clock=lambda: 0.0, stdout=self.out)
        self.word = DownloadWord(self.events, after=AFTER, clock=lambda: self.now)

    def arrives(self, megabytes: int, *, at: float) -> None:
        self.now = at
        self.word.heard(Downloaded("Qwen/Qwen2.5-0.5B", megabytes * 1_000_000, 988_000_000))
        self.word.tell()

    @property
    def lines(self) -> list[str]:
        return [line.partition(" ")[2] for line in self.out.getvalue().splitlines()]


def test_the_phase_says_how_much_of_the_model_is_here() -> None:
    bench = Bench()
    bench.arrives(120, at=0.0)
    assert bench.events.state.phase == "downloading Qwen/Qwen2.5-0.5B: 120 of 988 MB"
    bench.arrives(121, at=1.0)
    assert bench.events.state.phase == "downloading Qwen/Qwen2.5-0.5B: 121 of 988 MB"


def test_the_log_says_it_at_once_and_then_every_ten_seconds() -> None:
    bench = Bench()
    for second in range(int(2 * LOG_EVERY_S)):
        bench.arrives(100 + second, at=float(second))
    assert bench.lines == [
        f"downloading Qwen/Qwen2.5-0.5B: {megabytes} of 988 MB" for megabytes in (100, 110)
    ]


def test_after_the_download_the_model_is_loaded() -> None:
    bench = Bench()
    bench.arrives(988, at=0.0)
    bench.word.heard(None)
    bench.word.tell()
    assert bench.events.state.phase == AFTER


def test_a_model_that_is_here_is_no_download() -> None:
    bench = Bench()
    bench.word.tell()
    assert bench.events.state.phase == "starting"
    assert bench.lines == []
