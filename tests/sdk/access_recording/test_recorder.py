"""The recorder: gapless numbers, chained digests, on disk before anybody is told, whatever is killed or fails."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from contracts.data_sharing.access import DENIED, IRREGULAR, STOP
from sdk.access_recording.policy import RecordingPolicy
from sdk.access_recording.read_store import ReadStore, RecordingFailed
from sdk.access_recording.recorder import Recorder
from sm_crypto.merkle import EMPTY_ROOT
from sm_crypto.sm3 import sm3
from tests.made_reads import DEPARTMENT
from tests.made_reads import made_draft as draft
from verification.access import reads
from verification.access.reads import NO_DIGEST
from verification.errors import InputError

ACCOUNT = bytes(19) + b"\1"
START_MS = 1_764_000_000_000


class Clock:
    """A clock that tests turn."""

    def __init__(self) -> None:
        self.ms = START_MS

    def __call__(self) -> int:
        return self.ms


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def recorder(tmp_path: Path, clock: Clock) -> Iterator[Recorder]:
    with Recorder(tmp_path / "reads.db", DEPARTMENT, ACCOUNT, RecordingPolicy(), clock, clock) as opened:
        yield opened


def check_chain(store: ReadStore) -> int:
    """Return how many reads a store has, each with its number, digest and link."""
    digest, count = bytes(32), store.tip().number
    for number, encoded in enumerate(store.encoded_reads(1, 2**62), 1):
        read = reads.decode_read(encoded)
        assert (read.number, read.previous_digest) == (number, digest)
        digest = reads.read_digest(read)
    assert store.tip().digest == digest
    return count


def test_reads_are_numbered_and_chained_across_threads(recorder: Recorder, clock: Clock) -> None:
    def record(name: str) -> None:
        for turn in range(20):
            recorder.record(draft(f"{name}{turn}"))

    threads = [threading.Thread(target=record, args=(f"t{n}-",), daemon=True) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    soon = [recorder.record_soon(draft(f"soon{n}")) for n in range(50)]
    places = [answer.result() for answer in soon]
    assert [place.number for place in places] == list(range(81, 131))
    assert [reads.read_digest(place.read) for place in places] == [place.digest for place in places]
    assert places[0].encoded == reads.encode_read(places[0].read)
    assert check_chain(recorder.store) == 130


def test_a_store_goes_on_where_it_ended(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "reads.db"
    with Recorder(path, DEPARTMENT, ACCOUNT, RecordingPolicy(), clock, clock) as first:
        first.record_many([draft(str(n)) for n in range(5)])
        assert first.plan_next().count == 5
    assert path.stat().st_mode & 0o077 == 0
    # A clock that was put back does not put reads back.
    clock.ms -= 3_600_000
    with Recorder(path, DEPARTMENT, ACCOUNT, RecordingPolicy(), clock, clock) as second:
        place = second.record(draft("next"))
        assert (place.number, place.read.read_ms) == (6, START_MS)
        assert second.unplanned == 1
        assert check_chain(second.store) == 6


def test_one_process_writes_a_store_and_for_one_account(tmp_path: Path, recorder: Recorder) -> None:
    with pytest.raises(InputError) as refused:
        Recorder(recorder.store.path, DEPARTMENT, ACCOUNT, RecordingPolicy())
    assert refused.value.code == "STORE_IN_USE"
    recorder.close()
    with pytest.raises(InputError) as refused:
        Recorder(recorder.store.path, DEPARTMENT, bytes(20), RecordingPolicy())
    assert refused.value.code == "STORE_OF_ANOTHER"
    other = tmp_path / "other.db"
    for content in (b"no database at all", bytes(200)):
        other.write_bytes(content)
        with pytest.raises(InputError) as refused:
            Recorder(other, DEPARTMENT, ACCOUNT, RecordingPolicy())
        assert refused.value.code == "STORE_INVALID"


def test_reads_are_found_by_what_an_auditor_asks(recorder: Recorder, clock: Clock) -> None:
    recorder.record(draft("a", case_number="2025-7"))
    clock.ms += 1_000
    recorder.record(draft("b", grant=sm3(b"other")))
    clock.ms += 1_000
    recorder.record(draft("a", outcome=DENIED, rows=0, refusal="QUOTA"))
    recorder.record(draft("c", person=NO_DIGEST, outcome=IRREGULAR, refusal="GRANT_NOT_IN_FORCE", case_number=""))

    def numbers(**wanted: Any) -> list[int]:
        return [reads.decode_read(raw).number for raw in recorder.store.find_reads(**wanted)]

    assert numbers() == [1, 2, 3, 4]
    assert numbers(person=sm3(b"a")) == [1, 3]
    assert numbers(grant=sm3(b"other")) == [2]
    assert numbers(case_number="2025-7") == [1]
    assert numbers(read_id=sm3(b"idb")) == [2]
    assert numbers(from_ms=START_MS + 1, to_ms=START_MS + 1_000) == [2]
    assert numbers(first=2, last=3) == [2, 3]
    assert numbers(first=2, limit=1) == [2]
    assert numbers(person=sm3(b"a"), from_ms=START_MS + 1) == [3]
    # The first eight bytes find a row, and all 32 decide.
    assert numbers(person=sm3(b"a")[:8] + bytes(24)) == []
    assert recorder.store.usage(sm3(b"grant"), 0) == (2, 4)
    assert recorder.store.usage(sm3(b"grant"), START_MS + 2_000) == (1, 2)
    assert recorder.store.usage(sm3(b"grant"), START_MS + 2_001) == (0, 0)


def test_batches_follow_on_each_other_and_cover_all_time(recorder: Recorder, clock: Clock) -> None:
    places = recorder.record_many([draft("x", outcome=DENIED, rows=0, refusal="QUOTA"), draft("y"), draft("z")])
    clock.ms += 500
    first = recorder.plan_next()
    assert (first.batch_number, first.first_number, first.count) == (1, 1, 3)
    assert (first.served, first.denied, first.irregular, first.rows) == (2, 1, 0, 4)
    assert (first.from_ms, first.to_ms) == (START_MS, START_MS + 500)
    assert first.root == reads.batch_root([place.digest for place in places])
    # Without a read and without a tick of the clock, a heartbeat covers a millisecond.
    second = recorder.plan_next()
    assert (second.count, second.root, second.last_digest) == (0, EMPTY_ROOT, places[-1].digest)
    assert (second.from_ms, second.to_ms) == (START_MS + 500, START_MS + 501)
    late = recorder.record(draft("late"))
    assert late.read.read_ms == second.to_ms
    third = recorder.plan_next()
    assert (third.first_number, third.previous_digest, third.last_number) == (4, places[-1].digest, 4)
    assert (third.from_ms, third.to_ms) == (second.to_ms, second.to_ms)
    assert recorder.store.batch_to_record() == first
    recorder.mark_recorded(first, 7)
    assert (recorder.store.batch_to_record(), recorder.store.last_recorded()) == (second, first)
    assert recorder.store.height_of(1) == 7


def test_a_batch_has_at_most_as_many_reads_as_the_policy_says(tmp_path: Path, clock: Clock) -> None:
    with Recorder(
        tmp_path / "reads.db", DEPARTMENT, ACCOUNT, RecordingPolicy(max_batch_records=2), clock, clock
    ) as recorder:
        for n in range(5):
            clock.ms += 10
            recorder.record(draft(str(n)))
        plans = [recorder.plan_next() for _ in range(3)]
        assert [(plan.first_number, plan.count) for plan in plans] == [(1, 2), (3, 2), (5, 1)]
        assert [plan.to_ms for plan in plans] == [START_MS + 20, START_MS + 40, START_MS + 50]


def test_what_is_not_on_disk_is_not_recorded(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder.record(draft("before"))
    keep_reads = recorder.store.keep_reads

    def fail(kept: Any) -> None:
        raise RecordingFailed("RECORDING_FAILED", "磁盘已满", "the disk is full")

    monkeypatch.setattr(recorder.store, "keep_reads", fail)
    failing = [recorder.record_soon(draft(str(n))) for n in range(3)]
    for answer in failing:
        with pytest.raises(RecordingFailed):
            answer.result()
    monkeypatch.setattr(recorder.store, "keep_reads", keep_reads)
    assert recorder.record(draft("after")).number == 2
    with pytest.raises(InputError):
        recorder.record(draft("bad", refusal="NOT_SERVED"))
    assert check_chain(recorder.store) == 2
    recorder.close()
    with pytest.raises(RecordingFailed):
        recorder.record(draft("closed"))


def test_a_full_disk_is_named(recorder: Recorder) -> None:
    recorder.record(draft("before"))
    pages = recorder.store._database.execute("PRAGMA page_count").fetchone()[0]
    recorder.store._database.execute(f"PRAGMA max_page_count={pages}")
    with pytest.raises(RecordingFailed) as failed:
        recorder.record_many([draft(str(n)) for n in range(500)])
    assert failed.value.code == "RECORDING_FAILED"
    recorder.store._database.execute("PRAGMA max_page_count=1000000")
    assert recorder.record(draft("after")).number == 2


def test_a_department_that_stops_without_the_chain_does(tmp_path: Path, clock: Clock) -> None:
    policy = RecordingPolicy(heartbeat_s=60, on_outage=STOP, stop_after_s=60)
    with Recorder(tmp_path / "reads.db", DEPARTMENT, ACCOUNT, policy, clock, clock) as recorder:
        clock.ms += 60_000
        assert recorder.is_open_for_reads()
        clock.ms += 1
        assert not recorder.is_open_for_reads()
        recorder.mark_recorded(recorder.plan_next(), 3)
        assert recorder.is_open_for_reads()
        recorder.shut(InputError("STORE_FORKED", "分叉", "forked"))
        assert not recorder.is_open_for_reads()
    with Recorder(tmp_path / "again.db", DEPARTMENT, ACCOUNT, RecordingPolicy(), clock, clock) as recorder:
        clock.ms += 10**9
        assert recorder.is_open_for_reads()
    with pytest.raises(InputError):
        Recorder(tmp_path / "x.db", DEPARTMENT, ACCOUNT, RecordingPolicy(on_outage=STOP, stop_after_s=10), clock, clock)


KILLED = """
import sys
from pathlib import Path
sys.path[:0] = [{root!r}]
from tests.made_reads import DEPARTMENT, made_draft as draft
from sdk.access_recording.policy import RecordingPolicy
from sdk.access_recording.recorder import Recorder
recorder = Recorder(Path({path!r}), DEPARTMENT, bytes(19) + bytes((1,)), RecordingPolicy(max_batch_records=7))
while True:
    waiting = [recorder.record_soon(draft(str(n))) for n in range(5)]
    for answer in waiting:
        place = answer.result()
        print(place.number, place.digest.hex(), flush=True)
    recorder.plan_next()
