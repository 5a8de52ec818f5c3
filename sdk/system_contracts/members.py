"""Members: departments in their hierarchy, the accounts that act for them, and the validators.

Written by generators/system_contracts.py from the contract's declarations: edit those.
"""

from __future__ import annotations

from collections.abc import Sequence

from contracts.accounts import AccountRecord, DepartmentRecord
from contracts.data_sharing.encryption_keys import EncryptionKeyRecord
from contracts.offences import OffenceRecord
from contracts.validator_sets import CandidateRecord, ValidatorRecord
from sdk.client import Client, FinalReceipt
from sdk.system_contracts.answer import ask


class Members:
    """The system contract `members` on the network of a client."""

    def __init__(self, client: Client) -> None:
        """Ask through `client`; what writes needs its signer."""
        self._client = client

    def add_department(self, *, code: str, name: str, region: str, level: str, parent: str) -> FinalReceipt:
        """Register a department under its unified social credit code; `parent` is its superior's code or empty.

        For: governor. Returns the receipt once the call is final; raises CallRefused with the contract's reason.
        """
        return self._client.call(
            "members",
            "add_department",
            code=code,
            name=name,
            region=region,
            level=level,
            parent=parent,
        )

    def suspend_department(self, *, code: str, reason: str) -> FinalReceipt:
        """Suspend a department: none of its accounts can write until it is resumed.

        For: governor. Returns the receipt once the call is final; raises CallRefused with the contract's reason.
        """
        return self._client.call("members", "suspend_department", code=code, reason=reason)

    def resume_department(self, *, code: str, reason: str) -> FinalReceipt:
        """End the suspension of a department.

        For: governor. Returns the receipt once the call is final; raises CallRefused with the contract's reason.
        """
        return self._client.call("members", "resume_department", code=code, reason=reason)

    def add_account(
        self,
        *,
        department: str,
        public_key: bytes,
        name: str,
        roles: Sequence[str],
        signature: bytes,
    ) -> FinalReceipt:
        """Register an account by its 64-byte SM2 key for a department, or take a removed one up again; the key signs that it agrees.

        For: governor, administrator. Returns the receipt once the call is final; raises CallRefused with the contract's reason.
        """
        return self._client.call(
            "members",
            "add_account",
            department=department,
            public_key=public_key,
            name=name,
            roles=list(roles),
            signature=signature,
        )

    def set_roles(self, *, account: bytes, roles: Sequence[str]) -> FinalReceipt:
        """Replace the roles of an account.

        For: governor, administrator. Returns the receipt once the call is final; raises CallRefused with the contract's reason.
        """
        return self._client.call("members", "set_roles", account=account, roles=list(roles))

    def remove_account(self, *, account: bytes, reason: str) -> FinalReceipt:
        """Remove an account: its record stays, its signature counts no longer.

        For: governor, administrator. Returns the receipt once the call is final; raises CallRefused with the contract's reason.
        """
        return self._client.call("members", "remove_account", account=account, reason=reason)

    def set_encryption_key(self, *, public_key: bytes, signature: bytes) -> FinalReceipt:
        """Set the 64-byte SM2 key that others seal to the caller's department with, by its own signature, and return its number.

        For: governor, administrator. Returns the receipt once the call is final; raises CallRefused with the contract's reason.
        The receipt's output is a uint64.
        """
        return self._client.call("members", "set_encryption_key", public_key=public_key, signature=signature)

    def add_validator(self, *, department: str, name: str, public_key: bytes) -> FinalReceipt:
        """Make a candidate of a 64-byte SM2 key: it votes once its node, synced, has sent confirm_validator.

        For: governor. Returns the receipt once the call is final; raises CallRefused with the contract's reason.
        """
        return self._client.call("members", "add_validator", department=department, name=name, public_key=public_key)

    def withdraw_candidate(self, *, address: bytes, reason: str) -> FinalReceipt:
        """Take a candidate back that has not joined yet.

        For: governor. Returns the receipt once the call is final; raises CallRefused with the contract's reason.
        """
        return self._client.call("members", "withdraw_candidate", address=address, reason=reason)

    def confirm_validator(self, *, height: int, block_id: bytes) -> FinalReceipt:
        """Join from the next height on: the sender, a candidate, names a recent block since it was added, so its node is synced.

        For: candidate, with its validator key. Returns the receipt once the call is final; raises CallRefused with the contract's reason.
        """
        return self._client.call("members", "confirm_validator", height=height, block_id=block_id)

    def remove_validator(self, *, address: bytes, reason: str) -> FinalReceipt:
        """Remove a validator: it votes no longer from the next height on; at least four remain where four founded the network.

        For: governor. Returns the receipt once the call is final; raises CallRefused with the contract's reason.
        """
        return self._client.call("members", "remove_validator", address=address, reason=reason)

    def department(self, code: str) -> DepartmentRecord:
        """Return the record of a department."""
        found: DepartmentRecord = ask(self._client, "members", "department", code=code)
        return found

    def account(self, account: bytes) -> AccountRecord:
        """Return the record of an account, removed ones included."""
        found: AccountRecord = ask(self._client, "members", "account", account=account)
        return found

    def has_role(self, *, account: bytes, department: str, role: str) -> bool:
        """Return whether an account may act for a department in a role at present; an unknown account may not. Refuses an unknown role."""
        found: bool = ask(self._client, "members", "has_role", account=account, department=department, role=role)
        return found

    def department_of(self, account: bytes) -> str:
        """Return the code of the department that an account may act for at present, empty when there is none."""
        found: str = ask(self._client, "members", "department_of", account=account)
        return found

    def encryption_key(self, department: str) -> EncryptionKeyRecord:
        """Return the key that a department is sealed to with at present; ENCRYPTION_KEY_UNKNOWN where it has set none."""
        found: EncryptionKeyRecord = ask(self._client, "members", "encryption_key", department=department)
        return found

    def encryption_key_numbered(self, *, department: str, number: int) -> EncryptionKeyRecord:
        """Return an encryption key of a department, counted from 1, earlier ones included."""
        found: EncryptionKeyRecord = ask(
            self._client,
            "members",
            "encryption_key_numbered",
            department=department,
            number=number,
        )
        return found

    def validators(self) -> tuple[ValidatorRecord, ...]:
        """Return the validators of the next height."""
        found: tuple[ValidatorRecord, ...] = ask(self._client, "members", "validators")
        return found

    def candidates(self) -> tuple[CandidateRecord, ...]:
        """Return the candidates: added, and not confirmed yet."""
        found: tuple[CandidateRecord, ...] = ask(self._client, "members", "candidates")
        return found

    def validators_at(self, height: int) -> tuple[ValidatorRecord, ...]:
        """Return the validators that decide a height up to the next one."""
        found: tuple[ValidatorRecord, ...] = ask(self._client, "members", "validators_at", height=height)
        return found

    def offences(self, address: bytes) -> tuple[OffenceRecord, ...]:
        """Return the offences of a validator that stand on the chain, latest recorded first, at most 64."""
        found: tuple[OffenceRecord, ...] = ask(self._client, "members", "offences", address=address)
        return found
