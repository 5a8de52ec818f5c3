"""The data catalogue: what departments publish for others to ask for (GB/T 21063 and its guide, as implemented).

What a resource is said to be stands in versions. Who must approve a version before it is in force follows from the class of its data:
nobody else for general data, an approver of the department for important data, also a governor for core data. Every version that was
in force stays to be read.
"""

from __future__ import annotations

from typing import Final

import msgspec

from contracts.accounts import APPROVER, GOVERNOR, PUBLISHER
from contracts.data_sharing.arrival_records import begin_return
from contracts.data_sharing.datasets import end_dataset
from contracts.data_sharing.resources import (
    CORE,
    GENERAL,
    IMPORTANT,
    ResourceDescription,
    ResourceItem,
    check_description,
    description_digest,
)
from contracts.fields import Address, Bytes32, TimeMs, Uint64, check_list, check_text
from contracts.frame import Context, SystemContract
from contracts.records import Reader, Table
from contracts.refusals import Refused

MAX_REASON_LENGTH: Final = 200
MAX_RESOURCES_PER_CALL: Final = 256
NO_LONGER_OPEN: Final = "目录不再列为向社会开放 / the catalogue no longer has it as open"
"""Why a dataset ended whose resource's entry was changed."""

APPROVALS: Final[dict[int, tuple[str, ...]]] = {
    CORE: (APPROVER, GOVERNOR),
    IMPORTANT: (APPROVER,),
    GENERAL: (),
}
"""By class of data: the roles of which one account each, other than the proposer's, approves a version before it is in force."""


