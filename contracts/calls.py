"""Where a transaction's call goes: to a system contract, to EVM code, or to nobody."""

from __future__ import annotations

from contracts import registry
from contracts.call import Call, CallResult, State
from contracts.evm_state import EvmBlock, has_contract


def execute_call(state: State, call: Call, block: EvmBlock) -> CallResult:
    """Run one call and return how it ended; a refused call's writes are the caller's to undo."""
    if call.to is not None and (call.to in registry.BY_ADDRESS or not has_contract(state, call.to)):
        return registry.execute_call(state, call)
    # py-evm takes a second to load, and a chain without EVM contracts never needs it.
    from contracts.evm_call import execute_evm_call

    return execute_evm_call(state, call, block, registry.BY_ADDRESS)
