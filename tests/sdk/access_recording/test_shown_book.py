"""The note of who was shown reads of a store: one line a day for each account and query, private, and there before the answer."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from sdk.access_recording.read_store import RecordingFailed
from sdk.access_recording.shown_book import Shown, ShownBook, ShownOfDay

AUDITOR, PARTY = b"\1" * 20, b"\2" * 20
NOON_MS = 1_764_000_000_000


def test_answers_of_a_day_are_one_line_for_each_account_and_query(tmp_path: Path) -> None:
    book = ShownBook(tmp_path / "reads.sqlite")
    assert book.newest(10) == []
    book.note(Shown(AUDITOR, "A", 7, 5, 9, 5), NOON_MS)
    book.note(Shown(AUDITOR, "A", 7, 1, 3, 3), NOON_MS + 1)
    book.note(Shown(AUDITOR, "A", 8, 1, 1, 1), NOON_MS + 2)
    book.note(Shown(PARTY, "B", 0, 2, 2, 1), NOON_MS + 3)
    book.note(Shown(AUDITOR, "A", 7, 1, 9, 9), NOON_MS + 86_400_000)
    assert book.newest(10) == [
        ShownOfDay(AUDITOR, "A", 7, 1, 9, 9, 1, NOON_MS + 86_400_000, NOON_MS + 86_400_000),
        ShownOfDay(PARTY, "B", 0, 2, 2, 1, 1, NOON_MS + 3, NOON_MS + 3),
        ShownOfDay(AUDITOR, "A", 8, 1, 1, 1, 1, NOON_MS + 2, NOON_MS + 2),
        ShownOfDay(AUDITOR, "A", 7, 1, 9, 8, 2, NOON_MS, NOON_MS + 1),
    ]
    assert len(book.newest(2)) == 2
    assert book.path.stat().st_mode & 0o077 == 0


def test_notes_of_several_threads_are_all_there(tmp_path: Path) -> None:
    def note() -> None:
        for _ in range(5):
            ShownBook(tmp_path / "reads.sqlite").note(Shown(PARTY, "B", 0, 1, 1, 1), NOON_MS)

    threads = [threading.Thread(target=note, daemon=True) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (found,) = ShownBook(tmp_path / "reads.sqlite").newest(10)
    assert (found.answers, found.reads) == (15, 15)


def test_what_cannot_be_noted_is_named(tmp_path: Path) -> None:
    book = ShownBook(tmp_path / "reads.sqlite")
    book.path.write_bytes(b"something else, and no database at all")
    with pytest.raises(RecordingFailed) as failed:
        book.note(Shown(PARTY, "B", 0, 1, 1, 1), NOON_MS)
    assert failed.value.code == "RECORDING_FAILED"
