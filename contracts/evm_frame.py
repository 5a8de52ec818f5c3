"""One running message of EVM code: its stack, memory, gas and place in the code."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

from contracts.evm_state import EvmState, Halted

WORD_GAS: Final = 3
"""Each word of memory, and each word copied."""
QUADRATIC_WORDS: Final = 512
COPY_BYTES_PER_WORK: Final = 512
MEMORY_BYTES_PER_WORK: Final = 256
"""What bounds a transaction's memory however much gas it has: MAX_TRANSACTION_WORK times as many bytes."""
CODE_BYTES_PER_WORK: Final = 6
"""The first jump in each code of a transaction, which finds the code's jump destinations."""
MAX_PUSH_BYTES: Final = 32
MAX_CACHED_CODES: Final = 256

_JUMPDEST: Final = 0x5B
_PUSH1: Final = 0x60
_STEPS: Final = tuple(op - _PUSH1 + 2 if _PUSH1 <= op < _PUSH1 + MAX_PUSH_BYTES else 1 for op in range(256))
_AFTER_CODE: Final = bytes(MAX_PUSH_BYTES + 1)


def find_jump_destinations(code: bytes) -> bytes:
    """Return a byte for each byte of `code`: 1 where it is a JUMPDEST that is not data of a PUSH."""
    found = bytearray(len(code))
    position, length, steps = 0, len(code), _STEPS
    while position < length:
        op = code[position]
        if op == _JUMPDEST:
            found[position] = 1
            position += 1
        else:
            position += steps[op]
    return bytes(found)


jump_destinations: Final = lru_cache(maxsize=MAX_CACHED_CODES)(find_jump_destinations)
"""find_jump_destinations, kept for the codes of contracts: at most MAX_CACHED_CODES times twice the greatest code."""


class Frame:
    """What instructions work on; py-evm's reach it through the methods, which have py-evm's names."""

    def __init__(self, state: EvmState, message: Any) -> None:
        """Begin a message at the first instruction of its code, with its gas, an empty stack and no memory."""
        self.state, self.msg = state, message
        self.gas: int = message.gas
        self.address: bytes = message.storage_address
        self.data: bytes = message.data
        self.raw: bytes = message.code
        self.code: bytes = message.code + _AFTER_CODE
        self.counter = 0
        self.values: list[int] = []
        self.memory = bytearray()
        self.memory_gas = 0
        self.return_data = b""
        self._jumps: bytes | None = None

    def consume_gas(self, amount: int, reason: str) -> None:
        """Take gas from what the message has left; halt when there is too little."""
        gas = self.gas - amount
        if gas < 0:
            raise Halted("OutOfGas")
        self.gas = gas

    def return_gas(self, amount: int) -> None:
        """Give back what a message called from this one did not use."""
        self.gas += amount

    def get_gas_remaining(self) -> int:
        """Return what the message has left."""
        return self.gas

    def extend_memory(self, start: int, size: int) -> None:
        """Pay for and make memory up to start + size."""
        if not size or start + size <= len(self.memory):
            return
        words = (start + size + 31) >> 5
        gas = WORD_GAS * words + words * words // QUADRATIC_WORDS
        self.consume_gas(gas - self.memory_gas, "memory")
        self.memory_gas = gas
        length, end = len(self.memory), 32 * words
        work = end // MEMORY_BYTES_PER_WORK - length // MEMORY_BYTES_PER_WORK
        if work:
            self.state.spend_work(work)
        self.memory.extend(bytes(end - length))

    def memory_read_bytes(self, start: int, size: int) -> bytes:
        """Return a copy of memory that has been paid for."""
        if size >= COPY_BYTES_PER_WORK:
            self.state.spend_work(size // COPY_BYTES_PER_WORK)
            with memoryview(self.memory) as memory:
                return bytes(memory[start : start + size])
        return bytes(self.memory[start : start + size])

    def memory_write(self, start: int, size: int, value: bytes) -> None:
        """Write `size` bytes to memory that has been paid for."""
        if size >= COPY_BYTES_PER_WORK:
            self.state.spend_work(size // COPY_BYTES_PER_WORK)
        if size:
            self.memory[start : start + size] = value

    def memory_copy(self, target: int, source: int, size: int) -> None:
        """Copy within memory that has been paid for."""
        self.memory_write(target, size, self.memory_read_bytes(source, size))

    def is_jump_destination(self, position: int) -> bool:
        """Return whether code may jump to a position."""
        jumps = self._jumps
        if jumps is None:
            raw, known = self.raw, self.state.jumps
            jumps = known.get(raw)
            if jumps is None:
                self.state.spend_work(len(raw) // CODE_BYTES_PER_WORK)
                jumps = known[raw] = (find_jump_destinations if self.msg.is_create else jump_destinations)(raw)
            self._jumps = jumps
        return position < len(jumps) and jumps[position] == 1

    # The stack, for py-evm's instructions; the loop has looked at its height before.

    def stack_pop_ints(self, count: int) -> tuple[int, ...]:
        """Take the topmost values, the top first."""
        values = self.values
        taken = tuple(values[: -count - 1 : -1])
        del values[-count:]
        return taken

    def stack_pop1_int(self) -> int:
        """Take the topmost value."""
        return self.values.pop()

    def stack_pop1_bytes(self) -> bytes:
        """Take the topmost value as big-endian bytes without leading zeros."""
        value = self.values.pop()
        return value.to_bytes((value.bit_length() + 7) // 8 or 1, "big")

    def stack_push_int(self, value: int) -> None:
        """Put a value on top."""
        self.values.append(value)

    def stack_push_bytes(self, value: bytes) -> None:
        """Put a value of at most 32 bytes on top."""
        self.values.append(int.from_bytes(value, "big"))
