"""Requests for another department's data, and the grants they become; each request keeps every state it had and since when."""

from __future__ import annotations

from typing import Final

import msgspec

from contracts.accounts import APPROVER, GOVERNOR, RECORDER, REQUESTER, load_department
from contracts.data_sharing import resources
from contracts.data_sharing.conditions import Conditions, checked_conditions, checked_recipients
from contracts.data_sharing.deadlines import COMPLIANCE_CHECK, load_terms
from contracts.data_sharing.refusal_reasons import (
    NOT_COMPLIANT,
    ReasonTable,
    RefusalReason,
    checked_reasons,
    find_reason,
    load_reasons,
    save_reasons,
)
from contracts.data_sharing.wishes import Wish, check_wish, conditions_at_once, load_shared, offered_items
from contracts.fields import Address, Bytes32, TimeMs, Uint64, check_optional_text, check_period, check_text
from contracts.frame import Context, SystemContract
from contracts.records import Reader, Table
from contracts.refusals import Refused

MAX_REASON_LENGTH: Final = 200
MAX_REQUEST_INTERVALS: Final = 16
"""States that one request can have had: it is returned once, and neither reopened nor restored past LAST_REOPENING of them."""
LAST_REOPENING: Final = 9

WAITING: Final = "waiting"
RETURNED: Final = "returned"
GRANTED: Final = "granted"
REFUSED: Final = "refused"
STOPPED: Final = "stopped"
RECALLED: Final = "recalled"
STATES: Final[dict[str, tuple[str, str]]] = {
    WAITING: ("待答复", "waiting for an answer"),
    RETURNED: ("退回补正", "returned to be completed"),
    GRANTED: ("已授权", "granted"),
    REFUSED: ("已拒绝", "refused"),
    STOPPED: ("已停止", "stopped"),
    RECALLED: ("已召回", "recalled"),
}
"""Every state of a request, in Chinese and English."""
NO_REQUEST: Final = bytes(32)


