"""Vote bitmaps: whose votes of a round a node knows, one bit a validator, as StatusFrame carries them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from consensus.messages import Vote, VoteKind
from node.wire.frames import StatusFrame


class MalformedBitmap(Exception):
    """A bitmap is not one of this validator set."""


def make_bitmap(indices: Iterable[int], count: int) -> bytes:
    """Return the bitmap of these validators of a set of `count`."""
    return sum(1 << index for index in set(indices)).to_bytes((count + 7) // 8, "little")


def read_bitmap(raw: bytes, count: int) -> frozenset[int]:
    """Return the validators whose bits are set; raise MalformedBitmap on another length than a set of `count` has, or bits beyond it."""
    length = (count + 7) // 8
    if len(raw) != length:
        raise MalformedBitmap(f"expected a bitmap of {length} bytes for {count} validators, found {len(raw)}")
    bits = int.from_bytes(raw, "little")
    if bits >> count:
        raise MalformedBitmap(f"expected bits for {count} validators, found bit {bits.bit_length() - 1}")
    return frozenset(index for index in range(count) if bits >> index & 1)


def lacking_votes(
    votes: Sequence[Vote], status: StatusFrame, count: int, decisive: frozenset[tuple[VoteKind, bytes]]
) -> list[Vote]:
    """Return those of the votes of a peer's height that its status, of a set of `count`, does not say it has, and all decisive ones.

    `decisive` names votes of the status's round by kind and block id: a bitmap does not say which of an equivocator's votes
    a peer has, so it must not keep the others from it.
    """
    known = {
        VoteKind.PREVOTE: read_bitmap(status.prevotes, count),
        VoteKind.PRECOMMIT: read_bitmap(status.precommits, count),
    }
    return [
        vote
        for vote in votes
        if vote.round != status.round
        or vote.validator_index not in known[vote.kind]
        or (vote.kind, vote.block_id) in decisive
    ]
