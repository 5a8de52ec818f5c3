"""What verifying a proof comes to: named steps, codes and both languages, the same for a record and for a certificate of a batch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import msgspec

from node.http.proof_file import KIND_NAMES, OTHER_KIND
from sm_crypto.sm3 import sm3
from verification.days import show_time
from verification.trust import TrustFile

if TYPE_CHECKING:
    from contracts.certificate_records import StatusAt
    from sm_crypto.x509 import Certificate
    from verification.certificate_files.document import FileDigest
    from verification.certificate_files.file_verification import DocumentVerdict, Kind

StepState: TypeAlias = Literal["held", "broken", "not-reached", "not-asked"]

_LEDGER_STEPS: Final[dict[str, tuple[str, str]]] = {
    "file": ("证明文件格式正确", "the proof file is well-formed"),
    "record": ("记录与证明中的摘要一致", "the record is the one that the proof speaks of"),
    "header": ("区块头就是证书所指的区块", "the header is that of the certified block"),
    "path": ("默克尔路径通向区块头的状态根", "the Merkle path leads to the header's state root"),
    "validator-set": ("共识节点集合就是区块头所指的集合", "the validators are the set that the header names"),
    "trust": ("共识节点集合源自所信任的网络", "the validators descend from the trusted network"),
    "certificate": ("确认证书达到法定多数", "the commit certificate has a quorum"),
    "signatures": ("确认证书的 SM2 签名全部有效", "the SM2 signatures of the certificate hold"),
}
_LAST_STEPS: Final[dict[str, tuple[str, str]]] = {
    "document": ("文件就是登记的那一份", "the document is the one recorded"),
    "status": ("记录在证明时有效", "the record was in force as of the proof"),
}
STEPS: Final = _LEDGER_STEPS | _LAST_STEPS
"""The steps of a proof of one record in their order; each with what it means when it holds."""
BATCH_STEPS: Final = (
    _LEDGER_STEPS
    | {"member": ("证照在账本登记的批次之中", "the certificate is in the batch that the ledger records")}
    | _LAST_STEPS
)
"""Those of a proof of a certificate of a batch."""
AGE_STEP: Final = "age"
"""The step after all others: that of limit_age, and of any proof that a clock which is behind cannot judge."""
_AGE_TEXTS: Final = ("证明的时间在所要求的期限之内", "the proof is as recent as was asked for")
PART_STEPS: Final = {"state": "path", "validators": "validator-set", "walk": "trust"}
"""Parts of a proof file that a step of another name speaks of."""

BATCH_PROOF_FORMAT: Final = "govnode-batch-proof/1"
BATCH_CERTIFICATE: Final = "batch-certificate"
"""The kind of what a proof of a certificate of a batch proves."""
_CERTIFICATE_KINDS: Final = frozenset({"certificate", BATCH_CERTIFICATE})
DIGEST_FIELDS: Final[dict[str, tuple[str, ...]]] = {
    "certificate": ("document_digest",),
    BATCH_CERTIFICATE: ("document_digest",),
    "anchor": ("digest",),
    "delivery": ("parcel", "sealed"),
    "product": ("claim", "evidence"),
    "product-fact": ("terms", "document"),
    "product-objection": ("evidence",),
}
"""The kinds of record that carry a document's SM3, and where; zeros where there is no document."""
OWN_WORDS: Final = frozenset({"delivery", "product", "product-fact", "product-objection"})
"""The kinds of record that verification.record_words tells of."""
DELIVERY_HINT: Final = (
    "。交付的证明只核对封装文件（.govx）；打开后的数据由 govnode exchange receive 核对",
    ". Under a delivery it is the sealed file (.govx); what it opens to is compared by govnode exchange receive",
)
NO_DIGEST: Final = (
    "此记录不含文件摘要：证照文件请出示该证照自身的证明",
    "this record carries no document's digest: for a certificate its own proof is needed",
)
_FINDINGS: Final = {"SUSPENDED": "SUSPENDED_SINCE", "SUPERSEDED": "SUPERSEDED_BY"}
"""What a step says of verdicts that come with a time or a successor; of the others, their own code."""

_DAY_MS: Final = 24 * 3_600_000
_CLOCK_SKEW_MS: Final = 5 * 60 * 1_000
"""How far clocks may be apart, as in sm_crypto.x509, which is too much to import for a proof that needs nothing of it."""


