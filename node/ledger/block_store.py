"""Final blocks on disk: header, body, certificate and receipts by height, transactions by id, validator sets by hash."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import msgspec

from consensus.messages import CommitCertificate
from consensus.validators import Validator, ValidatorSet
from node.chain.block import Header, Receipt
from node.chain.codec import decode_trusted, encode
from node.ledger.storage import KeyReader, StorageError

HEAD_KEY: Final = b"m"
HEADER_TABLE: Final = b"h"
BODY_TABLE: Final = b"b"
CERTIFICATE_TABLE: Final = b"c"
RECEIPTS_TABLE: Final = b"r"
ROOT_TABLE: Final = b"x"
"""x + height: the version of the state tree's root after the block, which is lower where the block changed nothing."""
TRANSACTION_TABLE: Final = b"t"
BLOCK_ID_TABLE: Final = b"i"
"""i + block id: the height of the block."""
LOG_TABLE: Final = b"l"
"""l + address (20) + height: empty, for each block in which a contract of this address has logged."""
VALIDATORS_TABLE: Final = b"k"
SET_CHANGE_TABLE: Final = b"w"
"""w + height: empty, for each block after which another validator set follows."""

BASE_KEY: Final = b"a"
"""Where a ledger that began from a snapshot began; absent where it began from genesis."""
EARLIER_PEAKS_KEY: Final = b"q"
"""The append-only tree over the ids of the blocks before the last: what an offer of a snapshot is shown by."""

_HEIGHT_BYTES: Final = 6
_SEALED_BLOCK_HEAD: Final = b"\x93"  # MessagePack's array of three, as encode(SealedBlock(...)) begins


FORMAT: Final = 3
"""Of the data folder; one that is written otherwise gets another number."""


