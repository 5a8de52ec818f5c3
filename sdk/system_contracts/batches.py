"""Certificates in batches: one Merkle root over thousands of them, and a record of its own for each whose status changes.

Written by generators/system_contracts.py from the contract's declarations: edit those.
"""

from __future__ import annotations

from collections.abc import Sequence

from contracts.batches import BatchRecord
from contracts.certificate_records import CertificateContent, StatusAt
from sdk.client import Client, FinalReceipt
from sdk.system_contracts.answer import ask


class Batches:
    """The system contract `batches` on the network of a client."""

    def __init__(self, client: Client) -> None:
        """Ask through `client`; what writes needs its signer."""
        self._client = client

    def issue_batch(
        self,
        *,
        type_code: str,
        first: str,
        last: str,
        count: int,
        root: bytes,
        manifest_digest: bytes,
    ) -> FinalReceipt:
        """Issue `count` certificates with serials from `first` to `last` at once, by the Merkle root over them.

        For: issuer. Returns the receipt once the call is final; raises CallRefused with the contract's reason.
        """
        return self._client.call(
            "batches",
            "issue_batch",
            type_code=type_code,
            first=first,
            last=last,
            count=count,
            root=root,
            manifest_digest=manifest_digest,
        )

    def admit(self, *, batch: str, position: int, content: CertificateContent, path: Sequence[bytes]) -> FinalReceipt:
        """Give a certificate of a batch a record of its own, as issued; from then on it is suspended, renewed or ended like any other.

        For: issuer. Returns the receipt once the call is final; raises CallRefused with the contract's reason.
        """
        return self._client.call("batches", "admit", batch=batch, position=position, content=content, path=list(path))

    def renew(
        self,
        *,
        predecessor: str,
        batch: str,
        position: int,
        content: CertificateContent,
        path: Sequence[bytes],
        reason: str,
    ) -> FinalReceipt:
        """Renew a certificate by one of a batch, which gets a record of its own; each names the other.

        For: issuer. Returns the receipt once the call is final; raises CallRefused with the contract's reason.
        """
        return self._client.call(
            "batches",
            "renew",
            predecessor=predecessor,
            batch=batch,
            position=position,
            content=content,
            path=list(path),
            reason=reason,
        )

    def batch(self, name: str) -> BatchRecord:
        """Return the record of a batch: its name is type code, issuer and first serial, with dots between."""
        found: BatchRecord = ask(self._client, "batches", "batch", name=name)
        return found

    def batch_of(self, identifier: str) -> str:
        """Return the name of the batch whose serials an identifier's is among, empty when there is none."""
        found: str = ask(self._client, "batches", "batch_of", identifier=identifier)
        return found

    def admitted(self, *, batch: str, position: int) -> str:
        """Return the identifier under which the certificate at a position has a record of its own, empty while it has none."""
        found: str = ask(self._client, "batches", "admitted", batch=batch, position=position)
        return found

    def status(
        self,
        *,
        batch: str,
        position: int,
        content: CertificateContent,
        path: Sequence[bytes],
        time_ms: int,
    ) -> StatusAt:
        """Return what the certificate with this content, at a position of a batch, was at a time."""
        found: StatusAt = ask(
            self._client,
            "batches",
            "status",
            batch=batch,
            position=position,
            content=content,
            path=list(path),
            time_ms=time_ms,
        )
        return found

    def is_in_force(self, *, batch: str, position: int, content: CertificateContent, path: Sequence[bytes]) -> bool:
        """Return whether the certificate with this content, at a position of a batch, is in force at the time of the block."""
        found: bool = ask(
            self._client,
            "batches",
            "is_in_force",
            batch=batch,
            position=position,
            content=content,
            path=list(path),
        )
        return found
