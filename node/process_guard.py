"""What a process gives up by Linux's prctl and seccomp: being looked into, outliving its parent, all system calls but a few.

Elsewhere than on Linux these do nothing and say so. Sources: prctl(2), seccomp(2), the kernel's seccomp_filter and BPF documentation.
"""

from __future__ import annotations

import ctypes
import platform
import signal
import struct
import sys
from typing import Final, NamedTuple

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_DUMPABLE: Final = 4
_PR_SET_NO_NEW_PRIVS: Final = 38
_SECCOMP_SET_MODE_FILTER: Final = 1
_SECCOMP_FILTER_FLAG_TSYNC: Final = 1

# Of struct seccomp_data: offsets in bytes; arguments have 64 bits, the lower half first on both machines.
_NUMBER_AT: Final = 0
_MACHINE_AT: Final = 4
_ARGUMENTS_AT: Final = 16
_ARGUMENT_BYTES: Final = 8

_LOAD: Final = 0x20
_JUMP_EQUAL: Final = 0x15
_JUMP_ANY_BIT: Final = 0x45
_RETURN: Final = 0x06

_ALLOW: Final = 0x7FFF0000
_KILL: Final = 0x80000000
_REFUSE: Final = 0x00050001
"""With EPERM: libraries go on without what they merely try."""

_PROT_EXEC: Final = 4
_STANDARD_OUTPUT: Final = 1


class _Machine(NamedTuple):
    """What system calls are named by on one machine: AUDIT_ARCH_..., and numbers (asm/unistd.h)."""

    audit: int
    seccomp: int
    write: int
    mapping: tuple[int, ...]
    """mmap and mprotect: their third argument says whether the memory can be run."""
    harmless: tuple[int, ...]
    """Memory that is there, clocks, waiting, coming back from a signal, the end of the process."""


_MACHINES: Final = {
    # munmap, brk, rt_sigreturn, sched_yield, mremap, madvise, exit, gettimeofday, futex, restart_syscall, clock_gettime,
    # clock_nanosleep, exit_group
    "x86_64": _Machine(
        0xC000003E, 317, 1, (9, 10), (11, 12, 15, 24, 25, 28, 60, 96, 202, 219, 228, 230, 231)
    ),
    "aarch64": _Machine(
        0xC00000B7, 277, 64, (222, 226), (215, 214, 139, 124, 216, 233, 93, 169, 98, 128, 113, 115, 94)
    ),
}  # fmt: skip


class _Program(ctypes.Structure):
    """struct sock_fprog."""

    _fields_ = (("count", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def forbid_reading_memory() -> bool:
    """Have this process leave no core dump, and no other process of its user read its memory; return whether that holds."""
    return _prctl(_PR_SET_DUMPABLE, 0)


def end_with_parent() -> bool:
    """Have the system kill this process when the thread ends that started it; return whether that holds."""
    return _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def keep_only_computing() -> bool:
    """Refuse this process, for good, every system call but writing to standard output, memory that is not run, clocks and its end.

    Returns False where the system has no such filter, or does not let it be set: nothing is refused then.
    """
    machine = _MACHINES.get(platform.machine())
    # A process of 32 bits on such a machine makes its calls under the numbers of another.
    if machine is None or sys.maxsize < 2**32 or not _prctl(_PR_SET_NO_NEW_PRIVS, 1):
        return False
    instructions = _filter(machine)
    program = _Program(len(instructions) // 8, instructions)
    # The whole process, whatever threads a library may have begun. More than 0 names a thread that cannot be had.
    set_filter = ctypes.CDLL(None, use_errno=True).syscall
    set_filter.restype = ctypes.c_long
    return bool(
        set_filter(
            ctypes.c_long(machine.seccomp),
            ctypes.c_long(_SECCOMP_SET_MODE_FILTER),
            ctypes.c_long(_SECCOMP_FILTER_FLAG_TSYNC),
            ctypes.byref(program),
        )
        == 0
    )


def _filter(machine: _Machine) -> bytes:
    """Return the filter as struct sock_filter: the only way on is forward, and whatever is not named is refused."""
    code = [
        _step(_LOAD, _MACHINE_AT),
        # Calls under another machine's numbers would mean something else.
        _step(_JUMP_EQUAL, machine.audit, 1, 0),
        _step(_RETURN, _KILL),
        _step(_LOAD, _NUMBER_AT),
    ]
    for number in machine.harmless:
        code += [_step(_JUMP_EQUAL, number, 0, 1), _step(_RETURN, _ALLOW)]
    for number in machine.mapping:
        code += [
            _step(_JUMP_EQUAL, number, 0, 4),
            _step(_LOAD, _ARGUMENTS_AT + 2 * _ARGUMENT_BYTES),
            _step(_JUMP_ANY_BIT, _PROT_EXEC, 0, 1),
            _step(_RETURN, _REFUSE),
            _step(_RETURN, _ALLOW),
        ]
    code += [
        _step(_JUMP_EQUAL, machine.write, 0, 3),
        _step(_LOAD, _ARGUMENTS_AT),
        _step(_JUMP_EQUAL, _STANDARD_OUTPUT, 0, 1),
        _step(_RETURN, _ALLOW),
        _step(_RETURN, _REFUSE),
    ]
    return b"".join(code)


def _step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)


def _prctl(option: int, value: int) -> bool:
    if sys.platform != "linux":
        return False
    # All of them: the kernel refuses what it does not find to be 0.
    values = (ctypes.c_ulong(one) for one in (value, 0, 0, 0))
    return bool(ctypes.CDLL(None, use_errno=True).prctl(ctypes.c_int(option), *values) == 0)
