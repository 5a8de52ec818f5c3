"""Block sync: asks peers that are ahead for final blocks and judges what they send, one block after the other."""

from __future__ import annotations

from typing import Final, Protocol

import msgspec

from consensus.certificate import InvalidCertificate, verify_certificate
from consensus.validators import ValidatorSet
from node.chain.block import SealedBlock, block_id, evidence_root, transactions_root
from node.chain.codec import CodecError, decode
from node.ledger.ledger import Ledger
from node.logs import Log
from node.wire.frames import MAX_FRAME_BLOCKS, BlockRequest, BlockResponse, Frame
from sm_crypto.sm2 import verify_batch

REQUEST_BLOCKS: Final = 32
MAX_RESPONSE_BYTES: Final = 8_000_000
PATIENCE_MS: Final = 300
"""How long a node that is one height behind waits for the votes to arrive before it asks for the block."""
SILENCE_MS: Final = 3_000

_LOG = Log("block_sync")


class SyncEffects(Protocol):
    """What block sync needs from outside."""

    def now_ms(self) -> int:
        """Return wall time."""

    def send(self, peer: str, frame: Frame) -> None:
        """Send a frame to one peer."""

    def drop_peer(self, peer: str, reason: str) -> None:
        """Close the connection to a peer that broke a rule."""


class BadBlock(Exception):
    """A peer sent something that is not the final block of the height asked for."""


class _Request(msgspec.Struct):
    peer: str
    first: int
    asked_ms: int


