"""What the commands of govnode share have in common: one call of the sharing contract, digests of evidence."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import click

from sdk.cli.calls import Access
from sdk.cli.options import FILE, check_hex, open_client
from sdk.cli.output import fields, show

NO_DIGEST: Final = bytes(32)
_NO_EVIDENCE: Final = "0x" + NO_DIGEST.hex()
_CASE_CALLS: Final = {
    "ask_correction": "correction",
    "answer_correction": "correction",
    "raise_dispute": "dispute",
    "answer_dispute": "dispute",
    "end_dispute": "dispute",
    "take_dispute": "dispute",
    "decide_dispute": "dispute",
    "recall": "data_recall",
    "confirm_recall": "data_recall",
}
"""The view of the case that a call is about."""
_CASE_WORDS: Final = {
    "correction": "校核结果 / correction",
    "dispute": "异议结果 / dispute",
    "data_recall": "召回结果 / recall",
}
MAX_EVIDENCE_BYTES: Final = 256 * 1024 * 1024

evidence_option = click.option(
    "--evidence",
    type=FILE,
    help="佐证文件，只上链其 SM3 摘要 / A file that shows it; only its SM3 digest goes to the ledger.",
)


def digest_of(path: Path | None) -> bytes:
    """Return the 32-byte SM3 digest of a file, zeros for none; raise InputError past MAX_EVIDENCE_BYTES, OSError when unreadable."""
    if path is None:
        return NO_DIGEST
    from sdk.documents import read_limited
    from sm_crypto.sm3 import sm3

    return sm3(read_limited(path, MAX_EVIDENCE_BYTES))


def run_call(access: Access, method: str, request_id: str | None, arguments: dict[str, Any]) -> None:
    """Submit a call of the sharing contract and print the request that it is about, and the case under it where it is about one."""
    from contracts.data_sharing.sharing import STATES

    if request_id is not None:
        arguments = {"request": check_hex("REQUEST_ID", request_id, 32)} | arguments
    with open_client(access.url, access.key, access.password_file) as client:
        receipt = client.call("sharing", method, **arguments)
        # A request is named by the transaction that made it.
        named = receipt.transaction_id if request_id is None or method == "renew" else arguments["request"]
        record = client.view("sharing", "data_request", request=named)
        kind = _CASE_CALLS.get(method)
        # The call that begins a case returns its number; the request's count may be past it by now.
        number = arguments.get("number") or (int(receipt.output, 16) if kind is not None else 0)
        case = {} if kind is None else client.view("sharing", kind, request=named, number=number)
    state = record["history"][-1]["state"]
    result = {"request": "0x" + named.hex(), "state": state, "height": receipt.height}
    lines: list[tuple[str, object]] = [
        ("申请 / request", named.hex()),
        ("申请状态 / its state", " / ".join(STATES[state])),
    ]
    if kind is not None:
        words = " / ".join(_outcome(kind, case))
        result |= {"number": number, "outcome": case.get("outcome", int(bool(case.get("confirmed_ms"))))}
        lines += [("序号 / number", number), (_CASE_WORDS[kind], words)]
    show(result, access.as_json, fields([*lines, ("区块 / block", receipt.height)]))


def _outcome(kind: str, case: dict[str, Any]) -> tuple[str, str]:
    """Return what has come of a case, in Chinese and English."""
    from contracts.data_sharing import corrections, disputes, recalls

    if kind == "data_recall":
        return recalls.OUTCOMES[bool(case["confirmed_ms"])]
    outcome = (corrections.OUTCOMES if kind == "correction" else disputes.OUTCOMES)[case["outcome"]]
    if kind == "dispute" and case["outcome"] == disputes.OPEN and case["taken_ms"]:
        return "已受理，处理中", "taken up, open"
    return outcome


def request_text(
    found: dict[str, Any],
    cases: dict[str, list[dict[str, Any]]],
    reasons: dict[str, str],
    renewed: dict[str, Any] | None = None,
) -> str:
    """Return a request as REST shows it, with its cases, as lines for people; `reasons` has the texts of refusals by their codes.

    Of a renewal that nobody has granted yet, the conditions of `renewed`, the grant before it, are shown too.
    """
    from verification.days import show_day

    lines: list[tuple[str, object]] = [
        ("申请 / request", found["id"].removeprefix("0x")),
        ("资源 / resource", found["resource"]),
        ("提供方 / provider", found["provider_name"]),
        ("使用方 / consumer", found["consumer_name"]),
        ("用途 / purpose", found["purpose"]),
        ("依据 / basis", found["legal_basis"]),
        ("数据项 / items", "、".join(found["items"]) or "全部 / all"),
        ("办件类型 / cases", "、".join(found["case_types"]) or "不限 / any"),
        ("申请量 / volume asked", f"{found['rows_per_day']:,} 行/日 / rows a day" if found["rows_per_day"] else None),
        ("期限 / period", f"{show_day(found['from_ms'])} – {show_day(found['to_ms'])}"),
        ("所续的授权 / renews", _linked(found["previous"])),
        ("由此续期 / renewed by", _linked(found["renewal"])),
        *((f"{zh} / {en}", text) for zh, en, text in condition_texts(found["conditions"])),
        ("状态 / state", f"{found['state_text']['zh']} / {found['state_text']['en']}"),
        ("有效 / in force", "是 / yes" if found["is_in_force"] else "否 / no"),
    ]
    if renewed is not None and found["state"] in ("waiting", "returned"):
        lines += [(f"所续授权的{zh} / renewed {en}", text) for zh, en, text in condition_texts(renewed["conditions"])]
    lines += _course(found, reasons)
    for kind, zh in (("corrections", "校核"), ("disputes", "异议"), ("recalls", "召回")):
        for case in cases[kind]:
            words = case["outcome_text"]
            text = case.get("claim") or case.get("reason")
            about = f"{case['item']}：" if case.get("item") else ""
            lines.append((f"{zh} / {kind[:-1]} {case['number']}", f"{words['zh']} / {words['en']}  {about}{text}"))
            if case.get("evidence", _NO_EVIDENCE) != _NO_EVIDENCE:
                lines.append(("  佐证 SM3 / evidence", case["evidence"].removeprefix("0x")))
    return fields(lines)


def condition_texts(allowed: dict[str, Any]) -> list[tuple[str, str, str | None]]:
    """Return the conditions of a grant, each with its name in Chinese and English; None where it says nothing of one."""
    from contracts.data_sharing.conditions import mask_words

    masks = "; ".join(
        f"{mask['item']} {' / '.join(mask_words(mask['kind'], int(mask['start']), int(mask['length'])))}"
        for mask in allowed["masks"]
    )
    limits = [
        f"{zh} / {en} {allowed[name]:,}"
        for name, zh, en in (
            ("max_reads_per_day", "每日次数", "reads a day"),
            ("max_rows_per_day", "每日行数", "rows a day"),
            ("max_rows_per_read", "每次行数", "rows a read"),
        )
        if allowed[name]
    ]
    return [
        ("可用列", "columns", "、".join(allowed["columns"]) or None),
        ("脱敏", "masks", masks or None),
        ("限额", "limits", "; ".join(limits) or None),
        ("使用地点", "place", allowed["place"] or None),
        ("条件", "note", allowed["note"] or None),
        ("可转供", "passing on to", "、".join(allowed["passing_on_to"]) or None),
    ]


def _linked(request: str) -> str | None:
    """Return the id of a request as commands take it, None for none."""
    return request.removeprefix("0x") if request.strip("0x") else None


def _course(found: dict[str, Any], reasons: dict[str, str]) -> list[tuple[str, object]]:
    """Return what became of a request and when, in its order: its states, its checks, and the beginning of supply."""
    from contracts.data_sharing.sharing import GRANTED, STATES
    from verification.days import show_time

    steps: list[tuple[int, str]] = []
    for interval in found["history"]:
        code = interval["reason_code"]
        said = " ".join(part for part in (reasons.get(code, code), interval["reason"]) if part)
        zh, en = STATES[interval["state"]]
        steps.append((interval["from_ms"], f"{zh} / {en}  {said}".rstrip()))
        if interval["checked_ms"]:
            steps.append((interval["checked_ms"], "通过合规性检查 / compliance check passed"))
    supplied_ms, history = found["supplied_ms"], found["history"]
    if supplied_ms >= history[0]["from_ms"]:
        steps.append((supplied_ms, "开始提供数据 / supply began"))
    elif supplied_ms:
        granted_ms = next(interval["from_ms"] for interval in history if interval["state"] == GRANTED)
        since = show_time(supplied_ms)
        steps.append(
            (granted_ms, f"沿用所续授权的提供，始于 {since} / supply goes on from the grant it renews, since then")
        )
    return [(show_time(time_ms), text) for time_ms, text in sorted(steps, key=lambda step: step[0])]
