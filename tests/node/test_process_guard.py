"""The filter of system calls lets through what it names, on both machines; a node's memory is not for other processes."""

from __future__ import annotations

import struct
import subprocess
import sys
from collections.abc import Sequence

import pytest

from node import process_guard

ALLOW, REFUSE, KILL = 0x7FFF0000, 0x00050001, 0x80000000


def run_filter(program: bytes, number: int, machine: int, arguments: Sequence[int] = ()) -> int:
    """Return what the kernel would, by its description of classic BPF as far as the filter uses it."""
    data = struct.pack("=iIQ6Q", number, machine, 0, *arguments, *(0 for _ in range(6 - len(arguments))))
    steps = list(struct.iter_unpack("=HBBI", program))
    place = held = 0
    while True:
        code, if_true, if_false, value = steps[place]
        place += 1
        if code == 0x20:
            (held,) = struct.unpack_from("=I", data, value)
        elif code == 0x06:
            return int(value)
        else:
            holds = held == value if code == 0x15 else bool(held & value)
            place += if_true if holds else if_false


@pytest.mark.parametrize(
    ("name", "write", "mmap", "exit_group", "others"),
    [
        # read, open, shmget, clone, execve, kill, ptrace, openat, process_vm_readv; write of the machine's x32 variant
        ("x86_64", 1, 9, 231, (0, 2, 29, 56, 59, 62, 101, 257, 310, 1 | 0x40000000)),
        # unlinkat, openat, read, ptrace, kill, shmget, socket, clone, execve, process_vm_readv
        ("aarch64", 64, 222, 94, (35, 56, 63, 117, 129, 194, 198, 220, 221, 270)),
    ],
)
def test_the_filter_lets_through_what_it_names(
    name: str, write: int, mmap: int, exit_group: int, others: Sequence[int]
) -> None:
    machine = process_guard._MACHINES[name]
    program = process_guard._filter(machine)
    assert run_filter(program, exit_group, machine.audit) == ALLOW
    assert [run_filter(program, write, machine.audit, (file,)) for file in (0, 1, 2)] == [REFUSE, ALLOW, REFUSE]
    for protection, outcome in ((3, ALLOW), (4, REFUSE), (7, REFUSE)):
        assert run_filter(program, mmap, machine.audit, (0, 4096, protection)) == outcome
    assert {run_filter(program, number, machine.audit, (1,)) for number in others} == {REFUSE}
    assert run_filter(program, write, 0x40000003, (1,)) == KILL
    allowed = [number for number in range(1_000) if run_filter(program, number, machine.audit, (1,)) == ALLOW]
    assert len(allowed) == len(machine.harmless) + 3


def test_a_machine_without_numbers_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "another")
    assert not process_guard.keep_only_computing()


GUARDED = """
import ctypes, signal
from node.process_guard import end_with_parent, forbid_reading_memory
print(forbid_reading_memory(), end_with_parent())
wish, libc = ctypes.c_int(), ctypes.CDLL(None)
libc.prctl(2, ctypes.byref(wish), 0, 0, 0)
print(libc.prctl(3, 0, 0, 0, 0), wish.value == signal.SIGKILL)
"""


def test_a_process_is_not_dumped_and_ends_with_its_parent() -> None:
    done = subprocess.run([sys.executable, "-c", GUARDED], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == ["True", "True", "0", "True"]