class Approval(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One account's approval of a version, and in which role."""

    role: str
    account: Address
    department: str
    approved_ms: TimeMs


class ResourceRecord(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A version of a resource that is or was in force; reviews count for the version that they look at."""

    provider: str
    description: ResourceDescription
    version: Uint64
    published_ms: TimeMs
    publisher: Address
    approvals: tuple[Approval, ...]
    withdrawn_ms: TimeMs
    """Block time since which the resource is withdrawn, 0 when it is not."""
    withdrawn_reason: str
    review_count: Uint64
    score_total: Uint64
    """Sum of the scores of its reviews, 0 to 100 each."""

    @property
    def code(self) -> str:
        """Its catalogue code."""
        return self.description.code

    @property
    def name(self) -> str:
        """What it is called."""
        return self.description.name

    @property
    def items(self) -> tuple[ResourceItem, ...]:
        """Its data items."""
        return self.description.items

    @property
    def sharing_type(self) -> int:
        """One of SHARING_TYPES."""
        return self.description.sharing_type


class ProposalRecord(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A version that waits for approval; `replaces` is the version in force, 0 for none."""

    provider: str
    description: ResourceDescription
    digest: Bytes32
    replaces: Uint64
    proposer: Address
    proposed_ms: TimeMs
    needed: tuple[str, ...]
    """Roles that still have to approve."""
    approvals: tuple[Approval, ...]


RESOURCES: Final = Table("catalogue", 1, ResourceRecord)
PAST_VERSIONS: Final = Table("catalogue", 2, ResourceRecord)
PROPOSALS: Final = Table("catalogue", 3, ProposalRecord)
CONTRACT: Final = SystemContract("catalogue")
PUBLISHED: Final = CONTRACT.event(
    "ResourcePublished", code="string", name="string", provider="string", sharing_type="uint8", version="uint64"
)
PROPOSED: Final = CONTRACT.event(
    "ResourceProposed",
    ["digest"],
    digest="bytes32",
    code="string",
    name="string",
    provider="string",
    data_class="uint8",
)
APPROVED: Final = CONTRACT.event("ResourceApproved", ["digest"], digest="bytes32", code="string", role="string")
REJECTED: Final = CONTRACT.event("ResourceRejected", ["digest"], digest="bytes32", code="string", reason="string")
WITHDRAWN: Final = CONTRACT.event("ResourceWithdrawn", code="string", reason="string")


@CONTRACT.write(PUBLISHER)
def publish(ctx: Context, resource: ResourceDescription, replaces: Uint64) -> bool:
    """Publish a version of a resource of the caller's department and return whether it is in force; else it waits for approval.

    `replaces` is the version in force, 0 for a new resource: two who change one at a time do not undo each other's work.
    What is in force, or waits, just so changes nothing.
    """
    return _publish(ctx, resource, replaces)


@CONTRACT.write(PUBLISHER)
def publish_many(ctx: Context, resources: list[ResourceDescription], replaces: list[Uint64]) -> list[bool]:
    """Publish versions of several resources, or none of them; returns for each whether it is in force."""
    if not resources:
        raise Refused("LIST_EMPTY", field="resources")
    check_list("resources", [one.code for one in resources], MAX_RESOURCES_PER_CALL)
    if len(resources) != len(replaces):
        raise Refused("LENGTHS_DIFFER", field="replaces", expected=len(resources), found=len(replaces))
    return [_publish(ctx, one, version) for one, version in zip(resources, replaces, strict=True)]


@CONTRACT.write(APPROVER, GOVERNOR)
def approve(ctx: Context, code: str, digest: Bytes32) -> bool:
    """Approve the version of a resource that waits and has this digest; returns whether it is in force now."""
    return _approve(ctx, code, digest)


@CONTRACT.write(APPROVER, GOVERNOR)
def approve_many(ctx: Context, codes: list[str], digests: list[Bytes32]) -> list[bool]:
    """Approve waiting versions of several resources, or none of them; returns for each whether it is in force now."""
    if not codes:
        raise Refused("LIST_EMPTY", field="codes")
    check_list("codes", codes, MAX_RESOURCES_PER_CALL)
    if len(codes) != len(digests):
        raise Refused("LENGTHS_DIFFER", field="digests", expected=len(codes), found=len(digests))
    return [_approve(ctx, code, digest) for code, digest in zip(codes, digests, strict=True)]


@CONTRACT.write(PUBLISHER, APPROVER, GOVERNOR)
def reject(ctx: Context, code: str, digest: Bytes32, reason: str) -> None:
    """Turn a waiting version down, by who could approve it or any governor; or take it back, by its department's publisher."""
    check_text("reason", reason, MAX_REASON_LENGTH)
    waiting = _load_proposal(ctx, code, digest)
    # Whatever its class: one who proposes entries under codes that are not its department's holds them back from that which has them.
    if GOVERNOR not in ctx.account.roles:
        check_provider(ctx, waiting.provider)
    PROPOSALS.remove(ctx, code.encode())
    ctx.emit(REJECTED, digest, code, reason)


@CONTRACT.write(PUBLISHER)
def withdraw(ctx: Context, code: str, reason: str) -> None:
    """Withdraw a resource of the caller's department: no more requests, and what was open ends; grants run on until stopped."""
    check_text("reason", reason, MAX_REASON_LENGTH)
    record = load_offered(ctx, code)
    check_provider(ctx, record.provider)
    if PROPOSALS.has(ctx, code.encode()):
        PROPOSALS.remove(ctx, code.encode())
    withdrawn = msgspec.structs.replace(record, withdrawn_ms=ctx.time_ms, withdrawn_reason=reason)
    RESOURCES.save(ctx, code.encode(), withdrawn)
    ctx.emit(WITHDRAWN, code, reason)
    if record.description.is_open:
        end_dataset(ctx, code, reason)


@CONTRACT.view()
def resource(ctx: Context, code: str) -> ResourceRecord:
    """Return the newest version of a resource, withdrawn ones included."""
    return ctx.require(RESOURCES, code.encode(), "RESOURCE_UNKNOWN", code)


@CONTRACT.view()
def resource_version(ctx: Context, code: str, version: Uint64) -> ResourceRecord:
    """Return any version of a resource that is or was in force."""
    record = load_version(ctx, code, version)
    if record is None:
        raise Refused("VERSION_UNKNOWN", found=version)
    return record


@CONTRACT.view()
def proposal(ctx: Context, code: str) -> ProposalRecord:
    """Return the version of a resource that waits for approval."""
    return ctx.require(PROPOSALS, code.encode(), "PROPOSAL_UNKNOWN", code)


def load_offered(ctx: Context, code: str) -> ResourceRecord:
    """Return a resource that is not withdrawn; refuse RESOURCE_UNKNOWN or RESOURCE_WITHDRAWN."""
    record = ctx.require(RESOURCES, code.encode(), "RESOURCE_UNKNOWN", code)
    if record.withdrawn_ms:
        raise Refused("RESOURCE_WITHDRAWN", found=code)
    return record


def check_provider(ctx: Context, provider: str) -> None:
    """Return if the caller acts for the department `provider`; refuse OTHER_DEPARTMENT otherwise."""
    if provider != ctx.account.department:
        raise Refused("OTHER_DEPARTMENT", found=ctx.account.department, expected=provider)


def resource_key(code: str) -> bytes:
    """Return the key in state of a resource."""
    return RESOURCES.key(code.encode())


def load_resource(state: Reader, code: str) -> ResourceRecord | None:
    """Return the newest version of a resource, withdrawn ones included, or None."""
    return RESOURCES.load(state, code.encode())


def load_version(state: Reader, code: str, version: int) -> ResourceRecord | None:
    """Return any version of a resource that is or was in force, or None."""
    newest = RESOURCES.load(state, code.encode())
    if newest is None or newest.version == version:
        return newest
    return PAST_VERSIONS.load(state, version_name(code, version))


def load_proposal(state: Reader, code: str) -> ProposalRecord | None:
    """Return the version of a resource that waits for approval, or None."""
    return PROPOSALS.load(state, code.encode())


def version_name(code: str, version: int) -> bytes:
    """Return what a past version of a resource is called in its table."""
    return code.encode() + version.to_bytes(8, "big")


def _publish(ctx: Context, described: ResourceDescription, replaces: int) -> bool:
    provider = ctx.account.department
    check_description(ctx, provider, described)
    key = described.code.encode()
    current, waiting = RESOURCES.load(ctx, key), PROPOSALS.load(ctx, key)
    for known in (current, waiting):
        if known is not None:
            check_provider(ctx, known.provider)
    data_class, version = described.data_class, 0
    if current is not None:
        if current.withdrawn_ms:
            raise Refused("RESOURCE_WITHDRAWN", found=described.code)
        if current.description == described:
            return True
        # Else data could be moved to a lower class by one account, and then shown without the second.
        data_class, version = min(data_class, current.description.data_class), current.version
    if waiting is not None and waiting.description == described:
        return False
    if replaces != version:
        if not replaces:
            raise Refused("RESOURCE_EXISTS", found=described.code, version=version)
        raise Refused("VERSION_CHANGED", found=replaces, expected=version)
    needed = APPROVALS[data_class]
    if needed:
        digest = description_digest(described)
        proposed = ProposalRecord(provider, described, digest, version, ctx.sender, ctx.time_ms, needed, ())
        PROPOSALS.save(ctx, key, proposed)
        ctx.emit(PROPOSED, digest, described.code, described.name, provider, data_class)
        return False
    if waiting is not None:
        PROPOSALS.remove(ctx, key)
    _put_in_force(ctx, current, described, provider, ctx.sender, ())
    return True


def _approve(ctx: Context, code: str, digest: bytes) -> bool:
    waiting = _load_proposal(ctx, code, digest)
    role = GOVERNOR if GOVERNOR in ctx.account.roles else APPROVER
    if role == APPROVER:
        check_provider(ctx, waiting.provider)
    if role not in waiting.needed:
        raise Refused("APPROVAL_NOT_NEEDED", expected=", ".join(waiting.needed), found=role)
    if ctx.sender == waiting.proposer or any(one.account == ctx.sender for one in waiting.approvals):
        raise Refused("SECOND_ACCOUNT_NEEDED", found=ctx.sender)
    needed = tuple(one for one in waiting.needed if one != role)
    approvals = (*waiting.approvals, Approval(role, ctx.sender, ctx.account.department, ctx.time_ms))
    ctx.emit(APPROVED, digest, code, role)
    if needed:
        PROPOSALS.save(ctx, code.encode(), msgspec.structs.replace(waiting, needed=needed, approvals=approvals))
        return False
    # Duties and systems may have ended while it waited.
    check_description(ctx, waiting.provider, waiting.description)
    PROPOSALS.remove(ctx, code.encode())
    current = RESOURCES.load(ctx, code.encode())
    _put_in_force(ctx, current, waiting.description, waiting.provider, waiting.proposer, approvals)
    return True


def _load_proposal(ctx: Context, code: str, digest: bytes) -> ProposalRecord:
    waiting = ctx.require(PROPOSALS, code.encode(), "PROPOSAL_UNKNOWN", code)
    if waiting.digest != digest:
        raise Refused("PROPOSAL_CHANGED", found=digest, expected=waiting.digest)
    return waiting


def _put_in_force(
    ctx: Context,
    current: ResourceRecord | None,
    described: ResourceDescription,
    provider: str,
    publisher: bytes,
    approvals: tuple[Approval, ...],
) -> None:
    version = 1
    if current is not None:
        PAST_VERSIONS.save(ctx, version_name(described.code, current.version), current)
        version = current.version + 1
    record = ResourceRecord(provider, described, version, ctx.time_ms, publisher, approvals, 0, "", 0, 0)
    RESOURCES.save(ctx, described.code.encode(), record)
    ctx.emit(PUBLISHED, described.code, described.name, provider, described.sharing_type, version)
    if described.source_level and (current is None or not current.description.source_level):
        begin_return(ctx, described.code)
    if current is not None and current.description.is_open and not described.is_open:
        end_dataset(ctx, described.code, NO_LONGER_OPEN)
