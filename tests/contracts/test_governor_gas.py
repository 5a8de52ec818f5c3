"""Whatever limit of gas governors set, every call of theirs still fits into it, and a candidate's confirmation too."""

from __future__ import annotations

from typing import Any, Final

import pytest

from contracts import registry
from contracts.abi import decode_error
from contracts.accounts import DEPARTMENTS, GOVERNOR, OPERATION_ROLES, DepartmentRecord, address_of_key
from contracts.call import CallResult
from contracts.certificates import MAX_TYPE_ISSUERS_AT_ONCE
from contracts.code_tables import ACTIONS, MAX_TABLE_CODES, SUCCEEDING_ACTIONS
from contracts.deployments import DEPLOYMENTS, DeploymentRecord
from contracts.identifiers import uscc_check_character
from contracts.parameters import BOUNDS, LEAST_GAS
from contracts.recent_blocks import save_block_id
from contracts.validator_sets import (
    MAX_CANDIDATES,
    MAX_VALIDATOR_NAME_LENGTH,
    MAX_VALIDATORS,
    CandidateRecord,
    ValidatorRecord,
    save_candidates,
    save_validators,
)
from node.chain.transaction import MAX_CALL_DATA_BYTES
from node.wire.frames import MAX_NODE_NAME_LENGTH
from sm_crypto.sm3 import sm3

# The longest text of n characters in bytes: UTF-8 takes up to four for one.
WIDE: Final = "\U00020000"
BLOCK: Final = bytes(32)


def validator_name(index: int) -> str:
    return str(index).rjust(MAX_VALIDATOR_NAME_LENGTH, "n")


def key(index: int) -> bytes:
    return b"\xff" * 62 + index.to_bytes(2)


@pytest.fixture
def full(bench: Any) -> Any:
    """A bench with as many validators and candidates, and as large ones, as there can be."""
    department = bench.land_bureau
    validators = [
        ValidatorRecord(sm3(key(index))[-20:], key(index), validator_name(index), department)
        for index in range(MAX_VALIDATORS - MAX_CANDIDATES)
    ]
    candidates = [
        CandidateRecord(sm3(key(index))[-20:], key(index), validator_name(index), department, 1)
        for index in range(MAX_VALIDATORS, MAX_VALIDATORS + MAX_CANDIDATES)
    ]
    save_validators(bench.state, validators, 1)
    save_candidates(bench.state, candidates)
    bench.validators, bench.candidates, bench.calls = validators, candidates, 5
    return bench


def run(bench: Any, method: str, sender: bytes = b"", /, **arguments: Any) -> CallResult:
    """Run a governor's call under the least limit of gas that can be set, which it must not exhaust."""
    contract, _, name = method.partition(".")
    to, data = registry.encode_call(contract, name, **arguments)
    assert len(data) <= MAX_CALL_DATA_BYTES
    result: CallResult = bench.execute(sender or bench.governor.address, to, data, LEAST_GAS)
    assert result.refusal is None, decode_error(result.output)
    return result


def test_the_least_limits_are_what_this_page_shows() -> None:
    assert BOUNDS["max_transaction_gas"][0] == BOUNDS["max_block_gas"][0] == LEAST_GAS
    assert MAX_VALIDATOR_NAME_LENGTH == MAX_NODE_NAME_LENGTH


def test_the_largest_set_can_be_changed(full: Any) -> None:
    reason = WIDE * 200
    run(full, "members.withdraw_candidate", address=full.candidates[0].address, reason=reason)
    added = full.stranger.public_key
    run(full, "members.add_validator", department=full.tax_bureau, name=validator_name(999), public_key=added)
    for _ in range(2):
        save_block_id(full.state, full.calls, BLOCK)
        # The one who joins finds all others there; the second change follows a set that stands among the past ones.
        joining = [*full.candidates[1:]][_].address
        result = run(full, "members.confirm_validator", joining, height=full.calls, block_id=BLOCK)
        run(full, "members.remove_validator", address=full.validators[_].address, reason=reason)
    save_validators(full.state, [*full.validators, *_as_validators(full.candidates)], full.calls + 1)
    full.calls += 1
    removed = full.candidates[3].address
    result = run(full, "members.remove_validator", address=removed, reason=reason)
    assert result.gas_used < LEAST_GAS


def _as_validators(candidates: list[CandidateRecord]) -> list[ValidatorRecord]:
    return [ValidatorRecord(one.address, one.public_key, one.name, one.department) for one in candidates]


