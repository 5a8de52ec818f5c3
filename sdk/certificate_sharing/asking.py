"""A holder's and a department's side of an issuer's desk: statements sent, certificates fetched and compared with the ledger."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

import msgspec

from contracts.authorisations import NO_CODE
from contracts.identifiers import parse_identifier
from sdk.certificate_sharing.exchange import (
    FILE_TYPES,
    MAX_ANSWER_BYTES,
    SharingAnswer,
    SharingRequest,
    decode_answer,
    expiry_ms,
    request_digest,
)
from sdk.client import Client
from sdk.department_services.service_client import Limits, ServiceClient, ServiceKind, Signing
from sdk.system_contracts.authorisations import Authorisations
from sdk.system_contracts.members import Members
from sm_crypto.keystore import Signer
from sm_crypto.sm3 import sm3
from sm_crypto.x509 import Certificate
from verification.authorisations import Authorisation, Withdrawal, verify_holder_signature
from verification.certificate_files.annotated_copy import AnnotatedCopy, decode_annotated_copy
from verification.certificate_files.document import core_digest, encode_file
from verification.certificate_files.file_verification import Expectations, verify_annotated_copy
from verification.errors import InputError

TIMEOUT_S: Final = 60.0
"""An issuer answers when the ledger has the fetch and the read: two blocks, and others may be before."""
MAX_ANSWER_S: Final = 600.0
"""For one answer in all, of the largest size over a slow line."""
_KIND: Final = ServiceKind(
    "证照领取服务", "an issuer's service", "http://127.0.0.1:8580", "SERVICE_UNREACHABLE", "NOT_A_SERVICE"
)

OWN_NODE_S: Final = 15.0
"""How long the department's own node may be behind the issuer's; most often it is for some milliseconds."""
OWN_NODE_POLL_S: Final = 0.05


class FetchedCertificate(msgspec.Struct, frozen=True):
    """What came back, compared with the ledger: the answer, and the copy in it with the bytes that the ledger has the digest of."""

    answer: SharingAnswer
    copy: AnnotatedCopy
    raw: bytes


def send_authorisation(service: str, authorisation: Authorisation) -> None:
    """Hand a signed statement to the issuer's service, which takes it to the ledger; raise RequestRefused with its reason."""
    _post(service, "/certificate-authorisations", encode_file(authorisation), None)


def send_withdrawal(service: str, withdrawal: Withdrawal) -> None:
    """Hand a signed withdrawal to the issuer's service, which takes it to the ledger; raise RequestRefused with its reason."""
    _post(service, "/certificate-authorisations/withdrawals", encode_file(withdrawal), None)


def fetch_certificate(
    service: str, client: Client, signer: Signer, asked: SharingRequest, roots: Sequence[Certificate] | None
) -> FetchedCertificate:
    """Return what was asked for from an issuer's service, its signatures verified under `roots`, as the client's own node has it recorded.

    Raises RequestRefused with the issuer's reason, and InputError: FETCH_NOT_RECORDED where the ledger has another fetch than the answer,
    ANSWER_DIFFERS where the answer is not what was asked for, else the code of the step of verification that breaks.
    """
    body = msgspec.json.encode(asked)
    return check_answer(ask_service(service, client, signer, body), client, body, asked, roots)


def ask_service(service: str, client: Client, signer: Signer, body: bytes) -> bytes:
    """Return what an issuer's service answers to a request's body; raise RequestRefused with its reason, NodeUnreachable without one."""
    return _post(service, "/certificates/fetch", body, Signing(signer, client.chain_id))


