"""The validators of one height: who votes, in which order, and how many make a quorum."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated

import msgspec

from sm_crypto.sm3 import TaggedHash

MAX_VALIDATORS = 128

_SET_HASH = TaggedHash("govnode/validator-set/1")


class Validator(msgspec.Struct, array_like=True, frozen=True, gc=False, forbid_unknown_fields=True):
    """One voting member: its 20-byte address and the 64-byte SM2 key that it votes with."""

    address: Annotated[bytes, msgspec.Meta(min_length=20, max_length=20)]
    public_key: Annotated[bytes, msgspec.Meta(min_length=64, max_length=64)]


class ValidatorSet:
    """An immutable list of validators in the order of their addresses, one vote each."""

    __slots__ = ("_hash", "_index_by_address", "members")

    def __init__(self, members: Sequence[Validator]) -> None:
        """Sort the members; raise ValueError on none, more than MAX_VALIDATORS, or one address or key twice."""
        if not 1 <= len(members) <= MAX_VALIDATORS:
            raise ValueError(f"a validator set has 1 to {MAX_VALIDATORS} members, this one has {len(members)}")
        self.members = tuple(sorted(members, key=lambda member: member.address))
        self._index_by_address = {member.address: index for index, member in enumerate(self.members)}
        if len(self._index_by_address) < len(members) or len({member.public_key for member in members}) < len(members):
            raise ValueError("a validator set names each address and each key once")
        self._hash = _SET_HASH(msgspec.msgpack.encode(self.members))

    def __len__(self) -> int:
        return len(self.members)

    def __iter__(self) -> Iterator[Validator]:
        return iter(self.members)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ValidatorSet) and self.members == other.members

    def __hash__(self) -> int:
        return hash(self._hash)

    @property
    def hash(self) -> bytes:
        """The 32-byte digest that block headers name this set by."""
        return self._hash

    @property
    def faulty_limit(self) -> int:
        """The largest number f of faulty members that safety survives: (n - 1) // 3."""
        return (len(self.members) - 1) // 3

    @property
    def quorum(self) -> int:
        """The number of distinct members that decide: 2n // 3 + 1, so that two quorums share a correct member for every n."""
        return 2 * len(self.members) // 3 + 1

    def proposer_index(self, height: int, round_: int) -> int:
        """Return the index of the member that proposes in this height and round."""
        return (height + round_) % len(self.members)

    def index_of(self, address: bytes) -> int | None:
        """Return the index of the member with this address, or None when it is not one."""
        return self._index_by_address.get(address)
