"""Deliveries: payloads that went from provider to consumer under a grant, as digests and sizes, each with what both sides say of it.

Written by generators/system_contracts.py from the contract's declarations: edit those.
"""

from __future__ import annotations

from contracts.data_sharing.deliveries import DeliveryHead, DeliveryRecord, Parcel
from sdk.client import Client, FinalReceipt
from sdk.system_contracts.answer import ask


class Deliveries:
    """The system contract `deliveries` on the network of a client."""

    def __init__(self, client: Client) -> None:
        """Ask through `client`; what writes needs its signer."""
        self._client = client

    def deliver(self, *, grant: bytes, number: int, parcel: Parcel) -> FinalReceipt:
        """Record a delivery under a grant in force before it is sent, with the number after the last; the same again changes nothing.

        For: recorder. Returns the receipt once the call is final; raises CallRefused with the contract's reason.
        """
        return self._client.call("deliveries", "deliver", grant=grant, number=number, parcel=parcel)

    def answer(self, *, grant: bytes, number: int, answer: int, received: bytes, note: str) -> FinalReceipt:
        """Answer for a delivery to the caller's department, once: 1 received, 2 differs, 3 not taken; the same again changes nothing.

        For: recorder, requester. Returns the receipt once the call is final; raises CallRefused with the contract's reason.
        """
        return self._client.call(
            "deliveries",
            "answer",
            grant=grant,
            number=number,
            answer=answer,
            received=received,
            note=note,
        )

    def delivery(self, *, grant: bytes, number: int) -> DeliveryRecord:
        """Return one delivery under a grant, counted from 1."""
        found: DeliveryRecord = ask(self._client, "deliveries", "delivery", grant=grant, number=number)
        return found

    def deliveries(self, grant: bytes) -> DeliveryHead:
        """Return a grant's deliveries in sum; of a grant without any the counts are 0."""
        found: DeliveryHead = ask(self._client, "deliveries", "deliveries", grant=grant)
        return found
