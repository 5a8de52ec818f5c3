"""govnode audit finding: one finding on the ledger whole, for those who may see it; and what its next step needs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sdk.cli.bilingual import Command
from sdk.cli.options import FILE, key_options, open_client, url_option
from sdk.cli.output import fields, json_option, show, table
from verification.errors import InputError

if TYPE_CHECKING:
    from sdk.client import Client


@click.command("finding", cls=Command)
@click.argument("number", type=click.IntRange(1))
@click.option(
    "--evidence",
    type=FILE,
    help="提出方送来的证据文件，与账本上的摘要及内容核对后列出 / The evidence that was sent: checked against the ledger, then shown.",
)
@url_option
@key_options
@json_option
def finding(number: int, evidence: Path | None, url: str, key: Path, password_file: Path | None, as_json: bool) -> None:
    """列出一项审计发现的全部内容，供审计方与须作说明的部门 / Show one finding whole, to auditors and who has to explain it."""
    from sdk.access_audit.finding_evidence import read_evidence

    with open_client(url, key, password_file) as client:
        found = _fetch(client, number)
        own = client.own_department()
    digest = found["history"][0]["digest"].removeprefix("0x")
    shown_evidence = None if evidence is None else read_evidence(evidence, found)
    lines = [fields(_what(found)), "", _life(found), "", fields([("证据 SM3 / evidence", digest)])]
    if shown_evidence is None:
        lines.append(_how_to_get(found, own))
    else:
        numbers = ", ".join(map(str, shown_evidence.numbers))
        if shown_evidence.count > len(shown_evidence.numbers) > 0:
            numbers += " …"
        rule = shown_evidence.rule
        is_worded_so = found["rule_text"] == {"zh": rule.zh, "en": rule.en}
        pairs: list[tuple[str, object]] = [
            ("✓ 与账本一致 / as on the ledger", evidence),
            ("证据中的规则 / rule, as it words it", None if is_worded_so else f"{rule.zh} / {rule.en}"),
            ("理由 / why", shown_evidence.why),
            ("条数 / count", shown_evidence.count),
            ("序号 / reads", numbers or None),
            ("所用参数 / figures", shown_evidence.figures),
            ("审计查询 / query", shown_evidence.query or None),
            ("追溯文件 SM3 / of the trace", shown_evidence.trace_sm3),
            ("追溯所据高度 / its height", shown_evidence.height),
        ]
        lines.append(fields(pairs))
    if own == found["subject"]["department"]:
        lines += ["", *_own_reads(found)]
    told = None if shown_evidence is None else shown_evidence.to_words()
    show(found | {"evidence": told}, as_json, "\n".join(lines))


def check_step(client: Client, step: str, number: int) -> None:
    """Return if the caller's department may take a step in a finding's life now.

    Asked before a transaction is sent: the ledger's own answer names no state, for everybody can read it. Raises InputError
    FINDING_OF_OTHERS, NOT_THE_AUTHORITY or FINDING_STATE, which name what there is and what is needed.
    """
    from contracts.data_sharing.audits import FINDING_STATES, NEEDED_STATES, is_judge

    found = _fetch(client, number)
    own, concerned = client.own_department(), found["subject"]["department"]
    if step == "explain" and own != concerned:
        raise _of_others(number)
    authority = client.get("/audits/authority")["department"]
    if step != "explain" and not is_judge(own, authority, found["raised_by"], concerned):
        others = {found["raised_by"]} - {concerned}
        judges = " / ".join(sorted((others | {authority}) - {""})) or "–"
        raise InputError(
            "NOT_THE_AUTHORITY",
            f"第 {number} 项审计发现由提出它的其他部门或审计机关决定（{judges}），本部门为 {own}",
            f"finding {number} is decided by another department that raised it or the authority ({judges}), not by {own}",
        )
    if found["state"] in NEEDED_STATES[step]:
        return
    present = FINDING_STATES[found["state"]]
    needed = [FINDING_STATES[state] for state in NEEDED_STATES[step]]
    raise InputError(
        "FINDING_STATE",
        f"第 {number} 项审计发现的状态是“{present[0]}”，此操作须在{'或'.join(f'“{zh}”' for zh, _ in needed)}时办理，未提交交易",
        f"finding {number} is {present[1]}, this needs it to be {' or '.join(en for _, en in needed)}; no transaction was sent",
    )


def _fetch(client: Client, number: int) -> dict[str, Any]:
    """Return a finding as the node shows it to the caller; raise InputError FINDING_OF_OTHERS, which says what to do."""
    from sdk.errors import RequestRefused

    try:
        found: dict[str, Any] = client.get(f"/audits/findings/{number}", signed=True)
        return found
    except RequestRefused as refused:
        if refused.code not in ("ROLE_REQUIRED", "NOT_FOUND"):
            raise
    raise _of_others(number)


def _of_others(number: int) -> InputError:
    return InputError(
        "FINDING_OF_OTHERS",
        f"第 {number} 项审计发现不由本部门说明，或没有此项：`govnode audit findings` 列出本部门可见的",
        f"finding {number} is not this department's to explain, or there is none: `govnode audit findings` lists those that you may see",
    )


def _what(found: dict[str, Any]) -> list[tuple[str, object]]:
    from verification.days import show_time

    subject, rule = found["subject"], found["rule_text"]
    first, last = subject["first_number"], subject["last_number"]
    span = str(first) if first == last else f"{first}-{last}"
    has_recorder, has_grant = _is_given(subject["recorder"]), _is_given(subject["grant"])
    return [
        ("编号 / no.", found["number"]),
        ("规则 / rule", f"{subject['rule']} {rule['zh']} / {rule['en']}"),
        ("须作说明 / to explain", f"{found['department_name']} {subject['department']}"),
        ("对方 / other side", f"{found['other_name']} {subject['other']}" if subject["other"] else None),
        ("提出方 / raised by", f"{found['raised_by_name']} {found['raised_by']}"),
        ("提出时间 / raised at", show_time(found["history"][0]["from_ms"])),
        ("记录流 / stream", f"{subject['stream']}/{subject['recorder'].removeprefix('0x')}" if has_recorder else None),
        ("读取序号 / reads", span if last else None),
        ("授权 / grant", subject["grant"].removeprefix("0x") if has_grant else None),
        # The end itself is outside.
        ("时段 / period", f"{show_time(subject['from_ms'])} – {show_time(subject['to_ms'] - 1)}"),
        ("状态 / state", f"{found['state_text']['zh']} / {found['state_text']['en']}"),
    ]


def _life(found: dict[str, Any]) -> str:
    """Return every state so far, with its time, letter and account."""
    from contracts.data_sharing.audits import FINDING_STATES
    from verification.days import show_time

    headings = ("状态 / state", "时间 / since", "文号 / letter", "文件 SM3 / its SM3", "账户 / account")
    rows = [
        (
            " / ".join(FINDING_STATES.get(step["state"], (step["state"],) * 2)),
            show_time(step["from_ms"]),
            step["reference"] or "–",
            step["digest"].removeprefix("0x"),
            step["operator"].removeprefix("0x"),
        )
        for step in found["history"]
    ]
    return table(headings, rows)


def _how_to_get(found: dict[str, Any], own: str) -> str:
    """Return where the reason of a finding is: the ledger has its digest only."""
    if own == found["raised_by"]:
        return (
            "理由在本部门的证据文件中（提出时的 --evidence 文件夹）：请送交须作说明的部门，双方均可以 --evidence 核对 / "
            "the reason is in your department's file of evidence (folder --evidence when it was raised): send it to who has to explain; "
            "both check it by --evidence FILE"
        )
    return (
        f"理由在证据文件中，由提出方 {found['raised_by']} 保存，账本上只有摘要：请向其索取，再以 --evidence 核对并查看 / "
        f"the reason is in the evidence, which {found['raised_by']} keeps: the ledger has its digest only. "
        "Ask for the file, then check and read it by --evidence FILE"
    )


def _own_reads(found: dict[str, Any]) -> list[str]:
    """Return how the department concerned looks at its own records of the time and grant that a finding is about, and answers."""
    from verification.days import show_day

    subject = found["subject"]
    words = ["govnode audit trace", f"--recorded-by {subject['department']}", f"--from {show_day(subject['from_ms'])}"]
    words.append(f"--to {show_day(subject['to_ms'] - 1)}")
    if _is_given(subject["grant"]):
        words.append(f"--grant {subject['grant'].removeprefix('0x')}")
    lines = [f"本部门该时段的记录 / your own records of that time: {' '.join(words)} --out reads.gvt"]
    lines.append(
        "  记录流未声明查阅地址的再加 --store 记录库，不加则为 BODY_WITHHELD / of a stream without a service add --store STORE, "
        "else its reads are BODY_WITHHELD"
    )
    if _is_given(subject["grant"]):
        lines.append(f"该授权 / that grant: govnode share show {subject['grant'].removeprefix('0x')}")
    return lines


def _is_given(hex_text: str) -> bool:
    return any(bytes.fromhex(hex_text.removeprefix("0x")))
