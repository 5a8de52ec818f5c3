"""Holders' statements at the issuer: verified, kept, and taken to the ledger; by a one-time code where the holder has no key."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Final

from contracts.accounts import ISSUER, RECORDER
from contracts.authorisations import NO_CODE, AuthorisationRecord, FetchRecord
from sdk.certificate_sharing.holdings import Holdings
from sdk.certificate_sharing.store import SharingStore
from sdk.client import Client
from sdk.errors import RequestRefused
from sdk.system_contracts.authorisations import Authorisations
from sdk.system_contracts.members import Members
from verification.authorisations import (
    CODE_DIGITS,
    Authorisation,
    another_document,
    authorisation_id,
    check_network,
    code_digest,
    decode_authorisation,
    decode_withdrawal,
    make_authorisation,
    verify_authorisation,
    verify_withdrawal,
)
from verification.certificate_files.document import CertificateDocument
from verification.errors import InputError

SALT_BYTES: Final = 32
MAX_AUTHORISATIONS: Final = 1_000
"""Of one document."""
REFUSAL_S: Final = 0.1
"""From a statement to its refusal: longer than finding and opening a document takes, so that how long does not tell of one."""


class Statements:
    """What an issuer's department keeps and records of its certificates' holders; it may be used from any thread."""

    def __init__(self, client: Client, holdings: Holdings, store: SharingStore) -> None:
        """Take a client that signs with an account of the issuer; raise InputError ROLE_MISSING where that may not record them."""
        self.client, self.holdings, self.store = client, holdings, store
        self.department = check_roles(client, ISSUER, RECORDER)
        self._genesis = genesis_of(client)
        self._ledger = Authorisations(client)
        self._lock = threading.Lock()

    def authorise(self, raw: bytes) -> Authorisation:
        """Take a holder's signed statement to the ledger, once however often it comes; raise GovnodeError with the reason otherwise."""
        statement = decode_authorisation(raw)
        check_network(statement.genesis, self._genesis)
        answer_s = time.monotonic() + REFUSAL_S
        try:
            self._verify(statement)
        except InputError:
            # Whoever may send statements: neither what is said nor when is to tell which certificates there are.
            time.sleep(max(0.0, answer_s - time.monotonic()))
            raise
        self._record(statement, NO_CODE)
        return statement

    def authorise_by_code(
        self,
        identifier: str,
        code: str,
        *,
        recipient: str,
        purpose: str,
        fields: Sequence[str],
        attachments: Sequence[str],
        from_ms: int,
        to_ms: int,
    ) -> Authorisation:
        """Record what a holder has said to the issuer, who knows the holder by other means: one fetch, with a code."""
        document = self.holdings.document(identifier)
        statement = make_authorisation(
            document,
            genesis=self._genesis,
            number=next_number(self.client, document),
            recipient=recipient,
            purpose=purpose,
            fields=fields,
            attachments=attachments,
            from_ms=from_ms,
            to_ms=to_ms,
            max_fetches=1,
            salt=secrets.token_bytes(SALT_BYTES),
        )
        self._record(statement, code_digest(bytes.fromhex(document.secret), bytes.fromhex(statement.id), code))
        return statement

    def withdraw(self, raw: bytes) -> bytes:
        """Record a holder's signed withdrawal and return the authorisation's 32-byte id; raise GovnodeError with the reason otherwise."""
        withdrawal = decode_withdrawal(raw)
        name = bytes.fromhex(withdrawal.id)
        statement = self.find(withdrawal.id, "", "")
        verify_withdrawal(withdrawal, self.holdings.document(statement.identifier), self._genesis)
        self._ledger.withdraw(authorisation=name, withdrawal=withdrawal.digest)
        return name

    def find(self, name: str, identifier: str, recipient: str) -> Authorisation:
        """Return a statement by its id in hex digits, or the latest one about a certificate for a department where that is empty.

        Raises InputError AUTHORISATION_UNKNOWN.
        """
        found = self.store.authorisation(bytes.fromhex(name)) if name else self.store.latest(identifier, recipient)
        if found is None:
            raise InputError(
                "AUTHORISATION_UNKNOWN",
                f"没有持证人对 {name or identifier} 的授权",
                f"no holder has authorised {name or identifier} here",
            )
        return found

    def _verify(self, statement: Authorisation) -> None:
        """Return if the holder of the certificate has signed a statement; one that is not held is refused as a changed one is."""
        try:
            document = self.holdings.document(statement.identifier)
        except InputError as error:
            if error.code != "CERTIFICATE_NOT_HELD":
                raise
            raise another_document(statement.identifier) from None
        verify_authorisation(statement, document, self._genesis)

    def _record(self, statement: Authorisation, code: bytes) -> None:
        name = bytes.fromhex(statement.id)
        with self._lock:
            if self._is_recorded(statement):
                return
            # Kept before the ledger has it: what was authorised can be served whenever this process ends.
            self.store.keep(statement)
            self._ledger.authorise(
                authorisation=name,
                recipient=statement.recipient,
                statement=statement.digest,
                purpose=statement.purpose_commitment(statement.purpose),
                code=code,
                from_ms=statement.from_ms,
                to_ms=statement.to_ms,
                max_fetches=statement.max_fetches,
            )

    def _is_recorded(self, statement: Authorisation) -> bool:
        """Return whether the ledger has this statement; raise InputError AUTHORISATION_EXISTS where it has another of this number."""
        try:
            recorded = self._ledger.authorisation(issuer=self.department, authorisation=bytes.fromhex(statement.id))
        except RequestRefused as error:
            if error.code != "AUTHORISATION_UNKNOWN":
                raise
            return False
        if recorded.statement != statement.digest:
            raise InputError(
                "AUTHORISATION_EXISTS",
                f"该证照的第 {statement.number} 项授权已登记为另一份，请重新作出授权",
                f"authorisation {statement.number} of this certificate is recorded with other content: make a new one",
            )
        return True


