"""Small programs at the edges of what the EVM's instructions and messages allow, in named groups; the same ones on every run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product

from tests.state_tests import assembly as op
from tests.state_tests.assembly import call, code, in_memory, push, run
from tests.state_tests.fixtures import Account, Case, Environment, Transaction, block_hashes

SENDER = bytes.fromhex("a94f5374fce5edbc8e2a8697c15331677e6ebf0b")
CONTRACT = b"\xc0" * 20
ECHO, REVERTER, WRITER, LEAVER, BROKEN, LOOPER, RICH, ABSENT = (bytes((0xD0 + n,)) * 20 for n in range(8))
"""Contracts that give back their data, revert with it, store its first word, destroy themselves, fail and loop; a person, nobody."""
COINBASE = b"\xcb" * 20
GAS_LIMIT = 1_000_000
MOST = 2**256 - 1
NUMBERS = (0, 1, 2, 31, 32, 255, 256, 2**128, 2**255 - 1, 2**255, MOST - 1, MOST)
OFFSETS = (0, 1, 31, 32, 4_095, 2**32, 2**64, MOST)
SIZES = (0, 1, 32, 33, 2**32, MOST)

Program = tuple[str, Case]

_ECHO = code(op.CALLDATASIZE, op.PUSH0, op.PUSH0, op.CALLDATACOPY, op.CALLDATASIZE, op.PUSH0)
NUMBER = 1_000
_ENVIRONMENT = Environment(
    COINBASE, NUMBER, 1_700_000_000, 30_000_000, (2**255 + 5).to_bytes(32, "big"), 7, 12_000_000, block_hashes(NUMBER)
)


def world(main: bytes, storage: dict[int, int] | None = None) -> dict[bytes, Account]:
    """Return the accounts that programs meet, `main` being the code of the one that is called."""
    kept = {1: 1, 2: MOST} if storage is None else {slot: value for slot, value in storage.items() if value}
    return {
        SENDER: Account(1, 10**18),
        CONTRACT: Account(1, 100, main, kept),
        ECHO: Account(1, 0, _ECHO + bytes((op.RETURN,))),
        REVERTER: Account(1, 0, _ECHO + bytes((op.REVERT,))),
        WRITER: Account(1, 0, code(op.PUSH0, op.CALLDATALOAD, op.PUSH0, op.SSTORE), {0: 7}),
        LEAVER: Account(1, 9, code(op.CALLER, op.SELFDESTRUCT)),
        BROKEN: Account(1, 0, bytes((op.INVALID,))),
        LOOPER: Account(1, 0, code(op.JUMPDEST, op.PUSH0, op.JUMP)),
        RICH: Account(0, 50),
    }


def program(
    main: bytes,
    *,
    gas: int = GAS_LIMIT,
    data: bytes = b"",
    value: int = 0,
    to: bytes | None = CONTRACT,
    storage: dict[int, int] | None = None,
    access_list: tuple[tuple[bytes, tuple[int, ...]], ...] | None = None,
) -> Case:
    """Return a transaction that calls the contract with this code, or `to`."""
    transaction = Transaction(SENDER, to, 1, data, gas, value, 10, None, 0, access_list)
    return Case("", "", _ENVIRONMENT, world(main, storage), transaction, None)


def changed(case: Case, address: bytes, account: Account) -> Case:
    """Return the program with another account at an address."""
    return replace(case, pre={**case.pre, address: account})


def log_top() -> bytes:
    """Return code that logs the top of the stack."""
    return code(op.PUSH0, op.MSTORE, push(32), op.PUSH0, op.LOG0)


def stack_edges() -> Iterator[Program]:
    """Every byte as an instruction, with the operands it takes and one fewer, under a stack that is as full as may be and fuller."""
    for instruction in range(256):
        taken, left = op.TAKES.get(instruction, (0, 0))
        tail = bytes(range(0x61, 0x61 + 32)) if op.PUSH1 <= instruction <= op.PUSH32 else b""
        body = bytes((instruction,)) + tail
        yield f"{instruction:02x} enough", program(bytes((op.PUSH0,)) * taken + body)
        if taken:
            yield f"{instruction:02x} one fewer", program(bytes((op.PUSH0,)) * (taken - 1) + body)
        room = op.MAX_STACK - left + taken if left > taken else op.MAX_STACK
        yield f"{instruction:02x} full", program(bytes((op.PUSH0,)) * room + body)
        if left > taken:
            yield f"{instruction:02x} too full", program(bytes((op.PUSH0,)) * (room + 1) + body)


def arithmetic() -> Iterator[Program]:
    """Every pair of edge numbers under every instruction of two, and triples under those of three; each result is logged."""
    two = (
        *range(op.ADD, op.SMOD + 1),
        op.EXP,
        op.SIGNEXTEND,
        *range(0x10, op.EQ + 1),
        *range(0x16, op.XOR + 1),
        op.BYTE,
        op.SHL,
        op.SHR,
        op.SAR,
    )
    assert {op.DIV, op.SDIV, op.MOD, op.SLT, op.SGT} < set(two)
    for instruction, left in product(two, NUMBERS):
        body = b"".join(run(instruction, left, right) + log_top() for right in NUMBERS)
        yield f"{instruction:02x} {left:x}", program(body)
    for instruction, left in product((op.ADDMOD, op.MULMOD), NUMBERS):
        pairs = product(NUMBERS[1::2], repeat=2)
        body = b"".join(run(instruction, left, right, modulus) + log_top() for right, modulus in pairs)
        yield f"{instruction:02x} {left:x}", program(body)
    for number in NUMBERS:
        yield f"one {number:x}", program(run(op.NOT, number) + log_top() + run(0x15, number) + log_top())


def memory_edges() -> Iterator[Program]:
    """Memory read and written at edges; what it then spans is logged."""
    after = code(op.MSIZE) + log_top()
    for offset in OFFSETS:
        yield f"mload {offset:x}", program(run(op.MLOAD, offset) + log_top() + after)
        yield f"mstore {offset:x}", program(run(op.MSTORE, offset, MOST) + after)
        yield f"mstore8 {offset:x}", program(run(op.MSTORE8, offset, MOST) + after)
    data = bytes(range(1, 70))
    for offset, size in product(OFFSETS, SIZES):
        name = f"{offset:x} {size:x}"
        yield f"keccak {name}", program(run(op.KECCAK256, offset, size) + log_top() + after)
        yield f"return {name}", program(run(op.RETURN, offset, size))
        yield f"revert {name}", program(run(op.REVERT, offset, size))
        for topics in (0, 4):
            yield f"log{topics} {name}", program(run(op.LOG0 + topics, offset, size, *range(topics)) + after)
        filled = in_memory(data)
        shown = code(op.MSIZE, op.PUSH0, op.LOG0) + after
        yield f"mcopy to {name}", program(filled + run(op.MCOPY, offset, 3, size) + shown)
        yield f"mcopy from {name}", program(filled + run(op.MCOPY, 3, offset, size) + shown)
        for name_of, copy in (("calldata", op.CALLDATACOPY), ("code", op.CODECOPY)):
            yield f"{name_of} to {name}", program(run(copy, offset, 1, size) + shown, data=data)
            yield f"{name_of} from {name}", program(run(copy, 1, offset, size) + shown, data=data)
        yield f"extcode {name}", program(run(op.EXTCODECOPY, ECHO, 1, offset, size) + shown)
        echoed = filled + call(op.CALL, ECHO, data=69, output=5) + bytes((op.POP,))
        yield f"returndata {name}", program(echoed + run(op.RETURNDATACOPY, 0, offset, size) + shown)
        for kind in (op.CREATE, op.CREATE2):
            yield f"{kind:02x} {name}", program(filled + run(kind, 0, offset, size, 0) + shown)
        for kind in op.CALLS:
            value = (0,) if kind in op.CALLS_WITH_VALUE else ()
            made = run(kind, 50_000, ECHO, *value, offset, size, offset, size)
            yield f"{kind:02x} {name}", program(filled + made + log_top() + shown)


def jumps() -> Iterator[Program]:
    """Jumps to where they may and may not go, and code that ends inside an instruction's data."""
    yield "to data", program(code(push(4), op.JUMP, op.PUSH1, op.JUMPDEST, op.STOP))
    yield "to itself", program(code(push(3), op.JUMP, op.JUMPDEST, op.PC) + log_top())
    loop = code(op.JUMPDEST, push(300_000), op.GAS, op.LT, push(b"\x00\x0d"), op.JUMPI, op.PUSH0, op.JUMP)
    yield "to zero", program(loop + code(op.JUMPDEST, op.PC) + log_top())
    for target in (2, 3, 4, 5, 2**64, MOST):
        yield f"past {target:x}", program(run(op.JUMP, target) + code(op.JUMPDEST))
        for flag in (0, 1, MOST):
            yield f"if {target:x} {flag:x}", program(run(op.JUMPI, target, flag) + code(op.JUMPDEST, op.PC) + log_top())
    for width in range(33):
        cut = bytes((op.PUSH0 + width,))
        yield f"cut push {width}", program(cut + b"\x5b" * max(width - 1, 0))
        head = push(4) + code(op.JUMP, cut)
        yield f"over push {width}", program(head + b"\x5b" * 40)


