"""The statements of a verification: each has a code, says in both languages what holds or does not, and who proves it."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

import msgspec

from contracts.accounts import load_department
from contracts.certificate_records import CertificateRecord, StatusAt
from contracts.certificate_types import PERMISSIONS, load_type, permission_name
from contracts.code_tables import load_code_table
from contracts.fields import MAX_TIME_MS
from contracts.identifiers import CertificateIdentifier
from contracts.records import Reader
from contracts.refusals import Refused
from explorer.problems import Text
from verification.days import day_end_ms, show_day, show_moment
from verification.status_spans import Span

Mood: TypeAlias = Literal["good", "warn", "bad"]

VERDICTS: Final[dict[str, tuple[Mood, Text]]] = {
    "IN_FORCE": ("good", Text("有效", "In force")),
    "PART_OF_DAY": ("warn", Text("当日只有部分时间有效", "In force for a part of that day only")),
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
"""Every verdict on a certificate, how it is shown, and what it is called."""

_STATUS_CODES: Final = {"SUSPENDED": "SUSPENDED_SINCE", "SUPERSEDED": "SUPERSEDED_BY"}
"""Statements that name a time or another certificate, by the verdicts that they lead to; others have the verdict's name."""
_BY_RECORD: Final = Text(
    "账本记录中的状态历史，由颁发机构签名写入", "the status history in the record, written under the issuer's signature"
)


class Statement(msgspec.Struct, frozen=True):
    """One step of a verification: its code, how it came out, what it says, and who proves it.

    `since_ms` is when what it says began, `successor` the certificate that took the place of this one; None and empty elsewhere.
    """

    code: str
    mood: Mood
    text: Text
    proven_by: Text
    since_ms: int | None = None
    successor: str = ""


class AsOf(msgspec.Struct, frozen=True):
    """The final block that a verification speaks of: `time_ms` is its time, `signers` the names of the validators that signed it."""

    height: int
    time_ms: int
    signers: tuple[str, ...]
    validator_count: int


def check_character(identifier: CertificateIdentifier) -> Statement:
    """Return whether the check character of an identifier is right."""
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


def final(as_of: AsOf) -> Statement:
    """Return as of which block the others speak."""
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


def on_ledger(record: CertificateRecord, as_of: AsOf) -> Statement:
    """Return that the ledger has a record of the certificate's own."""
    issued = show_moment(record.issued_ms)
    text = Text(f"账本上有此证照，颁发于 {issued}", f"the ledger holds it, issued {issued}")
    return Statement("ON_LEDGER", "good", text, _by_state(as_of), record.issued_ms)


def not_on_ledger(as_of: AsOf) -> Statement:
    """Return that the ledger has neither record nor batch for the identifier."""
    text = Text("账本上没有此标识", "the ledger has no such identifier")
    return Statement("NOT_ON_LEDGER", "bad", text, _by_state(as_of))


def in_batch(batch: str, as_of: AsOf) -> Statement:
    """Return that the serial is one of a batch, which says nothing yet about this identifier."""
    text = Text(
        f"流水号属于批次 {batch}：账本上只有该批次的摘要，且此标识没有状态变更记录；是否确为其中一份，由证照文件证明",
        f"its serial is of batch {batch}: the ledger has the digest of the batch, and no change of status under this identifier; "
        "that it is one of the batch is for its document to prove",
    )
    return Statement("IN_BATCH", "warn", text, _by_state(as_of))


def member_of_batch(
    batch: str, position: int, issued_ms: int, as_of: AsOf, *, is_by_manifest: bool = False
) -> Statement:
    """Return that a path, of a document or a manifest, leads to the root of a batch, and the ledger has no other word on it."""
    text = Text(
        f"它是账本上批次 {batch} 的第 {position + 1} 份，颁发于 {show_moment(issued_ms)}；此后没有状态变更记录",
        f"it is number {position + 1} of the batch {batch} on the ledger, issued {show_moment(issued_ms)}; "
        "no change of its status has been recorded since",
    )
    source = Text("文件中", "in the file")
    if is_by_manifest:
        source = Text("本节点所存批次清单给出", "from this node's copy of the batch's manifest")
    proven_by = Text(
        f"{source.zh}的默克尔路径通向账本登记的批次根（任何人可复算）；没有状态记录一节由本节点截至区块 {as_of.height} 所述",
        f"the Merkle path {source.en} leads to the root that the ledger records (anyone can compute it again); "
        f"that there is no status record is this node's word as of block {as_of.height}",
    )
    return Statement("MEMBER_OF_BATCH", "good", text, proven_by, issued_ms)


def not_in_manifest(batch: str, as_of: AsOf) -> Statement:
    """Return that the serial is one that a batch has taken, and the whole list of that batch does not have the identifier."""
    text = Text(
        f"流水号在批次 {batch} 的范围内，但该批次的清单里没有这个标识：没有颁发过",
        f"its serial is among those of the batch {batch}, whose manifest does not have this identifier: it was not issued",
    )
    proven_by = Text(
        f"本节点所存的批次清单，其默克尔根与份数同账本登记的一致；没有单独记录一节由本节点截至区块 {as_of.height} 所述",
        "this node's copy of the manifest, whose root and count are those on the ledger; "
        f"that there is no record is this node's word as of block {as_of.height}",
    )
    return Statement("NOT_IN_BATCH", "bad", text, proven_by)


