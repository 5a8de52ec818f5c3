"""Requests for another department's data, and the grants they become; each request keeps every state it had and since when."""

from __future__ import annotations

from typing import Final

import msgspec

from contracts.accounts import APPROVER, REQUESTER
from contracts.data_sharing import catalogue
from contracts.fields import Address, Bytes32, TimeMs, check_list, check_optional_text, check_period, check_text
from contracts.frame import Context, SystemContract
from contracts.records import Reader, Table
from contracts.refusals import Refused

MAX_PURPOSE_LENGTH: Final = 200
"""useCause of the certificate sharing interface (GB/T 36906, as implemented) has the same limit."""
MAX_BASIS_LENGTH: Final = 500
MAX_CONDITIONS_LENGTH: Final = 500
MAX_REASON_LENGTH: Final = 200

WAITING: Final = "waiting"
GRANTED: Final = "granted"
REFUSED: Final = "refused"
STOPPED: Final = "stopped"
STATES: Final[dict[str, tuple[str, str]]] = {
    WAITING: ("待答复", "waiting for an answer"),
    GRANTED: ("已授权", "granted"),
    REFUSED: ("已拒绝", "refused"),
    STOPPED: ("已停止", "stopped"),
}
"""Every state of a request, in Chinese and English."""


class RequestInterval(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """From when a request was in a state, by whom, and why."""

    state: str
    from_ms: TimeMs
    reason: str
    operator: Address


class RequestRecord(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A request, and the grant it became: one id names both. `history` has the oldest state first."""

    id: Bytes32
    resource: str
    provider: str
    consumer: str
    purpose: str
    legal_basis: str
    items: tuple[str, ...]
    """Names of the items asked for; none stands for all."""
    from_ms: TimeMs
    to_ms: TimeMs
    """The period asked for; once granted, the period granted."""
    conditions: str
    history: tuple[RequestInterval, ...]

    @property
    def state(self) -> str:
        """The newest state."""
        return self.history[-1].state

    @property
    def requested_ms(self) -> int:
        """Block time of the request."""
        return self.history[0].from_ms


REQUESTS: Final = Table("sharing", 1, RequestRecord)
CONTRACT: Final = SystemContract("sharing")
REQUESTED: Final = CONTRACT.event(
    "DataRequested", ["request"], request="bytes32", resource="string", provider="string", consumer="string"
)
DATA_GRANTED: Final = CONTRACT.event("DataGranted", ["request"], request="bytes32", to_ms="int64")
DATA_REFUSED: Final = CONTRACT.event("DataRefused", ["request"], request="bytes32", reason="string")
DATA_STOPPED: Final = CONTRACT.event("DataStopped", ["request"], request="bytes32", reason="string")


@CONTRACT.write(REQUESTER)
def request(
    ctx: Context, resource: str, purpose: str, legal_basis: str, items: list[str], from_ms: TimeMs, to_ms: TimeMs
) -> Bytes32:
    """Ask for a resource and return the request's id, which is the transaction's; unconditional sharing is granted at once."""
    check_text("purpose", purpose, MAX_PURPOSE_LENGTH)
    check_text("legal_basis", legal_basis, MAX_BASIS_LENGTH)
    check_period("from_ms", from_ms, "to_ms", to_ms)
    offered = catalogue.load_offered(ctx, resource)
    consumer = ctx.account.department
    if offered.provider == consumer:
        raise Refused("OWN_RESOURCE", found=resource)
    if offered.sharing_type == catalogue.NOT_SHARED:
        raise Refused("NOT_SHARED", found=resource)
    if to_ms <= ctx.time_ms:
        raise Refused("PERIOD_OVER", found=to_ms)
    check_list("items", items, catalogue.MAX_ITEMS)
    known = {item.name for item in offered.items}
    for item in items:
        if item not in known:
            raise Refused("ITEM_UNKNOWN", found=item)
    if REQUESTS.has(ctx, ctx.call_id):
        raise Refused("REQUEST_EXISTS", found=ctx.call_id)
    history: tuple[RequestInterval, ...] = (RequestInterval(WAITING, ctx.time_ms, purpose, ctx.sender),)
    is_granted = offered.sharing_type == catalogue.UNCONDITIONAL
    if is_granted:
        # 政务数据共享条例 has unconditional data supplied on request: no approver stands between.
        history += (RequestInterval(GRANTED, ctx.time_ms, "", ctx.sender),)
    record = RequestRecord(
        ctx.call_id,
        resource,
        offered.provider,
        consumer,
        purpose,
        legal_basis,
        tuple(items),
        from_ms,
        to_ms,
        "",
        history,
    )
    REQUESTS.save(ctx, ctx.call_id, record)
    ctx.emit(REQUESTED, ctx.call_id, resource, offered.provider, consumer)
    if is_granted:
        ctx.emit(DATA_GRANTED, ctx.call_id, to_ms)
    return ctx.call_id


@CONTRACT.write(APPROVER)
def grant(ctx: Context, request: Bytes32, conditions: str, to_ms: TimeMs) -> None:
    """Grant a waiting request for the caller's department's data, under conditions, until a time within the period asked for."""
    check_optional_text("conditions", conditions, MAX_CONDITIONS_LENGTH)
    record = _load_for_provider(ctx, request)
    _check_state(record, WAITING)
    check_period("from_ms", record.from_ms, "to_ms", to_ms)
    if to_ms > record.to_ms:
        raise Refused("PERIOD_EXCEEDED", found=to_ms, limit=record.to_ms)
    if to_ms <= ctx.time_ms:
        raise Refused("PERIOD_OVER", found=to_ms)
    record = msgspec.structs.replace(record, conditions=conditions, to_ms=to_ms)
    _save_state(ctx, record, GRANTED, "")
    ctx.emit(DATA_GRANTED, request, to_ms)


@CONTRACT.write(APPROVER)
def refuse(ctx: Context, request: Bytes32, reason: str) -> None:
    """Refuse a waiting request for the caller's department's data."""
    check_text("reason", reason, MAX_REASON_LENGTH)
    record = _load_for_provider(ctx, request)
    _check_state(record, WAITING)
    _save_state(ctx, record, REFUSED, reason)
    ctx.emit(DATA_REFUSED, request, reason)


@CONTRACT.write(APPROVER, REQUESTER)
def stop(ctx: Context, request: Bytes32, reason: str) -> None:
    """End a grant, by the provider's approver or the consumer's requester; or take a waiting request back, by the latter."""
    check_text("reason", reason, MAX_REASON_LENGTH)
    record = ctx.require(REQUESTS, request, "REQUEST_UNKNOWN", request)
    department = ctx.account.department
    if department not in (record.provider, record.consumer):
        raise Refused("NOT_A_PARTY", found=department)
    role = APPROVER if department == record.provider else REQUESTER
    if role not in ctx.account.roles:
        raise Refused("ROLE_MISSING", expected=role, found=", ".join(ctx.account.roles))
    if not (record.state == WAITING and department == record.consumer):
        _check_state(record, GRANTED)
    _save_state(ctx, record, STOPPED, reason)
    ctx.emit(DATA_STOPPED, request, reason)


@CONTRACT.view()
def data_request(ctx: Context, request: Bytes32) -> RequestRecord:
    """Return the record of a request."""
    return ctx.require(REQUESTS, request, "REQUEST_UNKNOWN", request)


@CONTRACT.view()
def is_grant_in_force(ctx: Context, request: Bytes32, time_ms: TimeMs) -> bool:
    """Return whether a request was granted, and within its period, at a time."""
    return is_in_force(ctx.require(REQUESTS, request, "REQUEST_UNKNOWN", request), time_ms)


@CONTRACT.view()
def is_granted(ctx: Context, request: Bytes32, consumer: str, resource: str) -> bool:
    """Return whether a grant is in force at the time of the block, for this consumer and this resource; an unknown one is not."""
    record = load_request(ctx, request)
    if record is None or (record.consumer, record.resource) != (consumer, resource):
        return False
    return is_in_force(record, ctx.time_ms)


def is_in_force(record: RequestRecord, time_ms: int) -> bool:
    """Return whether a request was granted, and within its period, at a time in ms; from its record alone."""
    state = ""
    for interval in record.history:
        if interval.from_ms > time_ms:
            break
        state = interval.state
    return state == GRANTED and record.from_ms <= time_ms <= record.to_ms


def request_key(request_id: bytes) -> bytes:
    """Return the key in state of a request (32-byte id)."""
    return REQUESTS.key(request_id)


def load_request(state: Reader, request_id: bytes) -> RequestRecord | None:
    """Return a request, or None."""
    return REQUESTS.load(state, request_id)


def _load_for_provider(ctx: Context, request_id: bytes) -> RequestRecord:
    record = ctx.require(REQUESTS, request_id, "REQUEST_UNKNOWN", request_id)
    if record.provider != ctx.account.department:
        raise Refused("OTHER_DEPARTMENT", found=ctx.account.department, expected=record.provider)
    return record


def _check_state(record: RequestRecord, expected: str) -> None:
    if record.state != expected:
        raise Refused("REQUEST_STATE", found=record.state, expected=expected)


def _save_state(ctx: Context, record: RequestRecord, state: str, reason: str) -> None:
    interval = RequestInterval(state, ctx.time_ms, reason, ctx.sender)
    REQUESTS.save(ctx, record.id, msgspec.structs.replace(record, history=(*record.history, interval)))
