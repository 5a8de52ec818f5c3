"""Disputes (异议): one party of a request says what the other did wrong; they settle it, or a governor of neither decides.

A decision may reopen a refused request, so that the provider answers it again, restore a grant that the provider ended, or stop a grant.
"""

from __future__ import annotations

from typing import Final

import msgspec

from contracts.accounts import APPROVER, GOVERNOR, REQUESTER, is_active, load_account
from contracts.data_sharing import sharing
from contracts.data_sharing.case_records import (
    MAX_ANSWER_LENGTH,
    MAX_CLAIM_LENGTH,
    case_name,
    next_number,
    require_case,
)
from contracts.fields import Address, Bytes32, TimeMs, Uint8, Uint64, check_choice, check_text
from contracts.frame import Context
from contracts.records import Reader, Table
from contracts.refusals import Refused

MAX_RAISED: Final = 16
"""By one party of a request, so that neither uses up what the other may raise."""

KINDS: Final[dict[str, tuple[str, str]]] = {
    "refusal": ("不予共享", "the refusal"),
    "conditions": ("授权条件", "the conditions"),
    "delay": ("逾期", "delay"),
    "quality": ("数据质量", "quality of the data"),
    "stop": ("提供方停止授权", "the provider's end of the grant"),
    "recall": ("召回", "a recall"),
    "use": ("超出用途使用", "use beyond the purpose"),
    "passing-on": ("擅自转供", "passing on without consent"),
    "other": ("其他", "another matter"),
}
"""What a dispute is about, in Chinese and English."""
CONSUMER_KINDS: Final = ("refusal", "conditions", "delay", "quality", "stop", "recall", "other")
PROVIDER_KINDS: Final = ("use", "passing-on", "other")

OPEN: Final = 0
UPHELD: Final = 1
DISMISSED: Final = 2
SETTLED: Final = 3
WITHDRAWN: Final = 4
OUTCOMES: Final[dict[int, tuple[str, str]]] = {
    OPEN: ("处理中", "open"),
    UPHELD: ("异议成立", "upheld"),
    DISMISSED: ("异议不成立", "dismissed"),
    SETTLED: ("双方协商解决", "settled between the parties"),
    WITHDRAWN: ("已撤回", "withdrawn"),
}
"""How a dispute ended, in Chinese and English."""

NO_ORDER: Final = 0
REOPEN: Final = 1
STOP: Final = 2
RESTORE: Final = 3
ORDERS: Final[dict[int, tuple[str, str]]] = {
    NO_ORDER: ("无", "none"),
    REOPEN: ("责成重新答复", "the request is to be answered again"),
    STOP: ("停止授权", "the grant is stopped"),
    RESTORE: ("恢复授权", "the grant goes on"),
}
"""What a decision does to the request, in Chinese and English."""


