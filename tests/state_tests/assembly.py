"""Words for writing EVM code in tests, and what each instruction takes from the stack and leaves on it (yellow paper and later EIPs)."""

from __future__ import annotations

STOP, ADD, MUL, SUB, DIV, SDIV, MOD, SMOD, ADDMOD, MULMOD, EXP, SIGNEXTEND = range(0x0C)
LT, GT, SLT, SGT, EQ, ISZERO, AND, OR, XOR, NOT, BYTE, SHL, SHR, SAR = range(0x10, 0x1E)
KECCAK256 = 0x20
ADDRESS, BALANCE, ORIGIN, CALLER, CALLVALUE, CALLDATALOAD, CALLDATASIZE, CALLDATACOPY = range(0x30, 0x38)
CODESIZE, CODECOPY, GASPRICE, EXTCODESIZE, EXTCODECOPY, RETURNDATASIZE, RETURNDATACOPY, EXTCODEHASH = range(0x38, 0x40)
BLOCKHASH, COINBASE, TIMESTAMP, NUMBER, PREVRANDAO, GASLIMIT, CHAINID, SELFBALANCE, BASEFEE, BLOBHASH, BLOBBASEFEE = (
    range(0x40, 0x4B)
)
POP, MLOAD, MSTORE, MSTORE8, SLOAD, SSTORE, JUMP, JUMPI, PC, MSIZE, GAS, JUMPDEST = range(0x50, 0x5C)
TLOAD, TSTORE, MCOPY, PUSH0 = range(0x5C, 0x60)
PUSH1, PUSH32, DUP1, SWAP1, LOG0 = 0x60, 0x7F, 0x80, 0x90, 0xA0
CREATE, CALL, CALLCODE, RETURN, DELEGATECALL, CREATE2 = range(0xF0, 0xF6)
STATICCALL, REVERT, INVALID, SELFDESTRUCT = 0xFA, 0xFD, 0xFE, 0xFF

CALLS = (CALL, CALLCODE, DELEGATECALL, STATICCALL)
CALLS_WITH_VALUE = (CALL, CALLCODE)
MAX_STACK = 1_024

TAKES: dict[int, tuple[int, int]] = {
    **dict.fromkeys((STOP, JUMPDEST, INVALID), (0, 0)),
    **dict.fromkeys((ADD, MUL, SUB, DIV, SDIV, MOD, SMOD, EXP, SIGNEXTEND), (2, 1)),
    **dict.fromkeys((LT, GT, SLT, SGT, EQ, AND, OR, XOR, BYTE, SHL, SHR, SAR, KECCAK256), (2, 1)),
    **dict.fromkeys((ADDMOD, MULMOD), (3, 1)),
    **dict.fromkeys((ISZERO, NOT, BALANCE, CALLDATALOAD, EXTCODESIZE, EXTCODEHASH), (1, 1)),
    **dict.fromkeys((BLOCKHASH, BLOBHASH, MLOAD, SLOAD, TLOAD), (1, 1)),
    **dict.fromkeys((ADDRESS, ORIGIN, CALLER, CALLVALUE, CALLDATASIZE, CODESIZE, GASPRICE, RETURNDATASIZE), (0, 1)),
    **dict.fromkeys((COINBASE, TIMESTAMP, NUMBER, PREVRANDAO, GASLIMIT, CHAINID, SELFBALANCE, BASEFEE), (0, 1)),
    **dict.fromkeys((BLOBBASEFEE, PC, MSIZE, GAS, *range(PUSH0, PUSH32 + 1)), (0, 1)),
    **dict.fromkeys((CALLDATACOPY, CODECOPY, RETURNDATACOPY, MCOPY), (3, 0)),
    **dict.fromkeys((MSTORE, MSTORE8, SSTORE, TSTORE, JUMPI, RETURN, REVERT), (2, 0)),
    **dict.fromkeys((POP, JUMP, SELFDESTRUCT), (1, 0)),
    **{DUP1 + n: (n + 1, n + 2) for n in range(16)},
    **{SWAP1 + n: (n + 2, n + 2) for n in range(16)},
    **{LOG0 + n: (n + 2, 0) for n in range(5)},
    EXTCODECOPY: (4, 0),
    CREATE: (3, 1),
    CREATE2: (4, 1),
    CALL: (7, 1),
    CALLCODE: (7, 1),
    DELEGATECALL: (6, 1),
    STATICCALL: (6, 1),
}


def push(value: int | bytes) -> bytes:
    """Return the shortest PUSH of a number, or the PUSH of exactly these bytes."""
    raw = value if isinstance(value, bytes) else value.to_bytes((value.bit_length() + 7) // 8, "big")
    return bytes((PUSH0 + len(raw),)) + raw


def code(*parts: int | bytes) -> bytes:
    """Return instructions, given by number, and pieces of code as one piece."""
    return b"".join(part if isinstance(part, bytes) else bytes((part,)) for part in parts)


def run(instruction: int, *operands: int | bytes) -> bytes:
    """Return an instruction after the PUSHes of its operands, the first given being the top of the stack."""
    return b"".join(push(operand) for operand in reversed(operands)) + bytes((instruction,))


def call(kind: int, to: bytes, *, gas: int | None = None, value: int = 0, data: int = 0, output: int = 0) -> bytes:
    """Return a call with so many bytes of memory as data and for output; gas None gives all there is."""
    ways = push(output) + push(0) + push(data) + push(0)
    ways += push(value) if kind in CALLS_WITH_VALUE else b""
    return ways + push(to) + (bytes((GAS,)) if gas is None else push(gas)) + bytes((kind,))


def store(slot: int) -> bytes:
    """Return the SSTORE of the top of the stack."""
    return run(SSTORE, slot)


def deploy(runtime: bytes) -> bytes:
    """Return initcode that leaves `runtime` as the contract's code."""
    size = push(len(runtime))
    return code(size, DUP1, push(len(size) + 7), PUSH0, CODECOPY, PUSH0, RETURN, runtime)


def in_memory(raw: bytes) -> bytes:
    """Return code that writes these bytes to memory from 0 on."""
    words = (raw[at : at + 32].ljust(32, b"\0") for at in range(0, len(raw), 32))
    return b"".join(push(word) + push(32 * number) + bytes((MSTORE,)) for number, word in enumerate(words))
