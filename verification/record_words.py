"""What a proof of a record of data sharing says in words: who said what of it when, and whose word is still out.

Sentences, their conditions and the words for values are data, which the offline page takes over as it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from contracts.data_sharing.deliveries import ANSWERS, DIFFERS
from contracts.data_sharing.product_records import (
    FACT_KINDS,
    FACT_STATES,
    FORMS,
    KINDS,
    OBJECTION_STATES,
    PRODUCT_STATES,
    RIGHTS,
)
from verification.days import show_day, show_time


class Clause(NamedTuple):
    """A part of a sentence in both languages, said where the field has one of the values; of no values, where it is not empty."""

    zh: str
    en: str
    field: str = ""
    """Empty: always said."""
    values: tuple[str, ...] = ()


_UNSAID: Final = re.compile(r"|0+")
"""Of a value as text: an empty one, 0, and a digest of zeros."""
_PLACE: Final = re.compile(r"\{([a-z_.]+)(?::([a-z]+))?\}")

CLAUSES: Final[dict[str, tuple[Clause, ...]]] = {
    "delivery": (
        Clause(
            "账本上有此交付：{provider} 于 {delivered_ms:time} 向 {consumer} 作第 {number} 次交付，"
            "{parcel.rows} 行、{parcel.size} 字节；",
            "the ledger holds this delivery: number {number} from {provider} to {consumer}, recorded at {delivered_ms:time}, "
            "{parcel.rows} rows, {parcel.size} bytes; ",
        ),
        Clause("使用方{answer}", "the consumer has {answer}", "answer", ("0",)),
        Clause(
            "使用方于 {answered_ms:time} 答复：{answer}",
            "the consumer answered at {answered_ms:time}: {answer}",
            "answered_ms",
        ),
        # Of DIFFERS alone: in the other answers it is the recorded digest, or none.
        Clause("，收到的摘要为 {received}", ", the digest of what came is {received}", "answer", (str(DIFFERS),)),
        Clause("（{note}）", " ({note})", "note"),
    ),
    "product": (
        Clause(
            "账本上有此数据产品：{department} 于 {registered_ms:time} 登记 {code}《{name}》（{kind}），"
            "主张：{claim.rights}，依据：{claim.basis}；这是该部门自己的主张，有无异议另见其异议记录；",
            "the ledger holds this data product: {department} registered {code} ({name}, {kind}) at {registered_ms:time} and claims the "
            "right {claim.rights}, on the basis: {claim.basis}; that is the department's own claim, objections are records of their own; ",
        ),
        Clause(
            "自 {state_ms:time} 起{state}，原因：{reason}", "since {state_ms:time} {state}, reason: {reason}", "reason"
        ),
        Clause("现为{state}", "it is {state}", "state", ("registered",)),
    ),
    "product-fact": (
        Clause(
            "账本上有此{terms.kind}：数据产品 {product} 的第 {number} 号记录（{terms.form}），{proposer} 于 {proposed_ms:time} 提出，"
            "对方为 {counterparty}；文书日期 {terms.dated_ms:day}",
            "the ledger holds this {terms.kind}: record {number} of data product {product} ({terms.form}), proposed by {proposer} at "
            "{proposed_ms:time} to {counterparty}; its paper is dated {terms.dated_ms:day}",
        ),
        Clause("，有效至 {terms.until_ms:day}", " and holds until {terms.until_ms:day}", "terms.until_ms"),
        Clause("，金额 {terms.amount_fen:yuan} 元；", ", amount {terms.amount_fen:yuan} yuan; ", "terms.amount_fen"),
        Clause("，金额只见于文书；", ", the amount is in the paper only; ", "terms.amount_fen", ("0",)),
        Clause(
            "{state}：{counterparty} 尚未答复，至此只是 {proposer} 一方所述",
            "{state}: {counterparty} has not answered, it is the word of {proposer} alone",
            "state",
            ("proposed",),
        ),
        Clause(
            "{counterparty} 于 {answered_ms:time} 确认：{state}",
            "{counterparty} confirmed at {answered_ms:time}: {state}",
            "state",
            ("confirmed",),
        ),
        Clause(
            "{counterparty} 于 {answered_ms:time} 答复：{state}",
            "{counterparty} answered at {answered_ms:time}: {state}",
            "state",
            ("declined",),
        ),
        Clause(
            "{proposer} 于 {answered_ms:time} 收回：{state}",
            "{proposer} withdrew it at {answered_ms:time}: {state}",
            "state",
            ("taken_back",),
        ),
        Clause(
            "双方曾确认，{answered_ms:time} 起{state}",
            "both parties had confirmed it; since {answered_ms:time} {state}",
            "state",
            ("replaced",),
        ),
        Clause("，原因：{reason}", ", reason: {reason}", "reason"),
    ),
    "product-objection": (
        Clause(
            "账本上有此异议：{department} 于 {raised_ms:time} 对数据产品 {product} 的登记提出第 {number} 号异议，理由：{ground}；",
            "the ledger holds this objection: {department} objected to the claim to data product {product} at {raised_ms:time} "
            "(number {number}), ground: {ground}; ",
        ),
        Clause("登记部门尚未答复；", "the product's department has not answered; ", "answered_ms", ("0",)),
        Clause(
            "登记部门于 {answered_ms:time} 答复：{answer}；",
            "the product's department answered at {answered_ms:time}: {answer}; ",
            "answered_ms",
        ),
        Clause("{state}", "it is {state}", "state", ("open",)),
        Clause(
            "治理部门于 {decided_ms:time} 认定：{state}，{finding}",
            "a governor decided at {decided_ms:time}: {state}, {finding}",
            "decided_ms",
        ),
    ),
}
"""What is said of a record of each kind, in order; `{field:form}` stands for the field's value, with dots into what is nested."""

