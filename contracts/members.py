"""Members: departments in their hierarchy, the accounts that act for them, and the validators."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, Protocol

import msgspec

from contracts.accounts import (
    ACCOUNTS,
    ADMINISTRATOR,
    DEPARTMENTS,
    GOVERNOR,
    OPERATION_ROLES,
    ROLE_GROUPS,
    ROLES,
    AccountRecord,
    DepartmentRecord,
    address_of_key,
    is_active,
    is_active_department,
)
from contracts.data_sharing.encryption_keys import (
    EncryptionKeyRecord,
    EncryptionKeyStatement,
    add_key,
    is_encryption_key,
    load_encryption_key,
)
from contracts.fields import Address, Bytes32, Uint64, check_choice, check_list, check_optional_text, check_text
from contracts.frame import SIGNATURE_GAS, Context, SystemContract
from contracts.identifiers import verify_uscc
from contracts.offences import OffenceRecord, list_offences
from contracts.recent_blocks import load_block_id
from contracts.records import Reader, Writer
from contracts.refusals import Refused
from contracts.registration import AccountRegistration
from contracts.validator_sets import (
    MAX_CANDIDATES,
    MAX_VALIDATORS,
    CandidateRecord,
    ValidatorRecord,
    check_validator_name,
    find_by_address,
    least_validators,
    load_candidates,
    load_validator_set,
    load_validators,
    load_validators_at,
    save_candidates,
    save_validators,
)
from sm_crypto.sm2_curve import PUBLIC_KEY_BYTES, is_curve_point

MAX_NAME_LENGTH: Final = 128
MAX_REASON_LENGTH: Final = 200
MAX_DEPARTMENT_DEPTH: Final = 16

LEVELS: Final[dict[str, tuple[str, str]]] = {
    "national": ("国家级", "national"),
    "province": ("省级", "province"),
    "city": ("地市级", "city"),
    "county": ("区县级", "county"),
    "township": ("乡镇级", "township"),
    "other": ("其他", "other"),
}
"""Levels of bodies (issuing-authority level of GB/T 36902, as implemented), each in Chinese and English."""

_REGION_FORM: Final = re.compile(r"[0-9]{6}(?:[0-9]{3}){0,2}")


class FoundingAccount(Protocol):
    """An account at genesis."""

    @property
    def public_key(self) -> bytes:
        """64 bytes x || y."""

    @property
    def roles(self) -> Sequence[str]:
        """Names of its roles."""

    @property
    def name(self) -> str:
        """What the account is called."""


class FoundingDepartment(Protocol):
    """A department at genesis."""

    @property
    def code(self) -> str:
        """Unified social credit code."""

    @property
    def name(self) -> str:
        """What the department is called."""

    @property
    def region(self) -> str:
        """Region code."""

    @property
    def level(self) -> str:
        """One of LEVELS."""

    @property
    def parent(self) -> str:
        """The superior's code, or empty."""

    @property
    def accounts(self) -> Sequence[FoundingAccount]:
        """The accounts that act for it."""


class FoundingValidator(Protocol):
    """A validator at genesis."""

    @property
    def name(self) -> str:
        """What the validator is called."""

    @property
    def department(self) -> str:
        """Code of the department that runs it."""

    @property
    def public_key(self) -> bytes:
        """64 bytes x || y."""


CONTRACT: Final = SystemContract("members")
DEPARTMENT_ADDED: Final = CONTRACT.event("DepartmentAdded", code="string", name="string", parent="string")
DEPARTMENT_SUSPENDED: Final = CONTRACT.event("DepartmentSuspended", code="string", reason="string")
DEPARTMENT_RESUMED: Final = CONTRACT.event("DepartmentResumed", code="string", reason="string")
ACCOUNT_ADDED: Final = CONTRACT.event(
    "AccountAdded", ["account"], account="address", department="string", name="string", roles="string[]"
)
ACCOUNT_CHANGED: Final = CONTRACT.event("AccountChanged", ["account"], account="address", roles="string[]")
ACCOUNT_REMOVED: Final = CONTRACT.event("AccountRemoved", ["account"], account="address", reason="string")
ENCRYPTION_KEY_SET: Final = CONTRACT.event("EncryptionKeySet", department="string", number="uint64", public_key="bytes")

