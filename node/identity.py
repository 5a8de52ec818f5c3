"""Who a node is: peers know it by name and department, so its certificate and the ledger must say the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from contracts.records import Reader
from contracts.validator_sets import find_by_address, load_candidates, load_validators
from sm_crypto.x509 import Certificate


class NodeIdentity(NamedTuple):
    """A node's name, and the code of the department that runs it."""

    name: str
    department: str


def certified_identity(chain: Sequence[Certificate]) -> NodeIdentity:
    """Return who a node is by its certificate and that of the department that issued it."""
    return NodeIdentity(chain[0].common_name, chain[1].organization_identifier if len(chain) > 1 else "")


def voting_identity(state: Reader, address: bytes) -> NodeIdentity | None:
    """Return who the ledger takes the validator with this key's 20-byte address for; None where it is none."""
    record = find_by_address(load_validators(state), address)
    return None if record is None else NodeIdentity(record.name, record.department)


def nominated_identity(state: Reader, address: bytes) -> NodeIdentity | None:
    """Return who the ledger takes the candidate with this key's 20-byte address for; None where it is none."""
    record = find_by_address(load_candidates(state), address)
    return None if record is None else NodeIdentity(record.name, record.department)


def describe_difference(certified: NodeIdentity, registered: NodeIdentity) -> tuple[str, str]:
    """Return in Chinese and English that the ledger knows this node's key as another node's."""
    return (
        f"账本把本节点的共识密钥登记为部门 {registered.department} 的 {registered.name}，节点证书却是部门 {certified.department} 的 "
        f"{certified.name}，其他节点会认错",
        f"the ledger knows this node's validator key as {registered.name} of {registered.department}, its certificate says "
        f"{certified.name} of {certified.department}, and peers would mistake it",
    )