def surroundings() -> Iterator[Program]:
    """What code sees of block, transaction and accounts, cold and warm, with the gas left after each."""
    gas_left = code(op.GAS) + log_top()
    for number in (0, 1, 743, 744, 745, 999, 1_000, 1_001, MOST):
        yield f"blockhash {number:x}", program(run(op.BLOCKHASH, number) + log_top() + gas_left)
        yield f"blobhash {number:x}", program(run(op.BLOBHASH, number) + log_top() + gas_left)
        yield f"calldataload {number:x}", program(run(op.CALLDATALOAD, number) + log_top(), data=bytes(range(1, 250)))
    for instruction, (taken, left) in op.TAKES.items():
        if (taken, left) == (0, 1) and not op.PUSH1 <= instruction <= op.PUSH32:
            yield f"{instruction:02x}", program(bytes((instruction,)) + log_top() + gas_left, value=3)
    precompiles = tuple(number.to_bytes(20, "big") for number in (0, 1, 10, 11, 17, 18, 256))
    accounts = (CONTRACT, SENDER, COINBASE, ECHO, RICH, ABSENT, *precompiles, b"\xff" * 12 + ECHO)
    listed = ((ECHO, ()), (ABSENT, (1, 1)), (ABSENT, (2,)), (CONTRACT, (1, 5)))
    for account, instruction in product(accounts, (op.BALANCE, op.EXTCODESIZE, op.EXTCODEHASH)):
        twice = (code(push(account), instruction) + log_top() + gas_left) * 2
        name = f"{instruction:02x} {account.hex()}"
        yield name, program(twice)
        yield f"{name} listed", program(twice, access_list=listed)
    for slot in (0, 1, 2, 5, MOST):
        twice = (run(op.SLOAD, slot) + log_top() + gas_left) * 2
        yield f"sload {slot:x}", program(twice)
        yield f"sload {slot:x} listed", program(twice, access_list=listed)


