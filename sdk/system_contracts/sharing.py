"""Requests for another department's data, and the grants they become; each request keeps every state it had and since when.

Written by generators/system_contracts.py from the contract's declarations: edit those.
"""

from __future__ import annotations

from collections.abc import Sequence

from contracts.data_sharing.sharing import RequestRecord
from sdk.client import Client, FinalReceipt
from sdk.system_contracts.answer import ask


class Sharing:
    """The system contract `sharing` on the network of a client."""

    def __init__(self, client: Client) -> None:
        """Ask through `client`; what writes needs its signer."""
        self._client = client

    def request(
        self,
        *,
        resource: str,
        purpose: str,
        legal_basis: str,
        items: Sequence[str],
        from_ms: int,
        to_ms: int,
    ) -> FinalReceipt:
        """Ask for a resource and return the request's id, which is the transaction's; unconditional sharing is granted at once.

        For: requester. Returns the receipt once the call is final; raises CallRefused with the contract's reason.
        The receipt's output is a bytes32.
        """
        return self._client.call(
            "sharing",
            "request",
            resource=resource,
            purpose=purpose,
            legal_basis=legal_basis,
            items=list(items),
            from_ms=from_ms,
            to_ms=to_ms,
        )

    def grant(self, *, request: bytes, conditions: str, to_ms: int) -> FinalReceipt:
        """Grant a waiting request for the caller's department's data, under conditions, until a time within the period asked for.

        For: approver. Returns the receipt once the call is final; raises CallRefused with the contract's reason.
        """
        return self._client.call("sharing", "grant", request=request, conditions=conditions, to_ms=to_ms)

    def refuse(self, *, request: bytes, reason: str) -> FinalReceipt:
        """Refuse a waiting request for the caller's department's data.

        For: approver. Returns the receipt once the call is final; raises CallRefused with the contract's reason.
        """
        return self._client.call("sharing", "refuse", request=request, reason=reason)

    def stop(self, *, request: bytes, reason: str) -> FinalReceipt:
        """End a grant, by the provider's approver or the consumer's requester; or take a waiting request back, by the latter.

        For: approver, requester. Returns the receipt once the call is final; raises CallRefused with the contract's reason.
        """
        return self._client.call("sharing", "stop", request=request, reason=reason)

    def data_request(self, request: bytes) -> RequestRecord:
        """Return the record of a request."""
        found: RequestRecord = ask(self._client, "sharing", "data_request", request=request)
        return found

    def is_grant_in_force(self, *, request: bytes, time_ms: int) -> bool:
        """Return whether a request was granted, and within its period, at a time."""
        found: bool = ask(self._client, "sharing", "is_grant_in_force", request=request, time_ms=time_ms)
        return found

    def is_granted(self, *, request: bytes, consumer: str, resource: str) -> bool:
        """Return whether a grant is in force at the time of the block, for this consumer and this resource; an unknown one is not."""
        found: bool = ask(self._client, "sharing", "is_granted", request=request, consumer=consumer, resource=resource)
        return found
