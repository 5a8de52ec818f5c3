"""What a status list adds to a proof or a document: whether it may be relied on, and what it says of one certificate since."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias

import msgspec

from contracts.anchors import ANCHORS, AnchorRecord, anchor_key
from contracts.certificate_records import VERDICTS
from contracts.fields import MAX_TIME_MS
from contracts.identifiers import parse_identifier
from node.chain.codec import CodecError
from node.chain.proof import ProofError, TrustAnchor, decode_record_proof, verify_record_proof
from sm_crypto.keystore import Signer
from sm_crypto.sm3 import TaggedHash
from sm_crypto.x509 import CLOCK_SKEW_MS, Certificate
from verification.certificate_files.document import FileDigest, content_of, malformed
from verification.certificate_files.file_verification import (
    GENUINE,
    DocumentVerdict,
    Expectations,
    certificate_file_kind,
    decode_origin,
    verify_file,
)
from verification.certificate_files.seals import BatchSeal, check_signer, verify_signature, verify_signer
from verification.days import show_time
from verification.errors import InputError
from verification.proof_verdicts import BATCH_CERTIFICATE, Step, Verdict
from verification.status_list import ListSignature, Scope, StatusList, StatusListFile, decode_status_list, look_up

FreshnessState: TypeAlias = Literal["held", "broken", "not-asked"]

_LIST_SEAL: Final = TaggedHash("govnode/status-list-seal/1")
_ENCODER: Final = msgspec.msgpack.Encoder()
_NO_FILES: Final[dict[str, FileDigest]] = {}

FINDINGS: Final[dict[str, tuple[str, str]]] = {
    "CLEAR": ("未被暂停或终止", "neither suspended nor ended"),
    "SUSPENDED": ("已暂停使用", "suspended"),
    "ENDED": ("已终止或由新证照接替", "ended, or succeeded by another certificate"),
    "ASK_ONLINE": (
        "清单不能断定：同一项可能属于另一份证照，请联网核验",
        "the list cannot tell: its entry may be another certificate's; verify online",
    ),
}
"""What a list says of a certificate, in Chinese and English."""
STEP: Final = "freshness"
STEP_TEXTS: Final = ("证明之后未被暂停或终止", "neither suspended nor ended since the proof")


class ListTrust(msgspec.Struct, frozen=True):
    """What a verifier knows beforehand: the time, the chain, root certificates (None: none at hand), and whose word on lists it takes.

    Without `departments` it takes the issuer's own only.
    """

    now_ms: int
    chain: TrustAnchor
    roots: tuple[Certificate, ...] | None = None
    departments: frozenset[str] = frozenset()


class Subject(msgspec.Struct, frozen=True):
    """The certificate that is asked about, by its identifier; of one of a batch also its place.

    A document's claims about its batch, root and count, are compared with the ledger's; empty and 0 where a proof has done so.
    `has_own_record` says that a proof found a record under its identifier.
    """

    identifier: str
    batch: str = ""
    position: int | None = None
    batch_root: bytes = b""
    batch_count: int = 0
    has_own_record: bool = False


class TrustedList(msgspec.Struct, frozen=True):
    """A list that may be relied on, as of `now_ms`, and the departments that vouch for it."""

    content: StatusList
    departments: tuple[str, ...]
    now_ms: int


class Freshness(msgspec.Struct, frozen=True):
    """What a list says of a certificate after its block: `code` is CLEAR, SUSPENDED, ENDED, ASK_ONLINE, or why the list does not count.

    `departments` vouched for it, by signature or anchor; height, times and age in ms are those of its block.
    """

    state: FreshnessState
    code: str
    zh: str
    en: str
    scope: str | None = None
    height: int | None = None
    time_ms: int | None = None
    age_ms: int | None = None
    departments: tuple[str, ...] = ()


class ListedDocument(msgspec.Struct, frozen=True):
    """What root certificates and a status list say of a document: `code` says why it is refused where it is.

    It is GENUINE where it is accepted: IN_FORCE takes a proof, for no list of a batch says whether another record stands under its
    identifier, and no other says that the ledger has it.
    """

    is_accepted: bool
    code: str
    zh: str
    en: str
    document: DocumentVerdict
    freshness: Freshness | None = None


def sign_status_list(
    content: StatusList, department: str, signer: Signer, chain: Sequence[Certificate], signed_ms: int
) -> ListSignature:
    """Return a department's signature over a list; `chain` begins with the signer's certificate, the department's follows."""
    check_signer(signer, chain)
    signature = signer.sign(_list_message(content.digest, department, signed_ms))
    return ListSignature(department, signed_ms, signature.hex(), tuple(one.der.hex() for one in chain))


