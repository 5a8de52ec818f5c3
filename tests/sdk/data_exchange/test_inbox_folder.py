"""An inbox's folder: files of it go away at any moment, and nobody's many files make those of others slow; without a ledger."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import pytest

from contracts.data_sharing.deliveries import UNANSWERED, DeliveryRecord, Parcel
from sdk.data_exchange import inbox as inbox_module
from sdk.data_exchange.inbox import GIB, Inbox
from tests.hand_made_chain import CONSUMER, DEPARTMENT

OTHER = "11990100MB0000099X"
CONTENT = b"sealed content"


@pytest.fixture
def inbox(tmp_path: Path) -> Inbox:
    """An inbox that asks no ledger: there is nothing in it yet to be given up."""
    client: Any = None
    return Inbox(client, CONSUMER, tmp_path, GIB)


def delivery(provider: str, number: int) -> DeliveryRecord:
    """A delivery of CONTENT, as the ledger would have it."""
    parcel = Parcel(bytes(32), hashlib.new("sm3", CONTENT).digest(), 9, len(CONTENT), 1, 1)
    return DeliveryRecord(
        bytes(32), number, provider, CONSUMER, parcel, 1, bytes(20), UNANSWERED, bytes(32), "", 0, bytes(20)
    )


def test_files_may_go_away_while_room_is_looked_for(
    inbox: Inbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As they do when the consumer takes them out, or another thread puts a whole one in its place."""
    assert inbox.take(delivery(DEPARTMENT, 1), 0, CONTENT) == len(CONTENT)
    listed = os.scandir

    def scandir(folder: Path) -> list[os.DirEntry[str]]:
        entries = list(listed(folder))
        inbox.path(delivery(DEPARTMENT, 1)).unlink(missing_ok=True)
        return entries

    monkeypatch.setattr(os, "scandir", scandir)
    assert inbox.take(delivery(DEPARTMENT, 2), 0, CONTENT) == len(CONTENT)
    assert [path.name for path in (tmp_path / DEPARTMENT).iterdir()] == [f"{bytes(32).hex()}-2.govx"]


def test_small_files_of_one_provider_do_not_make_those_of_others_slow(
    inbox: Inbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each new piece of a file is added to what is known of it; it is read again from its beginning only where that was dropped."""
    monkeypatch.setattr(inbox_module, "MAX_STATES", 4)
    inbox.take(delivery(OTHER, 1), 0, CONTENT[:5])
    for number in range(1, 12):
        inbox.take(delivery(DEPARTMENT, number), 0, CONTENT[:1])
    (part,) = (tmp_path / OTHER).iterdir()
    part.write_bytes(b"other")
    # What was not read again is not known to be another.
    assert inbox.take(delivery(OTHER, 1), 5, CONTENT[5:]) == len(CONTENT)
