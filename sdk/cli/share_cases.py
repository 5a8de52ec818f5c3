"""govnode share correction, dispute and recall: what follows a grant or a refusal."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from sdk.cli.bilingual import Group
from sdk.cli.calls import Access, call_options
from sdk.cli.options import FILE, day_end, day_start
from sdk.cli.sharing_calls import digest_of, evidence_option, run_call

_CORRECTION_OUTCOMES: Final = {"corrected": 1, "confirmed": 2, "passed-on": 3}
_DISPUTE_KINDS: Final = ("refusal", "conditions", "delay", "quality", "stop", "recall", "use", "passing-on", "other")
_END_OUTCOMES: Final = {"settled": 3, "withdrawn": 4}
_DECISIONS: Final = {"upheld": 1, "dismissed": 2}
_ORDERS: Final = {"none": 0, "reopen": 1, "stop": 2, "restore": 3}


@click.group(cls=Group)
def correction() -> None:
    """校核纠错 / Corrections of data that was supplied."""


@correction.command("ask")
@click.argument("request_id")
@click.option("--claim", required=True, help="何处有误，不写个人信息 / What is wrong; nothing personal.")
@click.option("--item", default="", help="有误的数据项 / The item that is wrong.")
@evidence_option
@call_options
def ask(request_id: str, claim: str, item: str, evidence: Path | None, access: Access) -> None:
    """对授权 REQUEST_ID 下取得的数据提出校核 / Say that data supplied under a grant is wrong."""
    arguments = {"item": item, "claim": claim, "evidence": digest_of(evidence)}
    run_call(access, "ask_correction", request_id, arguments)


@correction.command("answer")
@click.argument("request_id")
@click.argument("number", type=click.IntRange(1))
@click.option(
    "--outcome",
    type=click.Choice(list(_CORRECTION_OUTCOMES)),
    required=True,
    help="已更正、核实无误或已转数源部门 / Corrected, found right, or passed on to its source.",
)
@click.option("--answer", default="", help="说明 / In words.")
@call_options
def answer_correction(request_id: str, number: int, outcome: str, answer: str, access: Access) -> None:
    """答复第 NUMBER 项校核 / Say what came of a correction."""
    arguments = {"number": number, "outcome": _CORRECTION_OUTCOMES[outcome], "answer": answer}
    run_call(access, "answer_correction", request_id, arguments)


@click.group(cls=Group)
def dispute() -> None:
    """异议及其处理 / Disputes, and what becomes of them."""


@dispute.command("raise")
@click.argument("request_id")
@click.option("--kind", type=click.Choice(_DISPUTE_KINDS), required=True, help="事由 / What it is about.")
@click.option("--claim", required=True, help="异议内容，不写个人信息 / What is said; nothing personal.")
@evidence_option
@call_options
def raise_dispute(request_id: str, kind: str, claim: str, evidence: Path | None, access: Access) -> None:
    """就申请或授权 REQUEST_ID 提出异议 / Raise a dispute with the other party."""
    arguments = {"kind": kind, "claim": claim, "evidence": digest_of(evidence)}
    run_call(access, "raise_dispute", request_id, arguments)


@dispute.command("answer")
@click.argument("request_id")
@click.argument("number", type=click.IntRange(1))
@click.option("--answer", required=True, help="答复 / The answer.")
@call_options
def answer_dispute(request_id: str, number: int, answer: str, access: Access) -> None:
    """答复对方提出的异议 / Answer a dispute that the other party raised."""
    arguments = {"number": number, "answer": answer}
    run_call(access, "answer_dispute", request_id, arguments)


@dispute.command("end")
@click.argument("request_id")
@click.argument("number", type=click.IntRange(1))
@click.option("--outcome", type=click.Choice(list(_END_OUTCOMES)), required=True, help="协商解决或撤回 / How it ends.")
@click.option("--decision", required=True, help="说明 / In words.")
@call_options
def end_dispute(request_id: str, number: int, outcome: str, decision: str, access: Access) -> None:
    """结束本部门提出的异议 / End a dispute that one's own department raised."""
    arguments = {"number": number, "outcome": _END_OUTCOMES[outcome], "decision": decision}
    run_call(access, "end_dispute", request_id, arguments)


@dispute.command("take")
@click.argument("request_id")
@click.argument("number", type=click.IntRange(1))
@call_options
def take_dispute(request_id: str, number: int, access: Access) -> None:
    """受理其他部门之间的异议（治理） / Take up a dispute between two other departments, as a governor."""
    run_call(access, "take_dispute", request_id, {"number": number})


@dispute.command("decide")
@click.argument("request_id")
@click.argument("number", type=click.IntRange(1))
@click.option("--outcome", type=click.Choice(list(_DECISIONS)), required=True, help="成立或不成立 / Upheld or not.")
@click.option(
    "--order",
    type=click.Choice(list(_ORDERS)),
    default="none",
    show_default=True,
    help="责成重新答复、停止授权或恢复提供方停止的授权 / Have it answered again, stop the grant, or restore one that its provider ended.",
)
@click.option("--decision", required=True, help="处理决定 / The decision.")
@call_options
def decide_dispute(request_id: str, number: int, outcome: str, order: str, decision: str, access: Access) -> None:
    """决定本部门受理的异议（治理） / Decide a dispute that one's own department took up, as a governor."""
    arguments = {"number": number, "outcome": _DECISIONS[outcome], "order": _ORDERS[order], "decision": decision}
    run_call(access, "decide_dispute", request_id, arguments)


@click.group(cls=Group)
def recall() -> None:
    """召回已提供的数据 / Recalls of data that was supplied."""


@recall.command("begin")
@click.argument("request_id")
@click.option("--from", "first_day", required=True, help="召回何日起提供的数据 YYYY-MM-DD / First day of supply.")
@click.option("--to", "last_day", help="至何日；不给为至今 / Last day of it; until now when absent.")
@click.option("--keep-grant", is_flag=True, help="只召回数据，授权继续有效 / The grant stays in force.")
@click.option("--reason", required=True, help="原因 / The reason.")
@call_options
def begin_recall(
    request_id: str, first_day: str, last_day: str | None, keep_grant: bool, reason: str, access: Access
) -> None:
    """召回授权 REQUEST_ID 下某段时间提供的数据 / Recall what was supplied under a grant."""
    arguments = {
        "from_ms": day_start("--from", first_day),
        "to_ms": 0 if last_day is None else day_end("--to", last_day),
        "ends_grant": not keep_grant,
        "reason": reason,
    }
    run_call(access, "recall", request_id, arguments)


@recall.command("confirm")
@click.argument("request_id")
@click.argument("number", type=click.IntRange(1))
@click.option(
    "--statement",
    type=FILE,
    required=True,
    help="销毁说明文件，只上链其 SM3 摘要 / The statement of destruction; only its SM3 digest goes to the ledger.",
)
@click.option("--note", default="", help="备注 / A note.")
@call_options
def confirm_recall(request_id: str, number: int, statement: Path, note: str, access: Access) -> None:
    """确认已销毁被召回的数据 / Confirm that what was recalled is destroyed."""
    arguments = {"number": number, "statement": digest_of(statement), "note": note}
    run_call(access, "confirm_recall", request_id, arguments)
