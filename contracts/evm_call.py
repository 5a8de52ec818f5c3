"""A transaction's call or deployment in the EVM: who may, how it ends in the ledger's words, and what is recorded of it."""

from __future__ import annotations

from collections.abc import Mapping
from operator import length_hint
from typing import Final

import msgspec

from contracts.accounts import DEPLOYER, authorise
from contracts.call import Call, CallResult, State
from contracts.deployments import DeploymentRecord, record_deployment
from contracts.evm import MAX_TRANSACTION_WORK, PRECOMPILES, Outcome, execute_message, intrinsic_gas
from contracts.evm_state import EvmBlock, EvmState
from contracts.frame import SystemContract, refused_result
from contracts.refusals import Refused

TRANSACTION_WORK: Final = 200
"""What a transaction takes beside its messages: the sender's account, the records of what it changed, the receipt."""


def execute_evm_call(state: State, call: Call, block: EvmBlock, system: Mapping[bytes, SystemContract]) -> CallResult:
    """Run a call of EVM code, or a deployment when call.to is None; what a refused call wrote is the caller's to undo."""
    try:
        account = authorise(state, call.sender, (DEPLOYER,) if call.to is None else ())
    except Refused as refused:
        return refused_result(refused, min(call.gas_limit, intrinsic_gas(call.data, call.to is None)))
    evm = EvmState(state, block, system, PRECOMPILES, MAX_TRANSACTION_WORK)
    outcome = execute_message(evm, call.sender, call.to, call.data, call.gas_limit)
    work = TRANSACTION_WORK + MAX_TRANSACTION_WORK - length_hint(evm.budget)
    if outcome.error is not None:
        return msgspec.structs.replace(_refused(outcome, call), work=work)
    created = [address for address in evm.created if address not in evm.deleted]
    if created and DEPLOYER not in account.roles:
        # A factory is no way around the role, whoever deployed it.
        missing = Refused("ROLE_MISSING", expected=DEPLOYER, found=", ".join(account.roles))
        return msgspec.structs.replace(refused_result(missing, outcome.gas_used), work=work)
    evm.flush()
    # After the contracts' own logs: which contracts came of it, also those that another contract created.
    logs = list(outcome.logs)
    for address in created:
        record = DeploymentRecord(
            address, call.sender, account.department, evm.get_code_hash(address), call.height, call.time_ms, 0, ""
        )
        logs.append(record_deployment(state, record))
    output = outcome.created if outcome.created is not None else outcome.output
    return CallResult(None, outcome.gas_used, output, tuple(logs), work)


def simulate_evm_call(state: State, call: Call, block: EvmBlock, system: Mapping[bytes, SystemContract]) -> CallResult:
    """Run a call whoever sends it, and write nothing; the output of one that creates a contract is that contract's code."""
    evm = EvmState(state, block, system, PRECOMPILES, MAX_TRANSACTION_WORK)
    outcome = execute_message(evm, call.sender, call.to, call.data, call.gas_limit)
    work = MAX_TRANSACTION_WORK - length_hint(evm.budget)
    if outcome.error is not None:
        return msgspec.structs.replace(_refused(outcome, call), work=work)
    return CallResult(None, outcome.gas_used, outcome.output, outcome.logs, work)


def _refused(outcome: Outcome, call: Call) -> CallResult:
    if outcome.error == "ContractFrozen":
        return CallResult("CONTRACT_FROZEN", outcome.gas_used, outcome.output, ())
    if outcome.error == "Revert":
        return CallResult("REVERTED", outcome.gas_used, outcome.output, ())
    if outcome.error == "OutOfGas":
        return refused_result(Refused("OUT_OF_GAS", limit=call.gas_limit), outcome.gas_used)
    if outcome.error == "OutOfWork":
        return refused_result(Refused("OUT_OF_WORK", limit=MAX_TRANSACTION_WORK), outcome.gas_used)
    return refused_result(Refused("EVM_HALTED", found=outcome.error), outcome.gas_used)
