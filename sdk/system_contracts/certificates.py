"""Electronic certificates: their types, and each certificate's life with every status it had and since when.

Written by generators/system_contracts.py from the contract's declarations: edit those.
"""

from __future__ import annotations

from collections.abc import Sequence

from contracts.certificate_records import CertificateRecord, HistoryPage, StatusAt
from contracts.certificate_types import CertificateType
from contracts.code_tables import CodeTable, OperationCode, StatusCode
from sdk.client import Client, FinalReceipt
from sdk.system_contracts.answer import ask


class Certificates:
    """The system contract `certificates` on the network of a client."""

    def __init__(self, client: Client) -> None:
        """Ask through `client`; what writes needs its signer."""
        self._client = client

    def register_type(
        self,
        *,
        code: str,
        name: str,
        defining_body: str,
        defining_level: str,
        holder_category: str,
        validity_range: str,
        issuing_level: str,
        certificate_class: str,
        code_table: str,
        issuers: Sequence[str],
    ) -> FinalReceipt:
        """Register a type of certificate, the code table it uses, and the departments that may issue it.

        For: governor. Returns the receipt once the call is final; raises CallRefused with the contract's reason.
        """
        return self._client.call(
            "certificates",
            "register_type",
            code=code,
            name=name,
            defining_body=defining_body,
            defining_level=defining_level,
            holder_category=holder_category,
            validity_range=validity_range,
            issuing_level=issuing_level,
            certificate_class=certificate_class,
            code_table=code_table,
            issuers=list(issuers),
        )

    def allow_issuer(self, *, type_code: str, department: str) -> FinalReceipt:
        """Let a department issue certificates of a type.

        For: governor. Returns the receipt once the call is final; raises CallRefused with the contract's reason.
        """
        return self._client.call("certificates", "allow_issuer", type_code=type_code, department=department)

    def withdraw_issuer(self, *, type_code: str, department: str) -> FinalReceipt:
        """Take a department's right to issue a type; what it issued stays, and it still suspends and revokes it.

        For: governor. Returns the receipt once the call is final; raises CallRefused with the contract's reason.
        """
        return self._client.call("certificates", "withdraw_issuer", type_code=type_code, department=department)

    def set_code_table(
        self,
        *,
        name: str,
        statuses: Sequence[StatusCode],
        operations: Sequence[OperationCode],
    ) -> FinalReceipt:
        """Write a table of status and operation codes; one that exists keeps every status and what it means for force.

        For: governor. Returns the receipt once the call is final; raises CallRefused with the contract's reason.
        """
        return self._client.call(
            "certificates",
            "set_code_table",
            name=name,
            statuses=list(statuses),
            operations=list(operations),
        )

    def issue(
        self,
        *,
        identifier: str,
        document_digest: bytes,
        holder_commitment: bytes,
        valid_from_ms: int,
        valid_to_ms: int,
    ) -> FinalReceipt:
        """Issue a new certificate: SM3 of its document, a commitment to its holder, its validity in ms (to 9999 means without end).

        For: issuer. Returns the receipt once the call is final; raises CallRefused with the contract's reason.
        """
        return self._client.call(
            "certificates",
            "issue",
            identifier=identifier,
            document_digest=document_digest,
            holder_commitment=holder_commitment,
            valid_from_ms=valid_from_ms,
            valid_to_ms=valid_to_ms,
        )

    def renew(
        self,
        *,
        predecessor: str,
        identifier: str,
        document_digest: bytes,
        holder_commitment: bytes,
        valid_from_ms: int,
        valid_to_ms: int,
        reason: str,
    ) -> FinalReceipt:
        """Renew a certificate: a new one takes its place, each names the other, the earlier one is no longer in force.

        For: issuer. Returns the receipt once the call is final; raises CallRefused with the contract's reason.
        """
        return self._client.call(
            "certificates",
            "renew",
            predecessor=predecessor,
            identifier=identifier,
            document_digest=document_digest,
            holder_commitment=holder_commitment,
            valid_from_ms=valid_from_ms,
            valid_to_ms=valid_to_ms,
            reason=reason,
        )

    def change(
        self,
        *,
        predecessor: str,
        identifier: str,
        document_digest: bytes,
        holder_commitment: bytes,
        valid_from_ms: int,
        valid_to_ms: int,
        reason: str,
    ) -> FinalReceipt:
        """Change what a certificate says: a new one takes its place, as in a renewal.

        For: issuer. Returns the receipt once the call is final; raises CallRefused with the contract's reason.
        """
        return self._client.call(
            "certificates",
            "change",
            predecessor=predecessor,
            identifier=identifier,
            document_digest=document_digest,
            holder_commitment=holder_commitment,
            valid_from_ms=valid_from_ms,
            valid_to_ms=valid_to_ms,
            reason=reason,
        )

    def suspend(self, *, identifier: str, reason: str) -> FinalReceipt:
        """Suspend a certificate until it is resumed or ended.

        For: issuer. Returns the receipt once the call is final; raises CallRefused with the contract's reason.
        """
        return self._client.call("certificates", "suspend", identifier=identifier, reason=reason)

    def resume(self, *, identifier: str, reason: str) -> FinalReceipt:
        """Bring a suspended certificate back into force.

        For: issuer. Returns the receipt once the call is final; raises CallRefused with the contract's reason.
        """
        return self._client.call("certificates", "resume", identifier=identifier, reason=reason)

    def revoke(self, *, identifier: str, status: str, reason: str) -> FinalReceipt:
        """End a certificate with one of the statuses that its table allows for it (03 撤销, 04 注销, 07 吊销 in the default table).

        For: issuer. Returns the receipt once the call is final; raises CallRefused with the contract's reason.
        """
        return self._client.call("certificates", "revoke", identifier=identifier, status=status, reason=reason)

    def expire(self, *, identifier: str, reason: str) -> FinalReceipt:
        """Record that a certificate has lapsed, once its validity has ended; it is not in force from that end on without this.

        For: issuer. Returns the receipt once the call is final; raises CallRefused with the contract's reason.
        """
        return self._client.call("certificates", "expire", identifier=identifier, reason=reason)

    def record_other(self, *, identifier: str, description: str) -> FinalReceipt:
        """Give a certificate the status for what no other operation covers (99 其他 in the default table), and describe it.

        For: issuer. Returns the receipt once the call is final; raises CallRefused with the contract's reason.
        """
        return self._client.call("certificates", "record_other", identifier=identifier, description=description)

    def transfer_out(self, *, identifier: str, recipient: str, reason: str) -> FinalReceipt:
        """Offer a certificate to another department, which alone can transfer it in; until then it is not in force.

        For: issuer. Returns the receipt once the call is final; raises CallRefused with the contract's reason.
        """
        return self._client.call(
            "certificates",
            "transfer_out",
            identifier=identifier,
            recipient=recipient,
            reason=reason,
        )

    def cancel_transfer(self, *, identifier: str, reason: str) -> FinalReceipt:
        """Take back the offer of a certificate that has not been transferred in; it is again what it was before, suspended where it was.

        For: issuer. Returns the receipt once the call is final; raises CallRefused with the contract's reason.
        """
        return self._client.call("certificates", "cancel_transfer", identifier=identifier, reason=reason)

    def transfer_in(
        self,
        *,
        predecessor: str,
        identifier: str,
        document_digest: bytes,
        holder_commitment: bytes,
        valid_from_ms: int,
        valid_to_ms: int,
        reason: str,
    ) -> FinalReceipt:
        """Take over a certificate that another department has offered: a new one of the caller's department takes its place.

        For: issuer. Returns the receipt once the call is final; raises CallRefused with the contract's reason.
        """
        return self._client.call(
            "certificates",
            "transfer_in",
            predecessor=predecessor,
            identifier=identifier,
            document_digest=document_digest,
            holder_commitment=holder_commitment,
            valid_from_ms=valid_from_ms,
            valid_to_ms=valid_to_ms,
            reason=reason,
        )

    def certificate(self, identifier: str) -> CertificateRecord:
        """Return the record of a certificate."""
        found: CertificateRecord = ask(self._client, "certificates", "certificate", identifier=identifier)
        return found

    def certificate_status(self, *, identifier: str, time_ms: int) -> StatusAt:
        """Return what a certificate was at a time."""
        found: StatusAt = ask(
            self._client,
            "certificates",
            "certificate_status",
            identifier=identifier,
            time_ms=time_ms,
        )
        return found

    def history_page(self, *, identifier: str, number: int) -> HistoryPage:
        """Return a page of a certificate's history: statuses that its record no longer holds; it counts its pages."""
        found: HistoryPage = ask(self._client, "certificates", "history_page", identifier=identifier, number=number)
        return found

    def is_in_force(self, identifier: str) -> bool:
        """Return whether a certificate is in force at the time of the block; one that is not on the ledger, or no identifier, is not."""
        found: bool = ask(self._client, "certificates", "is_in_force", identifier=identifier)
        return found

    def certificate_type(self, code: str) -> CertificateType:
        """Return the record of a type of certificate."""
        found: CertificateType = ask(self._client, "certificates", "certificate_type", code=code)
        return found

    def is_issuer(self, *, type_code: str, department: str) -> bool:
        """Return whether a department may issue a type."""
        found: bool = ask(self._client, "certificates", "is_issuer", type_code=type_code, department=department)
        return found

    def code_table(self, name: str) -> CodeTable:
        """Return a table of status and operation codes."""
        found: CodeTable = ask(self._client, "certificates", "code_table", name=name)
        return found
