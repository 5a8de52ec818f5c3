"""Deliveries: payloads that went from provider to consumer under a grant, as digests and sizes, each with what both sides say of it.

Payloads never touch the chain. A grant's deliveries have gapless numbers; the provider records one before it sends it, and the consumer
answers for it: received as recorded, something else, or not taken.
"""

from __future__ import annotations

from typing import Final

import msgspec

from contracts.accounts import RECORDER, REQUESTER
from contracts.data_sharing import sharing
from contracts.data_sharing.encryption_keys import load_encryption_key
from contracts.fields import Address, Bytes32, TimeMs, Uint8, Uint64, check_choice, check_digest, check_optional_text
from contracts.frame import Context, SystemContract
from contracts.records import Reader, Table
from contracts.refusals import Refused

MAX_NOTE_LENGTH: Final = 200
MAX_PAYLOAD_BYTES: Final = 2**42
"""4 TiB: what the sealed form can hold."""
MAX_PAYLOAD_ROWS: Final = 10**12

UNANSWERED: Final = 0
RECEIVED: Final = 1
DIFFERS: Final = 2
NOT_TAKEN: Final = 3
ANSWERS: Final = {
    UNANSWERED: ("待签收", "not answered for yet"),
    RECEIVED: ("已签收", "received as recorded"),
    DIFFERS: ("内容不符", "something else than was recorded"),
    NOT_TAKEN: ("拒收", "not taken"),
}
"""What a consumer says of a delivery, in Chinese and English."""


