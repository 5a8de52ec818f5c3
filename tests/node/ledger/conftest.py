"""A small network's genesis, its accounts and validators, and ledgers over it in temporary folders."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from consensus.certificate import verify_certificate
from consensus.evidence import double_vote, encode_evidence
from consensus.messages import CommitCertificate, Vote, VoteKind, vote_sign_digest
from consensus.validators import ValidatorSet
from contracts import registry
from contracts.accounts import address_of_key
from contracts.identifiers import uscc_check_character
from contracts.parameters import ChainParameters
from node.chain.codec import encode
from node.chain.genesis import Genesis, GenesisAccount, GenesisDepartment, GenesisValidator
from node.chain.transaction import (
    Transaction,
    TransactionBody,
    VerifiedTransaction,
    transaction_hash,
    transaction_id,
)
from node.ledger.ledger import CommittedBlock, ExecutedBlock, Ledger
from sm_crypto.sm2 import PrivateKey, verify_batch
from sm_crypto.sm3 import sm3

GENESIS_MS = 1_750_000_000_000
CHAIN_ID = 77
BODY = "11330100002500287"
DEPARTMENT = BODY + uscc_check_character(BODY)


def key_of(name: str) -> PrivateKey:
    return PrivateKey.from_bytes(b"\0" + sm3(name.encode())[1:])


class Network:
    """Four validators, and a department with a governor, an issuer and a recorder; makes transactions, certificates, blocks."""

    def __init__(self, **parameters: int) -> None:
        self.department = DEPARTMENT
        self.validator_keys = [key_of(f"validator {index}") for index in range(4)]
        self.governor, self.issuer, self.recorder = (key_of(name) for name in ("governor", "issuer", "recorder"))
        accounts = tuple(
            GenesisAccount(getattr(self, role).public_key, (role,), role) for role in ("governor", "issuer", "recorder")
        )
        self.genesis = Genesis(
            CHAIN_ID,
            "测试网络",
            GENESIS_MS,
            ChainParameters(**parameters),
            tuple(
                GenesisValidator(f"node{index}", DEPARTMENT, key.public_key)
                for index, key in enumerate(self.validator_keys)
            ),
            (GenesisDepartment(DEPARTMENT, "数据局", "330100", "city", "", accounts),),
            b"",
        )
        self.proposer = self.genesis.validator_set().members[0].address
        self._serial = 0

    def open(self, path: Path, **options: Any) -> Ledger:
        return Ledger.open(path, self.genesis, **options)

    def transaction(
        self,
        sender: PrivateKey,
        to: bytes | None,
        data: bytes,
        *,
        valid_until_ms: int = GENESIS_MS + 500_000,
        chain_id: int = CHAIN_ID,
        gas_limit: int = 1_000_000,
    ) -> VerifiedTransaction:
        self._serial += 1
        nonce = self._serial.to_bytes(16)
        body = TransactionBody(1, chain_id, nonce, valid_until_ms, sender.public_key, to, gas_limit, data)
        # The ledger takes transactions whose signatures were checked before; it never looks at them.
        raw = encode(Transaction(body, bytes(64)))
        return VerifiedTransaction(
            raw, transaction_hash(raw), transaction_id(body), address_of_key(sender.public_key), body
        )

    def anchor(self, digest: bytes, label: str = "件", **options: Any) -> VerifiedTransaction:
        to, data = registry.encode_call("anchors", "anchor", digest=digest, label=label)
        return self.transaction(options.pop("sender", self.recorder), to, data, **options)

    def anchors(self, seed: int, count: int) -> list[VerifiedTransaction]:
        return [self.anchor(sm3(f"{seed}/{index}".encode())) for index in range(count)]

    def certify(self, executed: ExecutedBlock, signers: int = 3) -> CommitCertificate:
        height, block_id = executed.header.height, executed.block_id
        digest = vote_sign_digest(self.genesis.hash, VoteKind.PRECOMMIT, height, 0, block_id)
        keys = {key.public_key: key for key in self.validator_keys}
        members = self.genesis.validator_set().members[:signers]
        signatures = [keys[member.public_key].sign(digest) for member in members]
        return CommitCertificate(height, 0, block_id, list(range(signers)), signatures)

    def build(self, ledger: Ledger, transactions: list[VerifiedTransaction], step_ms: int = 1_000) -> ExecutedBlock:
        return ledger.build_block(transactions, ledger.head_time_ms + step_ms, self.proposer)

    def commit(self, ledger: Ledger, transactions: list[VerifiedTransaction], step_ms: int = 1_000) -> CommittedBlock:
        executed = self.build(ledger, transactions, step_ms)
        return ledger.commit(executed, self.certify(executed))


class ChangingChain:
    """A ledger whose blocks are certified by the set of their height, whoever that is."""

    def __init__(self, network: Network, ledger: Ledger) -> None:
        self.network, self.ledger = network, ledger
        self.new = PrivateKey.from_bytes(b"\0" + sm3(b"a fifth validator")[1:])
        self.keys = {key.public_key: key for key in (*network.validator_keys, self.new)}

    def call(self, sender: PrivateKey, method: str, **arguments: Any) -> Any:
        return self.network.transaction(sender, *registry.encode_call("members", method, **arguments))

    def add(self) -> Any:
        return self.call(
            self.network.governor,
            "add_validator",
            department=self.network.department,
            name="fifth",
            public_key=self.new.public_key,
        )

    def confirm(self, height: int | None = None) -> Any:
        height = self.ledger.height if height is None else height
        return self.call(self.new, "confirm_validator", height=height, block_id=self.ledger.head_id)

    def remove(self, key: PrivateKey) -> Any:
        address = address_of_key(key.public_key)
        return self.call(self.network.governor, "remove_validator", address=address, reason="退出")

    def vote(self, validators: ValidatorSet, index: int, height: int, value: bytes) -> Vote:
        digest = vote_sign_digest(self.network.genesis.hash, VoteKind.PREVOTE, height, 0, value)
        signature = self.keys[validators.members[index].public_key].sign(digest)
        return Vote(VoteKind.PREVOTE, height, 0, value, index, signature)

    def double(self, validators: ValidatorSet, index: int, height: int) -> bytes:
        return encode_evidence(
            double_vote(*(self.vote(validators, index, height, v) for v in (b"\1" * 32, b"\2" * 32)))
        )

    def certify(self, height: int, decided_id: bytes, validators: ValidatorSet) -> CommitCertificate:
        digest = vote_sign_digest(self.network.genesis.hash, VoteKind.PRECOMMIT, height, 0, decided_id)
        signers = list(range(validators.quorum))
        signatures = [self.keys[validators.members[index].public_key].sign(digest) for index in signers]
        return CommitCertificate(height, 0, decided_id, signers, signatures)

    def commit(self, *transactions: Any, evidence: tuple[bytes, ...] = ()) -> CommittedBlock:
        ledger, validators = self.ledger, self.ledger.validators()
        height = ledger.height + 1
        proposer = validators.members[validators.proposer_index(height, 0)].address
        executed = ledger.build_block(transactions, ledger.head_time_ms + 1_000, proposer, evidence)
        certificate = self.certify(height, executed.block_id, validators)
        verify_certificate(certificate, executed.block_id, validators, self.network.genesis.hash, verify_batch)
        return ledger.commit(executed, certificate)

    def grow(self) -> None:
        """Heights 1 to 6: named at 1, joined by 2, so that five decide 3 and 4; one removed by 4, so that four decide 5 and 6."""
        for transaction in (
            self.add,
            self.confirm,
            None,
            lambda: self.remove(self.network.validator_keys[0]),
            None,
            None,
        ):
            committed = self.commit(*([] if transaction is None else [transaction()]))
            assert [receipt.refusal for receipt in committed.receipts] == [None] * len(committed.receipts)


@pytest.fixture(scope="session")
def network() -> Network:
    return Network()


@pytest.fixture
def make_network() -> Callable[..., Network]:
    return Network


@pytest.fixture
def ledger(network: Network, tmp_path: Path) -> Iterator[Ledger]:
    ledger = network.open(tmp_path / "data")
    yield ledger
    ledger.close()


@pytest.fixture
def make_chain(network: Network) -> Callable[[Ledger], ChangingChain]:
    """Return a function that puts a chain with changing validators over a ledger."""
    return lambda ledger: ChangingChain(network, ledger)