def verify_status_list(file: StatusListFile, trust: ListTrust) -> tuple[str, ...]:
    """Return the departments that vouch for a list, by signature and then by anchor; raise InputError where it may not be relied on.

    Every signature and anchor in the file must hold as far as it can be judged, and one must be of a department whose word the
    verifier takes.
    """
    content = file.content
    if content.genesis_hash != trust.chain.genesis_hash:
        raise InputError(
            "STATUS_LIST_OF_ANOTHER_NETWORK",
            f"清单属于创世 {content.genesis_hash.hex()} 的网络，所信任的是 {trust.chain.genesis_hash.hex()}",
            f"the list is of the network with the genesis {content.genesis_hash.hex()}, trusted is {trust.chain.genesis_hash.hex()}",
        )
    _check_past(content.block.time_ms, trust.now_ms)
    vouching = [_verify_list_signature(content, one, trust) for one in file.signatures]
    vouching += [_verify_anchor(content, raw, trust.chain) for raw in file.anchors]
    departments = tuple(dict.fromkeys(code for code in vouching if code))
    wanted = trust.departments or frozenset({content.scope.issuer})
    if wanted.isdisjoint(departments):
        if trust.roots is None and any(one.department in wanted for one in file.signatures):
            raise InputError(
                "TRUST_MISSING",
                "核验清单的签名需要网络的根证书，请给出",
                "root certificates of the network are needed to verify the list's signature: give them",
            )
        names = ", ".join(sorted(wanted))
        raise InputError(
            "STATUS_LIST_NOT_VOUCHED",
            f"清单既没有 {names} 的签名，也没有其锚定的证明",
            f"the list carries neither a signature of {names} nor a proof that it anchored the list",
        )
    return departments


def find_entry(content: StatusList, subject: Subject) -> str:
    """Return what a list says of a certificate: a code of FINDINGS; raise InputError STATUS_LIST_NOT_ABOUT where it is about others."""
    parsed, scope = parse_identifier(subject.identifier), content.scope
    if (parsed.type_code, parsed.issuer_code) != (scope.type_code, scope.issuer):
        raise _not_about(scope, subject)
    if not scope.is_batch:
        return look_up(content, parsed.text)
    if subject.batch != scope.name or subject.position is None or not 0 <= subject.position < content.batch_count:
        raise _not_about(scope, subject)
    # With another count the same path leads to another position.
    if subject.batch_root not in (b"", content.batch_root) or subject.batch_count not in (0, content.batch_count):
        raise InputError(
            "ANOTHER_BATCH",
            f"文件所载批次的根或份数不是账本上批次 {scope.name} 的",
            f"the root or the count in the document is not that of the batch {scope.name} on the ledger",
        )
    entry = look_up(content, parsed.text, subject.position)
    if entry == "CLEAR" and subject.has_own_record:
        # Whether the record came by this position, or stood there before the batch, the list does not tell.
        raise _not_about(scope, subject)
    return entry


def trust_list(raw: bytes, trust: ListTrust) -> TrustedList:
    """Return the list in a file once it may be relied on, to ask it of many certificates; raise InputError otherwise."""
    file = decode_status_list(raw)
    return TrustedList(file.content, verify_status_list(file, trust), trust.now_ms)


def check_freshness(raw: bytes, subject: Subject, known_height: int, trust: ListTrust) -> Freshness:
    """Return what the list in a file says of a certificate since `known_height`, as of which a proof or nothing (0) speaks."""
    try:
        trusted = trust_list(raw, trust)
    except InputError as error:
        return Freshness("broken", error.code, error.zh, error.en)
    return ask_list(trusted, subject, known_height)


def ask_list(trusted: TrustedList, subject: Subject, known_height: int) -> Freshness:
    """Return what a list that may be relied on says of a certificate since `known_height`."""
    content = trusted.content
    try:
        code = find_entry(content, subject)
    except InputError as error:
        return Freshness("broken", error.code, error.zh, error.en)
    block = content.block
    about = (content.scope.name, block.height, block.time_ms, trusted.now_ms - block.time_ms, trusted.departments)
    when = show_time(block.time_ms)
    if block.height < known_height:
        return Freshness(
            "not-asked",
            "STATUS_LIST_OLDER",
            f"清单截至区块 {block.height}（{when}），早于证明，不增加信息",
            f"the list is as of block {block.height} ({when}), before the proof: it adds nothing",
            *about,
        )
    zh, en = FINDINGS[code]
    return Freshness(
        "held" if code == "CLEAR" else "broken",
        code,
        f"状态清单截至区块 {block.height}（{when}）：{zh}",
        f"the status list as of block {block.height} ({when}): {en}",
        *about,
    )


