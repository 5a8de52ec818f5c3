"""Status lists: which certificates of a batch, or of a type and issuer, were not in force after a block, as bits that can be made again.

docs/spec/status-list.md. A list holds nothing that a certificate's validity says by itself, so that it does not change with time alone.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import zlib
from collections.abc import Iterable, Sequence
from typing import Annotated, Final, Literal, TypeAlias

import msgspec

from contracts.batches import MAX_BATCH_COUNT, POSITIONS, BatchRecord, batch_name, position_prefix
from contracts.certificate_records import CERTIFICATES, CertificateRecord, load_certificate, load_status
from contracts.identifiers import ROOT_OID
from contracts.records import Reader
from node.chain.proof import MAX_PROOF_BYTES
from node.http.proof_file import unambiguous_object
from sm_crypto.sm3 import TaggedHash, sm3
from verification.certificate_files.seals import Chain, Hex32, Signature, TimeMs
from verification.errors import InputError

FORMAT: Final = "govnode-status-list/1"
MIN_ENTRIES: Final = 131_072
"""Of every list: a small one would tell by its length how few certificates there are."""
MAX_ENTRIES: Final = 1 << 27
ENTRIES_PER_CHANGE: Final = 64
"""Of a list by hash, up to MAX_ENTRIES: at most one in so many certificates in force falls on an entry that is set."""
BATCH_ENTRY_BITS: Final = 2
HASH_ENTRY_BITS: Final = 1
MAX_SIGNATURES: Final = 8
MAX_ANCHORS: Final = 4
MAX_STATUS_LIST_FILE_BYTES: Final = 32 * 1024 * 1024

Entry: TypeAlias = Literal["CLEAR", "SUSPENDED", "ENDED", "ASK_ONLINE"]

_SUSPENDED: Final = 1
_ENDED: Final = 2
_VALUES: Final = {"SUSPENDED": _SUSPENDED, "ENDED": _ENDED, "SUPERSEDED": _ENDED}
"""What a certificate's status at a time puts into a list; whatever else status_at finds is nothing that a list is about."""
_ENTRIES: Final[dict[int, Entry]] = {0: "CLEAR", _SUSPENDED: "SUSPENDED", _ENDED: "ENDED"}

_SCOPE_FORM: Final = re.compile(r"([0-9A-Z]{21})\.([0-9A-Z]{6,18})(?:\.([0-9A-Z]{1,64}))?")
_LIST_DIGEST: Final = TaggedHash("govnode/status-list/1")
_ENTRY_PLACE: Final = TaggedHash("govnode/status-list-entry/1")
_ENCODER: Final = msgspec.msgpack.Encoder()

ProofHex = Annotated[str, msgspec.Meta(pattern=r"^([0-9a-f]{2})+$(?!\n)", max_length=2 * MAX_PROOF_BYTES)]


class Scope(msgspec.Struct, frozen=True):
    """What a list is about: certificates of a type and issuer by the hash of their identifiers, or with `first` a batch's by position."""

    type_code: str
    issuer: str
    first: str = ""

    @property
    def name(self) -> str:
        """Type and issuer with a dot between, or the name of the batch."""
        return batch_name(self.type_code, self.issuer, self.first) if self.first else f"{self.type_code}.{self.issuer}"

    @property
    def is_batch(self) -> bool:
        """Whether entries are the positions of a batch."""
        return bool(self.first)

    @property
    def entry_bits(self) -> int:
        """How many bits an entry has."""
        return BATCH_ENTRY_BITS if self.first else HASH_ENTRY_BITS


class ListBlock(msgspec.Struct, frozen=True):
    """The final block after which a list speaks: height, 32-byte id, time in ms."""

    height: int
    block_id: bytes
    time_ms: int


