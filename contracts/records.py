"""Where contracts keep their records: fixed addresses, and tables of typed records under contract, table and key."""

from __future__ import annotations

from typing import Final, Generic, Protocol, TypeVar

import msgspec

R = TypeVar("R", bound=msgspec.Struct)

MAX_KEY_LENGTH: Final = 256

# From 0x1001 on: below lie Ethereum's precompiles, which reach 0x0100.
ADDRESSES: Final[dict[str, bytes]] = {
    name: number.to_bytes(20, "big")
    for name, number in {
        "members": 0x1001,
        "certificates": 0x1002,
        "catalogue": 0x1003,
        "sharing": 0x1004,
        "access": 0x1005,
        "anchors": 0x1006,
        "governance": 0x1007,
        "deployments": 0x1008,
        "crypto": 0x1009,
        "batches": 0x100A,
        "authorisations": 0x100B,
        "directories": 0x100C,
        "deadlines": 0x100D,
        "deliveries": 0x100E,
        "audits": 0x100F,
        "products": 0x1010,
        "open_data": 0x1011,
    }.items()
}
"""The 20-byte address of each system contract by its name."""

_ENCODER = msgspec.msgpack.Encoder()


class Reader(Protocol):
    """The ledger's map of bytes to bytes, to read."""

    def get(self, key: bytes, /) -> bytes | None:
        """Return the value at `key`, or None when there is none."""


class Writer(Reader, Protocol):
    """The ledger's map of bytes to bytes, to read and write."""

    def set(self, key: bytes, value: bytes, /) -> None:
        """Put `value` at `key`."""

    def delete(self, key: bytes, /) -> None:
        """Remove `key`, whether or not it is there."""


class Table(Generic[R]):
    """Records of one type of one contract; the key in state is address (20 bytes), table number (1 byte), key (bytes)."""

    __slots__ = ("_decode", "kind", "prefix")

    def __init__(self, contract: str, number: int, kind: type[R]) -> None:
        """Take the contract's name, the table's number in it (0 to 255) and the type of its records."""
        self.prefix = ADDRESSES[contract] + bytes((number,))
        self.kind = kind
        self._decode = msgspec.msgpack.Decoder(kind).decode

    def key(self, key: bytes) -> bytes:
        """Return the key in state of the record called `key`; raise ValueError past MAX_KEY_LENGTH bytes."""
        if len(key) > MAX_KEY_LENGTH:
            raise ValueError(f"a record's key has at most {MAX_KEY_LENGTH} bytes, this one has {len(key)}")
        return self.prefix + key

    def load(self, state: Reader, key: bytes) -> R | None:
        """Return the record called `key`, or None when there is none; there is none past MAX_KEY_LENGTH."""
        if len(key) > MAX_KEY_LENGTH:
            return None
        raw = state.get(self.prefix + key)
        return None if raw is None else self._decode(raw)

    def save(self, state: Writer, key: bytes, record: R) -> None:
        """Put the record called `key`."""
        state.set(self.key(key), _ENCODER.encode(record))

    def remove(self, state: Writer, key: bytes) -> None:
        """Remove the record called `key`."""
        state.delete(self.key(key))

    def has(self, state: Reader, key: bytes) -> bool:
        """Return whether there is a record called `key`."""
        return len(key) <= MAX_KEY_LENGTH and state.get(self.prefix + key) is not None

    def decode(self, raw: bytes) -> R:
        """Return the record that a value in state encodes; raise msgspec.DecodeError on bytes that encode none."""
        return self._decode(raw)
