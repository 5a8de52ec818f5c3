"""Access records: appending reads to an account's stream, and checking what an auditor was shown."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from contracts.data_sharing.access import DENIED, IRREGULAR, SERVED, AccessBody, record_digest
from sdk.client import Client, FinalReceipt
from sm_crypto.sm3 import hmac_sm3

NO_RESULT: Final = bytes(32)
_DIGESTS: Final = ("recorder", "previous_digest", "grant", "person", "query_digest", "result_digest")
_NUMBERS: Final = ("number", "rows", "outcome", "read_ms")
OUTCOME_CODES: Final = {"served": SERVED, "denied": DENIED, "irregular": IRREGULAR}


class Read(msgspec.Struct, frozen=True):
    """One read to record; digests and the commitment to the person are 32 bytes, `read_ms` None means now."""

    grant: bytes
    person: bytes
    system: str
    case_number: str
    query_digest: bytes
    result_digest: bytes
    rows: int
    outcome: int
    read_ms: int | None = None


class RecordedRead(msgspec.Struct, frozen=True):
    """A read on the ledger: its number and digest in the account's stream."""

    number: int
    digest: bytes
    receipt: FinalReceipt


class Finding(msgspec.Struct, frozen=True):
    """Something wrong in what a node showed: which record, and what about it."""

    department: str
    recorder: str
    number: int
    zh: str
    en: str


def person_commitment(secret: bytes, person: str) -> bytes:
    """Return the 32 bytes that stand for the person whose data was read, under a department's secret or a read's own key."""
    return hmac_sm3(secret, b"govnode/person/1\0" + person.encode("utf-8"))


def read_key(secret: bytes, query_digest: bytes) -> bytes:
    """Return the 32 bytes that key the commitment of one read alone: they open this record to an auditor, and no other."""
    return hmac_sm3(secret, b"govnode/read-key/1\0" + query_digest)


def find_reads(records: Sequence[dict[str, Any]], secret: bytes, person: str) -> list[dict[str, Any]]:
    """Return the records, of those that REST shows, whose data was this person's by a department's secret.

    One whose commitment has a key of its own carries it as `person_key`: with it anybody can compute the commitment.
    """
    found = []
    for record in records:
        key = read_key(secret, bytes.fromhex(record["query_digest"].removeprefix("0x")))
        stated = bytes.fromhex(record["person"].removeprefix("0x"))
        if stated == person_commitment(key, person):
            found.append({**record, "person_key": "0x" + key.hex()})
        elif stated == person_commitment(secret, person):
            found.append(record)
    return found


def record_read(client: Client, read: Read) -> RecordedRead:
    """Append a read to the signer's stream and return its place once it is final; raise CallRefused when it may not be recorded."""
    return send_read(client, plan_read(client, read))


def plan_read(client: Client, read: Read) -> AccessBody:
    """Return the record of a read as the next one of the signer's stream, not sent: whoever keeps it can send it again after a crash."""
    department = client.own_department()
    head = client.get(f"/access-streams/{department}/0x{client.address.hex()}")
    return AccessBody(
        department,
        client.address,
        int(head["number"]) + 1,
        bytes.fromhex(head["digest"].removeprefix("0x")),
        read.grant,
        read.person,
        read.system,
        read.case_number,
        read.query_digest,
        NO_RESULT if read.outcome == DENIED else read.result_digest,
        read.rows,
        read.outcome,
        time.time_ns() // 1_000_000 if read.read_ms is None else read.read_ms,
    )


def send_read(client: Client, body: AccessBody) -> RecordedRead:
    """Record a planned read, once however often it is sent; raise CallRefused, RECORD_REWRITTEN where another took its number."""
    stated = {name: getattr(body, name) for name in body.__struct_fields__ if name not in ("department", "recorder")}
    receipt = client.call("access", "record", **stated)
    return RecordedRead(body.number, record_digest(body), receipt)


def check_records(records: Sequence[dict[str, Any]]) -> list[Finding]:
    """Return what is wrong in records as REST shows them: a digest that is not the record's, a link that does not hold."""
    findings = []
    digests: dict[tuple[str, str, int], str] = {}
    for record in records:
        digests[record["department"], record["recorder"], record["number"]] = record["digest"]
        if record_digest(_body(record)) != bytes.fromhex(record["digest"].removeprefix("0x")):
            findings.append(_finding(record, "内容与其摘要不符", "its content is not that of its digest"))
    for record in records:
        previous = digests.get((record["department"], record["recorder"], record["number"] - 1))
        if previous is not None and previous != record["previous_digest"]:
            findings.append(_finding(record, "与前一条记录不衔接", "it does not continue the record before it"))
    return findings


def _body(record: dict[str, Any]) -> AccessBody:
    """Return what a record states, from its form in JSON: bytes as 0x and hex, large integers as decimal digits."""
    values = [record[name] for name in AccessBody.__struct_fields__]
    for index, name in enumerate(AccessBody.__struct_fields__):
        if name in _DIGESTS:
            values[index] = bytes.fromhex(values[index].removeprefix("0x"))
        elif name in _NUMBERS:
            values[index] = int(values[index])
    return AccessBody(*values)


def _finding(record: dict[str, Any], zh: str, en: str) -> Finding:
    return Finding(record["department"], record["recorder"], record["number"], zh, en)
