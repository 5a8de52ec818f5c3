"""How a recorder records: what it declares on the ledger, and what it does while it cannot reach it."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from contracts.data_sharing.access import (
    GO_ON,
    MAX_BATCH_RECORDS,
    MAX_HEARTBEAT_S,
    MAX_STOP_AFTER_S,
    MIN_HEARTBEAT_S,
    STOP,
    StreamRecord,
)
from verification.errors import InputError

DEFAULT_HEARTBEAT_S: Final = 60
DEFAULT_BATCH_RECORDS: Final = 10_000
DEFAULT_ANCHOR_AFTER_S: Final = 5
OUTAGE_CODES: Final = {"go-on": GO_ON, "stop": STOP}
"""What a recorder does while it cannot reach the ledger, by the name that settings have for it."""


class RecordingPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a recorder keeps to; everything but `anchor_after_s` is declared on the ledger."""

    heartbeat_s: int = DEFAULT_HEARTBEAT_S
    """At most so long passes between two batches, reads or none."""
    max_batch_records: int = DEFAULT_BATCH_RECORDS
    on_outage: int = GO_ON
    stop_after_s: int = 0
    bodies_at: str = ""
    second_place: str = ""
    anchor_after_s: int = DEFAULT_ANCHOR_AFTER_S
    """At most so long a read waits for its batch."""


def check_policy(policy: RecordingPolicy) -> None:
    """Return if a recorder can keep to this; raise InputError, which names the setting, otherwise."""
    is_stopping = policy.on_outage == STOP
    bounds = {
        "heartbeat_s": (MIN_HEARTBEAT_S, MAX_HEARTBEAT_S),
        "max_batch_records": (1, MAX_BATCH_RECORDS),
        "on_outage": (GO_ON, STOP),
        # A reader that closes before the next heartbeat would close in every quiet hour.
        "stop_after_s": (policy.heartbeat_s, MAX_STOP_AFTER_S) if is_stopping else (0, 0),
        "anchor_after_s": (0, policy.heartbeat_s),
    }
    for name, (least, most) in bounds.items():
        found = getattr(policy, name)
        if not least <= found <= most:
            raise InputError(
                "POLICY_INVALID",
                f"{name} 应为 {least} 至 {most}，实为 {found}",
                f"{name} is from {least} to {most}, found {found}",
            )


def declaration(policy: RecordingPolicy) -> dict[str, Any]:
    """Return the arguments by which a policy is declared."""
    return {name: getattr(policy, name) for name in policy.__struct_fields__ if name != "anchor_after_s"}


def is_declared(policy: RecordingPolicy, stream: StreamRecord) -> bool:
    """Return whether the ledger has a stream as this policy would declare it."""
    return not stream.ended_ms and all(getattr(stream, name) == value for name, value in declaration(policy).items())


def is_open_without(policy: RecordingPolicy, silent_ms: int) -> bool:
    """Return whether reads go on after so long (ms) without a batch on the ledger."""
    return policy.on_outage == GO_ON or silent_ms <= policy.stop_after_s * 1_000