class Step(msgspec.Struct, frozen=True):
    """One step of verification, and how it came out; the texts say what holds, or why it broke, and `finding` is the code of that."""

    code: str
    state: StepState
    zh: str
    en: str
    finding: str = ""
    """Empty where the step is not broken."""


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
    batch: Any = None
    """Of a certificate of a batch: `name`, `position`, `count`, `issued_ms`, and `has_own_record`."""
    since_ms: int | None = None
    """Since when a certificate has the status that the verdict speaks of."""
    successor: str | None = None
    """The identifier of the certificate that took its place."""
    day: Any = None
    """What it was on the day that was asked about: `day`, and `spans` with `from_ms`, `to_ms` and `verdict`."""
    freshness: Any = None
    """What a status list said since the proof (verification.freshness), None where none was given."""


class GivenDocument(msgspec.Struct, frozen=True):
    """The document that comes with a proof, and what its verifier knows where it is one of verification.certificate_files.

    `roots` are the trust file's where None; `recipient` is who asks; `attachments` are files at hand, by the document's names for them.
    """

    content: bytes
    roots: tuple[Certificate, ...] | None = None
    recipient: str | None = None
    attachments: dict[str, FileDigest] = {}


class ProvedRecord(msgspec.Struct, frozen=True):
    """What a proof has shown as of a final block: the record in its type and in words (None: absent, or of no known kind)."""

    steps: Mapping[str, tuple[str, str]]
    kind: str
    is_present: bool
    record: msgspec.Struct | None
    fields: Any
    height: int
    time_ms: int
    ledger_root: bytes | None = None
    """`root` in the record of the batch that a certificate is of."""
    batch: Any = None
    fault: tuple[str, str, str] | None = None
    """Why the certificate does not count although the proof holds: a code, and both languages."""


def conclude(
    proved: ProvedRecord, given: GivenDocument | None, trust: TrustFile, now_ms: int, day: str | None = None
) -> Verdict:
    """Return the verdict on a proof whose other steps hold: what the record says of the document and of itself, now or on a day.

    Raises InputError where a root certificate of the trust file is needed and malformed.
    """
    as_of = (proved.height, proved.time_ms, now_ms - proved.time_ms)
    zh, en = _age(*as_of)
    document, found = _document_step(proved, given, trust, now_ms)
    told_of_day = None
    if day is None:
        status, at = _status_step(proved, now_ms)
    else:
        status, at, told_of_day = _day_step(proved, day)
    told, code = status, (status.finding or "RECORDED") if at is None else at.verdict
    if document.state == "broken" and proved.is_present:
        told, code = document, document.finding
    broken_step = next((step.code for step in (document, status) if step.state == "broken"), None)
    held = [Step(name, "held", *texts) for name, texts in proved.steps.items() if name not in _LAST_STEPS]
    verdict = Verdict(
        broken_step is None,
        code,
        f"{told.zh}（{zh}）",
        f"{told.en} ({en})",
        broken_step,
        (*held, document, status),
        proved.kind,
        proved.fields,
        *as_of,
        None if found is None else msgspec.to_builtins(found),
        proved.batch,
        None if at is None else at.since_ms,
        (at.successor or None) if at is not None else None,
        told_of_day,
    )
    is_clock_behind = proved.time_ms > now_ms + _CLOCK_SKEW_MS
    return _refuse_by_clock(verdict, proved.time_ms, now_ms) if verdict.is_accepted and is_clock_behind else verdict


def limit_age(verdict: Verdict, max_age_ms: int) -> Verdict:
    """Return the verdict with one step more: that it speaks of a time at most `max_age_ms` before the verification.

    What counts is the later of the proof's block and, where a status list says that nothing changed, the list's. A verdict
    that a clock which is behind cannot judge stays as it is.
    """
    if verdict.broken_step == AGE_STEP:
        return verdict
    fresh = (verdict.freshness or {}).get("age_ms") if verdict.is_accepted else None
    age_ms = verdict.age_ms if fresh is None or verdict.age_ms is None else min(verdict.age_ms, fresh)
    if age_ms is None or not verdict.is_accepted:
        return msgspec.structs.replace(verdict, steps=(*verdict.steps, Step(AGE_STEP, "not-reached", *_AGE_TEXTS)))
    if age_ms <= max_age_ms:
        return msgspec.structs.replace(verdict, steps=(*verdict.steps, Step(AGE_STEP, "held", *_AGE_TEXTS)))
    return _break_at(verdict, Step(AGE_STEP, "broken", *too_old(age_ms, max_age_ms), "PROOF_TOO_OLD"))


def too_old(age_ms: int, max_age_ms: int) -> tuple[str, str]:
    """Return why what speaks of so long ago is refused (PROOF_TOO_OLD), be it a proof or a status list."""
    (zh, en), (most_zh, most_en) = _span(age_ms), _span(max_age_ms)
    return (
        f"所述截至 {zh}前，所要求的是 {most_zh}以内：请出示新的证明，或更新的状态清单",
        f"it speaks of {en} ago, at most {most_en} is asked for: a newer proof is needed, or a newer status list",
    )


