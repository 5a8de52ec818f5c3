"""Programs at the edges of calls, creations, self-destruction, precompiles and whole transactions, in named groups."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from contracts.evm import contract_address
from tests.state_tests import assembly as op
from tests.state_tests.assembly import call, code, deploy, in_memory, push, run, store
from tests.state_tests.fixtures import Account
from tests.state_tests.programs import (
    ABSENT,
    BROKEN,
    COINBASE,
    CONTRACT,
    ECHO,
    GAS_LIMIT,
    LEAVER,
    LOOPER,
    MOST,
    REVERTER,
    RICH,
    SENDER,
    WRITER,
    Program,
    changed,
    log_top,
    program,
)

STATIC = {
    "sstore": run(op.SSTORE, 0, 1),
    "tstore": run(op.TSTORE, 0, 1),
    **{f"log{n}": run(op.LOG0 + n, *range(n + 2)) for n in range(5)},
    "create": run(op.CREATE, 0, 0, 0),
    "create2": run(op.CREATE2, 0, 0, 0, 0),
    "selfdestruct": run(op.SELFDESTRUCT, RICH),
    "call with value": call(op.CALL, RICH, value=1),
    "call without": call(op.CALL, RICH),
    "callcode with value": call(op.CALLCODE, RICH, value=1),
    "static": call(op.STATICCALL, ECHO),
    "tload": run(op.TLOAD, 0),
}
ONE_BYTE = deploy(b"\x5b")
INITCODES = {
    "nothing": b"",
    "stop": bytes((op.STOP,)),
    "one byte": ONE_BYTE,
    "first byte ef": deploy(b"\xef\x00"),
    "reverts": run(op.MSTORE, 0, 77) + run(op.REVERT, 0, 32),
    "fails": bytes((op.INVALID,)),
    "leaves": code(op.CALLER, op.SELFDESTRUCT),
    "leaves to itself": code(op.ADDRESS, op.SELFDESTRUCT),
    "writes": run(op.SSTORE, 0, 1) + run(op.TSTORE, 0, 2) + run(op.SSTORE, 0, 0) + run(op.SSTORE, 1, 3),
    "calls back": call(op.CALL, CONTRACT, gas=30_000) + store(0),
    "calls a writer": call(op.DELEGATECALL, WRITER, gas=60_000) + store(1),
    "largest code": run(op.RETURN, 0, 24_576),
    "larger code": run(op.RETURN, 0, 24_577),
    "creates": in_memory(ONE_BYTE) + run(op.CREATE, 0, 0, len(ONE_BYTE)) + store(0),
    "asks for its own code": code(op.ADDRESS, op.EXTCODEHASH) + store(0) + code(op.ADDRESS, op.EXTCODESIZE) + store(1),
}


def kept(body: bytes) -> bytes:
    """Return code that keeps the word that `body` leaves, what was returned and the gas left."""
    shown = code(op.RETURNDATASIZE, op.PUSH0, op.PUSH0, op.RETURNDATACOPY, op.MSIZE, op.PUSH0, op.LOG0)
    return body + store(0x10) + shown + code(op.GAS) + store(0x11)


def once(body: bytes) -> bytes:
    """Return code that does nothing when the contract calls itself, else `body`."""
    end = (8 + len(body)).to_bytes(2, "big")
    return code(op.CALLER, op.ADDRESS, op.EQ, push(end), op.JUMPI, body, op.STOP, op.JUMPDEST)


def created(initcode: bytes, kind: int = op.CREATE, value: int = 0) -> bytes:
    """Return code that creates with this initcode and leaves the address."""
    return in_memory(initcode) + run(kind, value, 0, len(initcode), 5)


def calls() -> Iterator[Program]:
    """Every kind of call of every kind of account, with all gas, some, and hardly any, with value and without."""
    targets = (ECHO, REVERTER, WRITER, LEAVER, BROKEN, RICH, ABSENT, SENDER, COINBASE, CONTRACT, bytes(20))
    start = run(op.MSTORE, 0, 0x1234)
    for kind, to in product(op.CALLS, targets):
        name = f"{kind:02x} {to[-1]:02x}"
        for gas in (GAS_LIMIT, 50_000, 30_000):
            yield f"{name} {gas}", program(once(kept(start + call(kind, to, data=32, output=7))), gas=gas)
        for given in (0, 2_299, 2_300, 30_000, MOST):
            yield f"{name} given {given:x}", program(once(kept(start + call(kind, to, gas=given, data=32, output=40))))
        for value, given in product((1, 100, 101), (0, 30_000) if kind in op.CALLS_WITH_VALUE else ()):
            made = kept(start + call(kind, to, gas=given, value=value, data=32))
            yield f"{name} value {value:x} {given}", program(once(made))
            yield f"{name} value {value:x} {given} short", program(once(made), gas=21_000 + 9_000 + given)
    yield "all gas burnt", program(kept(call(op.CALL, LOOPER, gas=20_000)))
    for offset, size in ((0, 0), (0, 33), (32, 0), (33, 0), (1, 32), (MOST, 1), (0, MOST)):
        copy = start + call(op.CALL, REVERTER, data=32) + run(op.RETURNDATACOPY, 0, offset, size)
        yield f"returned {offset:x} {size:x}", program(copy + log_top())


def depth() -> Iterator[Program]:
    """Contracts that call or create themselves until gas or depth ends it."""
    counted = run(op.SLOAD, 0) + code(push(1), op.ADD) + store(0)
    for kind in op.CALLS[:3]:
        yield f"{kind:02x}", program(counted + call(kind, CONTRACT) + store(1), gas=4_000_000, storage={})
    yield "fa", program(code(call(op.STATICCALL, CONTRACT), op.GAS) + log_top(), gas=4_000_000)
    whole = code(op.CODESIZE, op.PUSH0, op.PUSH0, op.CODECOPY)
    yield "create", program(whole + code(op.CODESIZE, op.PUSH0, op.PUSH0, op.CREATE) + store(0), gas=4_000_000)


def static_calls() -> Iterator[Program]:
    """Everything that changes state, tried under a static call, directly and one call further down."""
    for name, body in STATIC.items():
        for kind in op.CALLS:
            made = created(deploy(body)) + code(op.PUSH0, op.MSTORE)
            yield f"{name} {kind:02x}", program(made + kept(_call_at(kind, 0)), gas=2 * GAS_LIMIT)
            # A relay, whose data names the contract, between the static call and the attempt.
            relay = deploy(run(op.CALLDATALOAD, 0) + code(op.PUSH0, op.MSTORE) + kept_in_memory(_call_at(kind, 0)))
            both = created(deploy(body)) + store(0x20) + created(relay) + run(op.MSTORE, 0x400)
            both += run(op.SLOAD, 0x20) + code(op.PUSH0, op.MSTORE)
            further = kept(_call_at(op.STATICCALL, 0x400))
            yield f"{name} {kind:02x} further down", program(both + further, gas=2 * GAS_LIMIT)


def _call_at(kind: int, offset: int) -> bytes:
    """Return a call, with one word of data, of the address that stands in memory."""
    value = code(op.PUSH0) if kind in op.CALLS_WITH_VALUE else b""
    head = code(push(32), op.PUSH0, push(32), op.PUSH0, value)
    return head + run(op.MLOAD, offset) + push(200_000) + bytes((kind,))


def kept_in_memory(body: bytes) -> bytes:
    """Return code that gives back the word that `body` leaves."""
    return body + code(op.PUSH0, op.MSTORE, push(32), op.PUSH0, op.RETURN)


def creations() -> Iterator[Program]:
    """Initcode of every sort, by both instructions and by a transaction, with value, twice, with gas of several amounts."""
    for (name, initcode), kind in product(INITCODES.items(), (op.CREATE, op.CREATE2)):
        made = created(initcode, kind, 3)
        for gas in (6_000_000, 200_000, 90_000, 60_000):
            yield f"{kind:02x} {name} {gas}", program(once(kept(made)), gas=gas)
        yield f"{kind:02x} {name} twice", program(once(made + code(op.POP) + kept(made)), gas=12_000_000)
        yield f"{kind:02x} {name} poor", program(once(kept(created(initcode, kind, 101))))
        yield f"{kind:02x} {name} undone", program(once(made + run(op.REVERT, 0, 0)), gas=6_000_000)
    for (name, initcode), gas, value in product(INITCODES.items(), (6_000_000, 60_000, 54_000), (0, 4)):
        yield f"transaction {name} {gas} {value}", program(b"", to=None, data=initcode, gas=gas, value=value)
    for size, kind in product((49_152, 49_153), (op.CREATE, op.CREATE2)):
        yield f"{kind:02x} of {size}", program(kept(run(kind, 0, 0, size, 1)), gas=3_000_000)
    for size in (49_152, 49_153):
        yield f"transaction of {size}", program(b"", to=None, data=bytes(size), gas=3_000_000)
    for nonce, kind in product((2**64 - 2, 2**64 - 1), (op.CREATE, op.CREATE2)):
        body = kept(run(kind, 0, 0, 0, 1))
        yield f"{kind:02x} nonce {nonce:x}", changed(program(body), CONTRACT, Account(nonce, 100, body))
    first = contract_address(SENDER, 1)
    for account in (Account(0, 5), Account(1), Account(0, 0, b"\x00")):
        yield f"taken {account.nonce} {account.balance}", changed(program(b"", to=None, data=ONE_BYTE), first, account)
        body = once(kept(created(ONE_BYTE)))
        taken = changed(program(body), contract_address(CONTRACT, 1), account)
        yield f"taken within {account.nonce} {account.balance}", taken


def undone() -> Iterator[Program]:
    """What a message did to storage, refunds, logs, balances, warmth and contracts, seen after it ended well, reverted or failed."""
    effects = {
        "clear": run(op.SSTORE, 1, 0),
        "set": run(op.SSTORE, 7, 5),
        "clear and set": run(op.SSTORE, 1, 0) + run(op.SSTORE, 1, 4),
        "transient": run(op.TSTORE, 7, 6),
        "log": run(op.LOG0 + 1, 0, 0, 9),
        "read": run(op.SLOAD, 7) + code(op.POP),
        "ask": run(op.BALANCE, ABSENT) + code(op.POP),
        "pay": call(op.CALL, ABSENT, value=5) + code(op.POP),
        "create": created(ONE_BYTE, op.CREATE2, 2) + code(op.POP),
        "leave": call(op.CALL, LEAVER) + code(op.POP),
        "leave oneself": run(op.SELFDESTRUCT, RICH),
        "nothing": b"",
    }
    ends = {"well": b"\x00", "reverted": run(op.REVERT, 0, 3), "failed": bytes((op.INVALID,))}
    observed = (
        run(op.TLOAD, 7),
        run(op.SLOAD, 7),
        run(op.SLOAD, 1),
        run(op.BALANCE, ABSENT),
        code(op.SELFBALANCE),
        run(op.BALANCE, LEAVER),
        code(op.RETURNDATASIZE),
        code(op.GAS),
        created(ONE_BYTE, op.CREATE2, 2),
    )
    seen = b"".join(look + log_top() + code(op.GAS) + log_top() for look in observed)
    for (effect, did), (end, ending), before, kind in product(effects.items(), ends.items(), (0, 1), op.CALLS):
        first = did if before else b""
        outer = first + call(kind, CONTRACT, gas=200_000) + log_top() + seen
        yield f"{effect} {end} {before} {kind:02x}", program(_by_caller(outer, did + ending))


def _by_caller(outer: bytes, inner: bytes) -> bytes:
    """Return code that does `inner` when the contract calls itself, with or without its own name, else `outer`."""
    # A delegated call keeps the sender as caller; a transient mark tells it from the transaction's own message.
    mark = run(op.TLOAD, 99) + push((13 + len(outer)).to_bytes(2, "big")) + code(op.JUMPI) + run(op.TSTORE, 99, 1)
    assert len(mark) == 12
    return mark + outer + code(op.STOP, op.JUMPDEST) + inner


def selfdestructions() -> Iterator[Program]:
    """Contracts old and new that destroy themselves, with whom and how often, and are then asked for and called again."""
    for to in (CONTRACT, RICH, ABSENT, SENDER, COINBASE, ECHO, bytes(20)):
        yield f"old to {to[-1]:02x}", program(run(op.SELFDESTRUCT, to), value=2)
        yield f"old to {to[-1]:02x} undone", program(once(call(op.CALL, CONTRACT) + run(op.SELFDESTRUCT, to)))
        for own in (run(op.SELFDESTRUCT, to), code(op.ADDRESS, op.SELFDESTRUCT)):
            made = created(deploy(own), value=3) + code(op.PUSH0, op.MSTORE)
            twice = (_call_at(op.CALL, 0) + log_of_balance()) * 2
            name = f"new to {to[-1]:02x} {len(own)}"
            yield name, program(once(made + twice))
            yield f"{name} undone", program(once(made + twice + run(op.REVERT, 0, 0)))
            yield f"{name} paid after", program(once(made + twice + _pay_at(0)))
    for kind in op.CALLS:
        yield f"by {kind:02x}", program(once(kept(call(kind, LEAVER)) + kept(call(kind, LEAVER))))


def log_of_balance() -> bytes:
    """Return code that logs balance and size of code of the account whose address stands in memory at 0."""
    parts = (run(op.MLOAD, 0) + code(asked, push(32 * at), op.MSTORE) for at, asked in ((2, op.BALANCE), (3, 0x3B)))
    return b"".join(parts) + run(op.LOG0, 64, 64)


def _pay_at(offset: int) -> bytes:
    return code(*(op.PUSH0,) * 4, push(5), run(op.MLOAD, offset), op.PUSH0, op.CALL)


def precompiles() -> Iterator[Program]:
    """Ethereum's own precompiles with data of edge lengths, all zeros and ones, and gas of several amounts."""
    lengths = (0, 1, 32, 64, 96, 128, 192, 213, 256, 384)
    for number, length in product(range(0x13), lengths):
        to = number.to_bytes(20, "big")
        for fill in (0, 1):
            data = bytes((fill,)) * length
            body = run(op.CALLDATACOPY, 0, 0, length) + kept(call(op.CALL, to, data=length, output=64))
            yield f"{number:02x} {length} {fill}", program(body, data=data, gas=2 * GAS_LIMIT)
        for gas in (0, 14, 15, 18, 60, 100, 150, 500, 600, 3_000, 6_000):
            if length == 32:
                body = kept(call(op.STATICCALL, to, gas=gas, data=length))
                yield f"{number:02x} {length} gas {gas}", program(body)
        yield f"{number:02x} {length} transaction", program(b"", to=to, data=bytes(length), gas=200_000, value=1)


