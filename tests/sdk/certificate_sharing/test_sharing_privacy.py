"""What authorised fetches tell to those who see the ledger, ask for what is not theirs, or guess."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from contracts.data_sharing.access import DENIED, SERVED
from contracts.identifiers import ROOT_OID, make_identifier
from explorer.auth import Caller
from explorer.data_sharing.api_access import show_access_record
from sdk.access import find_reads, person_commitment
from sdk.client import Client
from verification.authorisations import Authorisation
from verification.certificate_files.document import encode_file
from verification.errors import GovnodeError, InputError

ISSUER, CONSUMER = "11990100MB0000002X", "11990100MB00000031"
PURPOSE = "办理抵押登记"
SECRET, HOLDER_CODE = b"\7" * 32, "990101199001011234"


def ask(sharing: Any, desk: Any, statement: Authorisation, **changes: Any) -> str:
    """Return the code that the desk refuses a request of the recipient's department with, empty where it answers."""
    caller = Caller(sharing.consumer.address, CONSUMER, frozenset({"requester"}))
    try:
        desk.fetch(caller, msgspec.json.encode(sharing.asked(statement, **changes)))
    except GovnodeError as error:
        return error.code
    return ""


def shown_records(sharing: Any) -> list[dict[str, Any]]:
    """The access records as REST shows them."""
    services = SimpleNamespace(department_name=str)
    return [show_access_record(services, read) for read in sharing.reads()]  # type: ignore[arg-type]


def test_two_fetches_of_one_holder_have_nothing_in_common_on_the_ledger(sharing: Any) -> None:
    desk, first, second = sharing.desk(), sharing.statement(), sharing.another_certificate(CONSUMER)
    for statement in (first, second):
        desk.statements.authorise(encode_file(statement))
    assert ask(sharing, desk, first) == ""
    assert ask(sharing, desk, first, request_id="1" * 32) == ""
    assert ask(sharing, desk, second) == ""
    persons = [read.body.person for read in sharing.reads()]
    assert len(set(persons)) == 3
    # Nor is any of them what the department's other reads of this person have.
    assert person_commitment(SECRET, HOLDER_CODE) not in persons


def test_who_asks_for_what_is_not_theirs_learns_nothing_of_whose_it_is(sharing: Any) -> None:
    desk, own, other = sharing.desk(), sharing.statement(), sharing.another_certificate(ISSUER)
    for statement in (own, other):
        desk.statements.authorise(encode_file(statement))
    assert ask(sharing, desk, own) == ""
    assert ask(sharing, desk, other) == "NOT_THE_RECIPIENT"
    served, denied = (read.body for read in sharing.reads())
    assert (served.outcome, denied.outcome) == (SERVED, DENIED)
    assert served.person != denied.person


def test_an_auditor_finds_a_persons_fetches_with_the_issuers_help(sharing: Any) -> None:
    desk, first, second = sharing.desk(), sharing.statement(), sharing.another_certificate(CONSUMER)
    for statement in (first, second):
        desk.statements.authorise(encode_file(statement))
        assert ask(sharing, desk, statement) == ""
    records = shown_records(sharing)
    found = find_reads(records, SECRET, HOLDER_CODE)
    assert [one["number"] for one in found] == [one["number"] for one in records] == [1, 2]
    for one in found:
        # What the issuer hands to the auditor opens this record, and no other.
        key = bytes.fromhex(one["person_key"].removeprefix("0x"))
        assert person_commitment(key, HOLDER_CODE).hex() == one["person"].removeprefix("0x")
        assert key != SECRET
    assert len({one["person_key"] for one in found}) == 2
    assert find_reads(records, SECRET, "990101199001011235") == []
    assert find_reads(records, bytes(32), HOLDER_CODE) == []


def test_the_command_traces_one_person(
    sharing: Any, desk_folder: Any, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk, statement = sharing.desk(), sharing.statement()
    desk.statements.authorise(encode_file(statement))
    assert ask(sharing, desk, statement) == ""
    monkeypatch.setattr(Client, "get_all", lambda *_, **__: shown_records(sharing))
    person = desk_folder / "person"
    for code, count in ((HOLDER_CODE, 1), ("990101199001011235", 0)):
        person.write_text(f"{code}\n", "utf-8")
        status, traced, error = run(
            *("audit", "trace", "--url", sharing.node.url, "--json"),
            *("--person-file", person, "--holder-secret", desk_folder / "secret"),
            *("--key", desk_folder / "recorder.key", "--password-file", desk_folder / "password"),
        )
        assert (status, error, len(traced["items"])) == (0, "", count)


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
