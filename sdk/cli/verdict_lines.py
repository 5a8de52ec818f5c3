"""A verdict in lines for people: its steps, what the certificate is, what its file shows and for whom, and the outcome."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sdk.cli.output import fields
from verification.days import show_day, show_time
from verification.shown_text import shown_line

if TYPE_CHECKING:
    from verification.proof_verdicts import Verdict

MARKS: Final = {"held": "✓", "broken": "✗", "not-reached": "·", "not-asked": "-"}
_NOT_CHECKED: Final = {"not-reached": ("未核对到这一步", "not reached"), "not-asked": ("未核对", "not checked")}


def verdict_text(verdict: Verdict, elapsed_ms: float, names: dict[str, str] | None = None) -> str:
    """Return a verdict on a proof, a line a step; `names` are what a node calls type and issuer of the record."""
    lines = []
    for step in verdict.steps:
        # What was not asked says so by itself; what was not reached has the words of the step that holds.
        is_reached = step.state != "not-reached"
        lines.append(_step_line(step.code, step.state, step.zh, step.en, is_claim=not is_reached))
    record = verdict.record if isinstance(verdict.record, dict) else {}
    about = certificate_facts(record, verdict.document, names or {})
    parts = (about, _record_facts(verdict.kind, record), document_facts(verdict.document))
    shown = [fields(pairs) for pairs in parts if pairs]
    for part in shown:
        lines += ["", part]
    result = "通过 / accepted" if verdict.is_accepted else "不通过 / refused"
    outcome: list[tuple[str, object]] = [
        ("记录 / record", record.get("identifier") or _kind_name(verdict.kind)),
        ("结论 / verdict", f"{result} [{verdict.code}]"),
        ("", verdict.zh),
        ("", verdict.en),
        ("用时 / took", f"{elapsed_ms} ms"),
    ]
    return "\n".join([*lines, "", fields(outcome)])


def file_step_lines(document: dict[str, Any]) -> list[str]:
    """Return the steps that a certificate's own file went through, a line each."""
    return [
        _step_line(step["step"], step["state"], step["zh"], step["en"], is_claim=step["state"] in _NOT_CHECKED)
        for step in document["steps"]
    ]


def certificate_facts(
    record: dict[str, Any], document: dict[str, Any] | None, names: dict[str, str]
) -> list[tuple[str, object]]:
    """Return type, issuer and validity as labels and values: of a file that holds, else of a certificate's record; none otherwise."""
    metadata = None if document is None else document["metadata"]
    if metadata:
        end = metadata["ZZYXQJZRQ"]
        return _facts(
            f"{metadata['ZZMC']} {metadata['ZZLXDM']}",
            f"{metadata['ZZBFJG']} {metadata['ZZBFJGDM']}",
            metadata["ZZYXQQSRQ"],
            "" if end.startswith("9999") else end,
        )
    if "valid_from_ms" not in record:
        return []
    # Imported only now: proofs of other records have no validity.
    from contracts.fields import MAX_TIME_MS

    end_ms = record["valid_to_ms"]
    return _facts(
        f"{names.get('type_name', '')} {record['type_code']}".strip(),
        f"{names.get('issuer_name', '')} {record['issuer']}".strip(),
        show_day(record["valid_from_ms"]),
        "" if end_ms >= MAX_TIME_MS else show_day(end_ms),
    )


def document_facts(document: dict[str, Any] | None) -> list[tuple[str, object]]:
    """Return what a file that holds shows and hides, for whom it was made, what for, by whom and until when."""
    if document is None or document["values"] is None:
        return []
    # Imported only now: most proofs come without a file.
    from verification.certificate_files.field_names import FIELD_NAMES, field_label

    labels = {name: f"{field_label(name)} ({name})" for name in FIELD_NAMES}
    shown: list[tuple[str, object]] = [(labels.get(name, name), value) for name, value in document["values"].items()]
    shown.append(("未出示 / hidden", "、".join(labels.get(name, name) for name in document["hidden"]) or None))
    shown += [
        ("给 / for", document["recipient"]),
        ("用途 / purpose", document["purpose"]),
        ("加注机构 / copy made by", document["maker"]),
        ("可用至 / usable until", None if document["expires_ms"] is None else show_time(document["expires_ms"])),
    ]
    is_asked = any(step["step"] == "recipient" and step["state"] == "held" for step in document["steps"])
    if document["recipient"] is not None and not is_asked:
        shown.append(
            (
                "注意 / note",
                "未核对收件方：请加 --recipient 您的单位名称 / recipient not checked: add --recipient NAME_OF_YOUR_ORGANISATION",
            )
        )
    return shown


def _kind_name(kind: str | None) -> str | None:
    """Return what a kind of record is called in both languages; None where a proof broke before it was known."""
    from node.http.proof_file import KIND_NAMES

    return f"{KIND_NAMES[kind]} / {kind}" if kind in KIND_NAMES else kind


def _record_facts(kind: str | None, record: dict[str, Any]) -> list[tuple[str, object]]:
    """Return by what a record of data sharing can be found again and compared, as labels and values; none of any other record."""
    if not record:
        return []
    if kind == "delivery":
        parcel = record["parcel"]
        return [
            ("授权 / grant", record["grant"]),
            ("交付序号 / delivery", record["number"]),
            ("载荷摘要 / payload digest", parcel["payload"]),
            ("封装文件摘要 / digest of the sealed file", parcel["sealed"]),
        ]
    if kind == "product":
        return [
            ("产品代码 / product", record["code"]),
            ("证据摘要 / digest of the evidence", record["claim"]["evidence"]),
        ]
    if kind not in ("product-fact", "product-objection"):
        return []
    found: list[tuple[str, object]] = [("产品代码 / product", record["product"]), ("序号 / number", record["number"])]
    if kind == "product-objection":
        return [*found, ("证据摘要 / digest of the evidence", _or_none(record["evidence"]))]
    terms = record["terms"]
    return [
        *found,
        ("文书摘要 / digest of the paper", terms["document"]),
        ("授权 / grant", _or_none(terms["grant"])),
        ("取代 / replaces", terms["replaces"] or None),
    ]


def _or_none(digest: str) -> str | None:
    """Return a digest, None for one of zeros, which stands for none."""
    return digest if digest.strip("0") else None


def _facts(kind: str, issuer: str, start: str, end: str) -> list[tuple[str, object]]:
    return [
        ("类型 / type", kind),
        ("颁发机构 / issuer", issuer),
        ("有效期 / validity", f"{start} ~ {end or '长期 / without end'}"),
    ]


def _step_line(name: str, state: str, zh: str, en: str, *, is_claim: bool) -> str:
    """Return a step's line; words that claim what was not looked at stand after a note that it was not."""
    if is_claim:
        note_zh, note_en = _NOT_CHECKED[state]
        zh, en = f"{note_zh}：{zh}", f"{note_en}: {en}"
    return shown_line(f"{MARKS[state]} {name:<14} {zh} / {en}")
