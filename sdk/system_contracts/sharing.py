"""Requests for another department's data, and the grants they become; each request keeps every state it had and since when.

Written by generators/system_contracts.py from the contract's declarations: edit those.
"""

from __future__ import annotations

from collections.abc import Sequence

from contracts.data_sharing.conditions import Conditions
from contracts.data_sharing.corrections import CorrectionRecord
from contracts.data_sharing.disputes import DisputeRecord
from contracts.data_sharing.recalls import RecallRecord
from contracts.data_sharing.refusal_reasons import ReasonTable, RefusalReason
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
        case_types: Sequence[str],
        rows_per_day: int,
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
            case_types=list(case_types),
            rows_per_day=rows_per_day,
            from_ms=from_ms,
            to_ms=to_ms,
        )

    def renew(self, *, request: bytes, to_ms: int) -> FinalReceipt:
        """Ask for the time after a grant of the caller's department, as it was asked for; return the new request's id.

        For: requester. Returns the receipt once the call is final; raises CallRefused with the contract's reason.
        The receipt's output is a bytes32.
        """
        return self._client.call("sharing", "renew", request=request, to_ms=to_ms)

    def check(self, *, request: bytes, passed: bool, note: str) -> FinalReceipt:
        """State that a waiting request passed the compliance check (合规性检查), or refuse it; by a governor or the provider's approver.

        For: governor, approver. Returns the receipt once the call is final; raises CallRefused with the contract's reason.
        """
        return self._client.call("sharing", "check", request=request, passed=passed, note=note)

    def return_request(self, *, request: bytes, reason: str) -> FinalReceipt:
        """Give a waiting request back once, saying all that it lacks (一次性告知); the time to answer begins anew when it is completed.

        For: approver. Returns the receipt once the call is final; raises CallRefused with the contract's reason.
        """
        return self._client.call("sharing", "return_request", request=request, reason=reason)

    def amend(
        self,
        *,
        request: bytes,
        purpose: str,
        legal_basis: str,
        items: Sequence[str],
        case_types: Sequence[str],
        rows_per_day: int,
        from_ms: int,
        to_ms: int,
    ) -> FinalReceipt:
        """Complete a returned request of the caller's department: all that it asks for is said anew, and it waits again.

        For: requester. Returns the receipt once the call is final; raises CallRefused with the contract's reason.
        """
        return self._client.call(
            "sharing",
            "amend",
            request=request,
            purpose=purpose,
            legal_basis=legal_basis,
            items=list(items),
            case_types=list(case_types),
            rows_per_day=rows_per_day,
            from_ms=from_ms,
            to_ms=to_ms,
        )

    def grant(self, *, request: bytes, conditions: Conditions, to_ms: int) -> FinalReceipt:
        """Grant a waiting request for the caller's department's data, under conditions, until a time within the period asked for.

        For: approver. Returns the receipt once the call is final; raises CallRefused with the contract's reason.
        """
        return self._client.call("sharing", "grant", request=request, conditions=conditions, to_ms=to_ms)

    def refuse(self, *, request: bytes, reason_code: str, reason: str) -> FinalReceipt:
        """Refuse a waiting request for the caller's department's data, for a reason of the table, in more words where it asks for them.

        For: approver. Returns the receipt once the call is final; raises CallRefused with the contract's reason.
        """
        return self._client.call("sharing", "refuse", request=request, reason_code=reason_code, reason=reason)

    def start_supply(self, request: bytes) -> FinalReceipt:
        """State that the caller's department supplies under a grant in force from now on; said again it changes nothing.

        For: approver, recorder. Returns the receipt once the call is final; raises CallRefused with the contract's reason.
        """
        return self._client.call("sharing", "start_supply", request=request)

    def set_passing_on(self, *, request: bytes, departments: Sequence[str]) -> FinalReceipt:
        """Say anew which departments the consumer of a grant may pass the data of the caller's department on to; none: nobody.

        For: approver. Returns the receipt once the call is final; raises CallRefused with the contract's reason.
        """
        return self._client.call("sharing", "set_passing_on", request=request, departments=list(departments))

    def stop(self, *, request: bytes, reason: str) -> FinalReceipt:
        """End a grant, by the provider's approver or the consumer's requester; or take an unanswered request back, by the latter.

        For: approver, requester. Returns the receipt once the call is final; raises CallRefused with the contract's reason.
        """
        return self._client.call("sharing", "stop", request=request, reason=reason)

    def set_refusal_reasons(self, reasons: Sequence[RefusalReason]) -> FinalReceipt:
        """Put a new table of reasons for refusal in the place of the one that holds.

        For: governor. Returns the receipt once the call is final; raises CallRefused with the contract's reason.
        """
        return self._client.call("sharing", "set_refusal_reasons", reasons=list(reasons))

    def refusal_reasons(self) -> ReasonTable:
        """Return the table of reasons for refusal that holds, and since when."""
        found: ReasonTable = ask(self._client, "sharing", "refusal_reasons")
        return found

    def request_count(self, resource: str) -> int:
        """Return how many requests there were for a resource."""
        found: int = ask(self._client, "sharing", "request_count", resource=resource)
        return found

    def request_of(self, *, resource: str, index: int) -> bytes:
        """Return the id of a resource's request by its place, from 0 in the order that they were made."""
        found: bytes = ask(self._client, "sharing", "request_of", resource=resource, index=index)
        return found

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

    def ask_correction(self, *, request: bytes, item: str, claim: str, evidence: bytes) -> FinalReceipt:
        """Say that data supplied to the caller's department under a grant is wrong, and return the correction's number.

        For: requester, recorder. Returns the receipt once the call is final; raises CallRefused with the contract's reason.
        The receipt's output is a uint64.
        """
        return self._client.call(
            "sharing",
            "ask_correction",
            request=request,
            item=item,
            claim=claim,
            evidence=evidence,
        )

    def answer_correction(self, *, request: bytes, number: int, outcome: int, answer: str) -> FinalReceipt:
        """Say what came of a correction of the caller's department's data: corrected, found right, or passed on to its source.

        For: approver, publisher. Returns the receipt once the call is final; raises CallRefused with the contract's reason.
        """
        return self._client.call(
            "sharing",
            "answer_correction",
            request=request,
            number=number,
            outcome=outcome,
            answer=answer,
        )

    def correction(self, *, request: bytes, number: int) -> CorrectionRecord:
        """Return a correction by its number under a request."""
        found: CorrectionRecord = ask(self._client, "sharing", "correction", request=request, number=number)
        return found

    def raise_dispute(self, *, request: bytes, kind: str, claim: str, evidence: bytes) -> FinalReceipt:
        """Raise a dispute with the other party of a request, by the consumer's requester or the provider's approver; return its number.

        For: approver, requester. Returns the receipt once the call is final; raises CallRefused with the contract's reason.
        The receipt's output is a uint64.
        """
        return self._client.call("sharing", "raise_dispute", request=request, kind=kind, claim=claim, evidence=evidence)

    def answer_dispute(self, *, request: bytes, number: int, answer: str) -> FinalReceipt:
        """Answer a dispute that the other party of a request raised.

        For: approver, requester. Returns the receipt once the call is final; raises CallRefused with the contract's reason.
        """
        return self._client.call("sharing", "answer_dispute", request=request, number=number, answer=answer)

    def end_dispute(self, *, request: bytes, number: int, outcome: int, decision: str) -> FinalReceipt:
        """End a dispute that the caller's department raised: settled between the parties, or withdrawn.

        For: approver, requester. Returns the receipt once the call is final; raises CallRefused with the contract's reason.
        """
        return self._client.call(
            "sharing",
            "end_dispute",
            request=request,
            number=number,
            outcome=outcome,
            decision=decision,
        )

    def take_dispute(self, *, request: bytes, number: int) -> FinalReceipt:
        """Take up a dispute between two other departments; also in the place of a governor who is none any more, or not of that department.

        For: governor. Returns the receipt once the call is final; raises CallRefused with the contract's reason.
        """
        return self._client.call("sharing", "take_dispute", request=request, number=number)

    def decide_dispute(self, *, request: bytes, number: int, outcome: int, order: int, decision: str) -> FinalReceipt:
        """Decide a dispute that the caller's department took up; if it is upheld, an order may go to the request: one of ORDERS.

        For: governor. Returns the receipt once the call is final; raises CallRefused with the contract's reason.
        """
        return self._client.call(
            "sharing",
            "decide_dispute",
            request=request,
            number=number,
            outcome=outcome,
            order=order,
            decision=decision,
        )

    def dispute(self, *, request: bytes, number: int) -> DisputeRecord:
        """Return a dispute by its number under a request."""
        found: DisputeRecord = ask(self._client, "sharing", "dispute", request=request, number=number)
        return found

    def recall(self, *, request: bytes, from_ms: int, to_ms: int, ends_grant: bool, reason: str) -> FinalReceipt:
        """Recall what was supplied under a grant between two times, and end the grant or not; return the number.

        For: approver. Returns the receipt once the call is final; raises CallRefused with the contract's reason.
        The receipt's output is a uint64.
        """
        return self._client.call(
            "sharing",
            "recall",
            request=request,
            from_ms=from_ms,
            to_ms=to_ms,
            ends_grant=ends_grant,
            reason=reason,
        )

    def confirm_recall(self, *, request: bytes, number: int, statement: bytes, note: str) -> FinalReceipt:
        """Confirm that the caller's department has destroyed what was recalled; `statement` is the digest of its word for that.

        For: requester. Returns the receipt once the call is final; raises CallRefused with the contract's reason.
        """
        return self._client.call(
            "sharing",
            "confirm_recall",
            request=request,
            number=number,
            statement=statement,
            note=note,
        )

    def data_recall(self, *, request: bytes, number: int) -> RecallRecord:
        """Return a recall by its number under a request."""
        found: RecallRecord = ask(self._client, "sharing", "data_recall", request=request, number=number)
        return found
