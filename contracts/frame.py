"""The frame of system contracts: declared methods and events, generated ABI, gas, and how a call runs."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, Final, TypeVar

import msgspec

from contracts import abi
from contracts.accounts import AccountRecord, authorise
from contracts.call import Call, CallResult, Log, State
from contracts.records import ADDRESSES, Table
from contracts.refusals import Refused

CALL_GAS: Final = 20_000
"""Every transaction's call: decoding, the check of the account, the receipt."""
DATA_BYTE_GAS: Final = 8
CODE_CALL_GAS: Final = 2_000
"""Every call by EVM code, in place of CALL_GAS: no account is looked up and nothing is kept."""
CODE_WORD_GAS: Final = 8
"""Each 32 bytes of what EVM code sends, in place of DATA_BYTE_GAS: they are in memory, and only read."""
READ_GAS: Final = 500
"""Each record read."""
READ_BYTE_GAS: Final = 20
"""Each byte of a record read."""
WRITE_GAS: Final = 5_000
"""Each record written."""
WRITE_BYTE_GAS: Final = 20
"""Each byte of key and value written."""
LOG_GAS: Final = 500
LOG_BYTE_GAS: Final = 8
OUTPUT_BYTE_GAS: Final = 64
"""Each byte that a call returns: a receipt is kept for ever, and a few bytes of call data can ask for a large record."""
SIGNATURE_GAS: Final = 800_000
"""Each SM2 signature that a contract checks: some 300 us, in which calls execute about as much gas."""
MAX_LOG_TOPICS: Final = 4

R = TypeVar("R", bound=msgspec.Struct)
F = TypeVar("F", bound=Callable[..., Any])


class Context:
    """A running call as a method sees it: who calls and when, metered state, and the logs so far."""

    __slots__ = ("_account", "_gas_left", "_state", "call_id", "height", "logs", "sender", "time_ms")

    def __init__(self, state: State, call: Call) -> None:
        """Begin a call; its gas is spent from call.gas_limit."""
        self._state = state
        self._gas_left = call.gas_limit
        self._account: AccountRecord | None = None
        self.sender, self.height, self.time_ms, self.call_id = call.sender, call.height, call.time_ms, call.call_id
        self.logs: list[Log] = []

    @property
    def gas_left(self) -> int:
        """Gas not yet spent."""
        return self._gas_left

    @property
    def account(self) -> AccountRecord:
        """The caller's account, authorised for the roles that the method declares."""
        assert self._account is not None, "the method declares no role"
        return self._account

    def authorise(self, roles: tuple[str, ...]) -> None:
        """Take the caller's account if it holds one of `roles`; refuse otherwise."""
        self._account = authorise(self, self.sender, roles)

    def spend(self, gas: int) -> None:
        """Take `gas` from what is left; refuse OUT_OF_GAS when there is too little."""
        self._gas_left -= gas
        if self._gas_left < 0:
            raise Refused("OUT_OF_GAS")

    def get(self, key: bytes) -> bytes | None:
        """Return the value at a key in state, or None."""
        self._gas_left -= READ_GAS
        if self._gas_left < 0:
            raise Refused("OUT_OF_GAS")
        value = self._state.get(key)
        if value is not None:
            self._gas_left -= READ_BYTE_GAS * len(value)
            if self._gas_left < 0:
                raise Refused("OUT_OF_GAS")
        return value

    def set(self, key: bytes, value: bytes) -> None:
        """Put a value at a key in state."""
        self.spend(WRITE_GAS + WRITE_BYTE_GAS * (len(key) + len(value)))
        self._state.set(key, value)

    def delete(self, key: bytes) -> None:
        """Remove a key from state."""
        self.spend(WRITE_GAS + WRITE_BYTE_GAS * len(key))
        self._state.delete(key)

    def require(self, table: Table[R], key: bytes, code: str, found: object) -> R:
        """Return the record called `key`; refuse `code` with the text field `found` when there is none."""
        record = table.load(self, key)
        if record is None:
            raise Refused(code, found=found)
        return record

    def emit(self, event: Event, *values: Any) -> None:
        """Log an event with its values in the order declared."""
        log = event.log(values)
        self.spend(LOG_GAS + LOG_BYTE_GAS * (len(log.data) + 32 * len(log.topics)))
        self.logs.append(log)


