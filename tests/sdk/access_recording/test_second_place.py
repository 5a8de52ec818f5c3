"""The second place: what lies there opens for the auditing authority alone, and only as what the ledger says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.data_sharing.access import BatchRecord
from sdk.access_recording.policy import RecordingPolicy
from sdk.access_recording.recorder import Recorder
from sdk.access_recording.second_place import ArchiveFolder, BodyCopier, seal_batch
from sm_crypto.sm2 import PrivateKey
from tests.made_reads import DEPARTMENT, made_draft
from verification.access import reads
from verification.access.sealed_batches import check_bodies, open_bodies, pack_bodies, unpack_bodies
from verification.errors import InputError

ACCOUNT = bytes(20)


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[Recorder]:
    with Recorder(tmp_path / "reads.db", DEPARTMENT, ACCOUNT, RecordingPolicy()) as opened:
        opened.record_many([made_draft(str(n)) for n in range(5)])
        yield opened


def batch_of(recorder: Recorder) -> BatchRecord:
    """Return the batch of all reads that wait, as the ledger would have it."""
    plan = recorder.plan_next()
    recorder.mark_recorded(plan, 9)
    return BatchRecord(DEPARTMENT, ACCOUNT, **plan.arguments(), due_ms=0, recorded_ms=0)


def test_what_lies_in_the_archive_opens_for_the_authority(recorder: Recorder, tmp_path: Path) -> None:
    key, other, archive = PrivateKey.generate(), PrivateKey.generate(), ArchiveFolder(tmp_path / "archive")
    copier = BodyCopier(recorder.store, [archive], lambda: key.public_key)
    assert not copier.step()
    batch = batch_of(recorder)
    heartbeat = batch_of(recorder)
    assert [copier.step() for _ in range(3)] == [True, True, False]
    sealed = archive.find(DEPARTMENT, ACCOUNT, 1)
    assert sealed is not None
    assert archive.find(DEPARTMENT, ACCOUNT, heartbeat.batch_number) is None
    found = open_bodies(sealed, key, batch)
    assert [reads.encode_read(read) for read in found] == recorder.store.encoded_reads(1, 5)
    # Nothing that was recorded stands there in clear.
    assert "计税".encode() not in sealed
    for wrong_key, wrong_batch in ((other, batch), (key, msgspec.structs.replace(batch, batch_number=2))):
        with pytest.raises(InputError) as refused:
            open_bodies(sealed, wrong_key, wrong_batch)
        assert refused.value.code == "BODIES_UNREADABLE"
    archive.path(DEPARTMENT, ACCOUNT, 1).write_bytes(sealed[:-1])
    with pytest.raises(InputError):
        open_bodies(archive.find(DEPARTMENT, ACCOUNT, 1) or b"", key, batch)


def test_a_batch_stays_to_be_copied_until_it_is(recorder: Recorder, tmp_path: Path) -> None:
    key, archive = PrivateKey.generate(), ArchiveFolder(tmp_path / "reads.db")
    copier = BodyCopier(recorder.store, [archive], lambda: key.public_key)
    batch_of(recorder)
    with pytest.raises(InputError) as refused:
        copier.step()
    assert refused.value.code == "ARCHIVE_UNWRITABLE"
    archive.folder = tmp_path / "archive"
    assert copier.step()
    assert not copier.step()


def changed(batch: BatchRecord, encoded: list[bytes], place: int, **changes: Any) -> list[bytes]:
    read = msgspec.structs.replace(reads.decode_read(encoded[place]), **changes)
    return [*encoded[:place], reads.encode_read(read), *encoded[place + 1 :]]


def test_reads_that_were_removed_changed_or_moved_are_not_the_batchs(recorder: Recorder) -> None:
    batch = batch_of(recorder)
    encoded = recorder.store.encoded_reads(1, 5)
    assert len(check_bodies(batch, encoded)) == 5
    for wrong in (
        encoded[:-1],
        encoded[1:],
        [*encoded, encoded[-1]],
        [encoded[1], encoded[0], *encoded[2:]],
        changed(batch, encoded, 4, read_ms=batch.from_ms - 1),
        changed(batch, encoded, 2, outcome=3),
        changed(batch, encoded, 4, number=6),
        changed(batch, encoded, 0, recorder=b"\1" * 20),
    ):
        with pytest.raises(InputError) as refused:
            check_bodies(batch, wrong)
        assert refused.value.code in {"BODIES_DIFFER", "READ_MALFORMED"}
    before_and_after = ({"from_ms": batch.to_ms + 1}, {"to_ms": batch.from_ms - 1})
    for changes in ({"served": 4, "denied": 1}, {"rows": 0}, {"root": bytes(32)}, {"count": 4}, *before_and_after):
        with pytest.raises(InputError):
            check_bodies(msgspec.structs.replace(batch, **changes), encoded)


def test_a_batch_that_is_too_large_is_named(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sdk.access_recording.second_place.MAX_SEALED_BODIES_BYTES", 100)
    with pytest.raises(InputError) as refused:
        seal_batch(recorder.store, recorder.plan_next(), PrivateKey.generate().public_key)
    assert refused.value.code == "BODIES_TOO_LARGE"


@given(st.binary(max_size=300))
def test_other_bytes_are_no_batch(raw: bytes) -> None:
    for packed in (raw, pack_bodies([raw])[:-1], pack_bodies([raw]) + b"\0"):
        with pytest.raises(InputError):
            unpack_bodies(packed)
    assert unpack_bodies(pack_bodies([raw, b""])) == [raw, b""]


def test_what_unpacks_to_too_much_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("verification.access.sealed_batches.MAX_BODIES_BYTES", 10_000)
    with pytest.raises(InputError):
        unpack_bodies(pack_bodies([bytes(20_000)]))
