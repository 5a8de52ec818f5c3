"""An auditing authority with its person service, and a department that asks it, over a hand-made chain."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from contracts.data_sharing.encryption_keys import EncryptionKeyStatement
from contracts.registration import AccountRegistration
from sdk.client import Client
from sdk.department_services.accounts import SignedCallers
from sdk.persons.counts import CountBook, PersonLimits
from sdk.persons.service import PersonDesk, make_person_service
from sm_crypto.keystore import Signer
from sm_crypto.sm2 import PrivateKey
from tests.hand_made_chain import DEPARTMENT, HandMadeChain
from tests.served import serve

__all__ = ["serve"]

PERSON_KEY = bytes(range(32))


def add_account(chain: HandMadeChain, department: str, name: str, role: str) -> PrivateKey:
    """Add an account of a department and return its key."""
    key = PrivateKey.generate()
    registration = AccountRegistration(chain.genesis.hash, department, key.public_key, name, [role])
    stated = {"department": department, "public_key": key.public_key, "name": name, "roles": [role]}
    chain.call(chain.governor, "members", "add_account", **stated, signature=key.sign(registration.digest))
    return key


def set_encryption_key(chain: HandMadeChain, administrator: PrivateKey, department: str) -> PrivateKey:
    """Give a department a new encryption key and return it."""
    key = PrivateKey.generate()
    statement = EncryptionKeyStatement(chain.genesis.hash, department, key.public_key)
    signature = key.sign(statement.digest)
    chain.call(administrator, "members", "set_encryption_key", public_key=key.public_key, signature=signature)
    return key


@dataclass
class PersonOffice:
    """Everything that takes part; `keys` are the authority's encryption keys, the present one last."""

    node: Any
    client: Client
    signer: Signer
    administrator: PrivateKey
    keys: list[PrivateKey]
    counts: CountBook
    desk: PersonDesk
    url: str

    def renew_key(self) -> None:
        """Give the authority another encryption key, which its service has from now on."""
        self.keys.append(set_encryption_key(self.node.chain, self.administrator, DEPARTMENT))
        self.desk.__init__(self.client, [PERSON_KEY], self.keys, self.counts)  # type: ignore[misc]


@pytest.fixture
def office(node: Any, tmp_path: Path, serve: Callable[[Any], str]) -> Iterator[PersonOffice]:
    administrator = add_account(node.chain, DEPARTMENT, "管理员", "administrator")
    keys = [set_encryption_key(node.chain, administrator, DEPARTMENT)]
    counts = CountBook(tmp_path / "counts.db", PersonLimits(per_minute=40, per_day=60))
    signer = Signer(node.chain.consumer)
    with Client(node.url, signer) as client:
        desk = PersonDesk(client, [PERSON_KEY], keys, counts)
        url = serve(make_person_service(desk, SignedCallers(client, frozenset())))
        yield PersonOffice(node, client, signer, administrator, keys, counts, desk, url)
    counts.close()
