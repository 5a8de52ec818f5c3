"""The data catalogue: what departments publish for others to ask for (GB/T 21063 and its guide, as implemented).

Written by generators/system_contracts.py from the contract's declarations: edit those.
"""

from __future__ import annotations

from collections.abc import Sequence

from contracts.data_sharing.catalogue import ResourceItem, ResourceRecord
from sdk.client import Client, FinalReceipt
from sdk.system_contracts.answer import ask


class Catalogue:
    """The system contract `catalogue` on the network of a client."""

    def __init__(self, client: Client) -> None:
        """Ask through `client`; what writes needs its signer."""
        self._client = client

    def publish(
        self,
        *,
        code: str,
        name: str,
        summary: str,
        format: str,  # noqa: A002 - the name in the ABI
        items: Sequence[ResourceItem],
        sharing_type: int,
        sharing_basis: str,
        sharing_method: str,
        is_open: bool,
        update_cycle: int,
        data_class: int,
    ) -> FinalReceipt:
        """Publish a resource of the caller's department under its catalogue code (class digits, slash, number).

        For: publisher. Returns the receipt once the call is final; raises CallRefused with the contract's reason.
        """
        return self._client.call(
            "catalogue",
            "publish",
            code=code,
            name=name,
            summary=summary,
            format=format,
            items=list(items),
            sharing_type=sharing_type,
            sharing_basis=sharing_basis,
            sharing_method=sharing_method,
            is_open=is_open,
            update_cycle=update_cycle,
            data_class=data_class,
        )

    def withdraw(self, *, code: str, reason: str) -> FinalReceipt:
        """Withdraw a resource of the caller's department: it takes no more requests; grants that stand run on until stopped.

        For: publisher. Returns the receipt once the call is final; raises CallRefused with the contract's reason.
        """
        return self._client.call("catalogue", "withdraw", code=code, reason=reason)

    def resource(self, code: str) -> ResourceRecord:
        """Return the record of a resource, withdrawn ones included."""
        found: ResourceRecord = ask(self._client, "catalogue", "resource", code=code)
        return found
