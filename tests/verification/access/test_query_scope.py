"""The part of an auditor's query that recorders are told: it opens the recorded digest, and says nothing of what is looked for."""

from __future__ import annotations

import base64

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.data_sharing.access import BatchRecord
from verification.access.query_scope import MAX_SCOPE, MAX_SCOPE_TEXT, QueryScope, parse_scope, scope_text
from verification.access.trace_filter import TraceFilter, query_digest, scope_of

DEPARTMENTS = ("11330100002489405Q", "113301000024893842")
WANTED = TraceFilter(1_000, 2_000, "307/1", person=b"\1" * 32, case_number="2025-1", recorded_by=DEPARTMENTS)
SALT = bytes(range(16))


def test_the_scope_opens_the_digest_and_hides_what_is_looked_for() -> None:
    scope = scope_of(WANTED, SALT)
    assert scope.digest() == query_digest(WANTED, SALT)
    assert (scope.from_ms, scope.to_ms, scope.recorded_by) == (1_000, 2_000, DEPARTMENTS)
    text = base64.urlsafe_b64decode(scope_text(scope))
    assert WANTED.person not in text
    assert b"2025-1" not in text
    other = msgspec.structs.replace(WANTED, person=bytes(32))
    assert scope_of(other, SALT).sought != scope.sought
    # Nobody turns a period of the past into one until now in a finished file.
    assert query_digest(msgspec.structs.replace(WANTED, is_until_now=True), SALT) != scope.digest()
    # Without the salt, what is looked for is not found by trying.
    assert scope_of(WANTED, bytes(16)).sought != scope.sought


def test_a_scope_has_one_text() -> None:
    scope = scope_of(msgspec.structs.replace(WANTED, recorded_by=("9" * 18,) * MAX_SCOPE), SALT)
    text = scope_text(scope)
    assert len(text) < MAX_SCOPE_TEXT
    assert parse_scope(text) == scope
    for other in (text + "=", text[:-4], text + "\n", text.replace("=", ""), "", "é", text * 9):
        assert parse_scope(other) is None or other == text


@settings(max_examples=50)
@given(st.one_of(st.text(max_size=80), st.binary(max_size=60).map(lambda raw: base64.urlsafe_b64encode(raw).decode())))
def test_other_texts_are_no_scope(text: str) -> None:
    found = parse_scope(text)
    assert found is None or scope_text(found) == text


@pytest.mark.parametrize(
    ("number", "from_ms", "to_ms", "has"),
    [
        (5, 0, 999, False),
        (5, 0, 1_000, True),
        (5, 2_000, 3_000, True),
        (5, 2_001, 3_000, False),
        # The first batch of a stream shows that there was nothing before it.
        (1, 2_001, 3_000, True),
        (1, 0, 999, False),
    ],
)
def test_batches_that_touch_the_times_are_part_of_the_answer(number: int, from_ms: int, to_ms: int, has: bool) -> None:
    scope = QueryScope(1_000, 2_000, (), bytes(32))
    digest = bytes(32)
    batch = BatchRecord(
        DEPARTMENTS[0], bytes(20), number, 1, 1, digest, digest, digest, from_ms, to_ms, 1, 0, 0, 1, 0, 0
    )
    assert scope.has_batch(batch) == has
    assert scope.has_stream(DEPARTMENTS[0])
    assert not QueryScope(0, 1, (DEPARTMENTS[1],), digest).has_stream(DEPARTMENTS[0])
