"""HOME/steps.jsonl: whole lines, bounded, and never in the way of training."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from swarmd.storage import steps_file
from swarmd.storage.steps_file import FILES_KEPT, StepsFile


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "steps.jsonl"


def test_lines_are_appended_across_starts(path: Path) -> None:
    StepsFile(path).write("1")
    StepsFile(path).write("2")
    assert path.read_text() == "1\n2\n"
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_line_that_a_power_cut_left_unfinished_stays_alone(path: Path) -> None:
    path.write_text('{"step": 1}\n{"ste')
    StepsFile(path).write('{"step": 2}')
    assert path.read_text().splitlines() == ['{"step": 1}', '{"ste', '{"step": 2}']


def test_files_are_rotated_and_their_number_is_bounded(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps_file, "FILE_BYTES_MAX", 10)
    lines = StepsFile(path)
    for number in range(20):
        lines.write(f"{number:04}")  # five bytes: two lines per file
    names = ["steps.jsonl", *(f"steps.{n}.jsonl" for n in range(1, FILES_KEPT))]
    assert sorted(each.name for each in path.parent.iterdir()) == sorted(names)
    newest_first = [path.with_name(name).read_text().split() for name in names]
    assert newest_first == [["0018", "0019"], ["0016", "0017"], ["0014", "0015"], ["0012", "0013"]]


def test_a_full_disk_is_told_once_and_leaves_no_part_of_a_line(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    problems: list[str] = []
    lines = StepsFile(path, problems.append)
    lines.write("1")
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:2]))
    lines.write("222")
    lines.write("333")
    monkeypatch.undo()
    lines.write("4")
    assert path.read_text() == "1\n4\n"
    [problem] = problems
    assert problem == (
        f"{path} cannot be written (no space left on device): no lines are added until it can; "
        "swarmd.db has the metrics of every step"
    )


def test_a_disk_that_fails_again_later_is_told_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    problems: list[str] = []
    lines = StepsFile(path, problems.append)

    def refuse(*_: object) -> int:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    for _ in range(2):
        with monkeypatch.context() as patched:
            patched.setattr(os, "write", refuse)
            lines.write("lost")
        lines.write("kept")
    assert len(problems) == 2
    assert path.read_text() == "kept\nkept\n"


def test_a_link_to_another_file_is_not_followed(path: Path, tmp_path: Path) -> None:
    problems: list[str] = []
    other = tmp_path / "other"
    other.write_text("somebody's")
    path.symlink_to(other)
    StepsFile(path, problems.append).write("1")
    assert other.read_text() == "somebody's"
    assert len(problems) == 1


def test_a_new_file_that_cannot_be_opened_after_a_rotation_is_told_with_its_cause(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps_file, "FILE_BYTES_MAX", 10)
    problems: list[str] = []
    lines = StepsFile(path, problems.append)
    lines.write("12345678")
    open_file, close = os.open, os.close
    opened: list[int] = []
    closed: list[int] = []

    def open_once(*given: object) -> int:
        if opened:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        opened.append(open_file(*given))  # type: ignore[arg-type]
        return opened[0]

    def close_counted(descriptor: int) -> None:
        closed.append(descriptor)
        close(descriptor)

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", open_once)
        patched.setattr(os, "close", close_counted)
        lines.write("lost")
    assert closed == opened, "closed once: another thread may have the number by then"
    assert ["too many" in problem for problem in problems] == [True]
    lines.write("kept")
    assert path.read_text() == "kept\n"
