"""The system calls of the sandbox's filter have the numbers that the kernel's headers give them."""

import re
import shutil
import subprocess

import pytest

from swarmd.tasks.sandbox.syscalls import NUMBERS

COMPILERS = {"x86-64": ("x86_64-linux-gnu-gcc", 0), "arm64": ("aarch64-linux-gnu-gcc", 1)}


@pytest.mark.parametrize("machine", COMPILERS)
def test_the_headers_of_a_machine_give_its_system_calls_the_same_numbers(machine):
    compiler, column = COMPILERS[machine]
    if shutil.which(compiler) is None:
        pytest.skip(f"there is no {compiler}")
    source = "#include <sys/syscall.h>\n" + "".join(f"@{name} __NR_{name}\n" for name in NUMBERS)
    done = subprocess.run(
        [compiler, "-E", "-P", "-"], input=source, capture_output=True, text=True, check=True
    ).stdout
    found = dict(re.findall(r"^@(\w+) ([\d() +]+)$", done, re.MULTILINE))
    assert found == {
        name: str(numbers[column]) for name, numbers in NUMBERS.items() if numbers[column] is not None
    }
