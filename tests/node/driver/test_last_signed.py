import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consensus.events import LockState
from node.driver.last_signed import (
    SLOT_BYTES,
    LastSigned,
    RecordHealth,
    SignedRecord,
    SigningRefused,
    SignStep,
    create_last_signed,
)

LOCK = LockState(1, b"\x07" * 32, 1, b"\x07" * 32)


def _record(sequence: int, height: int, step: SignStep = SignStep.PREVOTE, round_: int = 0) -> SignedRecord:
    return SignedRecord(sequence, height, round_, step, bytes([height]) * 32, bytes([height]) * 64, LOCK)


def _saved(path: Path, *records: SignedRecord) -> Path:
    if not path.exists():
        create_last_signed(path)
    last_signed = LastSigned(path)
    for record in records:
        last_signed.save(record)
    last_signed.close()
    return path


def _opened(path: Path) -> tuple[SignedRecord, RecordHealth]:
    last_signed = LastSigned(path)
    last_signed.close()
    return last_signed.record, last_signed.health


def test_a_new_key_has_signed_nothing(tmp_path: Path) -> None:
    create_last_signed(tmp_path / "record")
    record, health = _opened(tmp_path / "record")
    assert (record.sequence, record.height, health) == (0, 0, RecordHealth.SOUND)


def test_an_existing_record_is_never_replaced(tmp_path: Path) -> None:
    _saved(tmp_path / "record", _record(1, 5))
    with pytest.raises(FileExistsError):
        create_last_signed(tmp_path / "record")
    assert _opened(tmp_path / "record")[0] == _record(1, 5)


def test_the_newest_record_and_its_lock_come_back(tmp_path: Path) -> None:
    records = [_record(n, n) for n in range(1, 6)]
    for upto in range(1, 6):
        path = _saved(tmp_path / f"record{upto}", *records[:upto])
        assert _opened(path) == (records[upto - 1], RecordHealth.SOUND)
    assert _opened(path)[0].lock == LOCK


def test_the_same_bytes_return_the_stored_signature_and_others_are_refused(tmp_path: Path) -> None:
    last_signed = LastSigned(_saved(tmp_path / "record", _record(1, 5, SignStep.PREVOTE, round_=2)))
    assert last_signed.check(5, 2, SignStep.PREVOTE, b"\x05" * 32) == b"\x05" * 64
    with pytest.raises(SigningRefused, match="with other content"):
        last_signed.check(5, 2, SignStep.PREVOTE, b"\x06" * 32)
    last_signed.close()


@pytest.mark.parametrize(
    ("height", "round_", "step"),
    [(4, 9, SignStep.PRECOMMIT), (5, 1, SignStep.PRECOMMIT), (5, 2, SignStep.PROPOSAL)],
)
def test_nothing_before_the_last_place_is_signed(tmp_path: Path, height: int, round_: int, step: SignStep) -> None:
    last_signed = LastSigned(_saved(tmp_path / "record", _record(1, 5, SignStep.PREVOTE, round_=2)))
    with pytest.raises(SigningRefused):
        last_signed.check(height, round_, step, b"\x05" * 32)
    last_signed.close()


@pytest.mark.parametrize(
    ("height", "round_", "step"),
    [(5, 2, SignStep.PRECOMMIT), (5, 3, SignStep.PROPOSAL), (6, 0, SignStep.PROPOSAL)],
)
def test_what_comes_after_the_last_place_is_free(tmp_path: Path, height: int, round_: int, step: SignStep) -> None:
    last_signed = LastSigned(_saved(tmp_path / "record", _record(1, 5, SignStep.PREVOTE, round_=2)))
    assert last_signed.check(height, round_, step, b"\x05" * 32) is None
    last_signed.close()


def test_a_torn_write_leaves_the_record_before(tmp_path: Path) -> None:
    path = _saved(tmp_path / "record", _record(1, 5), _record(2, 6))
    before = path.read_bytes()
    after = _saved(path, _record(3, 7)).read_bytes()
    for size in range(0, SLOT_BYTES, 7):
        torn = b"".join(after[slot : slot + size] + before[slot + size : slot + SLOT_BYTES] for slot in (0, SLOT_BYTES))
        path.write_bytes(torn)
        record, health = _opened(path)
        assert record in (_record(2, 6), _record(3, 7))
        if record.sequence == 2 and torn != before:
            assert health is RecordHealth.ONE_SLOT_DAMAGED


def test_a_damaged_slot_is_made_whole_by_the_next_record(tmp_path: Path) -> None:
    path = _saved(tmp_path / "record", _record(1, 5), _record(2, 6))
    for slot in (0, 1):
        content = bytearray(path.read_bytes())
        content[slot * SLOT_BYTES + 20] ^= 1
        path.write_bytes(content)
        assert _opened(path)[1] is RecordHealth.ONE_SLOT_DAMAGED
        height = 7 + slot
        _saved(path, _record(3 + slot, height))
        assert _opened(path) == (_record(3 + slot, height), RecordHealth.SOUND)


def test_two_damaged_slots_and_no_file_are_told_apart(tmp_path: Path) -> None:
    path = _saved(tmp_path / "record", _record(1, 5))
    path.write_bytes(bytes(2 * SLOT_BYTES))
    assert _opened(path)[1] is RecordHealth.DAMAGED
    assert _opened(tmp_path / "none")[1] is RecordHealth.ABSENT
    assert not (tmp_path / "none").exists()


def test_a_lost_file_is_made_again_by_the_next_signature(tmp_path: Path) -> None:
    last_signed = LastSigned(tmp_path / "record")
    last_signed.save(_record(1, 9))
    last_signed.save(_record(2, 10))
    last_signed.close()
    assert _opened(tmp_path / "record") == (_record(2, 10), RecordHealth.SOUND)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(st.binary(max_size=3 * SLOT_BYTES) | st.binary(max_size=64).map(lambda head: head.ljust(2 * SLOT_BYTES, b"\0")))
def test_any_file_opens_and_nothing_in_it_counts_as_signed(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "any").write_bytes(content)
    record, health = _opened(tmp_path / "any")
    assert (record.sequence, health) == (0, RecordHealth.DAMAGED)


def test_a_record_is_on_disk_before_save_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _saved(tmp_path / "record")
    synced: list[bytes] = []

    def sync(descriptor: int) -> None:
        synced.append(path.read_bytes())

    monkeypatch.setattr(os, "fdatasync", sync)
    last_signed: Any = LastSigned(path)
    last_signed.save(_record(1, 5))
    last_signed.close()
    assert bytes([5]) * 64 in synced[-1]
