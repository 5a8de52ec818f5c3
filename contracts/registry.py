"""All system contracts by name and address: run a call, read a view, encode and decode calls and logs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from contracts import (
    anchors,
    authorisations,
    batches,
    certificates,
    code_tables,
    crypto,
    deployments,
    governance,
    members,
)
from contracts.abi import AbiError
from contracts.call import Call, CallResult, Log, State
from contracts.data_sharing import (
    access,
    arrivals,
    audits,
    catalogue,
    corrections,
    deliveries,
    directories,
    disputes,
    due,
    open_data,
    products,
    quality_reviews,
    recalls,
    sharing,
)
from contracts.frame import CALL_GAS, DATA_BYTE_GAS, Context, Event, Method, SystemContract, refused_result
from contracts.parameters import ChainParameters
from contracts.records import Reader, Writer
from contracts.refusals import Refused

CONTRACTS: Final[dict[str, SystemContract]] = {
    module.CONTRACT.name: module.CONTRACT
    for module in (
        members,
        certificates,
        catalogue,
        quality_reviews,
        arrivals,
        sharing,
        corrections,
        disputes,
        recalls,
        access,
        anchors,
        governance,
        deployments,
        crypto,
        batches,
        authorisations,
        directories,
        due,
        deliveries,
        audits,
        products,
        open_data,
    )
}
"""Every system contract by its name."""

VIEW_GAS: Final = 1_000_000_000

BY_ADDRESS: Final = {contract.address: contract for contract in CONTRACTS.values()}
"""Every system contract by its 20-byte address."""


class DecodedCall(msgspec.Struct, frozen=True):
    """Call data in words: the contract's and method's names, and the arguments by name."""

    contract: str
    method: str
    args: dict[str, Any]


class DecodedLog(msgspec.Struct, frozen=True):
    """A log in words: the contract's and event's names, and the fields by name."""

    contract: str
    event: str
    fields: dict[str, Any]


class _ReadOnly:
    """A reader in the place of a state: a view that writes is a fault of ours."""

    __slots__ = ("get",)

    def __init__(self, reader: Reader) -> None:
        self.get = reader.get

    def set(self, key: bytes, value: bytes) -> None:
        raise AssertionError("a view has written")

    def delete(self, key: bytes) -> None:
        raise AssertionError("a view has deleted")


def execute_call(state: State, call: Call) -> CallResult:
    """Run one call and return how it ended; a refused call's writes are the caller's to undo."""
    contract = None if call.to is None else BY_ADDRESS.get(call.to)
    if contract is None:
        gas = CALL_GAS + DATA_BYTE_GAS * len(call.data)
        return refused_result(Refused("NO_CONTRACT", found=call.to or b""), min(gas, call.gas_limit))
    return contract.execute(state, call)


def view(state: Reader, contract: str, method: str, now_ms: int = 0, /, **arguments: Any) -> Any:
    """Return what a view finds in state; raise Refused as a call would, KeyError on a name that is none.

    `now_ms` is the time of the block, for the views that ask what holds at present; at 0 nothing is in force.
    """
    declared = _method(contract, method)
    if not declared.is_view:
        raise KeyError(f"{contract}.{method} writes: send it as a transaction")
    # Encoding checks the arguments by name, type and range before they reach the method.
    data = declared.encode_call(arguments)
    ctx = Context(_ReadOnly(state), Call(bytes(20), None, data, VIEW_GAS, 0, now_ms, bytes(32)))
    return declared.run(ctx, data)


def encode_call(contract: str, method: str, /, **arguments: Any) -> tuple[bytes, bytes]:
    """Return the 20-byte address and the call data; raise KeyError on an unknown name, AbiError on arguments that do not fit."""
    declared = _method(contract, method)
    return CONTRACTS[contract].address, declared.encode_call(arguments)


def decode_call(address: bytes, data: bytes) -> DecodedCall:
    """Return call data in words; raise AbiError when no contract takes it."""
    contract = BY_ADDRESS.get(address)
    method = None if contract is None else contract.by_selector.get(data[:4])
    if contract is None or method is None:
        raise AbiError(
            f"expected a call of a system contract, found selector {data[:4].hex()} for address {address.hex()}"
        )
    return DecodedCall(contract.name, method.name, method.decode_call(data))


def decode_log(log: Log) -> DecodedLog:
    """Return a log in words; raise AbiError when no contract declares it."""
    contract = BY_ADDRESS.get(log.address)
    event = None if contract is None or not log.topics else _EVENTS.get((log.address, log.topics[0]))
    if contract is None or event is None:
        raise AbiError(f"expected a log of a system contract, found one of address {log.address.hex()}")
    return DecodedLog(contract.name, event.name, event.decode(log))


def contract_name(address: bytes | None) -> str | None:
    """Return the name of the system contract at an address, or None when there is none."""
    contract = None if address is None else BY_ADDRESS.get(address)
    return None if contract is None else contract.name


def abi(contract: str) -> list[dict[str, Any]]:
    """Return a contract's ABI in JSON form; raise KeyError on an unknown name."""
    return CONTRACTS[contract].abi()


def write_genesis(
    state: Writer,
    departments: Sequence[members.FoundingDepartment],
    validators: Sequence[members.FoundingValidator],
    parameters: ChainParameters,
    time_ms: int,
) -> None:
    """Write what every contract starts from; refuse founding records and parameters that a call would be refused for."""
    governance.write_genesis(state, parameters)
    members.write_genesis(state, departments, validators, time_ms)
    code_tables.write_genesis(state)


def _method(contract: str, method: str) -> Method:
    declared = CONTRACTS.get(contract)
    if declared is None:
        raise KeyError(f"no contract is called {contract!r}; there are {', '.join(CONTRACTS)}")
    if method not in declared.methods:
        raise KeyError(f"{contract} has no method {method!r}; it has {', '.join(declared.methods)}")
    return declared.methods[method]


_EVENTS: Final[dict[tuple[bytes, bytes], Event]] = {
    (contract.address, event.topic): event for contract in CONTRACTS.values() for event in contract.events.values()
}
