"""Genesis: the parameters, validators, departments and governors a network starts from; its hash names the chain."""

from __future__ import annotations

from typing import Annotated

import msgspec

from consensus.validators import Validator, ValidatorSet
from contracts.parameters import ChainParameters
from node.chain.codec import encode
from node.chain.transaction import Bytes64, address_of
from sm_crypto.sm3 import TaggedHash

MAX_GENESIS_BYTES = 4_000_000

_GENESIS_HASH = TaggedHash("govnode/genesis/1")


class GenesisAccount(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """An account of a department at genesis, with the names of its roles."""

    public_key: Bytes64
    roles: tuple[str, ...]
    name: str


class GenesisDepartment(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """A founding department; `code` is its unified social credit code, `parent` the parent's code or empty."""

    code: str
    name: str
    region: str
    level: str
    parent: str
    accounts: tuple[GenesisAccount, ...]


class GenesisValidator(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """A founding validator: its voting key and the department that runs it."""

    name: str
    department: str
    public_key: Bytes64


class Genesis(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """Everything that a network agrees on before block 1; `root_certificate` is the DER of the network's SM2 root."""

    chain_id: Annotated[int, msgspec.Meta(ge=1, le=2**53 - 1)]
    network_name: str
    time_ms: Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]
    parameters: ChainParameters
    validators: tuple[GenesisValidator, ...]
    departments: tuple[GenesisDepartment, ...]
    root_certificate: bytes

    @property
    def hash(self) -> bytes:
        """The 32-byte digest that names the chain: parent of block 1, and part of every consensus signature."""
        return _GENESIS_HASH(encode(self))

    def validator_set(self) -> ValidatorSet:
        """Return the validators of height 1."""
        return ValidatorSet([Validator(address_of(v.public_key), v.public_key) for v in self.validators])
