"""From the photo of a code, or a certificate's own file, to the verdict: by a proof that any node gives, or offline by roots and a list."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from contracts.certificate_records import VERDICTS
from explorer.code_reader import MAX_PHOTO_BYTES, read_photo
from sdk.deposits import fetch_deposit
from sdk.documents import MAX_DOCUMENT_BYTES, read_limited
from sdk.proofs import export_certificate_proof, fetch_document_proof, given_document
from sdk.trust import load_trust
from verification.certificate_files.document import MAX_DOCUMENT_FILE_BYTES, content_of, encode_file, malformed
from verification.certificate_files.file_verification import (
    GENUINE,
    DocumentVerdict,
    Expectations,
    Kind,
    certificate_file_kind,
    decode_origin,
    verify_file,
)
from verification.codes import VerificationLink
from verification.deposits import DepositLink
from verification.errors import InputError
from verification.freshness import Freshness, ListTrust, verify_document_and_list, with_status_list
from verification.proof_verdicts import limit_age, too_old
from verification.proofs import GivenDocument, Verdict, verify_proof
from verification.status_list import MAX_STATUS_LIST_FILE_BYTES
from verification.trust import TrustFile

if TYPE_CHECKING:
    from sdk.client import Client


class PhotoQuestion(msgspec.Struct, frozen=True):
    """What a photo is verified with: the time, the trust file, and whatever else is at hand; as in sdk.proofs.verify_proof_file."""

    now_ms: int
    trust: Path
    document: Path | None = None
    """The certificate's own file, for a code that holds a link."""
    root: Path | None = None
    recipient: str | None = None
    attachments: tuple[Path, ...] = ()
    status_list: Path | None = None
    list_departments: tuple[str, ...] = ()
    max_age_ms: int | None = None
    day: str | None = None


class PhotoVerdict(msgspec.Struct, frozen=True):
    """The outcome: what the code carries or the file is, its certificate, and the verdict of a node's proof, or on the file offline.

    A file that its issuer signed and nobody vouches for since is GENUINE and not accepted: whether it is in force was not asked.
    """

    is_accepted: bool
    code: str
    zh: str
    en: str
    carries: Literal["link"] | Kind
    identifier: str
    proof: Verdict | None = None
    document: DocumentVerdict | None = None
    freshness: Any = None
    """What a status list says, where there is no proof."""
    is_force_unknown: bool = False
    """Whether all holds that was checked, and only the word of a ledger or of a status list is missing."""
    names: dict[str, str] = {}
    """`type_name` and `issuer_name` of a link's certificate, on the node's word: a proof has their codes."""


def verify_photo(path: Path, client: Client | None, question: PhotoQuestion) -> PhotoVerdict:
    """Return the verdict on the code in a photo, picture or PDF; `client` is of a node that gives proofs, None to stay offline.

    The address in a link is never asked: whoever printed the code chose it. Raises InputError as read_photo does, and where a
    file cannot be read; GovnodeError where the node cannot be asked.
    """
    content = read_photo(read_limited(path, MAX_PHOTO_BYTES))
    if isinstance(content, DepositLink):
        return verify_deposit(content, client, question)
    trust = load_trust(question.trust)
    if isinstance(content, VerificationLink):
        return _verify_link(content, client, trust, question)
    return _verify_certificate_file(encode_file(content), "presentation", client, trust, question)


def verify_deposit(link: DepositLink, client: Client | None, question: PhotoQuestion) -> PhotoVerdict:
    """Return the same of what lies behind a link to a deposit: fetched from the client's node, opened here, the key staying here.

    Raises InputError NODE_NEEDED without a client, KEY_WRONG, and RequestRefused where the node has no such deposit (any more).
    """
    if client is None:
        raise InputError(
            "NODE_NEEDED",
            f"链接所指的内容寄存在节点上：请以 --url 给出节点，链接所写的是 {link.base}",
            f"what the link leads to lies at a node: name it with --url; the link says {link.base}",
        )
    opened = fetch_deposit(client, link)
    return _verify_certificate_file(opened.raw, opened.kind, client, load_trust(question.trust), question)


