"""The directories of duties (职责目录) and of information systems (系统目录): what the data in the catalogue comes from and is for.

A department keeps its own entries. A system names the duties that it serves, a resource of the catalogue its systems and duties.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, TypeVar

import msgspec

from contracts.accounts import PUBLISHER
from contracts.fields import TimeMs, Uint8, Uint64, check_choice, check_list, check_optional_text, check_text
from contracts.frame import Context, SystemContract
from contracts.records import Reader, Table
from contracts.refusals import Refused

MAX_CODE_LENGTH: Final = 64
MAX_NAME_LENGTH: Final = 128
MAX_SUMMARY_LENGTH: Final = 1_000
MAX_BASIS_LENGTH: Final = 500
MAX_REASON_LENGTH: Final = 200
MAX_TASKS: Final = 64
MAX_LINKS: Final = 64
"""Duties of one system or resource, and systems of one resource."""
MAX_ENTRIES_PER_CALL: Final = 256

NETWORKS: Final[dict[int, tuple[str, str]]] = {
    1: ("政务外网", "government extranet"),
    2: ("互联网", "internet"),
    3: ("业务专网", "a sector's own network"),
    4: ("政务内网", "government intranet"),
    5: ("其他", "other"),
}
"""Where a system runs."""

_CODE_FORM: Final = re.compile(r"[0-9A-Za-z](?:[0-9A-Za-z._-]*[0-9A-Za-z])?")


class Duty(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One statutory duty as its department states it: the unit that has it, the basis that gives it, the tasks that it consists of."""

    code: str
    name: str
    basis: str
    unit: str = ""
    tasks: tuple[str, ...] = ()


