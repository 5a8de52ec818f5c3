"""What a node says about a certificate: one statement after the other, each with who proves it, and the verdict."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

import msgspec

from contracts.accounts import load_department
from contracts.batches import find_batch_name
from contracts.certificate_records import CERTIFICATES, CertificateRecord, StatusAt, load_status
from contracts.certificate_types import load_type
from contracts.code_tables import load_code_table
from contracts.fields import MAX_TIME_MS
from contracts.identifiers import CertificateIdentifier
from contracts.records import Reader
from contracts.refusals import Refused
from explorer.problems import Text
from verification.days import show_day, show_moment

Mood: TypeAlias = Literal["good", "warn", "bad"]

VERDICTS: Final[dict[str, tuple[Mood, Text]]] = {
    "IN_FORCE": ("good", Text("有效", "In force")),
    "NOT_YET_ISSUED": ("bad", Text("所查时间尚未颁发", "Not issued at that time")),
    "NOT_YET_VALID": ("warn", Text("尚未到有效期起始日", "Not valid yet")),
    "EXPIRED": ("bad", Text("已过有效期", "Expired")),
    "SUSPENDED": ("warn", Text("已暂停使用", "Suspended")),
    "SUPERSEDED": ("bad", Text("已由新证照接替", "Superseded by another certificate")),
    "ENDED": ("bad", Text("已撤销或终止", "Revoked or ended")),
    "DOCUMENT_CHANGED": ("bad", Text("文件与账本登记的不符", "The document is not the registered one")),
    "NOT_ON_LEDGER": ("bad", Text("账本上没有此证照", "Not on the ledger")),
    "IN_BATCH": ("warn", Text("批量颁发，须凭证照文件核验", "Issued in a batch: its document is needed to verify it")),
}
"""Every verdict, how it is shown, and what it is called."""


class Statement(msgspec.Struct, frozen=True):
    """One step of a verification: its code, how it came out, what it says, and who proves it."""

    code: str
    mood: Mood
    text: Text
    proven_by: Text


class AsOf(msgspec.Struct, frozen=True):
    """The final block that a verification speaks of: `time_ms` is its time, `signers` the names of the validators that signed it."""

    height: int
    time_ms: int
    signers: tuple[str, ...]
    validator_count: int


class Verification(msgspec.Struct, frozen=True):
    """The outcome for one identifier: a code of VERDICTS, the statements, and the record (None when there is none)."""

    verdict: str
    statements: tuple[Statement, ...]
    as_of: AsOf
    at_ms: int
    record: CertificateRecord | None
    text: Text
    """What the verdict is called; an ended certificate's says how it ended."""

    @property
    def mood(self) -> Mood:
        """How the verdict is shown."""
        return VERDICTS[self.verdict][0]


def verify_certificate(
    state: Reader,
    identifier: CertificateIdentifier,
    document_digest: bytes | None,
    as_of: AsOf,
    at_ms: int | None = None,
) -> Verification:
    """Return what the state after block `as_of` says of a certificate at `at_ms` (the block's time when None) and of a document."""
    at_ms = as_of.time_ms if at_ms is None else at_ms
    record = CERTIFICATES.load(state, identifier.text.encode())
    batch = "" if record is not None else find_batch_name(state, identifier.text)
    statements = [_check_character(identifier), _final(as_of), _on_ledger(record, batch, as_of)]
    if record is None:
        verdict = "IN_BATCH" if batch else "NOT_ON_LEDGER"
        return Verification(verdict, tuple(statements), as_of, at_ms, None, VERDICTS[verdict][1])
    status = load_status(state, record, at_ms)
    statements += [_issuer(state, record), _status(state, record, status), _validity(record, at_ms)]
    verdict = status.verdict
    if document_digest is not None:
        matches = document_digest == record.document_digest
        statements.append(_document(matches))
        verdict = verdict if matches else "DOCUMENT_CHANGED"
    text = VERDICTS[verdict][1]
    if verdict == "ENDED":
        name = status_name(state, record.type_code, status.status)
        text = Text(f"已{name.zh}", name.en.capitalize())
    return Verification(verdict, tuple(statements), as_of, at_ms, record, text)


