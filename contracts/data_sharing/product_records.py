"""Data products as records: what is registered of one, its valuations and transactions, objections, and the formulas of the score."""

from __future__ import annotations

from functools import partial
from typing import Final

import msgspec

from contracts.data_sharing.contribution import FIRST_FORMULA, FormulaRecord
from contracts.data_sharing.numbered_versions import find_begun
from contracts.fields import Address, Bytes32, TimeMs, Uint64
from contracts.records import Reader, Table

KINDS: Final[dict[str, tuple[str, str]]] = {
    "dataset": ("数据集", "data set"),
    "interface": ("数据接口", "interface"),
    "report": ("数据报告", "report"),
    "model": ("数据模型", "model"),
    "application": ("数据应用", "application"),
}
RIGHTS: Final[dict[str, tuple[str, str]]] = {
    "hold": ("数据资源持有权", "to hold the data"),
    "process": ("数据加工使用权", "to process and use the data"),
    "operate": ("数据产品经营权", "to operate the product"),
}
"""The three rights that the policy of December 2022 on the foundations of data (数据二十条) sets apart."""
VALUATION: Final = "valuation"
TRANSACTION: Final = "transaction"
FACT_KINDS: Final[dict[str, tuple[str, str]]] = {
    VALUATION: ("价值评估", "valuation"),
    TRANSACTION: ("交易", "transaction"),
}
FORMS: Final[dict[str, dict[str, tuple[str, str]]]] = {
    VALUATION: {
        "cost": ("成本法", "by cost"),
        "income": ("收益法", "by income"),
        "market": ("市场法", "by the market"),
    },
    TRANSACTION: {
        "licence": ("使用许可", "a licence to use it"),
        "service": ("数据服务", "a service"),
        "transfer": ("转让", "a transfer"),
        "exchange": ("互换", "an exchange for other data"),
    },
}
"""How a product was valued, or what a transaction is about, by the kind of fact."""

REGISTERED: Final = "registered"
WITHDRAWN: Final = "withdrawn"
REJECTED: Final = "rejected"
PRODUCT_STATES: Final[dict[str, tuple[str, str]]] = {
    REGISTERED: ("已登记", "registered"),
    WITHDRAWN: ("已注销", "withdrawn"),
    REJECTED: ("异议成立，登记失效", "an objection was upheld"),
}
PROPOSED: Final = "proposed"
CONFIRMED: Final = "confirmed"
DECLINED: Final = "declined"
TAKEN_BACK: Final = "taken_back"
REPLACED: Final = "replaced"
FACT_STATES: Final[dict[str, tuple[str, str]]] = {
    PROPOSED: ("待对方确认", "waiting for the other party"),
    CONFIRMED: ("双方已确认", "confirmed by both parties"),
    DECLINED: ("对方不予确认", "declined by the other party"),
    TAKEN_BACK: ("已撤回", "taken back"),
    REPLACED: ("已被后一记录取代", "replaced by a later one"),
}
OPEN: Final = "open"
UPHELD: Final = "upheld"
DISMISSED: Final = "dismissed"
OBJECTION_STATES: Final[dict[str, tuple[str, str]]] = {
    OPEN: ("处理中", "open"),
    UPHELD: ("异议成立", "upheld"),
    DISMISSED: ("异议不成立", "dismissed"),
}

FORMULA_COUNT_KEY: Final = b"count"