CANDIDATE_ADDED: Final = CONTRACT.event(
    "CandidateAdded", ["validator"], validator="address", name="string", department="string"
)
CANDIDATE_WITHDRAWN: Final = CONTRACT.event("CandidateWithdrawn", ["validator"], validator="address", reason="string")
VALIDATOR_JOINED: Final = CONTRACT.event(
    "ValidatorJoined",
    ["validator"],
    validator="address",
    name="string",
    department="string",
    first_height="uint64",
)
VALIDATOR_REMOVED: Final = CONTRACT.event(
    "ValidatorRemoved", ["validator"], validator="address", name="string", first_height="uint64", reason="string"
)


@CONTRACT.write(GOVERNOR)
def add_department(ctx: Context, code: str, name: str, region: str, level: str, parent: str) -> None:
    """Register a department under its unified social credit code; `parent` is its superior's code or empty."""
    if DEPARTMENTS.has(ctx, code.encode()):
        raise Refused("DEPARTMENT_EXISTS", found=code)
    if parent:
        ctx.require(DEPARTMENTS, parent.encode(), "DEPARTMENT_UNKNOWN", parent)
    DEPARTMENTS.save(ctx, code.encode(), _new_department(code, name, region, level, parent, ctx.time_ms))
    ctx.emit(DEPARTMENT_ADDED, code, name, parent)


@CONTRACT.write(GOVERNOR)
def suspend_department(ctx: Context, code: str, reason: str) -> None:
    """Suspend a department: none of its accounts can write until it is resumed."""
    check_text("reason", reason, MAX_REASON_LENGTH)
    department = ctx.require(DEPARTMENTS, code.encode(), "DEPARTMENT_UNKNOWN", code)
    if code == ctx.account.department:
        # A governor always remains: nobody can shut the last one out.
        raise Refused("OWN_DEPARTMENT")
    if department.suspended_ms:
        raise Refused("DEPARTMENT_SUSPENDED", found=code)
    DEPARTMENTS.save(ctx, code.encode(), msgspec.structs.replace(department, suspended_ms=ctx.time_ms))
    ctx.emit(DEPARTMENT_SUSPENDED, code, reason)


@CONTRACT.write(GOVERNOR)
def resume_department(ctx: Context, code: str, reason: str) -> None:
    """End the suspension of a department."""
    check_text("reason", reason, MAX_REASON_LENGTH)
    department = ctx.require(DEPARTMENTS, code.encode(), "DEPARTMENT_UNKNOWN", code)
    if not department.suspended_ms:
        raise Refused("DEPARTMENT_NOT_SUSPENDED", found=code)
    DEPARTMENTS.save(ctx, code.encode(), msgspec.structs.replace(department, suspended_ms=0))
    ctx.emit(DEPARTMENT_RESUMED, code, reason)


@CONTRACT.write(GOVERNOR, ADMINISTRATOR)
def add_account(
    ctx: Context, department: str, public_key: bytes, name: str, roles: list[str], signature: bytes
) -> None:
    """Register an account by its 64-byte SM2 key for a department, or take a removed one up again; the key signs that it agrees."""
    _check_reach(ctx, department)
    ctx.require(DEPARTMENTS, department.encode(), "DEPARTMENT_UNKNOWN", department)
    account = _new_account(department, public_key, name, roles, ctx.time_ms)
    _check_given_roles(ctx, roles)
    existing = ACCOUNTS.load(ctx, account.address)
    if existing is not None:
        if not existing.removed_ms:
            raise Refused("ACCOUNT_EXISTS", found=account.address)
        # What its key signs would act for another department from now on: that is for a governor to decide.
        _check_reach(ctx, existing.department)
    _check_unused_by_validators(ctx, account.address)
    _check_signing_key(ctx, public_key)
    # Else whoever comes first could register a key that another department was about to use.
    ctx.spend(SIGNATURE_GAS)
    registration = AccountRegistration(load_block_id(ctx, 0) or b"", department, public_key, name, roles)
    if not registration.is_signed_by_key(signature):
        raise Refused("REGISTRATION_INVALID", found=account.address)
    ACCOUNTS.save(ctx, account.address, account)
    ctx.emit(ACCOUNT_ADDED, account.address, department, name, account.roles)