class DisputeRecord(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What one party says of the other, and how it went on; a time is 0 while its step was not taken."""

    request: Bytes32
    number: Uint64
    kind: str
    raiser: str
    """Code of the department that raised it; the other party answers."""
    claim: str
    evidence: Bytes32
    """Digest of what shows it; zeros for none."""
    raised_ms: TimeMs
    raised_by: Address
    answer: str
    answered_ms: TimeMs
    answered_by: Address
    handler: str
    """Code of the department whose governor took it up; empty until then."""
    taken_ms: TimeMs
    taken_by: Address
    outcome: Uint8
    order: Uint8
    decision: str
    ended_ms: TimeMs
    ended_by: Address


class RaisedCount(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """How many disputes one party of a request has raised."""

    count: Uint64


DISPUTES: Final = Table("sharing", 6, DisputeRecord)
RAISED_COUNTS: Final = Table("sharing", 8, RaisedCount)
CONTRACT: Final = sharing.CONTRACT
DISPUTE_RAISED: Final = CONTRACT.event(
    "DisputeRaised", ["request"], request="bytes32", number="uint64", kind="string", raiser="string"
)
DISPUTE_ANSWERED: Final = CONTRACT.event("DisputeAnswered", ["request"], request="bytes32", number="uint64")
DISPUTE_TAKEN: Final = CONTRACT.event("DisputeTaken", ["request"], request="bytes32", number="uint64", handler="string")
DISPUTE_ENDED: Final = CONTRACT.event(
    "DisputeEnded", ["request"], request="bytes32", number="uint64", outcome="uint8", order="uint8"
)
REOPENED: Final = CONTRACT.event("RequestReopened", ["request"], request="bytes32", number="uint64")


@CONTRACT.write(APPROVER, REQUESTER)
def raise_dispute(ctx: Context, request: Bytes32, kind: str, claim: str, evidence: Bytes32) -> Uint64:
    """Raise a dispute with the other party of a request, by the consumer's requester or the provider's approver; return its number."""
    check_text("claim", claim, MAX_CLAIM_LENGTH)
    record = sharing.load_for_party(ctx, request)
    raiser = ctx.account.department
    check_choice("kind", kind, CONSUMER_KINDS if raiser == record.consumer else PROVIDER_KINDS)
    if kind == "refusal":
        sharing.check_state(record, sharing.REFUSED)
    elif kind == "stop" and not sharing.was_ended_by_provider(record):
        raise Refused("REQUEST_STATE", found=record.state, expected=f"{sharing.STOPPED} ({record.provider})")
    elif kind not in ("delay", "other") and not record.granted_ms:
        raise Refused("REQUEST_STATE", found=record.state, expected=sharing.GRANTED)
    counted = request + raiser.encode()
    raised_before = RAISED_COUNTS.load(ctx, counted)
    own = next_number(0 if raised_before is None else raised_before.count, MAX_RAISED, "disputes")
    RAISED_COUNTS.save(ctx, counted, RaisedCount(own))
    number = record.disputes + 1
    nobody = bytes(20)
    raised = DisputeRecord(
        request=request,
        number=number,
        kind=kind,
        raiser=raiser,
        claim=claim,
        evidence=evidence,
        raised_ms=ctx.time_ms,
        raised_by=ctx.sender,
        answer="",
        answered_ms=0,
        answered_by=nobody,
        handler="",
        taken_ms=0,
        taken_by=nobody,
        outcome=OPEN,
        order=NO_ORDER,
        decision="",
        ended_ms=0,
        ended_by=nobody,
    )
    _save(ctx, raised)
    sharing.REQUESTS.save(ctx, request, msgspec.structs.replace(record, disputes=number))
    ctx.emit(DISPUTE_RAISED, request, number, kind, raiser)
    return number


@CONTRACT.write(APPROVER, REQUESTER)
def answer_dispute(ctx: Context, request: Bytes32, number: Uint64, answer: str) -> None:
    """Answer a dispute that the other party of a request raised."""
    check_text("answer", answer, MAX_ANSWER_LENGTH)
    sharing.load_for_party(ctx, request)
    dispute = _load_open(ctx, request, number)
    if dispute.raiser == ctx.account.department:
        raise Refused("OWN_DISPUTE", found=dispute.raiser)
    if dispute.answered_ms:
        raise Refused("ANSWERED_ALREADY", found=number)
    _save(ctx, msgspec.structs.replace(dispute, answer=answer, answered_ms=ctx.time_ms, answered_by=ctx.sender))
    ctx.emit(DISPUTE_ANSWERED, request, number)


@CONTRACT.write(APPROVER, REQUESTER)
def end_dispute(ctx: Context, request: Bytes32, number: Uint64, outcome: Uint8, decision: str) -> None:
    """End a dispute that the caller's department raised: settled between the parties, or withdrawn."""
    check_choice("outcome", outcome, (SETTLED, WITHDRAWN))
    check_text("decision", decision, MAX_ANSWER_LENGTH)
    sharing.load_for_party(ctx, request)
    dispute = _load_open(ctx, request, number)
    if dispute.raiser != ctx.account.department:
        raise Refused("OTHER_DEPARTMENT", found=ctx.account.department, expected=dispute.raiser)
    _end(ctx, dispute, outcome, NO_ORDER, decision)


@CONTRACT.write(GOVERNOR)
def take_dispute(ctx: Context, request: Bytes32, number: Uint64) -> None:
    """Take up a dispute between two other departments; also in the place of a governor who is none any more, or not of that department."""
    _check_neutral(ctx, request)
    dispute = _load_open(ctx, request, number)
    if dispute.taken_ms and _has_handler(ctx, dispute):
        raise Refused("TAKEN_ALREADY", found=dispute.handler)
    handler = ctx.account.department
    _save(ctx, msgspec.structs.replace(dispute, handler=handler, taken_ms=ctx.time_ms, taken_by=ctx.sender))
    ctx.emit(DISPUTE_TAKEN, request, number, handler)


@CONTRACT.write(GOVERNOR)
def decide_dispute(ctx: Context, request: Bytes32, number: Uint64, outcome: Uint8, order: Uint8, decision: str) -> None:
    """Decide a dispute that the caller's department took up; if it is upheld, an order may go to the request: one of ORDERS."""
    check_choice("outcome", outcome, (UPHELD, DISMISSED))
    check_choice("order", order, tuple(ORDERS) if outcome == UPHELD else (NO_ORDER,))
    check_text("decision", decision, MAX_ANSWER_LENGTH)
    record = _check_neutral(ctx, request)
    dispute = _load_open(ctx, request, number)
    if dispute.handler != ctx.account.department:
        raise Refused("NOT_TAKEN", found=dispute.handler or "–")
    if order == REOPEN:
        sharing.reopen(ctx, record)
        ctx.emit(REOPENED, request, number)
    elif order == RESTORE:
        sharing.restore(ctx, record)
        ctx.emit(sharing.DATA_GRANTED, request, record.to_ms)
    elif order == STOP:
        sharing.check_state(record, sharing.GRANTED)
        reason = ORDERS[STOP][0]
        sharing.save_state(ctx, record, sharing.STOPPED, reason)
        ctx.emit(sharing.DATA_STOPPED, request, reason)
    _end(ctx, dispute, outcome, order, decision)


@CONTRACT.view()
def dispute(ctx: Context, request: Bytes32, number: Uint64) -> DisputeRecord:
    """Return a dispute by its number under a request."""
    return require_case(ctx, DISPUTES, request, number)


def load_dispute(state: Reader, request_id: bytes, number: int) -> DisputeRecord | None:
    """Return a dispute by its number under a request, or None."""
    return DISPUTES.load(state, case_name(request_id, number))


def dispute_key(request_id: bytes, number: int) -> bytes:
    """Return the key in state of a dispute."""
    return DISPUTES.key(case_name(request_id, number))


def _check_neutral(ctx: Context, request_id: bytes) -> sharing.RequestRecord:
    record = ctx.require(sharing.REQUESTS, request_id, "REQUEST_UNKNOWN", request_id)
    if ctx.account.department in (record.provider, record.consumer):
        raise Refused("OWN_CASE", found=ctx.account.department)
    return record


def _has_handler(state: Reader, dispute: DisputeRecord) -> bool:
    """Return whether the governor who took a dispute up still is one, of an active department, and of the same."""
    account = load_account(state, dispute.taken_by)
    if account is None or not is_active(state, dispute.taken_by):
        return False
    return GOVERNOR in account.roles and account.department == dispute.handler


def _load_open(ctx: Context, request_id: bytes, number: int) -> DisputeRecord:
    found = require_case(ctx, DISPUTES, request_id, number)
    if found.outcome != OPEN:
        raise Refused("DISPUTE_ENDED", found=number)
    return found


def _end(ctx: Context, dispute: DisputeRecord, outcome: int, order: int, decision: str) -> None:
    ended = msgspec.structs.replace(
        dispute, outcome=outcome, order=order, decision=decision, ended_ms=ctx.time_ms, ended_by=ctx.sender
    )
    _save(ctx, ended)
    ctx.emit(DISPUTE_ENDED, dispute.request, dispute.number, outcome, order)


def _save(ctx: Context, record: DisputeRecord) -> None:
    DISPUTES.save(ctx, case_name(record.request, record.number), record)