class System(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One information system as its department states it; `duties` are codes in the same department's directory of duties."""

    code: str
    name: str
    summary: str
    network: Uint8
    duties: tuple[str, ...] = ()


class DutyRecord(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A duty in its department's directory; `version` counts how often it was stated anew."""

    department: str
    duty: Duty
    version: Uint64
    entered_ms: TimeMs
    ended_ms: TimeMs
    """Block time since which the department no longer has it, 0 while it has."""
    reason: str
    """Why it ended."""


class SystemRecord(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A system in its department's directory; `version` counts how often it was stated anew."""

    department: str
    system: System
    version: Uint64
    entered_ms: TimeMs
    ended_ms: TimeMs
    """Block time since which it is out of use, 0 while it is in use."""
    reason: str
    """Why it ended."""


DUTIES: Final = Table("directories", 1, DutyRecord)
SYSTEMS: Final = Table("directories", 2, SystemRecord)
E = TypeVar("E", DutyRecord, SystemRecord)
CONTRACT: Final = SystemContract("directories")
DUTY_ENTERED: Final = CONTRACT.event("DutyEntered", department="string", code="string", name="string", version="uint64")
DUTY_ENDED: Final = CONTRACT.event("DutyEnded", department="string", code="string", reason="string")
SYSTEM_ENTERED: Final = CONTRACT.event(
    "SystemEntered", department="string", code="string", name="string", version="uint64"
)
SYSTEM_ENDED: Final = CONTRACT.event("SystemEnded", department="string", code="string", reason="string")


@CONTRACT.write(PUBLISHER)
def enter_duties(ctx: Context, duties: list[Duty]) -> None:
    """Enter duties of the caller's department, or state them anew; one that stands so already is left as it is."""
    _check_batch("duties", [duty.code for duty in duties])
    department = ctx.account.department
    for duty in duties:
        check_duty(duty)
        key = entry_name(department, duty.code)
        known = DUTIES.load(ctx, key)
        if known is not None and known.duty == duty and not known.ended_ms:
            continue
        version = 1 if known is None else known.version + 1
        DUTIES.save(ctx, key, DutyRecord(department, duty, version, ctx.time_ms, 0, ""))
        ctx.emit(DUTY_ENTERED, department, duty.code, duty.name, version)


@CONTRACT.write(PUBLISHER)
def end_duty(ctx: Context, code: str, reason: str) -> None:
    """State that the caller's department no longer has a duty; what names it keeps doing so, nothing new can."""
    key = entry_name(ctx.account.department, code)
    DUTIES.save(ctx, key, _ended(ctx, ctx.require(DUTIES, key, "DUTY_UNKNOWN", code), code, reason))
    ctx.emit(DUTY_ENDED, ctx.account.department, code, reason)


@CONTRACT.write(PUBLISHER)
def enter_systems(ctx: Context, systems: list[System]) -> None:
    """Enter systems of the caller's department, or state them anew; one that stands so already is left as it is."""
    _check_batch("systems", [system.code for system in systems])
    department = ctx.account.department
    for system in systems:
        check_system(ctx, department, system)
        key = entry_name(department, system.code)
        known = SYSTEMS.load(ctx, key)
        if known is not None and known.system == system and not known.ended_ms:
            continue
        version = 1 if known is None else known.version + 1
        SYSTEMS.save(ctx, key, SystemRecord(department, system, version, ctx.time_ms, 0, ""))
        ctx.emit(SYSTEM_ENTERED, department, system.code, system.name, version)


@CONTRACT.write(PUBLISHER)
def end_system(ctx: Context, code: str, reason: str) -> None:
    """State that a system of the caller's department is out of use; what names it keeps doing so, nothing new can."""
    key = entry_name(ctx.account.department, code)
    SYSTEMS.save(ctx, key, _ended(ctx, ctx.require(SYSTEMS, key, "SYSTEM_UNKNOWN", code), code, reason))
    ctx.emit(SYSTEM_ENDED, ctx.account.department, code, reason)


@CONTRACT.view()
def duty(ctx: Context, department: str, code: str) -> DutyRecord:
    """Return a duty of a department, ended ones included."""
    return ctx.require(DUTIES, entry_name(department, code), "DUTY_UNKNOWN", code)


@CONTRACT.view()
def system(ctx: Context, department: str, code: str) -> SystemRecord:
    """Return a system of a department, ended ones included."""
    return ctx.require(SYSTEMS, entry_name(department, code), "SYSTEM_UNKNOWN", code)


def entry_name(department: str, code: str) -> bytes:
    """Return what an entry is called in its table: a slash stands in no department's code, so that no two share a name."""
    return f"{department}/{code}".encode()


def load_duty(state: Reader, department: str, code: str) -> DutyRecord | None:
    """Return a duty of a department, ended ones included, or None."""
    return DUTIES.load(state, entry_name(department, code))


def load_system(state: Reader, department: str, code: str) -> SystemRecord | None:
    """Return a system of a department, ended ones included, or None."""
    return SYSTEMS.load(state, entry_name(department, code))


def check_duties(state: Reader, department: str, codes: Sequence[str]) -> None:
    """Return if every code is of a duty that the department has; refuse DUTY_UNKNOWN or ENTRY_ENDED otherwise."""
    check_list("duties", codes, MAX_LINKS)
    for code in codes:
        _check_standing(load_duty(state, department, code), Refused("DUTY_UNKNOWN", found=code), code)


def check_systems(state: Reader, department: str, codes: Sequence[str]) -> None:
    """Return if every code is of a system that the department uses; refuse SYSTEM_UNKNOWN or ENTRY_ENDED otherwise."""
    check_list("systems", codes, MAX_LINKS)
    for code in codes:
        _check_standing(load_system(state, department, code), Refused("SYSTEM_UNKNOWN", found=code), code)


def _check_standing(entry: DutyRecord | SystemRecord | None, missing: Refused, code: str) -> None:
    """Return if there is an entry and it has not ended; raise `missing`, or refuse ENTRY_ENDED, otherwise."""
    if entry is None:
        raise missing
    if entry.ended_ms:
        raise Refused("ENTRY_ENDED", found=code)


def _ended(ctx: Context, entry: E, code: str, reason: str) -> E:
    """Return an entry as it stands once the call has ended it; refuse one that has ended already."""
    check_text("reason", reason, MAX_REASON_LENGTH)
    if entry.ended_ms:
        raise Refused("ENTRY_ENDED", found=code)
    return msgspec.structs.replace(entry, ended_ms=ctx.time_ms, reason=reason)


def _check_batch(field: str, codes: list[str]) -> None:
    if not codes:
        raise Refused("LIST_EMPTY", field=field)
    check_list(field, codes, MAX_ENTRIES_PER_CALL)


def _check_code(code: str) -> None:
    if len(code) > MAX_CODE_LENGTH or _CODE_FORM.fullmatch(code) is None:
        raise Refused("ENTRY_CODE_MALFORMED", found=code, limit=MAX_CODE_LENGTH)


def check_duty(duty: Duty) -> None:
    """Return if a department may state this about a duty; refuse a fault in anything of it."""
    _check_code(duty.code)
    check_text("name", duty.name, MAX_NAME_LENGTH)
    check_text("basis", duty.basis, MAX_BASIS_LENGTH)
    check_optional_text("unit", duty.unit, MAX_NAME_LENGTH)
    check_list("tasks", duty.tasks, MAX_TASKS)
    for task in duty.tasks:
        check_text("tasks", task, MAX_NAME_LENGTH)


def check_system(state: Reader, department: str, system: System) -> None:
    """Return if a department may state this about a system; refuse a fault in anything of it."""
    _check_code(system.code)
    check_text("name", system.name, MAX_NAME_LENGTH)
    check_text("summary", system.summary, MAX_SUMMARY_LENGTH)
    check_choice("network", system.network, tuple(NETWORKS))
    check_duties(state, department, system.duties)