def unknown_document(as_of: AsOf) -> Verification:
    """Return the outcome for a document whose digest no certificate on the ledger carries."""
    statement = Statement(
        "DOCUMENT_NOT_ON_LEDGER",
        "bad",
        Text("没有任何已颁发的证照登记了这个文件摘要", "no certificate on the ledger carries this document's digest"),
        Text(
            "本节点的索引；如有证照标识，请一并输入以直接核对账本",
            "this node's index; type the identifier too, to have the ledger itself asked",
        ),
    )
    return Verification(
        "NOT_ON_LEDGER", (_final(as_of), statement), as_of, as_of.time_ms, None, VERDICTS["NOT_ON_LEDGER"][1]
    )


def _check_character(identifier: CertificateIdentifier) -> Statement:
    proven_by = Text(
        "本节点按 GB/T 17710 计算，任何人可复算", "computed here by GB/T 17710; anyone can compute it again"
    )
    if identifier.check == identifier.expected_check:
        text = Text(
            f"标识的校验位 {identifier.check} 正确",
            f"the check character {identifier.check} of the identifier is right",
        )
        return Statement("CHECK_CHARACTER", "good", text, proven_by)
    text = Text(
        f"标识的校验位是 {identifier.check}，按标准应为 {identifier.expected_check}：请核对是否录入有误",
        f"the check character is {identifier.check}, the standard gives {identifier.expected_check}: look for a typing error",
    )
    return Statement("CHECK_CHARACTER_MISMATCH", "warn", text, proven_by)


def _final(as_of: AsOf) -> Statement:
    names, count, total = "、".join(as_of.signers), len(as_of.signers), as_of.validator_count
    return Statement(
        "BLOCK_FINAL",
        "good",
        Text(
            f"结论截至区块 {as_of.height}（{show_moment(as_of.time_ms)}），该区块已最终确认",
            f"this speaks as of block {as_of.height}, {show_moment(as_of.time_ms)}, which is final",
        ),
        Text(
            f"{total} 个共识节点中 {count} 个的 SM2 签名（{names}），证明文件里可逐一验证",
            f"SM2 signatures of {count} of {total} validators ({', '.join(as_of.signers)}); the proof file lets you check each",
        ),
    )


def _on_ledger(record: CertificateRecord | None, batch: str, as_of: AsOf) -> Statement:
    proven_by = Text(
        f"本节点所述；证明文件里的默克尔路径把它连到区块 {as_of.height} 的状态根，离线可验",
        f"this node says so; the Merkle path in the proof file ties it to the state root of block {as_of.height}, offline",
    )
    if record is None and batch:
        text = Text(
            f"流水号属于批次 {batch}：账本上只有该批次的摘要，且此标识没有状态变更记录；是否确为其中一份，由证照文件证明",
            f"its serial is of batch {batch}: the ledger has the digest of the batch, and no change of status under this identifier; "
            "that it is one of the batch is for its document to prove",
        )
        return Statement("IN_BATCH", "warn", text, proven_by)
    if record is None:
        return Statement(
            "NOT_ON_LEDGER", "bad", Text("账本上没有此标识", "the ledger has no such identifier"), proven_by
        )
    return Statement(
        "ON_LEDGER",
        "good",
        Text(
            f"账本上有此证照，颁发于 {show_moment(record.issued_ms)}",
            f"the ledger holds it, issued {show_moment(record.issued_ms)}",
        ),
        proven_by,
    )


