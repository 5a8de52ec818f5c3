"""The department that fetches records its side of it: an audit finds what the issuer recorded there too, and nothing differs."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from contracts.data_sharing.access import DENIED, IRREGULAR, SERVED
from contracts.fields import MAX_TIME_MS
from sdk.access_recording.policy import RecordingPolicy
from sdk.access_recording.recorder import Recorder
from sdk.certificate_sharing import asking
from sdk.certificate_sharing.asking import send_authorisation
from sdk.certificate_sharing.recorded_fetch import fetch_recorded
from sdk.errors import NodeUnreachable, RequestRefused
from sm_crypto.sm3 import sm3
from tests.sdk.certificate_sharing.conftest import make_grant
from verification.access.reads import CONSUMER_SIDE, Read, decode_read
from verification.access.reconciliation import Reconciliation, reconcile
from verification.access.trace_filter import TraceFilter
from verification.access.trace_verdict import BatchFact
from verification.errors import InputError

FETCH = "sdk.certificate_sharing.recorded_fetch"
ISSUER, CONSUMER = "11990100MB0000002X", "11990100MB00000031"
EDGE_MS, HOUR_MS = 60_000, 3_600_000
Run = Callable[..., tuple[int, Any, str]]


class Recipient:
    """A department that fetches and records, from an issuer whose service is at `service`."""

    def __init__(self, sharing: Any, service: str, recorder: Recorder) -> None:
        self.sharing, self.service, self.recorder = sharing, service, recorder

    def fetch(self, asked: Any) -> Any:
        sharing = self.sharing
        return fetch_recorded(
            self.service, sharing.consumer, sharing.fetcher, asked, [sharing.root], recorder=self.recorder
        )

    def reads(self) -> list[Read]:
        return [decode_read(raw) for raw in self.recorder.store.encoded_reads(1, 2**62)]

    def reconciled(self) -> Reconciliation:
        return reconciled([*self.sharing.reads(), *self.reads()])


@pytest.fixture
def recipient(sharing: Any, service: str, tmp_path: Path) -> Any:
    with Recorder(tmp_path / "own.sqlite", CONSUMER, sharing.consumer.address, RecordingPolicy()) as recorder:
        yield Recipient(sharing, service, recorder)


def reconciled(reads: list[Read]) -> Reconciliation:
    """How an audit sees these, where both departments' streams cover the time."""
    now_ms = time.time_ns() // 1_000_000
    batches = [
        BatchFact(of, bytes([place]) * 20, 1, 1, 9, now_ms - HOUR_MS, now_ms + HOUR_MS, MAX_TIME_MS, now_ms, True)
        for place, of in enumerate((ISSUER, CONSUMER))
    ]
    return reconcile(reads, batches, TraceFilter(0, MAX_TIME_MS), EDGE_MS)


def test_both_sides_of_a_fetch_are_alike(recipient: Recipient) -> None:
    sharing = recipient.sharing
    statement = sharing.statement()
    send_authorisation(recipient.service, statement)
    found = recipient.fetch(sharing.asked(statement))
    (read,) = recipient.reads()
    assert (read.side, read.outcome, read.details.result_digest) == (CONSUMER_SIDE, SERVED, sm3(found.raw))
    assert recipient.reconciled() == Reconciliation(1, 0, ())
    # Without this record the audit would ask why.
    assert [one.code for one in reconciled(sharing.reads()).differences] == ["ONE_SIDED"]
    # Sent again it is the same copy, and no other read.
    assert recipient.fetch(sharing.asked(statement)).raw == found.raw
    assert (len(recipient.reads()), recipient.reconciled()) == (1, Reconciliation(1, 0, ()))


def test_a_grant_of_fields_is_recorded_by_fields_on_both_sides(recipient: Recipient) -> None:
    sharing = recipient.sharing
    grant = make_grant(sharing.node, ("坐落", "面积"), "307013301/000002")
    statement = sharing.statement()
    send_authorisation(recipient.service, statement)
    recipient.fetch(sharing.asked(statement, grant=grant.hex()))
    (read,) = recipient.reads()
    assert read.details.columns == ("坐落",)
    assert recipient.reconciled() == Reconciliation(1, 0, ())


def test_a_refusal_is_recorded_with_its_code(recipient: Recipient) -> None:
    sharing = recipient.sharing
    statement = sharing.statement()
    send_authorisation(recipient.service, statement)
    with pytest.raises(RequestRefused):
        recipient.fetch(sharing.asked(statement, use_cause="营销"))
    (read,) = recipient.reads()
    assert (read.outcome, read.details.refusal) == (DENIED, "PURPOSE_DIFFERS")
    assert recipient.reconciled() == Reconciliation(1, 0, ())


