"""System calls by name on two Linux architectures, and the calls allowed to each kind of process.

This is an allow list: calls added by later kernels are refused.
"""

from __future__ import annotations

# name: (x86-64, arm64); None if the architecture has no such call.
# Sources: arch/x86/entry/syscalls/syscall_64.tbl and include/uapi/asm-generic/unistd.h of Linux 6.12.
NUMBERS: dict[str, tuple[int | None, int | None]] = {
    "read": (0, 63), "write": (1, 64), "close": (3, 57), "stat": (4, None), "fstat": (5, 80),
    "lstat": (6, None), "poll": (7, None), "lseek": (8, 62), "mmap": (9, 222), "mprotect": (10, 226),
    "munmap": (11, 215), "brk": (12, 214), "rt_sigaction": (13, 134), "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139), "ioctl": (16, 29), "pread64": (17, 67), "readv": (19, 65), "writev": (20, 66),
    "access": (21, None), "pipe": (22, None), "select": (23, None), "sched_yield": (24, 124),
    "mremap": (25, 216), "madvise": (28, 233), "dup": (32, 23), "dup2": (33, None), "nanosleep": (35, 101),
    "getitimer": (36, 102), "setitimer": (38, 103), "getpid": (39, 172), "clone": (56, 220),
    "fork": (57, None), "vfork": (58, None), "exit": (60, 93), "wait4": (61, 260), "kill": (62, 129),
    "uname": (63, 160), "fcntl": (72, 25), "getcwd": (79, 17), "readlink": (89, None),
    "gettimeofday": (96, 169), "getrlimit": (97, 163), "getrusage": (98, 165), "sysinfo": (99, 179),
    "times": (100, 153), "getuid": (102, 174), "getgid": (104, 176), "geteuid": (107, 175),
    "getegid": (108, 177), "getppid": (110, 173), "sigaltstack": (131, 132), "statfs": (137, 43),
    "fstatfs": (138, 44), "prctl": (157, 167), "arch_prctl": (158, None), "setrlimit": (160, 164),
    "gettid": (186, 178), "futex": (202, 98), "sched_getaffinity": (204, 123), "getdents64": (217, 61),
    "set_tid_address": (218, 96), "restart_syscall": (219, 128), "fadvise64": (221, 223),
    "clock_gettime": (228, 113), "clock_getres": (229, 114), "clock_nanosleep": (230, 115),
    "exit_group": (231, 94), "waitid": (247, 95), "openat": (257, 56),
    "newfstatat": (262, 79), "readlinkat": (267, 78), "faccessat": (269, 48), "pselect6": (270, 72),
    "ppoll": (271, 73), "set_robust_list": (273, 99), "dup3": (292, 24), "pipe2": (293, 59),
    "prlimit64": (302, 261), "getcpu": (309, 168), "seccomp": (317, 277), "getrandom": (318, 278),
    "membarrier": (324, 283), "statx": (332, 291), "rseq": (334, 293), "clone3": (435, 435),
    "close_range": (436, 436), "faccessat2": (439, 439), "futex_waitv": (449, 449),
}  # fmt: skip

OPEN_READ_ONLY = "openat"  # allowed without any flag that could change a file
CLONE = "clone"  # allowed without new namespaces
CLONE3 = "clone3"  # a filter cannot inspect its flags, so it fails with ENOSYS and libc falls back to clone

# For the worker itself, which forks, limits and reaps its children.
_WORKER_ONLY = {
    "fork", "vfork", "wait4", "waitid", "kill", "prctl", "seccomp", "setrlimit", "prlimit64", "pipe", "pipe2",
    "close_range",
}  # fmt: skip
_SPECIAL = {OPEN_READ_ONLY, CLONE, CLONE3}

COMPUTE = frozenset(NUMBERS) - _WORKER_ONLY - _SPECIAL
"""What a process needs to read modules, compute and write to the descriptors that it was given."""
WORKER = COMPUTE | _WORKER_ONLY
CELL = frozenset({
    "write", "close", "mmap", "munmap", "mremap", "mprotect", "madvise", "brk", "rt_sigreturn", "sigaltstack",
    "sched_yield", "getcpu", "getpid", "gettid", "gettimeofday", "clock_gettime", "clock_getres", "times",
    "getrusage", "getrandom", "rseq", "membarrier", "restart_syscall", "exit", "exit_group",
})  # fmt: skip
"""What a program needs to compute, report and exit. None of these calls waits for anything. In particular,
`futex`, which only threads need, `nanosleep`, `poll` and `read` are missing."""
