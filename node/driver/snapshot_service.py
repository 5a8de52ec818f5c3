"""The serving side of joining by snapshot: one snapshot for all, made when a peer asks, its chunks sent in turn and slowly.

Whoever asks first decides the height; those who ask while it is fresh get the same one. See docs/spec/snapshot.md.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final, Protocol, assert_never

from node.chain.faults import LocalFault
from node.ledger.ledger import Ledger
from node.ledger.snapshot_shelf import ShelvedSnapshot, SnapshotShelf
from node.logs import Log
from node.wire.frames import ChunkRequest, ChunkResponse, Frame, OfferState, SnapshotRequest, SnapshotResponse

MAX_READERS: Final = 4
"""Peers that are served at a time."""
READER_MS: Final = 30_000
"""After its last request a peer is no reader any more."""
MAX_OPEN_CHUNKS: Final = 8
"""Of one peer; one that asks for more at a time is dropped."""
CHUNK_INTERVAL_MS: Final = 20
"""Between two chunks, whoever gets them: a megabyte to encrypt keeps consensus waiting for some milliseconds."""
OFFER_INTERVAL_MS: Final = 1_000
"""Between two offers to one peer; they may be as long as 12 MB."""
FRESH_MS: Final = 600_000
"""How old a snapshot may be to be offered to newcomers, and how long it is kept after its last use."""
LONGEST_MS: Final = 3_600_000
"""How long a snapshot is kept at most: one peer that asks on must not keep newcomers from a fresh one."""
FAILURE_MS: Final = 60_000
"""How long none is tried after one could not be made."""
MAX_AHEAD: Final = 8
AHEAD_MS: Final = 3_000
"""A height that is asked for and is up to MAX_AHEAD above the head is waited for this long."""
TICK_MS: Final = 1_000

_LOG = Log("snapshot")


class ServiceEffects(Protocol):
    """What serving needs from outside."""

    def now_ms(self) -> int:
        """Return wall time."""

    def send(self, peer: str, frame: Frame) -> None:
        """Send a frame to one peer."""

    def drop_peer(self, peer: str, reason: str) -> None:
        """Close the connection to a peer that broke a rule."""

    def call_later(self, delay_ms: int, callback: Callable[[], None]) -> object:
        """Call back after this much time."""


class SnapshotService:
    """Answers SnapshotRequest and ChunkRequest; not for more than one thread."""

    def __init__(self, ledger: Ledger, shelf: SnapshotShelf, effects: ServiceEffects) -> None:
        """Make nothing before somebody asks."""
        self._ledger = ledger
        self._shelf = shelf
        self._effects = effects
        self._ready: ShelvedSnapshot | None = None
        self._is_making = False
        self._awaited: tuple[int, int] | None = None
        self._made_ms = 0
        self._failed_ms: int | None = None
        self._readers: dict[str, int] = {}
        self._offered: dict[str, int] = {}
        self._queues: dict[str, deque[ChunkRequest]] = {}
        self._is_sending = False
        self._is_ticking = False

    def on_frame(self, peer: str, frame: SnapshotRequest | ChunkRequest) -> None:
        """Answer a peer's request, chunks a little later."""
        match frame:
            case SnapshotRequest(height=height):
                self._answer(peer, height)
            case ChunkRequest():
                self._enqueue(peer, frame)
            case _:
                assert_never(frame)

    def on_peer_lost(self, peer: str) -> None:
        """Forget what a peer that is gone asked for."""
        self._readers.pop(peer, None)
        self._offered.pop(peer, None)
        self._queues.pop(peer, None)

    def on_committed(self) -> None:
        """Begin the snapshot that was asked for once the ledger stands at its height."""
        if self._awaited is not None and self._ledger.height >= self._awaited[0]:
            self._make()

    def _answer(self, peer: str, height: int) -> None:
        now_ms = self._effects.now_ms()
        self._forget_readers(now_ms)
        others = self._readers.keys() - {peer}
        is_worn = self._ready is not None and self._is_worn(now_ms)
        if len(others) >= MAX_READERS or (is_worn and others and not self._is_over(now_ms)):
            self._effects.send(peer, SnapshotResponse(OfferState.BUSY, 0, b""))
            return
        if is_worn:
            self._clear()
        if self._ready is not None:
            if abs(now_ms - self._offered.get(peer, 0)) >= OFFER_INTERVAL_MS:
                self._offered[peer] = self._readers[peer] = now_ms
                self._effects.send(peer, SnapshotResponse(OfferState.READY, self._ready.height, self._ready.offer))
            return
        if self._ledger.height == 0 or (
            self._failed_ms is not None and 0 <= now_ms - self._failed_ms < FAILURE_MS and not self._is_making
        ):
            self._effects.send(peer, SnapshotResponse(OfferState.NONE, 0, b""))
            return
        self._readers[peer] = now_ms
        self._begin(height, now_ms)
        self._effects.send(peer, SnapshotResponse(OfferState.MAKING, 0, b""))

    def _begin(self, height: int, now_ms: int) -> None:
        self._keep_ticking()
        if self._is_making or self._awaited is not None:
            return
        if self._ledger.height < height <= self._ledger.height + MAX_AHEAD:
            self._awaited = (height, now_ms)
        else:
            self._make()

    def _make(self) -> None:
        """Pin the state as it is now and let it be written."""
        self._awaited = None
        self._is_making = True
        try:
            self._shelf.make(self._ledger.snapshot_source(), self._take)
        except (LocalFault, LookupError) as error:
            _LOG.error("snapshot_failed", height=self._ledger.height, reason=str(error))
            self._take(None)

    def _take(self, made: ShelvedSnapshot | None) -> None:
        self._is_making = False
        self._ready = made
        self._made_ms = self._effects.now_ms()
        self._failed_ms = self._made_ms if made is None else None

    def _enqueue(self, peer: str, request: ChunkRequest) -> None:
        now_ms = self._effects.now_ms()
        self._forget_readers(now_ms)
        if peer not in self._readers and len(self._readers) >= MAX_READERS:
            self._effects.send(peer, ChunkResponse(request.height, request.index, b""))
            return
        self._readers[peer] = now_ms
        self._keep_ticking()
        queue = self._queues.setdefault(peer, deque())
        if len(queue) >= MAX_OPEN_CHUNKS:
            del self._queues[peer]
            self._effects.drop_peer(peer, f"asked for more than {MAX_OPEN_CHUNKS} chunks at a time")
            return
        queue.append(request)
        if not self._is_sending:
            self._is_sending = True
            self._effects.call_later(0, self._send_next)

    def _send_next(self) -> None:
        """Answer the request whose turn it is, and let another peer's be the next."""
        self._is_sending = bool(self._queues)
        if not self._queues:
            return
        peer = next(iter(self._queues))
        queue = self._queues.pop(peer)
        request = queue.popleft()
        if queue:
            self._queues[peer] = queue
        self._effects.send(peer, ChunkResponse(request.height, request.index, self._chunk(request)))
        self._effects.call_later(CHUNK_INTERVAL_MS, self._send_next)

    def _chunk(self, request: ChunkRequest) -> bytes:
        """Return the chunk asked for, nothing where it is not here."""
        if self._ready is None or request.height != self._ready.height:
            return b""
        try:
            return self._shelf.chunk(request.index) or b""
        except OSError as error:
            _LOG.error("snapshot_unreadable", height=request.height, index=request.index, reason=str(error))
            return b""

    def _keep_ticking(self) -> None:
        if not self._is_ticking:
            self._is_ticking = True
            self._effects.call_later(TICK_MS, self._tick)

    def _tick(self) -> None:
        """Look, while there is anything to look after, whether a height was waited for long enough and what lies here too long."""
        now_ms = self._effects.now_ms()
        self._is_ticking = False
        self._forget_readers(now_ms)
        if self._awaited is not None and not 0 <= now_ms - self._awaited[1] < AHEAD_MS:
            self._make()
        if self._ready is not None and self._is_worn(now_ms) and (not self._readers or self._is_over(now_ms)):
            self._clear()
        if self._ready is not None or self._is_making or self._awaited is not None or self._readers:
            self._keep_ticking()

    def _forget_readers(self, now_ms: int) -> None:
        self._readers = {peer: seen for peer, seen in self._readers.items() if 0 <= now_ms - seen < READER_MS}

    def _is_worn(self, now_ms: int) -> bool:
        return not 0 <= now_ms - self._made_ms < FRESH_MS

    def _is_over(self, now_ms: int) -> bool:
        return not 0 <= now_ms - self._made_ms < LONGEST_MS

    def _clear(self) -> None:
        self._ready = None
        self._offered.clear()
        self._shelf.clear()
