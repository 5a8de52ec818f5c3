"""How a transaction for EVM code ends in the ledger's words, what a refused one leaves, and the same end on every machine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from contracts.abi import decode_error, encode_error, selector
from contracts.evm import MAX_TRANSACTION_WORK, contract_address
from contracts.evm_call import TRANSACTION_WORK
from contracts.records import ADDRESSES

ROOT = Path(__file__).parents[3]


def deploying(code: str) -> bytes:
    """Return initcode for code of up to 255 bytes."""
    return bytes.fromhex(f"60{len(code) // 2:02x}600a5f3960{len(code) // 2:02x}5ff3" + code)


@pytest.fixture
def run(office: Any) -> Any:
    """Deploy code, then call it as an account without any role for contracts; return the result and what changed in state."""

    def run(code: str, data: bytes = b"", gas: int = 1_000_000) -> tuple[Any, dict[bytes, bytes]]:
        address = office.deploy(deploying(code))
        before = dict(office.bench.state)
        result = office.run(office.bench.auditor.address, address, data, gas)
        after = office.bench.state
        return result, {key: value for key, value in after.items() if before.get(key) != value}

    return run


def test_a_call_that_ends_well(run: Any) -> None:
    result, changed = run("60015f55602a5f5260205ff3")
    assert (result.refusal, result.output, result.logs) == (None, (42).to_bytes(32, "big"), ())
    assert list(changed.values()) == [b"\1"]
    assert TRANSACTION_WORK < result.work < 1_000


@pytest.mark.parametrize(
    ("end", "refusal", "named"),
    [
        ("5b610100565b", "EVM_HALTED", "InvalidJumpDestination"),
        ("fe", "EVM_HALTED", "InvalidInstruction"),
        ("50", "EVM_HALTED", "InsufficientStack"),
        ("60015f5f3e", "EVM_HALTED", "OutOfBoundsRead"),
        ("5b600b56", "OUT_OF_GAS", "1000000"),
    ],
)
def test_an_exceptional_end_takes_all_gas_and_leaves_no_trace(run: Any, end: str, refusal: str, named: str) -> None:
    # A slot, a transient slot and a log before it.
    result, changed = run("60015f55" + "60015f5d" + "5f5fa0" + end)
    assert (result.refusal, result.gas_used, result.logs, changed) == (refusal, 1_000_000, (), {})
    text = decode_error(result.output)
    assert text is not None
    assert text.startswith(f"{refusal}: ")
    assert named in text


def test_a_revert_gives_its_own_data_and_the_rest_of_the_gas(run: Any) -> None:
    reason = encode_error("not open")
    result, changed = run("60015f55365f5f37365ffd", reason)
    assert (result.refusal, result.output, result.logs, changed) == ("REVERTED", reason, (), {})
    assert result.gas_used < 50_000


def test_a_call_that_takes_too_much_work_is_told_so(run: Any) -> None:
    result, changed = run("60015f555b600456", gas=30_000_000)
    assert (result.refusal, result.gas_used, changed) == ("OUT_OF_WORK", 30_000_000, {})
    assert result.work == TRANSACTION_WORK + MAX_TRANSACTION_WORK
    assert str(MAX_TRANSACTION_WORK) in (decode_error(result.output) or "")


def test_a_deployment_that_reverts_leaves_no_trace(office: Any) -> None:
    before = dict(office.bench.state)
    result = office.run(office.deployer.address, None, bytes.fromhex("60015f555f5ffd"))
    assert (result.refusal, result.logs, dict(office.bench.state)) == ("REVERTED", (), before)


def test_refused_transactions_count_for_the_next_contracts_address(office: Any) -> None:
    sender = office.deployer.address
    assert office.run(sender, None, bytes.fromhex("fe")).refusal == "EVM_HALTED"
    assert office.run(office.deployer.address, b"\x77" * 20, b"").refusal == "NO_CONTRACT"
    assert office.deploy(deploying("00")) == contract_address(sender, 2)


def test_code_may_read_but_not_write_through_system_contracts(run: Any) -> None:
    # The call data goes to the deployments contract, and what comes back is returned.
    target = ADDRESSES["deployments"].hex()
    forward = f"365f5f375f5f365f5f73{target}5af13d5f5f3e3d5ff3"
    result, _ = run(forward, selector("unfreeze(address,string)") + bytes(32))
    assert (decode_error(result.output) or "").startswith("VIEW_ONLY: ")
    result, _ = run(forward, selector("deployment(address)") + bytes(32))
    assert (decode_error(result.output) or "").startswith("DEPLOYMENT_UNKNOWN: ")


def test_every_process_reaches_the_same_end() -> None:
    """Other seeds of Python's hashes, cold and warm caches, another recursion limit, a thread with a small stack."""
    script = """
import random, sys, threading
from sm_crypto.sm3 import sm3
from tests.contracts.evm_fuzz import make_program, run_ours
times, limit, size = map(int, sys.argv[1:])
def run():
    for _ in range(times):
        found = [run_ours(make_program(random.Random(seed))) for seed in range(8)]
    ends = [(one.error, one.gas_used, one.output, one.logs, sorted(one.deleted), one.accounts) for one in found]
    sys.stdout.write(sm3(repr(ends).encode()).hex())
sys.setrecursionlimit(limit)
threading.stack_size(size)
thread = threading.Thread(target=run)
thread.start()
thread.join()
"""
    ends = set()
    for seed, times, limit, size in (("0", "1", "20000", "0"), ("17", "2", "900", str(512 * 1024))):
        ran = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", script, times, limit, size],
            cwd=ROOT,
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        ends.add(ran.stdout)
    assert len(ends) == 1
    assert len(ends.pop()) == 64