def with_status_list(verdict: Verdict, raw: bytes, trust: ListTrust) -> Verdict:
    """Return the verdict on a proof with one step more: what a status list says since. What the proof refuses stays refused."""
    return _with_freshness(verdict, lambda subject: check_freshness(raw, subject, verdict.height or 0, trust))


def with_trusted_lists(verdict: Verdict, lists: Sequence[TrustedList]) -> Verdict:
    """Return the verdict on a proof with one step more: what the list of its batch, or else of its type and issuer, says since.

    Where there is none among the lists, the step is not asked.
    """

    def ask(subject: Subject) -> Freshness:
        parsed = parse_identifier(subject.identifier)
        by_hash = Scope(parsed.type_code, parsed.issuer_code).name
        names = (by_hash, subject.batch) if subject.has_own_record else (subject.batch, by_hash)
        by_name = {one.content.scope.name: one for one in lists}
        found = next((by_name[name] for name in names if name in by_name), None)
        if found is None:
            zh, en = "没有给出它的状态清单", "no status list about it was given"
            return Freshness("not-asked", "NO_STATUS_LIST", zh, en)
        return ask_list(found, subject, verdict.height or 0)

    return _with_freshness(verdict, ask)


def _with_freshness(verdict: Verdict, ask: Callable[[Subject], Freshness]) -> Verdict:
    if not verdict.is_accepted:
        return msgspec.structs.replace(verdict, steps=(*verdict.steps, Step(STEP, "not-reached", *STEP_TEXTS)))
    identifier = verdict.record.get("identifier") if isinstance(verdict.record, dict) else None
    if verdict.kind not in ("certificate", BATCH_CERTIFICATE) or identifier is None:
        texts = ("证明的不是证照，状态清单与它无关", "what is proved is no certificate: a status list is not about it")
        found = Freshness("broken", "STATUS_LIST_NOT_ABOUT", *texts)
    else:
        batch = verdict.batch or {}
        has_own_record = batch.get("has_own_record", False)
        found = ask(Subject(identifier, batch.get("name", ""), batch.get("position"), has_own_record=has_own_record))
    step = Step(STEP, found.state, found.zh, found.en, found.code if found.state == "broken" else "")
    changes: dict[str, Any] = {"steps": (*verdict.steps, step), "freshness": msgspec.to_builtins(found)}
    if found.state == "broken":
        changes |= {"is_accepted": False, "code": found.code, "zh": found.zh, "en": found.en, "broken_step": STEP}
    else:
        changes |= {"zh": f"{verdict.zh}；{found.zh}", "en": f"{verdict.en}; {found.en}"}
    return msgspec.structs.replace(verdict, **changes)


def verify_document_and_list(
    raw: bytes,
    listed: bytes,
    trust: ListTrust,
    recipient: str | None = None,
    attachments: Mapping[str, FileDigest] = _NO_FILES,
) -> ListedDocument:
    """Return the verdict on a document, presentation or annotated copy by root certificates and a status list alone, without a proof.

    `recipient` and `attachments` are as in Expectations. Raises InputError DOCUMENT_MALFORMED where it is none of them.
    """
    kind = certificate_file_kind(raw)
    if kind is None:
        raise malformed(
            "不是证照文件、出示件或加注件", "expected a certificate document, a presentation or an annotated copy"
        )
    document = verify_file(raw, kind, Expectations(trust.now_ms, trust.roots, None, None, recipient, attachments))
    if not document.is_accepted:
        return ListedDocument(False, document.code, document.zh, document.en, document)
    core, seal = decode_origin(raw)
    validity = content_of(core)
    if trust.now_ms < validity.valid_from_ms:
        return ListedDocument(False, "NOT_YET_VALID", *VERDICTS["NOT_YET_VALID"], document)
    if validity.valid_to_ms < min(trust.now_ms, MAX_TIME_MS):
        return ListedDocument(False, "EXPIRED", *VERDICTS["EXPIRED"], document)
    subject = Subject(core.identifier)
    if isinstance(seal, BatchSeal):
        subject = Subject(core.identifier, seal.batch, seal.position, bytes.fromhex(seal.root), seal.count)
    found = check_freshness(listed, subject, 0, trust)
    if found.state == "broken":
        return ListedDocument(False, found.code, found.zh, found.en, document, found)
    if found.scope == subject.batch:
        # The list names the root on the ledger, to which the document's path leads. A record that stood there before outweighs it.
        zh = f"文件在账本登记的批次之内；{found.zh}；其标识下是否另有记录未核对（需证明文件，或类型与颁发机构的清单）"
        en = (
            f"the document is of a batch on the ledger; {found.en}; whether another record stands under its identifier was "
            "not asked (a proof file says so, or the list of its type and issuer)"
        )
        return ListedDocument(True, GENUINE, zh, en, document, found)
    zh = f"文件为颁发机构所签；{found.zh}；是否已登记上链未核对（需证明文件）"
    en = f"the issuer signed the document; {found.en}; whether it is on the ledger was not asked (a proof file says so)"
    return ListedDocument(True, GENUINE, zh, en, document, found)


