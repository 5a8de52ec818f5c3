"""Members: departments, accounts, roles, and who may change them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from contracts import registry
from contracts.accounts import (
    ROLE_GROUPS,
    ROLES,
    account_key,
    address_of_key,
    department_key,
    is_active,
    load_account,
    load_department,
)
from contracts.parameters import ChainParameters
from contracts.recent_blocks import RECENT_BLOCK_IDS, save_block_id
from contracts.refusals import Refused
from contracts.registration import AccountRegistration
from contracts.validator_sets import load_validators, validators_key
from sm_crypto.sm2 import PrivateKey
from sm_crypto.sm3 import sm3

NEW = SimpleNamespace(key=PrivateKey.from_bytes(bytes(31) + b"\7"))
OTHER_KEY, FOUNDER_KEY = (PrivateKey.from_bytes(bytes(31) + bytes([n])).public_key for n in (8, 9))
NEW_KEY = NEW.public_key = NEW.key.public_key


def department_arguments(bench: Any, **changes: Any) -> dict[str, Any]:
    code = "11330100MB111111"
    arguments = {"code": "", "name": "住房局", "region": "330100", "level": "city", "parent": bench.data_bureau}
    arguments["code"] = code_with_check(code + "2")
    return arguments | changes


def code_with_check(body: str) -> str:
    from contracts.identifiers import uscc_check_character

    return body + uscc_check_character(body)


def test_genesis_holds_departments_accounts_and_validators(bench: Any) -> None:
    department = load_department(bench.state, bench.land_bureau)
    assert department is not None
    assert (department.name, department.parent, department.suspended_ms) == ("自然资源局", bench.data_bureau, 0)
    account = load_account(bench.state, bench.issuer.address)
    assert account is not None
    assert (account.department, account.roles) == (bench.land_bureau, ("issuer",))
    (validator,) = load_validators(bench.state)
    assert validator.address == address_of_key(validator.public_key)
    assert {department_key(bench.land_bureau), account_key(bench.issuer.address), validators_key()} <= set(bench.state)


def founding(**changes: Any) -> Any:
    code = code_with_check("11330100002500287")
    fields = {"code": code, "name": "局", "region": "330100", "level": "city", "parent": "", "accounts": ()}
    return SimpleNamespace(**(fields | changes))


@pytest.mark.parametrize(
    ("departments", "code"),
    [
        ([founding(code="113301000025002879")], "USCC_CHECK_CHARACTER"),
        ([founding(code="lower")], "USCC_MALFORMED"),
        ([founding(), founding()], "LIST_REPEATS"),
        ([founding(parent=code_with_check("11330100MB1234567"))], "DEPARTMENT_UNKNOWN"),
        ([founding(parent=founding().code)], "DEPARTMENT_CYCLE"),
        ([founding(region="33")], "REGION_MALFORMED"),
        ([founding(level="市")], "VALUE_UNKNOWN"),
        ([founding(name="")], "TEXT_EMPTY"),
        ([founding(accounts=[SimpleNamespace(public_key=bytes(64), roles=("issuer",), name="")])], "KEY_INVALID"),
        ([founding(accounts=[SimpleNamespace(public_key=NEW_KEY, roles=("king",), name="")])], "ROLE_UNKNOWN"),
        ([founding(accounts=[SimpleNamespace(public_key=NEW_KEY, roles=(), name="")])], "LIST_EMPTY"),
        (
            [founding(accounts=[SimpleNamespace(public_key=NEW_KEY, roles=("auditor", "issuer"), name="")])],
            "ROLES_CONFLICT",
        ),
        ([founding(accounts=[SimpleNamespace(public_key=NEW_KEY, roles=("issuer",), name="")] * 2)], "ACCOUNT_EXISTS"),
    ],
)
def test_a_faulty_genesis_is_refused(departments: list[Any], code: str, make_bench: Any) -> None:
    with pytest.raises(Refused) as refused:
        registry.write_genesis(type(make_bench().state)(), departments, [], ChainParameters(), 0)
    assert refused.value.code == code


@pytest.mark.parametrize(
    ("keys", "names", "code"),
    [
        ([NEW_KEY, NEW_KEY], ["node1", "node2"], "VALIDATOR_EXISTS"),
        ([NEW_KEY, OTHER_KEY], ["node1", "node1"], "VALIDATOR_EXISTS"),
        ([FOUNDER_KEY, NEW_KEY], ["node1", "node2"], "KEY_IN_USE"),
        ([NEW_KEY], ["一号节点"], "VALIDATOR_NAME_MALFORMED"),
    ],
)
def test_founding_validators_are_told_apart(keys: list[bytes], names: list[str], code: str, make_bench: Any) -> None:
    department = founding(accounts=[SimpleNamespace(public_key=FOUNDER_KEY, roles=("governor",), name="")])
    validators = [
        SimpleNamespace(name=name, department=department.code, public_key=key)
        for key, name in zip(keys, names, strict=True)
    ]
    with pytest.raises(Refused, match=code):
        registry.write_genesis(type(make_bench().state)(), [department], validators, ChainParameters(), 0)


def test_two_founders_that_are_each_others_superior_are_refused(bench: Any) -> None:
    codes = [code_with_check("11330100002500287"), code_with_check("11330100MB1234567")]
    circle = [founding(code=codes[0], parent=codes[1]), founding(code=codes[1], parent=codes[0])]
    with pytest.raises(Refused, match="DEPARTMENT_CYCLE"):
        registry.write_genesis(bench.state, circle, [], ChainParameters(), 0)


def test_a_validator_belongs_to_a_founding_department(bench: Any) -> None:
    validator = SimpleNamespace(name="node1", department=bench.tax_bureau, public_key=NEW_KEY)
    with pytest.raises(Refused, match="DEPARTMENT_UNKNOWN"):
        registry.write_genesis(bench.state, [founding()], [validator], ChainParameters(), 0)


def test_a_governor_registers_a_department(bench: Any) -> None:
    arguments = department_arguments(bench)
    result = bench.accept(bench.governor, "members", "add_department", **arguments)
    record = bench.view("members", "department", code=arguments["code"])
    assert (record.name, record.level, record.joined_ms) == ("住房局", "city", bench.time_ms)
    assert registry.decode_log(result.logs[0]).event == "DepartmentAdded"
    bench.refuse("DEPARTMENT_EXISTS", bench.governor, "members", "add_department", **arguments)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"code": "11330100MB11111120"}, "USCC_CHECK_CHARACTER"),
        ({"code": "11330100MB"}, "USCC_MALFORMED"),
        ({"name": ""}, "TEXT_EMPTY"),
        ({"name": "局" * 129}, "TEXT_TOO_LONG"),
        ({"name": "局\n"}, "TEXT_CONTROL_CHARACTER"),
        ({"name": "住房\u3164局"}, "TEXT_CONTROL_CHARACTER"),
        ({"region": "3301"}, "REGION_MALFORMED"),
        ({"level": "planet"}, "VALUE_UNKNOWN"),
        ({"parent": "X" * 5_000}, "DEPARTMENT_UNKNOWN"),
    ],
)
def test_faulty_departments_are_refused(bench: Any, changes: dict[str, str], code: str) -> None:
    bench.refuse(code, bench.governor, "members", "add_department", **department_arguments(bench, **changes))


def test_a_suspended_department_writes_nothing_until_resumed(bench: Any) -> None:
    bench.register_type()
    bench.accept(bench.governor, "members", "suspend_department", code=bench.land_bureau, reason="整改")
    assert bench.view("members", "department", code=bench.land_bureau).suspended_ms == bench.time_ms
    text = bench.refuse("DEPARTMENT_SUSPENDED", bench.issuer, "certificates", "issue", **bench.certificate_arguments())
    assert bench.land_bureau in text
    again = {"code": bench.land_bureau, "reason": "再次"}
    bench.refuse("DEPARTMENT_SUSPENDED", bench.governor, "members", "suspend_department", **again)
    bench.accept(bench.governor, "members", "resume_department", code=bench.land_bureau, reason="完成")
    bench.refuse("DEPARTMENT_NOT_SUSPENDED", bench.governor, "members", "resume_department", **again)
    bench.issue()


def test_nobody_shuts_the_last_governor_out(bench: Any) -> None:
    own = {"account": bench.governor.address}
    bench.refuse("OWN_DEPARTMENT", bench.governor, "members", "suspend_department", code=bench.data_bureau, reason="x")
    bench.refuse("OWN_ACCOUNT", bench.governor, "members", "remove_account", **own, reason="x")
    bench.refuse("OWN_ACCOUNT", bench.governor, "members", "set_roles", **own, roles=["administrator"])


def new_account(bench: Any, **changes: Any) -> dict[str, Any]:
    """Return a new account's registration as its holder signed it, with these changes before that."""
    stated = {"department": bench.land_bureau, "name": "新窗口", "roles": ["issuer"]} | changes
    holder = SimpleNamespace(key=NEW.key, public_key=stated.pop("public_key", NEW_KEY))
    arguments: dict[str, Any] = bench.account_arguments(holder, **stated)
    return arguments


