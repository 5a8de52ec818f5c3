"""The shelf: the one snapshot that a running node keeps on disk for others, made in a thread of its own at half speed.

The thread works no more than half of the time, so that consensus on the loop's thread is never kept waiting for long.
"""

from __future__ import annotations

import errno
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from node.chain.codec import encode
from node.chain.faults import LocalFault
from node.chain.proof import MAX_PROOF_WALK
from node.chain.snapshot import MAX_CHUNKS, MAX_OFFER_BYTES
from node.ledger.snapshot import SnapshotSource, make_snapshot
from node.logs import Log

MIN_FREE_BYTES: Final = 512 * 1024 * 1024
"""Making ends where less is free: blocks need the disk more."""
PACE_ENTRIES: Final = 256

_LOG = Log("snapshot")


class ShelvedSnapshot(NamedTuple):
    """What lies on the shelf: its height and the encoded offer of it."""

    height: int
    offer: bytes


class _Ended(Exception):
    """The node ends, and the making with it."""


class SnapshotShelf:
    """At most one snapshot in a folder of its own; not for more than one thread, the making apart."""

    def __init__(self, folder: Path, call_soon: Callable[..., object]) -> None:
        """Begin empty: what an earlier process left is deleted. `call_soon` brings a call to the caller's thread."""
        self._folder = folder
        self._call_soon = call_soon
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None
        shutil.rmtree(folder, ignore_errors=True)

    def make(self, source: SnapshotSource, done: Callable[[ShelvedSnapshot | None], None]) -> None:
        """Make a snapshot in place of the one that is here, and call `done` later: with None where that fails, see the log.

        Raises ValueError while one is being made.
        """
        if self._thread is not None:
            raise ValueError("expected one snapshot to be made at a time")
        self._thread = threading.Thread(target=self._work, args=(source, done), name="snapshot", daemon=True)
        self._thread.start()

    def chunk(self, index: int) -> bytes | None:
        """Return a chunk of the snapshot that is here, None where there is none of that index; raise OSError."""
        try:
            return (self._folder / str(index)).read_bytes()
        except FileNotFoundError:
            return None

    def clear(self) -> None:
        """Delete what is here; nothing may be in the making."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def close(self) -> None:
        """End a making that is under way, and delete what is here. To be closed before the ledger."""
        self._ending.set()
        if self._thread is not None:
            self._thread.join()
        self.clear()

    def _work(self, source: SnapshotSource, done: Callable[[ShelvedSnapshot | None], None]) -> None:
        height = source.header.height
        started_s = time.monotonic()
        made: ShelvedSnapshot | None = None
        pace = _Pace(self._folder.parent, self._ending)
        try:
            # Peers would take an offer that they cannot decode for a lie.
            if len(source.walk) > MAX_PROOF_WALK:
                raise OSError(errno.EFBIG, f"more than {MAX_PROOF_WALK} changes of the validators for one snapshot")
            paced = msgspec.structs.replace(source, values=_paced(source.values, pace.rest))
            offer = make_snapshot(paced, self._folder, pace.rest)
            raw = encode(offer)
            if len(raw) > MAX_OFFER_BYTES or len(offer.chunks) > MAX_CHUNKS:
                raise OSError(errno.EFBIG, f"the state is too large for one snapshot: {len(offer.chunks)} chunks")
            made = ShelvedSnapshot(height, raw)
            _LOG.info(
                "snapshot_made",
                height=height,
                chunks=len(offer.chunks),
                elapsed_ms=int(1_000 * (time.monotonic() - started_s)),
            )
        except _Ended:
            return
        except (LocalFault, OSError) as error:
            _LOG.error("snapshot_failed", height=height, reason=str(error))
        except Exception:  # noqa: BLE001 - a fault here is not consensus's
            _LOG.exception("snapshot_failed", height=height)
        if made is None:
            shutil.rmtree(self._folder, ignore_errors=True)
        self._call_soon(self._finish, made, done)

    def _finish(self, made: ShelvedSnapshot | None, done: Callable[[ShelvedSnapshot | None], None]) -> None:
        self._thread = None
        done(made)


class _Pace:
    """Rests as long as the thread has worked since the last rest."""

    def __init__(self, folder: Path, ending: threading.Event) -> None:
        self._folder = folder
        self._ending = ending
        self._rested_s = time.thread_time()

    def rest(self) -> None:
        """Wait; raise OSError where the disk fills, _Ended where the node ends."""
        if shutil.disk_usage(self._folder).free < MIN_FREE_BYTES:
            raise OSError(errno.ENOSPC, f"less than {MIN_FREE_BYTES} bytes are free in {self._folder}")
        if self._ending.wait(time.thread_time() - self._rested_s):
            raise _Ended
        self._rested_s = time.thread_time()


def _paced(values: Iterator[tuple[bytes, bytes]], rest: Callable[[], None]) -> Iterator[tuple[bytes, bytes]]:
    for number, entry in enumerate(values):
        if number % PACE_ENTRIES == 0:
            rest()
        yield entry
