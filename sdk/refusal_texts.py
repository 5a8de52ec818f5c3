"""Contracts' refusals as people read them: times for milliseconds, words for codes; on the ledger the texts stay as they are."""

from __future__ import annotations

import importlib
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from verification.days import show_time

if TYPE_CHECKING:
    from contracts.code_tables import OperationCode, StatusCode

_WITH_TIMES: Final = frozenset(
    {
        "AUTHORISATION_EXPIRED",
        "AUTHORISATION_NOT_BEGUN",
        "AUTHORISATION_WITHDRAWN",
        "DATES_REVERSED",
        "NOT_EXPIRED",
        "PERIOD_EXCEEDED",
        "PERIOD_OVER",
        "RECALL_IN_FUTURE",
        "BATCH_IN_FUTURE",
        "COVERAGE_GAP",
        "STREAM_ENDED",
        "TERMS_BEGIN_PAST",
    }
)
_STATES: Final = {
    "REQUEST_STATE": ("contracts.data_sharing.sharing", "STATES"),
    "DATASET_STATE": ("contracts.data_sharing.datasets", "STATES"),
    "FINDING_STATE": ("contracts.data_sharing.audits", "FINDING_STATES"),
    "FACT_STATE": ("contracts.data_sharing.product_records", "FACT_STATES"),
    "OBJECTION_STATE": ("contracts.data_sharing.product_records", "OBJECTION_STATES"),
    "PRODUCT_ENDED": ("contracts.data_sharing.product_records", "PRODUCT_STATES"),
}
"""Where the words are for the states that a refusal names."""
_WORD: Final = re.compile(r"[a-z_]+")
_TIME_MS: Final = re.compile(r"(?<![0-9A-Za-z.:-])(\d{12,15})(?![0-9A-Za-z.:-])")
_WITHOUT_END_MS: Final = 253402271999999
_STATUS_AND_OPERATION: Final = {
    "STATUS_FORBIDS": re.compile(r"证照状态为 (?P<status>\S+)，不能进行操作 (?P<operation>\S+)$"),
    "STATUS_NOT_REACHABLE": re.compile(r"操作 (?P<operation>\S+) 不能得到状态 (?P<status>\S+)$"),
}


def readable_refusal(code: str, zh: str, en: str) -> tuple[str, str]:
    """Return the texts of a contract's refusal for people, unchanged where they hold nothing to word."""
    if code in _WITH_TIMES:
        return _with_times(zh, "长期"), _with_times(en, "without end")
    if code in _STATES:
        return _with_states(code, zh), en
    form = _STATUS_AND_OPERATION.get(code)
    found = None if form is None else form.search(zh)
    if found is None:
        return zh, en
    told = _told_of_codes(code, found["status"], found["operation"])
    return (zh, en) if told is None else (f"{zh}（{told[0]}）", f"{en} ({told[1]})")


def _with_states(code: str, zh: str) -> str:
    """Return a Chinese text with the Chinese words of the states that it names by their codes, which are English words."""
    module, table = _STATES[code]
    words: dict[str, tuple[str, str]] = getattr(importlib.import_module(module), table)
    return _WORD.sub(lambda found: words[found[0]][0] if found[0] in words else found[0], zh)


def _with_times(text: str, end: str) -> str:
    return _TIME_MS.sub(lambda found: end if int(found[1]) == _WITHOUT_END_MS else show_time(int(found[1])), text)


def _told_of_codes(code: str, status: str, operation: str) -> tuple[str, str] | None:
    """Return what the default table calls both, and which statuses the operation allows there; a type may have another table."""
    from contracts.code_tables import DEFAULT_CODES

    statuses = {one.code: one for one in DEFAULT_CODES.statuses}
    operations = {one.code: one for one in DEFAULT_CODES.operations}
    if status not in statuses or operation not in operations:
        return None
    chosen = operations[operation]
    allowed = [statuses[one] for one in (chosen.from_statuses if code == "STATUS_FORBIDS" else chosen.to_statuses)]
    zh_way, en_way = ("可用于", "is for") if code == "STATUS_FORBIDS" else ("可得到", "leads to")
    return (
        f"默认代码表：状态 {_named((statuses[status],), 'name')}；操作 {_named((chosen,), 'name')} {zh_way} {_named(allowed, 'name')}",
        f"default table: status {_named((statuses[status],), 'english')}; operation {_named((chosen,), 'english')} {en_way} "
        f"{_named(allowed, 'english')}",
    )


def _named(codes: Sequence[StatusCode | OperationCode], name: str) -> str:
    return ", ".join(f"{one.code} {getattr(one, name)}" for one in codes) or "-"
