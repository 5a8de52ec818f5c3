"""Governance: the chain parameters in state, changed by a governor from one height to the next.

Written by generators/system_contracts.py from the contract's declarations: edit those.
"""

from __future__ import annotations

from collections.abc import Sequence

from contracts.parameters import ChainParameters
from sdk.client import Client, FinalReceipt
from sdk.system_contracts.answer import ask


class Governance:
    """The system contract `governance` on the network of a client."""

    def __init__(self, client: Client) -> None:
        """Ask through `client`; what writes needs its signer."""
        self._client = client

    def set_parameters(self, *, names: Sequence[str], values: Sequence[int]) -> FinalReceipt:
        """Set the chain parameters called `names` to `values`, from the next height on.

        For: governor. Returns the receipt once the call is final; raises CallRefused with the contract's reason.
        """
        return self._client.call("governance", "set_parameters", names=list(names), values=list(values))

    def parameters(self) -> ChainParameters:
        """Return the chain parameters of the next height."""
        found: ChainParameters = ask(self._client, "governance", "parameters")
        return found
