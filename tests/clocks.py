"""A clock of one module's own."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from typing import Any

import pytest


class _Clock:
    """The module `time` with some of its functions replaced."""

    def __init__(self, replaced: dict[str, Callable[..., Any]]) -> None:
        self.__dict__.update(replaced)

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)


def set_clock(monkeypatch: pytest.MonkeyPatch, module: str, **replaced: Callable[..., Any]) -> None:
    """Give a module other functions of `time` than all others have, until the test ends.

    Never those of `time` itself: an event loop that serves other tests would sleep until a time that does not come.
    """
    monkeypatch.setattr(importlib.import_module(module), "time", _Clock(replaced))
