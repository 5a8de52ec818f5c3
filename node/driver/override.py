"""The operator's override: a record that lets a key vote again above a height, made only by a person and never unrecorded."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import msgspec

from consensus.messages import MAX_HEIGHT, MAX_ROUND
from node.driver.last_signed import (
    FILE_NAME,
    NO_SIGNATURE,
    UNLOCKED,
    LastSigned,
    SignedRecord,
    SignStep,
    make_last_signed,
)

OVERRIDES_FILE: Final = "overrides.jsonl"
"""In the node's data folder: one line of JSON an act, oldest first."""
MAX_REASON_LENGTH: Final = 500


class OverrideRefused(Exception):
    """The override would state what cannot be, or says no reason; the text is in Chinese and English."""


class Override(msgspec.Struct, frozen=True):
    """One act: when, up to which height the key stays silent, why, and what the record said before."""

    time_ms: int
    above_height: int
    reason: str
    record_before: str
    """What was found: sound, one slot damaged, damaged or absent."""
    height_before: int
    """The height of the newest record that was found, 0 where there was none."""


def write_override(data: Path, above_height: int, reason: str, time_ms: int) -> Override:
    """Return the act once it is noted in the folder of a stopped node and its key may sign above `above_height` only.

    Raises OverrideRefused on a height out of range, or below one at which the record shows a signature, or on a reason that
    is empty or too long; OSError.
    """
    if not 0 <= above_height < MAX_HEIGHT:
        raise OverrideRefused(
            f"高度应为 0 至 {MAX_HEIGHT - 1}，实为 {above_height} / "
            f"expected a height from 0 to {MAX_HEIGHT - 1}, found {above_height}"
        )
    reason = reason.strip()
    if not 1 <= len(reason) <= MAX_REASON_LENGTH:
        raise OverrideRefused(
            f"原因应为 1 至 {MAX_REASON_LENGTH} 个字符，实为 {len(reason)} 个 / "
            f"expected a reason of 1 to {MAX_REASON_LENGTH} characters, found {len(reason)}"
        )
    path = data / FILE_NAME
    last = LastSigned(path)
    last.close()
    if above_height < last.record.height and not last.record.is_override:
        # What is known to be signed no act makes unsigned: another signature there would be evidence against this key.
        raise OverrideRefused(
            f"记录表明此密钥已在高度 {last.record.height} 签名，应给出不低于它的高度，实为 {above_height} / "
            f"the record shows that this key has signed at height {last.record.height}: "
            f"expected a height not below it, found {above_height}"
        )
    act = Override(time_ms, above_height, reason, last.health.value, last.record.height)
    _note(data / OVERRIDES_FILE, act)
    # The last place of that height: whatever comes at or below it is refused.
    place = (above_height, MAX_ROUND, SignStep.PRECOMMIT)
    record = SignedRecord(last.record.sequence + 1, *place, bytes(32), NO_SIGNATURE, UNLOCKED)
    fresh = data / (FILE_NAME + ".new")
    fresh.unlink(missing_ok=True)
    make_last_signed(fresh, record)
    os.replace(fresh, path)
    _sync_folder(data)
    return act


def read_overrides(data: Path) -> list[Override]:
    """Return every act noted in a data folder, oldest first; raise OSError, or ValueError on a line that is none."""
    try:
        lines = (data / OVERRIDES_FILE).read_bytes().splitlines()
    except FileNotFoundError:
        return []
    return [msgspec.json.decode(line, type=Override) for line in lines]


def _note(path: Path, act: Override) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, msgspec.json.encode(act) + b"\n")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    _sync_folder(path.parent)


def _sync_folder(path: Path) -> None:
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
