"""The manifest of a batch (docs/spec/batch-archive.md): read once against the batch's record, then asked for single certificates.

Whoever keeps a copy can say of any identifier whether it is one of the batch, and prove that it is.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Final, TypeAlias

import msgspec

from contracts.batches import BatchRecord, leaf_hashes
from contracts.certificate_records import CertificateContent
from sm_crypto.merkle import merkle_path, merkle_root
from verification.batch_proof import BatchMember
from verification.errors import InputError

GROUP_ENTRIES: Final = 1_024
"""A power of two, so that the roots of groups are a level of the batch's tree."""

ReadBytes: TypeAlias = Callable[[int, int], bytes]
"""Returns the bytes of the manifest from a place on, so many or fewer where it ends."""

_DECODE: Final = msgspec.msgpack.Decoder(CertificateContent).decode
_MAX_ENTRY_BYTES: Final = 512
_SIZES: Final = {0xCC: 2, 0xCD: 3, 0xCE: 5, 0xCF: 9, 0xD0: 2, 0xD1: 3, 0xD2: 5, 0xD3: 9}
"""Bytes of an integer in MessagePack by the first of them; all others are one byte long."""


class ManifestIndex:
    """Where the groups of a manifest begin, by which identifiers, and their roots: what is kept of it in memory."""

    def __init__(self, batch: BatchRecord, starts: array[int], firsts: list[bytes], roots: list[bytes]) -> None:
        """Keep what read_manifest found; `starts` has the manifest's end after the places where groups begin."""
        self.batch = batch
        self._starts = starts
        self._firsts = firsts
        self._roots = roots

    def find(self, identifier: str, read: ReadBytes) -> BatchMember | None:
        """Return the certificate with this identifier, root included, with its path; None where the batch has none.

        Raises InputError MANIFEST_DIFFERS where `read` no longer gives what was read before.
        """
        name = identifier.encode()
        number = bisect_right(self._firsts, name) - 1
        if number < 0:
            return None
        start, end = self._starts[number], self._starts[number + 1]
        raw = read(start, end - start)
        entries = list(_split([raw]))
        leaves = leaf_hashes(entries)
        if merkle_root(leaves) != self._roots[number]:
            raise differs(self.batch.name)
        place = next((place for place, entry in enumerate(entries) if _identifier(entry) == name), None)
        if place is None:
            return None
        path = [*merkle_path(leaves, place), *merkle_path(self._roots, number)]
        return BatchMember(_DECODE(entries[place]), number * GROUP_ENTRIES + place, tuple(path))


def read_manifest(chunks: Iterable[bytes], batch: BatchRecord) -> ManifestIndex:
    """Return the index of a manifest, given in pieces of any size, if it is the one under the batch's root.

    Raises InputError MANIFEST_DIFFERS where it is another batch's or was changed, MANIFEST_MALFORMED where it is none.
    """
    starts, at = array("Q", [0]), 0
    firsts: list[bytes] = []
    roots: list[bytes] = []
    before, count = b"", 0
    entries = _split(chunks)
    while group := list(islice(entries, GROUP_ENTRIES)):
        names = [_identifier(entry) for entry in group]
        if any(left >= right for left, right in zip([before, *names], names, strict=False)):
            raise _malformed("identifiers in ascending order")
        before, count = names[-1], count + len(group)
        if count > batch.count:
            raise differs(batch.name)
        at += sum(map(len, group))
        starts.append(at)
        firsts.append(names[0])
        roots.append(merkle_root(leaf_hashes(group)))
    if count != batch.count or merkle_root(roots) != batch.root:
        raise differs(batch.name)
    return ManifestIndex(batch, starts, firsts, roots)


def differs(name: str) -> InputError:
    """Return the error of a manifest that is not that of the batch of this name."""
    return InputError(
        "MANIFEST_DIFFERS",
        f"不是批次 {name} 的清单：默克尔根或份数与账本登记的不符，请向颁发机构重新索取",
        f"not the manifest of the batch {name}: its root or count is not the ledger's; ask the issuer for it again",
    )


def _split(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield each entry of a manifest; raise InputError MANIFEST_MALFORMED on anything else."""
    rest = b""
    for chunk in chunks:
        rest += chunk
        at, safe = 0, len(rest) - _MAX_ENTRY_BYTES
        while at < safe:
            end = _entry_end(rest, at)
            yield rest[at:end]
            at = end
        rest = rest[at:]
    at = 0
    while at < len(rest):
        end = _entry_end(rest, at)
        yield rest[at:end]
        at = end


def _entry_end(raw: bytes, at: int) -> int:
    """Return where the MessagePack array of a content ends that begins at a place: text, two times 32 bytes, two integers."""
    try:
        head, size = raw[at], raw[at + 1]
        end = at + 3 + raw[at + 2] if size == 0xD9 else at + 2 + (size & 0x1F)
        is_entry = head == 0x95 and (size == 0xD9 or size >> 5 == 5)
        for place in (end, end + 34):
            is_entry = is_entry and raw[place] == 0xC4 and raw[place + 1] == 32
        end += 68
        for _ in range(2):
            end += _SIZES.get(raw[end], 1)
    except IndexError:
        is_entry = False
    if not is_entry or end > len(raw):
        raise _malformed(f"the MessagePack array of a certificate at byte {at} of a piece")
    return end


def _identifier(entry: bytes) -> bytes:
    """Return the identifier's bytes of an entry, which _split has looked at."""
    return entry[3 : 3 + entry[2]] if entry[1] == 0xD9 else entry[2 : 2 + (entry[1] & 0x1F)]


def _malformed(expected: str) -> InputError:
    return InputError(
        "MANIFEST_MALFORMED", f"不是批次清单：应为 {expected}", f"no manifest of a batch: expected {expected}"
    )
