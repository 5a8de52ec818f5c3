"""Departments, their accounts and roles as records, and the check that every writing call begins with."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from contracts.records import Reader, Table
from contracts.refusals import Refused
from sm_crypto.sm3 import sm3

GOVERNOR: Final = "governor"
ADMINISTRATOR: Final = "administrator"
AUDITOR: Final = "auditor"
ISSUER: Final = "issuer"
PUBLISHER: Final = "publisher"
REQUESTER: Final = "requester"
APPROVER: Final = "approver"
RECORDER: Final = "recorder"
DEPLOYER: Final = "deployer"

ROLES: Final[dict[str, tuple[str, str]]] = {
    GOVERNOR: (
        "治理：部门、账户、验证者、链参数、证照类型与代码表",
        "governance: departments, accounts, validators, chain parameters, certificate types, code tables",
    ),
    ADMINISTRATOR: ("管理：本部门账户", "administration: the department's own accounts"),
    AUDITOR: ("审计：查阅访问记录", "audit: reads access records"),
    ISSUER: ("签发：颁发证照并变更其状态", "issuing: certificates and their status"),
    PUBLISHER: (
        "编目：数据资源、职责与系统目录、开放数据",
        "catalogue: resources, directories of duties and systems, open data",
    ),
    REQUESTER: ("申请：申请使用其他部门的数据", "requests other departments' data"),
    APPROVER: (
        "审批：答复对本部门数据的申请，审批重要与核心数据的编目",
        "answers requests for the department's data, approves its entries of important and core data",
    ),
    RECORDER: ("记录：登记每次读取，锚定摘要", "records every read, anchors digests"),
    DEPLOYER: ("部署：部署 EVM 合约", "deploys EVM contracts"),
}
"""Every role with what it may do, in Chinese and English."""

# Management, audit and operation are kept apart (GB/T 39477-2020, as summarised; the text was not checked).
MANAGEMENT_ROLES: Final = frozenset({GOVERNOR, ADMINISTRATOR})
AUDIT_ROLES: Final = frozenset({AUDITOR})
OPERATION_ROLES: Final = frozenset({ISSUER, PUBLISHER, REQUESTER, APPROVER, RECORDER, DEPLOYER})
ROLE_GROUPS: Final = (MANAGEMENT_ROLES, AUDIT_ROLES, OPERATION_ROLES)


class DepartmentRecord(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A department; `code` is its unified social credit code, `parent` the superior's code or empty."""

    code: str
    name: str
    region: str
    level: str
    parent: str
    suspended_ms: Annotated[int, "int64"]
    """Block time since which the department is suspended, 0 when it is not."""
    joined_ms: Annotated[int, "int64"]


class AccountRecord(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """An account: the key that signs, the department it acts for, and what it may do."""

    address: Annotated[bytes, "address"]
    department: str
    name: str
    public_key: bytes
    """64 bytes x || y on the SM2 curve."""
    roles: tuple[str, ...]
    added_ms: Annotated[int, "int64"]
    removed_ms: Annotated[int, "int64"]
    """Block time since which the account is removed, 0 when it is not."""


DEPARTMENTS: Final = Table("members", 1, DepartmentRecord)
ACCOUNTS: Final = Table("members", 2, AccountRecord)


def address_of_key(public_key: bytes) -> bytes:
    """Return the 20-byte address of an account: the last 20 bytes of SM3 of its 64-byte public key."""
    return sm3(public_key)[-20:]


def department_key(code: str) -> bytes:
    """Return the key in state of a department's record."""
    return DEPARTMENTS.key(code.encode())


def account_key(address: bytes) -> bytes:
    """Return the key in state of an account's record."""
    return ACCOUNTS.key(address)


def load_department(state: Reader, code: str) -> DepartmentRecord | None:
    """Return the department with this code, or None."""
    return DEPARTMENTS.load(state, code.encode())


def load_account(state: Reader, address: bytes) -> AccountRecord | None:
    """Return the account at this 20-byte address, removed ones included, or None."""
    return ACCOUNTS.load(state, address)


def is_active(state: Reader, address: bytes) -> bool:
    """Return whether there is an account at this 20-byte address that is not removed, of a department that is not suspended."""
    account = ACCOUNTS.load(state, address)
    return account is not None and not account.removed_ms and is_active_department(state, account.department)


def is_active_department(state: Reader, code: str) -> bool:
    """Return whether there is a department with this code that is not suspended."""
    department = load_department(state, code)
    return department is not None and not department.suspended_ms


def authorise(state: Reader, address: bytes, roles: tuple[str, ...]) -> AccountRecord:
    """Return the account at `address` if it and its department are active and it holds one of `roles`; refuse otherwise.

    Without any `roles` every active account passes.
    """
    account = ACCOUNTS.load(state, address)
    if account is None:
        raise Refused("UNKNOWN_ACCOUNT", found=address)
    if account.removed_ms:
        raise Refused("ACCOUNT_REMOVED", found=address)
    for role in roles:
        if role in account.roles:
            break
    else:
        if roles:
            raise Refused("ROLE_MISSING", expected=" | ".join(roles), found=", ".join(account.roles))
    department = DEPARTMENTS.load(state, account.department.encode())
    if department is None or department.suspended_ms:
        raise Refused("DEPARTMENT_SUSPENDED", found=account.department)
    return account
