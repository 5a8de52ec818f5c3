"""A transaction as Ethereum has it around our executor: its validity, its fees, and the state root and hash of logs after it.

Our chain has no fees, no coins and another state tree, so none of this is in the product.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import msgspec
import rlp
from eth_hash.auto import keccak
from trie import HexaryTrie

from contracts.call import Log
from contracts.evm import MAX_INITCODE_BYTES, PRECOMPILES, execute_message, floor_gas, intrinsic_gas
from contracts.evm_state import ContractAccount, EvmBlock, EvmState, code_key, contract_key, storage_key
from tests.state_tests.fixtures import Account, Case, Environment, Transaction

WORK_LIMIT = 10**8
"""Far over what a transaction may have, which some fixtures pass; it is not what they are about."""
ACCESS_LIST_ADDRESS_GAS = 2_400
ACCESS_LIST_SLOT_GAS = 1_900
"""EIP-2930."""
MIN_BLOB_BASE_FEE = 1
BLOB_BASE_FEE_UPDATE_FRACTION = 5_007_716
"""EIP-7691."""
MAX_NONCE = 2**64 - 1
CHAIN_ID = 1


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a transaction; `refused` says why it could not be in a block, `ended` how its message ended."""

    state_root: bytes
    logs_hash: bytes
    gas_used: int
    refused: str | None
    ended: str | None


class _Ledger(dict[bytes, bytes]):
    def set(self, key: bytes, value: bytes) -> None:
        self[key] = value

    def delete(self, key: bytes) -> None:
        self.pop(key, None)


def run_case(case: Case) -> Result:
    """Return what our executor makes of a case."""
    transaction, environment = case.transaction, case.environment
    assert transaction is not None
    refused = refusal_of(transaction, environment, case.pre)
    if refused is not None:
        return Result(state_root(case.pre), logs_hash(()), 0, refused, None)
    price = gas_price(transaction, environment)
    evm = EvmState(_ledger_of(case.pre), _block_of(environment), {}, PRECOMPILES, WORK_LIMIT)
    evm.blob_base_fee = blob_base_fee(environment)
    evm.delta_balance(transaction.sender, -transaction.gas * price)
    access_list = transaction.access_list or ()
    outcome = execute_message(
        evm,
        transaction.sender,
        transaction.to,
        transaction.data,
        transaction.gas,
        value=transaction.value,
        gas_price=price,
        access_list=access_list,
        access_gas=access_gas(transaction),
    )
    evm.delta_balance(transaction.sender, (transaction.gas - outcome.gas_used) * price)
    evm.delta_balance(environment.coinbase, outcome.gas_used * (price - environment.base_fee))
    logs = outcome.logs if outcome.error is None else ()
    return Result(state_root(_accounts_after(evm, case.pre)), logs_hash(logs), outcome.gas_used, None, outcome.error)


def refusal_of(transaction: Transaction, environment: Environment, pre: dict[bytes, Account]) -> str | None:
    """Return why Ethereum would not take a transaction into a block, or None."""
    sender = pre.get(transaction.sender, Account())
    is_create = transaction.to is None
    most = transaction.gas_price if transaction.max_fee is None else transaction.max_fee
    least = max(intrinsic_gas(transaction.data, is_create) + access_gas(transaction), floor_gas(transaction.data))
    rules = (
        ("nonce at its end", transaction.nonce >= MAX_NONCE),
        ("nonce", transaction.nonce != sender.nonce),
        ("sender has code", bool(sender.code)),
        ("gas limit below the intrinsic gas", transaction.gas < least),
        ("gas limit above the block's", transaction.gas > environment.gas_limit),
        ("fee below the block's", most < environment.base_fee),
        ("priority fee above the fee", transaction.max_fee is not None and transaction.max_priority_fee > most),
        ("value too large", transaction.value >= 2**256 or most >= 2**256),
        ("balance", sender.balance < transaction.gas * most + transaction.value),
        ("initcode too long", is_create and len(transaction.data) > MAX_INITCODE_BYTES),
    )
    return next((name for name, is_broken in rules if is_broken), None)


