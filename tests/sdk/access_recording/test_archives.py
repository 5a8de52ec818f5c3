"""Archives of a store: what has moved is found as before, nothing moves that is not the ledger's, and a cut-off run is finished."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from contracts.data_sharing.access import BatchRecord
from sdk.access_recording import archives
from sdk.access_recording.archives import archive_reads
from sdk.access_recording.policy import RecordingPolicy
from sdk.access_recording.recorder import Recorder
from sdk.access_recording.stored_reads import MAX_IDLE_READERS, StoredReads
from sm_crypto.sm3 import sm3
from tests.made_reads import DEPARTMENT, made_draft
from verification.access.reads import decode_read, read_digest
from verification.errors import InputError

ACCOUNT = bytes(19) + b"\1"
START_MS = 1_764_000_000_000
DAY_MS = 86_400_000


class Office:
    """A recorder at work on a clock that tests turn, and a ledger that has what it was told."""

    def __init__(self, folder: Path, account: bytes = ACCOUNT) -> None:
        self.account = account
        self.now_ms, self.folder, self.path = START_MS, folder / "archives", folder / "reads.sqlite"
        self.ledger: dict[int, BatchRecord] = {}
        self.open()

    def open(self) -> None:
        clock: Callable[[], int] = lambda: self.now_ms  # noqa: E731 - as a recorder takes it
        self.recorder = Recorder(self.path, DEPARTMENT, self.account, RecordingPolicy(), clock, clock)

    def close(self) -> None:
        self.recorder.close()

    def day(self, *names: str) -> None:
        """Record reads of a day in one batch, and a heartbeat after them; the day is over."""
        if names:
            self.recorder.record_many([made_draft(name) for name in names])
        for _ in range(2):
            self.now_ms += DAY_MS // 2
            self.recorder.see_time(self.now_ms)
            plan = self.recorder.plan_next()
            self.ledger[plan.batch_number] = BatchRecord(
                DEPARTMENT, self.account, **plan.arguments(), due_ms=0, recorded_ms=0
            )
            self.recorder.mark_recorded(plan, plan.batch_number)

    def archive(self, before_ms: int | None = None, **changes: Any) -> Any:
        given = {"is_copied": False} | changes
        return archive_reads(self.path, before_ms or self.now_ms + 1, self.folder, self.find_batches, **given)

    def find_batches(self, numbers: Iterable[int]) -> Iterator[BatchRecord]:
        return map(self.ledger.__getitem__, numbers)

    def names(self, **wanted: Any) -> list[int]:
        return [decode_read(raw).number for raw in self.recorder.store.find_reads(**wanted)]


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    with contextlib.closing(Office(tmp_path)) as made:
        yield made


def count_here(path: Path) -> tuple[int, int]:
    with sqlite3.connect(path) as database:
        counted = [database.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in ("reads", "batches")]
    database.close()
    return counted[0], counted[1]


def free_pages(path: Path) -> int:
    with contextlib.closing(sqlite3.connect(path)) as database:
        return int(database.execute("PRAGMA freelist_count").fetchone()[0])


def test_what_has_moved_is_given_back_to_the_disk(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "PAUSE_S", 0)
    monkeypatch.setattr(archives, "MAX_GIVEN_BACK", 20)
    office.day(*(f"old{n}" for n in range(500)))
    office.day("new")
    # As large as it gets: everything is in the file, nothing only in the log.
    office.recorder.close()
    office.open()
    largest = office.path.stat().st_size
    office.archive()
    assert free_pages(office.path) == 0
    office.recorder.close()
    assert office.path.stat().st_size < largest / 5
    office.open()
    assert office.recorder.record(made_draft("c")).number == 502
    assert office.names() == list(range(1, 503))


def test_what_has_moved_is_found_as_before(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MAX_DROPPED", 2)
    monkeypatch.setattr(archives, "PAUSE_S", 0)
    for names in (("a", "b", "c"), ("d", "a"), ("e",)):
        office.day(*names)
    store = office.recorder.store
    encoded, plans = store.encoded_reads(1, 6), [store.batch(number) for number in range(1, 7)]
    first = office.archive(START_MS + DAY_MS + 1)
    assert (first.first_number, first.last_number, first.first_batch, first.last_batch) == (1, 3, 1, 2)
    second = office.archive(START_MS + 2 * DAY_MS + 1)
    assert (second.first_number, second.last_number, second.first_batch, second.last_batch) == (4, 5, 3, 4)
    assert count_here(office.path) == (1, 2)
    assert office.archive(START_MS + 2 * DAY_MS + 1) is None
    assert store.first_number() == 6
    assert store.encoded_reads(1, 6) == encoded
    assert store.encoded_reads(2, 4) == encoded[1:4]
    assert [store.batch(number) for number in range(1, 7)] == plans
    assert [store.height_of(number) for number in (1, 4, 6)] == [1, 4, 6]
    assert office.names() == [1, 2, 3, 4, 5, 6]
    assert office.names(person=sm3(b"a")) == [1, 5]
    assert office.names(first=3, last=4) == [3, 4]
    assert office.names(limit=4) == [1, 2, 3, 4]
    assert office.names(from_ms=START_MS + DAY_MS, to_ms=START_MS + 3 * DAY_MS - 1) == [4, 5, 6]
    assert office.names(read_id=sm3(b"idb")) == [2]
    # The stream goes on, and another process finds the same.
    office.day("f")
    assert store.last_batch() is not None
    assert office.names(first=6) == [6, 7]
    other = StoredReads(office.path)
    assert other.encoded_reads(1, 6) == encoded
    other.close()


def test_stores_of_one_name_have_archives_of_their_own_in_one_folder(office: Office, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    with contextlib.closing(Office(tmp_path / "other", bytes(19) + b"\2")) as other:
        other.folder = office.folder
        for each, name in ((office, "a"), (other, "b")):
            each.day(name)
            each.day()
            assert each.archive(START_MS + DAY_MS + 1) is not None
        assert len(list(office.folder.iterdir())) == 2
        for each, name in ((office, "a"), (other, "b")):
            assert each.names(read_id=sm3(f"id{name}".encode())) == [1]


def test_what_a_killed_run_had_of_an_archive_is_taken_away(office: Office) -> None:
    office.day("a")
    office.day("b")
    written = Path(office.archive(START_MS + DAY_MS + 1).file)
    first = written.name.removesuffix("-000000000001-000000000002.sqlite")
    left = [written.with_name(f"{first}-000000000003-000000000004.sqlite.new{end}") for end in ("", "-journal")]
    kept = written.with_name("reads-00000002-000000000003-000000000004.sqlite.new")
    for path in (*left, kept):
        path.write_bytes(b"reads")
    assert office.archive(START_MS + DAY_MS + 1) is None, "nothing is to be moved"
    assert sorted(office.folder.iterdir()) == sorted((written, kept))


def test_a_stream_goes_on_where_all_its_reads_are_archived(office: Office) -> None:
    office.day("a", "b")
    office.day()
    tip = office.recorder.store.tip()
    assert office.archive().last_number == 2
    office.recorder.close()
    office.open()
    found = office.recorder.store.tip()
    assert (found.number, found.digest) == (tip.number, tip.digest)
    place = office.recorder.record(made_draft("c"))
    assert (place.number, place.read.previous_digest) == (3, tip.digest)
    assert (office.recorder.unplanned, office.recorder.plan_next().first_number) == (1, 3)


def test_an_archive_alone_is_a_store_to_read(office: Office) -> None:
    office.day("a", "b")
    office.day("c")
    office.day("d")
    office.archive(START_MS + DAY_MS + 1)
    moved = office.archive(START_MS + 2 * DAY_MS + 1)
    assert Path(moved.file).stat().st_mode & 0o777 == 0o400
    alone = StoredReads(Path(moved.file))
    assert (alone.department, alone.recorder, alone.first_number(), alone.tip().number) == (DEPARTMENT, ACCOUNT, 3, 3)
    assert alone.encoded_reads(1, 9) == office.recorder.store.encoded_reads(3, 3)
    alone.close()


def test_only_what_the_ledger_has_moves_and_the_newest_batch_stays(office: Office) -> None:
    office.day("a")
    office.recorder.record(made_draft("b"))
    office.recorder.plan_next()
    assert office.archive(is_copied=True) is None
    for number in (1, 2, 3):
        office.recorder.store.mark_copied(number)
    moved = office.archive(is_copied=True)
    assert (moved.last_batch, moved.last_number) == (1, 1)
    assert count_here(office.path) == (1, 2)
    assert office.archive() is None


def test_reads_that_are_not_the_ledgers_move_nowhere(office: Office) -> None:
    office.day("a", "b")
    office.day("c")
    with sqlite3.connect(office.path) as database:
        database.execute("UPDATE reads SET body = (SELECT body FROM reads WHERE number = 1) WHERE number = 2")
    database.close()
    with pytest.raises(InputError) as refused:
        office.archive()
    assert refused.value.code == "BODIES_DIFFER"
    assert list(office.folder.iterdir()) == []
    assert count_here(office.path) == (3, 4)


@pytest.mark.parametrize("step", ["_check_archive", "_note_archive", "_drop_archived", "_give_back"])
def test_a_run_that_was_cut_off_is_finished_by_the_next(
    office: Office, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """As a kill leaves it: each step is followed by none, and what is read in between is whole."""
    office.day("a", "b")
    office.day("c")
    encoded = office.recorder.store.encoded_reads(1, 3)
    plain, calls = getattr(archives, step), []

    def cut_off(*arguments: Any) -> None:
        calls.append(step)
        # The first thing of a run is to drop what an earlier one has noted.
        if step != "_drop_archived" or len(calls) == 2:
            raise KeyboardInterrupt
        plain(*arguments)

    monkeypatch.setattr(archives, step, cut_off)
    with pytest.raises(KeyboardInterrupt):
        office.archive()
    monkeypatch.setattr(archives, step, plain)
    assert office.recorder.store.encoded_reads(1, 3) == encoded
    assert office.names() == [1, 2, 3]
    again = office.archive()
    assert (again is None) == (step in ("_drop_archived", "_give_back"))
    assert (count_here(office.path)[0], free_pages(office.path)) == (0, 0)
    assert office.recorder.store.encoded_reads(1, 3) == encoded
    assert len(list(office.folder.iterdir())) == 1


def test_an_archive_is_found_beside_the_store_and_named_where_it_is_missing(office: Office) -> None:
    office.day("a")
    office.day("b")
    moved = Path(office.archive(START_MS + DAY_MS + 1).file)
    shutil.move(moved, office.path.parent)
    assert office.names() == [1, 2]
    (office.path.parent / moved.name).rename(office.path.parent / "elsewhere")
    store = StoredReads(office.path)
    for ask in (store.find_reads, lambda: store.encoded_reads(1, 1), lambda: store.batch(1)):
        with pytest.raises(InputError) as refused:
            ask()
        assert refused.value.code == "ARCHIVE_MISSING"
        assert moved.name in str(refused.value)
    assert len(store.find_reads(first=store.first_number())) == 1
    store.close()


def test_an_archive_that_is_moved_or_spoiled_while_the_store_is_open_is_found_or_named(office: Office) -> None:
    office.day("a")
    office.day("b")
    moved = Path(office.archive(START_MS + DAY_MS + 1).file)
    assert office.names() == [1, 2]
    shutil.move(moved, office.path.parent)
    # Another thread has opened nothing yet.
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.extend(office.names()), daemon=True)
    thread.start()
    thread.join()
    assert found == [1, 2]
    assert not moved.exists()
    # What lies in its place and is none, or another one, is no answer either: the one beside the store is.
    moved.touch()
    assert office.names() == [1, 2]
    other = office.archive(START_MS + 2 * DAY_MS + 1)
    moved.write_bytes(Path(other.file).read_bytes())
    assert office.names() == [1, 2]
    (office.path.parent / moved.name).write_bytes(b"")
    with pytest.raises(InputError) as refused:
        office.names()
    assert refused.value.code == "ARCHIVE_MISSING"


def test_a_time_that_lies_in_the_store_wants_no_archive(office: Office) -> None:
    for day in range(8):
        office.day(f"r{day}")
    moved = Path(office.archive(START_MS + 6 * DAY_MS + 1).file)
    expected = [office.recorder.store.numbers_within(START_MS + day * DAY_MS + 1, office.now_ms) for day in (6, 7)]
    moved.rename(moved.with_name("elsewhere"))
    within = office.recorder.store.numbers_within
    assert [within(START_MS + day * DAY_MS + 1, office.now_ms) for day in (6, 7)] == expected == [(7, 8), (8, 8)]
    # Whose numbers are none of it does not ask it where a longer time begins or ends.
    assert within(0, office.now_ms, 7) == (7, 8)
    assert within(0, office.now_ms, 8, 8) == (8, 8)
    first, last = within(0, START_MS + 5 * DAY_MS, 7, 8)
    assert first > last
    for bounds in ((), (6,), (1, 3)):
        with pytest.raises(InputError) as refused:
            within(START_MS + 5 * DAY_MS + 1, office.now_ms, *bounds)
        assert refused.value.code == "ARCHIVE_MISSING"
    moved.with_name("elsewhere").rename(moved)
    assert within(0, START_MS + 3 * DAY_MS - 1, 2, 3) == (2, 3)
    assert within(START_MS + DAY_MS + 1, START_MS + 3 * DAY_MS - 1) == (2, 3)


def test_threads_that_come_and_go_leave_no_file_open(office: Office) -> None:
    for names in (("a",), ("b",), ("c",)):
        office.day(*names)
    office.archive(START_MS + DAY_MS + 1)
    office.archive(START_MS + 2 * DAY_MS + 1)

    def look() -> None:
        gate.wait()
        office.names()

    for _ in range(3):
        gate = threading.Barrier(3 * MAX_IDLE_READERS)
        threads = [threading.Thread(target=look, daemon=True) for _ in range(gate.parties)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(open_files(office.folder)) == 0
    # While the writer has its lock, SQLite keeps the file of a closed connection for the next one: never more than at once.
    assert len(open_files(office.path)) <= gate.parties + 2 * (MAX_IDLE_READERS + 1) + 2
    office.recorder.close()
    assert open_files(office.path) == []
    office.open()


def open_files(path: Path) -> list[str]:
    """Return the open files of this process whose names begin so."""
    held = []
    for descriptor in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):
            held.append(os.readlink(f"/proc/self/fd/{descriptor}"))
    return [name for name in held if name.startswith(str(path))]


def test_a_recorder_at_work_loses_nothing_meanwhile(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MAX_DROPPED", 3)
    monkeypatch.setattr(archives, "PAUSE_S", 0.001)
    office.day(*(f"before{n}" for n in range(60)))
    office.day("between")
    found: list[bytes] = []
    is_done = threading.Event()

    def work() -> None:
        while not is_done.is_set():
            office.recorder.record(made_draft("meanwhile"))
            found.extend(office.recorder.store.find_reads(read_id=sm3(b"idbefore30")))

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    moved = office.archive()
    is_done.set()
    thread.join()
    assert moved.last_number == 61
    # Whoever looked meanwhile found a read once, wherever it just was.
    assert [decode_read(raw).number for raw in found] == [31] * (office.recorder.number - 61)
    digest = bytes(32)
    for number, raw in enumerate(office.recorder.store.encoded_reads(1, office.recorder.number), 1):
        read = decode_read(raw)
        assert (read.number, read.previous_digest) == (number, digest)
        digest = read_digest(read)
    assert digest == office.recorder.store.tip().digest


def test_a_look_up_finds_what_moves_in_the_middle_of_it(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    office.day("a", "b")
    office.day("c")
    store = office.recorder.store
    moved: list[Any] = []
    plain = store.archives

    def archives_before_the_move() -> Any:
        found = plain()
        if not moved:
            moved.append(office.archive())
        return found

    def listed() -> list[int]:
        return [decode_read(raw).number for raw in store.encoded_reads(1, 3)]

    asks: list[Callable[[], list[int]]] = [office.names, listed]
    for ask in asks:
        monkeypatch.setattr(store, "archives", archives_before_the_move)
        assert ask() == [1, 2, 3]
        monkeypatch.undo()
        assert ask() == [1, 2, 3]
    assert moved


def test_one_run_at_a_time(office: Office) -> None:
    office.day("a")
    with archives._only_run(office.path), pytest.raises(InputError) as refused:
        office.archive()
    assert refused.value.code == "STORE_BUSY"


def test_the_numbers_of_a_time_are_those_of_all_batches_that_touch_it(office: Office) -> None:
    """Each day has a batch with its reads, which come at its begin, and a heartbeat; the first day is archived."""
    for names in (("a", "b"), ("c",), ("d", "e")):
        office.day(*names)
    office.archive(START_MS + DAY_MS + 1)
    office.recorder.record(made_draft("f"))
    within = office.recorder.store.numbers_within
    assert within(START_MS, START_MS + 3 * DAY_MS) == (1, 6)
    assert within(START_MS + DAY_MS + 1, START_MS + 2 * DAY_MS - 1) == (3, 3)
    assert within(START_MS + 1, START_MS + DAY_MS + 1) == (1, 3)
    # Nothing was before the first batch, which that one shows.
    assert within(0, START_MS - 1) == (1, 2)
    # What is in no batch yet has its time only.
    assert within(START_MS + 3 * DAY_MS + 1, START_MS + 4 * DAY_MS) == (6, 6)
    first, last = within(START_MS + 2 * DAY_MS + DAY_MS // 2 + 1, START_MS + 3 * DAY_MS - 1)
    assert first > last