def code_table(letter: str) -> dict[str, Any]:
    """A table as large as a transaction carries."""
    statuses = [[letter + f"{number:07}", letter + WIDE * 63, WIDE * 64, 1] for number in range(MAX_TABLE_CODES)]
    first = statuses[0][0]
    operations = [
        [f"{number:08}", WIDE * 64, WIDE * 64, action, [], [first], first if action in SUCCEEDING_ACTIONS else ""]
        for number, action in enumerate(ACTIONS)
    ]
    table = {"name": WIDE * 32, "statuses": statuses, "operations": operations}
    _, data = registry.encode_call("certificates", "set_code_table", **table)
    # One text of up to 32 bytes in a list takes three words: where it begins, its length, itself.
    operations[0][4] = [first] * ((MAX_CALL_DATA_BYTES - len(data)) // 96)
    return table


def test_the_largest_code_table_can_be_written_and_written_over(bench: Any) -> None:
    for letter in "aa":
        run(bench, "certificates.set_code_table", **code_table(letter))


def test_the_largest_type_of_certificate_can_be_registered(bench: Any) -> None:
    run(bench, "certificates.set_code_table", **code_table("a"))
    codes = [f"{number:018}" for number in range(MAX_TYPE_ISSUERS_AT_ONCE)]
    for code in codes:
        record = DepartmentRecord(code, WIDE * 128, "330100000000", "national", codes[0], 2**62, 2**62)
        DEPARTMENTS.save(bench.state, code.encode(), record)
    texts = dict.fromkeys(("name", "defining_body", "validity_range"), WIDE * 128)
    arguments = bench.type_arguments(code_table=WIDE * 32, issuers=codes, **texts)
    run(bench, "certificates.register_type", **arguments)
    permission = {"type_code": arguments["code"], "department": codes[-1]}
    run(bench, "certificates.withdraw_issuer", **permission)
    run(bench, "certificates.allow_issuer", **permission)


def test_members_can_be_managed_and_parameters_set(full: Any) -> None:
    code, reason = "11330100MB1111112", {"reason": WIDE * 200}
    code += uscc_check_character(code)
    department = {"code": code, "name": WIDE * 128, "region": "330100000000", "parent": full.data_bureau}
    run(full, "members.add_department", level="national", **department)
    run(full, "members.suspend_department", code=code, **reason)
    run(full, "members.resume_department", code=code, **reason)
    roles = sorted(OPERATION_ROLES)
    run(full, "members.add_account", **full.account_arguments(full.stranger, code, WIDE * 128, roles))
    account = address_of_key(full.stranger.public_key)
    run(full, "members.set_roles", account=account, roles=roles)
    run(full, "members.remove_account", account=account, **reason)
    greatest = {name: greatest for name, (_, greatest) in BOUNDS.items()}
    run(full, "governance.set_parameters", names=list(greatest), values=list(greatest.values()))


def test_contracts_can_be_frozen_and_unfrozen(bench: Any) -> None:
    DEPLOYMENTS.save(
        bench.state, BLOCK[:20], DeploymentRecord(BLOCK[:20], BLOCK[:20], "1" * 18, BLOCK, 2**62, 2**62, 0, "")
    )
    run(bench, "deployments.freeze", contract=BLOCK[:20], reason=WIDE * 200)
    run(bench, "deployments.unfreeze", contract=BLOCK[:20], reason=WIDE * 200)


def test_no_call_of_a_governor_is_left_out() -> None:
    shown = {
        "members": {
            "add_department",
            "suspend_department",
            "resume_department",
            "add_account",
            "set_roles",
            "remove_account",
            "set_encryption_key",
            "add_validator",
            "withdraw_candidate",
            "remove_validator",
        },
        "certificates": {"register_type", "allow_issuer", "withdraw_issuer", "set_code_table"},
        "governance": {"set_parameters"},
        "deployments": {"freeze", "unfreeze"},
        # The large ones are in data_sharing/test_governors_largest_calls.py; names and single texts, below half the limit,
        # in the tests of each contract.
        "access": {"end_suspended_stream"},
        "catalogue": {"approve", "approve_many", "reject", "review"},
        "sharing": {"check", "set_refusal_reasons", "take_dispute", "decide_dispute"},
        "audits": {"name_authority", "set_figures"},
        "deadlines": {"set_calendar", "set_terms"},
        "products": {"decide_objection", "set_formula"},
        "open_data": {"clear", "decline", "stop"},
    }
    declared = {
        contract.name: {method.name for method in contract.methods.values() if GOVERNOR in method.roles}
        for contract in registry.CONTRACTS.values()
    }
    assert {name: methods for name, methods in declared.items() if methods} == shown