def verify_certificate_file(path: Path, client: Client | None, question: PhotoQuestion) -> PhotoVerdict:
    """Return the same of the file of a document, presentation or annotated copy that comes without a proof.

    Raises InputError DOCUMENT_MALFORMED where it is none of them, or where what should name its certificate is malformed.
    """
    raw = read_limited(path, MAX_DOCUMENT_FILE_BYTES)
    kind = certificate_file_kind(raw)
    if kind is None:
        raise malformed("不是证照文件、出示件或加注件", "it is no certificate document, presentation or annotated copy")
    return _verify_certificate_file(raw, kind, client, load_trust(question.trust), question)


def _verify_certificate_file(
    raw: bytes, kind: Kind, client: Client | None, trust: TrustFile, question: PhotoQuestion
) -> PhotoVerdict:
    """Return the verdict by a proof from the node, else by root certificates and a status list, else by root certificates alone."""
    if question.document is not None:
        raise InputError(
            "DOCUMENT_NOT_ASKED",
            "所核验的本身就是证照文件：--document 只与证明文件或只含链接的码同用",
            "what is verified is a certificate's file itself: --document goes with a proof, or with a code that holds a link only",
        )
    core, _ = decode_origin(raw)
    given = given_document(raw, question.root, question.recipient, question.attachments)
    if client is not None:
        _, proof = fetch_document_proof(client, raw)
        found = _judge(proof, given, trust, question)
        return PhotoVerdict(found.is_accepted, found.code, found.zh, found.en, kind, core.identifier, found)
    if question.day is not None:
        raise InputError(
            "PROOF_NEEDED",
            "某日的状态须由证明说明：请以 --url 给出节点，或给出证明文件",
            "what it was on a day takes a proof: name a node with --url, or give a proof file",
        )
    if question.max_age_ms is not None and question.status_list is None:
        raise InputError(
            "PROOF_NEEDED",
            "--max-age 问的是截至何时，证照文件自身说明不了：请以 --url 给出节点，或给出证明文件或状态清单",
            "--max-age asks as of when, which a certificate's file does not say: name a node with --url, or give a proof file or a "
            "status list",
        )
    roots = trust.roots() if given.roots is None else given.roots
    if question.status_list is not None:
        listed = read_limited(question.status_list, MAX_STATUS_LIST_FILE_BYTES)
        known = ListTrust(question.now_ms, trust.anchor, roots, frozenset(question.list_departments))
        by_list = verify_document_and_list(raw, listed, known, question.recipient, given.attachments)
        told = (by_list.is_accepted, by_list.code, by_list.zh, by_list.en)
        told_by_list = PhotoVerdict(*told, kind, core.identifier, None, by_list.document, by_list.freshness)
        return _limit_list_age(told_by_list, by_list.freshness, question.max_age_ms)
    expected = Expectations(question.now_ms, roots, recipient=question.recipient, attachments=given.attachments)
    alone = verify_file(raw, kind, expected)
    code, zh, en = alone.code, alone.zh, alone.en
    # No ledger is needed to know these: the days stand in the file.
    validity = content_of(core)
    if alone.is_accepted and question.now_ms < validity.valid_from_ms:
        code, (zh, en) = "NOT_YET_VALID", VERDICTS["NOT_YET_VALID"]
    elif alone.is_accepted and validity.valid_to_ms < question.now_ms:
        code, (zh, en) = "EXPIRED", VERDICTS["EXPIRED"]
    elif alone.is_accepted:
        zh = "文件真实完整；是否已暂停、撤销或终止没有核对：请以 --url 给出节点，或加 --status-list 状态清单"
        en = (
            "the file is genuine and whole; whether it was suspended, revoked or ended was not checked: name a node with --url, or add "
            "--status-list"
        )
    return PhotoVerdict(False, code, zh, en, kind, core.identifier, document=alone, is_force_unknown=code == GENUINE)


def _limit_list_age(found: PhotoVerdict, fresh: Freshness | None, max_age_ms: int | None) -> PhotoVerdict:
    """Return the verdict by a status list, refused where the list speaks of longer ago than is asked for."""
    if (
        not found.is_accepted
        or max_age_ms is None
        or fresh is None
        or fresh.age_ms is None
        or fresh.age_ms <= max_age_ms
    ):
        return found
    zh, en = too_old(fresh.age_ms, max_age_ms)
    return msgspec.structs.replace(found, is_accepted=False, code="PROOF_TOO_OLD", zh=zh, en=en)


