"""A read as a system without a gateway states it: of whichever side its department is, with digests that nobody can try out."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Final, NamedTuple

from contracts.data_sharing.access import DENIED, SERVED
from contracts.data_sharing.sharing import RequestRecord
from sdk.identity_numbers import check_free_text
from sm_crypto.sm3 import hmac_sm3
from verification.access.reads import (
    CONSUMER_SIDE,
    NO_DIGEST,
    PROVIDER_SIDE,
    READ_NONCE_BYTES,
    SALT_BYTES,
    CasePart,
    Details,
    ReadDraft,
    SharingPart,
    Subject,
    read_id,
)
from verification.errors import InputError

_QUERY: Final = b"govnode/stated-query/1\0"
_RESULT: Final = b"govnode/stated-result/1\0"


class Statement(NamedTuple):
    """What a system says of a read: SM3 of the files of what was asked and what came back (None where it was denied)."""

    system: str
    case_type: str
    case_number: str
    query_sm3: bytes
    result_sm3: bytes | None
    rows: int
    refusal: str


class StatedRead(NamedTuple):
    """A read to record, and the nonce that its digests are keyed by, which no record has."""

    draft: ReadDraft
    nonce: bytes


def stated_query_digest(nonce: bytes, sm3_of_file: bytes) -> bytes:
    """Return the 32 bytes that stand for what was asked, which only who has the nonce can compare with the file."""
    return hmac_sm3(nonce, _QUERY + sm3_of_file)


def stated_result_digest(nonce: bytes, sm3_of_file: bytes) -> bytes:
    """Return the 32 bytes that stand for what came back, likewise."""
    return hmac_sm3(nonce, _RESULT + sm3_of_file)


def state_read(
    grant: RequestRecord, department: str, account: bytes, subject: Subject, said: Statement, now_ms: int
) -> StatedRead:
    """Return the read that an account of a department states under a grant at a time (ms).

    Raises InputError NOT_A_PARTY where the grant is between others, and IDENTITY_NUMBER where a text has one in it.
    """
    if department not in (grant.provider, grant.consumer):
        raise InputError(
            "NOT_A_PARTY",
            f"部门 {department} 不是授权 0x{grant.id.hex()} 的当事方",
            f"department {department} is no party of the grant 0x{grant.id.hex()}",
        )
    for name in ("system", "case_type", "case_number"):
        check_free_text(name, getattr(said, name))
    nonce, salts = secrets.token_bytes(READ_NONCE_BYTES), _salts()
    result = said.result_sm3
    details = Details(
        read_id=read_id(grant.id, account, nonce),
        operation="",
        columns=(),
        rows=0 if result is None else said.rows,
        query_digest=stated_query_digest(nonce, said.query_sm3),
        result_digest=NO_DIGEST if result is None else stated_result_digest(nonce, result),
        request_bytes=0,
        result_bytes=0,
        asked_ms=now_ms,
        answered_ms=now_ms,
        refusal=said.refusal,
        salt=next(salts),
    )
    sharing = SharingPart(
        grant=grant.id,
        resource=grant.resource,
        provider=grant.provider,
        consumer=grant.consumer,
        account=account,
        system=said.system,
        salt=next(salts),
    )
    case = CasePart(
        purpose=grant.purpose,
        case_type=said.case_type,
        case_number=said.case_number,
        operator=NO_DIGEST,
        salt=next(salts),
    )
    side = PROVIDER_SIDE if department == grant.provider else CONSUMER_SIDE
    return StatedRead(
        ReadDraft(side, DENIED if result is None else SERVED, subject, sharing, case, details),
        nonce,
    )


def _salts() -> Iterator[bytes]:
    while True:
        yield secrets.token_bytes(SALT_BYTES)