def _issuer(state: Reader, record: CertificateRecord) -> Statement:
    department = load_department(state, record.issuer)
    name = record.issuer if department is None else department.name
    proven_by = Text(
        "颁发机构账户的 SM2 签名；颁发权限由全部共识节点在写入时核对",
        "the SM2 signature of the issuer's account; every validator checked its authority when it was written",
    )
    if department is not None and department.suspended_ms:
        text = Text(f"由{name}颁发，该部门现已被暂停", f"issued by {name}, which is suspended now")
        return Statement("ISSUER_SUSPENDED", "warn", text, proven_by)
    return Statement(
        "ISSUER_AUTHORISED",
        "good",
        Text(f"由有权机构{name}颁发", f"issued by {name}, authorised for this type"),
        proven_by,
    )


def _status(state: Reader, record: CertificateRecord, status: StatusAt) -> Statement:
    proven_by = Text(
        "账本记录中的状态历史，由颁发机构签名写入",
        "the status history in the record, written under the issuer's signature",
    )
    if status.verdict == "NOT_YET_ISSUED":
        return Statement(status.verdict, "bad", Text("所查时间尚未颁发", "not issued at that time"), proven_by)
    name = status_name(state, record.type_code, status.status)
    since, reason = show_moment(status.since_ms), status.reason
    zh, en = f"状态：{name.zh}（{status.status}），自 {since}", f"status: {name.en} ({status.status}) since {since}"
    if reason:
        zh, en = f"{zh}，原因：{reason}", f"{en}, reason: {reason}"
    if status.successor:
        zh, en = f"{zh}，接替证照 {status.successor}", f"{en}, succeeded by {status.successor}"
    mood: Mood = "good" if status.verdict in {"IN_FORCE", "NOT_YET_VALID", "EXPIRED"} else VERDICTS[status.verdict][0]
    return Statement("STATUS" if mood == "good" else status.verdict, mood, Text(zh, en), proven_by)


def _validity(record: CertificateRecord, at_ms: int) -> Statement:
    span = validity_text(record)
    proven_by = Text(
        "账本记录中的有效期与区块时间；区块时间由共识节点共同确定",
        "the record's dates and the block's time, which the validators agreed on",
    )
    if at_ms < record.valid_from_ms:
        return Statement(
            "NOT_YET_VALID", "warn", Text(f"有效期 {span.zh}，尚未开始", f"valid {span.en}: not begun"), proven_by
        )
    if record.valid_to_ms < at_ms:
        return Statement("EXPIRED", "bad", Text(f"有效期 {span.zh}，已过期", f"valid {span.en}: over"), proven_by)
    return Statement(
        "WITHIN_VALIDITY", "good", Text(f"在有效期内：{span.zh}", f"within its validity, {span.en}"), proven_by
    )


def _document(matches: bool) -> Statement:
    proven_by = Text(
        "摘要由您的浏览器（或您自己）按 SM3 计算，与账本记录比对",
        "your browser (or you) computed the SM3 digest; it was compared with the record on the ledger",
    )
    if matches:
        return Statement(
            "DOCUMENT_MATCHES",
            "good",
            Text("文件与颁发时登记的一字不差", "the document is the one that was issued"),
            proven_by,
        )
    text = Text(
        "文件与颁发时登记的不一致：被改动过，或不是这份证照",
        "the document differs from the one issued: changed, or another one",
    )
    return Statement("DOCUMENT_CHANGED", "bad", text, proven_by)


def status_name(state: Reader, type_code: str, status: str) -> Text:
    """Return what a status code of a certificate type is called in its table."""
    kind = load_type(state, type_code)
    try:
        table = load_code_table(state, kind.code_table) if kind is not None else None
    except Refused:
        table = None
    for code in () if table is None else table.statuses:
        if code.code == status:
            return Text(code.name, code.english)
    return Text(f"代码 {status}", f"code {status}")


def validity_text(record: CertificateRecord) -> Text:
    """Return the validity of a certificate in days of China time; the last year stands for no end."""
    start = show_day(record.valid_from_ms)
    if record.valid_to_ms >= MAX_TIME_MS:
        return Text(f"{start} 起长期", f"from {start} without end")
    end = show_day(record.valid_to_ms)
    return Text(f"{start} 至 {end}", f"{start} to {end}")
