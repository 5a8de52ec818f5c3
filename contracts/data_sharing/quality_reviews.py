"""Quality reviews of a resource, its entry and its data: a score and a finding by another party, and the provider's reply."""

from __future__ import annotations

from typing import Final

import msgspec

from contracts.accounts import APPROVER, GOVERNOR, PUBLISHER, REQUESTER
from contracts.data_sharing.catalogue import (
    CONTRACT,
    RESOURCES,
    check_provider,
    load_offered,
    version_name,
)
from contracts.fields import Address, TimeMs, Uint8, Uint64, check_text
from contracts.frame import Context
from contracts.records import Reader, Table
from contracts.refusals import Refused

MAX_SCORE: Final = 100
MAX_FINDING_LENGTH: Final = 1_000
MAX_REPLY_LENGTH: Final = 1_000


class ReviewRecord(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What one department found of one version of a resource; it says so once."""

    resource: str
    version: Uint64
    department: str
    reviewer: Address
    score: Uint8
    """0 to 100."""
    finding: str
    reviewed_ms: TimeMs
    reply: str
    """The provider's answer, empty while there is none."""
    replied_ms: TimeMs


REVIEWS: Final = Table("catalogue", 4, ReviewRecord)
REVIEWED: Final = CONTRACT.event(
    "ResourceReviewed", code="string", version="uint64", department="string", score="uint8"
)
REPLIED: Final = CONTRACT.event("ReviewReplied", code="string", version="uint64", department="string")


@CONTRACT.write(REQUESTER, GOVERNOR)
def review(ctx: Context, code: str, version: Uint64, score: Uint8, finding: str) -> None:
    """Review the version of another department's resource that is in force: a score of 0 to 100, and what was found."""
    if score > MAX_SCORE:
        raise Refused("SCORE_OUT_OF_RANGE", found=score, limit=MAX_SCORE)
    check_text("finding", finding, MAX_FINDING_LENGTH)
    record = load_offered(ctx, code)
    department = ctx.account.department
    if record.provider == department:
        raise Refused("OWN_RESOURCE_REVIEWED", found=code)
    if record.version != version:
        raise Refused("VERSION_CHANGED", found=version, expected=record.version)
    name = _review_name(code, version, department)
    if REVIEWS.has(ctx, name):
        raise Refused("REVIEW_EXISTS", found=code, version=version)
    REVIEWS.save(ctx, name, ReviewRecord(code, version, department, ctx.sender, score, finding, ctx.time_ms, "", 0))
    count, total = record.review_count + 1, record.score_total + score
    RESOURCES.save(ctx, code.encode(), msgspec.structs.replace(record, review_count=count, score_total=total))
    ctx.emit(REVIEWED, code, version, department, score)


@CONTRACT.write(PUBLISHER, APPROVER)
def reply_to_review(ctx: Context, code: str, version: Uint64, department: str, reply: str) -> None:
    """Answer, once, what a department found of a resource of the caller's department."""
    check_text("reply", reply, MAX_REPLY_LENGTH)
    found = ctx.require(REVIEWS, _review_name(code, version, department), "REVIEW_UNKNOWN", code)
    check_provider(ctx, ctx.require(RESOURCES, code.encode(), "RESOURCE_UNKNOWN", code).provider)
    if found.replied_ms:
        raise Refused("REPLIED_ALREADY", found=code)
    answered = msgspec.structs.replace(found, reply=reply, replied_ms=ctx.time_ms)
    REVIEWS.save(ctx, _review_name(code, version, department), answered)
    ctx.emit(REPLIED, code, version, department)


@CONTRACT.view()
def quality_review(ctx: Context, code: str, version: Uint64, department: str) -> ReviewRecord:
    """Return what a department found of a version of a resource."""
    return ctx.require(REVIEWS, _review_name(code, version, department), "REVIEW_UNKNOWN", code)


def load_review(state: Reader, code: str, version: int, department: str) -> ReviewRecord | None:
    """Return what a department found of a version of a resource, or None."""
    return REVIEWS.load(state, _review_name(code, version, department))


def _review_name(code: str, version: int, department: str) -> bytes:
    return version_name(code, version) + department.encode()