def _verify_link(
    link: VerificationLink, client: Client | None, trust: TrustFile, question: PhotoQuestion
) -> PhotoVerdict:
    if client is None:
        return PhotoVerdict(
            False,
            "NODE_NEEDED",
            "码里只有证照标识，须向账本核对：请以 --url 给出节点，或请持证人给出示码或证明文件",
            "the code holds an identifier only, for the ledger to answer: name a node with --url, or ask the holder for a presentation "
            "or a proof file",
            "link",
            link.identifier,
        )
    given = None
    if question.document is None and (question.recipient is not None or question.attachments):
        raise InputError(
            "DOCUMENT_NEEDED",
            "码里只有证照标识：--recipient、--attachment 须与 --document（证照文件）一起给出",
            "the code holds an identifier only: --recipient and --attachment go with --document, the certificate's file",
        )
    if question.document is not None:
        content = read_limited(question.document, MAX_DOCUMENT_BYTES)
        given = given_document(content, question.root, question.recipient, question.attachments)
        proof = _proof_with_document(client, link, content)
    else:
        proof = _proof_of(client, link)
    verdict = _judge(proof, given, trust, question)
    record = verdict.record if isinstance(verdict.record, dict) else {}
    told = (verdict.is_accepted, verdict.code, verdict.zh, verdict.en)
    found = PhotoVerdict(*told, "link", link.identifier, verdict, names=_names(client, record))
    if verdict.is_accepted and record.get("identifier") != link.identifier:
        return msgspec.structs.replace(
            found,
            is_accepted=False,
            code="ANOTHER_CERTIFICATE",
            zh="节点给出的是另一份证照的证明，请换一个节点",
            en="the node gave a proof of another certificate: ask another node",
        )
    recorded = record.get("document_digest")
    if recorded is None or link.is_of(bytes.fromhex(str(recorded).removeprefix("0x"))):
        return found
    return msgspec.structs.replace(
        found,
        is_accepted=False,
        code="DOCUMENT_CHANGED",
        zh=f"码是另一份文件的：码里的摘要以 {link.digest_prefix} 开头，账本登记的是 {recorded}",
        en=f"the code is of another document: its digest begins with {link.digest_prefix}, the ledger records {recorded}",
    )


def _names(client: Client, record: dict[str, Any]) -> dict[str, str]:
    """Return what the node calls type and issuer of a record; empty where it has no name of them."""
    if "type_code" not in record:
        return {}
    from sdk.errors import RequestRefused
    from sdk.system_contracts.certificates import Certificates
    from sdk.system_contracts.members import Members

    try:
        kind = Certificates(client).certificate_type(record["type_code"])
        return {"type_name": kind.name, "issuer_name": Members(client).department(record["issuer"]).name}
    except RequestRefused:
        return {}


def _proof_of(client: Client, link: VerificationLink) -> bytes:
    try:
        return export_certificate_proof(client, link.identifier)
    except InputError as error:
        if error.code != "IN_BATCH":
            raise
        raise InputError(
            "IN_BATCH",
            f"{link.identifier} 属于一个批次，没有单独的记录，所问节点也没有该批次的清单："
            "请再以 --document 给出证照文件，或请持证人给出示码",
            f"{link.identifier} is of a batch, has no record of its own, and the node has no manifest of the batch: "
            "give its document with --document, or ask the holder for the code of a presentation",
        ) from None


def _proof_with_document(client: Client, link: VerificationLink, content: bytes) -> bytes:
    """Return the proof that the document asks for where it is a certificate's own file, else that of the link's record."""
    try:
        identifier, proof = fetch_document_proof(client, content)
    except InputError as error:
        if error.code != "DOCUMENT_MALFORMED":
            raise
        return _proof_of(client, link)
    return proof if identifier == link.identifier else _proof_of(client, link)


def _judge(proof: bytes, given: GivenDocument | None, trust: TrustFile, question: PhotoQuestion) -> Verdict:
    """Return the verdict on a proof that a node gave, and on what came with it."""
    verdict = verify_proof(proof, given, trust, question.now_ms, question.day)
    if question.status_list is not None:
        roots = trust.roots() if given is None or given.roots is None else given.roots
        known = ListTrust(question.now_ms, trust.anchor, roots, frozenset(question.list_departments))
        verdict = with_status_list(verdict, read_limited(question.status_list, MAX_STATUS_LIST_FILE_BYTES), known)
    return verdict if question.max_age_ms is None else limit_age(verdict, question.max_age_ms)
