"""Audits of shared data: the auditing authority, what auditors asked before it was answered, and findings with what became of them.

Written by generators/system_contracts.py from the contract's declarations: edit those.
"""

from __future__ import annotations

from collections.abc import Sequence

from contracts.data_sharing.audit_figures import FigureRow
from contracts.data_sharing.audits import FindingSubject
from sdk.client import Client, FinalReceipt
from sdk.system_contracts.answer import ask


class Audits:
    """The system contract `audits` on the network of a client."""

    def __init__(self, client: Client) -> None:
        """Ask through `client`; what writes needs its signer."""
        self._client = client

    def name_authority(self, department: str) -> FinalReceipt:
        """Name the department that is the auditing authority from now on; the same again changes nothing.

        For: governor. Returns the receipt once the call is final; raises CallRefused with the contract's reason.
        """
        return self._client.call("audits", "name_authority", department=department)

    def record_query(self, *, kind: str, digest: bytes, basis: str) -> FinalReceipt:
        """Record what the caller is about to ask, under which mandate, and return its number; who answers looks it up first.

        For: auditor. Returns the receipt once the call is final; raises CallRefused with the contract's reason.
        The receipt's output is a uint64.
        """
        return self._client.call("audits", "record_query", kind=kind, digest=digest, basis=basis)

    def raise_finding(self, *, subject: FindingSubject, reference: str, digest: bytes) -> FinalReceipt:
        """Raise a finding and return its number; `digest` is that of the evidence. One department raises one subject once.

        For: auditor. Returns the receipt once the call is final; raises CallRefused with the contract's reason.
        The receipt's output is a uint64.
        """
        return self._client.call("audits", "raise_finding", subject=subject, reference=reference, digest=digest)

    def explain(self, *, number: int, reference: str, digest: bytes) -> FinalReceipt:
        """Record that the department which a finding is about has explained it, by a letter of this number and digest.

        For: approver, recorder, administrator. Returns the receipt once the call is final; raises CallRefused with the contract's reason.
        """
        return self._client.call("audits", "explain", number=number, reference=reference, digest=digest)

    def confirm(self, *, number: int, reference: str, digest: bytes) -> FinalReceipt:
        """Confirm a finding, by the department that raised it or the authority; what follows from it is still to be done.

        For: auditor. Returns the receipt once the call is final; raises CallRefused with the contract's reason.
        """
        return self._client.call("audits", "confirm", number=number, reference=reference, digest=digest)

    def dismiss(self, *, number: int, reference: str, digest: bytes) -> FinalReceipt:
        """Dismiss a finding, by the department that raised it or the authority: the reads were right.

        For: auditor. Returns the receipt once the call is final; raises CallRefused with the contract's reason.
        """
        return self._client.call("audits", "dismiss", number=number, reference=reference, digest=digest)

    def close(self, *, number: int, reference: str, digest: bytes) -> FinalReceipt:
        """Close a confirmed finding, by the department that raised it or the authority: what it asked for has been done.

        For: auditor. Returns the receipt once the call is final; raises CallRefused with the contract's reason.
        """
        return self._client.call("audits", "close", number=number, reference=reference, digest=digest)

    def set_figures(self, *, department: str, rows: Sequence[FigureRow], basis: str, from_ms: int) -> FinalReceipt:
        """Publish the figures by which reads of a department (empty: all others) are judged from a coming time on; return their number.

        For: governor, auditor. Returns the receipt once the call is final; raises CallRefused with the contract's reason.
        The receipt's output is a uint64.
        """
        return self._client.call(
            "audits",
            "set_figures",
            department=department,
            rows=list(rows),
            basis=basis,
            from_ms=from_ms,
        )

    def authority(self) -> str:
        """Return the code of the department that is the auditing authority, empty when none has been named."""
        found: str = ask(self._client, "audits", "authority")
        return found

    def query_recorded_ms(self, *, number: int, account: bytes, digest: bytes) -> int:
        """Return the block time of a query of this digest that this account recorded under this number, 0 when there is none."""
        found: int = ask(self._client, "audits", "query_recorded_ms", number=number, account=account, digest=digest)
        return found
