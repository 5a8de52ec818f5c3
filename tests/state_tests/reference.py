"""py-evm's own Prague machine, its transaction executor and state tree, as the answer for fixtures that name no Prague result."""

from __future__ import annotations

import sys

from eth.constants import BLANK_ROOT_HASH, CREATE_CONTRACT_ADDRESS
from eth.db.atomic import AtomicDB
from eth.vm.execution_context import ExecutionContext
from eth.vm.forks.prague.state import PragueState
from eth.vm.forks.prague.transactions import PragueTransactionBuilder
from eth.vm.spoof import SpoofTransaction

from contracts.call import Log
from tests.state_tests.fixtures import Case, Transaction
from tests.state_tests.transition import CHAIN_ID, Result, logs_hash, refusal_of, state_root

RECURSION_LIMIT = 20_000
"""For 1,024 messages within each other, each some dozen of py-evm's calls deep."""


def run_reference(case: Case) -> Result:
    """Return what py-evm makes of a case."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(max(before, RECURSION_LIMIT))
    try:
        return _run(case)
    finally:
        sys.setrecursionlimit(before)


def _run(case: Case) -> Result:
    transaction, environment = case.transaction, case.environment
    assert transaction is not None
    refused = refusal_of(transaction, environment, case.pre)
    if refused is not None:
        return Result(state_root(case.pre), logs_hash(()), 0, refused, None)
    # Newest first, as py-evm asks for them by distance.
    first = max(environment.number - 256, 0)
    hashes = [environment.hashes.get(height, b"") for height in range(environment.number - 1, first - 1, -1)]
    context = ExecutionContext(
        environment.coinbase,
        environment.timestamp,
        environment.number,
        int.from_bytes(environment.random, "big"),
        environment.random,
        environment.gas_limit,
        hashes,
        CHAIN_ID,
        environment.base_fee,
        environment.excess_blob_gas,
    )
    state = PragueState(AtomicDB(), context, BLANK_ROOT_HASH)
    for address, account in case.pre.items():
        state.set_nonce(address, account.nonce)
        state.set_balance(address, account.balance)
        state.set_code(address, account.code)
        for slot, value in account.storage.items():
            state.set_storage(address, slot, value)
    state.lock_changes()
    executor = state.get_transaction_executor()
    spoof = _spoof(transaction)
    computation = executor.build_computation(executor.build_evm_message(spoof), spoof)
    executor.finalize_computation(spoof, computation)
    spent = transaction.gas - computation.get_gas_remaining()
    gas_used = spent - executor.calculate_gas_refund(computation, spent) + computation.data_floor_gas
    logs = [
        Log(address, tuple(topic.to_bytes(32, "big") for topic in topics), data)
        for address, topics, data in computation.get_log_entries()
    ]
    state.clear_transient_storage()
    state.lock_changes()
    state.persist()
    ended = type(computation.error).__name__ if computation.is_error else None
    return Result(bytes(state.state_root), logs_hash(logs), gas_used, None, ended)


def _spoof(transaction: Transaction) -> SpoofTransaction:
    to = transaction.to or CREATE_CONTRACT_ADDRESS
    builder = PragueTransactionBuilder
    head = (transaction.nonce,)
    tail = (transaction.gas, to, transaction.value, transaction.data)
    if transaction.max_fee is not None:
        fees = (transaction.max_priority_fee, transaction.max_fee)
        plain = builder.new_unsigned_dynamic_fee_transaction(
            CHAIN_ID, *head, *fees, *tail, list(transaction.access_list or ())
        )
    elif transaction.access_list is not None:
        plain = builder.new_unsigned_access_list_transaction(
            CHAIN_ID, *head, transaction.gas_price, *tail, list(transaction.access_list)
        )
    else:
        plain = builder.create_unsigned_transaction(
            nonce=transaction.nonce,
            gas_price=transaction.gas_price,
            gas=transaction.gas,
            to=to,
            value=transaction.value,
            data=transaction.data,
        )
    return SpoofTransaction(plain, from_=transaction.sender)
