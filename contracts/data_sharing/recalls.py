"""Recalls (召回): a provider asks for data back that it supplied, and the consumer confirms that it is destroyed."""

from __future__ import annotations

from typing import Final

import msgspec

from contracts.accounts import APPROVER, REQUESTER
from contracts.data_sharing import sharing
from contracts.data_sharing.case_records import case_name, next_number, require_case
from contracts.data_sharing.working_days import day_of
from contracts.fields import (
    Address,
    Bytes32,
    TimeMs,
    Uint64,
    check_digest,
    check_optional_text,
    check_period,
    check_text,
)
from contracts.frame import Context
from contracts.records import Reader, Table
from contracts.refusals import Refused

MAX_RECALLS: Final = 64
"""Under one request, beside those that end the grant."""
MAX_NOTE_LENGTH: Final = 200
OUTCOMES: Final[dict[bool, tuple[str, str]]] = {
    False: ("待销毁确认", "destruction not confirmed yet"),
    True: ("已确认销毁", "destruction confirmed"),
}
"""What became of a recall, by whether its consumer has confirmed it, in Chinese and English."""


class RecallRecord(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """Which data a provider recalled and why, and when the consumer confirmed that it is destroyed."""

    request: Bytes32
    number: Uint64
    from_ms: TimeMs
    """What was supplied between these times, deliveries and reads alike, is recalled."""
    to_ms: TimeMs
    ends_grant: bool
    reason: str
    begun_ms: TimeMs
    begun_by: Address
    statement: Bytes32
    """Digest of the consumer's statement of destruction, which both parties have; zeros until then."""
    note: str
    confirmed_ms: TimeMs
    """0 while it is not confirmed."""
    confirmed_by: Address


RECALLS: Final = Table("sharing", 7, RecallRecord)
CONTRACT: Final = sharing.CONTRACT
RECALL_BEGUN: Final = CONTRACT.event(
    "RecallBegun", ["request"], request="bytes32", number="uint64", ends_grant="bool", reason="string"
)
RECALL_CONFIRMED: Final = CONTRACT.event("RecallConfirmed", ["request"], request="bytes32", number="uint64")


@CONTRACT.write(APPROVER)
def recall(ctx: Context, request: Bytes32, from_ms: TimeMs, to_ms: TimeMs, ends_grant: bool, reason: str) -> Uint64:
    """Recall what was supplied under a grant between two times, and end the grant or not; return the number.

    `to_ms` of 0, or any time of the present day in Beijing, is until now.
    """
    check_text("reason", reason, sharing.MAX_REASON_LENGTH)
    # Nobody knows which millisecond of today it is: the whole day stands for what there is of it.
    if not to_ms or day_of(to_ms) == day_of(ctx.time_ms):
        to_ms = min(to_ms or ctx.time_ms, ctx.time_ms)
    check_period("from_ms", from_ms, "to_ms", to_ms)
    if to_ms > ctx.time_ms:
        raise Refused("RECALL_IN_FUTURE", found=to_ms, limit=ctx.time_ms)
    record = sharing.load_for_provider(ctx, request)
    ended = () if ends_grant else (sharing.RECALLED,)
    sharing.check_state(record, sharing.GRANTED, sharing.STOPPED, *ended)
    if not record.granted_ms:
        # Its consumer took it back before anybody answered: there is nothing to recall.
        raise Refused("REQUEST_STATE", found=record.state, expected=sharing.GRANTED)
    # There is always room for one that ends the grant: it is restored no more than LAST_REOPENING times.
    room = sharing.LAST_REOPENING if ends_grant else 0
    number = next_number(record.recalls, MAX_RECALLS + room, "recalls")
    begun = RecallRecord(
        request, number, from_ms, to_ms, ends_grant, reason, ctx.time_ms, ctx.sender, bytes(32), "", 0, bytes(20)
    )
    RECALLS.save(ctx, case_name(request, number), begun)
    counted = msgspec.structs.replace(record, recalls=number)
    if ends_grant:
        sharing.save_state(ctx, counted, sharing.RECALLED, reason)
    else:
        sharing.REQUESTS.save(ctx, request, counted)
    ctx.emit(RECALL_BEGUN, request, number, ends_grant, reason)
    return number


@CONTRACT.write(REQUESTER)
def confirm_recall(ctx: Context, request: Bytes32, number: Uint64, statement: Bytes32, note: str) -> None:
    """Confirm that the caller's department has destroyed what was recalled; `statement` is the digest of its word for that."""
    check_digest("statement", statement)
    check_optional_text("note", note, MAX_NOTE_LENGTH)
    sharing.load_for_consumer(ctx, request)
    begun = require_case(ctx, RECALLS, request, number)
    if begun.confirmed_ms:
        raise Refused("ANSWERED_ALREADY", found=number)
    confirmed = msgspec.structs.replace(
        begun, statement=statement, note=note, confirmed_ms=ctx.time_ms, confirmed_by=ctx.sender
    )
    RECALLS.save(ctx, case_name(request, number), confirmed)
    ctx.emit(RECALL_CONFIRMED, request, number)


@CONTRACT.view()
def data_recall(ctx: Context, request: Bytes32, number: Uint64) -> RecallRecord:
    """Return a recall by its number under a request."""
    return require_case(ctx, RECALLS, request, number)


def load_recall(state: Reader, request_id: bytes, number: int) -> RecallRecord | None:
    """Return a recall by its number under a request, or None."""
    return RECALLS.load(state, case_name(request_id, number))


def recall_key(request_id: bytes, number: int) -> bytes:
    """Return the key in state of a recall."""
    return RECALLS.key(case_name(request_id, number))
