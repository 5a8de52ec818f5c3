"""Candidate blocks: built by a proposer, executed by everybody before the vote, kept until their height is decided."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from consensus.evidence import InvalidEvidence
from consensus.validators import Validator, ValidatorSet
from contracts.parameters import ChainParameters
from contracts.recent_blocks import save_block_id
from contracts.validator_sets import load_validators
from node.chain.block import BLOCK_VERSION, Header, Receipt, block_id, evidence_root
from node.chain.execution import BlockExecution, ContractFault, Unfit
from node.chain.genesis import Genesis
from node.chain.state_tree import TreeChange
from node.chain.transaction import VerifiedTransaction
from node.chain.world_state import WorldState
from node.ledger.block_store import Head
from node.ledger.evidence_judge import JudgedEvidence, choose_block_evidence, judge_block_evidence, record_evidence
from node.ledger.state_store import StateStore
from sm_crypto.merkle import AppendOnlyTree, merkle_root
from sm_crypto.sm3 import sm3_many

MAX_CANDIDATES: Final = 8

_KNOWN_BEFORE: Final = (
    "height",
    "parent_id",
    "history_root",
    "validators_hash",
    "parameters_hash",
    "transactions_root",
    "evidence_root",
)
_KNOWN_AFTER: Final = ("receipts_root", "state_root", "next_validators_hash")


class InvalidBlock(Exception):
    """A block breaks a rule, or its header does not state what executing it gives; `reason` says which."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class ExecutedBlock(msgspec.Struct, frozen=True, gc=False):
    """A candidate with all that executing it gave, ready to be committed. Nothing of it is on disk."""

    header: Header
    block_id: bytes
    transactions: tuple[VerifiedTransaction, ...]
    evidence: tuple[bytes, ...]
    receipts: tuple[Receipt, ...]
    encoded_receipts: tuple[bytes, ...]
    unfit: tuple[tuple[VerifiedTransaction, Unfit], ...]
    """What build() was given and left out for good, with the reasons."""
    faults: tuple[ContractFault, ...]
    """Contracts that failed in undeclared ways: worth an operator's attention, no matter for consensus."""
    next_validators: ValidatorSet
    changes: dict[bytes, bytes | None]
    """The new value of every changed key in the order of keys, None where it is deleted."""
    replaced: dict[bytes, bytes]
    """The old values of changed keys that had one."""
    tree: TreeChange | None
    """None where the state stays as it is."""