def right_to_issue(state: Reader, identifier: CertificateIdentifier) -> Statement | None:
    """Return why nobody could have issued an identifier here: no such type, or an issuer without the right; None otherwise."""
    proven_by = Text("账本上的证照类型与颁发权限", "the types and rights to issue on the ledger")
    kind = load_type(state, identifier.type_code)
    if kind is None:
        text = Text(
            f"证照类型 {identifier.type_code} 未在本链登记",
            f"the type {identifier.type_code} is not registered on this chain",
        )
        return Statement("TYPE_NOT_REGISTERED", "bad", text, proven_by)
    if PERMISSIONS.has(state, permission_name(identifier.type_code, identifier.issuer_code)):
        return None
    department = load_department(state, identifier.issuer_code)
    name = identifier.issuer_code if department is None else department.name
    text = Text(f"{name} 无权颁发{kind.name}", f"{name} is not authorised to issue {kind.name}")
    return Statement("ISSUER_NOT_AUTHORISED", "bad", text, proven_by)


def issuer(state: Reader, record: CertificateRecord) -> Statement:
    """Return who issued a certificate, and whether it could still do so."""
    department = load_department(state, record.issuer)
    name = record.issuer if department is None else department.name
    proven_by = Text(
        "颁发机构账户的 SM2 签名；颁发权限由全部共识节点在写入时核对",
        "the SM2 signature of the issuer's account; every validator checked its authority when it was written",
    )
    if department is not None and department.suspended_ms:
        since = show_moment(department.suspended_ms)
        text = Text(f"由{name}颁发，该部门自 {since} 被暂停", f"issued by {name}, which is suspended since {since}")
        return Statement("ISSUER_SUSPENDED", "warn", text, proven_by, department.suspended_ms)
    if not PERMISSIONS.has(state, permission_name(record.type_code, record.issuer)):
        text = Text(
            f"由{name}颁发；其颁发权限此后已收回，已颁发的不受影响",
            f"issued by {name}, whose right to issue this type was withdrawn since; what it had issued stays",
        )
        return Statement("ISSUER_NOT_AUTHORISED", "warn", text, proven_by)
    text = Text(f"由有权机构{name}颁发", f"issued by {name}, authorised for this type")
    return Statement("ISSUER_AUTHORISED", "good", text, proven_by)


def status(state: Reader, record: CertificateRecord, found: StatusAt, at_ms: int) -> Statement:
    """Return the status that a certificate had, since when and why, and what took its place."""
    if found.verdict == "NOT_YET_ISSUED":
        text = Text("所查时间尚未颁发", "not issued at that time")
        return Statement(found.verdict, "bad", text, _BY_RECORD, record.issued_ms)
    mood: Mood = "good" if found.verdict in {"IN_FORCE", "NOT_YET_VALID", "EXPIRED"} else VERDICTS[found.verdict][0]
    # The end of validity is another statement's: this one is about the status, and when that began.
    since_ms = max((one.from_ms for one in record.history if one.from_ms <= at_ms), default=found.since_ms)
    name, since = status_name(state, record.type_code, found.status), show_moment(since_ms)
    zh, en = f"状态：{name.zh}（{found.status}），自 {since}", f"status: {name.en} ({found.status}) since {since}"
    if found.reason:
        zh, en = f"{zh}，原因：{found.reason}", f"{en}, reason: {found.reason}"
    if found.successor:
        zh, en = f"{zh}，接替证照 {found.successor}", f"{en}, succeeded by {found.successor}"
    code = "STATUS" if mood == "good" else _STATUS_CODES.get(found.verdict, found.verdict)
    return Statement(code, mood, Text(zh, en), _BY_RECORD, since_ms, found.successor)


def validity(record: CertificateRecord, at_ms: int) -> Statement:
    """Return whether a time lies within a certificate's validity."""
    span = validity_text(record)
    proven_by = Text(
        "账本记录中的有效期与区块时间；区块时间由共识节点共同确定",
        "the record's dates and the block's time, which the validators agreed on",
    )
    if at_ms < record.valid_from_ms:
        text = Text(f"有效期 {span.zh}，尚未开始", f"valid {span.en}: not begun")
        return Statement("NOT_YET_VALID", "warn", text, proven_by)
    if record.valid_to_ms < at_ms:
        text = Text(f"有效期 {span.zh}，已过期", f"valid {span.en}: over")
        return Statement("EXPIRED", "bad", text, proven_by, record.valid_to_ms)
    text = Text(f"在有效期内：{span.zh}", f"within its validity, {span.en}")
    return Statement("WITHIN_VALIDITY", "good", text, proven_by)


def time_ahead(as_of: AsOf, at_ms: int) -> Statement:
    """Return that the time asked for lies after the block that everything is said as of."""
    shown = show_moment(at_ms)
    text = Text(
        f"所查时间 {shown} 晚于该区块：以上以此后没有变更为前提",
        f"the time asked for, {shown}, lies after that block: all this holds if nothing changes until then",
    )
    return Statement("TIME_AHEAD", "warn", text, Text("区块时间", "the time of the block"))