@CONTRACT.write(GOVERNOR, ADMINISTRATOR)
def set_roles(ctx: Context, account: Address, roles: list[str]) -> None:
    """Replace the roles of an account."""
    record = _load_other(ctx, account)
    _check_roles(roles)
    _check_given_roles(ctx, roles)
    ACCOUNTS.save(ctx, account, msgspec.structs.replace(record, roles=tuple(roles)))
    ctx.emit(ACCOUNT_CHANGED, account, roles)


@CONTRACT.write(GOVERNOR, ADMINISTRATOR)
def remove_account(ctx: Context, account: Address, reason: str) -> None:
    """Remove an account: its record stays, its signature counts no longer."""
    check_text("reason", reason, MAX_REASON_LENGTH)
    record = _load_other(ctx, account)
    ACCOUNTS.save(ctx, account, msgspec.structs.replace(record, removed_ms=ctx.time_ms))
    ctx.emit(ACCOUNT_REMOVED, account, reason)


@CONTRACT.write(GOVERNOR, ADMINISTRATOR)
def set_encryption_key(ctx: Context, public_key: bytes, signature: bytes) -> Uint64:
    """Set the 64-byte SM2 key that others seal to the caller's department with, by its own signature, and return its number.

    A key serves once: earlier ones stay on record, and no key that signs calls or votes is taken.
    """
    _check_key(public_key)
    address = address_of_key(public_key)
    if ACCOUNTS.has(ctx, address):
        raise Refused("KEY_IN_USE", found=address)
    _check_unused_by_validators(ctx, address)
    department = ctx.account.department
    # Else a department could take another's key, and keep it from registering it.
    ctx.spend(SIGNATURE_GAS)
    statement = EncryptionKeyStatement(load_block_id(ctx, 0) or b"", department, public_key)
    if not statement.is_signed_by_key(signature):
        raise Refused("ENCRYPTION_KEY_UNSIGNED", found=department)
    record = add_key(ctx, department, public_key)
    ctx.emit(ENCRYPTION_KEY_SET, department, record.number, public_key)
    return record.number


@CONTRACT.write(GOVERNOR)
def add_validator(ctx: Context, department: str, name: str, public_key: bytes) -> None:
    """Make a candidate of a 64-byte SM2 key: it votes once its node, synced, has sent confirm_validator."""
    record = ctx.require(DEPARTMENTS, department.encode(), "DEPARTMENT_UNKNOWN", department)
    if record.suspended_ms:
        raise Refused("DEPARTMENT_SUSPENDED", found=department)
    check_validator_name(name)
    _check_key(public_key)
    address = address_of_key(public_key)
    if ACCOUNTS.has(ctx, address):
        # One key, one use. No signature is asked for here: the key itself has to confirm before it votes.
        raise Refused("KEY_IN_USE", found=address)
    _check_signing_key(ctx, public_key)
    validators, candidates = load_validators(ctx), load_candidates(ctx)
    taken = [(record.address, record.name) for record in validators]
    taken += [(record.address, record.name) for record in candidates]
    for taken_address, taken_name in taken:
        if taken_address == address or taken_name == name:
            raise Refused("VALIDATOR_EXISTS", found=taken_name)
    if len(candidates) >= MAX_CANDIDATES or len(validators) + len(candidates) >= MAX_VALIDATORS:
        raise Refused("TOO_MANY_VALIDATORS", limit=MAX_VALIDATORS, candidates=MAX_CANDIDATES)
    candidate = CandidateRecord(address, public_key, name, department, ctx.height)
    save_candidates(ctx, (*candidates, candidate))
    ctx.emit(CANDIDATE_ADDED, address, name, department)


