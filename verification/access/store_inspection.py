"""What became of the reads in a recorder's store: compared with the batch on the ledger, each change is named with its place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from contracts.data_sharing.access import BatchRecord
from verification.access.reads import Read, decode_read, read_digest
from verification.errors import InputError

MAX_STORE_FAULTS: Final = 100
"""Named of one batch; one is enough for its reads not to be believed."""

STORE_FAULTS: Final[dict[str, tuple[str, str]]] = {
    "READ_MALFORMED": ("不是访问记录", "not a record of a read"),
    "READ_REMOVED": ("记录被删除", "a read was removed"),
    "READ_INSERTED": ("记录被插入", "a read was inserted"),
    "READS_REORDERED": ("记录次序被调换", "reads were put into another order"),
    "READ_EDITED": ("记录内容被改动", "a read was edited"),
    "READS_CHANGED": (
        "至此的记录被改动并重新链接，或末条被改动",
        "reads up to here were edited and linked again, or the last one was edited",
    ),
    "BACK_DATED": (
        "读取时间不在批次的时段内或次序倒置",
        "a read lies outside its batch's time, or before the one before it",
    ),
}
"""Everything that can have become of a store, in Chinese and English."""


class StoreFault(msgspec.Struct, frozen=True):
    """What became of one read of a batch, by a code of STORE_FAULTS; the number is the read's."""

    code: str
    department: str
    recorder: bytes
    batch_number: int
    number: int

    @property
    def texts(self) -> tuple[str, str]:
        """Code's text and place in Chinese and English."""
        zh, en = STORE_FAULTS[self.code]
        stream = f"{self.department}/{self.recorder.hex()}"
        return (
            f"{zh}（{stream} 批次 {self.batch_number} 序号 {self.number}）",
            f"{en} ({stream}, batch {self.batch_number}, read {self.number})",
        )


def inspect_reads(batch: BatchRecord, encoded: Sequence[bytes]) -> tuple[list[Read], list[StoreFault]]:
    """Return the reads of a batch as a store gives them, in its order, and what is wrong with them: nothing, where they are the recorded.

    Without a fault, or with BACK_DATED alone, the reads are in order those under the batch's root.
    """
    inspection = _Inspection(batch)
    reads = inspection.decode(encoded)
    inspection.check_numbers(reads)
    inspection.check_links(reads)
    inspection.check_times(reads)
    return reads, inspection.faults[:MAX_STORE_FAULTS]


class _Inspection:
    def __init__(self, batch: BatchRecord) -> None:
        self._batch = batch
        self.faults: list[StoreFault] = []

    def decode(self, encoded: Sequence[bytes]) -> list[Read]:
        """Return the reads of this stream; name what is none, and what is of another."""
        batch = self._batch
        reads = []
        for position, raw in enumerate(encoded):
            try:
                read = decode_read(raw)
            except InputError:
                self._add("READ_MALFORMED", batch.first_number + position)
                continue
            if (read.department, read.recorder) == (batch.department, batch.recorder):
                reads.append(read)
            else:
                self._add("READ_INSERTED", read.number)
        return reads

    def check_numbers(self, reads: Sequence[Read]) -> None:
        """Name what is there twice, too much, not at all, and out of order."""
        batch = self._batch
        expected = range(batch.first_number, batch.first_number + batch.count)
        found: set[int] = set()
        last = 0
        for read in reads:
            if read.number in found or read.number not in expected:
                self._add("READ_INSERTED", read.number)
            elif read.number < last:
                self._add("READS_REORDERED", read.number)
            found.add(read.number)
            last = max(last, read.number)
        for number in expected:
            if number not in found and len(self.faults) < MAX_STORE_FAULTS:
                self._add("READ_REMOVED", number)

    def check_links(self, reads: Sequence[Read]) -> None:
        """Name each read that is not the one which the next one, or the batch, names by its digest."""
        batch = self._batch
        digests = {batch.first_number - 1: batch.previous_digest}
        expected = range(batch.first_number, batch.first_number + batch.count)
        by_number: dict[int, Read] = {}
        for read in reads:
            if read.number in expected:
                by_number.setdefault(read.number, read)
        digests |= {number: read_digest(read) for number, read in by_number.items()}
        edited: set[int] = set()
        for number, read in sorted(by_number.items()):
            before = digests.get(number - 1)
            if before is not None and read.previous_digest != before:
                # The first link can only be wrong in this read itself: the ledger has the digest before it.
                edited.add(number if number == batch.first_number else number - 1)
        for number in sorted(edited):
            self._add("READ_EDITED", number)
        last = batch.first_number + batch.count - 1
        if batch.count and not self.faults and digests.get(last) != batch.last_digest:
            self._add("READS_CHANGED", last)

    def check_times(self, reads: Sequence[Read]) -> None:
        """Name each read whose time is not its batch's, or lies before the time of one before it."""
        batch = self._batch
        latest = batch.from_ms
        for read in sorted(reads, key=lambda read: read.number):
            if not latest <= read.read_ms <= batch.to_ms:
                self._add("BACK_DATED", read.number)
            latest = max(latest, read.read_ms)

    def _add(self, code: str, number: int) -> None:
        batch = self._batch
        self.faults.append(StoreFault(code, batch.department, batch.recorder, batch.batch_number, number))
