"""Holders' authorisations: one department may fetch one certificate for one purpose until a time, and every fetch under it.

Written by generators/system_contracts.py from the contract's declarations: edit those.
"""

from __future__ import annotations

from contracts.authorisations import AuthorisationRecord, FetchRecord
from sdk.client import Client, FinalReceipt
from sdk.system_contracts.answer import ask


class Authorisations:
    """The system contract `authorisations` on the network of a client."""

    def __init__(self, client: Client) -> None:
        """Ask through `client`; what writes needs its signer."""
        self._client = client

    def authorise(
        self,
        *,
        authorisation: bytes,
        recipient: str,
        statement: bytes,
        purpose: bytes,
        code: bytes,
        from_ms: int,
        to_ms: int,
        max_fetches: int,
    ) -> FinalReceipt:
        """Record what a holder allows: `recipient` may fetch the certificate behind the id up to `max_fetches` times in a period.

        For: issuer, recorder. Returns the receipt once the call is final; raises CallRefused with the contract's reason.
        """
        return self._client.call(
            "authorisations",
            "authorise",
            authorisation=authorisation,
            recipient=recipient,
            statement=statement,
            purpose=purpose,
            code=code,
            from_ms=from_ms,
            to_ms=to_ms,
            max_fetches=max_fetches,
        )

    def withdraw(self, *, authorisation: bytes, withdrawal: bytes) -> FinalReceipt:
        """End an authorisation of the caller's department; `withdrawal` is the digest of what the holder said.

        For: issuer, recorder. Returns the receipt once the call is final; raises CallRefused with the contract's reason.
        """
        return self._client.call("authorisations", "withdraw", authorisation=authorisation, withdrawal=withdrawal)

    def record_fetch(
        self,
        *,
        authorisation: bytes,
        requester: bytes,
        purpose: bytes,
        code: bytes,
        request: bytes,
        result: bytes,
    ) -> FinalReceipt:
        """Record a fetch before its answer leaves, and return its number; the latest fetch again changes nothing.

        For: recorder. Returns the receipt once the call is final; raises CallRefused with the contract's reason.
        The receipt's output is a uint64.
        """
        return self._client.call(
            "authorisations",
            "record_fetch",
            authorisation=authorisation,
            requester=requester,
            purpose=purpose,
            code=code,
            request=request,
            result=result,
        )

    def authorisation(self, *, issuer: str, authorisation: bytes) -> AuthorisationRecord:
        """Return an authorisation by the issuer's code and its id."""
        found: AuthorisationRecord = ask(
            self._client,
            "authorisations",
            "authorisation",
            issuer=issuer,
            authorisation=authorisation,
        )
        return found

    def fetch(self, *, issuer: str, authorisation: bytes, number: int) -> FetchRecord:
        """Return one fetch under an authorisation, counted from 1."""
        found: FetchRecord = ask(
            self._client,
            "authorisations",
            "fetch",
            issuer=issuer,
            authorisation=authorisation,
            number=number,
        )
        return found

    def is_authorised(self, *, issuer: str, authorisation: bytes, recipient: str) -> bool:
        """Return whether a department may fetch under an authorisation at the time of the block; under an unknown one it may not."""
        found: bool = ask(
            self._client,
            "authorisations",
            "is_authorised",
            issuer=issuer,
            authorisation=authorisation,
            recipient=recipient,
        )
        return found