class Event:
    """A declared event: topics are the name's digest and the indexed fields, data is the ABI tuple of the others."""

    def __init__(self, contract: str, name: str, fields: dict[str, str], indexed: Sequence[str]) -> None:
        """Declare fields (name to ABI type) in order; `indexed` are up to three of them, of one word each, and come first."""
        if list(fields)[: len(indexed)] != list(indexed) or len(indexed) >= MAX_LOG_TOPICS:
            raise ValueError("indexed fields come first, and are at most three")
        self.contract, self.name = contract, name
        self.field_types = {field: abi.abi_type(kind) for field, kind in fields.items()}
        self.indexed = tuple(indexed)
        self._indexed_types = [self.field_types[field] for field in indexed]
        if any(not isinstance(kind, abi.Word) for kind in self._indexed_types):
            raise ValueError("an indexed field is one word")
        names = list(fields)[len(indexed) :]
        self._data_type = abi.Tuple([self.field_types[field] for field in names], names)

    @cached_property
    def signature(self) -> str:
        """Name and types, as the first topic's digest covers them."""
        return f"{self.name}({','.join(kind.name for kind in self.field_types.values())})"

    @cached_property
    def topic(self) -> bytes:
        """The 32-byte first topic: Keccak-256 of the signature, as the ABI has it."""
        return abi.keccak256(self.signature.encode())

    def log(self, values: Sequence[Any]) -> Log:
        """Return the log with these values in the order declared."""
        count = len(self._indexed_types)
        topics = [self.topic]
        for kind, value in zip(self._indexed_types, values[:count], strict=True):
            topics.append(kind.encode(value))
        return Log(ADDRESSES[self.contract], tuple(topics), self._data_type.encode(values[count:]))

    def decode(self, log: Log) -> dict[str, Any]:
        """Return the fields of a log of this event; raise AbiError when it is not one."""
        if len(log.topics) != len(self._indexed_types) + 1:
            raise abi.AbiError(
                f"expected {len(self._indexed_types) + 1} topics for {self.name}, found {len(log.topics)}"
            )
        values = [kind.decode(topic, 0)[0] for kind, topic in zip(self._indexed_types, log.topics[1:], strict=True)]
        return dict(zip(self.field_types, values + self._data_type.decode_all(log.data), strict=True))

    def abi(self) -> dict[str, Any]:
        """Return the event's entry in the contract's ABI."""
        inputs = [
            abi_parameter(name, kind) | {"indexed": name in self.indexed} for name, kind in self.field_types.items()
        ]
        return {"type": "event", "name": self.name, "inputs": inputs, "anonymous": False}


class Method:
    """A declared method: its types come from the function's annotations, its roles from the declaration."""

    def __init__(
        self,
        contract: str,
        function: Callable[..., Any],
        is_view: bool,
        roles: tuple[str, ...],
        who: str,
        is_public: bool,
    ) -> None:
        """Read inputs and output off `function(ctx, ...)`; `who` says who may call, for a method without roles."""
        hints = typing.get_type_hints(function, include_extras=True)
        names = list(inspect.signature(function).parameters)[1:]
        self.contract, self.name, self.function, self.is_view, self.roles = (
            contract,
            function.__name__,
            function,
            is_view,
            roles,
        )
        self.who = who
        self.is_public = is_public
        self.summary = (function.__doc__ or "").strip().splitlines()[0]
        self.inputs = abi.Tuple([abi.annotated_type(hints[name]) for name in names], names)
        returned = hints.get("return", type(None))
        self.output = None if returned is type(None) else abi.annotated_type(returned)
        self._output_type = None if self.output is None else abi.Tuple((self.output,))

    @cached_property
    def signature(self) -> str:
        """Name and types, as the selector's digest covers them."""
        return self.name + self.inputs.name

    @cached_property
    def selector(self) -> bytes:
        """The first 4 bytes of call data."""
        return abi.selector(self.signature)

    def run(self, ctx: Context, data: bytes, *, by_code: bool = False) -> Any:
        """Run with the call data's arguments and return what the function returns; refuse what the rules do not allow."""
        if self.roles:
            ctx.authorise(self.roles)
        try:
            # Vyper sends as many bytes as the longest arguments take. A transaction has one encoding; code's calls are not signed.
            arguments = self.inputs.decode_fields(data, 4) if by_code else self.inputs.decode_all(data, 4)
        except abi.AbiError as error:
            raise Refused("MALFORMED_CALL", method=self.name, found=error) from None
        return self.function(ctx, *arguments)

    def encode_output(self, value: Any) -> bytes:
        """Return the ABI data of what the function returned, empty when it returns nothing."""
        return b"" if self._output_type is None else self._output_type.encode((value,))

    def encode_call(self, arguments: dict[str, Any]) -> bytes:
        """Return call data for these named arguments; raise AbiError on a missing, unknown or unfit one."""
        missing = [name for name in self.inputs.names if name not in arguments]
        unknown = [name for name in arguments if name not in self.inputs.names]
        if missing or unknown:
            raise abi.AbiError(
                f"{self.contract}.{self.name} takes {', '.join(self.inputs.names) or 'no arguments'}; "
                f"missing: {', '.join(missing) or 'none'}; unknown: {', '.join(unknown) or 'none'}"
            )
        return self.selector + self.inputs.encode([arguments[name] for name in self.inputs.names])

    def decode_call(self, data: bytes) -> dict[str, Any]:
        """Return the named arguments in call data; raise AbiError when it is not canonical."""
        return dict(zip(self.inputs.names, self.inputs.decode_all(data, 4), strict=True))

    def abi(self) -> dict[str, Any]:
        """Return the method's entry in the contract's ABI."""
        return {
            "type": "function",
            "name": self.name,
            "inputs": [abi_parameter(n, t) for n, t in zip(self.inputs.names, self.inputs.items, strict=True)],
            "outputs": [] if self.output is None else [abi_parameter("", self.output)],
            "stateMutability": "view" if self.is_view else "nonpayable",
        }


