"""How long each step of a round waits: linear in the round, and capped."""

from __future__ import annotations

import enum

import msgspec


class TimeoutKind(enum.IntEnum):
    """Which wait has ended: NEW_HEIGHT is the wait for the block interval (or for work) before round 0."""

    NEW_HEIGHT = 0
    PROPOSE = 1
    PREVOTE = 2
    PRECOMMIT = 3


class TimeoutSchedule(msgspec.Struct, frozen=True):
    """Base waits of round 0, what every further round adds, and the cap; a doubling wait without a cap outlives its cause."""

    propose_ms: int
    prevote_ms: int
    precommit_ms: int
    step_ms: int
    limit_ms: int

    def duration_ms(self, kind: TimeoutKind, round_: int) -> int:
        """Return the wait of this kind in this round: min(base + round * step, limit), in milliseconds."""
        if kind is TimeoutKind.PROPOSE:
            base_ms = self.propose_ms
        elif kind is TimeoutKind.PREVOTE:
            base_ms = self.prevote_ms
        elif kind is TimeoutKind.PRECOMMIT:
            base_ms = self.precommit_ms
        else:
            raise ValueError("the wait before round 0 is the block interval, which the driver measures")
        return min(base_ms + round_ * self.step_ms, self.limit_ms)
