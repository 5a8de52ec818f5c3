"""Why a request for data may be refused: a table that the governor role changes, with a default until it does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from contracts.fields import TimeMs, check_list, check_text
from contracts.records import Reader, Table, Writer
from contracts.refusals import Refused

MAX_REASONS: Final = 64
MAX_REASON_CODE_LENGTH: Final = 32
MAX_REASON_TEXT_LENGTH: Final = 200


class RefusalReason(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One reason: its code, its text in Chinese and English, and whether whoever gives it must say more."""

    code: str
    text: str
    english: str
    needs_text: bool


class ReasonTable(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """The whole table and since when it holds; block time in ms, 0 for the default one."""

    reasons: tuple[RefusalReason, ...]
    set_ms: TimeMs


# The wording is ours. 政务数据共享条例 has a refusal state its reasons; which ones count is for each network's governors to say.
DEFAULT_REASONS: Final = (
    RefusalReason("no-basis", "所述依据不支持该项使用", "the basis given does not carry this use", False),
    RefusalReason("not-needed", "超出履行职责所需", "more than the stated duty needs", False),
    RefusalReason("purpose-unclear", "用途不明确", "the purpose is not clear", False),
    RefusalReason("forbidden", "法律、行政法规规定不予共享", "a law or regulation forbids sharing", True),
    RefusalReason("safeguards", "使用方安全保护条件不足", "the consumer's safeguards do not suffice", True),
    RefusalReason("not-held", "本部门不掌握所申请的数据", "the department does not hold the data", False),
    RefusalReason("elsewhere", "已有其他共享途径可以满足", "another share answers the need already", True),
    RefusalReason("not-compliant", "合规性检查未通过", "the compliance check was not passed", True),
    RefusalReason("other", "其他原因（须说明）", "another reason, which must be stated", True),
)
NOT_COMPLIANT: Final = "not-compliant"

REASONS: Final = Table("sharing", 4, ReasonTable)
_KEY: Final = b"reasons"


def load_reasons(state: Reader) -> ReasonTable:
    """Return the table that holds: the one set last, else the default one."""
    return REASONS.load(state, _KEY) or ReasonTable(DEFAULT_REASONS, 0)


def checked_reasons(reasons: Sequence[RefusalReason]) -> tuple[RefusalReason, ...]:
    """Return reasons as a table keeps them; refuse an empty list, a code twice, or texts out of form."""
    if not reasons:
        raise Refused("LIST_EMPTY", field="reasons")
    check_list("reasons", [reason.code for reason in reasons], MAX_REASONS)
    for reason in reasons:
        check_text("code", reason.code, MAX_REASON_CODE_LENGTH)
        check_text("text", reason.text, MAX_REASON_TEXT_LENGTH)
        check_text("english", reason.english, MAX_REASON_TEXT_LENGTH)
    return tuple(reasons)


def find_reason(state: Reader, code: str) -> RefusalReason:
    """Return the reason with this code; refuse REASON_UNKNOWN when the table has none."""
    table = load_reasons(state)
    for reason in table.reasons:
        if reason.code == code:
            return reason
    raise Refused("REASON_UNKNOWN", found=code, expected=", ".join(reason.code for reason in table.reasons))


def save_reasons(state: Writer, table: ReasonTable) -> None:
    """Put a table in the place of the one that holds."""
    REASONS.save(state, _KEY, table)
