"""Encryption keys of departments: who sets one, that each serves once, and that none is a signing key."""

from __future__ import annotations

from typing import Any

import pytest

from contracts.data_sharing.encryption_keys import EncryptionKeyStatement
from contracts.refusals import Refused
from sm_crypto.sm2 import PrivateKey
from sm_crypto.sm3 import sm3

FIRST, SECOND = (PrivateKey.from_bytes(bytes(31) + bytes([n])) for n in (31, 32))
GENESIS_HASH = sm3(b"genesis")


def stated(department: str, key: PrivateKey, genesis_hash: bytes = GENESIS_HASH) -> dict[str, Any]:
    statement = EncryptionKeyStatement(genesis_hash, department, key.public_key)
    return {"public_key": key.public_key, "signature": key.sign(statement.digest)}


def set_key(bench: Any, key: PrivateKey) -> None:
    bench.accept(bench.administrator, "members", "set_encryption_key", **stated(bench.land_bureau, key))


def test_a_department_has_one_key_at_present_and_keeps_its_earlier_ones(bench: Any) -> None:
    set_key(bench, FIRST)
    set_ms = bench.time_ms
    found = bench.view("members", "encryption_key", department=bench.land_bureau)
    assert (found.number, found.public_key, found.set_ms) == (1, FIRST.public_key, set_ms)
    assert found.set_by == bench.administrator.address
    set_key(bench, SECOND)
    assert bench.view("members", "encryption_key", department=bench.land_bureau).public_key == SECOND.public_key
    earlier = bench.view("members", "encryption_key_numbered", department=bench.land_bureau, number=1)
    assert (earlier.public_key, earlier.set_ms) == (FIRST.public_key, set_ms)


def test_a_key_serves_once(bench: Any) -> None:
    set_key(bench, FIRST)
    set_key(bench, SECOND)
    for key in (FIRST, SECOND):
        arguments = stated(bench.land_bureau, key)
        bench.refuse("ENCRYPTION_KEY_USED", bench.administrator, "members", "set_encryption_key", **arguments)


def test_only_those_who_manage_a_department_set_its_key(bench: Any) -> None:
    bench.accept(bench.governor, "members", "set_encryption_key", **stated(bench.data_bureau, SECOND))
    other = stated(bench.land_bureau, FIRST)
    bench.refuse("ENCRYPTION_KEY_UNSIGNED", bench.governor, "members", "set_encryption_key", **other)
    for account in (bench.issuer, bench.auditor):
        arguments = stated(account.department, FIRST)
        bench.refuse("ROLE_MISSING", account, "members", "set_encryption_key", **arguments)


def test_the_key_itself_says_where_it_belongs(bench: Any) -> None:
    genuine = stated(bench.land_bureau, FIRST)
    for wrong in (
        stated(bench.tax_bureau, FIRST),
        stated(bench.land_bureau, FIRST, sm3(b"another chain")),
        {**genuine, "signature": stated(bench.land_bureau, SECOND)["signature"]},
        {**genuine, "signature": b""},
    ):
        bench.refuse("ENCRYPTION_KEY_UNSIGNED", bench.administrator, "members", "set_encryption_key", **wrong)
    for public_key in (bytes(64), FIRST.public_key[:-1]):
        wrong = {**genuine, "public_key": public_key}
        bench.refuse("KEY_INVALID", bench.administrator, "members", "set_encryption_key", **wrong)


def test_no_key_both_signs_and_decrypts(bench: Any) -> None:
    for account, code in ((bench.issuer, "KEY_IN_USE"), (bench.validator, "KEY_OF_VALIDATOR")):
        arguments = stated(bench.land_bureau, account.key)
        bench.refuse(code, bench.administrator, "members", "set_encryption_key", **arguments)
    set_key(bench, FIRST)
    set_key(bench, SECOND)
    for key in (FIRST, SECOND):
        holder = type(bench.issuer)(bench.land_bureau, "issuer", name="another")
        holder.key, holder.public_key = key, key.public_key
        arguments = bench.account_arguments(holder, bench.land_bureau, "another", ["issuer"])
        bench.refuse("ENCRYPTION_KEY_USED", bench.governor, "members", "add_account", **arguments)
        bench.refuse(
            "ENCRYPTION_KEY_USED",
            bench.governor,
            "members",
            "add_validator",
            department=bench.land_bureau,
            name="node9",
            public_key=key.public_key,
        )


def test_a_department_without_a_key_is_named(bench: Any) -> None:
    for department in (bench.tax_bureau, "无"):
        with pytest.raises(Refused, match="ENCRYPTION_KEY_UNKNOWN"):
            bench.view("members", "encryption_key", department=department)
