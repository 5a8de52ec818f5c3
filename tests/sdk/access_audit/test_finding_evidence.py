"""The evidence of a finding: a file of the ledger's digest that says otherwise than the finding is not shown as the ledger's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.data_sharing.audits import FindingSubject
from node.http.json_form import to_json
from sdk.access_audit.finding_evidence import read_evidence
from sdk.access_audit.findings import JudgedTrace, evidence_of
from sm_crypto.sm3 import sm3
from verification.access.reconciliation import Reconciliation
from verification.access.rules import AuditFacts, Finding, Judgement
from verification.access.trace_verdict import TraceVerdict
from verification.errors import InputError

DEPARTMENT, OTHER = "11990100MB0000002X", "11990100MB0000009X"
SUBJECT = FindingSubject("OVER_QUOTA", DEPARTMENT, OTHER, DEPARTMENT, b"\x05" * 20, 5, 9, b"\x07" * 32, 1_000, 2_000)
SILENT = FindingSubject("STREAM_SILENT", DEPARTMENT, "", DEPARTMENT, bytes(20), 0, 0, bytes(32), 1_000, 2_000)


def written(finding: Finding) -> bytes:
    judged = JudgedTrace(TraceVerdict(), AuditFacts(), Judgement((), Reconciliation(0, 0, ())), b"\x01" * 32, "x", {})
    return evidence_of(finding, judged)


CONTENT = json.loads(written(Finding(SUBJECT, 3, [5, 9, 7], "rows of the day")))


def read(folder: Path, content: bytes, subject: FindingSubject = SUBJECT) -> Any:
    """Read a file as the evidence of a finding that is on the ledger with its digest."""
    path = folder / "evidence.json"
    path.write_bytes(content)
    return read_evidence(path, {"subject": to_json(subject), "history": [{"digest": "0x" + sm3(content).hex()}]})


def refusal(folder: Path, content: bytes) -> InputError:
    with pytest.raises(InputError) as raised:
        read(folder, content)
    return raised.value


@pytest.mark.parametrize(
    "finding",
    [
        Finding(SUBJECT, 3, [5, 9, 7], "rows of the day"),
        Finding(SUBJECT, 5, [], "batch 2: late"),
        Finding(msgspec.structs.replace(SUBJECT, last_number=80), 76, [*range(5, 55)], "more than are named"),
        Finding(SILENT, 0, [], "recorded until"),
    ],
)
def test_what_was_raised_is_read(finding: Finding, tmp_path: Path) -> None:
    assert read(tmp_path, written(finding), finding.subject).count == finding.count


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("rule", "OUTSIDE_HOURS"),
        ("department", OTHER),
        ("other", ""),
        ("stream", OTHER),
        ("recorder", "06" * 20),
        ("first_number", 4),
        ("last_number", 10),
        ("grant", "00" * 32),
        ("from_ms", 999),
        ("to_ms", 2_001),
    ],
)
def test_evidence_about_something_else_is_refused_by_the_name_of_what_differs(
    name: str, value: object, tmp_path: Path
) -> None:
    changed = CONTENT | {"subject": CONTENT["subject"] | {name: value}}
    refused = refusal(tmp_path, json.dumps(changed).encode())
    assert refused.code == "EVIDENCE_DIFFERS"
    expected = f"{name} is {str(CONTENT['subject'][name])!r} on the ledger, {str(value)!r} in the file"
    assert expected in refused.en
    assert refused.en.count("' on the ledger") == 1


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"count": 6}, "count is at most 5, 6 in the file"),
        ({"count": 10**400}, "count is at most 5, 1000"),
        ({"count": 4}, "numbers has 3 items where count is 4"),
        ({"count": 2}, "numbers has 3 items where count is 2"),
        ({"numbers": [5, 7, 7]}, "numbers has one twice"),
        ({"numbers": [5, 7, 10]}, "numbers has 10, which is not within 5-9"),
        ({"numbers": [4, 5, 9]}, "numbers has 4, which is not within 5-9"),
    ],
)
def test_counts_and_numbers_that_the_finding_is_not_about_are_refused(
    changes: dict[str, Any], expected: str, tmp_path: Path
) -> None:
    refused = refusal(tmp_path, json.dumps(CONTENT | changes).encode())
    assert refused.code == "EVIDENCE_DIFFERS"
    assert expected in refused.en
    assert len(refused.en) < 500


@pytest.mark.parametrize(
    "content",
    [
        *(CONTENT | {name: value} for name, value in (("count", -1), ("query", -7), ("numbers", [-1]), ("height", -1))),
        CONTENT | {"trace_sm3": "ab"},
        CONTENT | {"nonce": "ab" * 16 + "\n"},
        CONTENT | {"remark": "not of the format"},
        CONTENT | {"subject": CONTENT["subject"] | {"remark": ""}},
        CONTENT | {"numbers": [*range(5, 56)]},
        {name: value for name, value in CONTENT.items() if name != "subject"},
    ],
)
def test_what_is_not_of_the_format_is_refused(content: dict[str, Any], tmp_path: Path) -> None:
    assert refusal(tmp_path, json.dumps(content).encode()).code == "EVIDENCE_INVALID"


@pytest.mark.parametrize("place", [b'"why":', b'"zh":', b'"rule": "OVER'])
def test_a_name_that_stands_twice_is_refused(place: bytes, tmp_path: Path) -> None:
    # One reader shows the first of them, another the last.
    whole = json.dumps(CONTENT).encode()
    assert place in whole
    name = place.split(b":")[0]
    refused = refusal(tmp_path, whole.replace(place, name + b': "another", ' + place, 1))
    assert refused.code == "EVIDENCE_INVALID"
    assert "stands twice" in refused.en


WHOLE = json.dumps(CONTENT).encode()


@settings(max_examples=60, deadline=None)
@given(content=st.binary(max_size=200) | st.integers(0, len(WHOLE) - 1).map(lambda at: WHOLE[:at]))
def test_a_file_that_is_no_evidence_is_refused_by_name(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    assert refusal(tmp_path_factory.getbasetemp(), content).code == "EVIDENCE_INVALID"
