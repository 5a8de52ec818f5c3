"""The data catalogue: what departments publish for others to ask for (GB/T 21063 and its guide, as implemented).

Written by generators/system_contracts.py from the contract's declarations: edit those.
"""

from __future__ import annotations

from collections.abc import Sequence

from contracts.data_sharing.arrival_records import Arrival, ArrivalRecord, ReturnHead
from contracts.data_sharing.catalogue import ProposalRecord, ResourceRecord
from contracts.data_sharing.quality_reviews import ReviewRecord
from contracts.data_sharing.resources import ResourceDescription
from sdk.client import Client, FinalReceipt
from sdk.system_contracts.answer import ask


class Catalogue:
    """The system contract `catalogue` on the network of a client."""

    def __init__(self, client: Client) -> None:
        """Ask through `client`; what writes needs its signer."""
        self._client = client

    def publish(self, *, resource: ResourceDescription, replaces: int) -> FinalReceipt:
        """Publish a version of a resource of the caller's department and return whether it is in force; else it waits for approval.

        For: publisher. Returns the receipt once the call is final; raises CallRefused with the contract's reason.
        The receipt's output is a bool.
        """
        return self._client.call("catalogue", "publish", resource=resource, replaces=replaces)

    def publish_many(self, *, resources: Sequence[ResourceDescription], replaces: Sequence[int]) -> FinalReceipt:
        """Publish versions of several resources, or none of them; returns for each whether it is in force.

        For: publisher. Returns the receipt once the call is final; raises CallRefused with the contract's reason.
        The receipt's output is a bool[].
        """
        return self._client.call("catalogue", "publish_many", resources=list(resources), replaces=list(replaces))

    def approve(self, *, code: str, digest: bytes) -> FinalReceipt:
        """Approve the version of a resource that waits and has this digest; returns whether it is in force now.

        For: approver, governor. Returns the receipt once the call is final; raises CallRefused with the contract's reason.
        The receipt's output is a bool.
        """
        return self._client.call("catalogue", "approve", code=code, digest=digest)

    def approve_many(self, *, codes: Sequence[str], digests: Sequence[bytes]) -> FinalReceipt:
        """Approve waiting versions of several resources, or none of them; returns for each whether it is in force now.

        For: approver, governor. Returns the receipt once the call is final; raises CallRefused with the contract's reason.
        The receipt's output is a bool[].
        """
        return self._client.call("catalogue", "approve_many", codes=list(codes), digests=list(digests))

    def reject(self, *, code: str, digest: bytes, reason: str) -> FinalReceipt:
        """Turn a waiting version down, by who could approve it or any governor; or take it back, by its department's publisher.

        For: publisher, approver, governor. Returns the receipt once the call is final; raises CallRefused with the contract's reason.
        """
        return self._client.call("catalogue", "reject", code=code, digest=digest, reason=reason)

    def withdraw(self, *, code: str, reason: str) -> FinalReceipt:
        """Withdraw a resource of the caller's department: no more requests, and what was open ends; grants run on until stopped.

        For: publisher. Returns the receipt once the call is final; raises CallRefused with the contract's reason.
        """
        return self._client.call("catalogue", "withdraw", code=code, reason=reason)

    def resource(self, code: str) -> ResourceRecord:
        """Return the newest version of a resource, withdrawn ones included."""
        found: ResourceRecord = ask(self._client, "catalogue", "resource", code=code)
        return found

    def resource_version(self, *, code: str, version: int) -> ResourceRecord:
        """Return any version of a resource that is or was in force."""
        found: ResourceRecord = ask(self._client, "catalogue", "resource_version", code=code, version=version)
        return found

    def proposal(self, code: str) -> ProposalRecord:
        """Return the version of a resource that waits for approval."""
        found: ProposalRecord = ask(self._client, "catalogue", "proposal", code=code)
        return found

    def record_arrival(self, *, code: str, number: int, arrival: Arrival) -> FinalReceipt:
        """Record that data of a returned resource of the caller's department came, with the number after the last; again changes nothing.

        For: recorder. Returns the receipt once the call is final; raises CallRefused with the contract's reason.
        """
        return self._client.call("catalogue", "record_arrival", code=code, number=number, arrival=arrival)

    def correct_arrival(self, *, code: str, number: int, corrects: int, arrival: Arrival, reason: str) -> FinalReceipt:
        """Put a record with the number after the last in the place of one that was wrong, which stays to be seen; again changes nothing.

        For: recorder. Returns the receipt once the call is final; raises CallRefused with the contract's reason.
        """
        return self._client.call(
            "catalogue",
            "correct_arrival",
            code=code,
            number=number,
            corrects=corrects,
            arrival=arrival,
            reason=reason,
        )

    def void_arrival(self, *, code: str, number: int, reason: str) -> FinalReceipt:
        """State that an arrival that was recorded never was; the record stays to be seen.

        For: recorder. Returns the receipt once the call is final; raises CallRefused with the contract's reason.
        """
        return self._client.call("catalogue", "void_arrival", code=code, number=number, reason=reason)

    def arrival(self, *, code: str, number: int) -> ArrivalRecord:
        """Return one recorded arrival of a resource, those that no longer stand included."""
        found: ArrivalRecord = ask(self._client, "catalogue", "arrival", code=code, number=number)
        return found

    def return_head(self, code: str) -> ReturnHead:
        """Return since when a resource is returned data, and how many arrivals were recorded."""
        found: ReturnHead = ask(self._client, "catalogue", "return_head", code=code)
        return found

    def review(self, *, code: str, version: int, score: int, finding: str) -> FinalReceipt:
        """Review the version of another department's resource that is in force: a score of 0 to 100, and what was found.

        For: requester, governor. Returns the receipt once the call is final; raises CallRefused with the contract's reason.
        """
        return self._client.call("catalogue", "review", code=code, version=version, score=score, finding=finding)

    def reply_to_review(self, *, code: str, version: int, department: str, reply: str) -> FinalReceipt:
        """Answer, once, what a department found of a resource of the caller's department.

        For: publisher, approver. Returns the receipt once the call is final; raises CallRefused with the contract's reason.
        """
        return self._client.call(
            "catalogue",
            "reply_to_review",
            code=code,
            version=version,
            department=department,
            reply=reply,
        )

    def quality_review(self, *, code: str, version: int, department: str) -> ReviewRecord:
        """Return what a department found of a version of a resource."""
        found: ReviewRecord = ask(
            self._client,
            "catalogue",
            "quality_review",
            code=code,
            version=version,
            department=department,
        )
        return found
