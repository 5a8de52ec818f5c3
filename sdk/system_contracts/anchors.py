"""Anchors: any 32-byte digest with a label, or a Merkle root over many, recorded with who and when.

Written by generators/system_contracts.py from the contract's declarations: edit those.
"""

from __future__ import annotations

from contracts.anchors import AnchorRecord
from sdk.client import Client, FinalReceipt
from sdk.system_contracts.answer import ask


class Anchors:
    """The system contract `anchors` on the network of a client."""

    def __init__(self, client: Client) -> None:
        """Ask through `client`; what writes needs its signer."""
        self._client = client

    def anchor(self, *, digest: bytes, label: str) -> FinalReceipt:
        """Anchor one digest under a label, once for each department.

        For: issuer, publisher, recorder. Returns the receipt once the call is final; raises CallRefused with the contract's reason.
        """
        return self._client.call("anchors", "anchor", digest=digest, label=label)

    def anchor_root(self, *, root: bytes, label: str, count: int) -> FinalReceipt:
        """Anchor a Merkle root over `count` leaves under a label, once for each department.

        For: issuer, publisher, recorder. Returns the receipt once the call is final; raises CallRefused with the contract's reason.
        """
        return self._client.call("anchors", "anchor_root", root=root, label=label, count=count)

    def anchored(self, *, digest: bytes, department: str) -> AnchorRecord:
        """Return the anchor of a digest by a department."""
        found: AnchorRecord = ask(self._client, "anchors", "anchored", digest=digest, department=department)
        return found
