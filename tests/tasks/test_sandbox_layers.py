"""Each layer of the sandbox alone, in an interpreter of its own: none relies on another."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from swarmd.tasks.sandbox import kernel, seccomp

linux_only = pytest.mark.skipif(not seccomp.is_supported(), reason="no system-call filter on this platform")
landlock_only = pytest.mark.skipif(
    sys.platform != "linux" or not kernel.landlock_version(), reason="this kernel has no Landlock"
)

SECCOMP = """
from swarmd.tasks.sandbox import kernel, seccomp
from swarmd.tasks.sandbox.syscalls import COMPUTE
kernel.forbid_new_privileges()
kernel.install_filter(seccomp.build_filter(COMPUTE, may_clone=False))
"""
LANDLOCK = """
import os, socket, sysconfig
from swarmd.tasks.sandbox import kernel
kernel.forbid_new_privileges()
kernel.restrict_to_reading([sysconfig.get_paths()["stdlib"]], kernel.landlock_version())
"""
AUDIT = """
import ctypes, os, signal, socket, subprocess, sysconfig
from swarmd.tasks.sandbox.audit import refuse_side_effects
refuse_side_effects([os.path.realpath(sysconfig.get_paths()["stdlib"])])
"""
BARE_KERNEL = """
from swarmd.tasks.sandbox import Sandbox, kernel, seccomp
kernel.landlock_version = lambda: 0
seccomp.is_supported = lambda: False
sandbox = Sandbox([])
sandbox.confine_worker()
sandbox.confine_scorer(5.0)
"""


def attempts(layer: str, statements: list[str], secret: Path) -> dict[str, str]:
    """The result of each statement in turn, behind `layer`: "done", or the name of the exception."""
    code = f"{layer}\nimport json, os, sys\nSECRET = {str(secret)!r}\nends = {{}}\n"
    for statement in statements:
        code += f"try:\n    {statement}\n    ends[{statement!r}] = 'done'\n"
        code += f"except BaseException as error:\n    ends[{statement!r}] = type(error).__name__\n"
    code += "os.write(1, json.dumps(ends).encode())"
    environment = {"PYTHONPATH": ":".join(path for path in sys.path if path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return dict(json.loads(done.stdout))


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "peer.key"
    path.write_text("private")
    return path


@linux_only
def test_seccomp_alone_stops_processes_sockets_signals_and_writing(secret: Path) -> None:
    refused = [
        "import socket; socket.socket()",
        "os.fork()",
        "os.execv('/bin/true', ['true'])",
        "open(SECRET, 'w')",
        "open(SECRET, 'a')",
        "os.mkdir(SECRET + '2')",
        "os.remove(SECRET)",
        "os.kill(os.getppid(), 0)",
        "import ctypes; assert ctypes.CDLL(None).ptrace(16, os.getppid(), 0, 0) == 0",
        "import ctypes; assert ctypes.CDLL(None).syscall(425, 1, 0) >= 0",  # io_uring_setup
        "import ctypes; assert ctypes.CDLL(None).prctl(38, 0, 0, 0, 0) == 0",
    ]
    allowed = "import decimal, fractions; assert open(SECRET).read()"
    ends = attempts(SECCOMP, [*refused, allowed], secret)
    assert ends.pop(allowed) == "done"
    assert set(ends.values()) == {"PermissionError", "AssertionError"}, ends
    assert secret.read_text() == "private"


@landlock_only
def test_landlock_alone_keeps_everything_but_the_given_directories_unreadable(secret: Path) -> None:
    refused = [
        "open(SECRET)",
        "open('/proc/self/environ')",
        "os.listdir(os.path.dirname(SECRET))",
        "open(SECRET, 'w')",
        "os.remove(SECRET)",
        "os.mkdir(SECRET + '2')",
    ]
    ends = attempts(LANDLOCK, [*refused, "import wave"], secret)
    assert ends.pop("import wave") == "done"
    assert set(ends.values()) == {"PermissionError"}, ends
    assert secret.read_text() == "private"


def test_the_audit_hook_alone_stops_what_python_code_can_ask_for(secret: Path) -> None:
    refused = [
        "open(SECRET)",
        "os.open(SECRET, os.O_RDONLY)",
        "open(SECRET, 'w')",
        "os.listdir(os.path.dirname(SECRET))",
        "os.remove(SECRET)",
        "os.mkdir(SECRET + '2')",
        "os.chmod(SECRET, 0o777)",
        "os.system('true')",
        "os.fork()",
        "os.kill(os.getppid(), 0)",
        "subprocess.run(['true'])",
        "socket.socket()",
        "socket.create_connection(('127.0.0.1', 9))",
        "ctypes.CDLL(None)",
        "sys.addaudithook(print); os.system('true')",
        "import _posixsubprocess; _posixsubprocess.fork_exec(*[None] * 21)",
        "subprocess._fork_exec(*[None] * 21)",
        "del sys.modules['_posixsubprocess']; import _posixsubprocess",
        "del sys.modules['posix']; import posix",
        "import _imp, importlib.util; _imp.create_builtin(importlib.util.find_spec('_signal'))",
        "import signal; signal.pidfd_send_signal(1, 0)",
        "signal.setitimer(0, 0)",
        "os.pidfd_open(os.getppid())",
        "os.mkfifo(SECRET + '2')",
        "os.chroot('/')",
        "os.setpriority(os.PRIO_PROCESS, os.getppid(), 19)",
        "import _posixshmem; _posixshmem.shm_open('/x', 0)",
        "import _multiprocessing",
        "ctypes.memmove(0, 0, 0)",
        "import swarmd.tasks.sandbox.kernel as kernel; kernel._syscall(39)",
        "kernel._libc.syscall(39)",
    ]
    ends = attempts(AUDIT, [*refused, "import wave"], secret)
    assert ends.pop("import wave") == "done"
    assert set(ends.values()) <= {"PermissionError", "AttributeError"}, ends
    assert secret.read_text() == "private"
    assert [path.name for path in secret.parent.iterdir()] == ["peer.key"]


def test_a_kernel_without_filters_is_reported_and_the_rest_still_holds(secret: Path) -> None:
    refused = ["open(SECRET)", "open(SECRET, 'w')", "import socket; socket.socket()", "os.system('true')"]
    kinds = ["no Landlo", "no system", "answers t"]
    reported = f"assert [line.partition(':')[0][:9] for line in sandbox.missing] == {kinds}"
    ends = attempts(BARE_KERNEL, [*refused, reported] if sys.platform == "linux" else refused, secret)
    assert ends.pop(reported, "done") == "done"
    assert set(ends.values()) == {"PermissionError"}, ends


def test_the_time_of_a_scorer_begins_when_it_is_confined(secret: Path) -> None:
    spent = "import time; time.process_time = lambda: 7.3  # making its questions"
    limit = "import resource; assert resource.getrlimit(resource.RLIMIT_CPU) == (14, 14)"
    assert attempts(f"{spent}\n{BARE_KERNEL}", [limit], secret) == {limit: "done"}


PROGRAMS = """
import ast, collections, dataclasses
from swarmd.tasks.sandbox.programs import refuse_programs
refuse_programs()
"""


def test_programs_are_not_compiled_but_expressions_and_the_librarys_own_are(secret: Path) -> None:
    refused = [
        "eval('SECRET')",
        "eval('os.getpid()')",
        "exec('x = 1')",
        "compile('import os', '/usr/lib/python3/collections/__init__.py', 'exec')",
        "compile(ast.parse('os.getpid()', mode='eval'), 'x', 'eval')",
        "compile(ast.parse('x = 1'), 'x', 'exec')",
        "eval(b'print()')",
        "eval('[0] * 9')",
        "eval('9**9**9')",
        "import marshal; marshal.loads(marshal.dumps(1))",
        "import sympy; sympy.sympify('print(1)')",
        "sympy.parse_expr('x.y')",
        "sympy.parse_expr('factorial(9)')",
        "sympy.lambdify(sympy.Symbol('x'), 1)(1)",
    ]
    allowed = [
        "assert eval('1 + 2') == 3",
        "assert eval('[1, (2, \\'a\\')]')[0] == 1",
        "assert ast.literal_eval('{1: 2}') == {1: 2}",
        "assert collections.namedtuple('Two', 'a b')(1, 2).b == 2",
        "assert dataclasses.make_dataclass('One', ['a'])(1).a == 1",
        "import wave",
        "import fractions, decimal, statistics",
        "assert str(sympy.parse_expr('2*x + sin(y)/3')) == '2*x + sin(y)/3'",
        "assert sympy.simplify(sympy.parse_expr('x**2/2').diff() - sympy.Symbol('x')) == 0",
    ]
    ends = attempts(PROGRAMS, [*refused, *allowed], secret)
    assert [statement for statement in allowed if ends[statement] != "done"] == [], ends
    assert [statement for statement in refused if ends[statement] == "done"] == [], ends