def test_an_account_lives_from_addition_to_removal(bench: Any) -> None:
    address = address_of_key(NEW_KEY)
    bench.accept(bench.administrator, "members", "add_account", **new_account(bench))
    bench.refuse("ACCOUNT_EXISTS", bench.governor, "members", "add_account", **new_account(bench))
    bench.accept(bench.administrator, "members", "set_roles", account=address, roles=["publisher", "approver"])
    assert bench.view("members", "account", account=address).roles == ("publisher", "approver")
    bench.accept(bench.administrator, "members", "remove_account", account=address, reason="离职")
    assert bench.view("members", "account", account=address).removed_ms == bench.time_ms
    bench.refuse("ACCOUNT_REMOVED", bench.governor, "members", "set_roles", account=address, roles=["issuer"])
    bench.accept(bench.governor, "members", "add_account", **new_account(bench))
    assert bench.view("members", "account", account=address).removed_ms == 0


def test_an_administrator_takes_up_no_account_that_another_department_removed(bench: Any) -> None:
    bench.accept(bench.governor, "members", "remove_account", account=bench.requester.address, reason="离职")
    taken = bench.account_arguments(bench.requester, bench.land_bureau, "调任", ["requester"])
    text = bench.refuse("OTHER_DEPARTMENT", bench.administrator, "members", "add_account", **taken)
    assert bench.tax_bureau in text
    bench.accept(bench.governor, "members", "add_account", **taken)
    assert bench.view("members", "account", account=bench.requester.address).department == bench.land_bureau