CHOICES: Final[dict[str, dict[str, dict[str, tuple[str, str]]]]] = {
    "delivery": {"answer": {str(value): texts for value, texts in ANSWERS.items()}},
    "product": {"kind": KINDS, "claim.rights": RIGHTS, "state": PRODUCT_STATES},
    "product-fact": {
        "terms.kind": FACT_KINDS,
        "terms.form": {form: texts for forms in FORMS.values() for form, texts in forms.items()},
        "state": FACT_STATES,
    },
    "product-objection": {"state": OBJECTION_STATES},
}
"""The words for values of fields, by kind of record."""


def record_words(kind: str, record: Mapping[str, Any]) -> tuple[str, str]:
    """Return what a record of one of CLAUSES says, in Chinese and English, from its fields in words (node.http.proof_file)."""
    said = [clause for clause in CLAUSES[kind] if _is_said(clause, record)]
    zh, en = (
        "".join(_filled(kind, record, (clause.zh, clause.en)[language], language) for clause in said)
        for language in range(2)
    )
    return zh, en


def _is_said(clause: Clause, record: Mapping[str, Any]) -> bool:
    if not clause.field:
        return True
    value = str(_value_at(record, clause.field))
    return value in clause.values if clause.values else _UNSAID.fullmatch(value) is None


def _value_at(record: Mapping[str, Any], path: str) -> Any:
    value: Any = record
    for name in path.split("."):
        value = value[name]
    return value


def _filled(kind: str, record: Mapping[str, Any], text: str, language: int) -> str:
    """Return a clause's text in one language with the record's values in it."""

    def shown(place: re.Match[str]) -> str:
        path, form = place[1], place[2]
        value = _value_at(record, path)
        words = CHOICES[kind].get(path, {})
        if form is not None:
            return _FORMS[form](value)
        one_by_one = value if isinstance(value, list) else [value]
        separator = ("、", ", ")[language]
        return separator.join(words[str(one)][language] if str(one) in words else str(one) for one in one_by_one)

    return _PLACE.sub(shown, text)


def _yuan(amount_fen: int) -> str:
    return f"{amount_fen // 100}.{amount_fen % 100:02}"


_FORMS: Final = {"time": show_time, "day": show_day, "yuan": _yuan}