@pytest.mark.parametrize("lost", ["ask_service", "check_answer"], ids=["on its way", "for want of the own node"])
def test_an_answer_that_was_not_taken_is_unanswered_until_it_is_asked_for_again(
    recipient: Recipient, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    sharing = recipient.sharing
    statement = sharing.statement()
    send_authorisation(recipient.service, statement)

    def lose(*given: Any) -> None:
        getattr(asking, lost)(*given)
        raise NodeUnreachable("SERVICE_UNREACHABLE", "断", "cut")

    with monkeypatch.context() as patch:
        patch.setattr(f"{FETCH}.{lost}", lose)
        with pytest.raises(NodeUnreachable):
            recipient.fetch(sharing.asked(statement))
    assert recipient.reconciled() == Reconciliation(0, 0, (), unanswered=1)
    recipient.fetch(sharing.asked(statement))
    assert [one.outcome for one in recipient.reads()] == [DENIED, SERVED]
    assert recipient.reconciled() == Reconciliation(1, 0, ())


def test_an_answer_that_is_not_taken_is_irregular(recipient: Recipient, monkeypatch: pytest.MonkeyPatch) -> None:
    sharing = recipient.sharing
    statement = sharing.statement()
    send_authorisation(recipient.service, statement)
    for answer in (b"{}", b"\xff"):
        monkeypatch.setattr(f"{FETCH}.ask_service", lambda *_, answer=answer: answer)
        with pytest.raises(InputError):
            recipient.fetch(sharing.asked(statement))
    assert [(one.outcome, one.details.refusal) for one in recipient.reads()] == [(IRREGULAR, "ANSWER_INVALID")] * 2
    assert [one.details.result_digest for one in recipient.reads()] == [sm3(b"{}"), sm3(b"\xff")]


@pytest.mark.parametrize(
    ("changes", "code"),
    [({"case_number": "990101199001011230"}, "IDENTITY_NUMBER"), ({"system": "系\u200b统"}, "REQUEST_MALFORMED")],
)
def test_what_no_record_may_have_is_not_asked(
    sharing: Any, recipient: Recipient, changes: dict[str, Any], code: str
) -> None:
    with pytest.raises(InputError) as refused:
        recipient.fetch(sharing.asked(sharing.statement(), **changes))
    assert (refused.value.code, recipient.reads(), sharing.reads()) == (code, [], [])


def test_another_departments_grant_is_not_recorded_under(sharing: Any, recipient: Recipient) -> None:
    sharing.consumer.own_department = lambda: ISSUER
    with pytest.raises(InputError) as refused:
        recipient.fetch(sharing.asked(sharing.statement()))
    assert (refused.value.code, recipient.reads()) == ("NOT_A_PARTY", [])


def test_the_command_records_in_the_own_store_and_on_the_ledger(
    sharing: Any, service: str, desk_folder: Path, run: Run, tmp_path: Path
) -> None:
    sharing.node.chain.time_ms = time.time_ns() // 1_000_000 + 5_000
    statement = sharing.statement()
    send_authorisation(service, statement)

    def fetch(out: str, store: str) -> tuple[int, Any, str]:
        named = [
            "--service",
            service,
            "--purpose",
            statement.purpose,
            "--grant",
            sharing.grant.hex(),
            "--case",
            "2026-1",
        ]
        named += ["--system", "抵押登记系统", "--trust", str(desk_folder / "trust.json"), "--url", sharing.node.url]
        signed = ["--key", desk_folder / "consumer.key", "--password-file", desk_folder / "password", "--json"]
        kept = ["--out", tmp_path / out, "--store", tmp_path / store]
        return run("cert", "fetch", statement.id, *named, *kept, *signed)

    status, shown, error = fetch("copy.json", "own.sqlite")
    assert (status, error, shown["is_open_to_audits"]) == (0, "", False)
    with Recorder(tmp_path / "own.sqlite", CONSUMER, sharing.consumer.address, RecordingPolicy()) as recorder:
        reads = [decode_read(raw) for raw in recorder.store.encoded_reads(1, 2**62)]
        assert recorder.store.last_recorded() is not None
    assert reconciled([*sharing.reads(), *reads]) == Reconciliation(1, 0, ())
    # Before anything is asked: the ledger has this account's reads in another store.
    status, _, error = fetch("other.json", "other.sqlite")
    assert (status, "STORE_FORKED" in error, (tmp_path / "other.json").exists()) == (1, True, False)
    assert len(sharing.reads()) == 1
