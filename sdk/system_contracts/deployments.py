"""Deployments: the EVM contracts on the chain, who deployed each, and which of them a governor has frozen.

Written by generators/system_contracts.py from the contract's declarations: edit those.
"""

from __future__ import annotations

from contracts.deployments import DeploymentRecord
from sdk.client import Client, FinalReceipt
from sdk.system_contracts.answer import ask


class Deployments:
    """The system contract `deployments` on the network of a client."""

    def __init__(self, client: Client) -> None:
        """Ask through `client`; what writes needs its signer."""
        self._client = client

    def freeze(self, *, contract: bytes, reason: str) -> FinalReceipt:
        """Freeze an EVM contract: from this transaction on no call of it succeeds.

        For: governor. Returns the receipt once the call is final; raises CallRefused with the contract's reason.
        """
        return self._client.call("deployments", "freeze", contract=contract, reason=reason)

    def unfreeze(self, *, contract: bytes, reason: str) -> FinalReceipt:
        """Let a frozen EVM contract run again.

        For: governor. Returns the receipt once the call is final; raises CallRefused with the contract's reason.
        """
        return self._client.call("deployments", "unfreeze", contract=contract, reason=reason)

    def deployment(self, contract: bytes) -> DeploymentRecord:
        """Return who deployed an EVM contract, when, and whether it is frozen."""
        found: DeploymentRecord = ask(self._client, "deployments", "deployment", contract=contract)
        return found
