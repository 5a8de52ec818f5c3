"""The national algorithms for EVM contracts: SM3, SM2 verification, opening of SM4-GCM, and Merkle proofs of anchored batches."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from contracts.fields import Bytes32, Uint64
from contracts.frame import Context, SystemContract
from sm_crypto.errors import DecryptionFailed, InvalidKey, InvalidSignature
from sm_crypto.merkle import MerkleError, leaf_hash, verify_merkle_path
from sm_crypto.sm2 import verify
from sm_crypto.sm3 import sm3 as sm3_digest
from sm_crypto.sm4 import open_sealed

SM3_WORD_GAS: Final = 6
"""Each 32 bytes that are hashed, in a message or a leaf."""
SM2_VERIFY_GAS: Final = 36_000
SM4_OPEN_GAS: Final = 3_000
SM4_WORD_GAS: Final = 24
"""Each 32 bytes of sealed text and associated data."""
MERKLE_LEVEL_GAS: Final = 300
"""The leaf, and each sibling of the path."""

CONTRACT: Final = SystemContract("crypto")


class Opened(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What came of opening a sealed text: whether key, nonce, sealed text and associated data belong together, and the plaintext if so."""

    is_genuine: bool
    plaintext: bytes


@CONTRACT.view()
def sm3(ctx: Context, data: bytes) -> Bytes32:
    """Return the SM3 digest of `data` (GB/T 32905-2016)."""
    ctx.spend(SM3_WORD_GAS * _words(data))
    return sm3_digest(data)


@CONTRACT.view()
def sm2_verify(ctx: Context, public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Return whether `signature` (r || s) over `message` is by `public_key` (x || y), with the default user id (GB/T 32918.2-2016)."""
    ctx.spend(SM2_VERIFY_GAS + SM3_WORD_GAS * _words(message))
    try:
        verify(public_key, message, signature)
    except (InvalidSignature, InvalidKey):
        return False
    return True


@CONTRACT.view()
def sm4_gcm_open(
    ctx: Context,
    key: Annotated[bytes, "bytes16"],
    nonce: Annotated[bytes, "bytes12"],
    sealed_text: bytes,
    associated_data: bytes,
) -> Opened:
    """Return what `sealed_text` (ciphertext || 16-byte tag) holds under a key that has been revealed (GB/T 32907-2016, GCM)."""
    ctx.spend(SM4_OPEN_GAS + SM4_WORD_GAS * (_words(sealed_text) + _words(associated_data)))
    try:
        return Opened(True, open_sealed(key, nonce, sealed_text, associated_data))
    except DecryptionFailed:
        return Opened(False, b"")


@CONTRACT.view()
def merkle_verify(ctx: Context, root: Bytes32, leaf: bytes, index: Uint64, count: Uint64, path: list[Bytes32]) -> bool:
    """Return whether `leaf` is number `index` of the `count` under an anchored `root` (RFC 6962 section 2.1 with SM3)."""
    ctx.spend(SM3_WORD_GAS * _words(leaf) + MERKLE_LEVEL_GAS * (1 + len(path)))
    try:
        verify_merkle_path(leaf_hash(leaf), index, count, path, root)
    except MerkleError:
        return False
    return True


def _words(data: bytes) -> int:
    return (len(data) + 31) // 32
