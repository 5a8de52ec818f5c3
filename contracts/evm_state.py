"""The accounts, code and storage that EVM code sees: a flat journaled store over the ledger's state, loaded as it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from itertools import islice
from operator import length_hint
from typing import Any, Final

import msgspec

from contracts.call import Log, State
from contracts.deployments import load_deployment
from contracts.frame import SystemContract
from contracts.keccak import keccak
from contracts.records import ADDRESSES, Reader

EMPTY_CODE_HASH: Final = keccak(b"")
NATIVE_CODE: Final = b"\xfe"
"""What EVM code sees as the code of a system contract or precompile of ours: not empty, for callers that look before they call."""
NATIVE_CODE_HASH: Final = keccak(NATIVE_CODE)
MAX_BLOCK_HASHES: Final = 256
READ_WORK: Final = 20
"""An account or slot that the transaction had not asked for yet: a read of the ledger."""
TRANSIENT_WORK: Final = 6
MAX_BLOCK_WORK: Final = 600_000
"""Units of EVM work after which a block takes no more calls of EVM code."""
HEAVY_WORK: Final = 100_000
"""Who sends a call of so much has no other call of EVM code in a block that this node proposes."""

_CONTRACT_TABLE: Final = b"\x01"
_STORAGE_TABLE: Final = b"\x02"
_CODE_TABLE: Final = b"\x03"


class Halted(Exception):
    """The message ends here, exceptionally: its gas is gone and what it did is undone."""

    burns_gas = True
    erases_return_data = True

    def __init__(self, reason: str) -> None:
        """Take the reason's name, as py-evm has it."""
        super().__init__(reason)
        self.reason = reason