def _refuse_by_clock(verdict: Verdict, time_ms: int, now_ms: int) -> Verdict:
    """Return the verdict with the step of the age broken: by such a clock every proof is new, and no validity has ended."""
    found, made = show_time(now_ms), show_time(time_ms)
    step = Step(
        AGE_STEP,
        "broken",
        f"本机时钟 {found} 早于证明的区块 {made}，不能判断证明的新旧：请校准时钟后再核验",
        f"this machine's clock says {found}, before the proof's block of {made}, and cannot tell its age: set the clock, then verify",
        "CLOCK_BEHIND",
    )
    return _break_at(verdict, step)


def _break_at(verdict: Verdict, step: Step) -> Verdict:
    """Return an accepted verdict with one step more, which breaks."""
    changes = {"is_accepted": False, "code": step.finding, "zh": step.zh, "en": step.en, "broken_step": step.code}
    return msgspec.structs.replace(verdict, steps=(*verdict.steps, step), **changes)


def broken(
    steps: Mapping[str, tuple[str, str]],
    step: str,
    zh: str,
    en: str,
    code: str = "PROOF_BROKEN",
    *,
    is_checked_before: bool = True,
) -> Verdict:
    """Return the verdict on a proof that breaks at `step`: what came before held where it was checked, the rest was not reached."""
    told: list[Step] = []
    state: StepState = "held" if is_checked_before else "not-reached"
    for name, texts in steps.items():
        if name == step:
            told.append(Step(name, "broken", zh, en, code))
            state = "not-reached"
        else:
            told.append(Step(name, state, *texts))
    names = steps[step]
    return Verdict(
        False,
        code,
        f"证明不成立，断在“{names[0]}”（{step}）：{zh}",
        f'the proof does not hold; the broken step is {step} ("{names[1]}"): {en}',
        step,
        tuple(told),
    )


def _document_step(
    proved: ProvedRecord, given: GivenDocument | None, trust: TrustFile, now_ms: int
) -> tuple[Step, DocumentVerdict | None]:
    """Return what the record says of a document, and the verdict on the file where it is a certificate's.

    A certificate file is never taken by its SM3: anybody can have the bytes of a forged one recorded as some other document.
    """
    if given is None:
        return Step("document", "not-asked", "未给出文件，未核对", "no document was given; none was checked"), None
    kind = None
    if given.content.lstrip()[:1] == b"{":
        # Imported only now: any other document takes nothing but SM3.
        from verification.certificate_files.file_verification import certificate_file_kind

        kind = certificate_file_kind(given.content)
    if kind is None:
        step = _digest_step(proved, sm3(given.content))
        if step.state == "held" and given.attachments:
            names = "、".join(given.attachments)
            zh = f"这份文件没有附件可核对：{names}"
            en = f"this document names no attachments to compare with: {', '.join(given.attachments)}"
            step = Step("document", "broken", zh, en, "ATTACHMENT_UNKNOWN")
        return step, None
    if proved.kind not in _CERTIFICATE_KINDS:
        zh = "这是证照文件，而证明的不是证照：请出示该证照自身的证明"
        en = "this is a certificate's file, and what is proved is no certificate: the certificate's own proof is needed"
        return Step("document", "broken", zh, en, "WRONG_PROOF"), None
    if proved.record is None:
        return _digest_step(proved, b""), None
    return _certificate_file_step(proved, proved.record, given, kind, trust, now_ms)


def _certificate_file_step(
    proved: ProvedRecord, record: msgspec.Struct, given: GivenDocument, kind: Kind, trust: TrustFile, now_ms: int
) -> tuple[Step, DocumentVerdict]:
    """Return the document step of a certificate file, and the verdict on it.

    The record vouches for the issuer: without root certificates, only the maker of an annotated copy cannot be told.
    """
    from contracts.certificate_records import CertificateContent, CertificateRecord
    from verification.certificate_files.file_verification import Expectations, verify_file

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
        trust.roots() if given.roots is None else given.roots,
        ledger=content,
        ledger_root=proved.ledger_root,
        recipient=given.recipient,
        attachments=given.attachments,
    )
    found = verify_file(given.content, kind, expected)
    if found.is_accepted:
        return Step("document", "held", found.zh, found.en), found
    return Step("document", "broken", found.zh, found.en, found.code), found


