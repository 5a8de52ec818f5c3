"""govnode product: data products, their valuations and transactions, and objections to what is claimed of them."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypedDict, TypeVar, Unpack

import click

from sdk.cli.bilingual import Group
from sdk.cli.calls import Access, call_options, submit
from sdk.cli.options import FILE, check_hex, day_end, day_start, open_client, url_option
from sdk.cli.output import fields, json_option, show, table
from verification.errors import InputError

MAX_LISTED: Final = 10_000
_NO_DIGEST: Final = bytes(32)
_AMOUNT: Final = re.compile(r"([0-9]{1,13})(?:\.([0-9]{1,2}))?")

F = TypeVar("F", bound=Callable[..., Any])


class _Paper(TypedDict):
    """What the options say that a valuation and a transaction both state."""

    counterparty: str
    amount: str
    document: Path
    dated: str
    until: str | None
    replaces: int


@click.group(cls=Group)
def product() -> None:
    """数据产品 / Data products."""


@product.command("register")
@click.argument("number")
@click.option("--name", required=True, help="产品名称 / What the product is called.")
@click.option(
    "--kind",
    type=click.Choice(["dataset", "interface", "report", "model", "application"]),
    required=True,
    help="种类 / Its kind.",
)
@click.option("--summary", required=True, help="说明 / What it is.")
@click.option(
    "--source",
    "sources",
    multiple=True,
    required=True,
    help="来源资源代码，其他部门的写成 代码=授权标识；可多次 / A resource it is made from; another department's as CODE=GRANT.",
)
@click.option(
    "--right",
    "rights",
    multiple=True,
    required=True,
    type=click.Choice(["hold", "process", "operate"]),
    help="主张的权利：持有、加工使用、经营；可多次 / A right that is claimed; may be repeated.",
)
@click.option("--basis", required=True, help="权利依据 / Why.")
@click.option(
    "--evidence",
    type=FILE,
    required=True,
    help="证明材料文件，只登记其摘要 / File that shows it; only its digest is recorded.",
)
@call_options
def register(
    number: str,
    name: str,
    kind: str,
    summary: str,
    sources: tuple[str, ...],
    rights: tuple[str, ...],
    basis: str,
    evidence: Path,
    access: Access,
) -> None:
    """登记本部门的数据产品，NUMBER 为自编编号（数字与大写字母）/ Register a product under a number of digits and capitals."""
    from contracts.data_sharing.product_records import Claim

    arguments = {
        "number": number,
        "name": name,
        "kind": kind,
        "summary": summary,
        "sources": [_source(text) for text in sources],
        "claim": Claim(rights, basis, _digest(evidence)),
    }
    submit(access, "products", "register", arguments, ("已登记 / registered", str))


@product.command("withdraw")
@click.argument("code")
@click.option("--reason", required=True, help="原因 / The reason.")
@call_options
def withdraw(code: str, reason: str, access: Access) -> None:
    """注销本部门的数据产品 / Withdraw a product of one's own department."""
    arguments = {"product": code, "reason": reason}
    submit(access, "products", "withdraw", arguments, ("已注销 / withdrawn", code))


def terms_options(command: F) -> F:
    """Add what a valuation and a transaction both state."""
    for option in reversed(
        (
            click.option("--with", "counterparty", required=True, help="对方部门代码 / Code of the other department."),
            click.option(
                "--amount",
                default="0",
                show_default=True,
                help="金额（元，至多两位小数）；0 表示只写在文件中 / Yuan; 0 keeps it in the document only.",
            ),
            click.option(
                "--document",
                type=FILE,
                required=True,
                help="报告或合同文件，只登记其摘要 / The paper; only its digest is recorded.",
            ),
            click.option("--dated", required=True, help="日期 YYYY-MM-DD / Day of the paper."),
            click.option("--until", help="有效至 YYYY-MM-DD / Last day that it holds."),
            click.option(
                "--replaces",
                type=click.IntRange(0),
                default=0,
                show_default=True,
                help="所取代的已确认记录的序号 / Number of a confirmed one that it replaces.",
            ),
        )
    ):
        command = option(command)
    return command


@product.command("value")
@click.argument("code")
@click.option(
    "--method", type=click.Choice(["cost", "income", "market"]), required=True, help="评估方法 / By which method."
)
@terms_options
@call_options
def value(code: str, method: str, access: Access, **paper: Unpack[_Paper]) -> None:
    """提出对产品 CODE 的价值评估，待对方确认 / Propose a valuation, which the other party confirms."""
    from contracts.data_sharing.product_records import VALUATION

    _propose(access, code, VALUATION, method, _NO_DIGEST, paper)


