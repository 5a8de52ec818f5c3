"""The last-signed record: what this validator's key signed last, so that it never signs twice in one place."""

from __future__ import annotations

import enum
import os
import struct
import zlib
from pathlib import Path
from typing import Final

import msgspec

from consensus.events import LockState
from consensus.messages import NO_ROUND
from node.chain.codec import CodecError, decode_trusted, encode

FILE_NAME: Final = "last-signed"
"""In the node's data folder."""
SLOT_BYTES: Final = 4_096  # a page each, so that one torn write never touches both
SLOT_COUNT: Final = 2
UNLOCKED: Final = LockState(NO_ROUND, None, NO_ROUND, None)
NO_SIGNATURE: Final = bytes(64)

_HEAD: Final = struct.Struct(">4sII")  # magic, payload length, CRC-32
_MAGIC: Final = b"GVLS"


class SignStep(enum.IntEnum):
    """What was signed, in the order in which a validator signs within one round."""

    NONE = 0
    PROPOSAL = 1
    PREVOTE = 2
    PRECOMMIT = 3


class SigningRefused(Exception):
    """The key has already signed something else at this height, round and step, or something later."""


class SignedRecord(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """One signature: its place, the 32 bytes that it covers, the 64 bytes of it, and the lock that went with it."""

    sequence: int
    """Counts every signature of this key, from 1."""
    height: int
    round: int
    step: SignStep
    digest: bytes
    signature: bytes
    lock: LockState

    @property
    def is_override(self) -> bool:
        """Whether no message stands behind it, but an operator's word that the key may vote again above its height."""
        return self.sequence > 0 and self.signature == NO_SIGNATURE


class RecordHealth(enum.Enum):
    """What was found on opening the file."""

    SOUND = "sound"
    ONE_SLOT_DAMAGED = "one slot damaged"
    DAMAGED = "damaged"
    ABSENT = "absent"


NOTHING_SIGNED: Final = SignedRecord(0, 0, 0, SignStep.NONE, bytes(32), NO_SIGNATURE, UNLOCKED)


class LastSigned:
    """The record in two slots of one file, written in turn and in place: a torn write leaves the one before."""

    def __init__(self, path: Path) -> None:
        """Open the file if it is there; `health` says what was found, `record` is the newest sound record. Raise OSError."""
        self.path = path
        self.record = NOTHING_SIGNED
        self._descriptor: int | None = None
        self._newest_slot = 0
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            self.health = RecordHealth.ABSENT
            return
        slots = [_decode_slot(os.pread(self._descriptor, SLOT_BYTES, i * SLOT_BYTES)) for i in range(SLOT_COUNT)]
        sound = [index for index, slot in enumerate(slots) if slot is not None]
        if not sound:
            self.health = RecordHealth.DAMAGED
            return
        self.health = RecordHealth.SOUND if len(sound) == SLOT_COUNT else RecordHealth.ONE_SLOT_DAMAGED
        for index in sound:
            slot = slots[index]
            if slot is not None and slot.sequence >= self.record.sequence:
                self.record, self._newest_slot = slot, index

    def check(self, height: int, round_: int, step: SignStep, digest: bytes) -> bytes | None:
        """Return the stored signature where these bytes are the last signed, None where the place is new; raise SigningRefused."""
        last = self.record
        wanted, found = (height, round_, step), (last.height, last.round, last.step)
        if wanted > found:
            return None
        if wanted == found and digest == last.digest:
            return last.signature
        raise SigningRefused(
            f"asked to sign height {height} round {round_} {step.name.lower()}, "
            f"but this key last signed height {last.height} round {last.round} {last.step.name.lower()}"
            + (" with other content" if wanted == found else "")
        )

    def save(self, record: SignedRecord) -> None:
        """Return when `record` is on disk as the newest; raise SigningRefused where it is not after the last one, OSError."""
        if self.check(record.height, record.round, record.step, record.digest) is not None:
            return
        if self._descriptor is None:
            make_last_signed(self.path, record)
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
        else:
            self._write(record, 1 - self._newest_slot)
            if self.health is not RecordHealth.SOUND:
                self._write(record, self._newest_slot)
            self._newest_slot = 1 - self._newest_slot
        self.health = RecordHealth.SOUND
        self.record = record

    def _write(self, record: SignedRecord, slot: int) -> None:
        assert self._descriptor is not None
        written = os.pwrite(self._descriptor, _encode_slot(record), slot * SLOT_BYTES)
        if written != SLOT_BYTES:
            raise OSError(f"wrote {written} of {SLOT_BYTES} bytes to {self.path}")
        os.fdatasync(self._descriptor)

    def close(self) -> None:
        """Close the file."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def create_last_signed(path: Path) -> None:
    """State that this validator's key has never signed: make the record of a new key; raise FileExistsError where there is one.

    A validator without the record takes it for lost and abstains, so this is part of making a key, never of starting a node.
    """
    make_last_signed(path, NOTHING_SIGNED)


def make_last_signed(path: Path, record: SignedRecord) -> None:
    """Write a new file whose slots both hold `record`, synced with its folder; raise FileExistsError where there is one, OSError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.pwrite(descriptor, _encode_slot(record) * SLOT_COUNT, 0)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _encode_slot(record: SignedRecord) -> bytes:
    payload = encode(record)
    return (_HEAD.pack(_MAGIC, len(payload), zlib.crc32(payload)) + payload).ljust(SLOT_BYTES, b"\0")


def _decode_slot(slot: bytes) -> SignedRecord | None:
    """Return the record in a slot, None where it is not whole."""
    if len(slot) != SLOT_BYTES:
        return None
    magic, length, checksum = _HEAD.unpack_from(slot)
    payload = slot[_HEAD.size : _HEAD.size + length]
    if magic != _MAGIC or len(payload) != length or zlib.crc32(payload) != checksum:
        return None
    try:
        return decode_trusted(payload, SignedRecord)
    except CodecError:
        return None