@CONTRACT.write(GOVERNOR)
def withdraw_candidate(ctx: Context, address: Address, reason: str) -> None:
    """Take a candidate back that has not joined yet."""
    check_text("reason", reason, MAX_REASON_LENGTH)
    _take_candidate(ctx, address)
    ctx.emit(CANDIDATE_WITHDRAWN, address, reason)


@CONTRACT.write_without_account("candidate, with its validator key")
def confirm_validator(ctx: Context, height: Uint64, block_id: Bytes32) -> None:
    """Join from the next height on: the sender, a candidate, names a recent block since it was added, so its node is synced."""
    candidate = _take_candidate(ctx, ctx.sender)
    if not is_active_department(ctx, candidate.department):
        raise Refused("DEPARTMENT_SUSPENDED", found=candidate.department)
    if height < candidate.added_height:
        raise Refused("BLOCK_TOO_OLD", limit=candidate.added_height, found=height)
    if load_block_id(ctx, height) != block_id:
        raise Refused("BLOCK_UNKNOWN", height=height, found=block_id)
    validators = _load_changeable_set(ctx)
    joined = ValidatorRecord(candidate.address, candidate.public_key, candidate.name, candidate.department)
    save_validators(ctx, (*validators, joined), ctx.height + 1)
    ctx.emit(VALIDATOR_JOINED, joined.address, joined.name, joined.department, ctx.height + 1)


@CONTRACT.write(GOVERNOR)
def remove_validator(ctx: Context, address: Address, reason: str) -> None:
    """Remove a validator: it votes no longer from the next height on; at least four remain where four founded the network."""
    check_text("reason", reason, MAX_REASON_LENGTH)
    validators = _load_changeable_set(ctx)
    removed = find_by_address(validators, address)
    if removed is None:
        raise Refused("VALIDATOR_UNKNOWN", found=address)
    least = least_validators(ctx)
    if len(validators) <= least:
        raise Refused("TOO_FEW_VALIDATORS", limit=least)
    save_validators(ctx, [kept for kept in validators if kept.address != address], ctx.height + 1)
    ctx.emit(VALIDATOR_REMOVED, address, removed.name, ctx.height + 1, reason)


@CONTRACT.view()
def department(ctx: Context, code: str) -> DepartmentRecord:
    """Return the record of a department."""
    return ctx.require(DEPARTMENTS, code.encode(), "DEPARTMENT_UNKNOWN", code)


@CONTRACT.view()
def account(ctx: Context, account: Address) -> AccountRecord:
    """Return the record of an account, removed ones included."""
    return ctx.require(ACCOUNTS, account, "UNKNOWN_ACCOUNT", account)


@CONTRACT.view()
def has_role(ctx: Context, account: Address, department: str, role: str) -> bool:
    """Return whether an account may act for a department in a role at present; an unknown account may not. Refuses an unknown role."""
    # A contract that was given a mistyped role would turn everybody away for ever.
    if role not in ROLES:
        raise Refused("ROLE_UNKNOWN", found=role)
    record = ACCOUNTS.load(ctx, account)
    if record is None or record.department != department or role not in record.roles:
        return False
    return not record.removed_ms and is_active_department(ctx, department)


@CONTRACT.view()
def department_of(ctx: Context, account: Address) -> str:
    """Return the code of the department that an account may act for at present, empty when there is none."""
    record = ACCOUNTS.load(ctx, account)
    if record is None or record.removed_ms or not is_active_department(ctx, record.department):
        return ""
    return record.department


@CONTRACT.view()
def encryption_key(ctx: Context, department: str) -> EncryptionKeyRecord:
    """Return the key that a department is sealed to with at present; ENCRYPTION_KEY_UNKNOWN where it has set none."""
    return _require_encryption_key(ctx, department, 0)


