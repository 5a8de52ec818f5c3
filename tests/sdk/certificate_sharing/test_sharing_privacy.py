"""What authorised fetches tell to those who see the ledger, ask for what is not theirs, or guess."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import httpx
import msgspec
import pytest

from contracts.data_sharing.access import DENIED, SERVED
from contracts.identifiers import ROOT_OID, make_identifier
from explorer.auth import Caller
from sdk.persons.numbers import PersonReference
from sm_crypto.sm3 import sm3
from verification.access.reads import NO_DIGEST
from verification.authorisations import Authorisation
from verification.certificate_files.document import encode_file
from verification.errors import GovnodeError, InputError

ISSUER, CONSUMER = "11990100MB0000002X", "11990100MB00000031"
PURPOSE = "办理抵押登记"
HOLDER_CODE = "990101199001011234"


def ask(sharing: Any, desk: Any, statement: Authorisation, **changes: Any) -> str:
    """Return the code that the desk refuses a request of the recipient's department with, empty where it answers."""
    caller = Caller(sharing.consumer.address, CONSUMER, frozenset({"requester"}))
    try:
        desk.fetch(caller, msgspec.json.encode(sharing.asked(statement, **changes)))
    except GovnodeError as error:
        return error.code
    return ""


class Persons:
    """Stands in for the auditing authority's service: one commitment for each person."""

    def find(self, person: Any) -> PersonReference:
        return PersonReference(sm3(repr(person).encode()))


