"""The forms of what REST answers about data products and contribution scores."""

from __future__ import annotations

from pydantic import BaseModel

from explorer.schemas import Words


class Source(BaseModel):
    """A resource that a product is made from, and the grant under which another department supplies it."""

    resource: str
    grant: str


class Claim(BaseModel):
    """The rights that the department claims, why, and the digest of what shows it."""

    rights: list[str]
    basis: str
    evidence: str


class Product(BaseModel):
    """A data product."""

    code: str
    department: str
    department_name: str
    name: str
    kind: str
    kind_text: Words
    summary: str
    sources: list[Source]
    claim: Claim
    rights_text: list[Words]
    registered_ms: int
    registered_by: str
    state: str
    state_text: Words
    state_ms: int
    reason: str
    facts: int
    objections: int


class Terms(BaseModel):
    """What a valuation or transaction says; an amount of 0 fen stands in the document only."""

    kind: str
    form: str
    amount_fen: int
    dated_ms: int
    until_ms: int
    document: str
    grant: str
    replaces: int


class Fact(BaseModel):
    """A valuation or transaction, and whether both parties confirmed it."""

    product: str
    number: int
    terms: Terms
    kind_text: Words
    form_text: Words
    proposer: str
    proposer_name: str
    counterparty: str
    counterparty_name: str
    proposed_ms: int
    proposed_by: str
    state: str
    state_text: Words
    answered_ms: int
    answered_by: str
    reason: str


class Objection(BaseModel):
    """An objection to a product's claim."""

    product: str
    number: int
    department: str
    department_name: str
    ground: str
    evidence: str
    raised_ms: int
    answer: str
    answered_ms: int
    state: str
    state_text: Words
    finding: str
    decided_ms: int


class ProductInFull(Product):
    """A product with its newest objections."""

    objections_raised: list[Objection]


class FormulaRow(BaseModel):
    """What one thing counted gives or takes, in hundredths of a point, and the most that all of them do (0 = no limit).

    `most_of_one` is how many count of those that one other department had a part in, 0 for all.
    """

    measure: str
    measure_text: Words
    hundredths: int
    limit_hundredths: int
    most_of_one: int


class Formula(BaseModel):
    """A published formula; number 0 is the table that applies where no governor has set one."""

    number: int
    rows: list[FormulaRow]
    basis: str
    from_ms: int
    set_ms: int
    set_by: str


class ScoreLine(BaseModel):
    """One measure of one department: how many there were, how many of them count, and what these come to."""

    measure: str
    count: int
    counted: int
    hundredths: int


class DepartmentScore(BaseModel):
    """A department's score in hundredths of a point, and the lines that it is the sum of."""

    department: str
    department_name: str
    hundredths: int
    lines: list[ScoreLine]


class LeftOut(BaseModel):
    """A department that did more of a kind in the period than a node looks at: of its `matters` the first `counted` at most count.

    `kind` is requests, corrections that it asked for, deliveries that it received, reviews, or trades (what it bought).
    """

    kind: str
    kind_text: Words
    department: str
    department_name: str
    matters: int
    counted: int


class Contribution(BaseModel):
    """The scores of a period that runs to before `to_ms`, as of the latest block, and what they leave out."""

    from_ms: int
    to_ms: int
    as_of_ms: int
    formula: Formula
    departments: list[DepartmentScore]
    left_out: list[LeftOut]
