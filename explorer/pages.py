"""The web pages: overview, and the description of the HTTP interface; rendered here, no outside network."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Final

import jinja2
from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response

from contracts.accounts import DEPARTMENTS
from explorer.api_chain import show_row, show_transactions, show_validators
from explorer.api_members import show_department
from explorer.documentation import describe_operations
from explorer.index_queries import find_blocks, find_transactions, read_counters
from explorer.problems import Problem, Text, problem_codes
from explorer.services import Services, services_of
from node.chain.block import evidence_root
from verification.days import show_age, show_moment

MAX_OVERVIEW_ROWS: Final = 10
MAX_LISTED_DEPARTMENTS: Final = 200
MAX_MISSED_HEARTBEATS: Final = 3
"""An idle network still makes a block each empty_block_interval_ms: when several are missing, a page says so."""
NO_EVIDENCE: Final = "0x" + evidence_root(()).hex()
FOLDER: Final = Path(__file__).parent

ROUTER = APIRouter(include_in_schema=False)

OPERATIONS: Final[dict[tuple[str, str], Text]] = {
    ("members", "add_department"): Text("登记部门", "Register a department"),
    ("members", "suspend_department"): Text("暂停部门", "Suspend a department"),
    ("members", "resume_department"): Text("恢复部门", "Resume a department"),
    ("members", "add_account"): Text("登记账户", "Register an account"),
    ("members", "set_roles"): Text("调整账户角色", "Change an account's roles"),
    ("members", "remove_account"): Text("注销账户", "Remove an account"),
    ("members", "set_encryption_key"): Text("设置加密密钥", "Set an encryption key"),
    ("members", "add_validator"): Text("登记候选验证者", "Add a candidate validator"),
    ("members", "withdraw_candidate"): Text("撤回候选验证者", "Withdraw a candidate validator"),
    ("members", "confirm_validator"): Text("候选验证者就位", "Join as a validator"),
    ("members", "remove_validator"): Text("移除验证者", "Remove a validator"),
    ("certificates", "register_type"): Text("登记证照类型", "Register a certificate type"),
    ("certificates", "allow_issuer"): Text("授予颁发权限", "Authorise an issuer"),
    ("certificates", "withdraw_issuer"): Text("收回颁发权限", "Withdraw an issuer's right"),
    ("certificates", "set_code_table"): Text("更新代码表", "Set a code table"),
    ("certificates", "issue"): Text("颁发证照", "Issue a certificate"),
    ("certificates", "renew"): Text("延续证照", "Renew a certificate"),
    ("certificates", "suspend"): Text("暂扣证照", "Suspend a certificate"),
    ("certificates", "resume"): Text("发还证照", "Resume a certificate"),
    ("certificates", "revoke"): Text("撤销证照", "Revoke a certificate"),
    ("certificates", "change"): Text("变更证照", "Change a certificate"),
    ("certificates", "expire"): Text("登记证照过期失效", "Record that a certificate has lapsed"),
    ("certificates", "record_other"): Text("登记证照其他状态", "Record another status of a certificate"),
    ("certificates", "transfer_out"): Text("办理证照转出", "Transfer a certificate out"),
    ("certificates", "transfer_in"): Text("办理证照转入", "Transfer a certificate in"),
    ("certificates", "cancel_transfer"): Text("取消证照转出", "Cancel a transfer"),
    ("batches", "issue_batch"): Text("批量颁发证照", "Issue a batch of certificates"),
    ("batches", "admit"): Text("为批次中的证照单独立档", "Give a certificate of a batch its own record"),
    ("batches", "renew"): Text("以批次中的证照延续", "Renew by a certificate of a batch"),
    ("authorisations", "authorise"): Text("登记持证人授权", "Record a holder's authorisation"),
    ("authorisations", "withdraw"): Text("撤回持证人授权", "Withdraw an authorisation"),
    ("authorisations", "record_fetch"): Text("记录一次证照领取", "Record a fetch of a certificate"),
    ("catalogue", "publish"): Text("发布数据资源", "Publish a resource"),
    ("catalogue", "publish_many"): Text("批量发布数据资源", "Publish resources"),
    ("catalogue", "approve"): Text("审批数据资源", "Approve a resource"),
    ("catalogue", "approve_many"): Text("批量审批数据资源", "Approve resources"),
    ("catalogue", "reject"): Text("退回数据资源", "Reject a resource"),
    ("catalogue", "withdraw"): Text("撤回数据资源", "Withdraw a resource"),
    ("catalogue", "review"): Text("评价数据质量", "Review a resource's quality"),
    ("catalogue", "record_arrival"): Text("登记回流到达", "Record an arrival of returned data"),
    ("catalogue", "correct_arrival"): Text("更正回流到达", "Correct an arrival"),
    ("catalogue", "void_arrival"): Text("作废回流到达", "Make an arrival void"),
    ("catalogue", "reply_to_review"): Text("答复质量评价", "Reply to a quality review"),
    ("directories", "enter_duties"): Text("登记职责", "Enter duties"),
    ("directories", "end_duty"): Text("停用职责", "End a duty"),
    ("directories", "enter_systems"): Text("登记信息系统", "Enter systems"),
    ("directories", "end_system"): Text("停用信息系统", "End a system"),
    ("open_data", "propose"): Text("申报开放数据", "Propose open data"),
    ("open_data", "clear"): Text("审核通过开放数据", "Clear open data"),
    ("open_data", "decline"): Text("不予开放", "Decline open data"),
    ("open_data", "release"): Text("发布开放数据", "Release open data"),
    ("open_data", "stop"): Text("停止开放", "Stop open data"),
    ("open_data", "report_downloads"): Text("登记下载量", "Report downloads"),
    ("deadlines", "set_calendar"): Text("登记工作日日历", "Record a calendar"),
    ("deadlines", "set_terms"): Text("登记办理期限", "Record terms"),
    ("products", "register"): Text("登记数据产品", "Register a data product"),
    ("products", "withdraw"): Text("撤回数据产品", "Withdraw a data product"),
    ("products", "propose"): Text("提出估值或交易", "Propose a valuation or transaction"),
    ("products", "confirm"): Text("确认估值或交易", "Confirm a valuation or transaction"),
    ("products", "decline"): Text("不予确认", "Decline to confirm"),
    ("products", "take_back"): Text("收回所提估值或交易", "Take a proposal back"),
    ("products", "raise_objection"): Text("对数据产品提出异议", "Object to a data product"),
    ("products", "answer_objection"): Text("答复对数据产品的异议", "Answer an objection"),
    ("products", "decide_objection"): Text("裁定对数据产品的异议", "Decide an objection"),
    ("products", "set_formula"): Text("公布贡献评分公式", "Publish the formula of contribution"),
    ("sharing", "request"): Text("申请数据", "Request data"),
    ("sharing", "set_passing_on"): Text("设定转供范围", "Set who data may be passed on to"),
    ("sharing", "renew"): Text("申请续期", "Ask for a renewal"),
    ("sharing", "check"): Text("合规性检查", "Check a request's compliance"),
    ("sharing", "return_request"): Text("退回申请补正", "Return a request"),
    ("sharing", "amend"): Text("补正申请", "Complete a request"),
    ("sharing", "start_supply"): Text("开始提供数据", "Begin to supply"),
    ("sharing", "set_refusal_reasons"): Text("设定拒绝理由表", "Set the reasons for refusal"),
    ("sharing", "ask_correction"): Text("提出校核纠错", "Ask for a correction"),
    ("sharing", "answer_correction"): Text("答复校核纠错", "Answer a correction"),
    ("sharing", "raise_dispute"): Text("提出异议", "Raise a dispute"),
    ("sharing", "answer_dispute"): Text("答复异议", "Answer a dispute"),
    ("sharing", "end_dispute"): Text("结束异议", "End a dispute"),
    ("sharing", "take_dispute"): Text("受理异议", "Take up a dispute"),
    ("sharing", "decide_dispute"): Text("处理异议", "Decide a dispute"),
    ("sharing", "recall"): Text("召回数据", "Recall data"),
    ("sharing", "confirm_recall"): Text("确认销毁", "Confirm destruction"),
    ("sharing", "grant"): Text("同意共享", "Grant a request"),
    ("sharing", "refuse"): Text("拒绝申请", "Refuse a request"),
    ("sharing", "stop"): Text("停止共享", "Stop a grant"),
    ("deliveries", "deliver"): Text("登记交付", "Record a delivery"),
    ("deliveries", "answer"): Text("答复交付", "Answer for a delivery"),
    ("access", "declare_stream"): Text("声明访问记录流", "Declare a stream of access records"),
    ("access", "record_batch"): Text("登记一批访问记录", "Record a batch of access records"),
    ("access", "end_stream"): Text("结束访问记录流", "End a stream of access records"),
    ("access", "end_suspended_stream"): Text(
        "结束被暂停部门的访问记录流", "End a suspended department's stream of access records"
    ),
    ("audits", "name_authority"): Text("确定审计机关", "Name the auditing authority"),
    ("audits", "record_query"): Text("登记审计查询", "Record an auditor's query"),
    ("audits", "raise_finding"): Text("提出审计发现", "Raise a finding"),
    ("audits", "explain"): Text("说明审计发现", "Explain a finding"),
    ("audits", "confirm"): Text("认定审计发现", "Confirm a finding"),
    ("audits", "dismiss"): Text("审计发现不成立", "Dismiss a finding"),
    ("audits", "set_figures"): Text("公布审计规则参数", "Publish figures of the audit's rules"),
    ("audits", "close"): Text("办结审计发现", "Close a finding"),
    ("anchors", "anchor"): Text("锚定摘要", "Anchor a digest"),
    ("anchors", "anchor_root"): Text("锚定默克尔根", "Anchor a Merkle root"),
    ("governance", "set_parameters"): Text("调整链参数", "Set chain parameters"),
    ("deployments", "freeze"): Text("冻结合约", "Freeze a contract"),
    ("deployments", "unfreeze"): Text("解冻合约", "Unfreeze a contract"),
}
"""What the writing methods of the system contracts do, in words for the overview."""

_JINJA: Final = jinja2.Environment(
    loader=jinja2.FileSystemLoader(FOLDER / "templates"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


@ROUTER.get("/")
async def overview(request: Request) -> Response:
    """Show how the network stands."""
    services = services_of(request)
    counters = await services.query(read_counters)
    block_rows = await services.query(find_blocks, None, MAX_OVERVIEW_ROWS)
    transaction_rows = await services.query(find_transactions, None, MAX_OVERVIEW_ROWS, department=None, contract=None)
    ledger = services.view.ledger
    certificate = ledger.certificate(ledger.height) if ledger.height else None
    header = ledger.header(ledger.height) if ledger.height else None
    deciders = ledger.validators_at(ledger.height).members if ledger.height else ()
    signers = set() if certificate is None else {"0x" + deciders[index].address.hex() for index in certificate.signers}
    proposer = "" if header is None else "0x" + header.proposer.hex()
    names = {"0x" + address.hex(): record.name for address, record in services.validators().items()}
    validators = [
        {**shown, "has_signed": shown["address"] in signers, "is_proposer": shown["address"] == proposer}
        for shown in show_validators(services)
    ]
    validators.sort(key=lambda shown: shown["name"] or shown["address"])
    blocks = [
        {
            **shown,
            "time": show_moment(shown["time_ms"]),
            "has_evidence": shown["evidence_root"] != NO_EVIDENCE,
            "proposer_name": names.get(shown["proposer"], shown["proposer"][:10]),
        }
        for shown in (show_row(services, row) for row in block_rows)
    ]
    return render(
        request,
        "overview.html",
        Text("概览", "Overview"),
        figures=_figures(services, counters),
        validators=validators,
        height=ledger.height,
        signer_count=len(signers),
        quorum=ledger.validators().quorum,
        departments=list_departments(services),
        transactions=[show_operation(services, shown) for shown in show_transactions(services, transaction_rows)],
        blocks=blocks,
        missing=ledger.missing_history,
    )


@ROUTER.get("/docs")
async def documentation(request: Request) -> Response:
    """Show the HTTP interface, from the same description as /openapi.json."""
    groups = describe_operations(request.app.openapi())
    codes = problem_codes()
    return render(request, "docs.html", Text("接口", "API"), groups=groups, problem_codes=codes)


def error_page(request: Request, problem: Problem) -> Response:
    """Return the page that a browser sees instead of a problem document."""
    return render(
        request,
        "error.html",
        problem.kind.title,
        status=problem.status,
        heading=problem.kind.title,
        problem=problem.text(),
    )


def render(request: Request, template: str, title: Text, status: int = 200, **values: Any) -> HTMLResponse:
    """Return a page of a template, with what every page shows of the node and its chain."""
    services = services_of(request)
    view, age_ms = services.view, head_age_ms(services)
    page = _JINJA.get_template(template).render(
        title=title,
        active=request.url.path,
        head_age=Text(*show_age(age_ms)) if is_head_old(services) else None,
        node_name=view.name,
        network_name=view.ledger.genesis.network_name,
        chain_id=view.ledger.genesis.chain_id,
        genesis_hash=view.ledger.genesis.hash.hex(),
        **values,
    )
    return HTMLResponse(page, status_code=status, headers={"cache-control": "no-store"})


def _figures(services: Services, counters: dict[str, int]) -> list[dict[str, str]]:
    figures = (
        (f"{services.view.ledger.height:,}", "最新区块", "Latest block"),
        (show_age(head_age_ms(services))[1], "距最新区块", "Since latest block"),
        (f"{counters.get('transactions', 0):,}", "交易", "Transactions"),
        (f"{counters.get('certificates', 0):,}", "已颁发证照", "Certificates issued"),
        (f"{counters.get('resources', 0):,}", "数据资源", "Data resources"),
        (f"{counters.get('access_records', 0):,}", "读取记录", "Recorded reads"),
    )
    return [{"value": value, "zh": zh, "en": en} for value, zh, en in figures]


def head_age_ms(services: Services) -> int:
    """Return how long ago the latest block was made, by this node's clock."""
    return max(0, time.time_ns() // 1_000_000 - services.view.ledger.head_time_ms)


def is_head_old(services: Services) -> bool:
    """Return whether several heartbeats are missing since the latest block, by this node's clock."""
    heartbeat_ms = services.view.ledger.parameters().empty_block_interval_ms
    return head_age_ms(services) > MAX_MISSED_HEARTBEATS * heartbeat_ms


def list_departments(services: Services) -> list[dict[str, Any]]:
    """Return the departments that a form offers, the first MAX_LISTED_DEPARTMENTS in the order of their codes."""
    shown: list[dict[str, Any]] = []
    for _, value in services.state().iterate(DEPARTMENTS.prefix):
        if len(shown) == MAX_LISTED_DEPARTMENTS:
            break
        shown.append(show_department(DEPARTMENTS.decode(value)))
    return shown


def show_operation(services: Services, shown: dict[str, Any]) -> dict[str, Any]:
    """Return a transaction with its time, what it does in words, its department's name, and why it was refused without the code."""
    contract, method = shown["contract"] or "", shown["method"] or ""
    name = f"{contract}.{method}" if method else contract or "—"
    operation = OPERATIONS.get((contract, method), Text(name, name))
    if shown["to"] is None:
        operation = Text("部署合约", "Deploy a contract")
    elif not contract and shown["evm_contract"] is not None:
        operation = Text("调用合约", "Call a contract")
    department = shown["department"]
    return {
        **shown,
        "time": show_moment(shown["time_ms"]),
        "operation": operation,
        "department_name": "—" if department is None else services.department_name(department),
        "refusal_text": (shown["message"] or "").removeprefix(f"{shown['refusal']}: "),
    }
