"""Blocks: the header that a block id names, the body it commits to, and the receipts of its execution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

import msgspec

from consensus.messages import CommitCertificate
from contracts.call import Log
from node.chain.codec import decode, encode
from node.chain.transaction import Bytes20, Uint63, transaction_hash
from sm_crypto.merkle import leaf_hash, merkle_root
from sm_crypto.sm3 import TaggedHash

BLOCK_VERSION: Final = 1
MAX_BLOCK_BYTES: Final = 12_500_000

_BLOCK_ID_HASH = TaggedHash("govnode/block-header/1")

Bytes32 = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]


class Header(msgspec.Struct, array_like=True, frozen=True, gc=False, forbid_unknown_fields=True):
    """All that a block commits to; the parent of block 1 is the genesis hash. Neither round nor certificate is in it."""

    version: Annotated[int, msgspec.Meta(ge=BLOCK_VERSION, le=BLOCK_VERSION)]
    height: Annotated[int, msgspec.Meta(ge=1, le=2**62)]
    parent_id: Bytes32
    history_root: Bytes32
    """Append-only Merkle root over leaf_hash(block id) of all earlier blocks."""
    time_ms: Uint63
    proposer: Bytes20
    transactions_root: Bytes32
    receipts_root: Bytes32
    state_root: Bytes32
    validators_hash: Bytes32
    next_validators_hash: Bytes32
    parameters_hash: Bytes32
    evidence_root: Bytes32


class Body(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """The full bytes of the block's transactions and pieces of evidence, in order."""

    transactions: list[bytes]
    evidence: list[bytes]


class Receipt(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What became of one transaction: `refusal` is None on success, else the refusal's name."""

    refusal: str | None
    gas_used: int
    output: bytes
    logs: tuple[Log, ...]
    sender_nonce: Uint63
    """How many transactions of the sender the chain held before this one: the nonce of Ethereum's interfaces."""


class SealedBlock(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """A final block as peers serve it: header, body, and the certificate that made it final."""

    header: Header
    body: Body
    certificate: CommitCertificate


def block_id(header: Header) -> bytes:
    """Return the 32-byte id of the block with this header."""
    return _BLOCK_ID_HASH(encode(header))


def decode_header(raw: bytes) -> Header:
    """Return the header that `raw` canonically encodes; raise CodecError otherwise."""
    return decode(raw, Header)


def transactions_root(transactions: Sequence[bytes]) -> bytes:
    """Return the Merkle root over the full bytes of the transactions."""
    return merkle_root([leaf_hash(transaction_hash(raw)) for raw in transactions])


def evidence_root(evidence: Sequence[bytes]) -> bytes:
    """Return the Merkle root over the encoded pieces of evidence."""
    return merkle_root([leaf_hash(piece) for piece in evidence])


def receipts_root(receipts: Sequence[Receipt]) -> bytes:
    """Return the Merkle root over the encoded receipts, one a transaction."""
    return merkle_root([leaf_hash(encode(receipt)) for receipt in receipts])