class Candidates:
    """The blocks built and executed over one head. Each is on its own: none sees what another has written."""

    def __init__(self, genesis: Genesis, store: StateStore, is_repeated: Callable[[bytes], bool]) -> None:
        """Stand over no head until start(); `is_repeated` tells whether a final block holds a transaction id."""
        self._genesis = genesis
        self._store = store
        self._is_repeated = is_repeated
        self._executed: dict[bytes, ExecutedBlock] = {}

    def start(self, head: Head, validators: ValidatorSet, parameters: ChainParameters) -> None:
        """Drop every candidate; the next ones stand over `head`, decided by `validators` and under `parameters`."""
        self._executed.clear()
        self._head = head
        self._validators = validators
        self._parameters = parameters
        self._parameters_hash = parameters.hash
        self._history_root = AppendOnlyTree(head.history_count, head.history_peaks).root()

    def build(
        self, transactions: Sequence[VerifiedTransaction], time_ms: int, proposer: bytes, evidence: Sequence[bytes]
    ) -> ExecutedBlock:
        """Return the block over those of the transactions and the evidence that fit; ValueError on a time not above the parent's."""
        if time_ms <= self._head.time_ms:
            raise ValueError(f"expected a time above the parent's {self._head.time_ms}, found {time_ms}")
        state = WorldState(self._store.get)
        judged = choose_block_evidence(evidence, self._store, self._head.height, self._genesis.hash)
        evidence = [piece.raw for piece in judged]
        execution = self._execution(state, time_ms, judged)
        unfit = execution.run_fitting(transactions)
        header = self._header_before(execution.transactions, time_ms, proposer, evidence)
        return self._remember(self._finish(header, execution, state, evidence, unfit))

    def execute(
        self, header: Header, transactions: Sequence[VerifiedTransaction], evidence: Sequence[bytes]
    ) -> ExecutedBlock:
        """Return the executed block, at once when it is known; raise InvalidBlock when it breaks a rule."""
        known = self._executed.get(block_id(header))
        if known is not None and known.evidence == tuple(evidence):
            # The header names the transactions by a root; compare what was executed, not what is claimed.
            hashes = [transaction.hash for transaction in transactions]
            if hashes == [transaction.hash for transaction in known.transactions]:
                return known
        self._check_before(header, transactions, evidence)
        try:
            judged = judge_block_evidence(evidence, self._store, self._head.height, self._genesis.hash)
        except InvalidEvidence as error:
            raise InvalidBlock(f"evidence: {error.reason}") from None
        state = WorldState(self._store.get)
        execution = self._execution(state, header.time_ms, judged)
        for index, transaction in enumerate(transactions):
            unfit = execution.unfit(transaction)
            if unfit is not None:
                raise InvalidBlock(f"transaction {index} ({transaction.id.hex()}): {unfit.value}")
            execution.run(transaction)
        executed = self._finish(header, execution, state, evidence, ())
        for field in _KNOWN_AFTER:
            _expect(field, getattr(executed.header, field), getattr(header, field))
        return self._remember(executed)

    def _execution(self, state: WorldState, time_ms: int, judged: Sequence[JudgedEvidence]) -> BlockExecution:
        """Return the execution of the next block, what comes before its transactions already written."""
        height = self._head.height + 1
        save_block_id(state, self._head.height, self._head.block_id)
        record_evidence(judged, state, height, time_ms)
        return BlockExecution(state, self._parameters, self._genesis.chain_id, height, time_ms, self._is_repeated)

    def _header_before(
        self, transactions: Sequence[VerifiedTransaction], time_ms: int, proposer: bytes, evidence: Sequence[bytes]
    ) -> Header:
        """Return the next block's header but for the results of execution, which stand as zeros."""
        return Header(
            version=BLOCK_VERSION,
            height=self._head.height + 1,
            parent_id=self._head.block_id,
            history_root=self._history_root,
            time_ms=time_ms,
            proposer=proposer,
            transactions_root=merkle_root(sm3_many([b"\x00" + transaction.hash for transaction in transactions])),
            receipts_root=bytes(32),
            state_root=bytes(32),
            validators_hash=self._validators.hash,
            next_validators_hash=bytes(32),
            parameters_hash=self._parameters_hash,
            evidence_root=evidence_root(evidence),
        )

    def _check_before(
        self, header: Header, transactions: Sequence[VerifiedTransaction], evidence: Sequence[bytes]
    ) -> None:
        """Raise InvalidBlock unless the header states what is known before execution."""
        if header.time_ms <= self._head.time_ms:
            raise InvalidBlock(f"expected a time above the parent's {self._head.time_ms}, found {header.time_ms}")
        if self._validators.index_of(header.proposer) is None:
            raise InvalidBlock(f"expected a validator as proposer, found {header.proposer.hex()}")
        expected = self._header_before(transactions, header.time_ms, header.proposer, evidence)
        for field in _KNOWN_BEFORE:
            _expect(field, getattr(expected, field), getattr(header, field))

    def _finish(
        self,
        header: Header,
        execution: BlockExecution,
        state: WorldState,
        evidence: Sequence[bytes],
        unfit: tuple[tuple[VerifiedTransaction, Unfit], ...],
    ) -> ExecutedBlock:
        """Return the executed block, its header with the results of execution in it."""
        execution.finish()
        changes = state.changes()
        replaced = {key: old for key in changes if (old := state.replaced(key)) is not None}
        tree = self._store.update(self._head.root_version, header.height, changes)
        try:
            next_validators = validators_in(state)
        except ValueError as error:
            raise InvalidBlock(f"the block leaves no valid set of validators: {error}") from None
        header = msgspec.structs.replace(
            header,
            receipts_root=merkle_root(sm3_many([b"\x00" + receipt for receipt in execution.encoded_receipts])),
            state_root=self._head.state_root if tree is None else tree.root_hash,
            next_validators_hash=next_validators.hash,
        )
        return ExecutedBlock(
            header,
            block_id(header),
            tuple(execution.transactions),
            tuple(evidence),
            tuple(execution.receipts),
            tuple(execution.encoded_receipts),
            unfit,
            tuple(execution.faults),
            next_validators,
            changes,
            replaced,
            tree,
        )

    def _remember(self, executed: ExecutedBlock) -> ExecutedBlock:
        """Keep a candidate until its height is decided, the latest MAX_CANDIDATES of them."""
        self._executed[executed.block_id] = executed
        if len(self._executed) > MAX_CANDIDATES:
            del self._executed[next(iter(self._executed))]
        return executed


def validators_in(state: WorldState) -> ValidatorSet:
    """Return the validators that a state names for the next height; raise ValueError when they make no set."""
    return ValidatorSet([Validator(record.address, record.public_key) for record in load_validators(state)])


def _expect(field: str, expected: object, found: object) -> None:
    if expected != found:
        shown = [value.hex() if isinstance(value, bytes) else str(value) for value in (expected, found)]
        raise InvalidBlock(f"expected {field} {shown[0]}, found {shown[1]}")
