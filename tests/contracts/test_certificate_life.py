"""The life of certificates under any order of operations, against a model of the default code table."""

from __future__ import annotations

from typing import Any

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

from contracts import certificates
from contracts.certificates import CertificateRecord, status_at

# Which status each operation starts from and leads to in the default table; revoke takes its target.
FROM = {"suspend": {"01"}, "resume": {"02"}, "revoke": {"01", "02", "99"}, "renew": {"01"}}
REVOKED_TO = {"03", "04", "06", "07"}


class CertificateLife(RuleBasedStateMachine):
    """Issues, renews and changes certificates; the model keeps each one's statuses with their times, and its links."""

    bench_class: Any = None
    known: Bundle[str] = Bundle("known")

    @initialize()
    def begin(self) -> None:
        self.office = self.bench_class()
        self.office.register_type()
        self.serial = 0
        self.model: dict[str, list[tuple[int, str]]] = {}
        self.successors: dict[str, str] = {}

    def attempt(self, method: str, **arguments: Any) -> str | None:
        self.office.time_ms += 100
        refusal: str | None = self.office.call(self.office.issuer, "certificates", method, **arguments).refusal
        return refusal

    @rule(target=known)
    def issue(self) -> str:
        self.serial += 1
        arguments = self.office.certificate_arguments(f"{self.serial:06d}")
        assert self.attempt("issue", **arguments) is None
        self.model[arguments["identifier"]] = [(self.office.time_ms, "01")]
        identifier: str = arguments["identifier"]
        return identifier

    @rule(identifier=known)
    def issue_again(self, identifier: str) -> None:
        assert self.attempt("issue", **self.office.certificate_arguments(identifier=identifier)) == "CERTIFICATE_EXISTS"

    @rule(identifier=known, method=st.sampled_from(["suspend", "resume"]))
    def suspend_or_resume(self, identifier: str, method: str) -> None:
        refusal = self.attempt(method, identifier=identifier, reason="理由")
        if self.model[identifier][-1][1] in FROM[method]:
            assert refusal is None
            self.model[identifier].append((self.office.time_ms, "02" if method == "suspend" else "01"))
        else:
            assert refusal == "STATUS_FORBIDS"

    @rule(identifier=known, status=st.sampled_from(["01", "02", "03", "04", "05", "06", "07", "99", "zz"]))
    def revoke(self, identifier: str, status: str) -> None:
        refusal = self.attempt("revoke", identifier=identifier, status=status, reason="理由")
        if status not in REVOKED_TO:
            assert refusal == "STATUS_NOT_REACHABLE"
        elif self.model[identifier][-1][1] in FROM["revoke"]:
            assert refusal is None
            self.model[identifier].append((self.office.time_ms, status))
        else:
            assert refusal == "STATUS_FORBIDS"

    @rule(target=known, identifier=known)
    def renew(self, identifier: str) -> Any:
        arguments = self.office.certificate_arguments(f"{self.serial + 1:06d}")
        refusal = self.attempt("renew", predecessor=identifier, reason="延续", **arguments)
        if identifier in self.successors:
            assert refusal == "ALREADY_SUCCEEDED"
            return multiple()
        if self.model[identifier][-1][1] not in FROM["renew"]:
            assert refusal == "STATUS_FORBIDS"
            return multiple()
        assert refusal is None
        self.serial += 1
        self.successors[identifier] = arguments["identifier"]
        self.model[identifier].append((self.office.time_ms, "05"))
        self.model[arguments["identifier"]] = [(self.office.time_ms, "01")]
        return arguments["identifier"]

    def record(self, identifier: str) -> CertificateRecord:
        record = certificates.load_certificate(self.office.state, identifier)
        assert record is not None
        return record

    @invariant()
    def history_is_what_was_accepted(self) -> None:
        for identifier, statuses in self.model.items():
            assert [(interval.from_ms, interval.status) for interval in self.record(identifier).history] == statuses

    @invariant()
    def links_go_both_ways(self) -> None:
        for identifier in self.model:
            record = self.record(identifier)
            assert record.successor == self.successors.get(identifier, "")
            if record.successor:
                assert self.record(record.successor).predecessor == identifier
            if record.predecessor:
                assert self.successors[record.predecessor] == identifier

    @invariant()
    def status_at_any_time_is_the_interval_around_it(self) -> None:
        for identifier, statuses in self.model.items():
            record = self.record(identifier)
            assert status_at(record, statuses[0][0] - 1).verdict == "NOT_YET_ISSUED"
            for (from_ms, status), (until_ms, _) in zip(
                statuses, [*statuses[1:], (statuses[-1][0] + 2, "")], strict=True
            ):
                for time_ms in (from_ms, until_ms - 1):
                    found = status_at(record, time_ms)
                    assert (found.status, found.is_valid) == (status, status == "01")


def test_certificates_live_by_their_table_whatever_is_tried(make_bench: Any) -> None:
    machine: Any = type("BoundCertificateLife", (CertificateLife,), {"bench_class": make_bench})
    run_state_machine_as_test(machine, settings=settings(max_examples=30, stateful_step_count=25, deadline=None))
