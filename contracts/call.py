"""One form of call for every contract, native or EVM, and what comes back."""

from __future__ import annotations

from typing import Protocol

import msgspec


class State(Protocol):
    """The ledger's map of bytes to bytes as a running call sees it; what a refused call wrote is undone by the caller."""

    def get(self, key: bytes) -> bytes | None:
        """Return the value at `key`, or None when there is none."""

    def set(self, key: bytes, value: bytes) -> None:
        """Put `value` at `key`."""

    def delete(self, key: bytes) -> None:
        """Remove `key`, whether or not it is there."""


class Call(msgspec.Struct, frozen=True):
    """One call: 20-byte sender and target (None deploys), ABI call data, gas limit, and the block it runs in."""

    sender: bytes
    to: bytes | None
    data: bytes
    gas_limit: int
    height: int
    time_ms: int
    call_id: bytes
    """32 bytes that name the call: the transaction id."""


class Log(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """An event: 20-byte contract address, up to four 32-byte topics, ABI data."""

    address: bytes
    topics: tuple[bytes, ...]
    data: bytes


class CallResult(msgspec.Struct, frozen=True):
    """How a call ended: `refusal` is None on success, else the refusal's name; output is ABI data, or the ABI Error(string)."""

    refusal: str | None
    gas_used: int
    output: bytes
    logs: tuple[Log, ...]
    work: int = 0
    """Units of EVM work that it took (MAX_TRANSACTION_WORK); none for a system contract."""
