"""Random programs run by our executor and by py-evm's own: same end, gas, output, logs, storage, nonces, balances and code.

`python -m tests.contracts.evm_fuzz --programs 100000 --seed 0` runs many and prints what they were.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from eth.constants import BLANK_ROOT_HASH, CREATE_CONTRACT_ADDRESS
from eth.db.atomic import AtomicDB
from eth.vm.execution_context import ExecutionContext
from eth.vm.forks.cancun.transaction_context import CancunTransactionContext
from eth.vm.forks.prague.computation import PragueComputation
from eth.vm.forks.prague.state import PragueState
from eth.vm.message import Message
from eth_hash.auto import keccak

from contracts.evm import (
    LEAST_RECURSION_LIMIT,
    PRECOMPILES,
    contract_address,
    execute_message,
    floor_gas,
    intrinsic_gas,
)
from contracts.evm_instructions import STACK_BOUNDS
from contracts.evm_state import ContractAccount, EvmBlock, EvmState, code_key, contract_key, storage_key

SENDER: Final = b"\xaa" * 20
CONTRACTS: Final = tuple(bytes((0xC0 + number,)) * 20 for number in range(4))
SLOTS: Final = 6
HEIGHT, TIME_S, GAS_LIMIT, CHAIN_ID = 5, 1_700_000_000, 30_000_000, 77
UNLIMITED_WORK: Final = 10**9

_CALLS: Final = (0xF1, 0xF2, 0xF4, 0xFA)
_CREATES: Final = (0xF0, 0xF5)
_ENDS: Final = (0x00, 0x56, 0x57, 0xF3, 0xFD, 0xFE, 0xFF)
# Those that copy into memory take operands that make sense, below: else nearly every program would end there.
_PLAIN: Final = tuple(
    op
    for op in (
        *range(0x01, 0x0C),
        *range(0x10, 0x1E),
        *range(0x30, 0x4B),
        0x50,
        0x58,
        0x59,
        0x5A,
        0x5B,
        0x5F,
        *range(0x80, 0xA0),
    )
    if op not in (0x37, 0x39, 0x3C, 0x3E)
)
_NO_RESULT: Final = (0x50, 0x5B)
_NUMBERS: Final = (0, 1, 2, 31, 32, 33, 64, 255, 256, 2**16, 2**31, 2**64, 2**128, 2**255, 2**256 - 1)
_INITCODES: Final = (
    "60006000f3",
    "60015f5560025ff3",
    "33ff",
    "5f5ffd",
    "60ef5f5360015ff3",
    "5b5f56",
    "6001600a60005560206000f3",
    "3d353d1a8fe0",
    "30ff",
)


class Ledger(dict[bytes, bytes]):
    """State as a dict."""

    def set(self, key: bytes, value: bytes) -> None:
        """Put a value."""
        self[key] = value

    def delete(self, key: bytes) -> None:
        """Remove a key."""
        self.pop(key, None)


@dataclass
class Program:
    """Four contracts with storage, and a transaction to one of them or one that creates another."""

    codes: dict[bytes, bytes]
    storage: dict[tuple[bytes, int], int]
    to: bytes | None
    data: bytes
    gas: int
    value: int


@dataclass
class Ran:
    """What a program did; `error` is None, Revert, or halt for every exceptional end."""

    error: str | None
    gas_used: int
    output: bytes
    logs: tuple[Any, ...] = ()
    deleted: frozenset[bytes] = frozenset()
    accounts: dict[bytes, tuple[int, int, bytes, tuple[int, ...]]] = field(default_factory=dict)


def push(value: int) -> bytes:
    """Return the shortest PUSH of a number, of at least one byte."""
    raw = value.to_bytes(max(1, (value.bit_length() + 7) // 8), "big")
    return bytes((0x5F + len(raw),)) + raw


def make_code(source: random.Random, length: int) -> bytes:
    """Return code that mostly keeps its stack in order, calls, creates, stores, logs and sometimes jumps."""
    code, height = bytearray(), 0
    while len(code) < length:
        kind = source.random()
        if kind < 0.30:
            code += push(source.choice(_NUMBERS) if source.random() < 0.7 else source.getrandbits(256))
            height += 1
        elif kind < 0.42:
            code += _call(source)
            height += 1
        elif kind < 0.47:
            code += _create(source)
            height += 1
        elif kind < 0.60:
            code += _memory(source)
        elif kind < 0.70:
            made, grown = _store(source)
            code += made
            height += grown
        elif kind < 0.73:
            code += _jump(source, len(code))
        elif kind < 0.76 and height > 3:
            code += bytes((source.choice(_ENDS),))
        else:
            op = source.choice(_PLAIN)
            least, _ = STACK_BOUNDS[op]
            if least <= height or source.random() < 0.01:
                code += bytes((op,))
                height += _growth(op, least)
    return bytes(code)


def _growth(op: int, least: int) -> int:
    if op in _NO_RESULT:
        return -least
    if 0x80 <= op < 0x90:
        return 1
    return 0 if 0x90 <= op < 0xA0 else 1 - least


def _call(source: random.Random) -> bytes:
    op = source.choice(_CALLS)
    native = bytes(19) + bytes((source.choice((1, 2, 3, 4, 5, 6, 9, 11)),))
    target = source.choice((*CONTRACTS, *CONTRACTS, native, SENDER, source.randbytes(20)))
    code = push(source.choice((0, 32, 64))) + push(source.choice((0, 32)))
    code += push(source.choice((0, 4, 32, 96, 213))) + push(source.choice((0, 0, 5)))
    if op in (0xF1, 0xF2):
        code += push(source.choice((0, 0, 0, 1, 100)))
    gas = source.choice((push(0), push(2_300), push(20_000), push(60_000), b"\x5a", push(2**256 - 1)))
    return code + b"\x73" + target + gas + bytes((op,))


def _create(source: random.Random) -> bytes:
    op = source.choice(_CREATES)
    salt = push(source.randrange(3)) if op == 0xF5 else b""
    initcode = bytes.fromhex(source.choice(_INITCODES)).ljust(32, b"\0") if source.random() < 0.8 else b""
    store = b"\x7f" + initcode + push(0) + b"\x52" if initcode else b""
    size, start, value = source.choice((10, 32, 0, 64)), source.choice((0, 0, 32)), source.choice((0, 0, 1))
    return store + salt + push(size) + push(start) + push(value) + bytes((op,))


def _memory(source: random.Random) -> bytes:
    kind = source.randrange(5)
    start, size = source.choice((0, 1, 32, 100, 5_000)), source.choice((0, 1, 32, 33, 200))
    if kind == 0:
        return push(source.getrandbits(256)) + push(start) + bytes((source.choice((0x52, 0x53)),))
    if kind == 1:
        copies = bytes((source.choice((0x37, 0x39, 0x3E, 0x5E)),))
        return push(size) + push(source.choice((0, 1, 32, 2**64))) + push(start) + copies
    if kind == 2:
        return push(start) + bytes((source.choice((0x51, 0x51, 0x35)),)) + b"\x50"
    if kind == 3:
        return push(size) + push(start) + b"\x20\x50"
    target = source.choice((*CONTRACTS, SENDER))
    return push(size) + push(source.choice((0, 3))) + push(start) + b"\x73" + target + b"\x3c"


def _store(source: random.Random) -> tuple[bytes, int]:
    slot = push(source.randrange(3))
    kind = source.randrange(4)
    if kind == 0:
        return slot + bytes((source.choice((0x54, 0x5C)),)), 1
    if kind == 3:
        count = source.randrange(5)
        topics = b"".join(push(source.randrange(9)) for _ in range(count))
        return topics + push(source.randrange(40)) + push(0) + bytes((0xA0 + count,)), 0
    return push(source.choice((0, 0, 1, 2, 2**255))) + slot + bytes((source.choice((0x55, 0x55, 0x5D)),)), 0


def _jump(source: random.Random, position: int) -> bytes:
    if source.random() < 0.1:
        return push(source.randrange(200)) + b"\x56"
    skipped = source.randbytes(source.randrange(4))
    target = position + 4 + len(skipped)
    if source.random() < 0.5:
        return b"\x61" + target.to_bytes(2, "big") + b"\x56" + skipped + b"\x5b"
    return push(source.randrange(2)) + b"\x61" + (target + 2).to_bytes(2, "big") + b"\x57" + skipped + b"\x5b"


def make_program(source: random.Random) -> Program:
    """Return a program."""
    codes = {address: make_code(source, source.choice((20, 60, 150, 400))) for address in CONTRACTS}
    storage = {(address, slot): source.choice((0, 1, 2**255)) for address in CONTRACTS for slot in range(3)}
    is_create = source.random() < 0.25
    data = (
        make_code(source, source.choice((10, 60, 200))) if is_create else source.randbytes(source.choice((0, 4, 100)))
    )
    gas = source.choice((60_000, 100_000, 200_000, 500_000))
    to = None if is_create else source.choice(CONTRACTS)
    return Program(codes, storage, to, data, gas, source.choice((0, 0, 0, 1)))


def run_ours(program: Program) -> Ran:
    """Return what our executor makes of a program."""
    ledger = Ledger()
    encode = msgspec.msgpack.encode
    for address, code in program.codes.items():
        ledger[contract_key(address)] = encode(ContractAccount(1, b"\x0a", keccak(code)))
        ledger[code_key(keccak(code))] = code
    for (address, slot), value in program.storage.items():
        if value:
            ledger[storage_key(address, slot)] = value.to_bytes((value.bit_length() + 7) // 8, "big")
    ledger[contract_key(SENDER)] = encode(ContractAccount(0, b"\x64", keccak(b"")))
    block = EvmBlock(HEIGHT, TIME_S * 1_000, CHAIN_ID, GAS_LIMIT, lambda _: 0, lambda _: None)
    state = EvmState(ledger, block, {}, PRECOMPILES, UNLIMITED_WORK)
    outcome = execute_message(state, SENDER, program.to, program.data, program.gas, value=program.value)
    error = outcome.error if outcome.error in (None, "Revert") else "halt"
    logs = tuple((log.address, log.topics, log.data) for log in outcome.logs)
    if error is not None:
        return Ran(error, outcome.gas_used, outcome.output)
    state.flush()
    return Ran(
        error,
        outcome.gas_used,
        outcome.output,
        logs,
        frozenset(state.deleted),
        {address: _account(state, address) for address in (SENDER, *CONTRACTS, *sorted(state.created))},
    )


def run_reference(program: Program, created: list[bytes]) -> Ran:
    """Return what py-evm's Prague machine makes of a program, with the accounts at these addresses too."""
    context = ExecutionContext(bytes(20), TIME_S, HEIGHT, 0, bytes(32), GAS_LIMIT, [], CHAIN_ID, 0, 0)
    state = PragueState(AtomicDB(), context, BLANK_ROOT_HASH)
    for address, code in program.codes.items():
        state.set_code(address, code)
        state.set_balance(address, 10)
        state.set_nonce(address, 1)
    for (address, slot), value in program.storage.items():
        if value:
            state.set_storage(address, slot, value)
    state.set_balance(SENDER, 100)
    state.lock_changes()
    state.increment_nonce(SENDER)
    for warm in (SENDER, bytes(20)):
        state.mark_address_warm(warm)
    gas = program.gas - intrinsic_gas(program.data, program.to is None)
    transaction = CancunTransactionContext(0, SENDER)
    if program.to is None:
        new = contract_address(SENDER, 0)
        state.mark_address_warm(new)
        # py-evm takes the price of the initcode's words itself.
        gas += 2 * ((len(program.data) + 31) // 32)
        message = Message(gas, CREATE_CONTRACT_ADDRESS, SENDER, program.value, b"", program.data, create_address=new)
        apply = PragueComputation.apply_create_message
    else:
        state.mark_address_warm(program.to)
        message = Message(gas, program.to, SENDER, program.value, program.data, program.codes[program.to])
        apply = PragueComputation.apply_message
    limit = sys.getrecursionlimit()
    try:
        # Hypothesis lowers it.
        sys.setrecursionlimit(max(limit, LEAST_RECURSION_LIMIT))
        ended = apply(state, message, transaction)
    finally:
        sys.setrecursionlimit(limit)
    used = program.gas - ended.get_gas_remaining()
    if ended.is_error:
        error = "Revert" if type(ended.error).__name__ == "Revert" else "halt"
        return Ran(error, max(used, floor_gas(program.data)), ended.output)
    used -= min(ended.get_gas_refund(), used // 5)
    logs = tuple(
        (address, tuple(topic.to_bytes(32, "big") for topic in topics), data)
        for address, topics, data in ended.get_log_entries()
    )
    return Ran(
        None,
        max(used, floor_gas(program.data)),
        ended.output,
        logs,
        frozenset(ended.get_accounts_for_deletion()),
        {address: _account(state, address) for address in (SENDER, *CONTRACTS, *created)},
    )


def _account(state: Any, address: bytes) -> tuple[int, int, bytes, tuple[int, ...]]:
    slots = tuple(state.get_storage(address, slot) for slot in range(SLOTS))
    return state.get_nonce(address), state.get_balance(address), state.get_code(address), slots


def difference(program: Program) -> tuple[str | None, Ran]:
    """Return where the two differ, None when nowhere, and what ours did."""
    least = max(intrinsic_gas(program.data, program.to is None), floor_gas(program.data))
    if program.gas < least:
        program.gas = least
    ours = run_ours(program)
    reference = run_reference(program, sorted(set(ours.accounts) - {SENDER, *CONTRACTS}))
    for name in ("error", "gas_used", "output", "logs", "deleted"):
        if getattr(ours, name) != getattr(reference, name):
            return f"{name}: ours {getattr(ours, name)!r}, py-evm's {getattr(reference, name)!r}", ours
    for address, account in ours.accounts.items():
        if account != reference.accounts[address]:
            return f"account {address.hex()}: ours {account!r}, py-evm's {reference.accounts[address]!r}", ours
    return None, ours


def main() -> int:
    """Run the programs of the seeds asked for; 1 where any differs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--programs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    ends: Counter[str] = Counter()
    total: Counter[str] = Counter()
    began_s = time.monotonic()
    for seed in range(options.seed, options.seed + options.programs):
        found, ours = difference(make_program(random.Random(seed)))
        ends["differs" if found else ours.error or "success"] += 1
        total.update(gas=ours.gas_used, logs=len(ours.logs), created=max(0, len(ours.accounts) - 5))
        if found:
            sys.stdout.write(f"seed {seed}: {found}\n")
    sys.stdout.write(
        f"programs {options.programs}, seeds from {options.seed}: {dict(sorted(ends.items()))}; "
        f"{dict(total)}; {time.monotonic() - began_s:.0f} s\n"
    )
    return 1 if ends["differs"] else 0


if __name__ == "__main__":
    sys.exit(main())