def test_an_auditor_finds_a_persons_fetches_by_the_authoritys_commitment(
    sharing: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The holder's number is made up, down to its check character.
    monkeypatch.setattr("sdk.certificate_sharing.desk.normal_person", lambda code, code_type: (code, code_type))
    desk, first, second = sharing.desk(), sharing.statement(), sharing.another_certificate(CONSUMER)
    desk._persons = Persons()
    for statement in (first, second):
        desk.statements.authorise(encode_file(statement))
        assert ask(sharing, desk, statement) == ""
    commitment = sm3(repr((HOLDER_CODE, "111")).encode())
    assert [read.subject.person for read in sharing.reads()] == [commitment, commitment]
    assert len(sharing.recorder.store.find_reads(person=commitment)) == 2


def test_without_the_authoritys_service_records_name_nobody(sharing: Any) -> None:
    desk, statement = sharing.desk(), sharing.statement()
    desk.statements.authorise(encode_file(statement))
    assert ask(sharing, desk, statement) == ""
    (raw,) = sharing.recorder.store.encoded_reads(1, 1)
    assert HOLDER_CODE.encode() not in raw
    assert sharing.reads()[0].subject.person == NO_DIGEST


def test_records_of_fetches_are_for_auditors_who_recorded_their_query_and_for_parties(
    sharing: Any, service: str
) -> None:
    desk, statement = sharing.desk(), sharing.statement()
    desk.statements.authorise(encode_file(statement))
    assert ask(sharing, desk, statement) == ""
    caller = Caller(sharing.consumer.address, CONSUMER, frozenset({"requester"}))
    assert len(desk.show_records(caller, {}, {})["reads"]) == 1
    stranger = Caller(bytes(20), "11990100MB00000099", frozenset())
    assert desk.show_records(stranger, {}, {})["reads"] == []
    with pytest.raises(GovnodeError) as refused:
        desk.show_records(Caller(bytes(20), ISSUER, frozenset({"auditor"})), {}, {"Gov-Audit-Query": "7"})
    assert refused.value.code == "QUERY_NOT_RECORDED"
    assert (
        httpx.get(f"{service}/gov/records", trust_env=False, verify=False, timeout=60).json()["code"]
        == "SIGNATURE_REQUIRED"
    )


def test_who_asks_for_what_is_not_theirs_learns_nothing_of_whose_it_is(sharing: Any) -> None:
    desk, own, other = sharing.desk(), sharing.statement(), sharing.another_certificate(ISSUER)
    for statement in (own, other):
        desk.statements.authorise(encode_file(statement))
    assert ask(sharing, desk, own) == ""
    assert ask(sharing, desk, other) == "NOT_THE_RECIPIENT"
    served, denied = sharing.reads()
    assert (served.outcome, denied.outcome) == (SERVED, DENIED)
    assert denied.subject.person == NO_DIGEST
    # Nor is there a word of it in what the ledger has of the stream.
    assert denied.details.columns == ()


def refused_text(sharing: Any, desk: Any, statement: Authorisation, **changes: Any) -> tuple[str, str, str]:
    caller = Caller(sharing.consumer.address, CONSUMER, frozenset({"requester"}))
    with pytest.raises(GovnodeError) as refused:
        desk.fetch(caller, msgspec.json.encode(sharing.asked(statement, **changes)))
    return refused.value.code, refused.value.zh, refused.value.en


def test_hidden_values_cannot_be_found_by_trying(sharing: Any) -> None:
    desk, statement = sharing.desk(), sharing.statement()
    desk.statements.authorise(encode_file(statement))
    # Which of the two is wrong does not show, nor that one of them is right.
    told = {
        refused_text(sharing, desk, statement, holder_code=holder, holder_type_code=kind, request_id=f"{place:032}")
        for place, (holder, kind) in enumerate([(HOLDER_CODE, "999"), ("990101199001011235", "111"), ("1", "999")])
    }
    assert len(told) == 1
    for place in (3, 4):
        assert ask(sharing, desk, statement, cert_no="guess", request_id=f"{place:032}") == "REQUEST_DIFFERS"
    # Five guesses end it, across restarts, whatever is asked next.
    assert ask(sharing, sharing.desk(), statement, holder_code=HOLDER_CODE) == "AUTHORISATION_LOCKED"


def test_nobody_compares_values_before_the_code_was_right(sharing: Any) -> None:
    desk, now_ms = sharing.desk(), sharing.node.chain.time_ms
    statement = desk.statements.authorise_by_code(
        sharing.document.core.identifier,
        "24681357",
        recipient=CONSUMER,
        purpose=PURPOSE,
        fields=[],
        attachments=[],
        from_ms=now_ms,
        to_ms=now_ms + 86_400_000,
    )
    for place, code in enumerate(("", "12345678")):
        for holder in (HOLDER_CODE, "990101199001011235"):
            asked = {"code": code, "holder_code": holder, "request_id": f"{place:032}"}
            assert ask(sharing, desk, statement, **asked) == "CODE_WRONG"
    assert ask(sharing, desk, statement, code="24681357", holder_code="1") == "REQUEST_DIFFERS"
    assert ask(sharing, desk, statement, code="24681357", holder_code=HOLDER_CODE) == ""


def test_a_refused_statement_tells_nobody_whether_there_is_such_a_certificate(
    sharing: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    statements, signed = sharing.desk().statements, sharing.statement()
    waits: list[float] = []
    monkeypatch.setattr("sdk.certificate_sharing.statements.REFUSAL_S", 2.0)
    monkeypatch.setattr(
        "sdk.certificate_sharing.statements.time", SimpleNamespace(monotonic=lambda: 7.0, sleep=waits.append)
    )
    unknown = make_identifier("11100000MB03271699001", ISSUER, "20269999999")
    changes: list[tuple[str, dict[str, Any]]] = [
        ("DOCUMENT_CHANGED", {"document_digest": "ab" * 32}),
        ("ANOTHER_NETWORK", {"genesis": "ab" * 32}),
    ]
    for code, changed in changes:
        texts = set()
        for held in (signed.identifier, unknown):
            guess = msgspec.structs.replace(signed, identifier=held, **changed)
            with pytest.raises(InputError) as refused:
                statements.authorise(encode_file(guess))
            texts.add((refused.value.code, refused.value.zh.replace(held, ""), refused.value.en.replace(held, "")))
        assert [one[0] for one in texts] == [code]
    # Looked for or not, the answer comes after the same time.
    assert waits == [2.0, 2.0]
    for held in (signed.identifier, unknown):
        guess = msgspec.structs.replace(signed, identifier=held.removeprefix(ROOT_OID), document_digest="ab" * 32)
        with pytest.raises(InputError) as refused:
            statements.authorise(encode_file(guess))
        assert refused.value.code == "AUTHORISATION_MALFORMED"
