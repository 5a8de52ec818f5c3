"""The state as a block's calls see it: the last final state under what the block has written so far, with undo."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from node.chain.codec import decode_trusted, encode

MAX_STATE_KEY_BYTES: Final = 512
MAX_STATE_VALUE_BYTES: Final = 256 * 1024

_ACCOUNT_TABLE: Final = b"\x00"


class Account(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What the ledger itself keeps of an address: how many of its transactions final blocks hold, refused ones included."""

    executed: int


def account_state_key(address: bytes) -> bytes:
    """Return the key of an address's account: the address (20 bytes) and table 0, which contracts leave to the ledger."""
    return address + _ACCOUNT_TABLE


def load_account_count(get: Callable[[bytes], bytes | None], address: bytes) -> int:
    """Return how many transactions of `address` the state counts."""
    raw = get(account_state_key(address))
    return 0 if raw is None else decode_trusted(raw, Account).executed


def executed_count(key: bytes, value: bytes) -> int:
    """Return how many transactions an entry of the state counts, 0 where it is no account's."""
    return decode_trusted(value, Account).executed if len(key) == 21 and key.endswith(_ACCOUNT_TABLE) else 0


def encode_account(executed: int) -> bytes:
    """Return the value of an account's key."""
    return encode(Account(executed))


class WorldState:
    """A State over a reader of the last final state: keeps writes, and undoes them back to a mark."""

    __slots__ = ("_journal", "_load", "_reads", "_writes")

    def __init__(self, load: Callable[[bytes], bytes | None]) -> None:
        """Begin with no writes; `load` returns the final state's value at a key."""
        self._load = load
        self._reads: dict[bytes, bytes | None] = {}
        self._writes: dict[bytes, bytes | None] = {}
        self._journal: list[tuple[bytes, bool, bytes | None]] = []

    def get(self, key: bytes) -> bytes | None:
        """Return the value at `key`, or None when there is none."""
        if key in self._writes:
            return self._writes[key]
        return self._base(key)

    def set(self, key: bytes, value: bytes) -> None:
        """Put `value` at `key`; raise ValueError on a key or value past its limit."""
        if len(key) > MAX_STATE_KEY_BYTES or len(value) > MAX_STATE_VALUE_BYTES:
            raise ValueError(
                f"expected a key of at most {MAX_STATE_KEY_BYTES} bytes and a value of at most {MAX_STATE_VALUE_BYTES}, "
                f"found {len(key)} and {len(value)}"
            )
        self._write(key, value)

    def delete(self, key: bytes) -> None:
        """Remove `key`, whether or not it is there."""
        self._write(key, None)

    def mark(self) -> int:
        """Return where the journal stands, to go back to."""
        return len(self._journal)

    def undo(self, mark: int) -> None:
        """Undo every write since `mark`."""
        journal, writes = self._journal, self._writes
        while len(journal) > mark:
            key, was_written, value = journal.pop()
            if was_written:
                writes[key] = value
            else:
                del writes[key]

    def changes(self) -> dict[bytes, bytes | None]:
        """Return the final value of every key whose value differs from the final state's, in the order of keys."""
        return {key: value for key, value in sorted(self._writes.items()) if value != self._base(key)}

    def replaced(self, key: bytes) -> bytes | None:
        """Return the final state's value at `key`, before this block."""
        return self._base(key)

    def _base(self, key: bytes) -> bytes | None:
        reads = self._reads
        if key in reads:
            return reads[key]
        value = reads[key] = self._load(key)
        return value

    def _write(self, key: bytes, value: bytes | None) -> None:
        writes = self._writes
        was_written = key in writes
        self._journal.append((key, was_written, writes[key] if was_written else None))
        writes[key] = value