def test_a_removed_account_writes_nothing(bench: Any) -> None:
    bench.register_type()
    bench.accept(bench.governor, "members", "remove_account", account=bench.issuer.address, reason="离职")
    bench.refuse("ACCOUNT_REMOVED", bench.issuer, "certificates", "issue", **bench.certificate_arguments())


def test_an_account_is_active_while_neither_it_is_removed_nor_its_department_suspended(bench: Any) -> None:
    address = bench.issuer.address
    assert is_active(bench.state, address)
    assert not is_active(bench.state, bench.stranger.address)
    bench.accept(bench.governor, "members", "suspend_department", code=bench.land_bureau, reason="整改")
    assert not is_active(bench.state, address)
    bench.accept(bench.governor, "members", "resume_department", code=bench.land_bureau, reason="完成")
    assert is_active(bench.state, address)
    bench.accept(bench.governor, "members", "remove_account", account=address, reason="离职")
    assert not is_active(bench.state, address)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"public_key": NEW_KEY[:63]}, "KEY_INVALID"),
        ({"public_key": NEW_KEY[:63] + b"\0"}, "KEY_INVALID"),
        ({"roles": []}, "LIST_EMPTY"),
        ({"roles": ["issuer", "issuer"]}, "LIST_REPEATS"),
        ({"roles": ["issuer"] * 10}, "LIST_TOO_LONG"),
        ({"roles": ["Issuer"]}, "ROLE_UNKNOWN"),
        ({"roles": ["issuer", "auditor"]}, "ROLES_CONFLICT"),
        ({"roles": ["governor", "approver"]}, "ROLES_CONFLICT"),
        ({"name": "x" * 129}, "TEXT_TOO_LONG"),
    ],
)
def test_faulty_accounts_are_refused(bench: Any, changes: dict[str, Any], code: str) -> None:
    bench.refuse(code, bench.governor, "members", "add_account", **new_account(bench, **changes))


