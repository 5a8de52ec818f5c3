"""Audits of shared data: the auditing authority, what auditors asked before it was answered, and findings with what became of them.

Only references and digests are on the ledger: what a query or a finding says in words stays with auditor and parties. The views but
`authority` are read through signed requests only.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from contracts.accounts import (
    ADMINISTRATOR,
    APPROVER,
    AUDITOR,
    GOVERNOR,
    RECORDER,
    is_active_department,
    load_department,
)
from contracts.data_sharing.access import load_stream
from contracts.data_sharing.audit_figures import (
    FIGURE_TABLES,
    MAX_FIGURE_TABLES,
    MAX_GOVERNORS_TABLES,
    FigureRow,
    FiguresRecord,
    check_figures,
)
from contracts.fields import (
    Address,
    Bytes32,
    TimeMs,
    Uint64,
    check_choice,
    check_digest,
    check_optional_text,
    check_period,
    check_text,
    check_time,
)
from contracts.frame import Context, SystemContract
from contracts.records import Reader, Table
from contracts.refusals import Refused
from sm_crypto.sm3 import TaggedHash

MAX_BASIS_LENGTH: Final = 64
"""Of the number of an audit's mandate: a reference, not its text."""
MAX_REFERENCE_LENGTH: Final = 64
"""Of the number of a letter that explains or decides: likewise."""
MAX_AUTHORITIES: Final = 256
"""That one ledger has had, one after the other."""
MAX_STEPS: Final = 32
"""Of a finding's history: explanations and decisions, back and forth."""

QUERY_KINDS: Final = {
    "records": ("查阅访问记录正文", "bodies of access records"),
    "trace": ("带完整性证明的追溯", "trace with its proof of completeness"),
    "report": ("审计报告", "audit report"),
    "person": ("人员承诺", "commitment to a person"),
}
"""What auditors ask, in Chinese and English."""

RAISED: Final = "raised"
EXPLAINED: Final = "explained"
CONFIRMED: Final = "confirmed"
DISMISSED: Final = "dismissed"
CLOSED: Final = "closed"
FINDING_STATES: Final = {
    RAISED: ("待说明", "raised"),
    EXPLAINED: ("已说明", "explained by the party"),
    CONFIRMED: ("已认定", "confirmed"),
    DISMISSED: ("不成立", "dismissed"),
    CLOSED: ("已办结", "closed"),
}
"""Every state of a finding, in Chinese and English."""
NEEDED_STATES: Final = {
    "explain": (RAISED, EXPLAINED),
    "confirm": (RAISED, EXPLAINED),
    "dismiss": (RAISED, EXPLAINED),
    "close": (CONFIRMED,),
}
"""The states of a finding in which each step of its life may be taken."""

MAX_RULE_LENGTH: Final = 32
MAX_QUERY_AGE_MS: Final = 86_400_000
"""For how long after its record a query may be answered."""

_RULE_FORM: Final = re.compile(r"[A-Z][A-Z0-9_]{2,31}")
_FINDING_HASH: Final = TaggedHash("govnode/audit-finding/1")
_AUTHORITY_NAME: Final = b"authority"


