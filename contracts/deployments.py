"""Deployments: the EVM contracts on the chain, who deployed each, and which of them a governor has frozen."""

from __future__ import annotations

from typing import Final

import msgspec

from contracts.accounts import GOVERNOR
from contracts.call import Log
from contracts.fields import Address, Bytes32, TimeMs, Uint64, check_text
from contracts.frame import Context, SystemContract
from contracts.records import Reader, Table, Writer
from contracts.refusals import Refused

MAX_REASON_LENGTH: Final = 200


class DeploymentRecord(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """An EVM contract; `deployer` is the account whose transaction created it, itself or through another contract."""

    address: Address
    deployer: Address
    department: str
    code_hash: Bytes32
    """Keccak-256 of the code, as EXTCODEHASH gives it."""
    height: Uint64
    deployed_ms: TimeMs
    frozen_ms: TimeMs
    """Block time since which the contract is frozen, 0 when it is not."""
    reason: str
    """Why it is frozen; empty when it is not."""


DEPLOYMENTS: Final = Table("deployments", 1, DeploymentRecord)
CONTRACT: Final = SystemContract("deployments")
CONTRACT_DEPLOYED: Final = CONTRACT.event(
    "ContractDeployed",
    ["contract", "deployer"],
    contract="address",
    deployer="address",
    department="string",
    code_hash="bytes32",
)
CONTRACT_FROZEN: Final = CONTRACT.event("ContractFrozen", ["contract"], contract="address", reason="string")
CONTRACT_UNFROZEN: Final = CONTRACT.event("ContractUnfrozen", ["contract"], contract="address", reason="string")


@CONTRACT.write(GOVERNOR)
def freeze(ctx: Context, contract: Address, reason: str) -> None:
    """Freeze an EVM contract: from this transaction on no call of it succeeds."""
    check_text("reason", reason, MAX_REASON_LENGTH)
    record = ctx.require(DEPLOYMENTS, contract, "DEPLOYMENT_UNKNOWN", contract)
    if record.frozen_ms:
        raise Refused("FROZEN_ALREADY", found=contract)
    DEPLOYMENTS.save(ctx, contract, msgspec.structs.replace(record, frozen_ms=ctx.time_ms, reason=reason))
    ctx.emit(CONTRACT_FROZEN, contract, reason)


@CONTRACT.write(GOVERNOR)
def unfreeze(ctx: Context, contract: Address, reason: str) -> None:
    """Let a frozen EVM contract run again."""
    check_text("reason", reason, MAX_REASON_LENGTH)
    record = ctx.require(DEPLOYMENTS, contract, "DEPLOYMENT_UNKNOWN", contract)
    if not record.frozen_ms:
        raise Refused("NOT_FROZEN", found=contract)
    DEPLOYMENTS.save(ctx, contract, msgspec.structs.replace(record, frozen_ms=0, reason=""))
    ctx.emit(CONTRACT_UNFROZEN, contract, reason)


@CONTRACT.view()
def deployment(ctx: Context, contract: Address) -> DeploymentRecord:
    """Return who deployed an EVM contract, when, and whether it is frozen."""
    return ctx.require(DEPLOYMENTS, contract, "DEPLOYMENT_UNKNOWN", contract)


def record_deployment(state: Writer, record: DeploymentRecord) -> Log:
    """Write the record of a contract that a transaction has created, and return the log that tells of it."""
    DEPLOYMENTS.save(state, record.address, record)
    return CONTRACT_DEPLOYED.log((record.address, record.deployer, record.department, record.code_hash))


def load_deployment(state: Reader, contract: bytes) -> DeploymentRecord | None:
    """Return the record of an EVM contract, or None when there is none at the address."""
    return DEPLOYMENTS.load(state, contract)
