"""Holders' authorisations: who may fetch what until when, and that every fetch is counted and none passes that the holder did not allow."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from contracts import authorisations, registry
from contracts.authorisations import MAX_FETCHES, NO_CODE
from sm_crypto.sm3 import sm3

DAY_MS = 86_400_000


def statement(bench: Any, **changes: Any) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        "authorisation": sm3(b"authorisation"),
        "recipient": bench.tax_bureau,
        "statement": sm3(b"statement"),
        "purpose": sm3(b"purpose"),
        "code": NO_CODE,
        "from_ms": bench.time_ms,
        "to_ms": bench.time_ms + DAY_MS,
        "max_fetches": 2,
    }
    return arguments | changes


def request(bench: Any, number: int = 1, **changes: Any) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        "authorisation": sm3(b"authorisation"),
        "requester": bench.requester.address,
        "purpose": sm3(b"purpose"),
        "code": NO_CODE,
        "request": sm3(b"request %d" % number),
        "result": sm3(b"result %d" % number),
    }
    return arguments | changes


@pytest.fixture
def office(bench: Any) -> Any:
    """The ledger with one authorisation: the tax bureau may fetch twice from the land bureau, for a day."""
    bench.accept(bench.issuer, "authorisations", "authorise", **statement(bench))
    return bench


def record_of(bench: Any) -> authorisations.AuthorisationRecord:
    found: authorisations.AuthorisationRecord = bench.view(
        "authorisations", "authorisation", issuer=bench.land_bureau, authorisation=sm3(b"authorisation")
    )
    return found


def is_authorised(bench: Any, recipient: str) -> bool:
    found: bool = bench.view(
        "authorisations",
        "is_authorised",
        issuer=bench.land_bureau,
        authorisation=sm3(b"authorisation"),
        recipient=recipient,
    )
    return found


def test_an_authorisation_is_recorded_and_asked_for(office: Any) -> None:
    record = record_of(office)
    assert (record.issuer, record.recipient, record.fetch_count) == (office.land_bureau, office.tax_bureau, 0)
    assert is_authorised(office, office.tax_bureau)
    assert not is_authorised(office, office.data_bureau)
    office.time_ms = record.to_ms + 1
    assert not is_authorised(office, office.tax_bureau)


def test_every_fetch_is_recorded_and_counted(office: Any) -> None:
    for number in (1, 2):
        result = office.accept(office.provider_recorder, "authorisations", "record_fetch", **request(office, number))
        assert int.from_bytes(result.output, "big") == number
        fields = registry.decode_log(result.logs[0]).fields
        assert (fields["requester"], fields["number"]) == (office.requester.address, number)
        fetch = office.view(
            "authorisations",
            "fetch",
            issuer=office.land_bureau,
            authorisation=sm3(b"authorisation"),
            number=number,
        )
        assert (fetch.request, fetch.result) == (sm3(b"request %d" % number), sm3(b"result %d" % number))
        assert fetch.fetched_ms == office.time_ms
    assert record_of(office).fetch_count == 2
    assert not is_authorised(office, office.tax_bureau)
    text = office.refuse(
        "AUTHORISATION_USED_UP", office.provider_recorder, "authorisations", "record_fetch", **request(office, 3)
    )
    assert "2" in text


def test_the_latest_fetch_again_changes_nothing(office: Any) -> None:
    office.accept(office.provider_recorder, "authorisations", "record_fetch", **request(office))
    before = dict(office.state)
    again = office.accept(office.provider_recorder, "authorisations", "record_fetch", **request(office))
    assert (int.from_bytes(again.output, "big"), again.logs) == (1, ())
    assert office.state == before
    office.accept(office.issuer, "authorisations", "withdraw", **withdrawal())
    # Not even what was fetched before is handed out once more.
    office.refuse(
        "AUTHORISATION_WITHDRAWN", office.provider_recorder, "authorisations", "record_fetch", **request(office)
    )


def withdrawal(**changes: Any) -> dict[str, Any]:
    return {"authorisation": sm3(b"authorisation"), "withdrawal": sm3(b"withdrawal")} | changes


def test_nothing_is_fetched_after_a_withdrawal(office: Any) -> None:
    office.accept(office.provider_recorder, "authorisations", "record_fetch", **request(office))
    office.accept(office.provider_recorder, "authorisations", "withdraw", **withdrawal())
    record = record_of(office)
    assert (record.withdrawn_ms, record.withdrawal) == (office.time_ms, sm3(b"withdrawal"))
    assert not is_authorised(office, office.tax_bureau)
    office.refuse(
        "AUTHORISATION_WITHDRAWN", office.provider_recorder, "authorisations", "record_fetch", **request(office, 2)
    )
    office.refuse("AUTHORISATION_WITHDRAWN", office.issuer, "authorisations", "withdraw", **withdrawal())


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        ("AUTHORISATION_UNKNOWN", {"authorisation": sm3(b"another")}),
        ("PURPOSE_DIFFERS", {"purpose": sm3(b"another")}),
        ("CODE_WRONG", {"code": sm3(b"123456")}),
        ("DIGEST_ZERO", {"request": bytes(32)}),
        ("DIGEST_ZERO", {"result": bytes(32)}),
        ("UNKNOWN_ACCOUNT", {"requester": bytes(20)}),
    ],
)
def test_a_fetch_that_was_not_allowed_is_refused(office: Any, code: str, changes: dict[str, Any]) -> None:
    office.refuse(code, office.provider_recorder, "authorisations", "record_fetch", **request(office) | changes)


def test_another_department_fetches_nothing(office: Any) -> None:
    office.refuse(
        "NOT_THE_RECIPIENT",
        office.provider_recorder,
        "authorisations",
        "record_fetch",
        **request(office, requester=office.provider_recorder.address),
    )
    # An account of the recipient whose duty is another.
    office.refuse(
        "ROLE_MISSING",
        office.provider_recorder,
        "authorisations",
        "record_fetch",
        **request(office, requester=office.other_approver.address),
    )
    # Nor can another department record fetches from this issuer, or withdraw.
    office.refuse("AUTHORISATION_UNKNOWN", office.recorder, "authorisations", "record_fetch", **request(office))
    office.refuse("AUTHORISATION_UNKNOWN", office.other_issuer, "authorisations", "withdraw", **withdrawal())


def test_a_fetch_lies_within_the_period(bench: Any) -> None:
    begin, end = bench.time_ms + 10_000, bench.time_ms + 20_000
    bench.accept(bench.issuer, "authorisations", "authorise", **statement(bench, from_ms=begin, to_ms=end))
    bench.refuse("AUTHORISATION_NOT_BEGUN", bench.provider_recorder, "authorisations", "record_fetch", **request(bench))
    bench.time_ms = end
    assert is_authorised(bench, bench.tax_bureau)
    bench.time_ms = end + 1
    bench.refuse("AUTHORISATION_EXPIRED", bench.provider_recorder, "authorisations", "record_fetch", **request(bench))


def test_a_one_time_code_is_asked_for_and_good_once(bench: Any) -> None:
    code = sm3(b"keyed code")
    bench.refuse("FETCHES_OUT_OF_RANGE", bench.issuer, "authorisations", "authorise", **statement(bench, code=code))
    bench.accept(bench.issuer, "authorisations", "authorise", **statement(bench, code=code, max_fetches=1))
    bench.refuse("CODE_WRONG", bench.provider_recorder, "authorisations", "record_fetch", **request(bench))
    bench.accept(bench.provider_recorder, "authorisations", "record_fetch", **request(bench, code=code))
    bench.refuse(
        "AUTHORISATION_USED_UP",
        bench.provider_recorder,
        "authorisations",
        "record_fetch",
        **request(bench, 2, code=code),
    )


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        ("DIGEST_ZERO", {"authorisation": bytes(32)}),
        ("DIGEST_ZERO", {"statement": bytes(32)}),
        ("DIGEST_ZERO", {"purpose": bytes(32)}),
        ("DATES_REVERSED", {"to_ms": 0}),
        ("PERIOD_OVER", {"from_ms": 1, "to_ms": 2}),
        ("FETCHES_OUT_OF_RANGE", {"max_fetches": 0}),
        ("FETCHES_OUT_OF_RANGE", {"max_fetches": MAX_FETCHES + 1}),
        ("DEPARTMENT_UNKNOWN", {"recipient": "11330100MB0000000X"}),
    ],
)
def test_an_authorisation_that_cannot_be_meant_is_refused(bench: Any, code: str, changes: dict[str, Any]) -> None:
    bench.refuse(code, bench.issuer, "authorisations", "authorise", **statement(bench) | changes)


def test_a_statement_counts_once_and_only_for_its_issuer(office: Any) -> None:
    office.refuse("AUTHORISATION_EXISTS", office.issuer, "authorisations", "authorise", **statement(office))
    # An id that another department has recorded is not taken by that.
    office.accept(office.other_issuer, "authorisations", "authorise", **statement(office))
    assert record_of(office).issuer == office.land_bureau
    office.refuse("ROLE_MISSING", office.approver, "authorisations", "authorise", **statement(office))


class Fetching(RuleBasedStateMachine):
    """Fetches, withdrawals and the passing of time in any order, beside a model of what the holder allowed."""

    make_bench: Any

    @initialize(count=st.integers(1, 3), hours=st.integers(1, 4))
    def authorise(self, count: int, hours: int) -> None:
        self.bench = type(self).make_bench()
        self.end_ms = self.bench.time_ms + hours * 3_600_000
        self.left, self.is_withdrawn, self.asked = count, False, 0
        self.bench.accept(
            self.bench.issuer,
            "authorisations",
            "authorise",
            **statement(self.bench, to_ms=self.end_ms, max_fetches=count),
        )

    @rule(minutes=st.integers(1, 90))
    def wait(self, minutes: int) -> None:
        self.bench.time_ms += minutes * 60_000

    @rule()
    def withdraw(self) -> None:
        result = self.bench.call(self.bench.issuer, "authorisations", "withdraw", **withdrawal())
        assert (result.refusal is None) is not self.is_withdrawn
        self.is_withdrawn = True

    @rule(account=st.sampled_from(["requester", "recorder", "publisher"]))
    def fetch(self, account: str) -> None:
        self.asked += 1
        arguments = request(self.bench, self.asked, requester=getattr(self.bench, account).address)
        result = self.bench.call(self.bench.provider_recorder, "authorisations", "record_fetch", **arguments)
        is_allowed = (
            account != "publisher" and not self.is_withdrawn and self.bench.time_ms <= self.end_ms and self.left > 0
        )
        assert (result.refusal is None) is is_allowed
        self.left -= is_allowed

    @invariant()
    def the_view_says_what_a_fetch_would_find(self) -> None:
        record = record_of(self.bench)
        assert record.max_fetches - record.fetch_count == self.left
        expected = not self.is_withdrawn and self.bench.time_ms <= self.end_ms and self.left > 0
        assert is_authorised(self.bench, self.bench.tax_bureau) is expected


def test_no_order_of_events_lets_more_through_than_the_holder_allowed(make_bench: Any) -> None:
    Fetching.make_bench = staticmethod(make_bench)
    run_state_machine_as_test(Fetching, settings=settings(max_examples=25, stateful_step_count=15, deadline=None))
