"""The live view, and lines where there is no terminal."""

from __future__ import annotations

import asyncio
import io

from rich.console import Console
from rich.text import Text

from swarmd.testnet import tables
from swarmd.testnet.screen import Output, Screen
from tests.testnet.making import NOW, event, made, under_way


class Terminal(io.StringIO):
    """Tells that something was drawn."""

    def __init__(self) -> None:
        super().__init__()
        self.grew = asyncio.Event()

    def write(self, text: str) -> int:
        self.grew.set()
        return super().write(text)


def shown(what: object, width: int = 110) -> str:
    out = io.StringIO()
    Console(file=out, width=width).print(what)
    return out.getvalue()


def test_each_peer_has_a_row_with_all_that_is_known(tmp_path) -> None:
    _, board = made(tmp_path, 2)
    first, second = board.rows
    under_way(board, first)
    board.heard(first, event("health", "debug", reasons=[]), NOW)
    board.heard(first, event("evaluated", step=1, success=0.31, interval=[0.2, 0.4], untrained=0.3), NOW)
    board.heard(second, event("phase", "debug", name="loading the model"), NOW)
    lines = shown(tables.running(list(board.rows.values()), seconds=75.0, hint="Ctrl-C stops")).splitlines()
    assert lines[0].split() == ["peer", "model", "step", "reward", "held-out", "from", "others", "health"]
    assert lines[1].split() == [*first.split(), "embedded", "1", "0.500", "0.310", "0", "healthy"]
    assert lines[2].split() == [*second.split(), "embedded", "0", "–", "–", "0", "loading", "the", "model"]
    assert lines[3].strip() == "1 min 15 s · Ctrl-C stops"


def test_a_row_fits_into_a_usual_terminal_whatever_peers_and_models_are_called(tmp_path) -> None:
    _, board = made(tmp_path, 2)
    first, _ = board.rows
    board.change(first, model="/home/somebody/models/" + "x" * 200, is_up=True)
    board.heard(first, event("health", "debug", reasons=["no step " + "y" * 300]), NOW)
    rows = shown(tables.running(list(board.rows.values()), seconds=1.0, hint="h"), width=80).splitlines()
    assert len(rows) == 1 + 2 + 1
    assert max(map(len, rows)) <= 80


async def test_in_a_terminal_rows_are_redrawn_below_the_lines_and_taken_away_in_the_end() -> None:
    out = Terminal()
    screen = Screen(Output(file=out, force_terminal=True, width=80))
    with screen.drawing():
        async with asyncio.timeout(30), asyncio.TaskGroup() as group:
            drawing = group.create_task(screen.draw(lambda: Text("the rows")))
            while "the rows" not in out.getvalue():
                out.grew.clear()
                await out.grew.wait()
            assert screen.is_live
            screen.line("1 x", "[bold]joined[/bold]")
            drawing.cancel()
    assert not screen.is_live
    assert "1 x | [bold]joined[/bold]" in out.getvalue()
    assert out.getvalue().index("the rows") < out.getvalue().index("joined")


def test_elsewhere_there_are_lines_alone_and_a_long_one_is_not_cut() -> None:
    out = io.StringIO()
    screen = Screen(Output(file=out, width=40))
    with screen.drawing():
        assert not screen.is_live
        screen.line("1 x", "word " * 20)
        screen.line("", "all are up")
    assert out.getvalue() == f"1 x | {'word ' * 20}\nall are up\n"


def test_a_reader_that_left_stops_nobody() -> None:
    class Gone(io.StringIO):
        def write(self, _: str) -> int:
            raise BrokenPipeError

    screen = Screen(Output(file=Gone(), width=80))
    screen.line("1 x", "joined")
    screen.show(Text("summary"))
