"""The directories of duties (职责目录) and of information systems (系统目录): what the data in the catalogue comes from and is for.

Written by generators/system_contracts.py from the contract's declarations: edit those.
"""

from __future__ import annotations

from collections.abc import Sequence

from contracts.data_sharing.directories import Duty, DutyRecord, System, SystemRecord
from sdk.client import Client, FinalReceipt
from sdk.system_contracts.answer import ask


class Directories:
    """The system contract `directories` on the network of a client."""

    def __init__(self, client: Client) -> None:
        """Ask through `client`; what writes needs its signer."""
        self._client = client

    def enter_duties(self, duties: Sequence[Duty]) -> FinalReceipt:
        """Enter duties of the caller's department, or state them anew; one that stands so already is left as it is.

        For: publisher. Returns the receipt once the call is final; raises CallRefused with the contract's reason.
        """
        return self._client.call("directories", "enter_duties", duties=list(duties))

    def end_duty(self, *, code: str, reason: str) -> FinalReceipt:
        """State that the caller's department no longer has a duty; what names it keeps doing so, nothing new can.

        For: publisher. Returns the receipt once the call is final; raises CallRefused with the contract's reason.
        """
        return self._client.call("directories", "end_duty", code=code, reason=reason)

    def enter_systems(self, systems: Sequence[System]) -> FinalReceipt:
        """Enter systems of the caller's department, or state them anew; one that stands so already is left as it is.

        For: publisher. Returns the receipt once the call is final; raises CallRefused with the contract's reason.
        """
        return self._client.call("directories", "enter_systems", systems=list(systems))

    def end_system(self, *, code: str, reason: str) -> FinalReceipt:
        """State that a system of the caller's department is out of use; what names it keeps doing so, nothing new can.

        For: publisher. Returns the receipt once the call is final; raises CallRefused with the contract's reason.
        """
        return self._client.call("directories", "end_system", code=code, reason=reason)

    def duty(self, *, department: str, code: str) -> DutyRecord:
        """Return a duty of a department, ended ones included."""
        found: DutyRecord = ask(self._client, "directories", "duty", department=department, code=code)
        return found

    def system(self, *, department: str, code: str) -> SystemRecord:
        """Return a system of a department, ended ones included."""
        found: SystemRecord = ask(self._client, "directories", "system", department=department, code=code)
        return found