def check_answer(
    raw: bytes, client: Client, body: bytes, asked: SharingRequest, roots: Sequence[Certificate] | None
) -> FetchedCertificate:
    """Return what an answer to a request's body brings, where all of it is as fetch_certificate demands; raise as that does."""
    answer = decode_answer(raw)
    file = answer.files[0].data()
    copy = decode_annotated_copy(file)
    statement = answer.authorisation
    _wait_for_own_node(client, answer.height)
    ledger, name = Authorisations(client), bytes.fromhex(statement.id)
    recorded = ledger.fetch(issuer=answer.issuer, authorisation=name, number=answer.fetch_number)
    expected = (client.address, request_digest(client.address, body), sm3(file))
    if (recorded.requester, recorded.request, recorded.result) != expected:
        raise _not_recorded("账本上这一次领取不是它", "the fetch that the ledger has under this number is another")
    record = ledger.authorisation(issuer=answer.issuer, authorisation=name)
    said = (statement.digest, statement.recipient, statement.from_ms, statement.to_ms, statement.max_fetches)
    if (record.statement, record.recipient, record.from_ms, record.to_ms, record.max_fetches) != said:
        raise _not_recorded(
            "持证人的授权不是账本登记的那份", "the holder's statement is not the one that the ledger has"
        )
    if not statement.signature and record.code == NO_CODE:
        raise _not_recorded(
            "既无持证人签名，也无一次性授权码", "neither the holder's signature nor a one-time code stands for it"
        )
    core = copy.original.core
    if (core.identifier, core_digest(core).hex()) != (statement.identifier, statement.document_digest):
        raise _not_recorded("加注件不是授权所指的证照", "the copy is of another certificate than the statement")
    if statement.signature:
        verify_holder_signature(statement.digest, statement.signature, core.holder_key)
    for shared in answer.files[1:]:
        _check_attachment(copy, shared.name, shared.data())
    _check_asked(asked, answer, copy, client.own_department())
    trusted = None if roots is None else tuple(roots)
    recipient = Members(client).department(statement.recipient).name
    # As of when the ledger has it: neither this clock nor the issuer's decides.
    verdict = verify_annotated_copy(file, Expectations(recorded.fetched_ms, trusted, recipient=recipient))
    if not verdict.is_accepted:
        raise InputError(verdict.code, verdict.zh, verdict.en)
    return FetchedCertificate(answer, copy, file)


def _check_asked(asked: SharingRequest, answer: SharingAnswer, copy: AnnotatedCopy, department: str) -> None:
    """Return if an answer is what this department asked for; raise InputError ANSWER_DIFFERS that names what is not."""
    statement, note, original = answer.authorisation, copy.annotation, copy.original
    core = original.core
    wanted = parse_identifier(asked.cert_identifier).text if asked.cert_identifier else core.identifier
    latest_ms = min(expiry_ms(asked) or statement.to_ms, statement.to_ms)
    media_types = () if asked.file_type == "json" else (FILE_TYPES[asked.file_type],)
    names = {
        core.attachments[one.position].name: core.attachments[one.position].media_type for one in original.attachments
    }
    for zh, en, is_so in (
        ("授权编号", "the authorisation's id", asked.access_token in ("", statement.id)),
        ("证照标识", "the identifier", wanted == core.identifier == answer.cert_identifier),
        ("用途", "the purpose", asked.use_cause == statement.purpose == note.reason),
        ("领取部门", "the recipient", department == statement.recipient),
        ("颁发机构", "the issuer", core.issuer_code == answer.issuer == note.maker_code),
        ("使用期限", "the day until when it may be used", note.expires_ms <= latest_ms),
        (
            "出示的字段",
            "the fields shown",
            {core.fields[one.position].name for one in original.fields} <= set(statement.fields),
        ),
        ("出示的附件", "the attachments shown", names.keys() <= set(statement.attachments)),
        (
            "附件类型",
            "the type of the attached file",
            tuple(names[one.name] for one in answer.files[1:]) == media_types,
        ),
    ):
        if not is_so:
            raise InputError(
                "ANSWER_DIFFERS",
                f"应答不是所请求的：{zh}不同，请勿采用，并告知审计方",
                f"the answer is not what was asked for: {en} differs; do not use it, and tell an auditor",
            )


def _wait_for_own_node(client: Client, height: int) -> None:
    """Return once the client's node has a block, or after OWN_NODE_S: what it then knows is what counts, whatever the issuer said."""
    deadline = time.monotonic() + OWN_NODE_S
    while client.status()["height"] < height and time.monotonic() < deadline:
        time.sleep(OWN_NODE_POLL_S)


def _check_attachment(copy: AnnotatedCopy, name: str, data: bytes) -> None:
    """Return if a file is the attachment of this name that the copy shows."""
    for one in copy.original.attachments:
        if copy.original.core.attachments[one.position].name == name and one.sm3 == sm3(data).hex():
            return
    raise _not_recorded(f"{name} 不是证照的附件", f"the file {name} is not the one attached to the certificate")


def _post(service: str, path: str, body: bytes, by: Signing | None) -> bytes:
    with ServiceClient(_KIND, service, Limits(MAX_ANSWER_BYTES, TIMEOUT_S, MAX_ANSWER_S)) as issuer:
        return issuer.ask("POST", path, body, {"content-type": "application/json"}, by=by)


def _not_recorded(zh: str, en: str) -> InputError:
    return InputError(
        "FETCH_NOT_RECORDED",
        f"应答与账本的记录不符，请勿采用，并告知审计方（{zh}）",
        f"the answer is not what the ledger has: do not use it, and tell an auditor ({en})",
    )