class Head(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """Where the ledger stands: written in the same batch as the block that it names."""

    format: int
    genesis_hash: bytes
    height: int
    block_id: bytes
    time_ms: int
    state_root: bytes
    root_version: int
    validators_hash: bytes
    """Of the set that decides height + 1."""
    history_count: int
    history_peaks: tuple[bytes, ...]
    oldest_height: int
    """The lowest height whose state still proves."""


class Base(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """Where a ledger that began from a snapshot began."""

    height: int
    """The height whose state it took over; it executed from the next one on."""
    first_block: int
    """The lowest height whose block it holds."""


class BlockStore:
    """Reads of saved blocks, and the entries that save a new one."""

    def __init__(self, storage: KeyReader) -> None:
        self._storage = storage

    def load_head(self) -> Head | None:
        """Return where the ledger stands, None in an empty database."""
        raw = self._storage.get(HEAD_KEY)
        return None if raw is None else decode_trusted(raw, Head)

    def base(self) -> Base:
        """Return where the ledger began, genesis included."""
        raw = self._storage.get(BASE_KEY)
        return Base(0, 1) if raw is None else decode_trusted(raw, Base)

    def earlier_peaks(self) -> tuple[bytes, ...] | None:
        """Return the append-only tree over the ids of the blocks before the last, None where there is no block."""
        raw = self._storage.get(EARLIER_PEAKS_KEY)
        return None if raw is None else decode_trusted(raw, tuple[bytes, ...])

    def header(self, height: int) -> Header | None:
        """Return the header of a final block, or None."""
        raw = self._storage.get(HEADER_TABLE + _suffix(height))
        return None if raw is None else decode_trusted(raw, Header)

    def certificate(self, height: int) -> CommitCertificate | None:
        """Return the certificate that made a block final, or None."""
        raw = self._storage.get(CERTIFICATE_TABLE + _suffix(height))
        return None if raw is None else decode_trusted(raw, CommitCertificate)

    def receipts(self, height: int) -> list[Receipt] | None:
        """Return the receipts of a final block in the order of its transactions, or None."""
        raw = self._storage.get(RECEIPTS_TABLE + _suffix(height))
        return None if raw is None else decode_trusted(raw, list[Receipt])

    def sealed_block_bytes(self, height: int) -> bytes | None:
        """Return the encoded SealedBlock, or None."""
        suffix = _suffix(height)
        parts = [self._storage.get(table + suffix) for table in (HEADER_TABLE, BODY_TABLE, CERTIFICATE_TABLE)]
        present = [part for part in parts if part is not None]
        return _SEALED_BLOCK_HEAD + b"".join(present) if len(present) == len(parts) else None

    def root_version(self, height: int) -> int:
        """Return the version of the state tree's root at a final height; raise StorageError when it is lost."""
        raw = self._storage.get(ROOT_TABLE + _suffix(height))
        if raw is None:
            raise StorageError(f"the state root of height {height} is missing from the database")
        return int.from_bytes(raw)

    def find_transaction(self, transaction_id: bytes) -> tuple[int, int] | None:
        """Return (height, index in the block) of a final transaction, or None."""
        raw = self._storage.get(TRANSACTION_TABLE + transaction_id)
        return None if raw is None else (int.from_bytes(raw[:_HEIGHT_BYTES]), int.from_bytes(raw[_HEIGHT_BYTES:]))

    def find_block(self, identifier: bytes) -> int | None:
        """Return the height of the final block with this 32-byte id, or None."""
        raw = self._storage.get(BLOCK_ID_TABLE + identifier)
        return None if raw is None else int.from_bytes(raw)

    def log_heights(self, address: bytes, first: int) -> Iterator[int]:
        """Yield in order the heights from `first` on of the blocks in which the contract at an address has logged."""
        for key, _ in self._storage.iterate(LOG_TABLE + address, _suffix(first)):
            yield int.from_bytes(key[-_HEIGHT_BYTES:])

    def validators(self, set_hash: bytes) -> ValidatorSet:
        """Return the validator set with this hash; raise StorageError when it is lost."""
        raw = self._storage.get(VALIDATORS_TABLE + set_hash)
        if raw is None:
            raise StorageError(f"the validator set {set_hash.hex()} is missing from the database")
        return ValidatorSet(decode_trusted(raw, list[Validator]))

    def set_changes(self, above: int, below: int) -> Iterator[int]:
        """Yield the heights between the two, both excluded, after which another validator set follows."""
        for key, _ in self._storage.iterate(SET_CHANGE_TABLE, _suffix(above + 1)):
            height = int.from_bytes(key[1:])
            if height >= below:
                return
            yield height


def head_entry(head: Head) -> tuple[bytes, bytes]:
    """Return the entry that saves where the ledger stands."""
    return HEAD_KEY, encode(head)


def base_entry(base: Base) -> tuple[bytes, bytes]:
    """Return the entry that saves where a ledger that began from a snapshot began."""
    return BASE_KEY, encode(base)


def earlier_peaks_entry(peaks: Sequence[bytes]) -> tuple[bytes, bytes]:
    """Return the entry that saves the append-only tree over the ids of the blocks before the last."""
    return EARLIER_PEAKS_KEY, encode(list(peaks))


def root_entry(height: int, root_version: int) -> tuple[bytes, bytes]:
    """Return the entry that saves which version the state tree's root has at a height."""
    return ROOT_TABLE + _suffix(height), root_version.to_bytes(_HEIGHT_BYTES)


def validators_entry(validators: ValidatorSet) -> tuple[bytes, bytes]:
    """Return the entry that saves a validator set under its hash."""
    return VALIDATORS_TABLE + validators.hash, encode(validators.members)


def block_entries(
    header: Header,
    body: bytes,
    certificate: CommitCertificate,
    encoded_receipts: Sequence[bytes],
    transaction_ids: Sequence[bytes],
    log_addresses: Iterable[bytes],
) -> list[tuple[bytes, bytes]]:
    """Return the entries that save an executed final block; `body` is the encoded Body, `log_addresses` who has logged in it."""
    receipts = encode([msgspec.Raw(receipt) for receipt in encoded_receipts])
    suffix = _suffix(header.height)
    return [
        *final_block_entries(header, body, certificate, transaction_ids),
        (RECEIPTS_TABLE + suffix, receipts),
        *((LOG_TABLE + address + suffix, b"") for address in log_addresses),
    ]


def final_block_entries(
    header: Header, body: bytes, certificate: CommitCertificate, transaction_ids: Sequence[bytes]
) -> list[tuple[bytes, bytes]]:
    """Return the entries that save a final block without what executing it gave; `body` is the encoded Body."""
    suffix = _suffix(header.height)
    entries = [*certified_header_entries(header, certificate), (BODY_TABLE + suffix, body)]
    entries += [
        (TRANSACTION_TABLE + transaction_id, suffix + index.to_bytes(2))
        for index, transaction_id in enumerate(transaction_ids)
    ]
    return entries


def certified_header_entries(header: Header, certificate: CommitCertificate) -> list[tuple[bytes, bytes]]:
    """Return the entries that save a final header under its height and id, and that another set of validators follows where one does."""
    suffix = _suffix(header.height)
    entries = [
        (HEADER_TABLE + suffix, encode(header)),
        (CERTIFICATE_TABLE + suffix, encode(certificate)),
        (BLOCK_ID_TABLE + certificate.block_id, suffix),
    ]
    if header.next_validators_hash != header.validators_hash:
        entries.append((SET_CHANGE_TABLE + suffix, b""))
    return entries


def _suffix(height: int) -> bytes:
    return height.to_bytes(_HEIGHT_BYTES)
