"""Joining by snapshot: an empty node asks peers for an offer, fetches chunks and blocks from several, and names who sends a bad one.

It stands where the driver stands otherwise, takes no part in consensus, and ends when the new ledger is whole. It reads no
clock and opens no socket; only the ledger in the making, which the offer it chose begins, is on disk.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from consensus.round import Step
from node.chain.faults import LocalFault
from node.chain.snapshot import BadSnapshot, SnapshotOffer, decode_offer
from node.chain.transaction import VerifiedTransaction
from node.driver.driver import DriverStatus
from node.driver.effects import Effects, TickTimer, Timer
from node.driver.join_status import JoinStatus
from node.driver.peer_progress import PeerProgress, PeerTable
from node.driver.tail_blocks import TailBlocks
from node.driver.txpool import Rejection, RejectionCode
from node.driver.vote_bitmap import make_bitmap
from node.ledger.ledger import Ledger
from node.ledger.snapshot import SnapshotBuilder
from node.logs import Log
from node.wire.frames import (
    BlockRequest,
    BlockResponse,
    ChunkRequest,
    ChunkResponse,
    Frame,
    Hello,
    OfferState,
    SnapshotRequest,
    SnapshotResponse,
    StatusFrame,
)
from sm_crypto.sm3 import sm3

TICK_MS: Final = 1_000
MAX_SOURCES: Final = 3
"""Peers that are asked to make a snapshot: each that does is slowed by it."""
MAX_OPEN_CHUNKS: Final = 4
"""Of one peer; what may come at once stays within 16 MB."""
MAX_SPARE_OFFERS: Final = 2
"""Offers of other snapshots that are held while one is fetched, up to 12 MB each."""
ASK_INTERVAL_MS: Final = 1_000
"""How soon a peer that is making a snapshot is asked again."""
REFUSED_PAUSE_MS: Final = 10_000
"""How soon a peer is asked again that had no snapshot or did not answer."""
BAD_PAUSE_MS: Final = 120_000
"""How soon a peer is asked again that sent something bad."""
SILENCE_MS: Final = 20_000
MAKING_PATIENCE_MS: Final = 300_000
"""After a peer has been making a snapshot for this long, others are asked beside it."""
MIN_BYTES_PER_S: Final = 50_000
"""Of chunks, from all sources together: a snapshot is divided as its sender likes, and one that drips would hold the join for ever."""
SLOW_PATIENCE_MS: Final = 60_000
"""How long less than MIN_BYTES_PER_S may come."""
SOURCE_PATIENCE_MS: Final = 10_000
"""How long what was fetched is kept for a peer that offers the same to come back, before another offer is taken."""
NO_OFFER_MS: Final = 20_000
"""After this long without an offer the log and the status say why, and go on saying it."""
MAX_OFFER_LAG: Final = 50_000
"""An offer further than this below half of the peers would leave more to be fetched than it saves."""
MAX_NAMED_PEERS: Final = 16
CHUNKS_PERCENT: Final = 90
"""How much of the whole the chunks are taken for, the blocks being the rest."""

_LOG = Log("snapshot_join")
_JOINING: Final = Rejection(
    RejectionCode.BUSY, "节点正在以快照加入网络 / this node is joining by snapshot; submit to another one"
)


class _Peer:
    __slots__ = ("ask_at_ms", "asked_ms", "digest", "height", "making_ms", "note", "spare")

    def __init__(self) -> None:
        self.height = 0
        self.ask_at_ms = 0
        self.asked_ms: int | None = None
        self.making_ms: int | None = None
        """Since when it has been making a snapshot."""
        self.digest = b""
        """Of its offer, where it holds the snapshot that is being fetched."""
        self.spare: bytes | None = None
        """Its offer, where it is of another snapshot than the one that is being fetched."""
        self.note = ""

    @property
    def is_engaged(self) -> bool:
        """Whether it was asked, offers, or is making a snapshot."""
        return self.asked_ms is not None or bool(self.digest) or self.spare is not None or self.note == "making"


class SnapshotJoin:
    """The join of one empty node; not for more than one thread."""

    def __init__(
        self,
        ledger: Ledger,
        address: bytes,
        begin: Callable[[SnapshotOffer], SnapshotBuilder],
        effects: Effects,
        ended: Callable[[], None],
    ) -> None:
        """Wait for `start`. `ledger` holds the genesis alone; `begin` begins the new ledger or raises BadSnapshot.

        `ended` is called once `builder` is whole, or once it shows that there is no snapshot because there are no blocks
        yet: `builder` is None then.
        """
        self._ledger = ledger
        self._address = address
        self._begin_building = begin
        self._effects = effects
        self._ended = ended
        self.builder: SnapshotBuilder | None = None
        self._offer: SnapshotOffer | None = None
        self._digest = b""
        self._peers: dict[str, _Peer] = {}
        self._table = PeerTable()
        self._bad_until_ms: dict[str, int] = {}
        self._dropped: list[str] = []
        self._waiting: deque[int] = deque()
        self._open: dict[int, tuple[str, int]] = {}
        self._tail: TailBlocks | None = None
        self._sourceless_ms: int | None = None
        self._fed_until_ms = 0
        self._trouble = ""
        self._is_ended = False

    # Entry points, those of the driver

    def start(self) -> None:
        """Begin to look for an offer."""
        _LOG.info("join_started")
        self._effects.schedule(TICK_MS, TickTimer())

    def on_peer(self, peer: str, hello: Hello) -> None:
        """Ask a newly connected peer where that is due."""
        self._table.greet(peer, hello, self._effects.now_ms())
        self._guard(lambda: self._meet(peer, hello.height))

    def on_peer_lost(self, peer: str) -> None:
        """Ask others for what a peer that is gone still owed."""
        self._table.forget(peer)
        self._guard(lambda: self._forget(peer))

    def on_frame(self, peer: str, frame: Frame) -> None:
        """Take a peer's frame; what belongs to consensus is none of a joining node's."""
        self._guard(lambda: self._take_frame(peer, frame))

    def on_timer(self, token: Timer) -> None:
        """Look once a second what is due."""
        if not self._is_ended and isinstance(token, TickTimer):
            self._effects.schedule(TICK_MS, TickTimer())
            self._guard(self._tick)

    def on_verified(self, transactions: Sequence[VerifiedTransaction], from_peer: str | None) -> list[Rejection | None]:
        """Take no transactions: this node knows no state to judge them by."""
        return [_JOINING] * len(transactions)

    def is_waiting(self, transaction_id: bytes) -> bool:
        """Return False: no transaction waits here."""
        return False

    def peers(self) -> dict[str, PeerProgress]:
        """Return where each connected peer stands, by name."""
        return self._table.progress(self._effects.now_ms())

    @property
    def target_height(self) -> int:
        """The greatest height that more than half of the connected peers say they have."""
        heights = sorted((peer.height for peer in self._peers.values()), reverse=True)
        return heights[len(heights) // 2] if heights else 0

    def status(self) -> DriverStatus:
        """Return where this node stands: at the genesis, with how far the join has come."""
        is_validator = self._ledger.validators().index_of(self._address) is not None
        return DriverStatus(
            height=0,
            round=0,
            step="joining",
            proposer_index=0,
            is_validator=is_validator,
            is_voting=False,
            abstention="正在以快照加入网络 / joining by snapshot" if is_validator else "",
            target_height=self.target_height,
            pool_transactions=0,
            prevoters=(),
            precommitters=(),
            equivocations=0,
            silent_validators=(),
            sync_trouble=self._trouble,
            join=self._join_status(),
        )

    def _join_status(self) -> JoinStatus:
        offer, builder, tail = self._offer, self.builder, self._tail
        total = len(offer.chunks) if offer is not None else 0
        done = total - len(self._waiting) - len(self._open)
        blocks_share = tail.share if tail is not None else 0.0
        percent = CHUNKS_PERCENT * done / total + (100 - CHUNKS_PERCENT) * blocks_share if total else 0.0
        is_whole = self._is_ended and builder is not None
        phase = "whole" if is_whole else "blocks" if tail is not None else "chunks" if builder is not None else "asking"
        return JoinStatus(
            phase,
            offer.header.height if offer is not None else 0,
            done,
            total,
            tail.done if tail is not None else 0,
            100 if is_whole else min(int(percent), 99),
            tuple(self._sources()),
            tuple(self._dropped),
            self._trouble,
        )

    def _guard(self, work: Callable[[], None]) -> None:
        """Do the work and what is due after it; end the node where its disk fails, or after a fault of the program."""
        if self._is_ended:
            return
        try:
            work()
            self._advance()
        except (LocalFault, OSError) as error:
            self._stop(f"the disk does not take the snapshot: {error}")
        except Exception as error:  # noqa: BLE001 - nothing is lost: the node starts again and joins anew
            _LOG.exception("join_fault")
            self._stop(f"a fault of the program, see the log: {error!r}")

    def _stop(self, reason: str) -> None:
        self._is_ended = True
        self._effects.stop(reason)

    def _end(self) -> None:
        self._is_ended = True
        self._trouble = ""
        self._ended()

    # Peers

    def _meet(self, peer: str, height: int) -> None:
        self._forget(peer)
        seen = self._peers[peer] = _Peer()
        seen.height = height
        seen.ask_at_ms = self._bad_until_ms.get(peer, 0)

    def _forget(self, peer: str) -> None:
        self._release(peer)
        self._peers.pop(peer, None)
        if self._tail is not None:
            self._tail.forget(peer)

    def _release(self, peer: str) -> None:
        """Let others be asked for the chunks that this peer owes."""
        owed = [index for index, (owing, _) in self._open.items() if owing == peer]
        for index in owed:
            del self._open[index]
        self._waiting.extendleft(reversed(owed))

    def _set_aside(self, peer: str, note: str, pause_ms: int) -> None:
        """Fetch nothing from this peer before it offers again."""
        seen = self._peers[peer]
        seen.asked_ms, seen.digest, seen.spare, seen.note = None, b"", None, note
        seen.ask_at_ms = self._effects.now_ms() + pause_ms
        self._release(peer)

    def _refuse(self, peer: str, error: BadSnapshot) -> None:
        """Drop and name a peer that sent something bad."""
        _LOG.warning("bad_snapshot", peer=peer, reason=str(error))
        self._dropped = [*self._dropped, f"{peer}: {error}"][-MAX_NAMED_PEERS:]
        self._bad_until_ms[peer] = self._effects.now_ms() + BAD_PAUSE_MS
        self._forget(peer)
        self._effects.drop_peer(peer, f"sent a bad snapshot: {error}")

    def _sources(self) -> list[str]:
        return [name for name, peer in sorted(self._peers.items()) if self._digest and peer.digest == self._digest]

    # Frames

    def _take_frame(self, peer: str, frame: Frame) -> None:
        seen = self._peers.get(peer)
        if seen is None:
            return
        match frame:
            case StatusFrame():
                seen.height = frame.height
                self._table.take(peer, frame, self._effects.now_ms())
            case SnapshotResponse():
                self._take_answer(peer, seen, frame)
            case ChunkResponse():
                self._take_chunk(peer, frame)
            case BlockResponse(blocks=blocks):
                if self._tail is not None:
                    self._tail.take(peer, blocks, self._effects.now_ms())
            case BlockRequest():
                self._effects.send(peer, BlockResponse([]))
            case SnapshotRequest():
                self._effects.send(peer, SnapshotResponse(OfferState.NONE, 0, b""))

    def _take_answer(self, peer: str, seen: _Peer, answer: SnapshotResponse) -> None:
        if seen.asked_ms is None:
            return
        seen.asked_ms = None
        match answer.state:
            case OfferState.MAKING:
                self._wait_for_making(peer, seen, self._effects.now_ms())
            case OfferState.BUSY:
                self._set_aside(peer, "正忙 / busy", REFUSED_PAUSE_MS)
            case OfferState.NONE:
                self._set_aside(peer, "没有快照 / has none", REFUSED_PAUSE_MS)
            case OfferState.READY:
                self._take_offer(peer, seen, answer.offer)

    def _wait_for_making(self, peer: str, seen: _Peer, now_ms: int) -> None:
        if seen.making_ms is None:
            seen.making_ms = now_ms
        if 0 <= now_ms - seen.making_ms < MAKING_PATIENCE_MS:
            seen.note = "making"
            seen.ask_at_ms = now_ms + ASK_INTERVAL_MS
        else:
            self._set_aside(peer, "仍在制作 / is still making one", REFUSED_PAUSE_MS)

    def _take_offer(self, peer: str, seen: _Peer, raw: bytes) -> None:
        seen.note, seen.making_ms = "", None
        digest = sm3(raw)
        if self.builder is None:
            self._choose(peer, raw)
        elif digest == self._digest:
            seen.digest = digest
        elif sum(other.spare is not None for other in self._peers.values()) < MAX_SPARE_OFFERS:
            seen.spare = raw
        else:
            self._set_aside(peer, "提供另一高度的快照 / offers another height", REFUSED_PAUSE_MS)

    def _choose(self, peer: str, raw: bytes) -> bool:
        """Begin to build from this peer's offer; return whether it may be taken: the genesis leads to it and it is not too old."""
        try:
            offer = decode_offer(raw)
            height = offer.header.height
            if height + MAX_OFFER_LAG < self.target_height:
                self._set_aside(
                    peer, f"高度 {height} 的快照过旧 / offers one of height {height}, too old", REFUSED_PAUSE_MS
                )
                return False
            self.builder = self._begin_building(offer)
        except BadSnapshot as error:
            self._refuse(peer, error)
            return False
        self._offer, self._digest = offer, sm3(raw)
        self._waiting = deque(self.builder.missing_chunks)
        for other in self._peers.values():
            if other.spare is not None and sm3(other.spare) == self._digest:
                other.spare, other.digest = None, self._digest
        self._peers[peer].digest = self._digest
        self._fed_until_ms = self._effects.now_ms() + SLOW_PATIENCE_MS
        self._trouble = ""
        _LOG.info("offer_taken", peer=peer, height=height, chunks=len(offer.chunks))
        return True

    def _take_chunk(self, peer: str, response: ChunkResponse) -> None:
        """Save a chunk that this peer was asked for; anything else is dropped."""
        owed = self._open.get(response.index)
        if self.builder is None or self._offer is None or owed is None or owed[0] != peer:
            return
        if response.height != self._offer.header.height:
            return
        if not response.chunk:
            self._set_aside(peer, "不再保留该快照 / holds that snapshot no more", ASK_INTERVAL_MS)
            return
        try:
            self.builder.add_chunk(response.index, response.chunk)
        except BadSnapshot as error:
            self._refuse(peer, error)
        else:
            del self._open[response.index]
            now_ms = self._effects.now_ms()
            fed_ms = 1_000 * len(response.chunk) // MIN_BYTES_PER_S
            self._fed_until_ms = min(max(self._fed_until_ms, now_ms) + fed_ms, now_ms + SLOW_PATIENCE_MS)

    # What is due

    def _tick(self) -> None:
        now_ms = self._effects.now_ms()
        count = len(self._ledger.validators())
        nobody = make_bitmap((), count)
        self._effects.broadcast(StatusFrame(0, 0, Step.NEW_HEIGHT, now_ms, nobody, nobody))
        for name, peer in self._peers.items():
            if peer.asked_ms is not None and not 0 <= now_ms - peer.asked_ms < SILENCE_MS:
                self._set_aside(name, "没有回答 / did not answer", REFUSED_PAUSE_MS)
        for name in {owing for owing, asked_ms in self._open.values() if not 0 <= now_ms - asked_ms < SILENCE_MS}:
            _LOG.warning("peer_silent", peer=name)
            self._set_aside(name, "没有回答 / did not answer", REFUSED_PAUSE_MS)
        if self._tail is not None:
            self._tail.pass_over_silent(now_ms)
        elif self.builder is not None and now_ms >= self._fed_until_ms:
            self._pass_over_slow(now_ms)
        self._judge_progress(now_ms)

    def _pass_over_slow(self, now_ms: int) -> None:
        """Do without the sources for a while: others may offer, and what came stays where none does."""
        self._fed_until_ms = now_ms + BAD_PAUSE_MS + SLOW_PATIENCE_MS
        for name in self._sources():
            _LOG.warning("peer_slow", peer=name)
            self._set_aside(name, "太慢 / too slow", BAD_PAUSE_MS)
            # To come again does not shorten it.
            self._bad_until_ms[name] = now_ms + BAD_PAUSE_MS

    def _judge_progress(self, now_ms: int) -> None:
        """Say why nothing comes where nothing comes, and turn to another offer where nobody holds the chosen one any more."""
        if self.builder is not None and (self._tail is not None or self._sources()):
            self._sourceless_ms = None
            self._trouble = self._tail.trouble if self._tail is not None else ""
            return
        if self._sourceless_ms is None:
            self._sourceless_ms = now_ms
        waited_ms = now_ms - self._sourceless_ms
        if self.builder is not None and not 0 <= waited_ms < SOURCE_PATIENCE_MS:
            self._turn_to_spare()
        if not 0 <= waited_ms < NO_OFFER_MS:
            notes = ", ".join(f"{name}: {peer.note or '…'}" for name, peer in sorted(self._peers.items()))
            chinese = (
                "没有节点提供可用的快照，仍在询问" if self.builder is None else "没有节点再提供所选的快照，仍在询问"
            )
            trouble = (
                f"{chinese}（{notes or '没有已连接的节点'}） / "
                f"no peer offers a snapshot, asking on ({notes or 'no peer is connected'})"
            )
            if trouble != self._trouble:
                self._trouble = trouble
                _LOG.warning("no_snapshot", reason=trouble)

    def _turn_to_spare(self) -> None:
        """Begin anew from another peer's offer, if there is one."""
        for name, peer in sorted(self._peers.items()):
            if peer.spare is None:
                continue
            raw, peer.spare = peer.spare, None
            if self.builder is not None:
                _LOG.warning(
                    "begun_anew", reason="nobody offers the snapshot any more that was being fetched", peer=name
                )
                self.builder.abandon()
            self.builder, self._offer, self._digest = None, None, b""
            self._open.clear()
            if self._choose(name, raw):
                self._sourceless_ms = None
                return

    def _advance(self) -> None:
        """Ask for what is due, and go on to what follows from what has come."""
        if self.builder is None and self._is_chain_new():
            _LOG.info("join_needless", reason="no peer has a block: the chain begins")
            self._end()
            return
        now_ms = self._effects.now_ms()
        if self._tail is None:
            self._ask_for_offers(now_ms)
            self._ask_for_chunks(now_ms)
            if self.builder is not None and self._offer is not None and not self._waiting and not self._open:
                self._tail = TailBlocks(self.builder, self._offer.header.height)
        if self._tail is not None:
            for peer, error in self._tail.build():
                self._refuse(peer, error)
            if self._tail.is_whole:
                self._end()
                return
            heights = {name: peer.height for name, peer in self._peers.items()}
            barred = {name for name, until_ms in self._bad_until_ms.items() if until_ms > now_ms}
            for peer, request in self._tail.requests({n: h for n, h in heights.items() if n not in barred}, now_ms):
                self._effects.send(peer, request)

    def _is_chain_new(self) -> bool:
        """Whether enough of the founding validators are here to make blocks with this node, and nobody has any."""
        founders = {validator.name for validator in self._ledger.genesis.validators}
        validators = self._ledger.validators()
        here = sum(name in founders for name in self._peers) + (validators.index_of(self._address) is not None)
        return here >= validators.quorum and all(not peer.height for peer in self._peers.values())

    def _ask_for_offers(self, now_ms: int) -> None:
        """Ask peers that have blocks, as long as fewer are engaged than are wanted; those that are making one again."""
        height = (
            self._offer.header.height
            if self._offer is not None
            else max((peer.height for peer in self._peers.values()), default=0)
        )
        for name, peer in sorted(self._peers.items()):
            if peer.asked_ms is not None or peer.digest or peer.spare is not None or not peer.height:
                continue
            if now_ms < peer.ask_at_ms:
                continue
            engaged = sum(other.is_engaged for other in self._peers.values() if other is not peer)
            if engaged < MAX_SOURCES:
                peer.asked_ms = now_ms
                self._effects.send(name, SnapshotRequest(height))

    def _ask_for_chunks(self, now_ms: int) -> None:
        """Ask each source for as many chunks as may be open with it, in turn."""
        if self._offer is None:
            return
        sources = self._sources()
        for _ in range(MAX_OPEN_CHUNKS):
            for name in sources:
                owed = sum(owing == name for owing, _ in self._open.values())
                if self._waiting and owed < MAX_OPEN_CHUNKS:
                    index = self._waiting.popleft()
                    self._open[index] = (name, now_ms)
                    self._effects.send(name, ChunkRequest(self._offer.header.height, index))