def _digest_step(proved: ProvedRecord, digest: bytes) -> Step:
    """Return what the record says of a document that is no certificate's file, by its SM3."""
    expected = _recorded_digest(proved)
    found = digest.hex()
    if expected is None:
        return Step(
            "document",
            "broken",
            *NO_DIGEST,
            "DOCUMENT_CHANGED",
        )
    if found != expected:
        zh_more, en_more = DELIVERY_HINT if proved.kind == "delivery" else ("", "")
        return Step(
            "document",
            "broken",
            f"文件被改动过，或不是这一份：应为 SM3 {expected}，实为 {found}{zh_more}",
            f"the document was changed, or is another one: expected SM3 {expected}, found {found}{en_more}",
            "DOCUMENT_CHANGED",
        )
    return Step("document", "held", *STEPS["document"])


def _recorded_digest(proved: ProvedRecord) -> str | None:
    """Return the SM3 of a file that the record has, as hex digits, or None."""
    if proved.record is None or proved.kind not in DIGEST_FIELDS:
        return None
    found: Any = proved.record
    for field in DIGEST_FIELDS[proved.kind]:
        found = getattr(found, field)
    return found.hex() if any(found) else None


def _status_step(proved: ProvedRecord, now_ms: int) -> tuple[Step, StatusAt | None]:
    """Return what the record says of itself, and what a certificate was at the time of the proof (None: no certificate)."""
    if not proved.is_present:
        zh, en = "账本上没有此记录", "the ledger holds no such record"
        if proved.kind == "certificate":
            zh += "；整批颁发的证照可以没有自身的记录，须由批次证明核对"
            en += "; one of a batch may have none of its own, which a proof of its place in the batch tells"
        return Step("status", "broken", zh, en, "NOT_ON_LEDGER"), None
    if proved.fault is not None:
        code, zh, en = proved.fault
        return Step("status", "broken", zh, en, code), None
    if proved.kind not in _CERTIFICATE_KINDS:
        if proved.kind in OWN_WORDS:
            # Imported only now: proofs of other records need nothing of it.
            from verification.record_words import record_words

            return Step("status", "held", *record_words(proved.kind, proved.fields)), None
        if proved.kind == OTHER_KIND:
            return Step("status", "held", "账本上有此记录", "the ledger holds this record"), None
        texts = (f"账本上有此记录：{KIND_NAMES[proved.kind]}", f"the ledger holds this record: {proved.kind}")
        return Step("status", "held", *texts), None
    # The record was decoded before: its module is loaded already.
    from contracts.certificate_records import VERDICTS, CertificateRecord, status_at

    record = proved.record
    assert isinstance(record, CertificateRecord)
    status = status_at(record, proved.time_ms)
    if status.is_valid and record.valid_to_ms < now_ms:
        # No later block is needed to know this: the end of validity stands in the record.
        since = show_time(record.valid_to_ms)
        ended = msgspec.structs.replace(status, verdict="EXPIRED", is_valid=False, since_ms=record.valid_to_ms)
        return Step("status", "broken", f"有效期已于 {since} 届满", f"its validity ended at {since}", "EXPIRED"), ended
    zh, en = VERDICTS[status.verdict]
    if not status.is_valid:
        since = show_time(status.since_ms)
        zh, en = f"{zh}（状态代码 {status.status}），自 {since}", f"{en} (status code {status.status}) since {since}"
        if status.successor:
            zh, en = f"{zh}，后继证照：{status.successor}", f"{en}, its successor: {status.successor}"
        if status.reason:
            zh, en = f"{zh}，原因：{status.reason}", f"{en}, reason: {status.reason}"
        return Step("status", "broken", zh, en, _FINDINGS.get(status.verdict, status.verdict)), status
    return Step("status", "held", zh, en), status


def _day_step(proved: ProvedRecord, day: str) -> tuple[Step, StatusAt | None, Any]:
    """Return what the record of a certificate says of a day, and the status that this rests on; other records have no days."""
    if not proved.is_present or proved.fault is not None:
        return *_status_step(proved, proved.time_ms), None
    if proved.kind not in _CERTIFICATE_KINDS:
        texts = ("证明的不是证照，不能说明某日的状态", "what is proved is no certificate and has no status on a day")
        return Step("status", "broken", *texts, "NOT_A_CERTIFICATE"), None, None
    # Imported only now: most questions are about the proof's own time.
    from contracts.certificate_records import CertificateRecord
    from verification.proved_days import status_on_day

    assert isinstance(proved.record, CertificateRecord)
    found = status_on_day(proved.record, proved.time_ms, day)
    spans = [{"from_ms": one.from_ms, "to_ms": one.to_ms, "verdict": one.status.verdict} for one in found.spans]
    at, told = found.decisive, {"day": day, "spans": spans}
    if at is not None and found.code == "IN_FORCE":
        return Step("status", "held", found.zh, found.en), at, told
    return Step("status", "broken", found.zh, found.en, _FINDINGS.get(found.code, found.code)), at, told


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