@CONTRACT.view()
def encryption_key_numbered(ctx: Context, department: str, number: Uint64) -> EncryptionKeyRecord:
    """Return an encryption key of a department, counted from 1, earlier ones included."""
    return _require_encryption_key(ctx, department, number)


@CONTRACT.view()
def validators(ctx: Context) -> tuple[ValidatorRecord, ...]:
    """Return the validators of the next height."""
    return load_validators(ctx)


@CONTRACT.view()
def candidates(ctx: Context) -> tuple[CandidateRecord, ...]:
    """Return the candidates: added, and not confirmed yet."""
    return load_candidates(ctx)


@CONTRACT.view()
def validators_at(ctx: Context, height: Uint64) -> tuple[ValidatorRecord, ...]:
    """Return the validators that decide a height up to the next one."""
    return load_validators_at(ctx, height)


@CONTRACT.view()
def offences(ctx: Context, address: Address) -> tuple[OffenceRecord, ...]:
    """Return the offences of a validator that stand on the chain, latest recorded first, at most 64."""
    return list_offences(ctx, address)


def may_send(state: Reader, address: bytes) -> bool:
    """Return whether a block may well carry a call of this 20-byte address: it has an active account, or is a candidate."""
    return is_active(state, address) or find_by_address(load_candidates(state), address) is not None


def verify_department(code: str, name: str, region: str, level: str, parent: str) -> None:
    """Return if the ledger would take a department stated like this, its superior's existence aside; refuse it otherwise."""
    verify_uscc(code)
    check_text("name", name, MAX_NAME_LENGTH)
    if _REGION_FORM.fullmatch(region) is None:
        raise Refused("REGION_MALFORMED", found=region)
    check_choice("level", level, LEVELS)
    if parent == code:
        raise Refused("DEPARTMENT_CYCLE", found=code)


def write_genesis(
    state: Writer, departments: Sequence[FoundingDepartment], validators: Sequence[FoundingValidator], time_ms: int
) -> None:
    """Write the founding departments, accounts and validators; refuse what a later call would be refused for."""
    parents = {department.code: department.parent for department in departments}
    if len(parents) < len(departments):
        check_list("departments", [department.code for department in departments], len(departments))
    addresses: set[bytes] = set()
    for department in departments:
        _check_ancestry(department.code, parents)
        record = _new_department(
            department.code, department.name, department.region, department.level, department.parent, time_ms
        )
        DEPARTMENTS.save(state, record.code.encode(), record)
        for founder in department.accounts:
            account = _new_account(record.code, founder.public_key, founder.name, founder.roles, time_ms)
            if account.address in addresses:
                raise Refused("ACCOUNT_EXISTS", found=account.address)
            addresses.add(account.address)
            ACCOUNTS.save(state, account.address, account)
    records: list[ValidatorRecord] = []
    for validator in validators:
        if validator.department not in parents:
            raise Refused("DEPARTMENT_UNKNOWN", found=validator.department)
        check_validator_name(validator.name)
        _check_key(validator.public_key)
        address = address_of_key(validator.public_key)
        if address in addresses:
            raise Refused("KEY_IN_USE", found=address)
        if any(validator.name == other.name or address == other.address for other in records):
            raise Refused("VALIDATOR_EXISTS", found=validator.name)
        records.append(ValidatorRecord(address, validator.public_key, validator.name, validator.department))
    save_validators(state, records, 1)


def _take_candidate(ctx: Context, address: bytes) -> CandidateRecord:
    """Return the candidate, which is none any more."""
    candidates = load_candidates(ctx)
    candidate = find_by_address(candidates, address)
    if candidate is None:
        raise Refused("CANDIDATE_UNKNOWN", found=address)
    save_candidates(ctx, [other for other in candidates if other is not candidate])
    return candidate


def _load_changeable_set(ctx: Context) -> tuple[ValidatorRecord, ...]:
    """Return the validators of the next height; refuse where this block has changed them before."""
    record = load_validator_set(ctx)
    if record.first_height > ctx.height:
        raise Refused("SET_CHANGED")
    return record.validators


