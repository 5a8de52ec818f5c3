"""The instructions that most code consists of, written out for speed; the rest are py-evm's. Both give the same results."""

from __future__ import annotations

from collections.abc import Callable
from operator import and_, or_, xor
from typing import Final

from contracts.call import Log
from contracts.evm_frame import WORD_GAS, Frame
from contracts.evm_state import Halted
from contracts.keccak import keccak

Instruction = Callable[[Frame], object]

COLD_STORAGE_GAS: Final = 2_100
WARM_GAS: Final = 100
SET_STORAGE_GAS: Final = 20_000
CHANGE_STORAGE_GAS: Final = 2_900
CLEAR_STORAGE_REFUND: Final = 4_800
SSTORE_LEAST_GAS: Final = 2_300
"""EIP-2200 with the prices of EIP-2929 and the refund of EIP-3529."""
KECCAK_WORD_GAS: Final = 6
LOG_BYTE_GAS: Final = 8

KECCAK_WORK: Final = 25
KECCAK_BYTES_PER_WORK: Final = 64
STORE_WORK: Final = 150
"""A slot that changes: the tree over the state hashes its path anew when the block is made."""
LOG_WORK: Final = 50
LOG_BYTES_PER_WORK: Final = 16
"""A log is hashed, kept and indexed, and after its block shown, looked for and told to subscribers: 5 to 20 us in all."""

_MAX: Final = 2**256 - 1
_SIGN: Final = 2**255
_MODULUS: Final = 2**256


def _signed(value: int) -> int:
    return value - _MODULUS if value >= _SIGN else value


def _pair(calculate: Callable[[int, int], int]) -> Instruction:
    def run(frame: Frame) -> None:
        values = frame.values
        left = values.pop()
        values[-1] = calculate(left, values[-1])

    return run


def _add(frame: Frame) -> None:
    values = frame.values
    left = values.pop()
    values[-1] = (left + values[-1]) & _MAX


def _subtract(frame: Frame) -> None:
    values = frame.values
    left = values.pop()
    values[-1] = (left - values[-1]) & _MAX


def _multiply(frame: Frame) -> None:
    values = frame.values
    left = values.pop()
    values[-1] = (left * values[-1]) & _MAX


def _add_modulo(frame: Frame) -> None:
    left, right, modulus = frame.stack_pop_ints(3)
    frame.values.append((left + right) % modulus if modulus else 0)


def _multiply_modulo(frame: Frame) -> None:
    left, right, modulus = frame.stack_pop_ints(3)
    frame.values.append(left * right % modulus if modulus else 0)


def _is_zero(frame: Frame) -> None:
    values = frame.values
    values[-1] = 0 if values[-1] else 1


def _not(frame: Frame) -> None:
    values = frame.values
    values[-1] ^= _MAX


def _shift_right_signed(shift: int, value: int) -> int:
    return (_signed(value) >> min(shift, 256)) & _MAX


def _divide_signed(left: int, right: int) -> int:
    if not right:
        return 0
    left, right = _signed(left), _signed(right)
    quotient = abs(left) // abs(right)
    return (quotient if (left < 0) == (right < 0) else -quotient) & _MAX


def _modulo_signed(left: int, right: int) -> int:
    if not right:
        return 0
    left = _signed(left)
    rest = abs(left) % abs(_signed(right))
    return (-rest if left < 0 else rest) & _MAX


