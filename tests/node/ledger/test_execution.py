"""Execution: what may stand in a block, receipts of refused and failing calls, counts, and undo."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.call import Call, CallResult, Log, State
from contracts.calls import runs_evm_code
from contracts.evm_state import HEAVY_WORK, MAX_BLOCK_WORK, EvmBlock, contract_key
from contracts.parameters import ChainParameters
from node.chain import execution
from node.chain.block import Receipt
from node.chain.execution import (
    INTERNAL_ERROR,
    MAX_BLOCK_RECEIPT_BYTES,
    MAX_EVM_OUTPUT_BYTES,
    BlockExecution,
    Unfit,
)
from node.chain.faults import LocalFault
from node.chain.transaction import VerifiedTransaction
from node.chain.world_state import (
    MAX_STATE_KEY_BYTES,
    MAX_STATE_VALUE_BYTES,
    WorldState,
    account_state_key,
    load_account_count,
)

TIME_MS = 1_750_000_000_000
FAILURES = {b"key": KeyError, b"memory": MemoryError, b"disk": LocalFault, b"files": OSError, b"module": ImportError}


@pytest.fixture
def run(network: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[BlockExecution, WorldState]]:
    """Run transactions whose call data names what a stand-in contract does."""

    def contract(state: State, call: Call, block: EvmBlock) -> CallResult:
        state.set(b"last", call.data)
        state.delete(b"gone")
        if call.data == b"refuse":
            return CallResult("NO", 7, b"text", ())
        if call.data == b"recurse":
            return contract(state, call, block)
        if call.data == b"big":
            state.set(b"k", bytes(MAX_STATE_VALUE_BYTES + 1))
        if call.data.startswith(b"raise "):
            raise FAILURES[call.data[6:]]("at 0x7f00")
        return CallResult(None, 100, b"", ())

    def run(
        datas: list[bytes], state: WorldState | None = None, **parameters: int
    ) -> tuple[BlockExecution, WorldState]:
        monkeypatch.setattr(execution, "execute_call", contract)
        state = state or WorldState({b"gone": b"here"}.get)
        block = BlockExecution(state, ChainParameters(**parameters), 77, 3, TIME_MS, lambda _: False)
        for data in datas:
            transaction = network.transaction(network.issuer, b"\1" * 20, data, valid_until_ms=TIME_MS, gas_limit=1_000)
            assert block.unfit(transaction) is None
            block.run(transaction)
        block.finish()
        return block, state

    return run


def test_a_refused_call_leaves_a_receipt_and_no_write(run: Any, network: Any) -> None:
    block, state = run([b"one", b"refuse"])
    assert [receipt.refusal for receipt in block.receipts] == [None, "NO"]
    assert block.receipts[1] == Receipt("NO", 7, b"text", (), 1)
    assert state.get(b"last") == b"one"
    assert state.get(b"gone") is None
    assert block.gas_used == 107


@pytest.mark.parametrize("data", [b"raise key", b"recurse", b"big"])
def test_an_undeclared_failure_is_the_same_receipt_everywhere(run: Any, data: bytes) -> None:
    block, state = run([data, b"after"])
    # Nothing of the exception's text: it may hold addresses, or differ between versions of Python.
    assert block.receipts[0] == Receipt(INTERNAL_ERROR, 1_000, b"", (), 0)
    assert block.receipts[1].refusal is None
    assert state.get(b"last") == b"after"
    assert [fault.index for fault in block.faults] == [0]


@pytest.mark.parametrize("data", [b"raise memory", b"raise disk", b"raise files", b"raise module"])
def test_a_failure_of_this_machine_is_no_verdict(run: Any, data: bytes) -> None:
    with pytest.raises(LocalFault):
        run([data])


def test_every_executed_transaction_counts_for_its_sender(run: Any, network: Any) -> None:
    block, state = run([b"one", b"refuse", b"raise key"])
    sender = block.transactions[0].sender
    assert load_account_count(state.get, sender) == 3
    _, state = run([b"two"], state)
    assert load_account_count(state.get, sender) == 4
    assert load_account_count(state.get, bytes(20)) == 0
    assert len(account_state_key(sender)) == 21


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"chain_id": 78}, Unfit.WRONG_CHAIN),
        ({"valid_until_ms": TIME_MS - 1}, Unfit.EXPIRED),
        ({"valid_until_ms": TIME_MS}, None),
        ({"valid_until_ms": TIME_MS + 600_000}, None),
        ({"valid_until_ms": TIME_MS + 600_001}, Unfit.TOO_FAR_AHEAD),
        ({"gas_limit": 30_000_000}, None),
        ({"gas_limit": 30_000_001}, Unfit.TOO_MUCH_GAS),
    ],
)
def test_bounds_of_a_transaction(network: Any, options: dict[str, int], expected: Unfit | None) -> None:
    block = BlockExecution(WorldState(lambda _: None), ChainParameters(), 77, 1, TIME_MS, lambda _: False)
    transaction = network.transaction(network.issuer, None, b"", **({"valid_until_ms": TIME_MS + 1} | options))
    assert block.unfit(transaction) is expected


def test_repeated_in_the_chain_and_in_the_block(network: Any, run: Any) -> None:
    known = network.transaction(network.issuer, None, b"", valid_until_ms=TIME_MS)
    block = BlockExecution(
        WorldState(lambda _: None), ChainParameters(), 77, 1, TIME_MS, lambda found: found == known.id
    )
    assert block.unfit(known) is Unfit.REPEATED
    fresh = network.transaction(network.issuer, None, b"", valid_until_ms=TIME_MS)
    block.run(fresh)
    assert block.unfit(fresh) is Unfit.REPEATED


@pytest.mark.parametrize(
    ("parameters", "fits"),
    [({"max_block_transactions": 3}, 3), ({"max_block_gas": 1_000_000}, 1), ({"max_block_bytes": 200_000}, 2)],
)
def test_a_block_fills_by_count_gas_and_bytes(network: Any, run: Any, parameters: dict[str, int], fits: int) -> None:
    size = 90_000 if "max_block_bytes" in parameters else 1
    block, _ = run([], **parameters)
    waiting = [
        network.transaction(network.issuer, b"\1" * 20, bytes(size), valid_until_ms=TIME_MS, gas_limit=999_950)
        for _ in range(5)
    ]
    assert block.run_fitting(waiting) == (), "what does not fit now is good for a later block"
    assert [found.id for found in block.transactions] == [found.id for found in waiting[:fits]]
    assert block.unfit(waiting[-1]) is Unfit.BLOCK_FULL


def test_the_unfit_are_left_out_and_named(network: Any, run: Any) -> None:
    block, _ = run([])
    good, late, again = (
        network.transaction(network.issuer, None, b"", valid_until_ms=TIME_MS + offset) for offset in (1, -1, 2)
    )
    found: tuple[tuple[VerifiedTransaction, Unfit], ...] = block.run_fitting([good, late, again, again])
    assert found == ((late, Unfit.EXPIRED), (again, Unfit.REPEATED))
    assert block.transactions == [good, again]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("set"), st.sampled_from([b"a", b"b", b"c"]), st.binary(max_size=2)),
        st.tuples(st.just("delete"), st.sampled_from([b"a", b"b", b"c"]), st.just(b"")),
        st.tuples(st.sampled_from(["mark", "undo"]), st.just(b""), st.just(b"")),
    ),
    max_size=30,
)


@settings(max_examples=200, deadline=None)
@given(STEPS)
def test_world_state_equals_a_dict_with_copies(steps: list[tuple[str, bytes, bytes]]) -> None:
    final = {b"a": b"1", b"b": b"2"}
    state, model = WorldState(final.get), dict(final)
    marks: list[tuple[int, dict[bytes, bytes]]] = []
    for verb, key, value in steps:
        if verb == "set":
            state.set(key, value)
            model[key] = value
        elif verb == "delete":
            state.delete(key)
            model.pop(key, None)
        elif verb == "mark":
            marks.append((state.mark(), dict(model)))
        elif marks:
            mark, model = marks.pop()
            state.undo(mark)
        assert {key: state.get(key) for key in (b"a", b"b", b"c")} == {
            key: model.get(key) for key in (b"a", b"b", b"c")
        }
    changes = state.changes()
    assert changes == {key: model.get(key) for key in (b"a", b"b", b"c") if model.get(key) != final.get(key)}
    assert list(changes) == sorted(changes)


def test_keys_and_values_have_limits() -> None:
    state = WorldState(lambda _: None)
    state.set(bytes(MAX_STATE_KEY_BYTES), bytes(MAX_STATE_VALUE_BYTES))
    with pytest.raises(ValueError, match=f"at most {MAX_STATE_KEY_BYTES} bytes"):
        state.set(bytes(MAX_STATE_KEY_BYTES + 1), b"")


CODE = b"\2" * 20


@pytest.fixture
def evm(
    network: Any, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[BlockExecution, list[VerifiedTransaction]]]:
    """Return a block in which CODE is a contract that takes half of a block's work, and transactions to these addresses."""

    def make(*targets: bytes | None) -> tuple[BlockExecution, list[VerifiedTransaction]]:
        def execute(state: State, call: Call, block: EvmBlock) -> CallResult:
            if call.data == b"fail":
                raise KeyError("a fault")
            work = (int(call.data or b"0") or MAX_BLOCK_WORK // 2) if runs_evm_code(state, call.to) else 0
            return CallResult(None, 100, bytes(MAX_EVM_OUTPUT_BYTES + 1), (Log(CODE, (), call.data),), work)

        monkeypatch.setattr(execution, "execute_call", execute)
        state = WorldState({contract_key(CODE): b""}.get)
        block = BlockExecution(state, ChainParameters(max_block_bytes=12_000_000), 77, 3, TIME_MS, lambda _: False)
        return block, [network.transaction(network.issuer, to, b"", valid_until_ms=TIME_MS) for to in targets]

    return make


def test_code_that_takes_the_blocks_work_holds_up_code_only(evm: Any, network: Any) -> None:
    block, waiting = evm(CODE, None, b"\1" * 20, CODE, b"\1" * 20)
    other = network.transaction(network.governor, CODE, b"", valid_until_ms=TIME_MS)
    assert block.run_fitting([waiting[0], other, *waiting[1:]]) == ()
    assert block.transactions == [waiting[0], other, waiting[2], waiting[4]]
    assert block.unfit(waiting[1]) is Unfit.WORK_FULL
    assert block.unfit(waiting[3]) is Unfit.WORK_FULL


@pytest.mark.parametrize(("work", "count"), [(HEAVY_WORK - 1, 3), (HEAVY_WORK, 1)])
def test_a_sender_has_one_heavy_call_in_a_block_of_ours(evm: Any, network: Any, work: int, count: int) -> None:
    block, others = evm(b"\1" * 20)
    calls = [
        network.transaction(network.issuer, CODE, str(work).encode() + b" " * number, valid_until_ms=TIME_MS)
        for number in range(3)
    ]
    block.run_fitting([*calls, *others])
    assert block.transactions == [*calls[:count], *others]
    assert block.unfit(calls[-1]) in (None, Unfit.REPEATED), "a block of another's may hold more"


def test_a_fault_of_ours_in_code_counts_as_a_whole_blocks_work(evm: Any, network: Any) -> None:
    block, waiting = evm(CODE)
    block.run(network.transaction(network.issuer, CODE, b"fail", valid_until_ms=TIME_MS))
    assert block.receipts[0].refusal == INTERNAL_ERROR
    assert block.unfit(waiting[0]) is Unfit.WORK_FULL


def test_a_receipt_keeps_the_beginning_of_what_code_returns(evm: Any) -> None:
    block, waiting = evm(CODE, b"\1" * 20)
    block.run_fitting(waiting)
    assert [len(receipt.output) for receipt in block.receipts] == [MAX_EVM_OUTPUT_BYTES, MAX_EVM_OUTPUT_BYTES + 1]


def test_a_block_is_full_of_receipts(evm: Any, network: Any) -> None:
    block, waiting = evm(b"\1" * 20)
    for _ in range(3):
        big = network.transaction(network.issuer, b"\1" * 20, bytes(3_000_000), valid_until_ms=TIME_MS)
        assert block.unfit(big) is None
        block.run(big)
    assert sum(map(len, block.encoded_receipts)) > MAX_BLOCK_RECEIPT_BYTES
    assert block.unfit(waiting[0]) is Unfit.BLOCK_FULL