class StatusList(msgspec.Struct, frozen=True):
    """What a list says. `bits` has the entries in order, the first in the highest bits of the first byte.

    `batch_count` is the number of certificates of the batch and `batch_root` its root on the ledger, 0 and empty for a list by hash;
    `changed_count` is how many certificates were not in force.
    """

    genesis_hash: bytes
    scope: Scope
    block: ListBlock
    batch_count: int
    batch_root: bytes
    changed_count: int
    bits: bytes

    @property
    def entry_count(self) -> int:
        """How many entries there are."""
        return len(self.bits) * 8 // self.scope.entry_bits

    @property
    def digest(self) -> bytes:
        """The 32 bytes that are signed and anchored: of the content alone, whatever compressed it."""
        block = self.block
        place = (block.height, block.block_id, block.time_ms)
        counts = (self.batch_count, self.batch_root, self.changed_count, self.entry_count)
        return _LIST_DIGEST(_ENCODER.encode((self.genesis_hash, self.scope.name, *place, *counts, sm3(self.bits))))


class ListSignature(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A department's word that the list is what the ledger held: the SM2 signature of a person of it, with the X.509 chain in DER."""

    department: Annotated[str, msgspec.Meta(min_length=1, max_length=18)]
    signed_ms: TimeMs
    signature: Signature
    chain: Chain


class StatusListFile(msgspec.Struct, frozen=True):
    """A list, and what vouches for it: signatures, and proofs (node.chain.proof, encoded) that its digest is anchored."""

    content: StatusList
    signatures: tuple[ListSignature, ...] = ()
    anchors: tuple[bytes, ...] = ()


class _Json(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A list as its file has it."""

    format: Literal["govnode-status-list/1"]
    genesis_hash: Hex32
    scope: Annotated[str, msgspec.Meta(max_length=128)]
    height: Annotated[int, msgspec.Meta(ge=1, le=2**53 - 1)]
    block_id: Hex32
    time_ms: TimeMs
    batch_count: Annotated[int, msgspec.Meta(ge=0, le=MAX_BATCH_COUNT)]
    batch_root: Hex32 | None
    changed_count: Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]
    entries: Annotated[int, msgspec.Meta(ge=MIN_ENTRIES, le=MAX_ENTRIES)]
    bits: str
    signatures: Annotated[tuple[ListSignature, ...], msgspec.Meta(max_length=MAX_SIGNATURES)]
    anchors: Annotated[tuple[ProofHex, ...], msgspec.Meta(max_length=MAX_ANCHORS)]


def parse_scope(text: str) -> Scope:
    """Return the scope of this name; raise InputError STATUS_LIST_SCOPE_MALFORMED."""
    match = _SCOPE_FORM.fullmatch(text) if len(text) <= 128 else None
    if match is None:
        raise InputError(
            "STATUS_LIST_SCOPE_MALFORMED",
            f"范围应为“类型代码.颁发机构代码”或批次名称，实为 {text[:128]!r}",
            f"expected type code and issuer code with a dot between, or the name of a batch, found {text[:128]!r}",
        )
    return Scope(match[1], match[2], match[3] or "")


def scope_prefix(scope: Scope) -> bytes:
    """Return what the keys in state begin with that a list is made from: certificates' records, or a batch's admitted positions."""
    if scope.is_batch:
        return position_prefix(scope.name)
    return CERTIFICATES.prefix + f"{ROOT_OID}{scope.name}.".encode()


def changed_identifiers(state: Reader, entries: Iterable[tuple[bytes, bytes]], time_ms: int) -> list[str]:
    """Return the identifiers of those certificates in state entries, as scope_prefix names them, that were not in force at a time in ms.

    The time may be past: it is answered from the intervals in the records, so that a list can be made again from any later state.
    """
    records = (CERTIFICATES.decode(raw) for _, raw in entries)
    return [record.identifier for record in records if _status_value(state, record, time_ms)]


def changed_positions(state: Reader, entries: Iterable[tuple[bytes, bytes]], time_ms: int) -> list[int]:
    """Return the certificates of a batch that were not in force at a time in ms: four times the position, and the entry's value."""
    found = []
    for key, raw in entries:
        record = load_certificate(state, POSITIONS.decode(raw).identifier)
        assert record is not None, "an admitted position names a certificate that has a record"
        value = _status_value(state, record, time_ms)
        if value:
            found.append(int.from_bytes(key[-8:]) << BATCH_ENTRY_BITS | value)
    return found


def entry_places(block: ListBlock, identifiers: Sequence[str]) -> list[int]:
    """Return where each certificate, named with its root, falls in the list by hash after a block: to be taken modulo its length."""
    prefix = _place_prefix(block)
    digests = _ENTRY_PLACE.many([prefix + _ENCODER.encode(identifier) for identifier in identifiers])
    return [int.from_bytes(digest[:8]) for digest in digests]


def make_hash_list(genesis_hash: bytes, scope: Scope, block: ListBlock, places: Sequence[int]) -> StatusList:
    """Return the list of a type and issuer; `places` are the entry_places of all its certificates that were not in force then."""
    count = entry_count(scope, 0, len(places))
    bits = bytearray(count // 8)
    for place in places:
        entry = place % count
        bits[entry // 8] |= 0x80 >> entry % 8
    return StatusList(genesis_hash, scope, block, 0, b"", len(places), bytes(bits))


def make_batch_list(genesis_hash: bytes, batch: BatchRecord, block: ListBlock, changed: Sequence[int]) -> StatusList:
    """Return the list of a batch; `changed` is what changed_positions finds."""
    scope = Scope(batch.type_code, batch.issuer, batch.first)
    bits = bytearray(entry_count(scope, batch.count, 0) // 4)
    for packed in changed:
        position, value = packed >> BATCH_ENTRY_BITS, packed & 3
        bits[position // 4] |= value << 6 - position % 4 * 2
    return StatusList(genesis_hash, scope, block, batch.count, batch.root, len(changed), bytes(bits))


def entry_count(scope: Scope, batch_count: int, changed_count: int) -> int:
    """Return how many entries a list has: a multiple of 8 for a batch, a power of two by hash."""
    if scope.is_batch:
        return max(MIN_ENTRIES, (batch_count + 7) // 8 * 8)
    wanted = changed_count * ENTRIES_PER_CHANGE
    return min(MAX_ENTRIES, max(MIN_ENTRIES, 1 << max(wanted - 1, 0).bit_length()))


def look_up(content: StatusList, identifier: str, position: int | None = None) -> Entry:
    """Return what a list says of a certificate that its scope covers: by its identifier, root included, or its position in the batch.

    CLEAR says that it was not suspended and not ended. By hash a set entry may be another certificate's: ASK_ONLINE.
    """
    if content.scope.is_batch:
        assert position is not None, "a batch's list is asked by position"
        return _ENTRIES[content.bits[position // 4] >> 6 - position % 4 * 2 & 3]
    entry = entry_places(content.block, [identifier])[0] % content.entry_count
    return "ASK_ONLINE" if content.bits[entry // 8] & 0x80 >> entry % 8 else "CLEAR"


def encode_status_list(file: StatusListFile) -> bytes:
    """Return a list as indented JSON in UTF-8."""
    content = file.content
    block = content.block
    shown = _Json(
        FORMAT,
        content.genesis_hash.hex(),
        content.scope.name,
        block.height,
        block.block_id.hex(),
        block.time_ms,
        content.batch_count,
        content.batch_root.hex() or None,
        content.changed_count,
        content.entry_count,
        base64.b64encode(zlib.compress(content.bits)).decode("ascii"),
        file.signatures,
        tuple(proof.hex() for proof in file.anchors),
    )
    return msgspec.json.format(msgspec.json.encode(shown), indent=1) + b"\n"


def decode_status_list(raw: bytes) -> StatusListFile:
    """Return the list in a file; raise InputError STATUS_LIST_MALFORMED on anything else. What vouches for it is not judged."""
    if len(raw) > MAX_STATUS_LIST_FILE_BYTES:
        raise _malformed(
            f"应不超过 {MAX_STATUS_LIST_FILE_BYTES} 字节，实为 {len(raw)}",
            f"expected at most {MAX_STATUS_LIST_FILE_BYTES} bytes, found {len(raw)}",
        )
    try:
        # Two decoders: this one takes nothing but the struct, which bounds the depth; the other sees names that stand twice.
        shown = msgspec.json.decode(raw, type=_Json)
        json.loads(raw, object_pairs_hook=unambiguous_object)
        scope = parse_scope(shown.scope)
    except InputError as error:
        raise _malformed(error.zh, error.en) from None
    except (ValueError, RecursionError) as error:
        raise _malformed(str(error), str(error)) from None
    if not scope.is_batch == bool(shown.batch_count) == (shown.batch_root is not None):
        raise _malformed("批次的数目或根与范围不符", "the count or root of a batch does not go with the scope")
    entries = entry_count(scope, shown.batch_count, shown.changed_count)
    if shown.entries != entries:
        raise _malformed(
            f"应有 {entries} 项，实为 {shown.entries}", f"expected {entries} entries, found {shown.entries}"
        )
    block = ListBlock(shown.height, bytes.fromhex(shown.block_id), shown.time_ms)
    bits = _unpack(shown.bits, entries * scope.entry_bits // 8)
    counts = (shown.batch_count, bytes.fromhex(shown.batch_root or ""), shown.changed_count)
    content = StatusList(bytes.fromhex(shown.genesis_hash), scope, block, *counts, bits)
    _check_bits(content)
    return StatusListFile(content, shown.signatures, tuple(map(bytes.fromhex, shown.anchors)))


def _status_value(state: Reader, record: CertificateRecord, time_ms: int) -> int:
    return _VALUES.get(load_status(state, record, time_ms).verdict, 0)


def _place_prefix(block: ListBlock) -> bytes:
    # The block's id makes a certificate share its entry with others in every list anew: whoever must ask today need not tomorrow.
    return b"\x92" + _ENCODER.encode(block.block_id)


def _unpack(text: str, size: int) -> bytes:
    """Return the `size` bytes that base64 of a zlib stream holds; no more are ever unpacked."""
    try:
        packed = base64.b64decode(text, validate=True)
        stream = zlib.decompressobj()
        bits = stream.decompress(packed, size + 1)
    except (binascii.Error, ValueError, zlib.error) as error:
        raise _malformed(f"bits 无法解压：{error}", f"bits cannot be unpacked: {error}") from None
    if len(bits) != size or not stream.eof or stream.unused_data:
        raise _malformed(f"bits 应恰为 {size} 字节", f"expected bits of exactly {size} bytes")
    return bits


def _check_bits(content: StatusList) -> None:
    """Return if the entries that are set are as many as the list says, and none is past the batch; raise InputError otherwise."""
    number = int.from_bytes(content.bits)
    count = content.changed_count
    if not content.scope.is_batch:
        is_right = number.bit_count() <= count and (number > 0) == (count > 0)
    else:
        low = int.from_bytes(b"\x55" * len(content.bits))
        spare = (content.entry_count - content.batch_count) * BATCH_ENTRY_BITS
        is_right = (
            not number & number >> 1 & low
            and ((number | number >> 1) & low).bit_count() == count
            and not number & (1 << spare) - 1
        )
    if not is_right:
        raise _malformed(
            f"置位的项与 {count} 份变更不符", f"the entries set do not go with {count} changed certificates"
        )


def _malformed(zh: str, en: str) -> InputError:
    return InputError("STATUS_LIST_MALFORMED", f"状态清单格式不符：{zh}", f"malformed status list: {en}")