def storage() -> Iterator[Program]:
    """Every way from an original value over two others to a last one, with its refunds, and gas around the stipend."""
    for original, *values in product((0, 1, 2), repeat=4):
        body = b"".join(run(op.SSTORE, 3, value) + code(op.GAS) + log_top() for value in values)
        name = f"{original} {' '.join(map(str, values))}"
        yield name, program(body, storage={3: original})
        yield f"{name} reverted", program(body + run(op.REVERT, 0, 0), storage={3: original})
    for gas in (2_300, 2_301, 2_306, 2_307, 5_006, 22_105, 22_106):
        for warm in ((), ((CONTRACT, (3,)),)):
            limit = 21_000 + gas + (4_300 if warm else 0)
            yield f"gas {gas} {len(warm)}", program(run(op.SSTORE, 3, 1), gas=limit, access_list=warm)
    many = b"".join(run(op.SSTORE, slot, 0) for slot in range(1, 20))
    yield "refund at its cap", program(many, storage=dict.fromkeys(range(1, 20), 1))
    for value, other in product((0, 1, MOST), repeat=2):
        body = (
            run(op.TSTORE, 3, value)
            + run(op.TLOAD, 3)
            + log_top()
            + run(op.TSTORE, 3, other)
            + run(op.TLOAD, 3)
            + log_top()
        )
        yield f"transient {value:x} {other:x}", program(body + run(op.TLOAD, 4) + log_top() + code(op.GAS) + log_top())
