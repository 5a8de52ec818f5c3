"""govnode catalogue show, changes, approve, reject, withdraw, review, reply: one resource from its entry to its end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from sdk.cli.bilingual import Command
from sdk.cli.calls import Access, call_options, submit
from sdk.cli.catalogue_files import show_changes
from sdk.cli.catalogue_returns import flow_lines, flow_of
from sdk.cli.options import open_client, url_option
from sdk.cli.output import fields, json_option, show
from verification.errors import InputError

if TYPE_CHECKING:
    from contracts.data_sharing.catalogue import ProposalRecord, ResourceRecord
    from sdk.client import Client

MAX_APPROVED = 256
_VERSION = click.IntRange(1)


@click.command("show", cls=Command)
@click.argument("code")
@click.option("--version", type=_VERSION, help="第几版；不给为现行版 / Which version; the one in force when absent.")
@click.option("--proposal", is_flag=True, help="待审批的一版 / The version that waits for approval.")
@url_option
@json_option
def show_resource(code: str, version: int | None, proposal: bool, url: str, as_json: bool) -> None:
    """查看资源 CODE 的全部字段 / Show all fields of a resource."""
    from node.http.json_form import to_json

    if proposal and version is not None:
        raise click.UsageError("--version 与 --proposal 只用其一 / use one of --version and --proposal")
    with open_client(url) as client:
        record = _proposal(client, code) if proposal else _version(client, code, version)
        is_returned = bool(record.description.source_level) and not proposal and version is None
        flow = flow_of(client, code) if is_returned else None
    result, rows = to_json(record), [*_head(record), *_described(record)]
    if flow is not None:
        result, rows = result | {"return_flow": flow}, [*rows, *flow_lines(flow)]
    show(result, as_json, fields(rows))


@click.command("changes", cls=Command)
@click.argument("code")
@click.option("--from", "first", type=_VERSION, help="较早的一版；不给为较晚一版的前一版 / The earlier version.")
@click.option(
    "--to", "last", type=_VERSION, help="较晚的一版；不给为现行版 / The later version; the one in force when absent."
)
@click.option("--proposal", is_flag=True, help="与待审批的一版比较 / Compare with the version that waits for approval.")
@url_option
@json_option
def show_version_changes(
    code: str, first: int | None, last: int | None, proposal: bool, url: str, as_json: bool
) -> None:
    """比较资源 CODE 的两版，逐项列出变更 / Show what changed between two versions of a resource, field by field."""
    from sdk.data_catalogue.difference import compare
    from sdk.data_catalogue.kinds import RESOURCES, Entry

    with open_client(url) as client:
        after = _proposal(client, code) if proposal else _version(client, code, last)
        earlier = first if first is not None else _before(after)
        before = [] if not earlier else [_version(client, code, earlier)]
    old = [Entry(RESOURCES.name, record.provider, record.description) for record in before]
    show_changes(compare(old, [Entry(RESOURCES.name, after.provider, after.description)]), as_json)


@click.command("approve", cls=Command)
@click.argument("codes", nargs=-1, required=True)
@call_options
def approve(codes: tuple[str, ...], access: Access) -> None:
    """审批待生效的资源 CODES：先用 show --proposal 查看 / Approve versions that wait: look at them first with show --proposal."""
    if len(codes) > MAX_APPROVED:
        raise click.UsageError(f"一次至多 {MAX_APPROVED} 项 / at most {MAX_APPROVED} at once")
    with open_client(access.url, access.key, access.password_file) as client:
        digests = [_proposal(client, code).digest for code in codes]
        receipt = client.call("catalogue", "approve_many", codes=list(codes), digests=digests)
        waiting = [code for code in codes if _is_waiting(client, code)]
    result = {"approved": list(codes), "still_waiting": waiting, "height": receipt.height}
    rows: list[tuple[str, object]] = [("已审批 / approved", ", ".join(codes)), ("区块 / block", receipt.height)]
    if waiting:
        rows.append(("仍待他方审批 / others still have to approve", ", ".join(waiting)))
    show(result, access.as_json, fields(rows))


@click.command("reject", cls=Command)
@click.argument("code")
@click.option("--reason", required=True, help="原因 / The reason.")
@call_options
def reject(code: str, reason: str, access: Access) -> None:
    """退回待审批的一版，或由编目方收回 / Turn a waiting version down, or take one's own back."""
    with open_client(access.url) as client:
        digest = _proposal(client, code).digest
    arguments = {"code": code, "digest": digest, "reason": reason}
    submit(access, "catalogue", "reject", arguments, ("已退回 / turned down", code))