class RequestInterval(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """From when a request was in a state, by whom, and why."""

    state: str
    from_ms: TimeMs
    reason: str
    operator: Address
    department: str
    """The department that the operator acted for then: accounts move between departments."""
    reason_code: str
    """Of a refusal: the reason's code in the table of reasons, else empty."""
    checked_ms: TimeMs = 0
    """Of a request that waits or waited: when the compliance check was passed meanwhile, 0 when it was not."""


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
    case_types: tuple[str, ...]
    """Kinds of cases that the data is for; none stands for any."""
    rows_per_day: Uint64
    """The volume asked for, 0 when it was not said."""
    from_ms: TimeMs
    to_ms: TimeMs
    """The period asked for; once granted, the period granted."""
    conditions: Conditions
    previous: Bytes32
    """The grant that this request was made to renew, zeros for none: its conditions are what the approver goes by."""
    renewal: Bytes32
    """The newest request that renews this grant, zeros for none."""
    supplied_ms: TimeMs
    """When supply began, of a renewal that goes on from a supplied grant that of the grant; 0 while it had not."""
    corrections: Uint64
    """How many corrections were asked for under this grant; so disputes and recalls: each has a record of its own, by number."""
    disputes: Uint64
    recalls: Uint64
    history: tuple[RequestInterval, ...]

    @property
    def state(self) -> str:
        """The newest state."""
        return self.history[-1].state

    @property
    def requested_ms(self) -> int:
        """Block time of the request."""
        return self.history[0].from_ms

    @property
    def waiting_since_ms(self) -> int:
        """Block time since which an answer is or was due: of the request, its completion or its reopening, whichever is newest."""
        return self.history[self._newest_waiting()].from_ms

    @property
    def checked_ms(self) -> int:
        """Block time since then at which the compliance check was passed, 0 while it was not."""
        return self.history[self._newest_waiting()].checked_ms

    @property
    def replied_ms(self) -> int:
        """Block time of the first answer since then (returned, granted or refused), 0 when there is none."""
        for interval in self.history[self._newest_waiting() + 1 :]:
            if interval.state in (RETURNED, GRANTED, REFUSED):
                return interval.from_ms
        return 0

    @property
    def granted_ms(self) -> int:
        """Block time of the grant, 0 when there is none."""
        return next((interval.from_ms for interval in self.history if interval.state == GRANTED), 0)

    def _newest_waiting(self) -> int:
        return max(number for number, interval in enumerate(self.history) if interval.state == WAITING)


class RequestCount(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """How many requests there were for a resource."""

    count: Uint64


class RequestName(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """The id of one of a resource's requests, which are numbered from 0 in the order that they were made."""

    request: Bytes32


REQUESTS: Final = Table("sharing", 1, RequestRecord)
RESOURCE_COUNTS: Final = Table("sharing", 2, RequestCount)
RESOURCE_REQUESTS: Final = Table("sharing", 3, RequestName)
CONTRACT: Final = SystemContract("sharing")
REQUESTED: Final = CONTRACT.event(
    "DataRequested", ["request"], request="bytes32", resource="string", provider="string", consumer="string"
)
CHECKED: Final = CONTRACT.event("RequestChecked", ["request"], request="bytes32", department="string", note="string")
DATA_RETURNED: Final = CONTRACT.event("RequestReturned", ["request"], request="bytes32", reason="string")
AMENDED: Final = CONTRACT.event("RequestAmended", ["request"], request="bytes32")
DATA_GRANTED: Final = CONTRACT.event("DataGranted", ["request"], request="bytes32", to_ms="int64")
DATA_REFUSED: Final = CONTRACT.event(
    "DataRefused", ["request"], request="bytes32", reason_code="string", reason="string"
)
DATA_STOPPED: Final = CONTRACT.event("DataStopped", ["request"], request="bytes32", reason="string")
RENEWED: Final = CONTRACT.event("RenewalRequested", ["request"], request="bytes32", previous="bytes32")
SUPPLY_STARTED: Final = CONTRACT.event("SupplyStarted", ["request"], request="bytes32")
PASSING_ON_SET: Final = CONTRACT.event("PassingOnSet", ["request"], request="bytes32", departments="string[]")
REASONS_SET: Final = CONTRACT.event("RefusalReasonsSet", codes="string[]")


@CONTRACT.write(REQUESTER)
def request(
    ctx: Context,
    resource: str,
    purpose: str,
    legal_basis: str,
    items: list[str],
    case_types: list[str],
    rows_per_day: Uint64,
    from_ms: TimeMs,
    to_ms: TimeMs,
) -> Bytes32:
    """Ask for a resource and return the request's id, which is the transaction's; unconditional sharing is granted at once."""
    wish = Wish(purpose, legal_basis, tuple(items), tuple(case_types), rows_per_day, from_ms, to_ms)
    return _request(ctx, resource, wish, NO_REQUEST)


@CONTRACT.write(REQUESTER)
def renew(ctx: Context, request: Bytes32, to_ms: TimeMs) -> Bytes32:
    """Ask for the time after a grant of the caller's department, as it was asked for; return the new request's id."""
    record = load_for_consumer(ctx, request)
    check_state(record, GRANTED)
    if record.to_ms <= ctx.time_ms:
        raise Refused("PERIOD_OVER", found=record.to_ms)
    renewal = REQUESTS.load(ctx, record.renewal)
    if renewal is not None and renewal.state in (WAITING, RETURNED, GRANTED):
        raise Refused("RENEWAL_EXISTS", found=renewal.id)
    wish = Wish(
        record.purpose,
        record.legal_basis,
        record.items,
        record.case_types,
        record.rows_per_day,
        record.to_ms + 1,
        to_ms,
    )
    name = _request(ctx, record.resource, wish, record.id)
    REQUESTS.save(ctx, record.id, msgspec.structs.replace(record, renewal=name))
    ctx.emit(RENEWED, name, record.id)
    return name


@CONTRACT.write(GOVERNOR, APPROVER)
def check(ctx: Context, request: Bytes32, passed: bool, note: str) -> None:
    """State that a waiting request passed the compliance check (合规性检查), or refuse it; by a governor or the provider's approver."""
    check_optional_text("note", note, MAX_REASON_LENGTH)
    record = ctx.require(REQUESTS, request, "REQUEST_UNKNOWN", request)
    department = ctx.account.department
    if department == record.consumer:
        raise Refused("OWN_CASE", found=department)
    if GOVERNOR not in ctx.account.roles and department != record.provider:
        raise Refused("OTHER_DEPARTMENT", found=department, expected=record.provider)
    check_state(record, WAITING)
    if record.checked_ms:
        raise Refused("CHECKED_ALREADY", found=request)
    if passed:
        # Kept with the time that the request waits: what comes later changes nothing of when it was checked.
        checked = msgspec.structs.replace(record.history[-1], checked_ms=ctx.time_ms)
        history = (*record.history[:-1], checked)
        REQUESTS.save(ctx, record.id, msgspec.structs.replace(record, history=history))
        ctx.emit(CHECKED, request, department, note)
        return
    check_text("note", note, MAX_REASON_LENGTH)
    # It refuses for a reason of the table, as `refuse` does: where governors took that out, nobody has it.
    find_reason(ctx, NOT_COMPLIANT)
    save_state(ctx, record, REFUSED, note, NOT_COMPLIANT)
    ctx.emit(DATA_REFUSED, request, NOT_COMPLIANT, note)


@CONTRACT.write(APPROVER)
def return_request(ctx: Context, request: Bytes32, reason: str) -> None:
    """Give a waiting request back once, saying all that it lacks (一次性告知); the time to answer begins anew when it is completed."""
    check_text("reason", reason, MAX_REASON_LENGTH)
    record = load_for_provider(ctx, request)
    check_state(record, WAITING)
    if any(interval.state == RETURNED for interval in record.history):
        raise Refused("RETURNED_ALREADY", found=request)
    save_state(ctx, record, RETURNED, reason)
    ctx.emit(DATA_RETURNED, request, reason)


@CONTRACT.write(REQUESTER)
def amend(
    ctx: Context,
    request: Bytes32,
    purpose: str,
    legal_basis: str,
    items: list[str],
    case_types: list[str],
    rows_per_day: Uint64,
    from_ms: TimeMs,
    to_ms: TimeMs,
) -> None:
    """Complete a returned request of the caller's department: all that it asks for is said anew, and it waits again.

    A renewal that then asks for more than the grant before it, or for a time that does not follow on it, goes on with no supply and
    leaves that grant to be renewed by another; it names it still, so that its conditions are lost in no return.
    """
    record = load_for_consumer(ctx, request)
    check_state(record, RETURNED)
    wish = Wish(purpose, legal_basis, tuple(items), tuple(case_types), rows_per_day, from_ms, to_ms)
    check_wish(ctx, load_shared(ctx, record.resource), wish)
    amended = msgspec.structs.replace(record, **msgspec.structs.asdict(wish))
    renewed = REQUESTS.load(ctx, record.previous)
    if renewed is not None and renewed.renewal == record.id and not _goes_on(renewed, wish):
        REQUESTS.save(ctx, renewed.id, msgspec.structs.replace(renewed, renewal=NO_REQUEST))
    save_state(ctx, amended, WAITING, purpose)
    ctx.emit(AMENDED, request)


@CONTRACT.write(APPROVER)
def grant(ctx: Context, request: Bytes32, conditions: Conditions, to_ms: TimeMs) -> None:
    """Grant a waiting request for the caller's department's data, under conditions, until a time within the period asked for.

    Where the region has a compliance check, one that nobody has checked is not granted.
    """
    record = load_for_provider(ctx, request)
    check_state(record, WAITING)
    if not record.checked_ms and _needs_check(ctx, record):
        raise Refused("CHECK_MISSING", found=request)
    check_period("from_ms", record.from_ms, "to_ms", to_ms)
    if to_ms > record.to_ms:
        raise Refused("PERIOD_EXCEEDED", found=to_ms, limit=record.to_ms)
    if to_ms <= ctx.time_ms:
        raise Refused("PERIOD_OVER", found=to_ms)
    # What has been withdrawn, or is not shared any more, since it was asked for is not granted.
    offered = load_shared(ctx, record.resource)
    asked = offered_items(offered, record.items)
    parties = (record.provider, record.consumer)
    kept = checked_conditions(ctx, conditions, asked, record.rows_per_day, parties)
    if not kept.columns and asked != record.items:
        # What the entry gains later was not granted.
        kept = msgspec.structs.replace(kept, columns=asked)
    supplied_ms = _supply_before(REQUESTS.load(ctx, record.previous), record)
    granted = msgspec.structs.replace(record, conditions=kept, to_ms=to_ms, supplied_ms=supplied_ms)
    save_state(ctx, granted, GRANTED, "")
    ctx.emit(DATA_GRANTED, request, to_ms)


@CONTRACT.write(APPROVER)
def refuse(ctx: Context, request: Bytes32, reason_code: str, reason: str) -> None:
    """Refuse a waiting request for the caller's department's data, for a reason of the table, in more words where it asks for them."""
    check_optional_text("reason", reason, MAX_REASON_LENGTH)
    record = load_for_provider(ctx, request)
    check_state(record, WAITING)
    if find_reason(ctx, reason_code).needs_text and not reason:
        raise Refused("TEXT_EMPTY", field="reason")
    save_state(ctx, record, REFUSED, reason, reason_code)
    ctx.emit(DATA_REFUSED, request, reason_code, reason)


@CONTRACT.write(APPROVER, RECORDER)
def start_supply(ctx: Context, request: Bytes32) -> None:
    """State that the caller's department supplies under a grant in force from now on; said again it changes nothing."""
    record = load_for_provider(ctx, request)
    check_state(record, GRANTED)
    if not is_in_force(record, ctx.time_ms):
        raise Refused("GRANT_NOT_IN_FORCE", found=request)
    begin_supply(ctx, record)


@CONTRACT.write(APPROVER)
def set_passing_on(ctx: Context, request: Bytes32, departments: list[str]) -> None:
    """Say anew which departments the consumer of a grant may pass the data of the caller's department on to; none: nobody."""
    record = load_for_provider(ctx, request)
    check_state(record, GRANTED)
    recipients = checked_recipients(ctx, departments, (record.provider, record.consumer))
    conditions = msgspec.structs.replace(record.conditions, passing_on_to=recipients)
    REQUESTS.save(ctx, record.id, msgspec.structs.replace(record, conditions=conditions))
    ctx.emit(PASSING_ON_SET, request, list(recipients))


@CONTRACT.write(APPROVER, REQUESTER)
def stop(ctx: Context, request: Bytes32, reason: str) -> None:
    """End a grant, by the provider's approver or the consumer's requester; or take an unanswered request back, by the latter."""
    check_text("reason", reason, MAX_REASON_LENGTH)
    record = load_for_party(ctx, request)
    if not (record.state in (WAITING, RETURNED) and ctx.account.department == record.consumer):
        check_state(record, GRANTED)
    save_state(ctx, record, STOPPED, reason)
    ctx.emit(DATA_STOPPED, request, reason)


@CONTRACT.write(GOVERNOR)
def set_refusal_reasons(ctx: Context, reasons: list[RefusalReason]) -> None:
    """Put a new table of reasons for refusal in the place of the one that holds."""
    kept = checked_reasons(reasons)
    save_reasons(ctx, ReasonTable(kept, ctx.time_ms))
    ctx.emit(REASONS_SET, [reason.code for reason in kept])


@CONTRACT.view()
def refusal_reasons(ctx: Context) -> ReasonTable:
    """Return the table of reasons for refusal that holds, and since when."""
    return load_reasons(ctx)


@CONTRACT.view()
def request_count(ctx: Context, resource: str) -> Uint64:
    """Return how many requests there were for a resource."""
    return count_requests(ctx, resource)


@CONTRACT.view()
def request_of(ctx: Context, resource: str, index: Uint64) -> Bytes32:
    """Return the id of a resource's request by its place, from 0 in the order that they were made."""
    return ctx.require(RESOURCE_REQUESTS, _place(resource, index), "REQUEST_UNKNOWN", index).request


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


def count_requests(state: Reader, resource: str) -> int:
    """Return how many requests there were for a resource."""
    found = RESOURCE_COUNTS.load(state, resource.encode())
    return 0 if found is None else found.count


def request_count_key(resource: str) -> bytes:
    """Return the key in state of the count of a resource's requests."""
    return RESOURCE_COUNTS.key(resource.encode())


def resource_request_key(resource: str, index: int) -> bytes:
    """Return the key in state of the name of a resource's request, by its place from 0."""
    return RESOURCE_REQUESTS.key(_place(resource, index))


def load_for_provider(ctx: Context, request_id: bytes) -> RequestRecord:
    """Return a request for data of the caller's department; refuse one of another."""
    record = ctx.require(REQUESTS, request_id, "REQUEST_UNKNOWN", request_id)
    if record.provider != ctx.account.department:
        raise Refused("OTHER_DEPARTMENT", found=ctx.account.department, expected=record.provider)
    return record


def load_for_consumer(ctx: Context, request_id: bytes) -> RequestRecord:
    """Return a request of the caller's department; refuse one of another."""
    record = ctx.require(REQUESTS, request_id, "REQUEST_UNKNOWN", request_id)
    if record.consumer != ctx.account.department:
        raise Refused("OTHER_DEPARTMENT", found=ctx.account.department, expected=record.consumer)
    return record


def load_for_party(ctx: Context, request_id: bytes) -> RequestRecord:
    """Return a request that the caller is the provider's approver or the consumer's requester of; refuse others."""
    record = ctx.require(REQUESTS, request_id, "REQUEST_UNKNOWN", request_id)
    department = ctx.account.department
    if department not in (record.provider, record.consumer):
        raise Refused("NOT_A_PARTY", found=department)
    role = APPROVER if department == record.provider else REQUESTER
    if role not in ctx.account.roles:
        raise Refused("ROLE_MISSING", expected=role, found=", ".join(ctx.account.roles))
    return record


def check_state(record: RequestRecord, *expected: str) -> None:
    """Return if a request is in one of the states; refuse REQUEST_STATE otherwise."""
    if record.state not in expected:
        raise Refused("REQUEST_STATE", found=record.state, expected=" | ".join(expected))


def begin_supply(ctx: Context, record: RequestRecord) -> None:
    """Keep that supply under a grant has begun; where it had, nothing changes."""
    if not record.supplied_ms:
        REQUESTS.save(ctx, record.id, msgspec.structs.replace(record, supplied_ms=ctx.time_ms))
        ctx.emit(SUPPLY_STARTED, record.id)


def save_state(ctx: Context, record: RequestRecord, state: str, reason: str, reason_code: str = "") -> None:
    """Keep a request with one state more, from now on."""
    interval = RequestInterval(state, ctx.time_ms, reason, ctx.sender, ctx.account.department, reason_code)
    REQUESTS.save(ctx, record.id, msgspec.structs.replace(record, history=(*record.history, interval)))


def reopen(ctx: Context, record: RequestRecord) -> None:
    """Let a refused request wait for an answer again; refuse it past LAST_REOPENING states."""
    check_state(record, REFUSED)
    _check_room(record)
    save_state(ctx, record, WAITING, record.purpose)


def restore(ctx: Context, record: RequestRecord) -> None:
    """Let a grant that its provider ended go on as it was; refuse it past LAST_REOPENING states, or when its time is over."""
    if not was_ended_by_provider(record):
        raise Refused("REQUEST_STATE", found=record.state, expected=f"{STOPPED} ({record.provider}) | {RECALLED}")
    if record.to_ms <= ctx.time_ms:
        raise Refused("PERIOD_OVER", found=record.to_ms)
    load_shared(ctx, record.resource)
    _check_room(record)
    save_state(ctx, record, GRANTED, "")


def was_ended_by_provider(record: RequestRecord, place: int = -1) -> bool:
    """Return whether its provider ended a grant: the one at a place in the request's history, the newest without one."""
    if place < 0:
        place = max((number for number, one in enumerate(record.history) if one.state == GRANTED), default=place)
    if not 0 <= place < len(record.history) - 1:
        return False
    end = record.history[place + 1]
    return end.department == record.provider


def _check_room(record: RequestRecord) -> None:
    if len(record.history) > LAST_REOPENING:
        raise Refused("CASES_FULL", field="history", limit=LAST_REOPENING)


def _needs_check(ctx: Context, record: RequestRecord) -> bool:
    """Return whether the terms under which a request waits have a compliance check."""
    provider = load_department(ctx, record.provider)
    region = "" if provider is None else provider.region
    return load_terms(ctx, region, record.waiting_since_ms).working_days(COMPLIANCE_CHECK) > 0


def _request(ctx: Context, code: str, wish: Wish, previous: bytes) -> bytes:
    """Keep a new request under the id of the call, and return that."""
    offered = load_shared(ctx, code)
    consumer = ctx.account.department
    if offered.provider == consumer:
        raise Refused("OWN_RESOURCE", found=code)
    check_wish(ctx, offered, wish)
    if REQUESTS.has(ctx, ctx.call_id):
        raise Refused("REQUEST_EXISTS", found=ctx.call_id)
    history = [RequestInterval(WAITING, ctx.time_ms, wish.purpose, ctx.sender, consumer, "")]
    is_granted = offered.sharing_type == resources.UNCONDITIONAL
    conditions = Conditions()
    supplied_ms = 0
    if is_granted:
        # 政务数据共享条例 has unconditional data supplied on request: no approver stands between.
        history.append(RequestInterval(GRANTED, ctx.time_ms, "", ctx.sender, consumer, ""))
        renewed = load_request(ctx, previous)
        conditions = conditions_at_once(offered, wish, conditions if renewed is None else renewed.conditions)
        supplied_ms = _supply_before(renewed, wish)
    record = RequestRecord(
        id=ctx.call_id,
        resource=code,
        provider=offered.provider,
        consumer=consumer,
        **msgspec.structs.asdict(wish),
        conditions=conditions,
        previous=previous,
        renewal=NO_REQUEST,
        supplied_ms=supplied_ms,
        corrections=0,
        disputes=0,
        recalls=0,
        history=tuple(history),
    )
    REQUESTS.save(ctx, record.id, record)
    count = count_requests(ctx, code)
    RESOURCE_REQUESTS.save(ctx, _place(code, count), RequestName(record.id))
    RESOURCE_COUNTS.save(ctx, code.encode(), RequestCount(count + 1))
    ctx.emit(REQUESTED, record.id, code, offered.provider, consumer)
    if is_granted:
        ctx.emit(DATA_GRANTED, record.id, record.to_ms)
    return record.id


def _goes_on(renewed: RequestRecord, wish: Wish | RequestRecord) -> bool:
    """Return whether what is asked for was granted before, item by item, and begins no later than right after that."""
    pairs = ((renewed.items, wish.items), (renewed.case_types, wish.case_types))
    # None named stands for all of them.
    is_no_more = all(not before or (now and set(now) <= set(before)) for before, now in pairs)
    return is_no_more and wish.from_ms <= renewed.to_ms + 1


def _supply_before(renewed: RequestRecord | None, wish: Wish | RequestRecord) -> int:
    """Return when the supply began that a request goes on with: of the grant it renews, if nobody has ended that; 0 for none."""
    is_on = renewed is not None and renewed.state == GRANTED and _goes_on(renewed, wish)
    return renewed.supplied_ms if renewed is not None and is_on else 0


def _place(resource: str, index: int) -> bytes:
    return resource.encode() + index.to_bytes(8, "big")
