"""What the tests of data sharing's contracts share."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture
def office(bench: Any) -> Any:
    """The ledger with one conditional resource of the land bureau."""
    bench.publish()
    return bench
