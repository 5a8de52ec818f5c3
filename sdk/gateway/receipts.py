"""Receipts: the recorder's signature over reads that it has recorded, which goes out with the answer.

One signature is over the Merkle root of all reads that were recorded at the same time; a receipt has the way from its read to that root.
Whose data was read is in it as a digest only: a consumer that got the commitment back could have one made to any number.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Sequence
from typing import Annotated, Final

import msgspec

from sm_crypto import sm2
from sm_crypto.merkle import MAX_PATH_LENGTH, MerkleError, leaf_hash, merkle_path_root, merkle_root, node_hash
from sm_crypto.sm3 import TaggedHash
from verification.access.reads import (
    AccountAddress,
    CasePart,
    Department,
    Details,
    Digest,
    Moment,
    Read,
    ReadNumber,
    ReadPlace,
    SharingPart,
    part_digest,
    placed_digest,
)
from verification.errors import InputError

MAX_HEADER_BYTES: Final = 3 * 1024
"""Of a receipt that goes out with its answer: proxies in between take headers of 4 KiB in all as they come. Longer ones are asked for."""
MAX_RECEIPT_BYTES: Final = 192 * 1024
"""Of a receipt as text: a read of MAX_READ_BYTES in base64, its way to what was signed, and the signature."""
MAX_SIGNED_TOGETHER: Final = 4_096

_RECEIPT_HASH = TaggedHash("govnode/read-receipt/1")


class StatedRead(msgspec.Struct, array_like=True, frozen=True, gc=False, forbid_unknown_fields=True):
    """A read as the other party is shown it: all that its recorder states, whose data it was as the digest of that part."""

    department: Department
    recorder: AccountAddress
    number: ReadNumber
    previous_digest: Digest
    read_ms: Moment
    side: str
    outcome: int
    subject: Digest
    sharing: SharingPart
    case: CasePart
    details: Details


class Receipt(msgspec.Struct, array_like=True, frozen=True, gc=False, forbid_unknown_fields=True):
    """A read as its recorder states it, its place among `count` that were signed together, and the signature r || s."""

    read: StatedRead
    position: Annotated[int, msgspec.Meta(ge=0, lt=MAX_SIGNED_TOGETHER)]
    count: Annotated[int, msgspec.Meta(ge=1, le=MAX_SIGNED_TOGETHER)]
    path: Annotated[tuple[Digest, ...], msgspec.Meta(max_length=MAX_PATH_LENGTH)]
    signature: Annotated[bytes, msgspec.Meta(min_length=64, max_length=64)]


_DECODER = msgspec.msgpack.Decoder(Receipt)


def state_read(read: Read) -> StatedRead:
    """Return what the other party is shown of a read."""
    return StatedRead(
        read.department,
        read.recorder,
        read.number,
        read.previous_digest,
        read.read_ms,
        read.side,
        read.outcome,
        part_digest(read.subject),
        read.sharing,
        read.case,
        read.details,
    )


def stated_digest(read: StatedRead) -> bytes:
    """Return the 32-byte digest of the whole read."""
    place = ReadPlace(
        read.department, read.recorder, read.number, read.previous_digest, read.read_ms, read.side, read.outcome
    )
    parts = (read.subject, part_digest(read.sharing), part_digest(read.case), part_digest(read.details))
    return placed_digest(place, parts)


def receipt_digest(root: bytes) -> bytes:
    """Return the 32 bytes that a recorder signs for the Merkle root over the digests of reads."""
    return _RECEIPT_HASH(root)


def receipts_root(digests: Sequence[bytes]) -> bytes:
    """Return the Merkle root over the digests of reads that are signed together."""
    return merkle_root([leaf_hash(digest) for digest in digests])


def make_receipts(reads: Sequence[Read], digests: Sequence[bytes], signature: bytes) -> list[Receipt]:
    """Return the receipt of each of these reads, by their digests, under the one signature over all."""
    levels = [[leaf_hash(digest) for digest in digests]]
    while len(levels[-1]) > 1:
        below = levels[-1]
        pairs = [node_hash(below[place], below[place + 1]) for place in range(0, len(below) - 1, 2)]
        levels.append([*pairs, *below[len(below) - len(below) % 2 :]])
    return [
        Receipt(state_read(read), position, len(digests), tuple(_path(levels, position)), signature)
        for position, read in enumerate(reads)
    ]


def _path(levels: Sequence[Sequence[bytes]], position: int) -> Iterator[bytes]:
    """Yield the siblings from a leaf up; a lone node at the end of a level has none."""
    for level in levels[:-1]:
        if position ^ 1 < len(level):
            yield level[position ^ 1]
        position >>= 1


def encode_receipt(receipt: Receipt) -> str:
    """Return a receipt as the header `Gov-Receipt` has it."""
    return base64.urlsafe_b64encode(msgspec.msgpack.encode(receipt)).rstrip(b"=").decode("ascii")


def decode_receipt(text: str) -> Receipt:
    """Return the receipt that a header has; raise InputError RECEIPT_INVALID."""
    if len(text) > MAX_RECEIPT_BYTES:
        raise receipt_invalid(f"至多 {MAX_RECEIPT_BYTES} 字符", f"it has more than {MAX_RECEIPT_BYTES} characters")
    try:
        raw = base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
        return _DECODER.decode(raw)
    except (binascii.Error, ValueError, msgspec.DecodeError) as error:
        raise receipt_invalid(str(error), str(error)) from None


def verify_receipt(receipt: Receipt, recorder_key: bytes) -> StatedRead:
    """Return the read that a recorder's 64-byte key has signed for; raise InputError RECEIPT_INVALID."""
    try:
        leaf = leaf_hash(stated_digest(receipt.read))
        root = merkle_path_root(leaf, receipt.position, receipt.count, receipt.path)
        sm2.verify(recorder_key, receipt_digest(root), receipt.signature)
    except (MerkleError, sm2.InvalidKey, sm2.InvalidSignature) as error:
        raise receipt_invalid(
            "签名不是记录账户对这次读取的签名", f"the signature is not the recorder's over this read: {error}"
        ) from None
    return receipt.read


def receipt_invalid(zh: str, en: str) -> InputError:
    """Return the error of a receipt that does not stand for what was read."""
    return InputError("RECEIPT_INVALID", f"回执无效：{zh}", f"the receipt is not good: {en}")
