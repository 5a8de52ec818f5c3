"""What is raised: what has not been raised before, each with evidence whose digest goes onto the ledger."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from contracts.data_sharing.audits import CLOSED, CONFIRMED, DISMISSED, RAISED, FindingSubject
from node.http.json_form import to_json
from sdk.access_audit.findings import JudgedTrace, raise_findings
from sm_crypto.sm3 import sm3
from verification.access.reconciliation import Reconciliation
from verification.access.rules import AuditFacts, Finding, Judgement
from verification.access.trace_verdict import Fault, TraceVerdict
from verification.errors import InputError

DEPARTMENT = "11990100MB0000002X"
SILENT = FindingSubject("STREAM_SILENT", DEPARTMENT, "", DEPARTMENT, bytes(20), 0, 0, bytes(32), 1_000, 2_000)
READS = FindingSubject("OVER_QUOTA", DEPARTMENT, "", DEPARTMENT, bytes(20), 5, 9, bytes(32), 1_000, 2_000)
WITHHELD = msgspec.structs.replace(READS, rule="BODY_WITHHELD")
AUTHORITY, OTHER = "11990100MB00000031", "11990100MB0000009X"


class Ledger:
    """Stands for a client: findings that were raised, and those that are raised now."""

    def __init__(self, *known: FindingSubject, raised_by: str = AUTHORITY, state: str = RAISED) -> None:
        self.known = [
            {"number": number, "raised_by": raised_by, "state": state, "subject": to_json(one)}
            for number, one in enumerate(known, 1)
        ]
        self.raised: list[dict[str, Any]] = []

    def own_department(self) -> str:
        return AUTHORITY

    def get_all(self, path: str, **_: object) -> list[dict[str, Any]]:
        return self.known

    def call(self, contract: str, method: str, **arguments: Any) -> Any:
        self.raised.append(arguments)
        return SimpleNamespace(transaction_id=bytes(32))

    def get(self, path: str, **_: object) -> dict[str, str]:
        return {"output": f"0x{len(self.known) + len(self.raised):064x}"}


def raise_all(ledger: Any, folder: Path, *findings: Finding, verdict: TraceVerdict | None = None) -> dict[int, int]:
    judgement = Judgement(findings, Reconciliation(0, 0, ()))
    judged = JudgedTrace(verdict or TraceVerdict(), AuditFacts(), judgement, bytes(32), "内置 / built in", {})
    return raise_findings(ledger, judged, folder, "审函1号")


@pytest.mark.parametrize(
    ("known", "subject", "is_new"),
    [
        (SILENT, SILENT, False),
        (SILENT, msgspec.structs.replace(SILENT, to_ms=9_000), False),
        (SILENT, msgspec.structs.replace(SILENT, from_ms=2_000, to_ms=9_000), True),
        (SILENT, msgspec.structs.replace(SILENT, recorder=b"\x01" * 20), True),
        (READS, READS, False),
        (READS, msgspec.structs.replace(READS, first_number=9, last_number=12), True),
        (READS, msgspec.structs.replace(READS, first_number=7, last_number=7), True),
        (WITHHELD, msgspec.structs.replace(WITHHELD, last_number=12), False),
        (WITHHELD, msgspec.structs.replace(WITHHELD, first_number=10, last_number=12), True),
        (READS, msgspec.structs.replace(READS, grant=b"\x01" * 32), True),
    ],
)
def test_what_was_raised_about_the_same_reads_or_the_same_time_is_not_raised_again(
    known: FindingSubject, subject: FindingSubject, is_new: bool, tmp_path: Path
) -> None:
    ledger = Ledger(known)
    assert raise_all(ledger, tmp_path / "evidence", Finding(subject, 1, [], "x")) == {0: 2 if is_new else 1}
    evidence = [path.read_bytes() for path in (tmp_path / "evidence").iterdir()]
    assert [one["digest"] for one in ledger.raised] == [sm3(content) for content in evidence]
    assert len(evidence) == is_new


@pytest.mark.parametrize(
    ("raised_by", "state", "known", "is_new"),
    [
        (OTHER, RAISED, WITHHELD, True),
        (AUTHORITY, DISMISSED, WITHHELD, True),
        (AUTHORITY, CLOSED, WITHHELD, True),
        (AUTHORITY, CONFIRMED, WITHHELD, False),
        (AUTHORITY, DISMISSED, msgspec.structs.replace(WITHHELD, first_number=7, last_number=7), False),
    ],
)
def test_what_others_raised_and_what_is_over_keeps_nothing_from_being_raised(
    raised_by: str, state: str, known: FindingSubject, is_new: bool, tmp_path: Path
) -> None:
    ledger = Ledger(known, raised_by=raised_by, state=state)
    inside = msgspec.structs.replace(WITHHELD, first_number=7, last_number=7)
    assert raise_all(ledger, tmp_path / "evidence", Finding(inside, 1, [7], "x")) == {0: 2 if is_new else 1}


def test_reads_that_break_a_rule_in_two_ways_are_raised_once(tmp_path: Path) -> None:
    ledger = Ledger()
    both = (Finding(READS, 5, [], "rows of a day"), Finding(READS, 5, [], "reads of a day"))
    assert raise_all(ledger, tmp_path / "evidence", *both) == {0: 1, 1: 1}
    assert len(ledger.raised) == 1, "the ledger refuses a second one about the same"


@pytest.mark.parametrize(("code", "is_raised"), [("BATCH_MISSING", False), ("TALLY_WRONG", True)])
def test_nothing_is_raised_by_a_file_that_lacks_something_but_recorders_keep_nobody_from_it(
    code: str, is_raised: bool, tmp_path: Path
) -> None:
    ledger, verdict = Ledger(), TraceVerdict()
    verdict.add_fault(Fault(code, DEPARTMENT, bytes(20), 2))
    if is_raised:
        assert raise_all(ledger, tmp_path / "evidence", Finding(READS, 5, [], "x"), verdict=verdict) == {0: 1}
        return
    with pytest.raises(InputError) as refused:
        raise_all(ledger, tmp_path / "evidence", Finding(READS, 5, [], "x"), verdict=verdict)
    assert (refused.value.code, ledger.raised) == ("TRACE_NOT_WHOLE", [])