class BlockSync:
    """One request at a time, to peers in turn; a peer that sends a bad block is dropped, a silent one is passed over."""

    def __init__(self, ledger: Ledger, effects: SyncEffects) -> None:
        self._ledger = ledger
        self._effects = effects
        self._heights: dict[str, int] = {}
        self._request: _Request | None = None
        self._received: list[tuple[str, bytes]] = []
        self._behind: tuple[int, int] | None = None
        self._silent: dict[str, int] = {}

    @property
    def target_height(self) -> int:
        """The greatest height that a connected peer says it has, or our own."""
        return max(self._ledger.height, *self._heights.values(), 0)

    def credible_height(self, faulty_limit: int) -> int:
        """Return the greatest height that one correct peer must have while `faulty_limit` of them may lie, or our own."""
        heights = sorted(self._heights.values(), reverse=True)
        own = self._ledger.height
        return max(own, heights[min(faulty_limit, len(heights) - 1)]) if heights else own

    @property
    def heights(self) -> dict[str, int]:
        """What every connected peer last said of its height."""
        return dict(self._heights)

    @property
    def has_received(self) -> bool:
        """Whether blocks wait to be judged."""
        return bool(self._received)

    def note_height(self, peer: str, height: int) -> None:
        """Take a peer's word for its height; one that goes down has lost its ledger or lies, and is dropped."""
        known = self._heights.get(peer)
        if known is not None and height < known:
            self.forget(peer)
            self._effects.drop_peer(peer, f"its height went from {known} down to {height}")
            return
        self._heights[peer] = height

    def forget(self, peer: str) -> None:
        """Drop what is known of a peer that is gone."""
        self._heights.pop(peer, None)
        self._silent.pop(peer, None)
        self._received = [(sender, raw) for sender, raw in self._received if sender != peer]
        if self._request is not None and self._request.peer == peer:
            self._request = None

    def poll(self) -> int | None:
        """Ask for blocks where that is due; return after how many milliseconds to poll again, None where the next tick does."""
        height, now_ms = self._ledger.height, self._effects.now_ms()
        target = self.target_height
        if target <= height:
            self._behind = None
            return None
        if self._received:
            return None
        if self._behind is None or self._behind[0] != height or now_ms < self._behind[1]:
            self._behind = (height, now_ms)
        if target == height + 1 and now_ms - self._behind[1] < PATIENCE_MS:
            return PATIENCE_MS
        request = self._request
        if request is not None:
            if 0 <= now_ms - request.asked_ms < SILENCE_MS:
                return None
            _LOG.warning("peer_silent", peer=request.peer, first=request.first)
            self._silent[request.peer] = self._silent.get(request.peer, 0) + 1
            self._request = None
        self._ask(height + 1, now_ms)
        return None

    def _ask(self, first: int, now_ms: int) -> None:
        ahead = [peer for peer, height in self._heights.items() if height >= first]
        if not ahead:
            return
        # Those that stayed silent least often first; among equals in turn, so that no one peer is leaned on.
        ahead.sort(key=lambda peer: (self._silent.get(peer, 0), peer))
        least = [peer for peer in ahead if self._silent.get(peer, 0) == self._silent.get(ahead[0], 0)]
        peer = least[first // REQUEST_BLOCKS % len(least)]
        count = min(REQUEST_BLOCKS, self._heights[peer] - first + 1)
        self._request = _Request(peer, first, now_ms)
        self._effects.send(peer, BlockRequest(first, count))

    def take_response(self, peer: str, response: BlockResponse) -> None:
        """Keep the blocks of the peer that was asked; anything else is dropped."""
        request = self._request
        if request is None or request.peer != peer:
            return
        self._request = None
        if not response.blocks:
            # It lacks what it says it has. Until it says so again it is not asked again, or the two would go round without rest.
            self._silent[peer] = self._silent.get(peer, 0) + 1
            self._heights[peer] = request.first - 1
        self._received = [(peer, raw) for raw in response.blocks[:REQUEST_BLOCKS]]

    def next_block(self, validators: ValidatorSet) -> SealedBlock | None:
        """Return the certified block of the next height from what was received, None where there is none; drop who sent a bad one."""
        while self._received:
            peer, raw = self._received.pop(0)
            try:
                return check_sealed_block(raw, self._ledger, validators)
            except BadBlock as error:
                if str(error):
                    self._received = []
                    self.forget(peer)
                    self._effects.drop_peer(peer, f"sent a bad block: {error}")
        return None


def check_sealed_block(raw: bytes, ledger: Ledger, validators: ValidatorSet) -> SealedBlock:
    """Return the block that follows the ledger's head, certified by a quorum of `validators`, its body as its header says.

    Raises BadBlock, with an empty text for a block that the ledger has by now.
    """
    try:
        sealed = decode(raw, SealedBlock)
    except CodecError as error:
        raise BadBlock(f"expected an encoded block: {error}") from None
    header, certificate = sealed.header, sealed.certificate
    if header.height <= ledger.height:
        raise BadBlock
    if header.height != ledger.height + 1 or certificate.height != header.height:
        raise BadBlock(
            f"expected height {ledger.height + 1}, found header {header.height}, certificate {certificate.height}"
        )
    try:
        verify_certificate(certificate, block_id(header), validators, ledger.genesis.hash, verify_batch)
    except InvalidCertificate as error:
        raise BadBlock(f"height {header.height}: {error}") from None
    if transactions_root(sealed.body.transactions) != header.transactions_root:
        raise BadBlock(f"height {header.height}: the transactions are not those of the header")
    if evidence_root(sealed.body.evidence) != header.evidence_root:
        raise BadBlock(f"height {header.height}: the evidence is not that of the header")
    return sealed


def serve_blocks(ledger: Ledger, request: BlockRequest) -> BlockResponse:
    """Return the blocks asked for that are here: at least one, then as many as MAX_RESPONSE_BYTES takes."""
    blocks: list[bytes] = []
    size = 0
    for height in range(request.first, min(request.first + min(request.count, MAX_FRAME_BLOCKS), ledger.height + 1)):
        raw = ledger.sealed_block_bytes(height)
        size += len(raw)
        if blocks and size > MAX_RESPONSE_BYTES:
            break
        blocks.append(raw)
    return BlockResponse(blocks)
