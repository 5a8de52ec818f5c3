"""Proofs for people without an account or a node: verified offline, one named step after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import msgspec

from node.chain.proof import (
    ProofError,
    TrustAnchor,
    VerifiedRecord,
    verify_record_proof,
)
from node.http.proof_file import (
    OTHER_KIND,
    ProofFile,
    ProofFileError,
    decode_proof_file,
    record_fields,
    record_kind,
    record_of,
)
from sm_crypto.sm3 import sm3
from verification.days import show_time
from verification.trust import TrustFile

if TYPE_CHECKING:
    from sm_crypto.x509 import Certificate
    from verification.certificate_files.document import FileDigest
    from verification.certificate_files.file_verification import DocumentVerdict

StepState: TypeAlias = Literal["held", "broken", "not-reached", "not-asked"]

# In the order in which they are checked; each with what it means when it holds.
STEPS: Final[dict[str, tuple[str, str]]] = {
    "file": ("证明文件格式正确", "the proof file is well-formed"),
    "record": ("记录与证明中的摘要一致", "the record is the one that the proof speaks of"),
    "header": ("区块头就是证书所指的区块", "the header is that of the certified block"),
    "path": ("默克尔路径通向区块头的状态根", "the Merkle path leads to the header's state root"),
    "validator-set": ("共识节点集合就是区块头所指的集合", "the validators are the set that the header names"),
    "trust": ("共识节点集合源自所信任的网络", "the validators descend from the trusted network"),
    "certificate": ("确认证书达到法定多数", "the commit certificate has a quorum"),
    "signatures": ("确认证书的 SM2 签名全部有效", "the SM2 signatures of the certificate hold"),
    "document": ("文件就是登记的那一份", "the document is the one recorded"),
    "status": ("记录在证明时有效", "the record was in force as of the proof"),
}
_PART_STEPS: Final = {"state": "path", "validators": "validator-set", "walk": "trust"}
"""Parts of the file that a step of another name speaks of."""

_DIGEST_FIELDS: Final = {"certificate": "document_digest", "anchor": "digest"}
"""The kinds of record that carry a document's SM3, and where."""

_DAY_MS: Final = 24 * 3_600_000


class Step(msgspec.Struct, frozen=True):
    """One step of verification, and how it came out; the texts say what holds, or why it broke."""

    code: str
    state: StepState
    zh: str
    en: str


class Verdict(msgspec.Struct, frozen=True):
    """The outcome: `code` is IN_FORCE or RECORDED when accepted, else names why not; heights and times where they were proved.

    `age_ms` is how long before the verification the proven block was made: the ledger may have changed since.
    """

    is_accepted: bool
    code: str
    zh: str
    en: str
    broken_step: str | None
    steps: tuple[Step, ...]
    kind: str | None = None
    record: Any = None
    height: int | None = None
    time_ms: int | None = None
    age_ms: int | None = None
    document: Any = None
    """The verdict on the certificate file that was given with the proof (verification.certificate_files), None for any other document."""


class GivenDocument(msgspec.Struct, frozen=True):
    """The document that comes with a proof, and what its verifier knows where it is one of verification.certificate_files.

    `roots` are needed for annotated copies; `recipient` is who asks; `attachments` are files at hand, by the document's names for them.
    """

    content: bytes
    roots: tuple[Certificate, ...] | None = None
    recipient: str | None = None
    attachments: dict[str, FileDigest] = {}


def verify_proof(raw: bytes, document: GivenDocument | None, trust: TrustFile, now_ms: int) -> Verdict:
    """Return the verdict on the bytes of a proof file, with the document that it speaks of or without one."""
    try:
        file = decode_proof_file(raw)
    except ProofFileError as error:
        step = _PART_STEPS.get(error.part, error.part)
        return _broken(step, f"格式有误：{error.reason}", f"malformed: {error.reason}", is_checked_before=False)
    anchor = TrustAnchor(bytes.fromhex(trust.genesis_hash), trust.height, bytes.fromhex(trust.next_validators_hash))
    try:
        _check_words(file)
        verified = verify_record_proof(file.proof, anchor)
    except ProofError as error:
        return _broken(error.step, error.reason, error.reason)
    except ProofFileError as error:
        return _broken(error.part, error.reason, error.reason)
    return _judge(file, verified, document, now_ms)


def _check_words(file: ProofFile) -> None:
    """Return if what the file says in words is what the proven bytes say; raise ProofFileError otherwise."""
    proof = file.proof
    if file.kind != record_kind(proof.key) or file.fields != record_fields(proof.key, proof.value):
        raise ProofFileError("record", "the fields in words are not those of the record")


def _judge(file: ProofFile, verified: VerifiedRecord, given: GivenDocument | None, now_ms: int) -> Verdict:
    """Return the verdict on a proof that holds: what the record says of the document and of itself."""
    as_of = (verified.height, verified.time_ms, now_ms - verified.time_ms)
    record = None if verified.value is None else record_of(verified.key, verified.value)
    zh, en = _age(*as_of)
    document, found = _document_step(file.kind, record, None if given is None else sm3(given.content)), None
    if given is not None and document.state == "broken" and file.kind == "certificate" and record is not None:
        document, found = _certificate_file_step(document, record, given, now_ms)
    status, code = _status_step(file.kind, verified, record, now_ms)
    if verified.value is None:
        code, words = "NOT_ON_LEDGER", ("账本上没有此记录", "the ledger holds no such record")
    elif document.state == "broken":
        code, words = "DOCUMENT_CHANGED" if found is None else found.code, (document.zh, document.en)
    else:
        words = (status.zh, status.en)
    broken = next((step.code for step in (document, status) if step.state == "broken"), None)
    held = [Step(name, "held", *texts) for name, texts in STEPS.items() if name not in ("document", "status")]
    return Verdict(
        broken is None,
        code,
        f"{words[0]}（{zh}）",
        f"{words[1]} ({en})",
        broken,
        (*held, document, status),
        file.kind,
        file.fields,
        *as_of,
        None if found is None else msgspec.to_builtins(found),
    )


