"""Block sync: asks several peers that are ahead for final blocks at once, and judges what they send in the order of heights."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final, Protocol

import msgspec

from consensus.certificate import InvalidCertificate, verify_certificate
from consensus.validators import ValidatorSet
from node.chain.block import SealedBlock, block_id, evidence_root, transactions_root
from node.chain.codec import CodecError, decode
from node.ledger.ledger import Ledger, UnknownHeight
from node.logs import Log
from node.wire.frames import MAX_FRAME_BLOCKS, BlockRequest, BlockResponse, Frame
from sm_crypto.sm2 import verify_batch

REQUEST_BLOCKS: Final = 32
MAX_OPEN_REQUESTS: Final = 4
"""Each to another peer."""
MAX_WINDOW_BLOCKS: Final = 128
"""How far above the head blocks are asked for."""
MAX_RESPONSE_BYTES: Final = 8_000_000
MAX_HELD_BYTES: Final = 32_000_000
"""Blocks that wait, and what open requests may bring: beyond this only the block that follows the head is asked for."""
PATIENCE_MS: Final = 300
"""How long a node that is one height behind waits for the votes to arrive before it asks for the block."""
SILENCE_MS: Final = 3_000
DISCREDITED_SILENCES: Final = 2

_LOG = Log("block_sync")


class SyncEffects(Protocol):
    """What block sync needs from outside."""

    def now_ms(self) -> int:
        """Return wall time."""

    def send(self, peer: str, frame: Frame) -> None:
        """Send a frame to one peer."""

    def drop_peer(self, peer: str, reason: str) -> None:
        """Close the connection to a peer that broke a rule."""


class _Request(msgspec.Struct, frozen=True):
    first: int
    count: int
    asked_ms: int

    @property
    def heights(self) -> range:
        return range(self.first, self.first + self.count)


class _Held(msgspec.Struct, frozen=True):
    """A block that waits for its turn: as it came, and decoded once its certificate is checked."""

    peer: str
    raw: bytes
    sealed: SealedBlock | None = None


class BlockSync:
    """One request a peer, several peers at a time; a peer that sends a bad block is dropped, a silent one is passed over."""

    def __init__(self, ledger: Ledger, effects: SyncEffects) -> None:
        self._ledger = ledger
        self._effects = effects
        self._heights: dict[str, int] = {}
        self._requests: dict[str, _Request] = {}
        self._held: dict[int, _Held] = {}
        self._behind: tuple[int, int] | None = None
        self._silent: dict[str, int] = {}
        self._lacked: dict[str, int] = {}
        self._spent: set[str] = set()

    @property
    def target_height(self) -> int:
        """The greatest height that a connected peer says it has, or our own."""
        return max(self._ledger.height, *self._heights.values(), 0)

    def credible_height(self, faulty_limit: int, names: Collection[str]) -> int:
        """Return the greatest height that one correct peer must have while `faulty_limit` of them may lie, or our own.

        Only peers of these names count, unless none of them is connected: then there is nobody better to believe.
        """
        counted = [height for peer, height in self._heights.items() if peer in names]
        heights = sorted(counted or self._heights.values(), reverse=True)
        own = self._ledger.height
        return max(own, heights[min(faulty_limit, len(heights) - 1)]) if heights else own

    def is_discredited(self, peer: str) -> bool:
        """Return whether a peer failed so often to serve blocks that its word for its height counts for nothing."""
        return self._silent.get(peer, 0) >= DISCREDITED_SILENCES

    @property
    def trouble(self) -> str:
        """Why the block that follows the head does not come, in Chinese and English: all peers that are ahead lack it. Or empty."""
        wanted = self._ledger.height + 1
        ahead = [peer for peer, height in self._heights.items() if height >= wanted]
        if not ahead or any(self._lacked.get(peer) != wanted for peer in ahead):
            return ""
        return (
            f'已连接的节点都不保存高度 {wanted} 的区块：请连接一个保存完整历史的节点，或清空账本后以 join = "snapshot" 加入 / '
            f"no connected peer holds the block of height {wanted}: connect a node that holds the whole history, "
            'or join with an empty ledger and join = "snapshot"'
        )

    @property
    def heights(self) -> dict[str, int]:
        """What every connected peer last said of its height."""
        return dict(self._heights)

    @property
    def has_next(self) -> bool:
        """Whether the block that follows the head waits to be judged."""
        return self._ledger.height + 1 in self._held

    def note_height(self, peer: str, height: int) -> None:
        """Take a peer's word for its height; one that goes down has lost its ledger or lies, and is dropped."""
        known = self._heights.get(peer)
        if known is not None and height < known:
            self.forget(peer)
            self._effects.drop_peer(peer, f"its height went from {known} down to {height}")
            return
        self._heights[peer] = height
        self._spent.discard(peer)

    def forget(self, peer: str) -> None:
        """Drop what is known of a peer that is gone, and what it sent."""
        self._heights.pop(peer, None)
        self._silent.pop(peer, None)
        self._lacked.pop(peer, None)
        self._spent.discard(peer)
        self._requests.pop(peer, None)
        self._held = {height: held for height, held in self._held.items() if held.peer != peer}

    def poll(self) -> int | None:
        """Ask for blocks where that is due; return after how many milliseconds to poll again, None where the next tick does."""
        height, now_ms = self._ledger.height, self._effects.now_ms()
        self._held = {held_height: held for held_height, held in self._held.items() if held_height > height}
        self._pass_over_silent(now_ms)
        target = self.target_height
        if target <= height:
            self._behind = None
            return None
        if self._behind is None or self._behind[0] != height or now_ms < self._behind[1]:
            self._behind = (height, now_ms)
        if target == height + 1 and not self._is_pending(target) and now_ms - self._behind[1] < PATIENCE_MS:
            return PATIENCE_MS
        self._ask(target, now_ms)
        return None

    def _is_pending(self, height: int) -> bool:
        return height in self._held or any(height in request.heights for request in self._requests.values())

    def _pass_over_silent(self, now_ms: int) -> None:
        for peer, request in list(self._requests.items()):
            if not 0 <= now_ms - request.asked_ms < SILENCE_MS:
                _LOG.warning("peer_silent", peer=peer, first=request.first)
                self._silent[peer] = self._silent.get(peer, 0) + 1
                del self._requests[peer]

    def _ask(self, target: int, now_ms: int) -> None:
        """Ask for the lowest heights that are neither here nor asked for, a range a peer, as long as there is room."""
        head = self._ledger.height
        pending = set(self._held).union(*(request.heights for request in self._requests.values()))
        last = min(target, head + MAX_WINDOW_BLOCKS)
        wanted = [height for height in range(head + 1, last + 1) if height not in pending]
        while wanted and len(self._requests) < MAX_OPEN_REQUESTS:
            first = wanted[0]
            # The newest block alone is on its way as votes; it is asked for when the node stands right below it.
            is_waiting = first == target > head + 1
            if is_waiting or (first > head + 1 and not self._has_room()):
                return
            peer = self._next_peer(first)
            if peer is None:
                return
            end = min(first + REQUEST_BLOCKS - 1, self._heights[peer])
            count = 1
            while count < len(wanted) and wanted[count] == first + count <= end:
                count += 1
            wanted = wanted[count:]
            self._requests[peer] = _Request(first, count, now_ms)
            self._effects.send(peer, BlockRequest(first, count))

    def _has_room(self) -> bool:
        held = sum(len(held.raw) for held in self._held.values())
        return held + (len(self._requests) + 1) * MAX_RESPONSE_BYTES <= MAX_HELD_BYTES

    def _next_peer(self, first: int) -> str | None:
        """Return whom to ask: of those that are ahead and not asked now, one that stayed silent least often, in turn."""
        busy = self._spent.union(self._requests)
        ahead = sorted(peer for peer, height in self._heights.items() if height >= first and peer not in busy)
        if not ahead:
            return None
        fewest = min(self._silent.get(peer, 0) for peer in ahead)
        least = [peer for peer in ahead if self._silent.get(peer, 0) == fewest]
        return least[first // REQUEST_BLOCKS % len(least)]

    def take_response(self, peer: str, response: BlockResponse) -> None:
        """Keep the blocks that this peer was asked for; anything else is dropped."""
        request = self._requests.pop(peer, None)
        if request is None:
            return
        if not response.blocks:
            # It began from a snapshot above this height, or it lies. Until it names its height anew it is not asked again, or
            # the two would go round without rest.
            self._silent[peer] = self._silent.get(peer, 0) + 1
            self._lacked[peer] = request.first
            self._spent.add(peer)
            return
        self._lacked.pop(peer, None)
        for height, raw in zip(request.heights, response.blocks, strict=False):
            self._held[height] = _Held(peer, raw)

    def next_block(self, validators: ValidatorSet) -> SealedBlock | None:
        """Return the certified block of the next height from what was received, None where there is none; drop who sent a bad one."""
        height = self._ledger.height + 1
        while (held := self._held.get(height)) is not None:
            if held.sealed is None:
                self._certify(height, validators)
                continue
            del self._held[height]
            try:
                check_body(held.sealed)
            except BadBlock as error:
                self._refuse(held.peer, error)
                continue
            return held.sealed
        return None

    def _certify(self, first: int, validators: ValidatorSet) -> None:
        """Check the certificates from height `first` on as far as blocks wait and one set decides, in one batch."""
        waiting: list[_Held] = []
        while len(waiting) < REQUEST_BLOCKS and (held := self._held.get(first + len(waiting))) and held.sealed is None:
            waiting.append(held)
        sealed_blocks, error = certified_blocks(
            [held.raw for held in waiting], first, validators, self._ledger.genesis.hash
        )
        for offset, sealed in enumerate(sealed_blocks):
            self._held[first + offset] = msgspec.structs.replace(waiting[offset], sealed=sealed)
        if error is not None:
            self._refuse(waiting[len(sealed_blocks)].peer, error)

    def _refuse(self, peer: str, error: BadBlock) -> None:
        self.forget(peer)
        self._effects.drop_peer(peer, f"sent a bad block: {error}")


class BadBlock(Exception):
    """A peer sent something that is not the final block of the height asked for."""


def certified_blocks(
    raws: Sequence[bytes], first: int, validators: ValidatorSet, genesis_hash: bytes
) -> tuple[list[SealedBlock], BadBlock | None]:
    """Return the blocks of `raws`, heights `first` on, that a quorum of `validators` certified, up to the first bad one.

    It stops behind a block that names another set for the next height: what follows is that set's. All signatures are
    checked in one batch. Bodies are not looked at; see check_body.
    """
    blocks: list[SealedBlock] = []
    seals: list[list[tuple[bytes, bytes, bytes]]] = []
    bad: BadBlock | None = None
    for raw in raws:
        height = first + len(blocks)
        try:
            sealed = _decode_block(raw, height)
            items: list[tuple[bytes, bytes, bytes]] = []
            verify_certificate(
                sealed.certificate, block_id(sealed.header), validators, genesis_hash, _Collector(items).take
            )
        except BadBlock as error:
            bad = error
            break
        except InvalidCertificate as error:
            bad = BadBlock(f"height {height}: {error}")
            break
        blocks.append(sealed)
        seals.append(items)
        if sealed.header.next_validators_hash != validators.hash:
            break
    verdicts = iter(verify_batch([item for items in seals for item in items]))
    for offset, items in enumerate(seals):
        wrong = [next(verdicts) for _ in items].count(False)
        if wrong:
            return blocks[:offset], BadBlock(
                f"height {first + offset}: {wrong} wrong precommit signatures in its certificate"
            )
    return blocks, bad


class _Collector:
    """Stands in for the signature check of one certificate and keeps what is to be checked, for one batch over many."""

    def __init__(self, items: list[tuple[bytes, bytes, bytes]]) -> None:
        self._items = items

    def take(self, items: Sequence[tuple[bytes, bytes, bytes]]) -> list[bool]:
        """Keep the items; none is wrong so far."""
        self._items += items
        return [True] * len(items)


def _decode_block(raw: bytes, height: int) -> SealedBlock:
    try:
        sealed = decode(raw, SealedBlock)
    except CodecError as error:
        raise BadBlock(f"expected an encoded block: {error}") from None
    if sealed.header.height != height or sealed.certificate.height != height:
        raise BadBlock(
            f"expected height {height}, found header {sealed.header.height}, certificate {sealed.certificate.height}"
        )
    return sealed


def check_body(sealed: SealedBlock) -> None:
    """Return if transactions and evidence are those that the header names; raise BadBlock otherwise."""
    header, body = sealed.header, sealed.body
    if transactions_root(body.transactions) != header.transactions_root:
        raise BadBlock(f"height {header.height}: the transactions are not those of the header")
    if evidence_root(body.evidence) != header.evidence_root:
        raise BadBlock(f"height {header.height}: the evidence is not that of the header")


def serve_blocks(ledger: Ledger, request: BlockRequest) -> BlockResponse:
    """Return the blocks asked for that are here: at least one, then as many as MAX_RESPONSE_BYTES takes.

    None where the first is not here: it is above the head, or below what a ledger that began from a snapshot holds.
    """
    blocks: list[bytes] = []
    size = 0
    for height in range(request.first, min(request.first + min(request.count, MAX_FRAME_BLOCKS), ledger.height + 1)):
        try:
            raw = ledger.sealed_block_bytes(height)
        except UnknownHeight:
            break
        size += len(raw)
        if blocks and size > MAX_RESPONSE_BYTES:
            break
        blocks.append(raw)
    return BlockResponse(blocks)
