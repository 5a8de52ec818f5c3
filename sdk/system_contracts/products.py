"""Data products of a data exchange: registration with a claim of rights, valuations and transactions that both parties confirm.

Written by generators/system_contracts.py from the contract's declarations: edit those.
"""

from __future__ import annotations

from collections.abc import Sequence

from contracts.data_sharing.contribution import FormulaRecord, FormulaRow
from contracts.data_sharing.product_records import Claim, FactRecord, ObjectionRecord, ProductRecord, Source, Terms
from sdk.client import Client, FinalReceipt
from sdk.system_contracts.answer import ask


class Products:
    """The system contract `products` on the network of a client."""

    def __init__(self, client: Client) -> None:
        """Ask through `client`; what writes needs its signer."""
        self._client = client

    def register(
        self,
        *,
        number: str,
        name: str,
        kind: str,
        summary: str,
        sources: Sequence[Source],
        claim: Claim,
    ) -> FinalReceipt:
        """Register a data product of the caller's department, with the rights it claims; return its code: department, slash, number.

        For: publisher. Returns the receipt once the call is final; raises CallRefused with the contract's reason.
        The receipt's output is a string.
        """
        return self._client.call(
            "products",
            "register",
            number=number,
            name=name,
            kind=kind,
            summary=summary,
            sources=list(sources),
            claim=claim,
        )

    def withdraw(self, *, product: str, reason: str) -> FinalReceipt:
        """Withdraw a product of the caller's department; it takes no more facts, and those there are stay.

        For: publisher. Returns the receipt once the call is final; raises CallRefused with the contract's reason.
        """
        return self._client.call("products", "withdraw", product=product, reason=reason)

    def propose(self, *, product: str, counterparty: str, terms: Terms) -> FinalReceipt:
        """Propose a valuation or transaction of a product to the other party, and return its number; it is none until that confirms.

        For: approver, requester. Returns the receipt once the call is final; raises CallRefused with the contract's reason.
        The receipt's output is a uint64.
        """
        return self._client.call("products", "propose", product=product, counterparty=counterparty, terms=terms)

    def confirm(self, *, product: str, number: int, document: bytes) -> FinalReceipt:
        """Confirm what the other party proposed, naming the digest of one's own copy of the document; what it replaces ends.

        For: approver, requester. Returns the receipt once the call is final; raises CallRefused with the contract's reason.
        """
        return self._client.call("products", "confirm", product=product, number=number, document=document)

    def decline(self, *, product: str, number: int, reason: str) -> FinalReceipt:
        """Decline what the other party proposed, with the reason.

        For: approver, requester. Returns the receipt once the call is final; raises CallRefused with the contract's reason.
        """
        return self._client.call("products", "decline", product=product, number=number, reason=reason)

    def take_back(self, *, product: str, number: int, reason: str) -> FinalReceipt:
        """Take back what one's own department proposed and the other party has not answered.

        For: approver, requester. Returns the receipt once the call is final; raises CallRefused with the contract's reason.
        """
        return self._client.call("products", "take_back", product=product, number=number, reason=reason)

    def raise_objection(self, *, product: str, ground: str, evidence: bytes) -> FinalReceipt:
        """Object to another department's claim to a product, and return the objection's number.

        For: publisher, approver. Returns the receipt once the call is final; raises CallRefused with the contract's reason.
        The receipt's output is a uint64.
        """
        return self._client.call("products", "raise_objection", product=product, ground=ground, evidence=evidence)

    def answer_objection(self, *, product: str, number: int, answer: str) -> FinalReceipt:
        """Answer an open objection to a product of the caller's department; a later answer takes the place of the one before.

        For: publisher, approver. Returns the receipt once the call is final; raises CallRefused with the contract's reason.
        """
        return self._client.call("products", "answer_objection", product=product, number=number, answer=answer)

    def decide_objection(self, *, product: str, number: int, is_upheld: bool, finding: str) -> FinalReceipt:
        """Decide an open objection; one that is upheld ends the product's registration.

        For: governor. Returns the receipt once the call is final; raises CallRefused with the contract's reason.
        """
        return self._client.call(
            "products",
            "decide_objection",
            product=product,
            number=number,
            is_upheld=is_upheld,
            finding=finding,
        )

    def set_formula(self, *, rows: Sequence[FormulaRow], basis: str, from_ms: int) -> FinalReceipt:
        """Publish the formula by which contribution is scored in periods that begin at a coming time or later; return its number.

        For: governor. Returns the receipt once the call is final; raises CallRefused with the contract's reason.
        The receipt's output is a uint64.
        """
        return self._client.call("products", "set_formula", rows=list(rows), basis=basis, from_ms=from_ms)

    def product(self, code: str) -> ProductRecord:
        """Return the record of a product, ended ones included."""
        found: ProductRecord = ask(self._client, "products", "product", code=code)
        return found

    def fact(self, *, product: str, number: int) -> FactRecord:
        """Return a valuation or transaction of a product, whatever became of it."""
        found: FactRecord = ask(self._client, "products", "fact", product=product, number=number)
        return found

    def objection(self, *, product: str, number: int) -> ObjectionRecord:
        """Return an objection to a product's claim."""
        found: ObjectionRecord = ask(self._client, "products", "objection", product=product, number=number)
        return found

    def formula(self, period_begins_ms: int) -> FormulaRecord:
        """Return the formula for a period that begins at a time."""
        found: FormulaRecord = ask(self._client, "products", "formula", period_begins_ms=period_begins_ms)
        return found
