"""What the tests of audits share."""

from __future__ import annotations

import pytest

from tests.verification.access.audit_world import AuditWorld, draft_read


@pytest.fixture
def world() -> AuditWorld:
    """Six reads in two batches of the provider, the same on the consumer's side, and time covered behind them."""
    made = AuditWorld()
    made.both([draft_read(number) for number in (1, 2, 3)])
    made.both([draft_read(number) for number in (4, 5, 6)])
    made.close_period()
    return made