def test_only_the_holder_of_a_key_registers_it(bench: Any) -> None:
    # Seen somewhere, about to be used by its own department: whoever else comes first with it is refused.
    for sender, department in ((bench.administrator, bench.land_bureau), (bench.governor, bench.tax_bureau)):
        captured = bench.account_arguments(NEW, bench.data_bureau, "新窗口", ["issuer"]) | {"department": department}
        bench.refuse("REGISTRATION_INVALID", sender, "members", "add_account", **captured)
    agreed = new_account(bench)
    for change in (
        {"name": "旧窗口"},
        {"roles": ["issuer", "recorder"]},
        {"public_key": bench.stranger.public_key},
        {"signature": b""},
        {"signature": bytes(64)},
        {"signature": agreed["signature"] + b"\0"},
        {"signature": bench.stranger.key.sign(b"")},
    ):
        bench.refuse("REGISTRATION_INVALID", bench.governor, "members", "add_account", **agreed | change)
    bench.accept(bench.administrator, "members", "add_account", **agreed)


def test_what_a_key_signed_for_one_chain_registers_it_on_no_other(bench: Any) -> None:
    agreed = new_account(bench)
    save_block_id(bench.state, 0, bytes([7]) * 32)
    bench.refuse("REGISTRATION_INVALID", bench.governor, "members", "add_account", **agreed)


def test_the_chain_is_still_named_when_its_first_block_is_long_past(bench: Any) -> None:
    for height in (1, RECENT_BLOCK_IDS, RECENT_BLOCK_IDS + 1):
        save_block_id(bench.state, height, bytes([8]) * 32)
    bench.accept(bench.administrator, "members", "add_account", **new_account(bench))


def test_a_key_that_votes_or_is_to_vote_makes_no_account(bench: Any) -> None:
    text = bench.refuse(
        "KEY_OF_VALIDATOR",
        bench.governor,
        "members",
        "add_account",
        **bench.account_arguments(bench.validator, bench.data_bureau, "x", ["issuer"]),
    )
    assert "node1" in text
    candidate = {"department": bench.tax_bureau, "name": "node2", "public_key": NEW_KEY}
    bench.accept(bench.governor, "members", "add_validator", **candidate)
    bench.refuse("KEY_OF_VALIDATOR", bench.administrator, "members", "add_account", **new_account(bench))
    withdrawal = {"address": address_of_key(NEW_KEY), "reason": "改期"}
    bench.accept(bench.governor, "members", "withdraw_candidate", **withdrawal)
    bench.accept(bench.administrator, "members", "add_account", **new_account(bench))