class ContractAccount(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What state keeps of an address that holds EVM code: nonce, balance (nobody has any), Keccak-256 of its code."""

    nonce: int
    balance: bytes
    """Big-endian without leading zeros; empty on this chain, which has no coin."""
    code_hash: bytes


class EvmBlock(msgspec.Struct, frozen=True):
    """What EVM code sees of the block beside height and time: no fees, no randomness, nobody who is paid for it."""

    height: int
    time_ms: int
    chain_id: int
    gas_limit: int
    count: Callable[[bytes], int]
    """Returns how many transactions of an address the chain holds before this one."""
    block_id: Callable[[int], bytes | None]
    """Returns the id of one of the 256 blocks before, or None."""
    coinbase: bytes = bytes(20)
    base_fee: int = 0
    random: bytes = bytes(32)


_DECODE: Final = msgspec.msgpack.Decoder(ContractAccount).decode
_ENCODE: Final = msgspec.msgpack.Encoder().encode
_MISSING: Final = object()


def contract_key(address: bytes) -> bytes:
    """Return the key in state of a contract's account."""
    return address + _CONTRACT_TABLE


def storage_key(address: bytes, slot: int) -> bytes:
    """Return the key in state of a storage slot."""
    return address + _STORAGE_TABLE + slot.to_bytes(32, "big")


def code_key(code_hash: bytes) -> bytes:
    """Return the key in state of a contract's code."""
    return ADDRESSES["deployments"] + _CODE_TABLE + code_hash


def has_contract(state: Reader, address: bytes) -> bool:
    """Return whether EVM code lies at an address."""
    return state.get(address + _CONTRACT_TABLE) is not None


class EvmState:
    """One transaction's view of accounts, with undo; `flush` writes what changed. The method names are those that py-evm calls."""

    def __init__(
        self,
        state: State,
        block: EvmBlock,
        system: Mapping[bytes, SystemContract],
        precompiles: Container[bytes],
        work_limit: int,
    ) -> None:
        """Begin with nothing loaded and `work_limit` units of work; `precompiles` are the addresses of Ethereum's own."""
        self.ledger, self._block, self._count = state, block, block.count
        self.system, self._precompiles = system, precompiles
        self._accounts: dict[bytes, tuple[int, int, bytes]] = {}
        self._code: dict[bytes, bytes] = {EMPTY_CODE_HASH: b""}
        self._storage: dict[tuple[bytes, int], int] = {}
        self._original: dict[tuple[bytes, int], int] = {}
        self._transient: dict[tuple[bytes, int], bytes] = {}
        self._warm: dict[object, bool] = {}
        self._loaded: dict[bytes, tuple[int, int, bytes]] = {}
        self._frozen: dict[bytes, str | None] = {}
        self._journal: list[tuple[dict[Any, Any], Any, Any]] = []
        self.created: dict[bytes, bool] = {}
        self.deleted: dict[bytes, bool] = {}
        self.logs: list[Log] = []
        self.refund = 0
        self.budget = iter(range(work_limit))
        self.jumps: dict[bytes, bytes] = {}
        self.time_ms = block.time_ms
        self.coinbase = block.coinbase
        self.timestamp = block.time_ms // 1000
        self.block_number = block.height
        self.difficulty = int.from_bytes(block.random, "big")
        self.mix_hash = block.random
        self.gas_limit = block.gas_limit
        self.base_fee = block.base_fee
        self.blob_base_fee = 1
        self.execution_context = self
        self.chain_id = block.chain_id

    def spend_work(self, units: int) -> None:
        """Take units of work from what the transaction has left; halt when there is too little."""
        budget = self.budget
        left = length_hint(budget)
        if left < units:
            next(islice(budget, left, None), None)
            raise Halted("OutOfWork")
        next(islice(budget, units, units), None)

    # Undo

    def snapshot(self) -> tuple[int, int, int]:
        """Return where the journal stands, to go back to."""
        return len(self._journal), len(self.logs), self.refund

    def revert(self, mark: tuple[int, int, int]) -> None:
        """Undo every change since `mark`."""
        length, logs, self.refund = mark
        journal = self._journal
        while len(journal) > length:
            table, key, old = journal.pop()
            if old is _MISSING:
                del table[key]
            else:
                table[key] = old
        del self.logs[logs:]

    def commit(self, mark: tuple[int, int, int]) -> None:
        """Keep the changes since `mark`; an outer mark still undoes them."""

    def _put(self, table: dict[Any, Any], key: Any, value: Any) -> None:
        self._journal.append((table, key, table.get(key, _MISSING)))
        table[key] = value

    # Accounts

    def frozen_reason(self, address: bytes) -> str | None:
        """Return why a contract is frozen, or None when it is not."""
        if address not in self._frozen:
            record = load_deployment(self.ledger, address)
            self._frozen[address] = record.reason if record is not None and record.frozen_ms else None
        return self._frozen[address]

    def _account(self, address: bytes) -> tuple[int, int, bytes]:
        account = self._accounts.get(address)
        if account is None:
            self.spend_work(READ_WORK)
            raw = self.ledger.get(address + _CONTRACT_TABLE)
            if raw is None:
                account = (self._count(address), 0, EMPTY_CODE_HASH)
            else:
                record = _DECODE(raw)
                account = (record.nonce, int.from_bytes(record.balance, "big"), record.code_hash)
            self._accounts[address] = self._loaded[address] = account
        return account

    def get_nonce(self, address: bytes) -> int:
        """Return the nonce: executed transactions of a person's address, creations and one of a contract's."""
        return self._account(address)[0]

    def set_nonce(self, address: bytes, nonce: int) -> None:
        """Set the nonce."""
        _, balance, code_hash = self._account(address)
        self._put(self._accounts, address, (nonce, balance, code_hash))

    def increment_nonce(self, address: bytes) -> None:
        """Add one to the nonce."""
        self.set_nonce(address, self.get_nonce(address) + 1)

    def get_balance(self, address: bytes) -> int:
        """Return the balance."""
        return self._account(address)[1]

    def set_balance(self, address: bytes, balance: int) -> None:
        """Set the balance."""
        nonce, old, code_hash = self._account(address)
        if balance != old:
            self._put(self._accounts, address, (nonce, balance, code_hash))

    def delta_balance(self, address: bytes, delta: int) -> None:
        """Add to the balance."""
        self.set_balance(address, self.get_balance(address) + delta)

    def get_code_hash(self, address: bytes) -> bytes:
        """Return Keccak-256 of the code."""
        return NATIVE_CODE_HASH if address in self.system else self._account(address)[2]

    def get_code(self, address: bytes) -> bytes:
        """Return the code, empty when there is none."""
        if address in self.system:
            return NATIVE_CODE
        code_hash = self._account(address)[2]
        code = self._code.get(code_hash)
        if code is None:
            code = self.ledger.get(code_key(code_hash))
            assert code is not None, "an account names code that state does not hold"
            self._code[code_hash] = code
        return code

    def set_code(self, address: bytes, code: bytes) -> None:
        """Set the code."""
        nonce, balance, _ = self._account(address)
        code_hash = keccak(code)
        self._code[code_hash] = code
        self._put(self._accounts, address, (nonce, balance, code_hash))

    def has_code_or_nonce(self, address: bytes) -> bool:
        """Return whether a contract cannot be created at the address."""
        nonce, _, code_hash = self._account(address)
        return nonce > 0 or code_hash != EMPTY_CODE_HASH or address in self.system

    def account_exists(self, address: bytes) -> bool:
        """Return whether the account is not empty (EIP-161: empty accounts do not exist)."""
        return not self.account_is_empty(address)

    def account_is_empty(self, address: bytes) -> bool:
        """Return whether nonce, balance and code are all empty (EIP-161)."""
        return self._account(address) == (0, 0, EMPTY_CODE_HASH) and address not in self.system

    def touch_account(self, address: bytes) -> None:
        """Do nothing: empty accounts are never stored."""

    def mark_created(self, address: bytes) -> None:
        """Remember that the contract was created in this transaction (EIP-6780)."""
        self._put(self.created, address, True)

    def mark_deleted(self, address: bytes) -> None:
        """Remember that the contract goes at the end of this transaction."""
        self._put(self.deleted, address, True)

    # Storage

    def get_storage(self, address: bytes, slot: int, from_journal: bool = True) -> int:
        """Return a storage slot's value, or with from_journal False the one it had when the transaction began."""
        key = (address, slot)
        value = self._storage.get(key)
        if value is None:
            self.spend_work(READ_WORK)
            raw = None if address in self.created else self.ledger.get(storage_key(address, slot))
            value = 0 if raw is None else int.from_bytes(raw, "big")
            self._storage[key] = self._original[key] = value
        return value if from_journal else self._original[key]

    def set_storage(self, address: bytes, slot: int, value: int) -> None:
        """Set a storage slot."""
        self.get_storage(address, slot)
        self._put(self._storage, (address, slot), value)

    def delete_storage(self, address: bytes) -> None:
        """Do nothing: an address where a contract can be created has no storage."""

    def get_transient_storage(self, address: bytes, slot: int) -> bytes:
        """Return a transient slot's value (EIP-1153)."""
        return self._transient.get((address, slot), b"")

    def set_transient_storage(self, address: bytes, slot: int, value: bytes) -> None:
        """Set a transient slot (EIP-1153)."""
        self.spend_work(TRANSIENT_WORK)
        self._put(self._transient, (address, slot), value)

    # Warmth (EIP-2929)

    def is_address_warm(self, address: bytes) -> bool:
        """Return whether the transaction has touched the address, or it is always warm."""
        return address in self._warm or address in self._precompiles or address in self.system

    def mark_address_warm(self, address: bytes) -> None:
        """Remember that the transaction has touched the address."""
        if address not in self._warm:
            self._put(self._warm, address, True)

    def is_storage_warm(self, address: bytes, slot: int) -> bool:
        """Return whether the transaction has touched the slot."""
        return (address, slot) in self._warm

    def mark_storage_warm(self, address: bytes, slot: int) -> None:
        """Remember that the transaction has touched the slot."""
        self._put(self._warm, (address, slot), True)

    # Block

    def get_ancestor_hash(self, height: int) -> bytes:
        """Return the id of one of the 256 blocks before this one, empty for any other height."""
        if not self.block_number - MAX_BLOCK_HASHES <= height < self.block_number:
            return b""
        return self._block.block_id(height) or b""

    # The end

    def flush(self) -> None:
        """Write what the transaction changed: storage, code and contracts' accounts; deleted contracts leave nothing."""
        for (address, slot), value in self._storage.items():
            if value != self._original[(address, slot)] and address not in self.deleted:
                key = storage_key(address, slot)
                if value:
                    self.ledger.set(key, value.to_bytes((value.bit_length() + 7) // 8, "big"))
                else:
                    self.ledger.delete(key)
        for address, account in self._accounts.items():
            nonce, balance, code_hash = account
            # The ledger itself counts what an address without code has sent.
            if account == self._loaded[address] or address in self.deleted:
                continue
            if code_hash == EMPTY_CODE_HASH and not balance and address not in self.created:
                continue
            if self._loaded[address][2] != code_hash and code_hash != EMPTY_CODE_HASH:
                self.ledger.set(code_key(code_hash), self._code[code_hash])
            raw = balance.to_bytes((balance.bit_length() + 7) // 8, "big")
            self.ledger.set(contract_key(address), _ENCODE(ContractAccount(nonce, raw, code_hash)))