@product.command("trade")
@click.argument("code")
@click.option(
    "--form",
    type=click.Choice(["licence", "service", "transfer", "exchange"]),
    required=True,
    help="交易方式 / What is traded.",
)
@click.option("--grant", help="随附的授权标识 / Id of the grant that goes with it.")
@terms_options
@call_options
def trade(code: str, form: str, grant: str | None, access: Access, **paper: Unpack[_Paper]) -> None:
    """登记产品 CODE 的交易，待对方确认 / Record a transaction, which the other party confirms."""
    from contracts.data_sharing.product_records import TRANSACTION

    granted = _NO_DIGEST if grant is None else check_hex("--grant", grant, 32)
    _propose(access, code, TRANSACTION, form, granted, paper)


@product.command("confirm")
@click.argument("code")
@click.argument("number", type=click.IntRange(1))
@click.option(
    "--document", type=FILE, required=True, help="本方所持的文件，摘要须一致 / One's own copy: the digests must agree."
)
@call_options
def confirm(code: str, number: int, document: Path, access: Access) -> None:
    """确认对方提出的第 NUMBER 号记录 / Confirm what the other party proposed."""
    arguments = {"product": code, "number": number, "document": _digest(document)}
    done = ("已确认 / confirmed", f"{code} #{number}")
    submit(access, "products", "confirm", arguments, done)


@product.command("decline")
@click.argument("code")
@click.argument("number", type=click.IntRange(1))
@click.option("--reason", required=True, help="原因 / The reason.")
@call_options
def decline(code: str, number: int, reason: str, access: Access) -> None:
    """不予确认对方提出的第 NUMBER 号记录 / Decline what the other party proposed."""
    arguments = {"product": code, "number": number, "reason": reason}
    done = ("不予确认 / declined", f"{code} #{number}")
    submit(access, "products", "decline", arguments, done)


@product.command("take-back")
@click.argument("code")
@click.argument("number", type=click.IntRange(1))
@click.option("--reason", required=True, help="原因 / The reason.")
@call_options
def take_back(code: str, number: int, reason: str, access: Access) -> None:
    """撤回本部门提出、对方尚未答复的第 NUMBER 号记录 / Take back what one proposed and nobody has answered."""
    arguments = {"product": code, "number": number, "reason": reason}
    done = ("已撤回 / taken back", f"{code} #{number}")
    submit(access, "products", "take_back", arguments, done)


@product.command("object")
@click.argument("code")
@click.option("--ground", required=True, help="异议理由 / Why.")
@click.option(
    "--evidence", type=FILE, help="证明材料文件，只登记其摘要 / File that shows it; only its digest is recorded."
)
@call_options
def raise_objection(code: str, ground: str, evidence: Path | None, access: Access) -> None:
    """对其他部门产品 CODE 的权利主张提出异议 / Object to another department's claim."""
    shown = _NO_DIGEST if evidence is None else _digest(evidence)
    arguments = {"product": code, "ground": ground, "evidence": shown}
    submit(
        access,
        "products",
        "raise_objection",
        arguments,
        _numbered("已提出异议 / objected", code),
    )


@product.command("answer")
@click.argument("code")
@click.argument("number", type=click.IntRange(1))
@click.option("--answer", "text", required=True, help="答复 / The answer.")
@call_options
def answer_objection(code: str, number: int, text: str, access: Access) -> None:
    """答复对本部门产品的第 NUMBER 号异议 / Answer an objection to a product of one's own department."""
    arguments = {"product": code, "number": number, "answer": text}
    done = ("已答复 / answered", f"{code} #{number}")
    submit(access, "products", "answer_objection", arguments, done)


@product.command("decide")
@click.argument("code")
@click.argument("number", type=click.IntRange(1))
@click.option("--uphold/--dismiss", "is_upheld", required=True, help="成立或不成立 / Whether it is upheld.")
@click.option("--finding", required=True, help="裁定意见 / The finding.")
@call_options
def decide_objection(code: str, number: int, is_upheld: bool, finding: str, access: Access) -> None:
    """由治理方裁定第 NUMBER 号异议；成立的，登记随即失效 / Decide an objection; one that is upheld ends the registration."""
    arguments = {"product": code, "number": number, "is_upheld": is_upheld, "finding": finding}
    done = ("已裁定 / decided", f"{code} #{number}")
    submit(access, "products", "decide_objection", arguments, done)


@product.command("list")
@click.option("--search", help="名称或代码的一部分 / Part of the name or code.")
@click.option("--department", help="登记部门的代码 / Code of the department.")
@click.option(
    "--limit", type=click.IntRange(1, MAX_LISTED), default=100, show_default=True, help="最多几项 / At most so many."
)
@url_option
@json_option
def list_products(search: str | None, department: str | None, limit: int, url: str, as_json: bool) -> None:
    """列出数据产品，新的在前 / List data products, newest first."""
    with open_client(url) as client:
        found = client.get_all("/products", limit=limit, q=search, department=department)
    rows = [(one["code"], one["name"], one["department_name"], _words(one["state_text"])) for one in found]
    headings = ("代码 / code", "名称 / name", "部门 / department", "状态 / state")
    show({"items": found}, as_json, table(headings, rows))


