"""A fetch that the department that asks has in its own access records too, so that an audit finds it on both sides alike."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

import msgspec

from contracts.data_sharing.access import IRREGULAR
from contracts.data_sharing.sharing import RequestRecord
from sdk.access_recording.recorder import Recorder
from sdk.certificate_sharing.asking import FetchedCertificate, ask_service, check_answer
from sdk.certificate_sharing.exchange import SharingRequest, decode_answer, decode_request, request_digest
from sdk.certificate_sharing.fetch_reads import (
    draft_fetch,
    granted_columns,
    record_once,
    refused_fetch,
    served_fetch,
)
from sdk.client import Client
from sdk.errors import NodeUnreachable, RequestRefused
from sdk.system_contracts.sharing import Sharing
from sm_crypto.keystore import Signer
from sm_crypto.sm3 import sm3
from sm_crypto.x509 import Certificate
from verification.access.reads import CONSUMER_SIDE, ReadDraft
from verification.errors import GovnodeError, InputError

UNREACHABLE: Final = "GATEWAY_UNREACHABLE"
NO_ANSWERS: Final = {"ANSWER_TOO_SLOW": "ANSWER_TOO_SLOW", "NOT_A_SERVICE": "NOT_A_GATEWAY"}
"""What records call it when nothing came that could be taken, whatever was asked: reconciliation knows these codes, else UNREACHABLE."""


def fetch_recorded(
    service: str,
    client: Client,
    signer: Signer,
    asked: SharingRequest,
    roots: Sequence[Certificate] | None,
    recorder: Recorder,
) -> FetchedCertificate:
    """Return what fetch_certificate does, on disk in the records of the client's department before it is returned; raise as it does.

    What is refused, does not come or is not what was asked for is recorded too; the same request answered again is recorded once. Raises
    InputError REQUEST_MALFORMED, IDENTITY_NUMBER or NOT_A_PARTY, and asks nothing, for what cannot be recorded, and FIELDS_NOT_GRANTED.
    """
    body = msgspec.json.encode(asked)
    # As the issuer does, before any of it is recorded here.
    decode_request(body)
    grant = _own_grant(client, asked)
    draft = draft_fetch(CONSUMER_SIDE, asked, grant, client.address, request_digest(client.address, body), _now_ms())
    try:
        raw = ask_service(service, client, signer, body)
    except RequestRefused as error:
        recorder.record(refused_fetch(draft, error.code))
        raise
    except NodeUnreachable as error:
        recorder.record(refused_fetch(draft, NO_ANSWERS.get(error.code, UNREACHABLE)))
        raise
    try:
        found = check_answer(raw, client, body, asked, roots)
        columns = granted_columns(grant, found.answer.authorisation, found.copy.original.core)
    except NodeUnreachable:
        # The own node could not say whether to take it, so it was not taken: sent again, it is answered again.
        recorder.record(refused_fetch(draft, UNREACHABLE))
        raise
    except Exception as error:
        # Data has come: nothing that a service answers keeps this side from having a record of it.
        record_once(
            recorder, _irregular(draft, error.code if isinstance(error, GovnodeError) else "ANSWER_INVALID", raw)
        )
        raise
    record_once(recorder, served_fetch(draft, columns, found.raw, _now_ms()))
    return found


def _own_grant(client: Client, asked: SharingRequest) -> RequestRecord:
    """Return the sharing grant that is asked under; raise InputError NOT_A_PARTY where it is not this department's."""
    grant = Sharing(client).data_request(bytes.fromhex(asked.grant))
    department = client.own_department()
    if grant.consumer != department:
        raise InputError(
            "NOT_A_PARTY",
            f"共享授权 {asked.grant} 不是给 {department} 的",
            f"the grant {asked.grant} is not one to {department}",
        )
    return grant


def _irregular(draft: ReadDraft, code: str, raw: bytes) -> ReadDraft:
    """Return what is recorded of an answer (its bytes) that was not taken: the digest of its copy, of all of it where none can be found."""
    try:
        came = decode_answer(raw).files[0].data()
    except InputError:
        came = raw
    replace = msgspec.structs.replace
    details = replace(
        draft.details, result_digest=sm3(came), result_bytes=len(came), answered_ms=_now_ms(), refusal=code
    )
    return replace(draft, outcome=IRREGULAR, details=details)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
