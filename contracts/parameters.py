"""Chain parameters: what every node of one network must agree on beside the rules themselves."""

from __future__ import annotations

from typing import Annotated

import msgspec

from sm_crypto.sm3 import TaggedHash

PARAMETERS_HASH = TaggedHash("govnode/chain-parameters/1")

Milliseconds = Annotated[int, msgspec.Meta(ge=1, le=3_600_000)]


class ChainParameters(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """Block limits, timeouts and windows; times in milliseconds of block or wall time."""

    block_interval_ms: Milliseconds = 10
    """Least time between the parent's time and the next block's proposal."""
    empty_block_interval_ms: Milliseconds = 30_000
    """An idle network makes a heartbeat block after this time."""
    max_block_transactions: Annotated[int, msgspec.Meta(ge=1, le=20_000)] = 2_000
    max_block_bytes: Annotated[int, msgspec.Meta(ge=200_000, le=12_000_000)] = 4_000_000
    max_block_gas: Annotated[int, msgspec.Meta(ge=1_000_000)] = 1_000_000_000
    max_transaction_gas: Annotated[int, msgspec.Meta(ge=100_000)] = 30_000_000
    transaction_window_ms: Milliseconds = 600_000
    """How far ahead of block time a transaction's valid_until may lie."""
    timeout_propose_ms: Milliseconds = 1_000
    timeout_prevote_ms: Milliseconds = 500
    timeout_precommit_ms: Milliseconds = 500
    timeout_step_ms: Milliseconds = 500
    """Added to each timeout for every round above 0."""
    timeout_limit_ms: Milliseconds = 10_000
    clock_precision_ms: Milliseconds = 500
    message_delay_ms: Milliseconds = 2_000

    @property
    def hash(self) -> bytes:
        """The 32-byte digest that headers and the handshake name these parameters by."""
        return PARAMETERS_HASH(msgspec.msgpack.encode(self))