def _new_department(code: str, name: str, region: str, level: str, parent: str, time_ms: int) -> DepartmentRecord:
    verify_department(code, name, region, level, parent)
    return DepartmentRecord(code, name, region, level, parent, 0, time_ms)


def _check_unused_by_validators(ctx: Context, address: bytes) -> None:
    """Refuse a key that votes or is to vote: what signs votes at all hours is no key for calls."""
    taken = find_by_address(load_validators(ctx), address) or find_by_address(load_candidates(ctx), address)
    if taken is not None:
        raise Refused("KEY_OF_VALIDATOR", found=taken.name)


def _check_signing_key(ctx: Context, public_key: bytes) -> None:
    """Refuse a key that is there to decrypt: a caller of the one use must not get the other out of it."""
    if is_encryption_key(ctx, public_key):
        raise Refused("ENCRYPTION_KEY_USED", found=address_of_key(public_key))


def _require_encryption_key(ctx: Context, department: str, number: int) -> EncryptionKeyRecord:
    record = load_encryption_key(ctx, department, number)
    if record is None:
        raise Refused("ENCRYPTION_KEY_UNKNOWN", found=department)
    return record


def _new_account(department: str, public_key: bytes, name: str, roles: Sequence[str], time_ms: int) -> AccountRecord:
    check_optional_text("name", name, MAX_NAME_LENGTH)
    _check_key(public_key)
    _check_roles(roles)
    return AccountRecord(address_of_key(public_key), department, name, public_key, tuple(roles), time_ms, 0)


def _check_ancestry(code: str, parents: dict[str, str]) -> None:
    """Refuse a founding department whose superiors are missing, go in a circle or run past MAX_DEPARTMENT_DEPTH."""
    above = code
    for _ in range(MAX_DEPARTMENT_DEPTH):
        above = parents[above]
        if not above:
            return
        if above not in parents:
            raise Refused("DEPARTMENT_UNKNOWN", found=above)
    raise Refused("DEPARTMENT_CYCLE", found=code)


def _check_key(public_key: bytes) -> None:
    if len(public_key) != PUBLIC_KEY_BYTES or not is_curve_point(public_key):
        raise Refused("KEY_INVALID")


def _check_roles(roles: Sequence[str]) -> None:
    """Refuse no roles, unknown ones, one twice, and roles of two groups in one account."""
    if not roles:
        raise Refused("LIST_EMPTY", field="roles")
    check_list("roles", roles, len(ROLES))
    for role in roles:
        if role not in ROLES:
            raise Refused("ROLE_UNKNOWN", found=role)
    if sum(not group.isdisjoint(roles) for group in ROLE_GROUPS) > 1:
        raise Refused("ROLES_CONFLICT", found=", ".join(roles))


def _check_given_roles(ctx: Context, roles: Sequence[str]) -> None:
    """Refuse a role of management or audit that an administrator would give."""
    if GOVERNOR in ctx.account.roles:
        return
    for role in roles:
        if role not in OPERATION_ROLES:
            raise Refused("ROLE_RESERVED", found=role)


def _check_reach(ctx: Context, department: str) -> None:
    """Refuse an administrator that reaches into another department."""
    if GOVERNOR not in ctx.account.roles and ctx.account.department != department:
        raise Refused("OTHER_DEPARTMENT", found=ctx.account.department, expected=department)


def _load_other(ctx: Context, address: bytes) -> AccountRecord:
    """Return an active account that the caller may change: not itself, so that a governor always remains."""
    record = ctx.require(ACCOUNTS, address, "UNKNOWN_ACCOUNT", address)
    if record.removed_ms:
        raise Refused("ACCOUNT_REMOVED", found=address)
    if address == ctx.sender:
        raise Refused("OWN_ACCOUNT")
    _check_reach(ctx, record.department)
    if GOVERNOR not in ctx.account.roles and record.roles and record.roles[0] not in OPERATION_ROLES:
        raise Refused("ROLE_RESERVED", found=record.roles[0])
    return record