class AuthorityInterval(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """From when a department was the auditing authority, and which governor named it."""

    department: str
    from_ms: TimeMs
    operator: Address


class AuthorityRecord(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """The auditing authority and those before it, the oldest first."""

    history: tuple[AuthorityInterval, ...]

    @property
    def department(self) -> str:
        """The department that is the authority now."""
        return self.history[-1].department


class QueryRecord(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """That an auditor asked, before the answer: what kind, under which mandate, and the salted digest of the query itself."""

    number: Uint64
    department: str
    account: Address
    kind: str
    digest: Bytes32
    basis: str
    recorded_ms: TimeMs


class FindingSubject(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What a finding is about: the rule, who has to explain, and which reads, by stream and numbers, grant and period.

    `recorder` and `grant` are zeros and the numbers 0 where there is none; `other` is the department on the other side, or empty.
    """

    rule: str
    department: str
    other: str
    stream: str
    recorder: Address
    first_number: Uint64
    last_number: Uint64
    grant: Bytes32
    from_ms: TimeMs
    to_ms: TimeMs


class FindingStep(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A state of a finding, since when, by whom: the number of a letter, and the digest of what it says."""

    state: str
    from_ms: TimeMs
    reference: str
    digest: Bytes32
    operator: Address


class FindingRecord(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A finding with every state it had, the oldest first; `id` is the digest of its subject and who raised it."""

    number: Uint64
    id: Bytes32
    raised_by: str
    subject: FindingSubject
    history: tuple[FindingStep, ...]

    @property
    def state(self) -> str:
        """The newest state."""
        return self.history[-1].state


class NumberRecord(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """How many there are of a kind, or the number that an id has."""

    number: Uint64


AUTHORITIES: Final = Table("audits", 1, AuthorityRecord)
QUERIES: Final = Table("audits", 2, QueryRecord)
FINDINGS: Final = Table("audits", 3, FindingRecord)
FINDING_NUMBERS: Final = Table("audits", 4, NumberRecord)
COUNTS: Final = Table("audits", 5, NumberRecord)
CONTRACT: Final = SystemContract("audits")
AUTHORITY_NAMED: Final = CONTRACT.event("AuthorityNamed", department="string")
QUERY_RECORDED: Final = CONTRACT.event("QueryRecorded", number="uint64", department="string", kind="string")
FINDING_RAISED: Final = CONTRACT.event("FindingRaised", number="uint64", department="string", rule="string")
FINDING_MOVED: Final = CONTRACT.event("FindingMoved", number="uint64", state="string")
FIGURES_SET: Final = CONTRACT.event("FiguresSet", number="uint64", department="string", from_ms="int64")


@CONTRACT.write(GOVERNOR)
def name_authority(ctx: Context, department: str) -> None:
    """Name the department that is the auditing authority from now on; the same again changes nothing."""
    if load_department(ctx, department) is None:
        raise Refused("DEPARTMENT_UNKNOWN", found=department)
    if not is_active_department(ctx, department):
        raise Refused("DEPARTMENT_SUSPENDED", found=department)
    record = AUTHORITIES.load(ctx, _AUTHORITY_NAME)
    history = () if record is None else record.history
    if history and history[-1].department == department:
        return
    if len(history) >= MAX_AUTHORITIES:
        raise Refused("LIST_TOO_LONG", field="history", limit=MAX_AUTHORITIES, found=len(history) + 1)
    history += (AuthorityInterval(department, ctx.time_ms, ctx.sender),)
    AUTHORITIES.save(ctx, _AUTHORITY_NAME, AuthorityRecord(history))
    ctx.emit(AUTHORITY_NAMED, department)


@CONTRACT.write(AUDITOR)
def record_query(ctx: Context, kind: str, digest: Bytes32, basis: str) -> Uint64:
    """Record what the caller is about to ask, under which mandate, and return its number; who answers looks it up first."""
    check_choice("kind", kind, tuple(QUERY_KINDS))
    check_digest("digest", digest)
    check_text("basis", basis, MAX_BASIS_LENGTH)
    number = _next_number(ctx, b"queries")
    department = ctx.account.department
    QUERIES.save(ctx, _name(number), QueryRecord(number, department, ctx.sender, kind, digest, basis, ctx.time_ms))
    ctx.emit(QUERY_RECORDED, number, department, kind)
    return number


@CONTRACT.write(AUDITOR)
def raise_finding(ctx: Context, subject: FindingSubject, reference: str, digest: Bytes32) -> Uint64:
    """Raise a finding and return its number; `digest` is that of the evidence. One department raises one subject once.

    Where it names a stream or numbers, it is about reads that the ledger has records of.
    """
    if _RULE_FORM.fullmatch(subject.rule) is None:
        raise Refused("RULE_MALFORMED", found=subject.rule)
    for code in (subject.department, *filter(None, (subject.other, subject.stream))):
        if load_department(ctx, code) is None:
            raise Refused("DEPARTMENT_UNKNOWN", found=code)
    if subject.first_number > subject.last_number:
        raise Refused("NUMBERS_REVERSED", first=subject.first_number, last=subject.last_number)
    check_period("from_ms", subject.from_ms, "to_ms", subject.to_ms)
    _check_is_recorded(ctx, subject)
    identifier = finding_id(ctx.account.department, subject)
    if FINDING_NUMBERS.has(ctx, identifier):
        raise Refused("FINDING_EXISTS", found=identifier)
    number = _next_number(ctx, b"findings")
    step = _step(ctx, RAISED, reference, digest)
    FINDINGS.save(ctx, _name(number), FindingRecord(number, identifier, ctx.account.department, subject, (step,)))
    FINDING_NUMBERS.save(ctx, identifier, NumberRecord(number))
    _add_to_count(ctx, _state_name(subject.rule, RAISED), 1)
    ctx.emit(FINDING_RAISED, number, subject.department, subject.rule)
    return number


@CONTRACT.write(APPROVER, RECORDER, ADMINISTRATOR)
def explain(ctx: Context, number: Uint64, reference: str, digest: Bytes32) -> None:
    """Record that the department which a finding is about has explained it, by a letter of this number and digest."""
    record = _load_finding(ctx, number)
    if record.subject.department != ctx.account.department:
        raise Refused("OTHER_DEPARTMENT", found=ctx.account.department, expected=record.subject.department)
    _check_state(record, "explain")
    _move(ctx, record, EXPLAINED, reference, digest)


@CONTRACT.write(AUDITOR)
def confirm(ctx: Context, number: Uint64, reference: str, digest: Bytes32) -> None:
    """Confirm a finding, by the department that raised it or the authority; what follows from it is still to be done."""
    record = _load_for_judge(ctx, number)
    _check_state(record, "confirm")
    _move(ctx, record, CONFIRMED, reference, digest)


@CONTRACT.write(AUDITOR)
def dismiss(ctx: Context, number: Uint64, reference: str, digest: Bytes32) -> None:
    """Dismiss a finding, by the department that raised it or the authority: the reads were right."""
    record = _load_for_judge(ctx, number)
    _check_state(record, "dismiss")
    _move(ctx, record, DISMISSED, reference, digest)


@CONTRACT.write(AUDITOR)
def close(ctx: Context, number: Uint64, reference: str, digest: Bytes32) -> None:
    """Close a confirmed finding, by the department that raised it or the authority: what it asked for has been done."""
    record = _load_for_judge(ctx, number)
    _check_state(record, "close")
    _move(ctx, record, CLOSED, reference, digest)


@CONTRACT.write(GOVERNOR, AUDITOR)
def set_figures(ctx: Context, department: str, rows: list[FigureRow], basis: str, from_ms: TimeMs) -> Uint64:
    """Publish the figures by which reads of a department (empty: all others) are judged from a coming time on; return their number.

    For the auditing authority, or a governor of another department than that one. What a table leaves out is as the general one has it.
    """
    own = ctx.account.department
    is_authority = own == load_authority(ctx)
    if not is_authority and (GOVERNOR not in ctx.account.roles or department == own):
        raise Refused("NOT_THE_AUTHORITY", found=own)
    if department and load_department(ctx, department) is None:
        raise Refused("DEPARTMENT_UNKNOWN", found=department)
    check_figures(department, rows)
    check_text("basis", basis, MAX_BASIS_LENGTH)
    check_time("from_ms", from_ms)
    # Nobody is judged by what was published after the read.
    if from_ms <= ctx.time_ms:
        raise Refused("FIGURES_NOT_AHEAD", found=from_ms, limit=ctx.time_ms)
    number = _next_number(ctx, b"figures")
    most = MAX_FIGURE_TABLES if is_authority else MAX_GOVERNORS_TABLES
    if number > most:
        raise Refused("LIST_TOO_LONG", field="figures", limit=most, found=number)
    record = FiguresRecord(number, department, tuple(rows), basis, from_ms, ctx.time_ms, ctx.sender)
    FIGURE_TABLES.save(ctx, _name(number), record)
    ctx.emit(FIGURES_SET, number, department, from_ms)
    return number


@CONTRACT.view()
def authority(ctx: Context) -> str:
    """Return the code of the department that is the auditing authority, empty when none has been named."""
    return load_authority(ctx)


@CONTRACT.view()
def query_recorded_ms(ctx: Context, number: Uint64, account: Address, digest: Bytes32) -> TimeMs:
    """Return the block time of a query of this digest that this account recorded under this number, 0 when there is none."""
    record = load_query(ctx, number)
    return 0 if record is None or (record.account, record.digest) != (account, digest) else record.recorded_ms


@CONTRACT.view(is_public=False)
def audit_query(ctx: Context, number: Uint64) -> QueryRecord:
    """Return what an auditor has asked."""
    return ctx.require(QUERIES, _name(number), "QUERY_UNKNOWN", number)


@CONTRACT.view(is_public=False)
def finding(ctx: Context, number: Uint64) -> FindingRecord:
    """Return a finding with every state it had."""
    return _load_finding(ctx, number)


def finding_id(raised_by: str, subject: FindingSubject) -> bytes:
    """Return the 32-byte id of a finding of a department: running the rules again finds what has been raised already."""
    return _FINDING_HASH(msgspec.msgpack.encode((raised_by, subject)))


def is_judge(department: str, authority: str, raised_by: str, concerned: str) -> bool:
    """Return whether a department decides about a finding: the authority does, and who raised it unless it is about itself."""
    return department == authority or (department == raised_by and department != concerned)


def load_authority(state: Reader) -> str:
    """Return the code of the auditing authority, empty when none has been named."""
    record = AUTHORITIES.load(state, _AUTHORITY_NAME)
    return "" if record is None else record.department


def load_authorities(state: Reader) -> tuple[AuthorityInterval, ...]:
    """Return every auditing authority that there was, the oldest first."""
    record = AUTHORITIES.load(state, _AUTHORITY_NAME)
    return () if record is None else record.history


def count_queries(state: Reader) -> int:
    """Return how many queries auditors have recorded: their numbers are 1 to this."""
    return _count(state, b"queries")


def load_query(state: Reader, number: int) -> QueryRecord | None:
    """Return the query of this number, or None."""
    return QUERIES.load(state, _name(number))


def count_findings(state: Reader) -> int:
    """Return how many findings have been raised: their numbers are 1 to this."""
    return _count(state, b"findings")


def count_in_state(state: Reader, rule: str, finding_state: str) -> int:
    """Return how many findings by a rule are in a state now."""
    return _count(state, _state_name(rule, finding_state))


def count_figure_tables(state: Reader) -> int:
    """Return how many tables of figures have been published: their numbers are 1 to this."""
    return _count(state, b"figures")


def load_finding(state: Reader, number: int) -> FindingRecord | None:
    """Return the finding of this number, or None."""
    return FINDINGS.load(state, _name(number))


def find_finding(state: Reader, identifier: bytes) -> int:
    """Return the number of the finding with this 32-byte id, 0 when there is none."""
    found = FINDING_NUMBERS.load(state, identifier)
    return 0 if found is None else found.number


def _name(number: int) -> bytes:
    return number.to_bytes(8, "big")


def _count(state: Reader, kind: bytes) -> int:
    counted = COUNTS.load(state, kind)
    return 0 if counted is None else counted.number


def _next_number(ctx: Context, kind: bytes) -> int:
    return _add_to_count(ctx, kind, 1)


def _add_to_count(ctx: Context, kind: bytes, change: int) -> int:
    number = _count(ctx, kind) + change
    COUNTS.save(ctx, kind, NumberRecord(number))
    return number


def _state_name(rule: str, state: str) -> bytes:
    return f"{rule}/{state}".encode()


def _load_finding(ctx: Context, number: int) -> FindingRecord:
    return ctx.require(FINDINGS, _name(number), "FINDING_UNKNOWN", number)


def _check_is_recorded(ctx: Context, subject: FindingSubject) -> None:
    """Refuse a subject that is wider than the stream that it is about.

    Its times are taken as they are: a recorder that dates a read ahead must not keep a finding from being raised by it.
    """
    if not subject.stream and not any(subject.recorder) and not subject.last_number:
        return
    stream = load_stream(ctx, subject.stream, subject.recorder)
    if stream is None:
        raise Refused("STREAM_UNKNOWN", found=subject.recorder)
    # A heartbeat stands at the number after the last.
    if subject.last_number > stream.number + 1:
        raise Refused("NUMBERS_BEYOND_STREAM", found=subject.last_number, limit=stream.number + 1)


def _load_for_judge(ctx: Context, number: int) -> FindingRecord:
    """Return a finding that the caller may decide: its department raised it, or is the authority; nobody else judges itself."""
    record = _load_finding(ctx, number)
    department = ctx.account.department
    if not is_judge(department, load_authority(ctx), record.raised_by, record.subject.department):
        raise Refused("NOT_THE_AUTHORITY", found=department)
    return record


def _check_state(record: FindingRecord, step: str) -> None:
    allowed = NEEDED_STATES[step]
    if record.state not in allowed:
        raise Refused("FINDING_STATE", found=record.state, expected=" | ".join(allowed))


def _move(ctx: Context, record: FindingRecord, state: str, reference: str, digest: bytes) -> None:
    # The last place is kept for a decision.
    if len(record.history) >= MAX_STEPS - (state == EXPLAINED) * 2:
        raise Refused("LIST_TOO_LONG", field="history", limit=MAX_STEPS, found=len(record.history) + 1)
    history = (*record.history, _step(ctx, state, reference, digest))
    FINDINGS.save(ctx, _name(record.number), msgspec.structs.replace(record, history=history))
    _add_to_count(ctx, _state_name(record.subject.rule, record.state), -1)
    _add_to_count(ctx, _state_name(record.subject.rule, state), 1)
    ctx.emit(FINDING_MOVED, record.number, state)


def _step(ctx: Context, state: str, reference: str, digest: bytes) -> FindingStep:
    check_optional_text("reference", reference, MAX_REFERENCE_LENGTH)
    check_digest("digest", digest)
    return FindingStep(state, ctx.time_ms, reference, digest, ctx.sender)