def transactions() -> Iterator[Program]:
    """Transactions at the edge of what data, access lists and gas limits they may have (EIP-7623, EIP-2930)."""
    body = kept(run(op.SLOAD, 1))
    for length, fill in product((0, 1, 31, 100), (0, 1)):
        data = bytes((fill,)) * length
        floor = 21_000 + 10 * length * (4 if fill else 1)
        for gas in (floor - 1, floor, floor + 1, floor + 60_000):
            yield f"{length} {fill} {gas - floor}", program(body, data=data, gas=gas)
            yield f"{length} {fill} {gas - floor} nobody", program(b"", to=ABSENT, data=data, gas=gas, value=1)
    for slots in ((), (1,), (1, 1, 2)):
        listed = ((CONTRACT, slots), (CONTRACT, slots))
        least = 21_000 + 2 * (2_400 + 1_900 * len(slots))
        for gas in (least - 1, least, least + 90_000):
            yield f"list {slots} {gas - least}", program(body, gas=gas, access_list=listed)
    for value in (0, 1, 10**18 - GAS_LIMIT * 10, 10**18 - GAS_LIMIT * 10 + 1, 10**18):
        for to in (ECHO, SENDER, COINBASE, ABSENT, REVERTER):
            yield f"value {value} to {to[-1]:02x}", program(body, to=to, value=value)
