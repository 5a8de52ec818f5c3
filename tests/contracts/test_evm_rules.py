"""The executor by Ethereum's rules: gas, refunds, creation, storage, logs, static calls, return data, limits, jumps, the block."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from threading import Thread

import msgspec
import pytest
from eth_hash.auto import keccak
from hypothesis import given
from hypothesis import strategies as st

from contracts.evm import MAX_INITCODE_BYTES, PRECOMPILES, Outcome, contract_address, execute_message
from contracts.evm_frame import find_jump_destinations
from contracts.evm_state import ContractAccount, EvmBlock, EvmState, code_key, contract_key, storage_key

SENDER = b"\xaa" * 20
A, B = b"\xc0" * 20, b"\xc1" * 20
BASE = 21_000
TIME_MS = 1_700_000_000_999
RETURN_TOP = "5f5260205ff3"
CALL_GAS = 3 + 4 * 2 + 3 + 2 + 2_600
"""What call("f1") pushes, and the first touch of the address."""


class Machine:
    """Contracts in a dict of state; `run` is one transaction, whose changes stay when it succeeds."""

    def __init__(self) -> None:
        self.ledger: dict[bytes, bytes] = {}
        self.written: list[bytes] = []
        self.sent = 0
        self.evm: EvmState

    def count(self, address: bytes) -> int:
        return self.sent if address == SENDER else 0

    def get(self, key: bytes) -> bytes | None:
        return self.ledger.get(key)

    def set(self, key: bytes, value: bytes) -> None:
        self.written.append(key)
        self.ledger[key] = value

    def delete(self, key: bytes) -> None:
        self.written.append(key)
        self.ledger.pop(key, None)

    def put(self, address: bytes, code: str, **slots: int) -> None:
        raw = bytes.fromhex(code)
        self.ledger[contract_key(address)] = msgspec.msgpack.encode(ContractAccount(1, b"", keccak(raw)))
        self.ledger[code_key(keccak(raw))] = raw
        for slot, value in slots.items():
            self.ledger[storage_key(address, int(slot[1:]))] = bytes((value,))

    def slot(self, address: bytes, slot: int = 0) -> bytes | None:
        return self.ledger.get(storage_key(address, slot))

    def run(
        self,
        to: bytes | None = A,
        data: str = "",
        gas: int = 10_000_000,
        work: int = 10**9,
        access_list: Sequence[tuple[bytes, Sequence[int]]] = (),
        height: int = 5,
    ) -> Outcome:
        block = EvmBlock(height, TIME_MS, 77, 30_000_000, self.count, lambda number: number.to_bytes(32, "big"))
        self.evm = EvmState(self, block, {}, PRECOMPILES, work)
        self.written = []
        outcome = execute_message(self.evm, SENDER, to, bytes.fromhex(data), gas, access_list=access_list)
        self.sent += 1
        if outcome.error is None:
            self.evm.flush()
        return outcome

    def value(self, code: str) -> int:
        """Return what code leaves on top of the stack."""
        self.put(A, code + RETURN_TOP)
        outcome = self.run()
        assert outcome.error is None, outcome.error
        return int.from_bytes(outcome.output, "big")


@pytest.fixture
def machine() -> Machine:
    return Machine()


def call(op: str, to: bytes = B, gas: str = "5a", out: int = 0, value: str = "") -> str:
    """Return a call of another contract without data; `out` bytes of its output go to the start of memory."""
    value = value or ("5f" if op in ("f1", "f2") else "")
    return f"60{out:02x}5f5f5f{value}73{to.hex()}{gas}{op}"


def returning(code: str) -> str:
    """Return initcode that deploys this code of up to 32 bytes."""
    raw = bytes.fromhex(code)
    return f"{0x5F + len(raw):02x}{code}5f5260{len(raw):02x}60{32 - len(raw):02x}f3"


def creating(initcode: str, op: str = "5f5f", value: str = "5f") -> str:
    """Return code that creates a contract from initcode of up to 32 bytes: CREATE, or with a salt CREATE2."""
    size = len(bytes.fromhex(initcode))
    salt = "" if op == "5f5f" else op
    number = "f0" if op == "5f5f" else "f5"
    return f"7f{initcode.ljust(64, '0')}5f52{salt}60{size:02x}5f{value}{number}"


# Gas


def test_what_a_call_costs_before_its_first_instruction(machine: Machine) -> None:
    machine.put(A, "00")
    assert machine.run().gas_used == BASE
    # EIP-7623: forty a byte that is not zero and ten a zero, where the code itself takes less.
    assert machine.run(data="ff" * 100).gas_used == BASE + 40 * 100
    assert machine.run(data="00" * 100).gas_used == BASE + 10 * 100
    machine.put(A, "5b" * 20_000)
    assert machine.run(data="ff" * 100).gas_used == BASE + 16 * 100 + 20_000


@pytest.mark.parametrize(("data", "gas"), [("", BASE), ("ff", BASE + 40), ("00", BASE + 10)])
def test_a_gas_limit_below_the_least_runs_nothing(machine: Machine, data: str, gas: int) -> None:
    machine.put(A, "00")
    assert machine.run(data=data, gas=gas).error is None
    assert machine.run(data=data, gas=gas - 1) == Outcome("OutOfGas", gas - 1, b"", (), None)


def test_what_a_deployment_costs(machine: Machine) -> None:
    initcode = returning("600160015500")
    data_gas = sum(16 if byte else 4 for byte in bytes.fromhex(initcode))
    words = (len(bytes.fromhex(initcode)) + 31) // 32
    # PUSH6, PUSH0, MSTORE with its word of memory, two PUSH1, RETURN; 200 for each byte of code.
    run_gas = 3 + 2 + 3 + 3 + 3 + 3 + 6 * 200
    assert machine.run(None, initcode).gas_used == BASE + 32_000 + data_gas + 2 * words + run_gas


def test_a_call_out_of_gas_takes_it_all_and_a_revert_gives_the_rest_back(machine: Machine) -> None:
    machine.put(A, "5b5f56")
    assert machine.run(gas=100_000) == Outcome("OutOfGas", 100_000, b"", (), None)
    machine.put(A, "602a5f5260205ffd")
    outcome = machine.run(gas=100_000)
    assert (outcome.error, outcome.output[-1], outcome.gas_used) == ("Revert", 42, BASE + 3 + 2 + 6 + 3 + 2)
    machine.put(A, "fe")
    assert machine.run(gas=100_000) == Outcome("InvalidInstruction", 100_000, b"", (), None)


def test_refunds_are_at_most_a_fifth(machine: Machine) -> None:
    machine.put(A, "5f5f55", s0=1)
    assert machine.run().gas_used == BASE + 2 + 2 + 5_000 - 4_800
    machine.put(A, "5f5f55" + "5f600155", s0=1, s1=1)
    gas = BASE + 2 + 2 + 2 + 3 + 2 * 5_000
    assert machine.run().gas_used == gas - gas // 5
    assert machine.slot(A, 0) is None
    assert machine.slot(A, 1) is None


def test_what_a_reverted_message_would_have_refunded_is_not(machine: Machine) -> None:
    machine.put(B, "5f5f555f5ffd", s0=1)
    machine.put(A, call("f1"))
    assert machine.run().gas_used == BASE + CALL_GAS + 2 + 2 + 5_000 + 2 + 2
    assert machine.slot(B) == b"\1"


@pytest.mark.parametrize(
    ("original", "values", "gas", "refund"),
    [
        (0, [0], 2_200, 0),
        (0, [1], 22_100, 0),
        (0, [1, 0], 22_200, 19_900),
        (0, [1, 2], 22_200, 0),
        (1, [1], 2_200, 0),
        (1, [2], 5_000, 0),
        (1, [0], 5_000, 4_800),
        (1, [0, 2], 5_100, 0),
        (1, [0, 1], 5_100, 2_800),
        (1, [2, 1], 5_100, 2_800),
        (1, [2, 0], 5_100, 4_800),
    ],
)
def test_stores_cost_by_the_value_before_the_transaction(
    machine: Machine, original: int, values: list[int], gas: int, refund: int
) -> None:
    # EIP-2200's table, with the prices of EIP-2929 and EIP-3529.
    code = "".join(f"60{value:02x}5f55" for value in values)
    machine.put(A, code, **({"s0": original} if original else {}))
    before = BASE + 5 * len(values) + gas
    assert machine.run().gas_used == before - min(refund, before // 5)


# Warmth


def test_the_first_touch_of_an_address_and_a_slot_costs_more(machine: Machine) -> None:
    machine.put(A, "5f54505f5450" + f"73{B.hex()}3150" * 2)
    gas = BASE + 2 * (2 + 2) + 2_100 + 100 + 2 * (3 + 2) + 2_600 + 100
    assert machine.run().gas_used == gas
    listed = machine.run(access_list=[(A, [0]), (B, [])])
    assert listed.gas_used == gas - 2_000 - 2_500
    assert machine.run().gas_used == gas, "the next transaction begins cold"


@pytest.mark.parametrize("address", [SENDER, A, bytes(19) + b"\1", bytes(19) + b"\x11", bytes(20)])
def test_sender_target_precompiles_and_coinbase_are_warm(machine: Machine, address: bytes) -> None:
    machine.put(A, f"73{address.hex()}31")
    assert machine.run().gas_used == BASE + 3 + 100


def test_what_a_reverted_message_warmed_is_cold_again(machine: Machine) -> None:
    machine.put(B, f"73{'dd' * 20}31" + "5f5ffd")
    machine.put(A, call("f1") + f"73{'dd' * 20}31")
    assert machine.run().gas_used == BASE + CALL_GAS + (3 + 2_600 + 4) + (3 + 2_600)


# Creation and destruction


def test_a_contract_begins_with_nonce_one_and_its_code(machine: Machine) -> None:
    machine.sent = 7
    outcome = machine.run(None, returning("00"))
    assert outcome.created == contract_address(SENDER, 7)
    assert outcome.output == b"\0"
    account = msgspec.msgpack.decode(machine.ledger[contract_key(outcome.created)], type=ContractAccount)
    assert account == ContractAccount(1, b"", keccak(b"\0"))
    assert machine.ledger[code_key(keccak(b"\0"))] == b"\0"


@pytest.mark.parametrize("nonce", [0, 1, 0x7F, 0x80, 0xFF, 0x100, 2**32, 2**63])
def test_addresses_are_those_of_the_rlp_of_sender_and_nonce(nonce: int) -> None:
    import rlp

    assert contract_address(SENDER, nonce) == keccak(rlp.encode([SENDER, nonce]))[-20:]


def test_every_creation_counts_for_its_creator_even_one_that_fails(machine: Machine) -> None:
    machine.put(A, creating(returning("00")) + creating("fe") + creating(returning("00")) + RETURN_TOP)
    outcome = machine.run()
    assert outcome.output[-20:] == contract_address(A, 3)
    assert sorted(machine.evm.created) == sorted(contract_address(A, nonce) for nonce in (1, 3))
    assert machine.evm.get_nonce(A) == 4


def test_create2_gives_the_address_of_salt_and_code_once(machine: Machine) -> None:
    initcode = returning("00")
    machine.put(A, creating(initcode, "6007") + RETURN_TOP)
    expected = keccak(b"\xff" + A + (7).to_bytes(32, "big") + keccak(bytes.fromhex(initcode)))[-20:]
    assert machine.run().output[-20:] == expected
    again = machine.run(gas=1_000_000)
    assert (again.error, again.output) == (None, bytes(32))
    assert again.gas_used > 900_000, "a collision takes what was given to the creation"
    assert machine.evm.get_nonce(A) == 3


def test_a_deployment_where_a_contract_lies_is_refused_and_counts(machine: Machine) -> None:
    machine.put(contract_address(SENDER, 0), "00")
    assert machine.run(None, returning("01"), gas=100_000) == Outcome(
        "ContractCreationCollision", 100_000, b"", (), None
    )


def test_a_contract_that_ends_in_its_own_creation_leaves_nothing(machine: Machine) -> None:
    outcome = machine.run(None, "60015f5533ff")
    assert outcome.error is None
    assert machine.ledger == {}
    assert machine.written == []


def test_an_older_contract_outlives_selfdestruct(machine: Machine) -> None:
    # EIP-6780.
    machine.put(A, "60015f5533ff")
    before = dict(machine.ledger)
    assert machine.run().error is None
    assert machine.ledger == before | {storage_key(A, 0): b"\1"}


@pytest.mark.parametrize(("size", "error"), [(24_576, None), (24_577, "CodeTooLong")])
def test_code_has_at_most_24_kib(machine: Machine, size: int, error: str | None) -> None:
    assert machine.run(None, f"62{size:06x}5ff3").error == error


@pytest.mark.parametrize(("size", "error"), [(MAX_INITCODE_BYTES, None), (MAX_INITCODE_BYTES + 1, "InitcodeTooLong")])
def test_initcode_has_at_most_48_kib(machine: Machine, size: int, error: str | None) -> None:
    assert machine.run(None, "00" * size).error == error
    machine.put(A, f"62{size:06x}5f5ff0")
    assert machine.run().error == error


def test_code_that_begins_with_ef_is_refused(machine: Machine) -> None:
    # EIP-3541.
    assert machine.run(None, returning("ef")).error == "ReservedBytesInCode"
    machine.put(A, creating(returning("ef00")) + RETURN_TOP)
    assert machine.run().output == bytes(32)


# What a message leaves


def test_transient_storage_lasts_one_transaction_and_is_undone_with_its_message(machine: Machine) -> None:
    machine.put(B, "60095f5d00")
    machine.put(A, "60015f5d" + call("f4") + "505f5c" + RETURN_TOP)
    assert machine.run().output[-1] == 9
    machine.put(A, "5f5c" + RETURN_TOP)
    assert machine.run().output == bytes(32)
    machine.put(B, "60095f5d5f5ffd")
    machine.put(A, "60015f5d" + call("f4") + "505f5c" + RETURN_TOP)
    assert machine.run().output[-1] == 1
    assert not any(key.startswith(storage_key(A, 0)[:21]) for key in machine.ledger)


def test_logs_stand_in_order_without_those_of_reverted_messages(machine: Machine) -> None:
    machine.put(B, "60025f5fa1" + "5f5ffd")
    machine.put(A, "60ff5f53" + "600160015fa1" + call("f1") + "50" + "60035f5fa1" + "60076006600560045f5fa4")
    logs = machine.run().logs
    assert [(log.address, [topic[-1] for topic in log.topics], log.data) for log in logs] == [
        (A, [1], b"\xff"),
        (A, [3], b""),
        (A, [4, 5, 6, 7], b""),
    ]


@pytest.mark.parametrize(
    "forbidden", ["60015f55", "60015f5d", "5f5fa0", "5f5f5ff0", "5f5f5f5ff5", "5fff", call("f1", value="6001")]
)
def test_a_static_call_changes_nothing(machine: Machine, forbidden: str) -> None:
    machine.put(B, forbidden)
    machine.put(A, call("fa") + RETURN_TOP)
    outcome = machine.run()
    assert (outcome.output, outcome.logs) == (bytes(32), ())
    assert machine.slot(B) is None


def test_a_call_below_a_static_call_is_static(machine: Machine) -> None:
    machine.put(b"\xc2" * 20, "60015f55")
    machine.put(B, call("f1", b"\xc2" * 20) + RETURN_TOP)
    machine.put(A, call("fa", out=32) + "505f51" + RETURN_TOP)
    assert machine.run().output == bytes(32)


def test_delegate_code_runs_on_the_callers_storage_with_its_sender(machine: Machine) -> None:
    machine.put(B, "335f5530600155")
    machine.put(A, call("f4"))
    machine.run()
    assert (machine.slot(A, 0), machine.slot(A, 1)) == (SENDER, A)
    assert machine.slot(B, 0) is None


def test_return_data_is_the_last_messages(machine: Machine) -> None:
    machine.put(B, "602a" + RETURN_TOP)
    assert machine.value(call("f1") + "503d") == 32
    assert machine.value(call("f1") + "5060205f5f3e5f51") == 42
    assert machine.value(creating("60075f5260205ffd") + "503d") == 32
    assert machine.value(creating(returning("00")) + "503d") == 0
    assert machine.value(call("f1") + "50" + call("f1", b"\xdd" * 20) + "503d") == 0


def test_return_data_past_its_end_halts(machine: Machine) -> None:
    machine.put(B, "602a" + RETURN_TOP)
    machine.put(A, call("f1") + "60215f5f3e")
    assert machine.run().error == "OutOfBoundsRead"


def test_a_message_gets_at_most_63_of_64_parts_of_the_gas(machine: Machine) -> None:
    machine.put(B, "5a" + RETURN_TOP)
    machine.put(A, call("f1", out=32) + "505f51" + RETURN_TOP)
    given_gas = int.from_bytes(machine.run(gas=1_000_000).output, "big") + 2
    left = 1_000_000 - BASE - CALL_GAS - 3  # a word of memory for the output
    assert given_gas == left - left // 64


# Limits


@pytest.mark.parametrize("in_thread", [False, True])
@pytest.mark.parametrize("op", ["f1", "f4"])
def test_messages_go_1024_deep_whoever_calls(machine: Machine, op: str, in_thread: bool) -> None:
    # Each message adds one to what the message below it returned.
    machine.put(A, call(op, A, out=32) + "505f51600101" + RETURN_TOP)
    found: list[int] = []

    def run() -> None:
        found.append(int.from_bytes(machine.run(gas=10**15).output, "big"))

    limit = sys.getrecursionlimit()
    try:
        sys.setrecursionlimit(600)
        if in_thread:
            thread = Thread(target=run)
            thread.start()
            thread.join()
        else:
            run()
        assert sys.getrecursionlimit() == 600
    finally:
        sys.setrecursionlimit(limit)
    assert found == [1_025]


def test_creations_go_1024_deep(machine: Machine) -> None:
    # Initcode that creates a contract from itself.
    machine.put(A, "00")
    assert machine.run(None, "365f5f37385f5f39385f5ff0" + "00", gas=10**15).error is None
    assert len(machine.evm.created) == 1_025


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("50", "InsufficientStack"),
        ("5f01", "InsufficientStack"),
        ("8f", "InsufficientStack"),
        ("5f90", "InsufficientStack"),
        ("5f" * 1_024, None),
        ("5f" * 1_025, "FullStack"),
        ("5f" * 1_024 + "80", "FullStack"),
        ("5f" * 1_024 + "90", None),
        ("0c", "InvalidInstruction"),
        ("fe", "InvalidInstruction"),
        ("600456005b", None),
        ("600456005a", "InvalidJumpDestination"),
        ("6003565b", None),
        ("600456605b", "InvalidJumpDestination"),
        ("61ffff56", "InvalidJumpDestination"),
        ("7f" + "ff" * 32 + "56", "InvalidJumpDestination"),
        ("5f61ffff57", None),
        ("600161ffff57", "InvalidJumpDestination"),
        ("7f", None),
        ("5f7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff52", "OutOfGas"),
    ],
)
def test_how_code_halts(machine: Machine, code: str, error: str | None) -> None:
    machine.put(A, code)
    outcome = machine.run(gas=200_000)
    assert outcome.error == error
    assert error is None or outcome.gas_used == 200_000


@given(st.lists(st.sampled_from([0x5B, 0x60, 0x61, 0x7F, 0x00, 0x56]), max_size=80).map(bytes))
def test_jump_destinations_are_those_that_instructions_begin_at(code: bytes) -> None:
    expected, position = bytearray(len(code)), 0
    while position < len(code):
        op = code[position]
        expected[position] = op == 0x5B
        position += 1 + max(0, op - 0x5F if 0x60 <= op <= 0x7F else 0)
    assert find_jump_destinations(code) == bytes(expected)


def test_work_bounds_what_gas_does_not(machine: Machine) -> None:
    machine.put(A, "60015f555b600456")
    outcome = machine.run(gas=10**12, work=10_000)
    assert outcome == Outcome("OutOfWork", 10**12, b"", (), None)
    assert machine.slot(A) is None


def test_a_log_is_charged_for_what_it_takes_after_its_block(machine: Machine) -> None:
    machine.put(A, "5f5fa0" * 10)
    assert machine.run(work=400).error == "OutOfWork"
    assert machine.run(work=700).error is None
    machine.put(A, "6110005fa0" * 10)
    assert machine.run(work=2_900).error == "OutOfWork"


def test_work_that_a_message_spends_ends_the_transaction(machine: Machine) -> None:
    # A hundred thousand rounds: affordable in gas, and more than there is of work.
    machine.put(A, "620186a060e01b5f52" + "5f5f60d55f" + "6009" + "5a" + "fa" + "600155600155")
    assert machine.run(work=100_000).error == "OutOfWork"
    # What cannot be paid in gas takes none of the work.
    machine.put(A, "620186a060e01b5f52" + "5f5f60d55f" + "6009" + "60ff" + "fa" + RETURN_TOP)
    assert machine.run(work=100_000).error is None


# The block


@pytest.mark.parametrize(
    ("code", "value"),
    [
        ("42", TIME_MS // 1_000),
        ("43", 5),
        ("46", 77),
        ("41", 0),
        ("44", 0),
        ("45", 30_000_000),
        ("48", 0),
        ("3a", 0),
        ("34", 0),
        ("47", 0),
        ("32", int.from_bytes(SENDER, "big")),
        ("33", int.from_bytes(SENDER, "big")),
        ("30", int.from_bytes(A, "big")),
        ("600440", 4),
        ("5f40", 0),
        ("600540", 0),
        ("600640", 0),
        ("5f49", 0),
    ],
)
def test_what_code_sees_of_the_block_and_the_transaction(machine: Machine, code: str, value: int) -> None:
    assert machine.value(code) == value


def test_block_hashes_reach_256_blocks_back(machine: Machine) -> None:
    machine.put(A, "5f3540" + RETURN_TOP)
    found = {
        number: int.from_bytes(machine.run(data=f"{number:064x}", height=1_000).output, "big")
        for number in (743, 744, 999, 1_000)
    }
    assert found == {743: 0, 744: 744, 999: 999, 1_000: 0}


# What is written


def test_only_what_changed_is_written(machine: Machine) -> None:
    machine.put(A, "60015f55" + "6002600155" + "5f600255" + "60036003555f600355", s0=1, s1=1, s2=1)
    machine.run()
    assert sorted(machine.written) == [storage_key(A, 1), storage_key(A, 2)]
    assert (machine.slot(A, 1), machine.slot(A, 2)) == (b"\2", None)


def test_a_value_is_written_without_leading_zeros(machine: Machine) -> None:
    machine.put(A, "6101005f55")
    machine.run()
    assert machine.slot(A) == b"\1\0"


@pytest.mark.parametrize("end", ["fe", "5f5ffd", "5b5f56"])
def test_a_transaction_that_fails_changes_nothing(machine: Machine, end: str) -> None:
    machine.put(B, "60015f55")
    machine.put(A, "60015f5560025f5d5f5fa0" + call("f1") + creating(returning("00")) + end, s1=1)
    before = dict(machine.ledger)
    outcome = machine.run(gas=1_000_000)
    assert outcome.error is not None
    machine.evm.flush()
    assert machine.ledger == before
    assert (machine.evm.logs, machine.evm.created, machine.evm.refund) == ([], {}, 0)


@given(
    st.lists(st.tuples(st.sampled_from(["set", "mark", "revert"]), st.integers(0, 3), st.integers(0, 3)), max_size=40)
)
def test_undo_equals_copies(steps: list[tuple[str, int, int]]) -> None:
    machine = Machine()
    machine.put(A, "00", s0=1, s1=2)
    block = EvmBlock(5, TIME_MS, 77, 30_000_000, lambda _: 0, lambda _: None)
    state = EvmState(machine, block, {}, PRECOMPILES, 10**6)
    model = {0: 1, 1: 2, 2: 0, 3: 0}
    marks: list[tuple[tuple[int, int, int], dict[int, int]]] = []
    for verb, slot, value in steps:
        if verb == "set":
            state.set_storage(A, slot, value)
            state.refund += value
            model[slot] = value
        elif verb == "mark":
            marks.append((state.snapshot(), dict(model)))
        elif marks:
            mark, model = marks.pop()
            state.revert(mark)
        assert {number: state.get_storage(A, number) for number in range(4)} == model


@pytest.mark.parametrize(
    ("lengths", "rest", "output"),
    [
        ((1, 1, 1), "030405", "01"),
        ((1, 2, 2), "03ffff8000", "2aab"),
        ((0, 0, 1), "05", "01"),
        ((0, 1, 1), "0105", "00"),
        ((1, 0, 1), "0205", "01"),
        ((1, 1, 1), "020300", "00"),
        ((1, 1, 0), "0203", ""),
        ((0, 2**64, 0), "", ""),
        ((1, 1, 2), "0205", "0000"),
        ((0, 0, 0), "", ""),
    ],
)
def test_modexp_of_all_lengths(machine: Machine, lengths: tuple[int, int, int], rest: str, output: str) -> None:
    # EIP-198; what the data lacks counts as zeros.
    data = b"".join(length.to_bytes(32, "big") for length in lengths).hex() + rest
    machine.put(A, "365f5f375f5f365f60055afa3d5f5f3e3d5ff3")
    outcome = machine.run(data=data)
    assert (outcome.error, outcome.output.hex()) == (None, output)
