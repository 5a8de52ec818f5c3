"""What `/gov/records` of a gateway shows: to parties their own reads, to auditors what their query says, and who was shown what."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from typing import Any, cast
from urllib.parse import quote

import httpx
import msgspec
import pytest

from node.chain.transaction import address_of
from sdk.access_recording.shown_book import ShownBook
from sdk.gateway.consumer import Case
from sm_crypto.keystore import Signer
from sm_crypto.sm2 import PrivateKey
from tests.sdk.gateway.conftest import GatewayOffice, own_page
from tests.sdk.gateway.grant_records import PROVIDER
from verification.access.query_scope import QueryScope, scope_text
from verification.access.reads import draft_of

CASE = Case("2026-抵-1", "抵押")


def records(office: GatewayOffice, signer: Signer, query: str = "", **headers: str) -> httpx.Response:
    return own_page(office, signer, "/gov/records" + query, **headers)


def test_records_are_for_parties_and_for_auditors_whose_query_is_recorded(
    office: GatewayOffice, auditor: Signer
) -> None:
    office.put_grant()
    with office.consumer() as consumer:
        for _ in range(3):
            consumer.read("/owners/1", CASE)
    found = records(office, office.signer, "?first=2&limit=1").json()
    assert (found["last_number"], found["next"], len(found["reads"])) == (3, 3, 1)
    assert (
        httpx.get(office.url + "/gov/records", trust_env=False, verify=False, timeout=60).json()["code"]
        == "SIGNATURE_REQUIRED"
    )
    assert records(office, office.signer, "?grant=00").json()["code"] == "PARAMETER_INVALID"
    assert records(office, office.signer, "?all=1").json()["code"] == "PARAMETER_INVALID"
    assert records(office, auditor).json()["code"] == "QUERY_NOT_RECORDED"
    asked: list[int] = []

    def query_recorded_ms(call: dict[str, Any]) -> dict[str, Any]:
        if call["params"].get("method") != "query_recorded_ms":
            return cast(dict[str, Any], plain(call))
        given = call["params"]["arguments"]
        asked.append(int(given["number"]))
        is_it = asked[-1] == 7 and given["digest"] == "0x" + recorded.digest().hex()
        return {"jsonrpc": "2.0", "id": call["id"], "result": str(office.node.chain.time_ms if is_it else 0)}

    plain, office.node.rpc = office.node.rpc, query_recorded_ms
    now_ms = time.time_ns() // 1_000_000
    recorded = QueryScope(0, now_ms + 60_000, (PROVIDER,), bytes(32))
    named = {"Gov-Audit-Query": "7", "Gov-Audit-Scope": scope_text(recorded)}
    assert len(records(office, auditor, **named).json()["reads"]) == 3
    assert records(office, auditor, **named | {"Gov-Audit-Query": "8"}).json()["code"] == "QUERY_NOT_RECORDED"
    # The query opens what it asks for: not other times, nor other departments' recorders.
    for changes in ({"from_ms": 1}, {"recorded_by": ()}):
        other = scope_text(msgspec.structs.replace(recorded, **changes))
        assert records(office, auditor, **named | {"Gov-Audit-Scope": other}).json()["code"] == "QUERY_NOT_RECORDED"
    recorded = QueryScope(0, now_ms + 60_000, ("11990100MB0000009X",), bytes(32))
    elsewhere = named | {"Gov-Audit-Scope": scope_text(recorded)}
    assert records(office, auditor, **elsewhere).json()["code"] == "QUERY_NOT_RECORDED"
    recorded = QueryScope(0, 1, (), bytes(32))
    assert records(office, auditor, **named | {"Gov-Audit-Scope": scope_text(recorded)}).json()["reads"] == []
    # And who was shown what is noted.
    book = ShownBook(office.parts.recorder.store.path).newest(10)
    shown = {(one.account, one.query, one.reads, one.first_number, one.last_number, one.answers) for one in book}
    assert shown == {
        (address_of(auditor.public_key), 7, 3, 1, 3, 1),
        (address_of(office.signer.public_key), 0, 1, 2, 2, 1),
    }
    stranger = Signer(PrivateKey.generate())
    assert records(office, stranger).json()["code"] == "ACCOUNT_UNKNOWN"


def test_what_is_in_an_archive_that_is_away_is_named_without_its_place(office: GatewayOffice) -> None:
    office.put_grant()
    with office.consumer() as consumer:
        for _ in range(2):
            consumer.read("/owners/1", CASE)
    with closing(sqlite3.connect(office.parts.recorder.store.path)) as database, database:
        database.execute("INSERT INTO archives VALUES (1, 1, 1, 1, 0, ?, '/vault/tape-7/reads.sqlite')", (2**53,))
    for target in ("/gov/records", "/gov/receipts/1"):
        answer = own_page(office, office.signer, target)
        assert (answer.status_code, answer.json()["code"]) == (503, "ARCHIVE_MISSING")
        assert "vault" not in answer.text
        assert "归档" in answer.json()["zh"]
    assert len(records(office, office.signer, "?first=2").json()["reads"]) == 1
    assert own_page(office, office.signer, "/gov/receipts/2").status_code == 200


def test_a_party_is_not_told_when_reads_of_others_were(office: GatewayOffice, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sdk.gateway.shown_records.MAX_SCANNED", 1)
    office.put_grant()
    with office.consumer() as consumer:
        consumer.read("/owners/1", CASE)
    draft = draft_of(office.reads()[0])
    others = msgspec.structs.replace(draft.sharing, consumer="11990100MB00000099")
    for _ in range(2):
        office.node.chain.time_ms += 1_000
        office.parts.recorder.record(msgspec.structs.replace(draft, sharing=others))
    times = [read.read_ms for read in office.reads()]
    told = [records(office, office.signer, f"?from_ms={since_ms}").json() for since_ms in times]
    assert [(len(answer["reads"]), answer["next"]) for answer in told] == [(1, 2), (0, 2), (0, 2)]


def test_a_party_sees_no_reads_of_others(office: GatewayOffice) -> None:
    office.put_grant()
    with office.consumer() as consumer:
        consumer.read("/owners/1", CASE)
    draft = draft_of(office.reads()[0])
    others = msgspec.structs.replace(draft.sharing, consumer="11990100MB00000099")
    office.parts.recorder.record(msgspec.structs.replace(draft, sharing=others))
    assert len(records(office, office.signer).json()["reads"]) == 1
    assert len(records(office, Signer(office.node.chain.clerk)).json()["reads"]) == 2
    # Nor by where an answer ends which cases and persons others read about.
    divorce = msgspec.structs.replace(draft.case, case_number="2026-9")
    for _ in range(2):
        office.parts.recorder.record(msgspec.structs.replace(draft, sharing=others, case=divorce))
    for query in ("?case=2026-9&limit=1", "?case=2026-8&limit=1"):
        answer = records(office, office.signer, query).json()
        assert (answer["reads"], answer["next"]) == ([], None), query
    assert records(office, office.signer, "?case=2026-9&limit=0").json()["code"] == "PARAMETER_INVALID"
    office.parts.recorder.record(draft)
    found = records(office, office.signer, f"?case={quote(draft.case.case_number)}&limit=1").json()
    assert (len(found["reads"]), found["next"]) == (1, 5)
    clerks = Signer(office.node.chain.clerk)
    assert len(records(office, clerks, "?case=2026-9").json()["reads"]) == 2
