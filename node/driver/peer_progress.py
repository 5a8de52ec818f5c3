"""Peer progress: where each connected peer says it stands, how far its clock is from ours, and when it was last heard."""

from __future__ import annotations

from collections import deque
from typing import Final

import msgspec

from node.wire.frames import Hello, StatusFrame

CLOCK_SAMPLES: Final = 8


class PeerProgress(msgspec.Struct, frozen=True):
    """Where one connected peer stands by its own word."""

    height: int
    """Its last final height; round and step are those of the next."""
    round: int
    step: str
    clock_offset_ms: int
    """Its wall time less ours, by the message of the last few that was on its way the shortest."""
    heard_ms_ago: int
    software_version: str


class _Seen:
    __slots__ = ("clock_offsets", "heard_ms", "height", "software_version", "status", "was_far_behind")

    def __init__(self, hello: Hello) -> None:
        self.software_version = hello.software_version
        self.height = hello.height
        self.heard_ms = 0
        self.was_far_behind = False
        self.status: StatusFrame | None = None
        self.clock_offsets: deque[int] = deque(maxlen=CLOCK_SAMPLES)

    def hear(self, their_time_ms: int, now_ms: int) -> None:
        self.heard_ms = now_ms
        self.clock_offsets.append(their_time_ms - now_ms)


class PeerTable:
    """What each connected peer last said of itself."""

    def __init__(self) -> None:
        """Know nobody."""
        self._seen: dict[str, _Seen] = {}

    def greet(self, peer: str, hello: Hello, now_ms: int) -> None:
        """Begin anew with a peer that has just connected."""
        seen = self._seen[peer] = _Seen(hello)
        seen.hear(hello.time_ms, now_ms)

    def take(self, peer: str, status: StatusFrame, now_ms: int) -> bool:
        """Note a status; return whether height, round or step are others than those of the peer's status before it."""
        seen = self._seen.get(peer)
        if seen is None:
            return False
        before, seen.status, seen.height = seen.status, status, status.height
        seen.hear(status.time_ms, now_ms)
        return before is None or (before.height, before.round, before.step) != (
            status.height,
            status.round,
            status.step,
        )

    def has_caught_up(self, peer: str, own_height: int) -> bool:
        """Return whether a peer that was more than one height behind us stands where we do now; true once each time."""
        seen = self._seen.get(peer)
        if seen is None:
            return False
        if seen.height < own_height:
            seen.was_far_behind |= seen.height + 1 < own_height
            return False
        was_far_behind, seen.was_far_behind = seen.was_far_behind, False
        return was_far_behind

    def forget(self, peer: str) -> None:
        """Drop what is known of a peer that is gone."""
        self._seen.pop(peer, None)

    def progress(self, now_ms: int) -> dict[str, PeerProgress]:
        """Return where every connected peer stands, by name."""
        return {
            name: PeerProgress(
                seen.height,
                seen.status.round if seen.status is not None else 0,
                seen.status.step.name.lower() if seen.status is not None else "",
                # A message on its way makes a clock seem behind, never ahead.
                max(seen.clock_offsets),
                max(now_ms - seen.heard_ms, 0),
                seen.software_version,
            )
            for name, seen in sorted(self._seen.items())
        }
