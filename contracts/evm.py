"""The EVM: py-evm's Prague instructions under our own message executor. The one module that imports py-evm."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec
from Crypto.Hash import RIPEMD160

# py-evm and py_ecc raise the whole process' limit up to 100,000, with which a parser written in C crashes on data that is
# nested deeply, instead of refusing it. Execution sets the limit that it needs by itself.
_LIMIT_BEFORE: Final = sys.getrecursionlimit()

from eth import constants
from eth.exceptions import Halt, Revert, VMError
from eth.precompiles.modexp import extract_lengths
from eth.vm.forks.berlin.computation import _compute_modexp_gas_fee_eip_2565
from eth.vm.forks.byzantium.opcodes import ensure_no_static
from eth.vm.forks.cancun.logic import selfdestruct_eip6780
from eth.vm.forks.cancun.transaction_context import CancunTransactionContext
from eth.vm.forks.prague.computation import PRAGUE_PRECOMPILES, PragueComputation
from eth.vm.forks.tangerine_whistle.constants import GAS_SELFDESTRUCT_EIP150
from eth.vm.message import Message
from eth.vm.opcode import Opcode

from contracts.abi import encode_error
from contracts.call import Call, Log
from contracts.evm_frame import Frame
from contracts.evm_instructions import INSTRUCTIONS, STACK_BOUNDS, Instruction
from contracts.evm_state import EvmState, Halted
from contracts.frame import SystemContract
from contracts.keccak import keccak
from contracts.refusals import Refused

sys.setrecursionlimit(_LIMIT_BEFORE)

MAX_CODE_BYTES: Final = 24_576
"""EIP-170."""
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

MAX_TRANSACTION_WORK: Final = 400_000
"""Units of about a fifth of a microsecond of one core. Gas does not bound time here: Ethereum's prices suppose native code."""
MESSAGE_WORK: Final = 80
CREATE_WORK: Final = 600
DEPTH_PER_WORK: Final = 8
"""Messages under a deep chain of others take longer: what each holds is spread over memory."""
EXPONENT_BYTE_WORK: Final = 3
SYSTEM_GAS_PER_WORK: Final = 25

LEAST_RECURSION_LIMIT: Final = 16_384
"""Calls of Python's under the deepest chain of messages: nine a message, 1,024 messages, and what called us."""

_RIPEMD160: Final = 0x03
_MODEXP: Final = 0x05
_EXP: Final = 0x0A
_INVALID: Final = 0xFE
_SELFDESTRUCT: Final = 0xFF


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
    limit = sys.getrecursionlimit()
    try:
        # Whoever lowered it may not decide how a transaction ends.
        sys.setrecursionlimit(max(limit, LEAST_RECURSION_LIMIT))
        return _execute(state, sender, to, data, gas_limit, value, gas_price, access_list, access_gas)
    finally:
        sys.setrecursionlimit(limit)


def _execute(
    state: EvmState,
    sender: bytes,
    to: bytes | None,
    data: bytes,
    gas_limit: int,
    value: int,
    gas_price: int,
    access_list: Sequence[tuple[bytes, Sequence[int]]],
    access_gas: int,
) -> Outcome:
    is_create = to is None
    least = intrinsic_gas(data, is_create) + access_gas
    if gas_limit < max(least, floor_gas(data)):
        return Outcome("OutOfGas", gas_limit, b"", (), None)
    if is_create and len(data) > MAX_INITCODE_BYTES:
        return Outcome("InitcodeTooLong", gas_limit, b"", (), None)
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
        name = ended.error.reason if isinstance(ended.error, Halted) else type(ended.error).__name__
        return Outcome(name, max(used, floor_gas(data)), ended.output, (), None)
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


