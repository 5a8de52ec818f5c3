"""EVM contracts on record: who deployed which, also through another contract, and what a governor's freeze stops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from contracts import registry
from contracts.abi import decode_error, keccak256, selector
from contracts.deployments import MAX_REASON_LENGTH, DeploymentRecord, load_deployment
from contracts.evm_state import contract_key, has_contract

CALL, STATICCALL, DELEGATECALL = range(3)
REASON = "发现漏洞，停用"
AGAIN = "漏洞已修复"
COUNTER = """
count: public(uint256)

@external
def add() -> uint256:
    self.count += 1
    return self.count
"""
FACTORY = """
@external
def make(target: address) -> address:
    return create_minimal_proxy_to(target)

@external
def make_in_vain(target: address) -> address:
    made: address = create_minimal_proxy_to(target)
    raise "in vain"
"""
ADD, COUNT = selector("add()"), selector("count()")
# Init code that destroys what it creates: CALLER SELFDESTRUCT.
VANISHING = bytes.fromhex("33ff")


@pytest.fixture
def counter(office: Any, compile_vyper: Callable[[str], bytes]) -> bytes:
    address: bytes = office.deploy(compile_vyper(COUNTER))
    return address


@pytest.fixture
def factory(office: Any, compile_vyper: Callable[[str], bytes]) -> bytes:
    address: bytes = office.deploy(compile_vyper(FACTORY))
    return address


def record_of(office: Any, contract: bytes) -> DeploymentRecord:
    found: DeploymentRecord = office.bench.view("deployments", "deployment", contract=contract)
    return found


def set_frozen(office: Any, contract: bytes) -> None:
    office.bench.accept(office.bench.governor, "deployments", "freeze", contract=contract, reason=REASON)


def made_by(office: Any, account: Any, factory: bytes, method: str, target: bytes) -> Any:
    call = selector(f"{method}(address)") + target.rjust(32, b"\0")
    return office.run(account.address, factory, call)


def test_a_deployment_is_on_record(office: Any, counter: bytes) -> None:
    code = bytes.fromhex("00")
    address = office.deploy(bytes.fromhex("60015ff3"))
    record = record_of(office, address)
    assert record == DeploymentRecord(
        address,
        office.deployer.address,
        office.bench.land_bureau,
        keccak256(code),
        office.height,
        office.bench.time_ms,
        0,
        "",
    )
    assert record_of(office, counter).address == counter != address


def test_only_an_active_account_with_the_role_deploys(office: Any) -> None:
    bench = office.bench
    for account, refusal in (
        (bench.issuer, "ROLE_MISSING"),
        (bench.governor, "ROLE_MISSING"),
        (bench.stranger, "UNKNOWN_ACCOUNT"),
    ):
        assert office.run(account.address, None, bytes.fromhex("60015ff3")).refusal == refusal
    bench.accept(bench.governor, "members", "suspend_department", code=bench.land_bureau, reason="核查")
    assert office.run(office.deployer.address, None, bytes.fromhex("60015ff3")).refusal == "DEPARTMENT_SUSPENDED"


def test_what_a_contract_creates_is_on_record_under_who_signed(office: Any, factory: bytes, counter: bytes) -> None:
    result = made_by(office, office.deployer, factory, "make", counter)
    assert result.refusal is None
    created = result.output[-20:]
    record = record_of(office, created)
    assert (record.deployer, record.department) == (office.deployer.address, office.bench.land_bureau)
    assert (record.height, record.frozen_ms) == (office.height, 0)
    office.ask(created, ADD)
    assert int.from_bytes(office.ask(created, COUNT), "big") == 1
    assert int.from_bytes(office.ask(counter, COUNT), "big") == 0


def test_a_factory_is_no_way_around_the_role(office: Any, factory: bytes, counter: bytes) -> None:
    before = office.bench.state.copy()
    result = made_by(office, office.bench.requester, factory, "make", counter)
    assert (result.refusal, result.logs) == ("ROLE_MISSING", ())
    text = decode_error(result.output) or ""
    assert "deployer" in text
    assert "requester" in text
    assert office.bench.state == before
    # What was run is paid for, as where the code reverts, and counts against the block.
    in_vain = made_by(office, office.bench.requester, factory, "make_in_vain", counter)
    assert abs(result.gas_used - in_vain.gas_used) < 1_000
    assert abs(result.work - in_vain.work) < 1_000


def test_what_code_creates_and_ends_in_one_transaction_needs_no_role(office: Any) -> None:
    # Copies VANISHING to memory, creates from it and stops.
    creates = office.deploy(bytes.fromhex("6b6133ff5f526002601e5ff0005f52600c6014f3"))
    assert office.run(office.bench.requester.address, creates, b"").refusal is None


def test_a_creation_that_is_undone_is_not_on_record(office: Any, factory: bytes, counter: bytes) -> None:
    records = len(office.bench.state)
    result = made_by(office, office.bench.requester, factory, "make_in_vain", counter)
    assert result.refusal == "REVERTED"
    assert len(office.bench.state) == records


def test_what_is_gone_by_the_end_of_its_transaction_is_not_on_record(office: Any) -> None:
    created = office.deploy(VANISHING)
    assert load_deployment(office.bench.state, created) is None
    assert not has_contract(office.bench.state, created)


def test_a_frozen_contract_answers_nobody(office: Any, forwarder: Any, counter: bytes) -> None:
    bench = office.bench
    office.ask(counter, ADD)
    set_frozen(office, counter)
    assert (record_of(office, counter).frozen_ms, record_of(office, counter).reason) == (bench.time_ms, REASON)
    before = bench.state.copy()
    for data in (ADD, COUNT, b""):
        result = office.run(office.deployer.address, counter, data)
        text = decode_error(result.output) or ""
        assert result.refusal == "CONTRACT_FROZEN"
        assert text.startswith(f"CONTRACT_FROZEN: 合约 0x{counter.hex()} 已被冻结：{REASON} / ")
        assert result.gas_used < 100_000
        for way in (CALL, STATICCALL, DELEGATECALL):
            assert forwarder(office.bench.auditor, counter, data, way) == (False, result.output)
    assert bench.state == before
    # What it is can still be seen.
    look = selector("look(address)") + counter.rjust(32, b"\0")
    assert int.from_bytes(office.ask(forwarder.address, look)[:32], "big") > 1
    bench.accept(bench.governor, "deployments", "unfreeze", contract=counter, reason=AGAIN)
    assert (record_of(office, counter).frozen_ms, record_of(office, counter).reason) == (0, "")
    assert int.from_bytes(office.ask(counter, COUNT), "big") == 1


def test_a_contract_that_runs_frozen_code_as_its_own_is_stopped_with_it(
    office: Any, factory: bytes, counter: bytes
) -> None:
    created = made_by(office, office.deployer, factory, "make", counter).output[-20:]
    set_frozen(office, counter)
    result = office.run(office.bench.requester.address, created, ADD)
    assert result.refusal == "REVERTED"
    assert (decode_error(result.output) or "").startswith("CONTRACT_FROZEN: ")
    office.bench.accept(office.bench.governor, "deployments", "unfreeze", contract=counter, reason=AGAIN)
    set_frozen(office, created)
    assert office.run(office.bench.requester.address, created, ADD).refusal == "CONTRACT_FROZEN"
    office.ask(counter, ADD)


def test_freezing_is_logged(office: Any, counter: bytes) -> None:
    bench = office.bench
    frozen = bench.accept(bench.governor, "deployments", "freeze", contract=counter, reason=REASON)
    unfrozen = bench.accept(bench.governor, "deployments", "unfreeze", contract=counter, reason=AGAIN)
    logs = [registry.decode_log(log) for result in (frozen, unfrozen) for log in result.logs]
    assert [(log.event, log.fields) for log in logs] == [
        ("ContractFrozen", {"contract": counter, "reason": REASON}),
        ("ContractUnfrozen", {"contract": counter, "reason": AGAIN}),
    ]


def test_faulty_freezes_are_refused(office: Any, counter: bytes) -> None:
    bench = office.bench

    def refuse(code: str, method: str, account: Any = bench.governor, /, **arguments: Any) -> None:
        bench.refuse(code, account, "deployments", method, **arguments)

    for account in (office.deployer, bench.auditor, bench.administrator):
        refuse("ROLE_MISSING", "freeze", account, contract=counter, reason=REASON)
        refuse("ROLE_MISSING", "unfreeze", account, contract=counter, reason=AGAIN)
    for contract in (bytes(20), bench.issuer.address, registry.CONTRACTS["members"].address, b"\1" * 20):
        refuse("DEPLOYMENT_UNKNOWN", "freeze", contract=contract, reason=REASON)
        refuse("DEPLOYMENT_UNKNOWN", "unfreeze", contract=contract, reason=AGAIN)
    for method in ("freeze", "unfreeze"):
        refuse("TEXT_EMPTY", method, contract=counter, reason="")
    refuse("TEXT_TOO_LONG", "freeze", contract=counter, reason="长" * (MAX_REASON_LENGTH + 1))
    refuse("TEXT_CONTROL_CHARACTER", "freeze", contract=counter, reason="a\n")
    refuse("NOT_FROZEN", "unfreeze", contract=counter, reason=AGAIN)
    set_frozen(office, counter)
    refuse("FROZEN_ALREADY", "freeze", contract=counter, reason=REASON)


def test_a_freeze_holds_from_the_next_transaction_of_the_same_block_on(office: Any, counter: bytes) -> None:
    office.ask(counter, ADD)
    bench = office.bench
    result = bench.call(bench.governor, "deployments", "freeze", contract=counter, reason=REASON)
    assert result.refusal is None
    assert office.run(bench.issuer.address, counter, ADD).refusal == "CONTRACT_FROZEN"


def test_an_account_is_kept_only_of_addresses_with_code(office: Any, counter: bytes) -> None:
    assert contract_key(counter) in office.bench.state
    assert contract_key(office.deployer.address) not in office.bench.state