def check_roles(client: Client, *roles: str) -> str:
    """Return the department of the client's account if it holds one of these roles; raise InputError ROLE_MISSING otherwise."""
    account = Members(client).account(client.address)
    if not set(roles) & set(account.roles):
        needed = " | ".join(roles)
        raise InputError(
            "ROLE_MISSING",
            f"账户需要角色 {needed}，现有 {', '.join(account.roles)}",
            f"the account needs the role {needed}, it has {', '.join(account.roles)}",
        )
    return account.department


def genesis_of(client: Client) -> bytes:
    """Return the 32-byte genesis hash of the client's network."""
    return bytes.fromhex(client.status()["genesis_hash"].removeprefix("0x"))


def next_number(client: Client, document: CertificateDocument) -> int:
    """Return the number of a document's next authorisation: the first that the ledger does not have."""
    number = sum(1 for _ in _recorded(client, document))
    if number < MAX_AUTHORISATIONS:
        return number
    raise InputError(
        "TOO_MANY_AUTHORISATIONS",
        f"一份证照至多 {MAX_AUTHORISATIONS} 项授权",
        f"one certificate has at most {MAX_AUTHORISATIONS} authorisations",
    )


def list_authorisations(
    client: Client, document: CertificateDocument
) -> Iterator[tuple[AuthorisationRecord, list[FetchRecord]]]:
    """Yield every authorisation of a document and the fetches under it, oldest first; any node tells them to who has the document."""
    ledger = Authorisations(client)
    for record in _recorded(client, document):
        numbers = range(1, record.fetch_count + 1)
        yield record, [ledger.fetch(issuer=record.issuer, authorisation=record.id, number=one) for one in numbers]


def _recorded(client: Client, document: CertificateDocument) -> Iterator[AuthorisationRecord]:
    """Yield the authorisations of a document up to the first number that the ledger does not have."""
    secret, issuer = bytes.fromhex(document.secret), document.core.issuer_code
    for number in range(MAX_AUTHORISATIONS):
        try:
            yield Authorisations(client).authorisation(issuer=issuer, authorisation=authorisation_id(secret, number))
        except RequestRefused as error:
            if error.code != "AUTHORISATION_UNKNOWN":
                raise
            return


def make_code() -> str:
    """Return a random one-time code."""
    return f"{secrets.randbelow(10**CODE_DIGITS):0{CODE_DIGITS}}"
