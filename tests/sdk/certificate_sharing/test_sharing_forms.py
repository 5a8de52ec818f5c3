"""Statements, requests and answers from outside: what is well-formed, and that anything else is told in one error."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sdk.certificate_sharing.exchange import decode_answer, decode_request, expiry_ms
from sdk.certificate_sharing.store import SharingStore
from verification.authorisations import decode_authorisation, decode_withdrawal
from verification.days import day_end_ms
from verification.errors import InputError

REQUEST: dict[str, Any] = {
    "useCause": "办理抵押登记",
    "grant": "ab" * 32,
    "caseNumber": "1",
    "system": "系统",
    "requestId": "0" * 32,
    "accessToken": "cd" * 32,
}
STATEMENT: dict[str, Any] = {
    "format": "govnode-authorisation/1",
    "genesis": "ab" * 32,
    "ZZBS": "1.2.156.3005.2.11100000MB03271699001.11990100MB0000002X.1.001.0",
    "document_digest": "ab" * 32,
    "id": "ab" * 32,
    "number": 0,
    "recipient": "11990100MB0000002X",
    "purpose": "用途",
    "fields": ["坐落"],
    "attachments": [],
    "from_ms": 1,
    "to_ms": 2,
    "max_fetches": 1,
    "salt": "ab" * 32,
    "signature": "",
}
WITHDRAWAL: dict[str, Any] = {
    "format": "govnode-authorisation-withdrawal/1",
    "genesis": "ab" * 32,
    "id": "ab" * 32,
    "made_ms": 1,
    "signature": "ab" * 64,
}
DECODERS: list[tuple[Callable[[bytes], Any], dict[str, Any], str]] = [
    (decode_request, REQUEST, "REQUEST_MALFORMED"),
    (decode_authorisation, STATEMENT, "AUTHORISATION_MALFORMED"),
    (decode_withdrawal, WITHDRAWAL, "AUTHORISATION_MALFORMED"),
]
JUNK = st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.lists(st.integers(), max_size=2)


def test_what_is_well_formed_is_taken() -> None:
    for decode, good, _ in DECODERS:
        assert decode(json.dumps(good).encode()) is not None


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_anything_else_gets_one_error(data: st.DataObject) -> None:
    decode, good, code = data.draw(st.sampled_from(DECODERS))
    name = data.draw(st.sampled_from([*good, "another"]))
    changed = data.draw(st.sampled_from(["drop", "junk", "bytes"]))
    raw = json.dumps({key: value for key, value in good.items() if key != name}).encode()
    if changed == "junk":
        raw = json.dumps({**good, name: data.draw(JUNK)}).encode()
    elif changed == "bytes":
        raw = data.draw(st.binary(max_size=60)) + raw[data.draw(st.integers(0, 40)) :]
    # What is taken after a change is well-formed too.
    refused = None
    try:
        decode(raw)
    except InputError as error:
        refused = error
    if refused is not None:
        assert refused.code == code
        assert refused.zh
        assert refused.en


@settings(max_examples=50, deadline=None)
@given(raw=st.binary(max_size=80) | JUNK.map(lambda junk: json.dumps(junk).encode()))
def test_an_answer_that_is_none_is_told_so(raw: bytes) -> None:
    with pytest.raises(InputError, match="not one of a certificate sharing interface"):
        decode_answer(raw)


@pytest.mark.parametrize(
    "changes",
    [
        {"useCause": ""},
        {"useCause": "x" * 201},
        {"useCause": " 用途"},
        {"accessToken": ""},
        {"certIdentifier": "1.2.3"},
        {"expiryTime": "2026-13-01"},
        {"expiryTime": "明天"},
        {"code": "1234"},
        {"code": "1234567\n"},
        {"requestId": "0" * 31 + "\n"},
        {"fileType": "exe"},
        {"caseNumber": ""},
    ],
)
def test_a_request_says_what_the_interface_needs(changes: dict[str, Any]) -> None:
    with pytest.raises(InputError) as refused:
        decode_request(json.dumps({**REQUEST, **changes}).encode())
    assert refused.value.code == "REQUEST_MALFORMED"


def test_an_expiry_is_a_day_or_a_moment_of_china() -> None:
    asked = decode_request(json.dumps(REQUEST).encode())
    assert expiry_ms(asked) is None
    whole = msgspec.structs.replace(asked, expiry_time="2026-11-30")
    assert expiry_ms(whole) == day_end_ms("2026-11-30")
    moment = msgspec.structs.replace(asked, expiry_time="2026-11-30 23:59:59")
    assert expiry_ms(moment) == day_end_ms("2026-11-30") - 999


def test_a_store_is_for_its_owner_and_another_file_is_none(tmp_path: Path) -> None:
    path = tmp_path / "sharing.sqlite"
    SharingStore(path).close()
    assert path.stat().st_mode & 0o777 == 0o600
    SharingStore(path).close()
    other = tmp_path / "other.sqlite"
    with sqlite3.connect(other) as database:
        database.execute("CREATE TABLE something (x)")
    database.close()
    text = tmp_path / "text"
    text.write_text("not a database, and long enough to be seen as none " * 20)
    for wrong in (other, text):
        with pytest.raises(InputError) as refused:
            SharingStore(wrong)
        assert refused.value.code == "STORE_INVALID"