def test_the_signed_registration_is_the_one_described(bench: Any) -> None:
    # Written out by hand, as another implementation would make it from the specification.
    fields: list[Any] = [sm3(b"genesis"), "D", NEW_KEY, "窗口", ["issuer", "recorder"]]
    tag = b"govnode/account-registration/1".ljust(64, b"\0")
    signed = NEW.key.sign(sm3(tag + msgspec.msgpack.encode(fields)))
    registration = AccountRegistration(*fields)
    assert registration.is_signed_by_key(signed)


def test_an_administrator_stays_within_its_department_and_business_roles(bench: Any) -> None:
    elsewhere = new_account(bench, department=bench.tax_bureau)
    bench.refuse("OTHER_DEPARTMENT", bench.administrator, "members", "add_account", **elsewhere)
    for role in ("governor", "administrator", "auditor"):
        reserved = new_account(bench, roles=[role])
        bench.refuse("ROLE_RESERVED", bench.administrator, "members", "add_account", **reserved)
    theirs = {"account": bench.recorder.address, "reason": "x"}
    bench.refuse("OTHER_DEPARTMENT", bench.administrator, "members", "remove_account", **theirs)
    bench.accept(bench.governor, "members", "add_account", **new_account(bench, roles=["auditor"]))
    auditor = {"account": address_of_key(NEW_KEY), "reason": "x"}
    bench.refuse("ROLE_RESERVED", bench.administrator, "members", "remove_account", **auditor)


def test_only_governors_and_administrators_manage_members(bench: Any) -> None:
    for account in (bench.issuer, bench.auditor, bench.approver):
        bench.refuse("ROLE_MISSING", account, "members", "add_account", **new_account(bench))
        bench.refuse("ROLE_MISSING", account, "members", "add_department", **department_arguments(bench))
    bench.refuse("ROLE_MISSING", bench.administrator, "members", "add_department", **department_arguments(bench))
    bench.refuse("UNKNOWN_ACCOUNT", bench.stranger, "members", "add_account", **new_account(bench))


def test_every_role_is_in_one_group_and_explained_in_both_languages() -> None:
    assert sorted(role for group in ROLE_GROUPS for role in group) == sorted(ROLES)
    assert all(chinese and english.isascii() for chinese, english in ROLES.values())


def test_unknown_members_are_refused_by_name(bench: Any) -> None:
    for method, arguments, code in (
        ("department", {"code": "X"}, "DEPARTMENT_UNKNOWN"),
        ("account", {"account": bytes(20)}, "UNKNOWN_ACCOUNT"),
    ):
        with pytest.raises(Refused, match=code):
            bench.view("members", method, **arguments)


def test_a_contract_asks_whether_an_account_acts_for_a_department(bench: Any) -> None:
    def holds(department: str, role: str) -> bool:
        found: bool = bench.view("members", "has_role", account=bench.issuer.address, department=department, role=role)
        return found

    def department() -> str:
        found: str = bench.view("members", "department_of", account=bench.issuer.address)
        return found

    assert (holds(bench.land_bureau, "issuer"), department()) == (True, bench.land_bureau)
    assert not holds(bench.land_bureau, "approver")
    assert not holds(bench.tax_bureau, "issuer")
    bench.accept(bench.governor, "members", "suspend_department", code=bench.land_bureau, reason="核查")
    assert (holds(bench.land_bureau, "issuer"), department()) == (False, "")
    bench.accept(bench.governor, "members", "resume_department", code=bench.land_bureau, reason="核查完毕")
    assert holds(bench.land_bureau, "issuer")
    bench.accept(bench.governor, "members", "remove_account", account=bench.issuer.address, reason="离职")
    assert (holds(bench.land_bureau, "issuer"), department()) == (False, "")
    stranger = {"account": bench.stranger.address}
    assert bench.view("members", "department_of", **stranger) == ""
    assert not bench.view("members", "has_role", department="", role="issuer", **stranger)
    for role in ("", "Issuer", "aprover"):
        with pytest.raises(Refused, match="ROLE_UNKNOWN"):
            bench.view("members", "has_role", department="", role=role, **stranger)