def gas_price(transaction: Transaction, environment: Environment) -> int:
    """Return what the sender pays for a unit of gas."""
    if transaction.max_fee is None:
        return transaction.gas_price
    return min(transaction.max_fee, environment.base_fee + transaction.max_priority_fee)


def access_gas(transaction: Transaction) -> int:
    """Return what the access list costs."""
    access_list = transaction.access_list or ()
    return sum(ACCESS_LIST_ADDRESS_GAS + ACCESS_LIST_SLOT_GAS * len(slots) for _, slots in access_list)


def blob_base_fee(environment: Environment) -> int:
    """Return what BLOBBASEFEE gives (EIP-4844's approximation of an exponential)."""
    step, total, term = 1, 0, MIN_BLOB_BASE_FEE * BLOB_BASE_FEE_UPDATE_FRACTION
    while term > 0:
        total += term
        term = term * environment.excess_blob_gas // (BLOB_BASE_FEE_UPDATE_FRACTION * step)
        step += 1
    return total // BLOB_BASE_FEE_UPDATE_FRACTION


def _block_of(environment: Environment) -> EvmBlock:
    return EvmBlock(
        environment.number,
        environment.timestamp * 1_000,
        CHAIN_ID,
        environment.gas_limit,
        lambda address: 0,
        environment.hashes.get,
        environment.coinbase,
        environment.base_fee,
        environment.random,
    )


def _ledger_of(pre: dict[bytes, Account]) -> _Ledger:
    ledger = _Ledger()
    for address, account in pre.items():
        code_hash = keccak(account.code)
        record = ContractAccount(account.nonce, _minimal(account.balance), code_hash)
        ledger.set(contract_key(address), msgspec.msgpack.encode(record))
        ledger.set(code_key(code_hash), account.code)
        for slot, value in account.storage.items():
            ledger.set(storage_key(address, slot), _minimal(value))
    return ledger


def _accounts_after(evm: EvmState, pre: dict[bytes, Account]) -> dict[bytes, Account]:
    """Return Ethereum's accounts after the transaction, the storage as `flush` wrote it.

    Accounts are asked of the EvmState: for our ledger, nonces of people and accounts without code are kept elsewhere.
    """
    evm.flush()
    slots: dict[bytes, set[int]] = {address: set(account.storage) for address, account in pre.items()}
    for address, slot in evm._storage:
        slots.setdefault(address, set()).add(slot)
    after = {}
    for address in {*pre, *evm._accounts}:
        if address in evm.deleted:
            continue
        storage = {}
        for slot in slots.get(address, ()):
            raw = evm.ledger.get(storage_key(address, slot))
            if raw is not None:
                storage[slot] = int.from_bytes(raw, "big")
        code = evm.get_code(address)
        account = Account(evm.get_nonce(address), evm.get_balance(address), code, storage)
        if not account.is_empty or account == pre.get(address):
            after[address] = account
    return after


def state_root(accounts: dict[bytes, Account]) -> bytes:
    """Return the root of Ethereum's state tree with these accounts."""
    tree = HexaryTrie({})
    for address, account in accounts.items():
        storage = HexaryTrie({})
        for slot, value in account.storage.items():
            storage.set(keccak(slot.to_bytes(32, "big")), rlp.encode(_minimal(value)))
        fields = [_minimal(account.nonce), _minimal(account.balance), storage.root_hash, keccak(account.code)]
        tree.set(keccak(address), rlp.encode(fields))
    return bytes(tree.root_hash)


def logs_hash(logs: Iterable[Log]) -> bytes:
    """Return Keccak-256 of the RLP list of logs."""
    return keccak(rlp.encode([[log.address, list(log.topics), log.data] for log in logs]))


def _minimal(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8, "big")
