"""Holders' authorisations: one department may fetch one certificate for one purpose until a time, and every fetch under it.

The ledger has commitments only: neither certificate nor holder nor purpose can be read from it, and two authorisations of one certificate
have nothing in common. docs/spec/authorisation.md says what the issuer keeps beside it.
"""

from __future__ import annotations

from typing import Final

import msgspec

from contracts.accounts import ISSUER, RECORDER, REQUESTER, load_department
from contracts.accounts import authorise as authorise_account
from contracts.fields import Address, Bytes32, TimeMs, Uint64, check_digest, check_period
from contracts.frame import Context, SystemContract
from contracts.records import Reader, Table
from contracts.refusals import Refused

MAX_FETCHES: Final = 1_000
"""How often one authorisation may be used at most."""

NO_CODE: Final = bytes(32)
"""In place of a one-time code's digest where the holder signed."""


class AuthorisationRecord(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """That a department may fetch a certificate of the issuer: id, statement and purpose are commitments that only parties open.

    `code` is the keyed digest of a one-time code, or zeros; `withdrawn_ms` is 0 while the holder has not withdrawn it.
    """

    id: Bytes32
    issuer: str
    recipient: str
    statement: Bytes32
    purpose: Bytes32
    code: Bytes32
    from_ms: TimeMs
    to_ms: TimeMs
    max_fetches: Uint64
    fetch_count: Uint64
    authorised_ms: TimeMs
    operator: Address
    withdrawn_ms: TimeMs
    withdrawal: Bytes32


class FetchRecord(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One fetch under an authorisation: whose account asked, the digests of its signed request and of the file that was handed out."""

    authorisation: Bytes32
    issuer: str
    number: Uint64
    requester: Address
    request: Bytes32
    result: Bytes32
    fetched_ms: TimeMs
    operator: Address


AUTHORISATIONS: Final = Table("authorisations", 1, AuthorisationRecord)
FETCHES: Final = Table("authorisations", 2, FetchRecord)
CONTRACT: Final = SystemContract("authorisations")
AUTHORISED: Final = CONTRACT.event(
    "FetchAuthorised", ["authorisation"], authorisation="bytes32", issuer="string", recipient="string", to_ms="int64"
)
WITHDRAWN: Final = CONTRACT.event(
    "AuthorisationWithdrawn", ["authorisation"], authorisation="bytes32", issuer="string", withdrawal="bytes32"
)
FETCHED: Final = CONTRACT.event(
    "CertificateFetched",
    ["authorisation", "requester", "result"],
    authorisation="bytes32",
    requester="address",
    result="bytes32",
    issuer="string",
    number="uint64",
)


@CONTRACT.write(ISSUER, RECORDER)
def authorise(
    ctx: Context,
    authorisation: Bytes32,
    recipient: str,
    statement: Bytes32,
    purpose: Bytes32,
    code: Bytes32,
    from_ms: TimeMs,
    to_ms: TimeMs,
    max_fetches: Uint64,
) -> None:
    """Record what a holder allows: `recipient` may fetch the certificate behind the id up to `max_fetches` times in a period.

    The issuer has verified the holder's signed statement; with a one-time code there is one fetch.
    """
    for field, digest in (("authorisation", authorisation), ("statement", statement), ("purpose", purpose)):
        check_digest(field, digest)
    check_period("from_ms", from_ms, "to_ms", to_ms)
    if to_ms <= ctx.time_ms:
        raise Refused("PERIOD_OVER", found=to_ms)
    limit = MAX_FETCHES if code == NO_CODE else 1
    if not 1 <= max_fetches <= limit:
        raise Refused("FETCHES_OUT_OF_RANGE", limit=limit, found=max_fetches)
    issuer = ctx.account.department
    if load_department(ctx, recipient) is None:
        raise Refused("DEPARTMENT_UNKNOWN", found=recipient)
    if AUTHORISATIONS.has(ctx, authorisation_name(issuer, authorisation)):
        raise Refused("AUTHORISATION_EXISTS", found=authorisation)
    record = AuthorisationRecord(
        authorisation,
        issuer,
        recipient,
        statement,
        purpose,
        code,
        from_ms,
        to_ms,
        max_fetches,
        0,
        ctx.time_ms,
        ctx.sender,
        0,
        bytes(32),
    )
    AUTHORISATIONS.save(ctx, authorisation_name(issuer, authorisation), record)
    ctx.emit(AUTHORISED, authorisation, issuer, recipient, to_ms)


@CONTRACT.write(ISSUER, RECORDER)
def withdraw(ctx: Context, authorisation: Bytes32, withdrawal: Bytes32) -> None:
    """End an authorisation of the caller's department; `withdrawal` is the digest of what the holder said."""
    check_digest("withdrawal", withdrawal)
    record = _load_own(ctx, authorisation)
    if record.withdrawn_ms:
        raise Refused("AUTHORISATION_WITHDRAWN", found=authorisation, since=record.withdrawn_ms)
    record = msgspec.structs.replace(record, withdrawn_ms=ctx.time_ms, withdrawal=withdrawal)
    AUTHORISATIONS.save(ctx, authorisation_name(record.issuer, authorisation), record)
    ctx.emit(WITHDRAWN, authorisation, record.issuer, withdrawal)


@CONTRACT.write(RECORDER)
def record_fetch(
    ctx: Context,
    authorisation: Bytes32,
    requester: Address,
    purpose: Bytes32,
    code: Bytes32,
    request: Bytes32,
    result: Bytes32,
) -> Uint64:
    """Record a fetch before its answer leaves, and return its number; the latest fetch again changes nothing.

    Refused for another department's account, another purpose or code, and when it is not begun, withdrawn, over or used up.
    """
    check_digest("request", request)
    check_digest("result", result)
    record = _load_own(ctx, authorisation)
    department = authorise_account(ctx, requester, (REQUESTER, RECORDER)).department
    if department != record.recipient:
        raise Refused("NOT_THE_RECIPIENT", found=department)
    if record.withdrawn_ms:
        raise Refused("AUTHORISATION_WITHDRAWN", found=authorisation, since=record.withdrawn_ms)
    if ctx.time_ms < record.from_ms:
        raise Refused("AUTHORISATION_NOT_BEGUN", found=authorisation, since=record.from_ms)
    if ctx.time_ms > record.to_ms:
        raise Refused("AUTHORISATION_EXPIRED", found=authorisation, since=record.to_ms)
    if purpose != record.purpose:
        raise Refused("PURPOSE_DIFFERS", found=authorisation)
    if code != record.code:
        raise Refused("CODE_WRONG", found=authorisation)
    if record.fetch_count:
        latest = FETCHES.load(ctx, fetch_name(record.issuer, authorisation, record.fetch_count))
        assert latest is not None, "a record counts the fetches that were saved"
        if (latest.requester, latest.request, latest.result) == (requester, request, result):
            return record.fetch_count
    if record.fetch_count >= record.max_fetches:
        raise Refused("AUTHORISATION_USED_UP", found=authorisation, limit=record.max_fetches)
    number = record.fetch_count + 1
    fetch = FetchRecord(authorisation, record.issuer, number, requester, request, result, ctx.time_ms, ctx.sender)
    FETCHES.save(ctx, fetch_name(record.issuer, authorisation, number), fetch)
    AUTHORISATIONS.save(
        ctx, authorisation_name(record.issuer, authorisation), msgspec.structs.replace(record, fetch_count=number)
    )
    ctx.emit(FETCHED, authorisation, requester, result, record.issuer, number)
    return number


@CONTRACT.view()
def authorisation(ctx: Context, issuer: str, authorisation: Bytes32) -> AuthorisationRecord:
    """Return an authorisation by the issuer's code and its id."""
    return ctx.require(
        AUTHORISATIONS, authorisation_name(issuer, authorisation), "AUTHORISATION_UNKNOWN", authorisation
    )


@CONTRACT.view()
def fetch(ctx: Context, issuer: str, authorisation: Bytes32, number: Uint64) -> FetchRecord:
    """Return one fetch under an authorisation, counted from 1."""
    return ctx.require(FETCHES, fetch_name(issuer, authorisation, number), "FETCH_UNKNOWN", number)


@CONTRACT.view()
def is_authorised(ctx: Context, issuer: str, authorisation: Bytes32, recipient: str) -> bool:
    """Return whether a department may fetch under an authorisation at the time of the block; under an unknown one it may not."""
    record = load_authorisation(ctx, issuer, authorisation)
    return record is not None and record.recipient == recipient and is_usable(record, ctx.time_ms)


def is_usable(record: AuthorisationRecord, time_ms: int) -> bool:
    """Return whether an authorisation allows one more fetch at a time in ms, from its record alone."""
    is_withdrawn = 0 < record.withdrawn_ms <= time_ms
    return not is_withdrawn and record.from_ms <= time_ms <= record.to_ms and record.fetch_count < record.max_fetches


def authorisation_name(issuer: str, authorisation_id: bytes) -> bytes:
    """Return what an authorisation is called in its table: the id, then the issuer, so that nobody takes an id before the issuer does."""
    return authorisation_id + issuer.encode()


def fetch_name(issuer: str, authorisation_id: bytes, number: int) -> bytes:
    """Return what a fetch is called in its table: the authorisation's name, then the number in 8 bytes."""
    return authorisation_name(issuer, authorisation_id) + number.to_bytes(8, "big")


def load_authorisation(state: Reader, issuer: str, authorisation_id: bytes) -> AuthorisationRecord | None:
    """Return an authorisation, or None."""
    return AUTHORISATIONS.load(state, authorisation_name(issuer, authorisation_id))


def load_fetch(state: Reader, issuer: str, authorisation_id: bytes, number: int) -> FetchRecord | None:
    """Return one fetch under an authorisation, or None."""
    return FETCHES.load(state, fetch_name(issuer, authorisation_id, number))


def _load_own(ctx: Context, authorisation_id: bytes) -> AuthorisationRecord:
    name = authorisation_name(ctx.account.department, authorisation_id)
    return ctx.require(AUTHORISATIONS, name, "AUTHORISATION_UNKNOWN", authorisation_id)