def _verify_list_signature(content: StatusList, signature: ListSignature, trust: ListTrust) -> str:
    """Return the department whose person signed the list, empty where no root certificates are there to tell; raise InputError."""
    message = _list_message(content.digest, signature.department, signature.signed_ms)
    verify_signature(message, signature.signature, signature.chain, "SIGNATURE_INVALID")
    _check_past(signature.signed_ms, trust.now_ms)
    if signature.signed_ms < content.block.time_ms - CLOCK_SKEW_MS:
        # A chain is judged as of when it signed: an earlier time would let a certificate sign that has run out since.
        raise InputError(
            "SIGNED_BEFORE_BLOCK",
            f"清单的签名时间 {show_time(signature.signed_ms)} 早于其区块的时间 {show_time(content.block.time_ms)}",
            f"the list is signed as of {show_time(signature.signed_ms)}, before its block was made at "
            f"{show_time(content.block.time_ms)}",
        )
    verify_signer(signature.chain, signature.department, trust.roots, signature.signed_ms)
    return "" if trust.roots is None else signature.department


def _verify_anchor(content: StatusList, raw: bytes, chain: TrustAnchor) -> str:
    """Return the department that anchored the list's digest after the list's block; raise InputError ANCHOR_INVALID.

    It is empty where the anchor does not lead from the checkpoint that is trusted, which may be a later one.
    """
    try:
        proof = decode_record_proof(raw)
        verified = verify_record_proof(proof, chain)
        record = None if verified.value is None else ANCHORS.decode(verified.value)
    except ProofError as error:
        if error.step == "trust":
            return ""
        raise _anchor_invalid(f"证明不成立（{error}）", f"its proof does not hold ({error})") from None
    except (CodecError, msgspec.DecodeError) as error:
        raise _anchor_invalid(f"证明不成立（{error}）", f"its proof does not hold ({error})") from None
    if not _is_anchor_of(record, content, verified.key):
        raise _anchor_invalid("所证明的不是本清单的锚定", "what it proves is no anchor of this list")
    assert record is not None, "no anchor of this list where there is none"
    return record.department


def _is_anchor_of(record: AnchorRecord | None, content: StatusList, key: bytes) -> bool:
    return (
        record is not None
        and key == anchor_key(content.digest, record.department)
        and record.digest == content.digest
        # What was anchored before the block was made cannot be what the ledger held after it.
        and record.anchored_ms > content.block.time_ms
    )


def _list_message(digest: bytes, department: str, signed_ms: int) -> bytes:
    return _LIST_SEAL(_ENCODER.encode((digest, department, signed_ms)))


def _check_past(time_ms: int, now_ms: int) -> None:
    if time_ms > min(now_ms + CLOCK_SKEW_MS, MAX_TIME_MS):
        raise InputError(
            "SIGNED_IN_FUTURE",
            f"清单或其签名的时间 {show_time(time_ms)} 在将来：请检查本机时钟",
            f"the list or its signature is of {show_time(time_ms)}, which is in the future: check this machine's clock",
        )


def _not_about(scope: Scope, subject: Subject) -> InputError:
    where = f"{subject.batch}#{subject.position}" if subject.batch else "-"
    return InputError(
        "STATUS_LIST_NOT_ABOUT",
        f"清单 {scope.name} 不涉及证照 {subject.identifier}（批次位置 {where}）；请取其类型与颁发机构的清单",
        f"the list {scope.name} is not about {subject.identifier} (place in a batch: {where}); "
        "fetch the list of its type and issuer",
    )


def _anchor_invalid(zh: str, en: str) -> InputError:
    return InputError("ANCHOR_INVALID", f"清单的锚定：{zh}", f"the list's anchor: {en}")
