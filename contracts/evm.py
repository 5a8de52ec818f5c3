"""The EVM: py-evm's Prague instructions under our own message executor. The one module that imports py-evm."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from itertools import islice
from operator import length_hint
from typing import Any, Final

import msgspec
from eth import constants
from eth.exceptions import Halt, OutOfGas, Revert, VMError
from eth.vm.forks.byzantium.opcodes import ensure_no_static
from eth.vm.forks.cancun.logic import selfdestruct_eip6780
from eth.vm.forks.cancun.transaction_context import CancunTransactionContext
from eth.vm.forks.prague.computation import PRAGUE_PRECOMPILES, PragueComputation
from eth.vm.forks.tangerine_whistle.constants import GAS_SELFDESTRUCT_EIP150
from eth.vm.gas_meter import GasMeter, allow_negative_refund_strategy
from eth.vm.logic.invalid import InvalidOpcode
from eth.vm.memory import Memory
from eth.vm.message import Message
from eth.vm.opcode import as_opcode
from eth.vm.stack import Stack
from eth_hash.auto import keccak

from contracts.abi import encode_error
from contracts.call import Call, Log
from contracts.evm_state import EvmState
from contracts.frame import SystemContract
from contracts.refusals import Refused

MAX_INITCODE_BYTES: Final = 49_152
"""EIP-3860."""
TRANSACTION_GAS: Final = 21_000
CREATE_GAS: Final = 32_000
ZERO_BYTE_GAS: Final = 4
DATA_BYTE_GAS: Final = 16
INITCODE_WORD_GAS: Final = 2
CODE_BYTE_GAS: Final = 200
FLOOR_TOKEN_GAS: Final = 10
"""EIP-7623."""
MAX_REFUND_QUOTIENT: Final = 5
"""EIP-3529."""

MAX_TRANSACTION_WORK: Final = 2_000_000
"""Units of about half a microsecond of one core. Gas does not bound time here: Ethereum's prices suppose native code."""
MESSAGE_WORK: Final = 20
SYSTEM_GAS_PER_WORK: Final = 25

_STOP: Final = 0x00
_JUMPDEST: Final = 0x5B
_PUSH1: Final = 0x60
_PUSH32: Final = 0x7F
_SELFDESTRUCT: Final = 0xFF


class OutOfWork(VMError):
    """The transaction takes more than MAX_TRANSACTION_WORK."""


class ContractFrozen(Revert):
    """The message is for a contract that a governor has frozen."""


class Outcome(msgspec.Struct, frozen=True):
    """How a transaction's message ended: `error` is None on success, else the name of what stopped it."""

    error: str | None
    gas_used: int
    output: bytes
    logs: tuple[Log, ...]
    created: bytes | None
    """Address of the contract that the transaction itself created."""


