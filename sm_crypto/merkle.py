"""Binary Merkle trees over lists: roots, inclusion paths, and the append-only tree over block ids.

The shape is that of RFC 6962 section 2.1: a lone node at the end of a level moves up unhashed.
"""

from __future__ import annotations

from collections.abc import Sequence

from sm_crypto.sm3 import merkle_group_roots, sm3

EMPTY_ROOT = sm3(b"\x02")
MAX_PATH_LENGTH = 64


class MerkleError(Exception):
    """A Merkle path does not lead from the leaf to the root."""


def leaf_hash(data: bytes) -> bytes:
    """Return the 32-byte hash of a leaf; its prefix keeps leaves apart from nodes."""
    return sm3(b"\x00" + data)


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the 32-byte hash of an inner node over two 32-byte children."""
    return sm3(b"\x01" + left + right)


def merkle_root(leaves: Sequence[bytes]) -> bytes:
    """Return the root over 32-byte leaf hashes, EMPTY_ROOT for none."""
    return merkle_group_roots([b"".join(leaves)])[0] if leaves else EMPTY_ROOT


def merkle_path(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """Return the 32-byte siblings from leaf `index` up to the root, lowest first."""
    if not 0 <= index < len(leaves):
        raise MerkleError(f"expected an index below {len(leaves)}, found {index}")
    path: list[bytes] = []
    level = list(leaves)
    while len(level) > 1:
        if index ^ 1 < len(level):
            path.append(level[index ^ 1])
        level = _next_level(level)
        index >>= 1
    return path


def verify_merkle_path(leaf: bytes, index: int, count: int, path: Sequence[bytes], root: bytes) -> None:
    """Return if `path` proves that `leaf` is leaf `index` of `count` under `root`; raise MerkleError otherwise."""
    if merkle_path_root(leaf, index, count, path) != root:
        raise MerkleError("the Merkle path leads to another root")


def merkle_path_root(leaf: bytes, index: int, count: int, path: Sequence[bytes]) -> bytes:
    """Return the root that `path` leads to from leaf `index` of `count`; raise MerkleError when its length is wrong."""
    if not 0 <= index < count or len(path) > MAX_PATH_LENGTH:
        raise MerkleError(
            f"expected an index below {count} and at most {MAX_PATH_LENGTH} siblings, found {index} and {len(path)}"
        )
    siblings = iter(path)
    value = leaf
    try:
        while count > 1:
            if index ^ 1 < count:
                sibling = next(siblings)
                value = node_hash(sibling, value) if index & 1 else node_hash(value, sibling)
            index >>= 1
            count = (count + 1) >> 1
    except StopIteration:
        raise MerkleError("the Merkle path is too short") from None
    if next(siblings, None) is not None:
        raise MerkleError("the Merkle path is too long")
    return value


class AppendOnlyTree:
    """The root over a growing list, held as its full subtrees: at most 64 hashes whatever the length."""

    __slots__ = ("_peaks", "count")

    def __init__(self, count: int = 0, peaks: Sequence[bytes] = ()) -> None:
        """Take up a tree of `count` leaves; `peaks` are the roots of its full subtrees, largest first."""
        if count.bit_count() != len(peaks):
            raise MerkleError(f"expected {count.bit_count()} peaks for {count} leaves, found {len(peaks)}")
        self.count = count
        self._peaks = list(peaks)

    @property
    def peaks(self) -> tuple[bytes, ...]:
        """The roots of the full subtrees, largest first: all that is needed to go on."""
        return tuple(self._peaks)

    def append(self, leaf: bytes) -> None:
        """Add one 32-byte leaf hash at the end."""
        value, position = leaf, self.count
        while position & 1:
            value = node_hash(self._peaks.pop(), value)
            position >>= 1
        self._peaks.append(value)
        self.count += 1

    def root(self) -> bytes:
        """Return the root over all leaves so far: equal to merkle_root of the same list."""
        if not self._peaks:
            return EMPTY_ROOT
        value = self._peaks[-1]
        for peak in reversed(self._peaks[:-1]):
            value = node_hash(peak, value)
        return value


def _next_level(level: list[bytes]) -> list[bytes]:
    """Hash neighbours in pairs; a lone last node moves up as it is."""
    above = [sm3(b"\x01" + level[i] + level[i + 1]) for i in range(0, len(level) - 1, 2)]
    if len(level) & 1:
        above.append(level[-1])
    return above