@product.command("show")
@click.argument("code")
@click.option(
    "--limit", type=click.IntRange(1, MAX_LISTED), default=100, show_default=True, help="最多几项 / At most so many."
)
@url_option
@json_option
def show_product(code: str, limit: int, url: str, as_json: bool) -> None:
    """查看产品 CODE：权利主张、异议、评估与交易及其文件的 SM3 / Show a product: claims, objections, valuations, transactions."""
    from verification.days import show_day, show_time

    with open_client(url) as client:
        found = client.get("/product", code=code)
        facts = client.get_all("/product-facts", limit=limit, product=code)
    head = [
        ("代码 / code", found["code"]),
        ("名称 / name", found["name"]),
        ("部门 / department", found["department_name"]),
        ("类型 / kind", _words(found["kind_text"])),
        ("简介 / summary", found["summary"]),
        ("登记时间 / registered", show_time(found["registered_ms"])),
        ("状态 / state", f"{_words(found['state_text'])} {found['reason']}".rstrip()),
        ("权利 / rights", "；".join(_words(right) for right in found["rights_text"])),
        ("依据 / basis", found["claim"]["basis"]),
        ("依据文件 SM3 / evidence", found["claim"]["evidence"].removeprefix("0x")),
        ("来源 / sources", ", ".join(source["resource"] for source in found["sources"])),
    ]
    for one in found["objections_raised"]:
        said = f"{one['department_name']}：{one['ground']}（{_words(one['state_text'])}）"
        head.append((f"异议 {one['number']} / objection", said))
        head += [("  答复 / answer", one["answer"] or None), ("  决定 / decision", one["finding"] or None)]
    rows = [
        (
            str(one["number"]),
            f"{_words(one['kind_text'])} {_words(one['form_text'])}",
            f"{one['proposer_name']} → {one['counterparty_name']}",
            _yuan(one["terms"]["amount_fen"]),
            show_day(one["terms"]["dated_ms"]),
            f"{_words(one['state_text'])} {show_day(one['answered_ms']) if one['answered_ms'] else ''}".rstrip(),
            # Whoever has to confirm holds its file against this first: a wrong one is a transaction for nothing.
            one["terms"]["document"].removeprefix("0x"),
        )
        for one in facts
    ]
    whats = ("序号 / no.", "事项 / what", "双方 / parties", "金额（元）/ yuan", "日期 / dated", "现状 / state")
    headings = (*whats, "文件 SM3 / of its paper")
    text = fields(list(head)) + ("\n\n" + table(headings, rows) if rows else "")
    show(found | {"facts_listed": facts}, as_json, text)


def _propose(access: Access, code: str, kind: str, form: str, grant: bytes, paper: _Paper) -> None:
    """Propose a valuation or transaction to the other party."""
    from contracts.data_sharing.product_records import Terms

    until = paper["until"]
    days = day_start("--dated", paper["dated"]), 0 if until is None else day_end("--until", until)
    terms = Terms(kind, form, _fen(paper["amount"]), *days, _digest(paper["document"]), grant, paper["replaces"])
    arguments = {"product": code, "counterparty": paper["counterparty"], "terms": terms}
    submit(access, "products", "propose", arguments, _numbered("已提出 / proposed", code))


def _numbered(text: str, code: str) -> tuple[str, Callable[[Any], str]]:
    """Return what submit() prints of a call that returns the number of what it made."""
    return text, lambda number: f"{code} #{number}"


def _source(text: str) -> Any:
    from contracts.data_sharing.product_records import Source

    resource, _, grant = text.partition("=")
    return Source(resource, check_hex("--source", grant, 32) if grant else _NO_DIGEST)


def _digest(path: Path) -> bytes:
    from sdk.documents import file_sm3

    return file_sm3(path)


def _fen(text: str) -> int:
    """Return an amount in yuan as fen; raise InputError AMOUNT_INVALID."""
    match = _AMOUNT.fullmatch(text)
    if match is None:
        raise InputError(
            "AMOUNT_INVALID",
            f"金额应为元，至多两位小数，实为 {text[:40]!r}",
            f"expected an amount of yuan with at most two decimals, found {text[:40]!r}",
        )
    return int(match[1]) * 100 + int((match[2] or "").ljust(2, "0"))


def _yuan(fen: int) -> str:
    return f"{fen // 100:,}.{fen % 100:02d}" if fen else "见文件 / in the document"


def _words(text: dict[str, str]) -> str:
    return f"{text['zh']} / {text['en']}"