class _Computation(Frame, PragueComputation):
    """One message. Logs, refunds, creations and deletions live in the EvmState and are undone there: a finished child keeps nothing.

    py-evm keeps every child until the end, which 300,000 empty calls turn into gigabytes, and takes each DELEGATECALL by the
    transaction's first contract for a transaction of its own.
    """

    def __init__(self, state: EvmState, message: Message, context: CancunTransactionContext) -> None:
        Frame.__init__(self, state, message)
        self.transaction_context = context
        self.beneficiaries: list[bytes] = []

    @property
    def contracts_created(self) -> dict[bytes, bool]:
        return self.state.created

    def register_account_for_deletion(self, beneficiary: bytes) -> None:
        self.state.mark_deleted(self.address)

    def apply_child_computation(self, message: Message) -> _Computation:
        apply = self.apply_create_message if message.is_create else self.apply_message
        child = apply(self.state, message, self.transaction_context)
        if child.is_error:
            self.return_data = b"" if child.should_burn_gas else child.output
        else:
            self.return_data = b"" if message.is_create else child.output
        return child

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
        if len(message.code) > MAX_INITCODE_BYTES:
            raise Halted("InitcodeTooLong")
        mark = state.snapshot()
        address = message.storage_address
        state.mark_created(address)
        state.increment_nonce(address)
        computation = cls.apply_message(state, message, context)
        if not computation.is_error:
            code = computation.output
            try:
                if len(code) > MAX_CODE_BYTES:
                    raise Halted("CodeTooLong")
                cls.validate_contract_code(code)
                computation.consume_gas(CODE_BYTE_GAS * len(code), "contract code")
            except (VMError, Halted) as error:
                computation._fail(error)
            else:
                state.set_code(address, code)
        if computation.is_error:
            state.revert(mark)
        return computation

    def _run(self) -> None:
        try:
            message = self.msg
            self.state.spend_work(
                (CREATE_WORK if message.is_create else MESSAGE_WORK) + message.depth // DEPTH_PER_WORK
            )
            if not self._run_native():
                self._run_code()
        except Halt:
            pass
        except (VMError, Halted) as error:
            self._fail(error)

    def _run_code(self) -> None:
        table, code, values = _TABLE, self.code, self.values
        for _ in self.state.budget:
            counter = self.counter
            cost, least, most, run = table[code[counter]]
            gas = self.gas - cost
            if gas < 0:
                raise Halted("OutOfGas")
            self.gas = gas
            if not least <= len(values) <= most:
                raise Halted("InsufficientStack" if len(values) < least else "FullStack")
            self.counter = counter + 1
            run(self)
        raise Halted("OutOfWork")

    def _run_native(self) -> bool:
        """Run a precompile or system contract if the message is for one; raise ContractFrozen if it is for a frozen contract."""
        message, state = self.msg, self.state
        if message.is_create:
            return False
        address = message.code_address
        if address in PRECOMPILES:
            if not message.is_delegation:
                run, work = PRECOMPILES[address]
                state.spend_work(work(message.data, message.gas))
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
        call = Call(
            message.sender,
            message.code_address,
            message.data,
            message.gas,
            state.block_number,
            state.time_ms,
            bytes(32),
        )
        result = system.execute(state.ledger, call, by_code=True)
        state.spend_work(result.gas_used // SYSTEM_GAS_PER_WORK)
        if result.refusal == "OUT_OF_GAS":
            raise Halted("OutOfGas")
        self.consume_gas(result.gas_used, system.name)
        self.output = result.output
        if result.refusal is not None:
            raise Revert(result.output)

    def _fail(self, error: VMError | Halted) -> None:
        self._error = error
        if error.burns_gas:
            self.gas = 0
        if error.erases_return_data:
            self.return_data = b""


def _work_of(units: int, least_gas: int, item_bytes: int = 32, item_units: int = 0, item_gas: int = 0) -> _Work:
    """Return how to reckon the work of a precompile: nothing where the message cannot pay its gas."""

    def work(data: bytes, gas: int) -> int:
        items = len(data) // item_bytes
        return units + item_units * items if gas >= least_gas + item_gas * items else 0

    return work


def _modexp_work(data: bytes, gas: int) -> int:
    base, exponent, modulus = map(int, extract_lengths(data))
    if not modulus or gas < _compute_modexp_gas_fee_eip_2565(data):
        return 100
    return 100 + exponent * 8 * (750 + modulus**2) // 1000 + base * modulus // 1000


def _modexp(computation: _Computation) -> None:
    """Do as EIP-198 says; py-evm's own gives 0 for the power 0 of a base without bytes."""
    data = computation.data
    computation.consume_gas(_compute_modexp_gas_fee_eip_2565(data), "MODEXP")
    base_length, exponent_length, modulus_length = extract_lengths(data)
    if not modulus_length:
        return
    numbers, at = [], 96
    for length in (base_length, exponent_length, modulus_length):
        numbers.append(int.from_bytes(data[at : at + length].ljust(length, b"\0"), "big"))
        at += length
    base, exponent, modulus = numbers
    computation.output = (pow(base, exponent, modulus) if modulus else 0).to_bytes(modulus_length, "big")


def _ripemd160(computation: _Computation) -> None:
    """Do as py-evm's does without the OpenSSL of this machine: some versions have no RIPEMD-160, and validators would disagree."""
    data = computation.data
    words = (len(data) + 31) // 32
    computation.consume_gas(constants.GAS_RIPEMD160 + words * constants.GAS_RIPEMD160WORD, "RIPEMD160")
    computation.output = RIPEMD160.new(data).digest().rjust(32, b"\0")


def _blake2_work(data: bytes, gas: int) -> int:
    rounds = int.from_bytes(data[:4], "big")
    return 800 + 33 * rounds if rounds <= gas else 0


_Work = Callable[[bytes, int], int]
_WORK: Final[dict[int, _Work]] = {
    0x01: _work_of(30_000, 3_000),
    0x02: _work_of(20, 0, 256, 1),
    0x03: _work_of(30, 0, 64, 1),
    0x04: _work_of(10, 0),
    _MODEXP: _modexp_work,
    0x06: _work_of(500, 150),
    0x07: _work_of(45_000, 6_000),
    0x08: _work_of(450_000, 45_000, 192, 700_000, 34_000),
    0x09: _blake2_work,
    0x0A: _work_of(4_600_000, 50_000),
    0x0B: _work_of(1_000, 375),
    0x0C: _work_of(1_000, 0, 160, 90_000, 6_200),
    0x0D: _work_of(5_000, 600),
    0x0E: _work_of(1_000, 0, 288, 500_000, 11_700),
    0x0F: _work_of(1_000, 37_700, 384, 2_400_000, 32_600),
    0x10: _work_of(16_000, 5_500),
    0x11: _work_of(520_000, 23_800),
}
_OWN: Final[dict[int, Callable[[_Computation], None]]] = {_RIPEMD160: _ripemd160, _MODEXP: _modexp}
PRECOMPILES: Final = {
    address: (_OWN.get(address[-1], PRAGUE_PRECOMPILES[address]), work)
    for address, work in ((number.to_bytes(20, "big"), work) for number, work in _WORK.items())
}


def _exponentiate(frame: Frame) -> None:
    frame.state.spend_work(EXPONENT_BYTE_WORK * ((frame.values[-2].bit_length() + 7) // 8))
    PragueComputation.opcodes[_EXP].logic_fn(frame)


def _refuse_unknown(frame: Frame) -> None:
    raise Halted("InvalidInstruction")


def _instruction(number: int) -> tuple[int, Instruction]:
    """Return gas and function of an instruction: ours where there is one, else py-evm's."""
    if number in INSTRUCTIONS:
        return INSTRUCTIONS[number]
    if number == _EXP:
        return PragueComputation.opcodes[_EXP].gas_cost, _exponentiate
    if number == _SELFDESTRUCT:
        # py-evm's own warns of its deprecation on every run.
        return GAS_SELFDESTRUCT_EIP150, ensure_no_static(selfdestruct_eip6780)
    found = PragueComputation.opcodes.get(number)
    if found is None or number == _INVALID:
        return 0, _refuse_unknown
    # A bound method: a call of the object itself would take some of the thread's stack.
    return (0, found.__call__) if isinstance(found, Opcode) else (found.gas_cost, found.logic_fn)


_TABLE: Final = [
    (gas, *STACK_BOUNDS[number], run)
    for number, (gas, run) in ((number, _instruction(number)) for number in range(256))
]
