"""The trust file: what a verifier must know of a network beforehand, small enough to print as a code."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Final, Literal

import msgspec

from node.chain.proof import TrustAnchor
from node.http.proof_file import unambiguous_object

if TYPE_CHECKING:
    from node.chain.genesis import Genesis

MAX_TRUST_BYTES: Final = 16_384
FORMAT: Final = "govnode-trust/1"

Hex32 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]


class TrustFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A network by its genesis, and the hash of the validator set that signs `height` + 1 (height 0: the founding set)."""

    format: Literal["govnode-trust/1"]
    network_name: Annotated[str, msgspec.Meta(max_length=200)]
    chain_id: Annotated[int, msgspec.Meta(ge=1, le=2**53 - 1)]
    genesis_hash: Hex32
    height: Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]
    next_validators_hash: Hex32

    @property
    def anchor(self) -> TrustAnchor:
        """What proofs are verified from."""
        return TrustAnchor(bytes.fromhex(self.genesis_hash), self.height, bytes.fromhex(self.next_validators_hash))


def trust_of_genesis(genesis: Genesis) -> TrustFile:
    """Return the trust file of a network from its genesis."""
    return TrustFile(
        FORMAT, genesis.network_name, genesis.chain_id, genesis.hash.hex(), 0, genesis.validator_set().hash.hex()
    )


def decode_trust(raw: bytes) -> TrustFile:
    """Return the trust file in `raw`; raise ValueError that says what is wrong in it."""
    if len(raw) > MAX_TRUST_BYTES:
        raise ValueError(f"more than {MAX_TRUST_BYTES} bytes")
    try:
        trust = msgspec.json.decode(raw, type=TrustFile)
        json.loads(raw, object_pairs_hook=unambiguous_object)
    except RecursionError as error:
        raise ValueError(str(error)) from None
    return trust
