"""Whom the comparison of both sides reproaches for a read that one of them lacks: nobody at the edges of what is known."""

from __future__ import annotations

import msgspec
import pytest

from tests.hand_made_chain import CONSUMER, DEPARTMENT
from tests.verification.access.audit_world import PERSON, draft_read
from verification.access.reads import Read, number_read
from verification.access.reconciliation import reconcile
from verification.access.trace_filter import TraceFilter
from verification.access.trace_verdict import BatchFact

EDGE_MS = 1_000
PERIOD = TraceFilter(10_000, 90_000)
LAND, HOUSING = b"\x01" * 20, b"\x02" * 20


def provided(read_ms: int) -> list[Read]:
    """Return one read as its provider alone has it."""
    return [number_read(draft_read(1), DEPARTMENT, LAND, 1, bytes(32), read_ms)]


def batch(from_ms: int, to_ms: int, *, has_reads: bool = True, recorder: bytes = HOUSING) -> BatchFact:
    """Return a batch of the consumer's, of one read."""
    return BatchFact(CONSUMER, recorder, 1, 1, 1, from_ms, to_ms, to_ms, to_ms, has_reads)


def reproached(read_ms: int, *batches: BatchFact) -> list[str]:
    found = reconcile(provided(read_ms), batches, PERIOD, EDGE_MS)
    assert found.not_comparable + len(found.differences) == 1
    return [one.missing for one in found.differences]


@pytest.mark.parametrize(
    ("read_ms", "missing"), [(10_999, []), (11_000, [CONSUMER]), (89_000, [CONSUMER]), (89_001, [])]
)
def test_at_the_ends_of_the_period_the_other_side_may_have_it_outside(read_ms: int, missing: list[str]) -> None:
    assert reproached(read_ms, batch(0, 100_000)) == missing


def test_of_one_persons_reads_the_other_side_may_name_nobody() -> None:
    """A route that takes no person, read by a consumer that knows whom it is about: the filter leaves out one of two honest records."""
    wanted = msgspec.structs.replace(PERIOD, person=PERSON)
    found = reconcile(provided(50_000), [batch(0, 100_000)], wanted, EDGE_MS)
    assert (found.not_comparable, found.differences) == (1, ())


@pytest.mark.parametrize(
    ("read_ms", "missing"), [(20_999, []), (21_000, [CONSUMER]), (39_000, [CONSUMER]), (39_001, []), (60_000, [])]
)
def test_at_the_ends_of_what_the_other_side_covers_nobody_lacks_a_read(read_ms: int, missing: list[str]) -> None:
    assert reproached(read_ms, batch(20_000, 30_000), batch(30_000, 40_000)) == missing
    # Two streams with time between them cover nothing of that.
    other = batch(70_000, 80_000, recorder=LAND)
    assert reproached(read_ms, batch(20_000, 30_000), batch(30_000, 40_000), other) == missing


@pytest.mark.parametrize(
    ("read_ms", "missing"), [(18_999, [CONSUMER]), (19_000, []), (45_000, []), (61_000, []), (61_001, [CONSUMER])]
)
def test_what_may_lie_in_a_batch_kept_back_is_nobodys_lack(read_ms: int, missing: list[str]) -> None:
    """A short batch within a long one ends nothing of the long one's time."""
    kept_back = (batch(20_000, 60_000, has_reads=False), batch(25_000, 30_000, has_reads=False, recorder=LAND))
    assert reproached(read_ms, batch(0, 100_000), *kept_back) == missing