class Parcel(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What a provider sends: the salted digest of the payload, the digest of the sealed file, their sizes, the payload's rows."""

    payload: Bytes32
    sealed: Bytes32
    size: Uint64
    sealed_size: Uint64
    rows: Uint64
    key_number: Uint64
    """Which of the consumer's encryption keys it is sealed to."""


class DeliveryRecord(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One delivery under a grant: what the provider's account recorded and when, and what the consumer's answered and when."""

    grant: Bytes32
    number: Uint64
    provider: str
    consumer: str
    parcel: Parcel
    delivered_ms: TimeMs
    deliverer: Address
    answer: Uint8
    received: Bytes32
    """The digest that the consumer found: of the payload when it could open the file, else of the file; zeros when it got nothing."""
    note: str
    answered_ms: TimeMs
    """0 while the consumer has not answered."""
    answerer: Address


class DeliveryHead(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A grant's deliveries in sum: how many, from when to when, how many were received, differed, were not taken, and their rows."""

    grant: Bytes32
    count: Uint64
    first_ms: TimeMs
    last_ms: TimeMs
    received: Uint64
    differing: Uint64
    not_taken: Uint64
    rows_received: Uint64


HEADS: Final = Table("deliveries", 1, DeliveryHead)
DELIVERIES: Final = Table("deliveries", 2, DeliveryRecord)
CONTRACT: Final = SystemContract("deliveries")
DELIVERED: Final = CONTRACT.event(
    "Delivered", ["grant"], grant="bytes32", provider="string", consumer="string", number="uint64", rows="uint64"
)
ANSWERED: Final = CONTRACT.event("DeliveryAnswered", ["grant"], grant="bytes32", number="uint64", answer="uint8")


@CONTRACT.write(RECORDER)
def deliver(ctx: Context, grant: Bytes32, number: Uint64, parcel: Parcel) -> None:
    """Record a delivery under a grant in force before it is sent, with the number after the last; the same again changes nothing."""
    record = sharing.load_for_provider(ctx, grant)
    head = HEADS.load(ctx, grant) or DeliveryHead(grant, 0, ctx.time_ms, ctx.time_ms, 0, 0, 0, 0)
    if 0 < number <= head.count:
        kept = ctx.require(DELIVERIES, _name(grant, number), "DELIVERY_UNKNOWN", number)
        if kept.parcel != parcel:
            raise Refused("DELIVERY_REWRITTEN", found=number)
        return
    if number != head.count + 1:
        raise Refused("DELIVERY_GAP", expected=head.count + 1, found=number)
    if not sharing.is_in_force(record, ctx.time_ms):
        raise Refused("GRANT_NOT_IN_FORCE", found=grant)
    _check_parcel(ctx, record.consumer, parcel)
    DELIVERIES.save(
        ctx,
        _name(grant, number),
        DeliveryRecord(
            grant,
            number,
            record.provider,
            record.consumer,
            parcel,
            ctx.time_ms,
            ctx.sender,
            UNANSWERED,
            bytes(32),
            "",
            0,
            bytes(20),
        ),
    )
    HEADS.save(ctx, grant, msgspec.structs.replace(head, count=number, last_ms=ctx.time_ms))
    sharing.begin_supply(ctx, record)
    ctx.emit(DELIVERED, grant, record.provider, record.consumer, number, parcel.rows)


@CONTRACT.write(RECORDER, REQUESTER)
def answer(ctx: Context, grant: Bytes32, number: Uint64, answer: Uint8, received: Bytes32, note: str) -> None:
    """Answer for a delivery to the caller's department, once: 1 received, 2 differs, 3 not taken; the same again changes nothing.

    `received` is the digest of what came; that of a delivery which was received is the payload's, and of one that differs it is not.
    """
    check_choice("answer", answer, [choice for choice in ANSWERS if choice != UNANSWERED])
    check_optional_text("note", note, MAX_NOTE_LENGTH)
    sharing.load_for_consumer(ctx, grant)
    delivery = ctx.require(DELIVERIES, _name(grant, number), "DELIVERY_UNKNOWN", number)
    if delivery.answer != UNANSWERED:
        if (delivery.answer, delivery.received, delivery.note) != (answer, received, note):
            raise Refused("DELIVERY_ANSWERED", found=number, since=delivery.answered_ms)
        return
    is_same = received == delivery.parcel.payload
    if answer == RECEIVED and not is_same:
        raise Refused("DELIVERY_DIFFERS", found=received, expected=delivery.parcel.payload)
    if answer == DIFFERS and is_same:
        raise Refused("DELIVERY_IS_THE_SAME", found=number)
    if answer != RECEIVED and not note:
        raise Refused("TEXT_EMPTY", field="note")
    answered = msgspec.structs.replace(
        delivery, answer=answer, received=received, note=note, answered_ms=ctx.time_ms, answerer=ctx.sender
    )
    DELIVERIES.save(ctx, _name(grant, number), answered)
    HEADS.save(ctx, grant, _counted(ctx, delivery, answer))
    ctx.emit(ANSWERED, grant, number, answer)


@CONTRACT.view()
def delivery(ctx: Context, grant: Bytes32, number: Uint64) -> DeliveryRecord:
    """Return one delivery under a grant, counted from 1."""
    return ctx.require(DELIVERIES, _name(grant, number), "DELIVERY_UNKNOWN", number)


@CONTRACT.view()
def deliveries(ctx: Context, grant: Bytes32) -> DeliveryHead:
    """Return a grant's deliveries in sum; of a grant without any the counts are 0."""
    return load_head(ctx, grant) or DeliveryHead(grant, 0, 0, 0, 0, 0, 0, 0)


def load_head(state: Reader, grant: bytes) -> DeliveryHead | None:
    """Return a grant's deliveries in sum, or None where there are none."""
    return HEADS.load(state, grant)


def load_delivery(state: Reader, grant: bytes, number: int) -> DeliveryRecord | None:
    """Return one delivery under a grant, counted from 1, or None."""
    return DELIVERIES.load(state, _name(grant, number))


def delivery_key(grant: bytes, number: int) -> bytes:
    """Return the key in state of one delivery under a grant (32-byte id), counted from 1."""
    return DELIVERIES.key(_name(grant, number))


def _check_parcel(ctx: Context, consumer: str, parcel: Parcel) -> None:
    check_digest("payload", parcel.payload)
    check_digest("sealed", parcel.sealed)
    for field, found, limit in (
        ("size", parcel.size, MAX_PAYLOAD_BYTES),
        ("sealed_size", parcel.sealed_size, 2 * MAX_PAYLOAD_BYTES),
        ("rows", parcel.rows, MAX_PAYLOAD_ROWS),
    ):
        if found > limit:
            raise Refused("PARCEL_TOO_LARGE", field=field, limit=limit, found=found)
    present = load_encryption_key(ctx, consumer)
    if present is None:
        raise Refused("ENCRYPTION_KEY_UNKNOWN", found=consumer)
    if parcel.key_number != present.number:
        raise Refused("ENCRYPTION_KEY_NOT_PRESENT", expected=present.number, found=parcel.key_number)


def _counted(ctx: Context, delivery: DeliveryRecord, answer: int) -> DeliveryHead:
    """Return the sum of the delivery's grant with this answer."""
    head = HEADS.load(ctx, delivery.grant)
    assert head is not None, "a grant with a delivery has its sum"
    if answer == RECEIVED:
        rows = head.rows_received + delivery.parcel.rows
        return msgspec.structs.replace(head, received=head.received + 1, rows_received=rows)
    if answer == DIFFERS:
        return msgspec.structs.replace(head, differing=head.differing + 1)
    return msgspec.structs.replace(head, not_taken=head.not_taken + 1)


def _name(grant: bytes, number: int) -> bytes:
    return grant + number.to_bytes(8, "big")