def _keccak256(frame: Frame) -> None:
    start, size = frame.stack_pop_ints(2)
    frame.extend_memory(start, size)
    frame.consume_gas(KECCAK_WORD_GAS * ((size + 31) // 32), "KECCAK256")
    frame.state.spend_work(KECCAK_WORK + size // KECCAK_BYTES_PER_WORK)
    frame.stack_push_bytes(keccak(frame.memory_read_bytes(start, size)))


def _address(frame: Frame) -> None:
    frame.stack_push_bytes(frame.address)


def _caller(frame: Frame) -> None:
    frame.stack_push_bytes(frame.msg.sender)


def _call_value(frame: Frame) -> None:
    frame.values.append(frame.msg.value)


def _call_data_load(frame: Frame) -> None:
    values = frame.values
    start = values[-1]
    word = frame.data[start : start + 32]
    values[-1] = int.from_bytes(word, "big") << 8 * (32 - len(word))


def _call_data_size(frame: Frame) -> None:
    frame.values.append(len(frame.data))


def _copy(source: Callable[[Frame], bytes]) -> Instruction:
    def run(frame: Frame) -> None:
        target, start, size = frame.stack_pop_ints(3)
        frame.extend_memory(target, size)
        frame.consume_gas(WORD_GAS * ((size + 31) // 32), "copy")
        frame.memory_write(target, size, source(frame)[start : start + size].ljust(size, b"\0"))

    return run


def _code_size(frame: Frame) -> None:
    frame.values.append(len(frame.raw))


def _return_data_size(frame: Frame) -> None:
    frame.values.append(len(frame.return_data))


def _pop(frame: Frame) -> None:
    frame.values.pop()


def _memory_load(frame: Frame) -> None:
    values, memory = frame.values, frame.memory
    start = values[-1]
    end = start + 32
    if end > len(memory):
        frame.extend_memory(start, 32)
    values[-1] = int.from_bytes(memory[start:end], "big")


def _memory_store(frame: Frame) -> None:
    values, memory = frame.values, frame.memory
    start = values.pop()
    end = start + 32
    if end > len(memory):
        frame.extend_memory(start, 32)
    memory[start:end] = values.pop().to_bytes(32, "big")


def _memory_store_byte(frame: Frame) -> None:
    values = frame.values
    start = values.pop()
    frame.extend_memory(start, 1)
    frame.memory[start] = values.pop() & 0xFF


def _memory_size(frame: Frame) -> None:
    frame.values.append(len(frame.memory))


def _storage_load(frame: Frame) -> None:
    values, state, address = frame.values, frame.state, frame.address
    slot = values[-1]
    if state.is_storage_warm(address, slot):
        frame.consume_gas(WARM_GAS, "SLOAD")
    else:
        state.mark_storage_warm(address, slot)
        frame.consume_gas(COLD_STORAGE_GAS, "SLOAD")
    values[-1] = state.get_storage(address, slot)


def _storage_store(frame: Frame) -> None:
    if frame.msg.is_static:
        raise Halted("WriteProtection")
    if frame.gas <= SSTORE_LEAST_GAS:
        raise Halted("OutOfGas")
    state, address = frame.state, frame.address
    slot, value = frame.values.pop(), frame.values.pop()
    cold_gas = 0
    if not state.is_storage_warm(address, slot):
        state.mark_storage_warm(address, slot)
        cold_gas = COLD_STORAGE_GAS
    current = state.get_storage(address, slot)
    original = state.get_storage(address, slot, from_journal=False)
    gas, refund = _storage_gas(original, current, value)
    frame.consume_gas(gas + cold_gas, "SSTORE")
    state.refund += refund
    if gas > WARM_GAS:
        state.spend_work(STORE_WORK)
    state.set_storage(address, slot, value)


def _storage_gas(original: int, current: int, value: int) -> tuple[int, int]:
    """Return gas and refund of a store (EIP-2200)."""
    if current == value:
        return WARM_GAS, 0
    if original == current:
        if original == 0:
            return SET_STORAGE_GAS, 0
        return CHANGE_STORAGE_GAS, 0 if value else CLEAR_STORAGE_REFUND
    refund = 0
    if original:
        if current == 0:
            refund -= CLEAR_STORAGE_REFUND
        if value == 0:
            refund += CLEAR_STORAGE_REFUND
    if original == value:
        refund += (CHANGE_STORAGE_GAS if original else SET_STORAGE_GAS) - WARM_GAS
    return WARM_GAS, refund


def _jump(frame: Frame) -> None:
    target = frame.values.pop()
    if not frame.is_jump_destination(target):
        raise Halted("InvalidJumpDestination")
    frame.counter = target


def _jump_if(frame: Frame) -> None:
    values = frame.values
    target = values.pop()
    if values.pop():
        if not frame.is_jump_destination(target):
            raise Halted("InvalidJumpDestination")
        frame.counter = target


def _program_counter(frame: Frame) -> None:
    frame.values.append(frame.counter - 1)


def _gas(frame: Frame) -> None:
    frame.values.append(frame.gas)


def _jump_destination(frame: Frame) -> None:
    pass


def _push(size: int) -> Instruction:
    def run(frame: Frame) -> None:
        start = frame.counter
        frame.counter = end = start + size
        frame.values.append(int.from_bytes(frame.code[start:end], "big"))

    return run


def _push0(frame: Frame) -> None:
    frame.values.append(0)


def _push1(frame: Frame) -> None:
    counter = frame.counter
    frame.values.append(frame.code[counter])
    frame.counter = counter + 1


def _dup(depth: int) -> Instruction:
    def run(frame: Frame) -> None:
        values = frame.values
        values.append(values[-depth])

    return run


def _swap(depth: int) -> Instruction:
    below = -depth - 1

    def run(frame: Frame) -> None:
        values = frame.values
        values[-1], values[below] = values[below], values[-1]

    return run


def _log(count: int) -> Instruction:
    def run(frame: Frame) -> None:
        if frame.msg.is_static:
            raise Halted("WriteProtection")
        start, size, *topics = frame.stack_pop_ints(2 + count)
        frame.consume_gas(LOG_BYTE_GAS * size, "LOG")
        frame.extend_memory(start, size)
        state = frame.state
        state.spend_work(LOG_WORK + size // LOG_BYTES_PER_WORK)
        words = tuple(topic.to_bytes(32, "big") for topic in topics)
        state.logs.append(Log(frame.address, words, frame.memory_read_bytes(start, size)))

    return run


_VERY_LOW, _LOW, _BASE, _MID, _HIGH = 3, 5, 2, 8, 10

INSTRUCTIONS: Final[dict[int, tuple[int, Instruction]]] = {
    0x01: (_VERY_LOW, _add),
    0x02: (_LOW, _multiply),
    0x03: (_VERY_LOW, _subtract),
    0x04: (_LOW, _pair(lambda left, right: left // right if right else 0)),
    0x05: (_LOW, _pair(_divide_signed)),
    0x06: (_LOW, _pair(lambda left, right: left % right if right else 0)),
    0x07: (_LOW, _pair(_modulo_signed)),
    0x08: (_MID, _add_modulo),
    0x09: (_MID, _multiply_modulo),
    0x10: (_VERY_LOW, _pair(lambda left, right: 1 if left < right else 0)),
    0x11: (_VERY_LOW, _pair(lambda left, right: 1 if left > right else 0)),
    0x12: (_VERY_LOW, _pair(lambda left, right: 1 if _signed(left) < _signed(right) else 0)),
    0x13: (_VERY_LOW, _pair(lambda left, right: 1 if _signed(left) > _signed(right) else 0)),
    0x14: (_VERY_LOW, _pair(lambda left, right: 1 if left == right else 0)),
    0x15: (_VERY_LOW, _is_zero),
    0x16: (_VERY_LOW, _pair(and_)),
    0x17: (_VERY_LOW, _pair(or_)),
    0x18: (_VERY_LOW, _pair(xor)),
    0x19: (_VERY_LOW, _not),
    0x1A: (_VERY_LOW, _pair(lambda position, value: value >> 8 * (31 - position) & 0xFF if position < 32 else 0)),
    0x1B: (_VERY_LOW, _pair(lambda shift, value: value << shift & _MAX if shift < 256 else 0)),
    0x1C: (_VERY_LOW, _pair(lambda shift, value: value >> shift if shift < 256 else 0)),
    0x1D: (_VERY_LOW, _pair(_shift_right_signed)),
    0x20: (30, _keccak256),
    0x30: (_BASE, _address),
    0x33: (_BASE, _caller),
    0x34: (_BASE, _call_value),
    0x35: (_VERY_LOW, _call_data_load),
    0x36: (_BASE, _call_data_size),
    0x37: (_VERY_LOW, _copy(lambda frame: frame.data)),
    0x38: (_BASE, _code_size),
    0x39: (_VERY_LOW, _copy(lambda frame: frame.raw)),
    0x3D: (_BASE, _return_data_size),
    0x50: (_BASE, _pop),
    0x51: (_VERY_LOW, _memory_load),
    0x52: (_VERY_LOW, _memory_store),
    0x53: (_VERY_LOW, _memory_store_byte),
    0x54: (0, _storage_load),
    0x55: (0, _storage_store),
    0x56: (_MID, _jump),
    0x57: (_HIGH, _jump_if),
    0x58: (_BASE, _program_counter),
    0x59: (_BASE, _memory_size),
    0x5A: (_BASE, _gas),
    0x5B: (1, _jump_destination),
    0x5F: (_BASE, _push0),
    0x60: (_VERY_LOW, _push1),
    **{0x5F + size: (_VERY_LOW, _push(size)) for size in range(2, 33)},
    **{0x7F + depth: (_VERY_LOW, _dup(depth)) for depth in range(1, 17)},
    **{0x8F + depth: (_VERY_LOW, _swap(depth)) for depth in range(1, 17)},
    **{0xA0 + count: (375 * (count + 1), _log(count)) for count in range(5)},
}
"""Gas and function of each instruction that is ours, by its byte."""

_TAKEN: Final = {
    **dict.fromkeys((0x15, 0x19, 0x31, 0x35, 0x3B, 0x3F, 0x40, 0x49, 0x50, 0x51, 0x54, 0x56, 0x5C, 0xFF), 1),
    **dict.fromkeys((*range(0x01, 0x08), *range(0x0A, 0x0C), *range(0x10, 0x15), *range(0x16, 0x19)), 2),
    **dict.fromkeys((*range(0x1A, 0x1E), 0x20, 0x52, 0x53, 0x55, 0x57, 0x5D, 0xF3, 0xFD), 2),
    **dict.fromkeys((0x08, 0x09, 0x37, 0x39, 0x3E, 0x5E, 0xF0), 3),
    **dict.fromkeys((0x3C, 0xF5), 4),
    **dict.fromkeys((0xF4, 0xFA), 6),
    **dict.fromkeys((0xF1, 0xF2), 7),
    **{0x7F + depth: depth for depth in range(1, 17)},
    **{0x8F + depth: depth + 1 for depth in range(1, 17)},
    **{0xA0 + count: 2 + count for count in range(5)},
}
_GROWING: Final = frozenset(
    (*range(0x30, 0x31), *range(0x32, 0x35), 0x36, 0x38, 0x3A, 0x3D, *range(0x41, 0x49), 0x4A, *range(0x58, 0x5B))
) | frozenset(range(0x5F, 0x90))

MAX_STACK: Final = 1_024
STACK_BOUNDS: Final = tuple((_TAKEN.get(op, 0), MAX_STACK - 1 if op in _GROWING else MAX_STACK) for op in range(256))
"""The least and the greatest height of the stack at which each instruction runs, by its byte."""