def execute_message(
    state: EvmState,
    sender: bytes,
    to: bytes | None,
    data: bytes,
    gas_limit: int,
    *,
    value: int = 0,
    gas_price: int = 0,
    access_list: Sequence[tuple[bytes, Sequence[int]]] = (),
    access_gas: int = 0,
) -> Outcome:
    """Run a transaction's message in `state`, which then holds what it changed; one that failed changed nothing but the sender's nonce."""
    is_create = to is None
    least = intrinsic_gas(data, is_create) + access_gas
    if gas_limit < max(least, floor_gas(data)):
        return Outcome("OutOfGas", gas_limit, b"", (), None)
    if is_create and len(data) > MAX_INITCODE_BYTES:
        return Outcome("OutOfGas", gas_limit, b"", (), None)
    for address in (sender, state.coinbase):
        state.mark_address_warm(address)
    for address, slots in access_list:
        state.mark_address_warm(address)
        for slot in slots:
            state.mark_storage_warm(address, slot)
    nonce = state.get_nonce(sender)
    state.increment_nonce(sender)
    context = CancunTransactionContext(gas_price, sender)
    gas = gas_limit - least
    if to is None:
        created = contract_address(sender, nonce)
        state.mark_address_warm(created)
        if state.has_code_or_nonce(created):
            return Outcome("ContractCreationCollision", gas_limit, b"", (), None)
        message = Message(gas, constants.CREATE_CONTRACT_ADDRESS, sender, value, b"", data, create_address=created)
        ended = _Computation.apply_create_message(state, message, context)
    else:
        created = None
        state.mark_address_warm(to)
        message = Message(gas, to, sender, value, data, state.get_code(to))
        ended = _Computation.apply_message(state, message, context)
    used = gas_limit - ended.get_gas_remaining()
    if ended.is_error:
        return Outcome(type(ended.error).__name__, max(used, floor_gas(data)), ended.output, (), None)
    used -= min(state.refund, used // MAX_REFUND_QUOTIENT)
    return Outcome(None, max(used, floor_gas(data)), ended.output, tuple(state.logs), created)


def intrinsic_gas(data: bytes, is_create: bool) -> int:
    """Return what a transaction costs before its first instruction (yellow paper, EIP-2028, EIP-3860)."""
    zeros = data.count(0)
    gas = TRANSACTION_GAS + ZERO_BYTE_GAS * zeros + DATA_BYTE_GAS * (len(data) - zeros)
    return gas + CREATE_GAS + INITCODE_WORD_GAS * ((len(data) + 31) // 32) if is_create else gas


def floor_gas(data: bytes) -> int:
    """Return the least that a transaction with this data costs (EIP-7623)."""
    return TRANSACTION_GAS + FLOOR_TOKEN_GAS * (4 * len(data) - 3 * data.count(0))


def contract_address(sender: bytes, nonce: int) -> bytes:
    """Return the address of the contract that `sender` creates with this nonce: Keccak-256 of the RLP list of both."""
    raw = nonce.to_bytes((nonce.bit_length() + 7) // 8, "big")
    item = raw if len(raw) == 1 and raw[0] < 0x80 else bytes((0x80 + len(raw),)) + raw
    payload = b"\x94" + sender + item
    return keccak(bytes((0xC0 + len(payload),)) + payload)[-20:]


@lru_cache(maxsize=512)
def jump_destinations(code: bytes) -> frozenset[int]:
    """Return the positions of JUMPDEST instructions that are not data of a PUSH."""
    found: list[int] = []
    position, length = 0, len(code)
    while position < length:
        op = code[position]
        if op == _JUMPDEST:
            found.append(position)
        elif _PUSH1 <= op <= _PUSH32:
            position += op - _PUSH1 + 1
        position += 1
    return frozenset(found)


class _Code:
    """Code and where it runs: what instructions ask of py-evm's CodeStream, with jump destinations found once for all runs."""

    __slots__ = ("program_counter", "raw")

    def __init__(self, raw: bytes) -> None:
        self.raw, self.program_counter = raw, 0

    def __len__(self) -> int:
        return len(self.raw)

    def read(self, size: int) -> bytes:
        start = self.program_counter
        self.program_counter = start + size
        return self.raw[start : start + size]

    def peek(self) -> int:
        return self.raw[self.program_counter] if self.program_counter < len(self.raw) else _STOP

    @contextmanager
    def seek(self, program_counter: int) -> Iterator[None]:
        kept, self.program_counter = self.program_counter, program_counter
        yield
        self.program_counter = kept

    def is_valid_opcode(self, position: int) -> bool:
        return position in jump_destinations(self.raw)


class _Computation(PragueComputation):
    """One message. Logs, refunds, creations and deletions live in the EvmState and are undone there: a finished child keeps nothing.

    py-evm keeps every child until the end, which 300,000 empty calls turn into gigabytes, and takes each DELEGATECALL by the
    transaction's first contract for a transaction of its own.
    """

    def __init__(self, state: EvmState, message: Message, context: CancunTransactionContext) -> None:
        self.state = state
        self.msg = message
        self.transaction_context = context
        self.code = _Code(message.code)
        self._gas_meter = GasMeter(message.gas, allow_negative_refund_strategy)
        self._stack = Stack()
        self._memory = Memory()
        self.beneficiaries: list[bytes] = []

    @property
    def contracts_created(self) -> dict[bytes, bool]:
        return self.state.created

    def add_child_computation(self, child: _Computation) -> None:
        if child.is_error:
            self.return_data = b"" if child.should_burn_gas else child.output
        else:
            self.return_data = b"" if child.msg.is_create else child.output

    def refund_gas(self, amount: int) -> None:
        self.state.refund += amount

    def register_account_for_deletion(self, beneficiary: bytes) -> None:
        self.state.mark_deleted(self.msg.storage_address)

    def add_log_entry(self, account: bytes, topics: Sequence[int], data: bytes) -> None:
        self.state.logs.append(Log(account, tuple(topic.to_bytes(32, "big") for topic in topics), data))

    @classmethod
    def apply_message(
        cls, state: EvmState, message: Message, context: Any, parent_computation: Any = None
    ) -> _Computation:
        mark = state.snapshot()
        if message.should_transfer_value and message.value:
            # The sender's balance was looked at before: by the instruction, or when the transaction was taken.
            state.delta_balance(message.sender, -message.value)
            state.delta_balance(message.storage_address, message.value)
        computation = cls(state, message, context)
        computation._run()
        if computation.is_error:
            state.revert(mark)
        return computation

    @classmethod
    def apply_create_message(
        cls, state: EvmState, message: Message, context: Any, parent_computation: Any = None
    ) -> _Computation:
        mark = state.snapshot()
        address = message.storage_address
        state.mark_created(address)
        state.increment_nonce(address)
        computation = cls.apply_message(state, message, context)
        if not computation.is_error:
            code = computation.output
            try:
                cls.validate_contract_code(code)
                computation.consume_gas(CODE_BYTE_GAS * len(code), "contract code")
            except VMError as error:
                computation._fail(error)
            else:
                state.set_code(address, code)
        if computation.is_error:
            state.revert(mark)
        return computation

    def _run(self) -> None:
        state = self.state
        try:
            self._work(MESSAGE_WORK)
            if not self._run_native():
                code = self.code
                raw, length = code.raw, len(code.raw)
                for _ in state.budget:
                    counter = code.program_counter
                    code.program_counter = counter + 1
                    _INSTRUCTIONS[raw[counter] if counter < length else _STOP](self)
                raise OutOfWork("the transaction's work is spent")
        except Halt:
            pass
        except VMError as error:
            self._fail(error)

    def _run_native(self) -> bool:
        """Run a precompile or system contract if the message is for one; raise ContractFrozen if it is for a frozen contract."""
        message, state = self.msg, self.state
        if message.is_create:
            return False
        address = message.code_address
        if address in PRECOMPILES:
            run, work = PRECOMPILES[address]
            self._work(work(message.data_as_bytes))
            run(self)
            return True
        system = state.system.get(address)
        if system is not None:
            self._read_system(system)
            return True
        if message.code and (reason := state.frozen_reason(address)) is not None:
            self.output = encode_error(Refused("CONTRACT_FROZEN", found=address, reason=reason).message)
            raise ContractFrozen(self.output)
        return False

    def _read_system(self, system: SystemContract) -> None:
        message, state = self.msg, self.state
        data = message.data_as_bytes
        call = Call(
            message.sender, message.code_address, data, message.gas, state.block_number, state.time_ms, bytes(32)
        )
        result = system.execute(state.ledger, call, by_code=True)
        self._work(result.gas_used // SYSTEM_GAS_PER_WORK)
        if result.refusal == "OUT_OF_GAS":
            raise OutOfGas(result.refusal)
        self.consume_gas(result.gas_used, system.name)
        self.output = result.output
        if result.refusal is not None:
            raise Revert(result.output)

    def _work(self, units: int) -> None:
        """Take units of work from what the transaction has left."""
        if length_hint(self.state.budget) < units:
            units = MAX_TRANSACTION_WORK
        next(islice(self.state.budget, units, units), None)

    def _fail(self, error: VMError) -> None:
        self._error = error
        if error.burns_gas:
            self._gas_meter.gas_remaining = 0
        if error.erases_return_data:
            self.return_data = b""


def _word_work(units: int, word_units: int = 0) -> Callable[[bytes], int]:
    return lambda data: units + word_units * (len(data) // 32)


def _modexp_work(data: bytes) -> int:
    lengths = [int.from_bytes(data[at : at + 32].ljust(32, b"\0"), "big") for at in (0, 32, 64)]
    return 100 + min(max(lengths[0], lengths[2]) ** 2 * max(lengths[1], 1) // 40, MAX_TRANSACTION_WORK)


def _blake2_work(data: bytes) -> int:
    return 100 + 16 * int.from_bytes(data[:4], "big")


_WORK: Final[dict[int, Callable[[bytes], int]]] = {
    0x01: _word_work(12_000),
    0x02: _word_work(20),
    0x03: _word_work(40),
    0x04: _word_work(10),
    0x05: _modexp_work,
    0x06: _word_work(400),
    0x07: _word_work(16_000),
    0x08: _word_work(200_000, 50_000),
    0x09: _blake2_work,
    0x0A: _word_work(20_000),
    0x0B: _word_work(800),
    0x0C: _word_work(40_000, 8_000),
    0x0D: _word_work(2_000),
    0x0E: _word_work(100_000, 20_000),
    0x0F: _word_work(2_000_000, 100_000),
    0x10: _word_work(10_000),
    0x11: _word_work(250_000),
}
PRECOMPILES: Final = {
    address: (PRAGUE_PRECOMPILES[address], work)
    for address, work in ((number.to_bytes(20, "big"), work) for number, work in _WORK.items())
}
_INSTRUCTIONS: Final = [PragueComputation.opcodes.get(number) or InvalidOpcode(number) for number in range(256)]
# py-evm's own warns of its deprecation on every run.
_INSTRUCTIONS[_SELFDESTRUCT] = as_opcode(
    ensure_no_static(selfdestruct_eip6780), "SELFDESTRUCT", GAS_SELFDESTRUCT_EIP150
)