def _certificate_file_step(
    step: Step, record: msgspec.Struct, given: GivenDocument, now_ms: int
) -> tuple[Step, DocumentVerdict | None]:
    """Return the document step of a certificate file, and the verdict on it; `step` as it is for any other document.

    The record vouches for the issuer: root certificates are needed for the maker of an annotated copy only.
    """
    if given.content.lstrip()[:1] != b"{":
        return step, None
    # Imported only now: any other document takes nothing but SM3.
    from contracts.certificate_records import CertificateContent, CertificateRecord
    from verification.certificate_files.file_verification import Expectations, certificate_file_kind, verify_file

    kind = certificate_file_kind(given.content)
    if kind is None:
        return step, None
    assert isinstance(record, CertificateRecord)
    content = CertificateContent(
        record.identifier,
        record.document_digest,
        record.holder_commitment,
        record.valid_from_ms,
        record.valid_to_ms,
    )
    expected = Expectations(
        now_ms,
        given.roots,
        ledger=content,
        recipient=given.recipient,
        attachments=given.attachments,
    )
    found = verify_file(given.content, kind, expected)
    return Step("document", "held" if found.is_accepted else "broken", found.zh, found.en), found


def _document_step(kind: str, record: msgspec.Struct | None, digest: bytes | None) -> Step:
    field = _DIGEST_FIELDS.get(kind)
    expected = None if field is None or record is None else getattr(record, field)
    if digest is None:
        return Step("document", "not-asked", "未给出文件，未核对", "no document was given; none was checked")
    if expected is None:
        return Step("document", "broken", "此类记录不含文件摘要", "a record of this kind carries no document's digest")
    if digest != expected:
        found = digest.hex()
        return Step(
            "document",
            "broken",
            f"文件被改动过，或不是这一份：应为 SM3 {expected.hex()}，实为 {found}",
            f"the document was changed, or is another one: expected SM3 {expected.hex()}, found {found}",
        )
    return Step("document", "held", *STEPS["document"])


def _status_step(kind: str, verified: VerifiedRecord, record: msgspec.Struct | None, now_ms: int) -> tuple[Step, str]:
    """Return what the record says of itself, and the code of that: a verdict of certificates, or RECORDED."""
    if record is None and verified.value is None:
        return Step("status", "broken", "账本上没有此记录", "the ledger holds no such record"), "NOT_ON_LEDGER"
    if kind != "certificate":
        name = "" if kind == OTHER_KIND else f" {kind}"
        return Step("status", "held", f"账本上有此记录{name}", f"the ledger holds this record{name}"), "RECORDED"
    # The record was decoded by this module: it is loaded already.
    from contracts.certificate_records import VERDICTS, CertificateRecord, status_at

    assert isinstance(record, CertificateRecord)
    status = status_at(record, verified.time_ms)
    if status.is_valid and record.valid_to_ms < now_ms:
        # No later block is needed to know this: the end of validity stands in the record.
        since = show_time(record.valid_to_ms)
        return Step("status", "broken", f"有效期已于 {since} 届满", f"its validity ended at {since}"), "EXPIRED"
    zh, en = VERDICTS[status.verdict]
    if not status.is_valid:
        since = show_time(status.since_ms)
        zh, en = f"{zh}（状态代码 {status.status}），自 {since}", f"{en} (status code {status.status}) since {since}"
        if status.reason:
            zh, en = f"{zh}，原因：{status.reason}", f"{en}, reason: {status.reason}"
        return Step("status", "broken", zh, en), status.verdict
    return Step("status", "held", zh, en), status.verdict


def _broken(step: str, zh: str, en: str, *, is_checked_before: bool = True) -> Verdict:
    """Return the verdict on a proof that breaks at `step`: what came before held where it was checked, the rest was not reached."""
    steps: list[Step] = []
    state: StepState = "held" if is_checked_before else "not-reached"
    for name, texts in STEPS.items():
        if name == step:
            steps.append(Step(name, "broken", zh, en))
            state = "not-reached"
        else:
            steps.append(Step(name, state, *texts))
    names = STEPS[step]
    return Verdict(
        False,
        "PROOF_BROKEN",
        f"证明不成立，断在“{names[0]}”（{step}）：{zh}",
        f'the proof does not hold; the broken step is {step} ("{names[1]}"): {en}',
        step,
        tuple(steps),
    )


def _age(height: int, time_ms: int, age_ms: int) -> tuple[str, str]:
    """Return as of when the proof speaks, and that what came later is not in it."""
    made = show_time(time_ms)
    zh, en = _span(max(0, age_ms))
    return (
        f"截至区块 {height}，{made}，{zh}前；之后的变更不在此证明中",
        f"as of block {height}, {made}, {en} ago; what changed later is not in this proof",
    )


def _span(span_ms: int) -> tuple[str, str]:
    """Return a length of time in words, to its largest unit."""
    units = ((_DAY_MS, "天", "day"), (3_600_000, "小时", "hour"), (60_000, "分钟", "minute"), (1_000, "秒", "second"))
    for size, zh, en in units:
        if span_ms >= size:
            count = span_ms // size
            return f"{count} {zh}", f"{count} {en}{'' if count == 1 else 's'}"
    return "不到 1 秒", "less than a second"
