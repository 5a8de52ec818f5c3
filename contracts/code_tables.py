"""Status and operation codes of certificates: one table per sector, kept in state, which governance can change."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import msgspec

from contracts.fields import Uint8, check_text
from contracts.records import Reader, Table, Writer
from contracts.refusals import Refused

DEFAULT_TABLE: Final = "default"
MAX_TABLE_CODES: Final = 64
MAX_CODE_LENGTH: Final = 8
MAX_CODE_NAME_LENGTH: Final = 64
MAX_TABLE_NAME_LENGTH: Final = 32

IN_FORCE: Final = 1
HELD: Final = 2
"""Not in force for now; another operation can bring it back."""
ENDED: Final = 3
EFFECTS: Final = (IN_FORCE, HELD, ENDED)

NEW: Final = "new"
RENEW: Final = "renew"
SUSPEND: Final = "suspend"
EXPIRE: Final = "expire"
END: Final = "end"
RESUME: Final = "resume"
OTHER: Final = "other"
TRANSFER_IN: Final = "transfer_in"
CHANGE: Final = "change"
CANCEL_TRANSFER: Final = "cancel_transfer"
ACTIONS: Final = (NEW, RENEW, SUSPEND, EXPIRE, END, RESUME, OTHER, TRANSFER_IN, CHANGE, CANCEL_TRANSFER)
SUCCEEDING_ACTIONS: Final = (RENEW, TRANSFER_IN, CHANGE)
"""Actions that make a new certificate in place of an earlier one."""


class StatusCode(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One status: its code, names, and what it means for force (IN_FORCE, HELD, ENDED)."""

    code: str
    name: str
    english: str
    effect: Uint8


