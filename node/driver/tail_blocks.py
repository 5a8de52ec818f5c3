"""Tail blocks: what a node that joins by snapshot fetches of the blocks before it, downwards, from several peers at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from node.chain.snapshot import BadSnapshot
from node.driver.block_sync import MAX_HELD_BYTES, MAX_OPEN_REQUESTS, MAX_RESPONSE_BYTES, REQUEST_BLOCKS
from node.ledger.snapshot import TAIL_HEIGHTS, SnapshotBuilder
from node.wire.frames import BlockRequest

WINDOW_BLOCKS: Final = 96
"""How far below the next needed block others are asked for."""
SILENCE_MS: Final = 10_000
LACK_MS: Final = 10_000
"""How soon a peer is asked again that did not answer or lacked a block."""


class TailBlocks:
    """The blocks from the snapshot's height downwards, as far as its builder needs them."""

    def __init__(self, builder: SnapshotBuilder, height: int) -> None:
        """Begin at the snapshot's `height`."""
        self._builder = builder
        self._height = height
        self._held: dict[int, tuple[str, bytes]] = {}
        self._requests: dict[str, tuple[range, int]] = {}
        self._away_until_ms: dict[str, int] = {}
        self._failures: Counter[str] = Counter()
        """How often each peer brought nothing that it was asked for, however often it came anew."""
        self._is_stuck = False

    @property
    def is_whole(self) -> bool:
        """Whether no further block is needed."""
        return self._builder.next_height == 0

    @property
    def done(self) -> int:
        """How many blocks are saved; what is needed shows only by their times, TAIL_HEIGHTS or all at least."""
        return self._height - self._builder.next_height if self._builder.next_height else self._height

    @property
    def share(self) -> float:
        """How much of the least that is needed is saved, 0 to 1."""
        return min(self.done / min(TAIL_HEIGHTS, self._height), 1.0)

    @property
    def trouble(self) -> str:
        """Why the next block does not come, in Chinese and English, or empty."""
        if not self._is_stuck:
            return ""
        height = self._builder.next_height
        return f"没有节点提供高度 {height} 的区块 / no peer that is asked has the block of height {height}"

    def forget(self, peer: str) -> None:
        """Drop what a peer that is gone sent and owes."""
        self._requests.pop(peer, None)
        self._held = {height: held for height, held in self._held.items() if held[0] != peer}

    def pass_over_silent(self, now_ms: int) -> None:
        """Ask others for what a peer has owed for too long."""
        for peer, (_, asked_ms) in list(self._requests.items()):
            if not 0 <= now_ms - asked_ms < SILENCE_MS:
                del self._requests[peer]
                self._pass_over(peer, now_ms)

    def take(self, peer: str, blocks: Sequence[bytes], now_ms: int) -> None:
        """Keep the blocks that this peer was asked for; anything else is dropped."""
        request = self._requests.pop(peer, None)
        if request is None:
            return
        if not blocks:
            self._pass_over(peer, now_ms)
        for height, raw in zip(request[0], blocks, strict=False):
            if height <= self._builder.next_height:
                self._held[height] = (peer, raw)

    def _pass_over(self, peer: str, now_ms: int) -> None:
        self._failures[peer] += 1
        self._away_until_ms[peer] = now_ms + LACK_MS

    def build(self) -> Iterator[tuple[str, BadSnapshot]]:
        """Save what has come as far as it is in order; yield whoever sent a bad block, whose other blocks are to be forgotten."""
        while run := self._run_in_order():
            try:
                self._builder.add_blocks([raw for _, raw in reversed(run)])
            except BadSnapshot as error:
                # What it took is behind it: the block that it stands at is the bad one.
                yield self._held.pop(self._builder.next_height)[0], error
            for height in [height for height in self._held if height > self._builder.next_height]:
                del self._held[height]

    def _run_in_order(self) -> list[tuple[str, bytes]]:
        """Return what is here from the next needed block downwards, as much as is verified together."""
        run: list[tuple[str, bytes]] = []
        while len(run) < REQUEST_BLOCKS and (held := self._held.get(self._builder.next_height - len(run))) is not None:
            run.append(held)
        return run

    def requests(self, heights: Mapping[str, int], now_ms: int) -> list[tuple[str, BlockRequest]]:
        """Return what to ask of whom now; `heights` are those of the peers that may be asked."""
        pending = set(self._held).union(*(asked for asked, _ in self._requests.values()))
        top = self._builder.next_height
        wanted = [height for height in range(top, max(top - WINDOW_BLOCKS, 0), -1) if height not in pending]
        asked: list[tuple[str, BlockRequest]] = []
        idle = [
            peer
            for peer, height in sorted(heights.items())
            if height >= self._height and peer not in self._requests and self._away_until_ms.get(peer, 0) <= now_ms
        ]
        self._is_stuck = bool(wanted) and wanted[0] == top and not idle
        while wanted and idle and len(self._requests) < MAX_OPEN_REQUESTS:
            if wanted[0] != top and not self._has_room():
                break
            count = 1
            while count < min(len(wanted), REQUEST_BLOCKS) and wanted[count] == wanted[0] - count:
                count += 1
            first = wanted[count - 1]
            wanted = wanted[count:]
            # Else two that stay silent in turn would keep the one that answers from ever being asked.
            fewest = min(self._failures[peer] for peer in idle)
            best = [peer for peer in idle if self._failures[peer] == fewest]
            peer = best[first // REQUEST_BLOCKS % len(best)]
            idle.remove(peer)
            self._requests[peer] = (range(first, first + count), now_ms)
            asked.append((peer, BlockRequest(first, count)))
        return asked

    def _has_room(self) -> bool:
        held = sum(len(raw) for _, raw in self._held.values())
        return held + (len(self._requests) + 1) * MAX_RESPONSE_BYTES <= MAX_HELD_BYTES