def whole_day(day: str, spans: tuple[Span, ...], as_of: AsOf) -> Statement:
    """Return whether a certificate was in force all day, for a part of it, or not at all."""
    is_whole = as_of.time_ms >= day_end_ms(day)
    until = Text("全天", "all day") if is_whole else Text("自零时至该区块", "from midnight to that block")
    verdicts = [VERDICTS[span.status.verdict][1] for span in spans]
    if all(span.status.is_valid for span in spans):
        text = Text(f"{day}（北京时间）{until.zh}有效", f"in force {until.en} on {day}, China time")
        return Statement("IN_FORCE_ALL_DAY", "good", text, _BY_RECORD)
    if not any(span.status.is_valid for span in spans):
        zh, en = (
            "、".join(dict.fromkeys(one.zh for one in verdicts)),
            "; ".join(dict.fromkeys(one.en for one in verdicts)),
        )
        text = Text(
            f"{day}（北京时间）{until.zh}均非有效：{zh}", f"not in force at any time of {day}, China time: {en.lower()}"
        )
        return Statement("NOT_IN_FORCE_THAT_DAY", "bad", text, _BY_RECORD)
    times = [f"{show_moment(span.from_ms)[11:]}–{show_moment(span.to_ms)[11:]}" for span in spans]
    zh = "；".join(f"{time} {one.zh}" for time, one in zip(times, verdicts, strict=True))
    en = "; ".join(f"{time} {one.en.lower()}" for time, one in zip(times, verdicts, strict=True))
    text = Text(f"{day}（北京时间）当日有变化：{zh}", f"it changed on {day}, China time: {en}")
    return Statement("PART_OF_DAY", "warn", text, _BY_RECORD)


def document(matches: bool, *, is_whole: bool) -> Statement:
    """Return whether a document's digest, or the part of it that a code carries, is the one in the record."""
    if is_whole:
        proven_by = Text(
            "摘要由您的浏览器（或您自己）按 SM3 计算，与账本记录比对",
            "your browser (or you) computed the SM3 digest; it was compared with the record on the ledger",
        )
        names = Text("文件", "the document")
    else:
        proven_by = Text(
            "码中带有文件摘要的前段，与账本记录比对",
            "the code carries the beginning of the document's digest; it was compared with the record on the ledger",
        )
        names = Text("码所指的文件", "the document that the code is of")
    if matches and not is_whole:
        text = Text(
            "码所指的就是账本登记的那份证照；纸上或屏幕上的其他内容不在核验之列，请与持证人核对",
            "the code is of the certificate that the ledger records; what else stands on the paper or screen is not verified by it: "
            "compare it with the holder",
        )
        return Statement("DOCUMENT_MATCHES", "good", text, proven_by)
    if matches:
        text = Text(f"{names.zh}与颁发时登记的一字不差", f"{names.en} is the one that was issued")
        return Statement("DOCUMENT_MATCHES", "good", text, proven_by)
    text = Text(
        f"{names.zh}与颁发时登记的不一致：被改动过，或不是这份证照",
        f"{names.en} differs from the one issued: changed, or another one",
    )
    return Statement("DOCUMENT_CHANGED", "bad", text, proven_by)


def document_not_on_ledger() -> Statement:
    """Return that no certificate carries a document's digest."""
    return Statement(
        "DOCUMENT_NOT_ON_LEDGER",
        "bad",
        Text(
            "没有任何证照记录登记了这个文件摘要；批量颁发的证照不按摘要登记，须凭标识或证照文件核验",
            "no record of a certificate carries this document's digest; certificates of batches have none on the ledger: verify them by "
            "identifier or by the certificate document itself",
        ),
        Text(
            "本节点的索引；如有证照标识，请一并输入以直接核对账本",
            "this node's index; type the identifier too, to have the ledger itself asked",
        ),
    )


def status_name(state: Reader, type_code: str, code: str) -> Text:
    """Return what a status code of a certificate type is called in its table."""
    kind = load_type(state, type_code)
    try:
        table = load_code_table(state, kind.code_table) if kind is not None else None
    except Refused:
        table = None
    for known in () if table is None else table.statuses:
        if known.code == code:
            return Text(known.name, known.english)
    return Text(f"代码 {code}", f"code {code}")


def validity_text(record: CertificateRecord) -> Text:
    """Return the validity of a certificate in days of China time; the last year stands for no end."""
    start = show_day(record.valid_from_ms)
    if record.valid_to_ms >= MAX_TIME_MS:
        return Text(f"{start} 起长期", f"from {start} without end")
    end = show_day(record.valid_to_ms)
    return Text(f"{start} 至 {end}", f"{start} to {end}")


def _by_state(as_of: AsOf) -> Text:
    return Text(
        f"本节点所述；证明文件里的默克尔路径把它连到区块 {as_of.height} 的状态根，离线可验",
        f"this node says so; the Merkle path in the proof file ties it to the state root of block {as_of.height}, offline",
    )