class OperationCode(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One operation: its code, names, the action it stands for, from which statuses to which it leads.

    For an action that makes a successor, `from_statuses` are the predecessor's, `to_statuses` has the new certificate's, and
    `predecessor_status` is what the predecessor gets.
    """

    code: str
    name: str
    english: str
    action: str
    from_statuses: tuple[str, ...]
    to_statuses: tuple[str, ...]
    predecessor_status: str


class CodeTable(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """The codes that one sector's certificate types use."""

    statuses: tuple[StatusCode, ...]
    operations: tuple[OperationCode, ...]

    def operation(self, action: str) -> OperationCode:
        """Return the operation that stands for an action; refuse OPERATION_NOT_IN_TABLE."""
        for operation in self.operations:
            if operation.action == action:
                return operation
        raise Refused("OPERATION_NOT_IN_TABLE", found=action)

    def transfer_statuses(self) -> tuple[str, ...]:
        """Return the statuses of a certificate that leaves for another department: END reaches them, TRANSFER_IN starts there."""
        starts = {status for one in self.operations if one.action == TRANSFER_IN for status in one.from_statuses}
        return tuple(
            status for one in self.operations if one.action == END for status in one.to_statuses if status in starts
        )

    def effect(self, status: str) -> int:
        """Return what a status of this table means for force."""
        for code in self.statuses:
            if code.code == status:
                return code.effect
        raise Refused("STATUS_NOT_REACHABLE", operation="", found=status)


# One ministry's codes, from the facts gathered for GB/T 36903, as implemented; other sectors get tables of their own.
DEFAULT_CODES: Final = CodeTable(
    statuses=(
        StatusCode("01", "有效", "in force", IN_FORCE),
        StatusCode("02", "暂扣", "suspended", HELD),
        StatusCode("03", "撤销", "revoked", ENDED),
        StatusCode("04", "注销", "cancelled", ENDED),
        StatusCode("05", "失效", "lapsed", ENDED),
        StatusCode("06", "办理转出", "being transferred out", HELD),
        StatusCode("07", "吊销", "withdrawn as a penalty", ENDED),
        StatusCode("99", "其他", "other", HELD),
    ),
    operations=(
        OperationCode("01", "新发", "new", NEW, (), ("01",), ""),
        OperationCode("02", "延续", "renew", RENEW, ("01",), ("01",), "05"),
        OperationCode("03", "暂扣", "suspend", SUSPEND, ("01",), ("02",), ""),
        OperationCode("04", "过期失效", "expire", EXPIRE, ("01", "02", "99"), ("05",), ""),
        OperationCode(
            "05",
            "注销/撤销/吊销/转出",
            "cancel, revoke, withdraw or transfer out",
            END,
            ("01", "02", "99"),
            ("03", "04", "07", "06"),
            "",
        ),
        # What was noted under 07 is settled so too: otherwise a certificate under 99 could but end.
        OperationCode("06", "暂扣发还", "return from suspension", RESUME, ("02", "99"), ("01",), ""),
        OperationCode("07", "其他", "other", OTHER, ("01", "02"), ("99",), ""),
        OperationCode("08", "转入", "transfer in", TRANSFER_IN, ("06",), ("01",), "05"),
        OperationCode("09", "变更", "change", CHANGE, ("01",), ("01",), "05"),
        OperationCode("10", "取消转出", "cancel the transfer out", CANCEL_TRANSFER, ("06",), ("01", "02", "99"), ""),
    ),
)

CODE_TABLES: Final = Table("certificates", 3, CodeTable)


def code_table_key(name: str) -> bytes:
    """Return the key in state of a code table."""
    return CODE_TABLES.key(name.encode())


def load_code_table(state: Reader, name: str) -> CodeTable:
    """Return the code table of this name; refuse CODE_TABLE_UNKNOWN."""
    raw = state.get(code_table_key(name)) if len(name) <= MAX_TABLE_NAME_LENGTH else None
    if raw is None:
        raise Refused("CODE_TABLE_UNKNOWN", found=name)
    return _decode_table(raw)


@lru_cache(maxsize=64)
def _decode_table(raw: bytes) -> CodeTable:
    """Return the table in these bytes; every issue reads one, and decoding it takes 5 us."""
    return CODE_TABLES.decode(raw)


def write_genesis(state: Writer) -> None:
    """Write the default table."""
    CODE_TABLES.save(state, DEFAULT_TABLE.encode(), DEFAULT_CODES)


def verify_code_table(table: CodeTable, previous: CodeTable | None) -> None:
    """Return if a table can be used and takes nothing from the previous one that records rely on; refuse it otherwise."""
    codes = {status.code: status.effect for status in table.statuses}
    _check_codes("status", [(status.code, status.name, status.english) for status in table.statuses])
    _check_codes("operation", [(operation.code, operation.name, operation.english) for operation in table.operations])
    for status in table.statuses:
        if status.effect not in EFFECTS:
            raise Refused("CODE_TABLE_INVALID", found=f"effect {status.effect} of status {status.code}")
    actions = [operation.action for operation in table.operations]
    if NEW not in actions or len(set(actions)) < len(actions) or not set(actions) <= set(ACTIONS):
        raise Refused("CODE_TABLE_INVALID", found=f"actions {', '.join(actions)}")
    for operation in table.operations:
        succeeding = operation.action in SUCCEEDING_ACTIONS
        named = {
            *operation.from_statuses,
            *operation.to_statuses,
            *([operation.predecessor_status] if succeeding else []),
        }
        if not named <= set(codes) or not operation.to_statuses or bool(operation.predecessor_status) != succeeding:
            raise Refused("CODE_TABLE_INVALID", found=f"statuses of operation {operation.code}")
    _check_way_back(table)
    for status in previous.statuses if previous is not None else ():
        if codes.get(status.code) != status.effect:
            raise Refused("CODE_TABLE_INVALID", found=f"status {status.code} removed or of another effect")


def _check_way_back(table: CodeTable) -> None:
    """Refuse a table in which a transfer that is cancelled could not lead back to what the certificate was before."""
    leaving = set(table.transfer_statuses())
    for end in table.operations if leaving else ():
        back = next((one for one in table.operations if one.action == CANCEL_TRANSFER), None)
        if end.action == END and back is not None and not set(end.from_statuses) - leaving <= set(back.to_statuses):
            raise Refused("CODE_TABLE_INVALID", found=f"statuses of operation {back.code}")


def _check_codes(kind: str, entries: Sequence[tuple[str, str, str]]) -> None:
    if not 1 <= len(entries) <= MAX_TABLE_CODES:
        raise Refused("CODE_TABLE_INVALID", found=f"{len(entries)} {kind} codes")
    if len({code for code, _, _ in entries}) < len(entries):
        raise Refused("CODE_TABLE_INVALID", found=f"a {kind} code twice")
    for code, name, english in entries:
        check_text(f"{kind} code", code, MAX_CODE_LENGTH)
        check_text(f"{kind} name", name, MAX_CODE_NAME_LENGTH)
        check_text(f"{kind} english name", english, MAX_CODE_NAME_LENGTH)
