"""The reads of one batch as they lie in a second place: packed, sealed to the auditing authority, and checked against the ledger's batch.

docs/spec/access-records.md describes the form. Who keeps them for a recorder can read nothing of them.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Final

import msgspec

from contracts.data_sharing.access import DENIED, IRREGULAR, SERVED, BatchRecord
from sm_crypto.errors import DecryptionFailed
from sm_crypto.sealing import open_with
from sm_crypto.sm2 import PrivateKey
from sm_crypto.sm3 import TaggedHash
from verification.access.reads import Read, batch_root, decode_read, read_digest
from verification.errors import InputError

MAX_SEALED_BODIES_BYTES: Final = 32 * 1024 * 1024
"""Of a sealed batch: some 100,000 reads."""
MAX_BODIES_BYTES: Final = 256 * 1024 * 1024
"""Of a batch that is unpacked."""
_COMPRESSION: Final = 6
_CONTEXT: Final = TaggedHash("govnode/sealed-batch/1")


def bodies_context(department: str, recorder: bytes, batch_number: int) -> bytes:
    """Return what a sealed batch is bound to: one that is put in the place of another does not open."""
    return _CONTEXT(msgspec.msgpack.encode((department, recorder, batch_number)))


def pack_bodies(encoded: Sequence[bytes]) -> bytes:
    """Return encoded reads in the order of their numbers as what is sealed."""
    return zlib.compress(msgspec.msgpack.encode(list(encoded)), _COMPRESSION)


def unpack_bodies(packed: bytes) -> list[bytes]:
    """Return the encoded reads; raise InputError BODIES_MALFORMED where the bytes are none."""
    inflater = zlib.decompressobj()
    try:
        raw = inflater.decompress(packed, MAX_BODIES_BYTES)
        if not inflater.eof or inflater.unused_data:
            raise _malformed()
        return msgspec.msgpack.decode(raw, type=list[bytes])
    except (zlib.error, msgspec.DecodeError):
        raise _malformed() from None


def open_bodies(sealed: bytes, key: PrivateKey, batch: BatchRecord) -> list[Read]:
    """Return the reads of a batch from what lies in a second place, checked; raise InputError where they are not those of the ledger."""
    context = bodies_context(batch.department, batch.recorder, batch.batch_number)
    try:
        packed = open_with(key, sealed, context)
    except DecryptionFailed as error:
        raise InputError(
            "BODIES_UNREADABLE",
            f"第 {batch.batch_number} 批的密封副本打不开：{error}",
            f"the sealed copy of batch {batch.batch_number} does not open: {error}",
        ) from None
    return check_bodies(batch, unpack_bodies(packed))


def check_bodies(batch: BatchRecord, encoded: Sequence[bytes]) -> list[Read]:
    """Return the reads of a batch, each decoded, if they are all of them and no others; raise InputError BODIES_DIFFER otherwise."""
    reads = [decode_read(one) for one in encoded]
    if len(reads) != batch.count:
        raise _differ(
            batch, f"应有 {batch.count} 条，实有 {len(reads)} 条", f"expected {batch.count} reads, found {len(reads)}"
        )
    digest = batch.previous_digest
    digests = []
    for number, read in enumerate(reads, batch.first_number):
        if (read.department, read.recorder, read.number) != (batch.department, batch.recorder, number):
            raise _differ(batch, f"第 {number} 条缺失", f"read {number} is not where it belongs")
        if read.previous_digest != digest:
            raise _differ(batch, f"第 {number} 条与前一条不衔接", f"read {number} does not continue the one before it")
        if not batch.from_ms <= read.read_ms <= batch.to_ms:
            raise _differ(batch, f"第 {number} 条的时间不在批次之内", f"the time of read {number} is not the batch's")
        digest = read_digest(read)
        digests.append(digest)
    if batch_root(digests) != batch.root or digest != batch.last_digest:
        raise _differ(batch, "内容与账本上的根不符", "the content is not that of the ledger's root")
    outcomes = [read.outcome for read in reads]
    counted = (outcomes.count(SERVED), outcomes.count(DENIED), outcomes.count(IRREGULAR))
    if (*counted, sum(read.details.rows for read in reads)) != (
        batch.served,
        batch.denied,
        batch.irregular,
        batch.rows,
    ):
        raise _differ(batch, "统计与账本不符", "the counts are not those of the ledger")
    return reads


def _differ(batch: BatchRecord, zh: str, en: str) -> InputError:
    return InputError(
        "BODIES_DIFFER",
        f"第 {batch.batch_number} 批的访问记录与账本不符：{zh}",
        f"the reads of batch {batch.batch_number}: {en}",
    )


def _malformed() -> InputError:
    return InputError("BODIES_MALFORMED", "不是一批访问记录", "these bytes are not the reads of a batch")