class Source(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A resource that a product is made from; `grant` is the grant under which another department supplies it, zeros for one's own."""

    resource: str
    grant: Bytes32


class Claim(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """The rights (of RIGHTS) that a department says it has in a product, why, and the digest of what shows it."""

    rights: tuple[str, ...]
    basis: str
    evidence: Bytes32


class ProductRecord(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A data product; `code` is the department's code, a slash and the department's own number for it."""

    code: str
    department: str
    name: str
    kind: str
    summary: str
    sources: tuple[Source, ...]
    claim: Claim
    registered_ms: TimeMs
    registered_by: Address
    state: str
    state_ms: TimeMs
    """Block time since which it is in this state."""
    reason: str
    facts: Uint64
    """How many valuations and transactions there are: numbers 1 to this one, without a gap."""
    objections: Uint64


class Terms(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What a valuation or transaction says: `kind` and `form` of FORMS, and `document` the digest of the paper that both have.

    The amount is in fen; 0 keeps it in the document only. `until_ms` is how long it holds, 0 where nothing is said. `grant` names
    the grant that a transaction goes with, and `replaces` the number of an earlier fact of the product; zeros and 0 for none.
    """

    kind: str
    form: str
    amount_fen: Uint64
    dated_ms: TimeMs
    until_ms: TimeMs
    document: Bytes32
    grant: Bytes32
    replaces: Uint64


class FactRecord(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A valuation or transaction between the product's department and another; it is a fact once both have confirmed it."""

    product: str
    number: Uint64
    terms: Terms
    proposer: str
    counterparty: str
    proposed_ms: TimeMs
    proposed_by: Address
    state: str
    answered_ms: TimeMs
    """Block time of the answer, of being taken back or replaced; 0 while it is proposed."""
    answered_by: Address
    reason: str

    @property
    def parties(self) -> tuple[str, str]:
        """The codes of both departments."""
        return self.proposer, self.counterparty


class ObjectionRecord(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """Another department's objection to a claim, the provider's answer, and what the governor decided."""

    product: str
    number: Uint64
    department: str
    ground: str
    evidence: Bytes32
    """Digest of what shows it, zeros for none."""
    raised_ms: TimeMs
    answer: str
    answered_ms: TimeMs
    state: str
    finding: str
    decided_ms: TimeMs


class FormulaCount(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """How many formulas of the contribution score a governor has set: numbers 1 to this one."""

    count: Uint64


PRODUCTS: Final = Table("products", 1, ProductRecord)
FACTS: Final = Table("products", 2, FactRecord)
OBJECTIONS: Final = Table("products", 3, ObjectionRecord)
FORMULAS: Final = Table("products", 4, FormulaRecord)
FORMULA_COUNT: Final = Table("products", 5, FormulaCount)


def formula_for(state: Reader, period_begins_ms: int) -> FormulaRecord:
    """Return the formula for a period that begins at a time in ms: the last one set for that time or before, else the first table."""
    _, found = find_begun(partial(load_formula, state), formula_count(state), period_begins_ms)
    return FIRST_FORMULA if found is None else found


def formula_count(state: Reader) -> int:
    """Return how many formulas a governor has set."""
    found = FORMULA_COUNT.load(state, FORMULA_COUNT_KEY)
    return 0 if found is None else found.count


def load_formula(state: Reader, number: int) -> FormulaRecord | None:
    """Return a formula by its number, from 1, or None."""
    return FORMULAS.load(state, number_key(number))


def product_key(code: str) -> bytes:
    """Return the key in state of a product."""
    return PRODUCTS.key(code.encode())


def fact_key(product: str, number: int) -> bytes:
    """Return the key in state of a valuation or transaction."""
    return FACTS.key(numbered_key(product, number))


def objection_key(product: str, number: int) -> bytes:
    """Return the key in state of an objection to a product's claim."""
    return OBJECTIONS.key(numbered_key(product, number))


def load_product(state: Reader, code: str) -> ProductRecord | None:
    """Return a product, ended ones included, or None."""
    return PRODUCTS.load(state, code.encode())


def load_fact(state: Reader, product: str, number: int) -> FactRecord | None:
    """Return a valuation or transaction of a product, or None."""
    return FACTS.load(state, numbered_key(product, number))


def load_objection(state: Reader, product: str, number: int) -> ObjectionRecord | None:
    """Return an objection to a product's claim, or None."""
    return OBJECTIONS.load(state, numbered_key(product, number))


def numbered_key(product: str, number: int) -> bytes:
    """Return the key under which a fact or an objection of a product is kept."""
    return product.encode() + b"#" + number_key(number)


def number_key(number: int) -> bytes:
    """Return the key under which a formula is kept."""
    return number.to_bytes(8, "big")
