"""What either side of a fetch has in its access records: the same id, items and digests on both, so that an audit finds them alike."""

from __future__ import annotations

import secrets
from typing import Final

import msgspec

from contracts.data_sharing.access import DENIED, SERVED
from contracts.data_sharing.sharing import RequestRecord
from sdk.access_recording.recorder import Recorder
from sdk.certificate_sharing.exchange import SharingRequest
from sm_crypto.sm3 import sm3
from verification.access.reads import (
    NO_DIGEST,
    READ_NONCE_BYTES,
    SALT_BYTES,
    CasePart,
    Details,
    ReadDraft,
    SharingPart,
    Subject,
    decode_read,
    read_id,
)
from verification.authorisations import Authorisation
from verification.certificate_files.document import DocumentCore
from verification.errors import InputError

OPERATION: Final = "POST /certificates/fetch"


def draft_fetch(
    side: str, asked: SharingRequest, grant: RequestRecord, account: bytes, request: bytes, now_ms: int
) -> ReadDraft:
    """Return what a side records of a request that is refused, but for the code: not whose certificate it was about.

    The digest of a request (`request`), which has 16 random bytes of who sent it, lets nobody try out what it asked for. `account` is
    the 20-byte address of who asked, at a time in ms.
    """
    salts = secrets.token_bytes(4 * SALT_BYTES)
    sharing = SharingPart(grant.id, grant.resource, grant.provider, grant.consumer, account, asked.system, salts[16:32])
    details = Details(
        read_id(grant.id, account, request[:READ_NONCE_BYTES]),
        OPERATION,
        (),
        0,
        request,
        NO_DIGEST,
        0,
        0,
        now_ms,
        now_ms,
        "",
        salts[48:],
    )
    case = CasePart(asked.use_cause, "", asked.case_number, NO_DIGEST, salts[32:48])
    return ReadDraft(side, DENIED, Subject(NO_DIGEST, b"", salts[:16]), sharing, case, details)


def refused_fetch(draft: ReadDraft, code: str) -> ReadDraft:
    """Return what is recorded of a fetch that gave nothing out, for the reason of this code."""
    return msgspec.structs.replace(draft, details=msgspec.structs.replace(draft.details, refusal=code))


def served_fetch(draft: ReadDraft, columns: tuple[str, ...], raw: bytes, answered_ms: int) -> ReadDraft:
    """Return what is recorded of a copy (its bytes) that was handed out at a time in ms."""
    details = msgspec.structs.replace(
        draft.details,
        columns=columns,
        rows=1,
        result_digest=sm3(raw),
        result_bytes=len(raw),
        answered_ms=answered_ms,
    )
    return msgspec.structs.replace(draft, outcome=SERVED, details=details)


def granted_columns(grant: RequestRecord, statement: Authorisation, core: DocumentCore) -> tuple[str, ...]:
    """Return the grant's items that a copy is read as: the fields shown where it names fields, else the items that it is granted as.

    A resource may have the whole certificate as an item, of which the holder's statement says what is shown, or its fields as items:
    then a statement that shows others is refused, FIELDS_NOT_GRANTED, for the consumer may not have them whatever the holder says.
    """
    granted = grant.conditions.columns or grant.items
    if not {field.name for field in core.fields} & set(granted):
        return granted
    if beyond := [name for name in statement.fields if name not in granted]:
        raise InputError(
            "FIELDS_NOT_GRANTED",
            f"共享授权按字段给出，不含 {'、'.join(beyond)}：请持证人少出示这些字段，或另行申请授权",
            f"the grant is by fields and has none of {', '.join(beyond)}: have the holder show less, or ask for another grant",
        )
    return tuple(statement.fields)


def record_once(recorder: Recorder, draft: ReadDraft) -> int:
    """Record a fetch that gave something out, once however often its answer is asked for, and return its number in the stream."""
    store = recorder.store
    # Answered again after its read went to an archive, a request is a read of its own.
    for raw in store.find_reads(first=store.first_number(), read_id=draft.details.read_id):
        read = decode_read(raw)
        if (read.outcome, read.details.result_digest) == (draft.outcome, draft.details.result_digest):
            return read.number
    return recorder.record(draft).number