class SystemContract:
    """A native contract at a fixed address: methods and events declared beside its functions."""

    def __init__(self, name: str) -> None:
        """Take the name that ADDRESSES gives an address."""
        self.name, self.address = name, ADDRESSES[name]
        self.methods: dict[str, Method] = {}
        self.events: dict[str, Event] = {}

    def write(self, *roles: str) -> Callable[[F], F]:
        """Declare a function as a method that writes, for active accounts that hold one of `roles`."""
        if not roles:
            raise ValueError("a method that writes names the roles that may call it")
        return self._declare(is_view=False, roles=roles, who=", ".join(roles))

    def write_without_account(self, who: str) -> Callable[[F], F]:
        """Declare a function as a method that writes and itself refuses every sender but those that `who` describes."""
        return self._declare(is_view=False, roles=(), who=who)

    def view(self, *, is_public: bool = True) -> Callable[[F], F]:
        """Declare a function as a method that writes nothing; one that is not public is read through signed requests only."""
        who = "anyone, and EVM code" if is_public else "those concerned, by signed requests"
        return self._declare(is_view=True, roles=(), who=who, is_public=is_public)

    def _declare(self, is_view: bool, roles: tuple[str, ...], who: str, is_public: bool = True) -> Callable[[F], F]:
        def add(function: F) -> F:
            method = Method(self.name, function, is_view, roles, who, is_public)
            if method.name in self.methods:
                raise ValueError(f"{self.name}.{method.name} is declared twice")
            self.methods[method.name] = method
            return function

        return add

    def event(self, name: str, indexed: Sequence[str] = (), /, **fields: str) -> Event:
        """Declare and return an event with fields (name to ABI type) in order, the indexed ones first."""
        event = self.events[name] = Event(self.name, name, fields, indexed)
        return event

    @cached_property
    def by_selector(self) -> dict[bytes, Method]:
        """The methods by the first 4 bytes of call data."""
        found = {method.selector: method for method in self.methods.values()}
        if len(found) < len(self.methods):
            raise ValueError(f"two methods of {self.name} have one selector")
        return found

    def execute(self, state: State, call: Call, *, by_code: bool = False) -> CallResult:
        """Run one call and return how it ended; what a refused call wrote is the caller's to undo.

        With `by_code` EVM code calls, not a transaction: then it may only read what anyone may.
        """
        ctx = Context(state, call)
        try:
            length = len(call.data)
            ctx.spend(
                CODE_CALL_GAS + CODE_WORD_GAS * ((length + 31) // 32) if by_code else CALL_GAS + DATA_BYTE_GAS * length
            )
            method = self.by_selector.get(call.data[:4])
            if method is None:
                raise Refused("NO_METHOD", contract=self.name, found=call.data[:4])
            if by_code and not (method.is_view and method.is_public):
                raise Refused("VIEW_ONLY", contract=self.name, method=method.name)
            output = method.encode_output(method.run(ctx, call.data, by_code=by_code))
            if not by_code:
                ctx.spend(OUTPUT_BYTE_GAS * len(output))
        except Refused as refused:
            if refused.code == "OUT_OF_GAS":
                refused = Refused("OUT_OF_GAS", limit=call.gas_limit)
            return refused_result(refused, min(call.gas_limit, call.gas_limit - ctx.gas_left))
        return CallResult(None, call.gas_limit - ctx.gas_left, output, tuple(ctx.logs))

    def abi(self) -> list[dict[str, Any]]:
        """Return the contract's ABI in the JSON form of the Solidity specification."""
        return [method.abi() for method in self.methods.values()] + [event.abi() for event in self.events.values()]


def refused_result(refused: Refused, gas_used: int) -> CallResult:
    """Return the result of a call that was refused: its code, and its text as the ABI's Error(string)."""
    return CallResult(refused.code, gas_used, abi.encode_error(refused.message), ())


def abi_parameter(name: str, kind: abi.AbiType) -> dict[str, Any]:
    """Return the JSON form of a parameter; a tuple lists its components."""
    suffix, inner = "", kind
    while isinstance(inner, abi.Array):
        suffix, inner = suffix + "[]", inner.element
    if not isinstance(inner, abi.Tuple):
        return {"name": name, "type": kind.name}
    components = [abi_parameter(n, t) for n, t in zip(inner.names, inner.items, strict=True)]
    return {"name": name, "type": "tuple" + suffix, "components": components}
