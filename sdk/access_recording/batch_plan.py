"""Planning of batches: which reads come next under one root, and what the ledger is told of them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from contracts.data_sharing.access import DENIED, FIRST_PREVIOUS_DIGEST, IRREGULAR, SERVED
from verification.access.reads import batch_root


class ReadLine(NamedTuple):
    """What a batch needs of one of its reads."""

    digest: bytes
    outcome: int
    rows: int


class BatchPlan(msgspec.Struct, frozen=True):
    """The arguments of `access.record_batch`."""

    batch_number: int
    first_number: int
    count: int
    previous_digest: bytes
    last_digest: bytes
    root: bytes
    from_ms: int
    to_ms: int
    served: int
    denied: int
    irregular: int
    rows: int

    @property
    def last_number(self) -> int:
        """Of the last read covered so far."""
        return self.first_number + self.count - 1

    def arguments(self) -> dict[str, Any]:
        """Return the call's arguments by name."""
        return {name: getattr(self, name) for name in self.__struct_fields__}


def plan_batch(previous: BatchPlan | None, begun_ms: int, lines: Sequence[ReadLine], to_ms: int) -> BatchPlan:
    """Return the batch of the stream's next reads until `to_ms`, after the batch before; the first is from `begun_ms` on."""
    last_digest = FIRST_PREVIOUS_DIGEST if previous is None else previous.last_digest
    outcomes = [line.outcome for line in lines]
    return BatchPlan(
        1 if previous is None else previous.batch_number + 1,
        1 if previous is None else previous.last_number + 1,
        len(lines),
        last_digest,
        lines[-1].digest if lines else last_digest,
        batch_root([line.digest for line in lines]),
        begun_ms if previous is None else previous.to_ms,
        to_ms,
        outcomes.count(SERVED),
        outcomes.count(DENIED),
        outcomes.count(IRREGULAR),
        sum(line.rows for line in lines),
    )
