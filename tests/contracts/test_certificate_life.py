"""The life of certificates, single and of batches, under any order of operations, against a model of the default code table."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from contracts import certificate_records
from contracts.certificate_records import (
    CertificateRecord,
    HistoryPageNeeded,
    load_certificate,
    load_history_page,
    load_status,
    status_at,
)

# From which statuses each operation leads where in the default table; revoke takes its target.
STEPS = {
    "suspend": ({"01"}, "02"),
    "resume": ({"02", "99"}, "01"),
    "expire": ({"01", "02", "99"}, "05"),
    "record_other": ({"01", "02"}, "99"),
    "transfer_out": ({"01", "02", "99"}, "06"),
    "cancel_transfer": ({"06"}, "before"),
}
SUCCEEDED_FROM = {"renew": "01", "change": "01", "transfer_in": "06"}
REVOKED_FROM, REVOKED_TO = {"01", "02", "99"}, {"03", "04", "07"}
BATCH_SIZE = 3


class CertificateLife(RuleBasedStateMachine):
    """Issues, succeeds and changes certificates; the model keeps each one's statuses with their times, its office and links."""

    bench_class: Any = None
    known: Bundle[str] = Bundle("known")
    members: Bundle[Any] = Bundle("members")

    @initialize()
    def begin(self) -> None:
        self.office = self.bench_class()
        self.office.register_type(issuers=[self.office.land_bureau, self.office.tax_bureau])
        self.serial = 0
        self.model: dict[str, list[tuple[int, str]]] = {}
        self.issuers: dict[str, Any] = {}
        self.offered: set[str] = set()
        self.successors: dict[str, str] = {}
        self.waiting: dict[str, tuple[int, dict[str, Any]]] = {}
        """Certificates of batches without a record of their own: since when, and what names them."""

    def attempt(self, account: Any, contract: str, method: str, /, **arguments: Any) -> str | None:
        self.office.time_ms += 100
        refusal: str | None = self.office.call(account, contract, method, **arguments).refusal
        return refusal

    def arguments(self, account: Any, serial: int) -> dict[str, Any]:
        identifier = self.office.identifier(f"{serial:08d}", issuer=account.department)
        # Its validity is over from the start, so that it can be recorded as lapsed at any time.
        arguments: dict[str, Any] = self.office.certificate_arguments(f"{serial:08d}", identifier=identifier)
        return arguments | {"valid_from_ms": 0, "valid_to_ms": 1}

    @rule(target=known)
    def issue(self) -> str:
        self.serial += 1
        return self.keep(self.office.issuer, self.arguments(self.office.issuer, self.serial))

    def keep(self, account: Any, arguments: dict[str, Any]) -> str:
        identifier: str = arguments["identifier"]
        assert self.attempt(account, "certificates", "issue", **arguments) is None
        self.model[identifier] = [(self.office.time_ms, "01")]
        self.issuers[identifier] = account
        return identifier

    @rule(identifier=known)
    def issue_again(self, identifier: str) -> None:
        arguments = self.office.certificate_arguments(identifier=identifier)
        assert self.attempt(self.issuers[identifier], "certificates", "issue", **arguments) == "CERTIFICATE_EXISTS"

    @rule(identifier=known, method=st.sampled_from(sorted(STEPS)))
    def step(self, identifier: str, method: str) -> None:
        account = self.issuers[identifier]
        given = {"description" if method == "record_other" else "reason": "理由"}
        if method == "transfer_out":
            given["recipient"] = self.other(account).department
        refusal = self.attempt(account, "certificates", method, identifier=identifier, **given)
        starts, target = STEPS[method]
        if self.model[identifier][-1][1] not in starts:
            assert refusal == "STATUS_FORBIDS"
            return
        assert refusal is None
        if target == "before":
            target = self.model[identifier][-2][1]
        self.model[identifier].append((self.office.time_ms, target))
        (self.offered.add if method == "transfer_out" else self.offered.discard)(identifier)

    def other(self, account: Any) -> Any:
        return self.office.other_issuer if account is self.office.issuer else self.office.issuer

    @rule(identifier=known, status=st.sampled_from(["01", "02", "03", "04", "05", "06", "07", "99", "zz"]))
    def revoke(self, identifier: str, status: str) -> None:
        account = self.issuers[identifier]
        refusal = self.attempt(account, "certificates", "revoke", identifier=identifier, status=status, reason="理由")
        if status not in REVOKED_TO:
            assert refusal == "STATUS_NOT_REACHABLE"
        elif self.model[identifier][-1][1] in REVOKED_FROM:
            assert refusal is None
            self.model[identifier].append((self.office.time_ms, status))
        else:
            assert refusal == "STATUS_FORBIDS"

    @rule(target=known, identifier=known, method=st.sampled_from(sorted(SUCCEEDED_FROM)))
    def succeed(self, identifier: str, method: str) -> Any:
        account = self.issuers[identifier]
        if method == "transfer_in":
            account = self.other(account)
        arguments = self.arguments(account, self.serial + 1)
        refusal = self.attempt(account, "certificates", method, predecessor=identifier, reason="接替", **arguments)
        if method == "transfer_in" and identifier not in self.offered:
            assert refusal == "NOT_OFFERED"
        elif identifier in self.successors:
            assert refusal == "ALREADY_SUCCEEDED"
        elif self.model[identifier][-1][1] != SUCCEEDED_FROM[method]:
            assert refusal == "STATUS_FORBIDS"
        else:
            assert refusal is None
            self.serial += 1
            successor: str = arguments["identifier"]
            self.put_successor(identifier, successor, account, self.office.time_ms)
            return successor
        return multiple()

    def put_successor(self, identifier: str, successor: str, account: Any, since_ms: int) -> None:
        self.successors[identifier] = successor
        self.offered.discard(identifier)
        self.model[identifier].append((self.office.time_ms, "05"))
        self.model[successor] = [(since_ms, "01")]
        self.issuers[successor] = account

    @rule(target=members)
    def issue_batch(self) -> Any:
        contents = self.office.batch_contents(self.serial + 1, BATCH_SIZE, valid_from_ms=0, valid_to_ms=1)
        named = self.office.issue_batch(contents)
        self.serial += BATCH_SIZE
        for one in named:
            self.waiting[one["content"].identifier] = (self.office.time_ms, one)
        return multiple(*named)

    @rule(member=members)
    def issue_a_member_alone(self, member: Any) -> None:
        identifier = member["content"].identifier
        arguments = self.office.certificate_arguments(identifier=identifier)
        expected = "SERIAL_IN_BATCH" if identifier in self.waiting else "CERTIFICATE_EXISTS"
        assert self.attempt(self.office.issuer, "certificates", "issue", **arguments) == expected

    @rule(target=known, member=members)
    def admit(self, member: Any) -> Any:
        identifier: str = member["content"].identifier
        refusal = self.attempt(self.office.issuer, "batches", "admit", **member)
        if identifier not in self.waiting:
            assert refusal == "CERTIFICATE_EXISTS"
            return multiple()
        assert refusal is None
        since_ms, _ = self.waiting.pop(identifier)
        self.model[identifier] = [(since_ms, "01")]
        self.issuers[identifier] = self.office.issuer
        return identifier

    @rule(target=known, member=members, identifier=known)
    def renew_into_a_batch(self, member: Any, identifier: str) -> Any:
        successor: str = member["content"].identifier
        refusal = self.attempt(self.office.issuer, "batches", "renew", predecessor=identifier, reason="延续", **member)
        if self.issuers[identifier] is not self.office.issuer:
            assert refusal == "OTHER_DEPARTMENT"
        elif successor not in self.waiting:
            assert refusal == "CERTIFICATE_EXISTS"
        elif identifier in self.successors:
            assert refusal == "ALREADY_SUCCEEDED"
        elif self.model[identifier][-1][1] != "01":
            assert refusal == "STATUS_FORBIDS"
        else:
            assert refusal is None
            since_ms, _ = self.waiting.pop(successor)
            self.put_successor(identifier, successor, self.office.issuer, since_ms)
            return successor
        return multiple()

    def record(self, identifier: str) -> CertificateRecord:
        record = load_certificate(self.office.state, identifier)
        assert record is not None
        return record

    @invariant()
    def links_go_both_ways(self) -> None:
        for identifier in self.model:
            record = self.record(identifier)
            assert record.successor == self.successors.get(identifier, "")
            assert bool(record.recipient) == (identifier in self.offered)
            if record.successor:
                assert self.record(record.successor).predecessor == identifier
            if record.predecessor:
                assert self.successors[record.predecessor] == identifier

    @invariant()
    def status_at_any_time_is_the_interval_around_it(self) -> None:
        for identifier, statuses in self.model.items():
            record = self.record(identifier)
            assert (record.issued_ms, record.status) == (statuses[0][0], statuses[-1][1])
            assert len(record.history) <= certificate_records.MAX_RECORD_INTERVALS
            assert status_at(record, statuses[0][0] - 1).verdict == "NOT_YET_ISSUED"
            ends = [*statuses[1:], (statuses[-1][0] + 2, "")]
            for (from_ms, status), (until_ms, _) in zip(statuses, ends, strict=True):
                for time_ms in (from_ms, until_ms - 1):
                    assert load_status(self.office.state, record, time_ms).status == status
                    page = load_history_page(self.office.state, record, time_ms)
                    assert (page is None) == (time_ms >= record.history[0].from_ms)
                    if page is not None:
                        with pytest.raises(HistoryPageNeeded):
                            status_at(record, time_ms)

    @invariant()
    def members_without_a_record_are_as_issued(self) -> None:
        for identifier, (since_ms, named) in self.waiting.items():
            assert load_certificate(self.office.state, identifier) is None
            assert self.office.view("batches", "admitted", batch=named["batch"], position=named["position"]) == ""
            for time_ms, status in ((since_ms - 1, ""), (since_ms, "01"), (self.office.time_ms, "01")):
                assert self.office.view("batches", "status", time_ms=time_ms, **named).status == status


def test_certificates_live_by_their_table_whatever_is_tried(make_bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    # Short records, so that a few changes fill pages.
    monkeypatch.setattr(certificate_records, "MAX_RECORD_INTERVALS", 3)
    monkeypatch.setattr(certificate_records, "PAGE_INTERVALS", 2)
    machine: Any = type("BoundCertificateLife", (CertificateLife,), {"bench_class": make_bench})
    run_state_machine_as_test(machine, settings=settings(max_examples=25, stateful_step_count=30, deadline=None))
