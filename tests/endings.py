"""An end to what tests start: what does not end in time fails by its name, with what every thread of the process is at."""

from __future__ import annotations

import sys
import threading
import traceback
from typing import Final

import pytest

END_S: Final = 45.0
"""For a thread to end when it was told to; only one that hangs takes so long."""


def end_thread(thread: threading.Thread) -> None:
    """Return when a thread that was told to end has ended; one that does not is named, with all stacks."""
    thread.join(END_S)
    if thread.is_alive():
        pytest.fail(f"{thread.name} has not ended within {END_S:.0f} s of being told to:\n{_stacks()}", pytrace=False)


def _stacks() -> str:
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    parts = []
    for ident, frame in sys._current_frames().items():
        parts.append(f"--- {names.get(ident, ident)}\n{''.join(traceback.format_stack(frame))}")
    return "\n".join(parts)
