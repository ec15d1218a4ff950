"""The worker's memory in huge pages: the same bytes, fewer entries to copy."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SWITCH = Path("/sys/kernel/mm/transparent_hugepage/enabled")
PROGRAM = """
import re
from pathlib import Path
from swarmd.tasks.huge_pages import use_huge_pages

def huge_kb():
    return sum(map(int, re.findall(r"AnonHugePages: +(\\d+)", Path("/proc/self/smaps").read_text())))

block = bytearray(range(256)) * 2**16
before = huge_kb()
use_huge_pages()
assert block == bytearray(range(256)) * 2**16
print(huge_kb() - before)
"""


def kernel_has_huge_pages() -> bool:
    return SWITCH.exists() and "[never]" not in SWITCH.read_text()


@pytest.mark.skipif(not kernel_has_huge_pages(), reason="this kernel has no transparent huge pages")
def test_what_a_process_holds_moves_into_huge_pages_unchanged() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert int(done.stdout) >= 8 * 1024, "kilobytes, of a block of 16 MiB"


def test_a_kernel_without_them_is_no_obstacle(monkeypatch) -> None:
    from swarmd.tasks import huge_pages

    monkeypatch.setattr(huge_pages.sys, "platform", "darwin")
    monkeypatch.setattr(huge_pages, "_large_mappings", lambda: pytest.fail("asked for mappings"))
    huge_pages.use_huge_pages()