"""


def test_nothing_that_was_acknowledged_is_lost_in_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "reads.db"
    program = KILLED.format(root=os.getcwd(), path=str(path))
    acknowledged: dict[int, str] = {}
    for lines in (3, 31):
        with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for _ in range(lines):
                number, digest = process.stdout.readline().split()
                acknowledged[int(number)] = digest
            process.send_signal(signal.SIGKILL)
            for line in process.stdout.read().splitlines():
                number, digest = line.split()
                acknowledged[int(number)] = digest
    with Recorder(path, DEPARTMENT, ACCOUNT, RecordingPolicy()) as recorder:
        count = check_chain(recorder.store)
        kept = [reads.read_digest(reads.decode_read(raw)).hex() for raw in recorder.store.encoded_reads(1, count)]
        assert all(kept[number - 1] == digest for number, digest in acknowledged.items())
        # The batches that were planned are whole, and the next one goes on behind them.
        plan, covered = recorder.plan_next(), 0
        for batch_number in range(1, plan.batch_number + 1):
            batch = recorder.store.batch(batch_number)
            assert batch is not None
            assert batch.first_number == covered + 1
            covered = batch.last_number
        assert covered == count


def test_a_reader_does_not_wait_for_the_writer(recorder: Recorder) -> None:
    recorder.record(draft("one"))
    with sqlite3.connect(recorder.store.path, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        assert len(recorder.store.find_reads()) == 1
        other.execute("ROLLBACK")
    other.close()


def test_a_fault_of_ours_leaves_nobody_waiting_and_shuts(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(kept: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(recorder.store, "keep_reads", fail)
    with pytest.raises(RecordingFailed) as failed:
        recorder.record(draft("one"))
    assert failed.value.code == "RECORDER_BROKEN"
    assert not recorder.is_open_for_reads()


def test_look_ups_go_by_an_index(recorder: Recorder) -> None:
    asked: list[str] = []
    wanted: list[dict[str, Any]] = [
        {"grant": sm3(b"g")},
        {"person": sm3(b"p")},
        {"case_number": "c"},
        {"read_id": sm3(b"i")},
        {"from_ms": 1, "to_ms": 2},
    ]
    with recorder.store._reading() as reader:
        reader.set_trace_callback(asked.append)
        for one in wanted:
            recorder.store.find_reads(**one)
        reader.set_trace_callback(None)
        looked_up = [query for query in asked if query.startswith("SELECT body")]
        plans = [" ".join(row[3] for row in reader.execute("EXPLAIN QUERY PLAN " + query)) for query in looked_up]
    for plan, name in zip(plans, ("grant", "person", "case", "id", "time"), strict=True):
        assert f"reads_by_{name}" in plan, plan
        assert "SCAN" not in plan, plan