@click.command("withdraw", cls=Command)
@click.argument("code")
@click.option("--reason", required=True, help="原因 / The reason.")
@call_options
def withdraw(code: str, reason: str, access: Access) -> None:
    """撤回本部门的资源：不再受理申请，已有授权照旧 / Withdraw a resource: no more requests; grants that stand run on."""
    arguments = {"code": code, "reason": reason}
    submit(access, "catalogue", "withdraw", arguments, ("已撤回 / withdrawn", code))


@click.command("review", cls=Command)
@click.argument("code")
@click.option("--score", type=click.IntRange(0, 100), required=True, help="评分 0 至 100 / A score of 0 to 100.")
@click.option("--finding", required=True, help="评价意见 / What was found.")
@call_options
def review(code: str, score: int, finding: str, access: Access) -> None:
    """评价其他部门资源 CODE 现行版的质量 / Review the quality of another department's resource, the version in force."""
    with open_client(access.url) as client:
        version = _version(client, code, None).version
    arguments = {"code": code, "version": version, "score": score, "finding": finding}
    done = ("已评价 / reviewed", f"{code} 第 {version} 版 / version {version}")
    submit(access, "catalogue", "review", arguments, done)


@click.command("reply", cls=Command)
@click.argument("code")
@click.option("--version", type=_VERSION, help="所评价的版本；不给为现行版 / Version that was reviewed.")
@click.option("--department", required=True, help="评价方的部门代码 / Code of the department that reviewed it.")
@click.option("--reply", "text", required=True, help="答复 / The answer.")
@call_options
def reply(code: str, version: int | None, department: str, text: str, access: Access) -> None:
    """答复对本部门资源 CODE 的质量评价，一次 / Answer, once, a review of a resource of one's own."""
    with open_client(access.url) as client:
        stated = _version(client, code, version).version
    arguments = {"code": code, "version": stated, "department": department, "reply": text}
    done = ("已答复 / answered", f"{code} ← {department}")
    submit(access, "catalogue", "reply_to_review", arguments, done)


def _version(client: Client, code: str, version: int | None) -> ResourceRecord:
    from sdk.errors import RequestRefused
    from sdk.system_contracts.catalogue import Catalogue

    contract = Catalogue(client)
    try:
        return contract.resource(code) if version is None else contract.resource_version(code=code, version=version)
    except RequestRefused as error:
        if error.code == "RESOURCE_UNKNOWN" and _is_waiting(client, code):
            raise InputError(
                "RESOURCE_WAITING",
                f"资源 {code} 尚无生效的版本，首版待审批：用 catalogue show --proposal 查看",
                f"no version of {code} is in force yet, its first waits for approval: see catalogue show --proposal",
            ) from None
        raise


def _proposal(client: Client, code: str) -> ProposalRecord:
    from sdk.system_contracts.catalogue import Catalogue

    return Catalogue(client).proposal(code)


def _is_waiting(client: Client, code: str) -> bool:
    from sdk.errors import RequestRefused

    try:
        _proposal(client, code)
    except RequestRefused:
        return False
    return True


def _before(record: Any) -> int:
    """Return the version before a record's: of one that waits the version that it replaces."""
    return int(getattr(record, "replaces", 0) or getattr(record, "version", 1) - 1)


def _head(record: Any) -> list[tuple[str, object]]:
    from contracts.data_sharing.catalogue import ProposalRecord
    from verification.days import show_time

    if isinstance(record, ProposalRecord):
        return [
            ("提供方 / provider", record.provider),
            ("提出 / proposed", show_time(record.proposed_ms)),
            ("尚待 / still to approve", ", ".join(record.needed)),
            ("摘要 / digest", record.digest.hex()),
        ]
    score = f"{record.score_total / record.review_count:.1f}（{record.review_count}）" if record.review_count else None
    withdrawn = f"{show_time(record.withdrawn_ms)} {record.withdrawn_reason}" if record.withdrawn_ms else None
    return [
        ("提供方 / provider", record.provider),
        ("版本 / version", record.version),
        ("发布 / published", show_time(record.published_ms)),
        ("平均评分（次数）/ mean score (reviews)", score),
        ("撤回 / withdrawn", withdrawn),
    ]


def _described(record: Any) -> list[tuple[str, object]]:
    from sdk.data_catalogue.kinds import RESOURCES

    cells = ((column, column.form.encode(getattr(record.description, column.field))) for column in RESOURCES.fields)
    return [(f"{column.zh} / {column.field}", cell) for column, cell in cells if cell]
