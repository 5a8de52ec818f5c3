"""Work in a process of its own: what a node hands it, how long it waits, and what the process gives up before it begins.

Such work would hold the interpreter that makes blocks, or meets files from strangers; the process takes what the processors have left.
"""

from __future__ import annotations

import contextlib
import os
import resource
import subprocess
import sys
import threading
from collections.abc import Mapping
from typing import Final

NICENESS: Final = 5
_KEPT_NAMES: Final = ("LD_LIBRARY_PATH", "PYTHONHOME", "PYTHONPATH")
"""Of the environment: where the interpreter and its modules lie. The rest may hold secrets, and says nothing that is needed."""


def run_child(module: str, given: bytes, *, max_s: float, max_answer_bytes: int) -> bytes:
    """Return what a module wrote that ran as a process, which reads all that it is given before it writes.

    That is the beginning of an answer, or nothing, where the process was killed after `max_s` or ended by itself.
    """
    # Not from the folder that the node runs in; and not in its group: a key pressed in the terminal is for the node.
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", module],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={name: os.environ[name] for name in _KEPT_NAMES if name in os.environ},
        start_new_session=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    end = threading.Timer(max_s, process.kill)
    end.start()
    try:
        # One after the other: the process writes nothing before it has read everything, or else it is killed in time.
        process.stdin.write(given)
        process.stdin.close()
        return process.stdout.read(max_answer_bytes)
    except BrokenPipeError:
        return b""
    finally:
        end.cancel()
        process.kill()
        process.stdout.close()
        process.wait()


def lower_limits(limits: Mapping[int, int]) -> None:
    """Have this process, for good, come after others and take at most so much of each resource (RLIMIT_...)."""
    os.nice(NICENESS)
    for name, most in limits.items():
        with contextlib.suppress(ValueError, OSError):
            # Some systems refuse one or the other; the rest then holds.
            resource.setrlimit(name, (most, most))
