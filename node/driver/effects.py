"""What the driver does to the outside, handed in by whoever runs it: a process, or a simulator on a virtual clock."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeAlias

import msgspec

from consensus.timeouts import TimeoutKind
from node.driver.signature_verifier import VerdictCallback
from node.ledger.ledger import CommittedBlock
from node.wire.frames import Frame


class RoundZeroTimer(msgspec.Struct, frozen=True):
    """The block interval since the parent is over; for a heartbeat, the empty-block interval."""

    height: int
    is_heartbeat: bool


class ConsensusTimer(msgspec.Struct, frozen=True):
    """A timeout of the core has ended."""

    kind: TimeoutKind
    height: int
    round: int


class BodyTimer(msgspec.Struct, frozen=True):
    """The answer to the given request for bodies, counted from 1, should have come."""

    block_id: bytes
    request: int


class GossipTimer(msgspec.Struct, frozen=True):
    """What clients sent in the meantime goes out together."""


class SyncTimer(msgspec.Struct, frozen=True):
    """Block sync looks again whether to ask for blocks."""


class NextBlockTimer(msgspec.Struct, frozen=True):
    """The next received block has its turn."""


class TickTimer(msgspec.Struct, frozen=True):
    """Every second: say where this node stands, repeat what may have been lost."""


Timer: TypeAlias = RoundZeroTimer | ConsensusTimer | BodyTimer | GossipTimer | SyncTimer | NextBlockTimer | TickTimer


class Effects(Protocol):
    """The outside. Callbacks and timers come later, one at a time, never from within a call of these."""

    def now_ms(self) -> int:
        """Return wall time; it may jump."""

    def send(self, peer: str, frame: Frame) -> None:
        """Send a frame to one peer behind the earlier ones; a peer that is away gets nothing."""

    def broadcast(self, frame: Frame) -> None:
        """Send a frame to every connected peer."""

    def schedule(self, delay_ms: int, token: Timer) -> None:
        """Call on_timer(token) after this much time, whatever the wall clock does."""

    def verify_transactions(self, raws: Sequence[bytes], callback: VerdictCallback) -> None:
        """Call back with one verdict for each, batches in the order in which they were given."""

    def drop_peer(self, peer: str, reason: str) -> None:
        """Close the connection to a peer that broke a rule; on_peer_lost follows."""

    def committed(self, block: CommittedBlock) -> None:
        """Tell the rest of the node that a block is final."""

    def stop(self, reason: str) -> None:
        """End the node: it cannot or must not go on."""
