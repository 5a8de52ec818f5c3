"""Where a transaction's call goes: to a system contract, to EVM code, or to nobody."""

from __future__ import annotations

from contracts import registry
from contracts.call import Call, CallResult, State
from contracts.evm_state import EvmBlock, has_contract
from contracts.records import Reader


def runs_evm_code(state: Reader, to: bytes | None) -> bool:
    """Return whether a call to this address, None for a deployment, is for the EVM."""
    return to is None or (to not in registry.BY_ADDRESS and has_contract(state, to))


def load_evm() -> None:
    """Load what runs EVM code, as the first call of it does otherwise."""
    import contracts.evm_call  # noqa: F401


def execute_call(state: State, call: Call, block: EvmBlock) -> CallResult:
    """Run one call and return how it ended; a refused call's writes are the caller's to undo."""
    if not runs_evm_code(state, call.to):
        return registry.execute_call(state, call)
    # py-evm takes a second to load: a node does it after its start where there may be EVM code, and nobody else needs it.
    from contracts.evm_call import execute_evm_call

    return execute_evm_call(state, call, block, registry.BY_ADDRESS)
