"""Chains made without network and signatures of transactions: what benches of the ledger work on."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from consensus.messages import CommitCertificate, VoteKind, vote_sign_digest
from contracts import registry
from contracts.accounts import address_of_key
from contracts.identifiers import make_identifier, uscc_check_character
from contracts.parameters import ChainParameters
from node.chain.codec import encode
from node.chain.genesis import Genesis, GenesisAccount, GenesisDepartment, GenesisValidator
from node.chain.transaction import Transaction, TransactionBody, VerifiedTransaction, transaction_hash, transaction_id
from node.ledger.ledger import ExecutedBlock, Ledger
from sm_crypto.sm2 import PrivateKey
from sm_crypto.sm3 import sm3

GENESIS_MS: Final = 1_750_000_000_000
BLOCK_MS: Final = 250
DEPARTMENT: Final = "11330100002500287" + uscc_check_character("11330100002500287")
TYPE: Final = "11100000MB03271699001"
_MAX_BLOCK_BYTES: Final = 12_000_000
_MAX_BLOCK_TRANSACTIONS: Final = 20_000
_GAS_LIMIT: Final = 500_000


class MadeChain:
    """A chain of one validator made in this process, block by block."""

    def __init__(
        self, folder: Path, names: Sequence[str], departments: Sequence[GenesisDepartment], block_ms: int = BLOCK_MS
    ) -> None:
        """Open one new ledger a name in `folder`; the first department has the validator, `block_ms` is the time between blocks."""
        self.block_ms = block_ms
        self.validator = PrivateKey.generate()
        self.genesis = Genesis(
            7,
            "bench",
            GENESIS_MS,
            ChainParameters(max_block_transactions=_MAX_BLOCK_TRANSACTIONS, max_block_bytes=_MAX_BLOCK_BYTES),
            (GenesisValidator("node1", departments[0].code, self.validator.public_key),),
            tuple(departments),
            b"",
        )
        self.ledgers = [Ledger.open(folder / name, self.genesis) for name in names]
        self.proposer = address_of_key(self.validator.public_key)

    def transaction(self, key: PrivateKey, to: bytes, data: bytes, gas_limit: int = _GAS_LIMIT) -> VerifiedTransaction:
        """Return a call as if its signature had been verified; it has none."""
        valid_until_ms = self.ledgers[0].head_time_ms + 60_000
        body = TransactionBody(1, 7, sm3(data)[:16], valid_until_ms, key.public_key, to, gas_limit, data)
        raw = encode(Transaction(body, bytes(64)))
        return VerifiedTransaction(
            raw, transaction_hash(raw), transaction_id(body), address_of_key(key.public_key), body
        )

    def commit(self, ledgers: Sequence[Ledger], transactions: list[VerifiedTransaction]) -> list[float]:
        """Build on the first ledger, execute on the others, commit on all; return us a transaction of each on the last."""
        clock = time.thread_time
        builder = ledgers[0]
        start = clock()
        built = builder.build_block(transactions, builder.head_time_ms + self.block_ms, self.proposer)
        times = [clock() - start]
        assert len(built.transactions) == len(transactions), "a block holds all that the bench gives it"
        assert all(receipt.refusal is None for receipt in built.receipts), "the bench's own calls are good"
        height, identifier = built.header.height, built.block_id
        digest = vote_sign_digest(self.genesis.hash, VoteKind.PRECOMMIT, height, 0, identifier)
        certificate = CommitCertificate(height, 0, identifier, [0], [self.validator.sign(digest)])
        executed: ExecutedBlock = built
        for ledger in ledgers[1:]:
            start = clock()
            executed = ledger.execute_block(built.header, transactions, ())
            times.append(clock() - start)
        builder.commit(built, certificate)
        for ledger in ledgers[1:]:
            start = clock()
            ledger.commit(executed, certificate)
            times.append(clock() - start)
        return [seconds / len(transactions) * 1e6 for seconds in times]


class IssuedChain(MadeChain):
    """One department, one issuer, as many certificates as asked for."""

    def __init__(self, folder: Path, names: Sequence[str], block_ms: int = BLOCK_MS) -> None:
        """Open one new ledger a name in `folder`, each at block 1; `block_ms` is the time between blocks."""
        self.governor, self.issuer = PrivateKey.generate(), PrivateKey.generate()
        accounts = tuple(
            GenesisAccount(key.public_key, (role,), role)
            for key, role in ((self.governor, "governor"), (self.issuer, "issuer"))
        )
        department = GenesisDepartment(DEPARTMENT, "数据局", "330100", "city", "", accounts)
        super().__init__(folder, names, (department,), block_ms)
        self.issued = 0
        register = {
            "code": TYPE,
            "name": "不动产权证书",
            "defining_body": "自然资源部",
            "defining_level": "national",
            "holder_category": "person",
            "validity_range": "长期",
            "issuing_level": "city",
            "certificate_class": "certificate",
            "code_table": "default",
            "issuers": [DEPARTMENT],
        }
        self.commit(
            self.ledgers,
            [self.transaction(self.governor, *registry.encode_call("certificates", "register_type", **register))],
        )

    def issues(self, count: int) -> list[VerifiedTransaction]:
        """Return calls that issue the next `count` certificates."""
        found = []
        for number in range(self.issued, self.issued + count):
            identifier = make_identifier(TYPE, DEPARTMENT, f"{number:09d}")
            digest = sm3(identifier.encode())
            to, data = registry.encode_call(
                "certificates",
                "issue",
                identifier=identifier,
                document_digest=digest,
                holder_commitment=digest,
                valid_from_ms=GENESIS_MS,
                valid_to_ms=GENESIS_MS + 10**11,
            )
            found.append(self.transaction(self.issuer, to, data))
        self.issued += count
        return found
