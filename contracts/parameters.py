"""Chain parameters: what every node of one network must agree on beside the rules themselves, and what keeps them workable."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final, TypeAlias

import msgspec

from contracts.refusals import Refused
from sm_crypto.sm3 import TaggedHash

PARAMETERS_HASH = TaggedHash("govnode/chain-parameters/1")

LEAST_GAS: Final = 10_000_000
"""No limit of gas may be set lower: the dearest call of a governor or a candidate, a change among 128 validators included, fits."""

Timeout: TypeAlias = Annotated[int, "uint64", msgspec.Meta(ge=10, le=60_000)]


class ChainParameters(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """Block limits, timeouts and windows; times in milliseconds of block or wall time.

    The bounds are such that within them, and under ORDER, the chain goes on and a later change can still be made.
    """

    block_interval_ms: Annotated[int, "uint64", msgspec.Meta(ge=1, le=60_000)] = 10
    """Least time between the parent's time and the next block's proposal."""
    empty_block_interval_ms: Annotated[int, "uint64", msgspec.Meta(ge=1, le=3_600_000)] = 30_000
    """An idle network makes a heartbeat block after this time."""
    max_block_transactions: Annotated[int, "uint64", msgspec.Meta(ge=1, le=20_000)] = 2_000
    max_block_bytes: Annotated[int, "uint64", msgspec.Meta(ge=200_000, le=12_000_000)] = 4_000_000
    max_block_gas: Annotated[int, "uint64", msgspec.Meta(ge=LEAST_GAS, le=2**50)] = 1_000_000_000
    max_transaction_gas: Annotated[int, "uint64", msgspec.Meta(ge=LEAST_GAS, le=2**50)] = 30_000_000
    transaction_window_ms: Annotated[int, "uint64", msgspec.Meta(ge=10_000, le=3_600_000)] = 600_000
    """How far ahead of block time a transaction's valid_until may lie."""
    timeout_propose_ms: Timeout = 1_000
    timeout_prevote_ms: Timeout = 500
    timeout_precommit_ms: Timeout = 500
    timeout_step_ms: Timeout = 500
    """Added to each timeout for every round above 0."""
    timeout_limit_ms: Annotated[int, "uint64", msgspec.Meta(ge=1_000, le=60_000)] = 10_000
    clock_precision_ms: Annotated[int, "uint64", msgspec.Meta(ge=10, le=60_000)] = 500
    message_delay_ms: Annotated[int, "uint64", msgspec.Meta(ge=100, le=60_000)] = 2_000

    @property
    def hash(self) -> bytes:
        """The 32-byte digest that headers and the handshake name these parameters by."""
        return PARAMETERS_HASH(msgspec.msgpack.encode(self))


ORDER: Final = (
    # A heartbeat cannot come before the interval after which any block may.
    ("block_interval_ms", "empty_block_interval_ms"),
    # A transaction that waits for one interval must still be valid in the block it then stands in.
    ("block_interval_ms", "transaction_window_ms"),
    # A transaction of the full limit must fit into an empty block.
    ("max_transaction_gas", "max_block_gas"),
    # The cap is for later rounds; under a base timeout it would cut short what the first round is given.
    ("timeout_propose_ms", "timeout_limit_ms"),
    ("timeout_prevote_ms", "timeout_limit_ms"),
    ("timeout_precommit_ms", "timeout_limit_ms"),
    ("timeout_step_ms", "timeout_limit_ms"),
)
"""Pairs of parameters of which the first is at most the second."""


def _bounds(name: str) -> tuple[int, int]:
    bounds = msgspec.inspect.type_info(ChainParameters)
    assert isinstance(bounds, msgspec.inspect.StructType)
    kind = next(field.type for field in bounds.fields if field.name == name)
    assert isinstance(kind, msgspec.inspect.IntType)
    assert kind.ge is not None
    assert kind.le is not None
    return kind.ge, kind.le


BOUNDS: Final[dict[str, tuple[int, int]]] = {name: _bounds(name) for name in ChainParameters.__struct_fields__}
"""The least and the greatest value of each parameter, in the order of the fields."""


def verify_parameters(parameters: ChainParameters) -> None:
    """Return if every parameter is within BOUNDS and no two go against ORDER; raise Refused naming them otherwise."""
    for name, (least, greatest) in BOUNDS.items():
        value = getattr(parameters, name)
        if not least <= value <= greatest:
            raise Refused("PARAMETER_OUT_OF_RANGE", field=name, least=least, limit=greatest, found=value)
    for name, ceiling in ORDER:
        value, limit = getattr(parameters, name), getattr(parameters, ceiling)
        if value > limit:
            raise Refused("PARAMETERS_CONFLICT", field=name, found=value, ceiling=ceiling, limit=limit)


def changed_parameters(parameters: ChainParameters, changes: Mapping[str, int]) -> ChainParameters:
    """Return the parameters with these values in place of theirs; raise Refused on an unknown name, or where they cannot hold."""
    for name in changes:
        if name not in BOUNDS:
            raise Refused("PARAMETER_UNKNOWN", found=name)
    changed = msgspec.structs.replace(parameters, **changes)
    verify_parameters(changed)
    return changed
