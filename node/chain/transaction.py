"""Transactions: a call that a department's account signed, good once within a window of block time."""

from __future__ import annotations

from typing import Annotated

import msgspec

from node.chain.codec import CodecError, decode, encode
from sm_crypto.sm3 import TaggedHash, sm3

TRANSACTION_VERSION = 1
MAX_TRANSACTION_BYTES = 128 * 1024
MAX_CALL_DATA_BYTES = 96 * 1024

_ID_HASH = TaggedHash("govnode/transaction-id/1")
_LEAF_HASH = TaggedHash("govnode/transaction-bytes/1")

Bytes16 = Annotated[bytes, msgspec.Meta(min_length=16, max_length=16)]
Bytes20 = Annotated[bytes, msgspec.Meta(min_length=20, max_length=20)]
Bytes64 = Annotated[bytes, msgspec.Meta(min_length=64, max_length=64)]
CallData = Annotated[bytes, msgspec.Meta(max_length=MAX_CALL_DATA_BYTES)]
Uint63 = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class TransactionBody(msgspec.Struct, array_like=True, frozen=True, gc=False, forbid_unknown_fields=True):
    """What the sender signs: `nonce` is 16 random bytes, `valid_until_ms` block time, `to` None to deploy a contract."""

    version: Annotated[int, msgspec.Meta(ge=TRANSACTION_VERSION, le=TRANSACTION_VERSION)]
    chain_id: Uint63
    nonce: Bytes16
    valid_until_ms: Uint63
    sender_key: Bytes64
    to: Bytes20 | None
    gas_limit: Uint63
    data: CallData


class Transaction(msgspec.Struct, array_like=True, frozen=True, gc=False, forbid_unknown_fields=True):
    """A signed body; the signature is r || s (64 bytes) by SM2 over the 32-byte id (GB/T 32918.2)."""

    body: TransactionBody
    signature: Bytes64


def transaction_id(body: TransactionBody) -> bytes:
    """Return the 32-byte id: the tagged SM3 of the encoded body, without the signature."""
    return _ID_HASH(encode(body))


def transaction_hash(raw: bytes) -> bytes:
    """Return the 32-byte tagged SM3 of the full bytes; it names body and signature, where the id names the body only."""
    return _LEAF_HASH(raw)


def decode_transaction(raw: bytes) -> Transaction:
    """Return the transaction that `raw` canonically encodes; raise CodecError when it is too long or anything else."""
    if len(raw) > MAX_TRANSACTION_BYTES:
        raise CodecError(f"expected a transaction of at most {MAX_TRANSACTION_BYTES} bytes, found {len(raw)}")
    return decode(raw, Transaction)


def address_of(public_key: bytes) -> bytes:
    """Return the 20-byte address of an account: the last 20 bytes of SM3 of its 64-byte public key x || y."""
    return sm3(public_key)[-20:]


class VerifiedTransaction(msgspec.Struct, frozen=True, gc=False):
    """A transaction whose encoding and signature this node has checked: pool, proposals and execution take only these."""

    raw: bytes
    hash: bytes
    """transaction_hash(raw), 32 bytes: names body and signature."""
    id: bytes
    """transaction_id(body), 32 bytes."""
    sender: bytes
    """20-byte address of the sender's key."""
    body: TransactionBody
