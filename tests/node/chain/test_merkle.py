"""Binary Merkle trees: RFC 6962's shape, paths that prove one leaf only, and the growing tree that equals the list's."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sm_crypto.merkle import (
    EMPTY_ROOT,
    AppendOnlyTree,
    MerkleError,
    leaf_hash,
    merkle_path,
    merkle_path_root,
    merkle_root,
    node_hash,
    verify_merkle_path,
)
from sm_crypto.sm3 import sm3

LEAVES = [leaf_hash(b"%d" % number) for number in range(70)]


def defined_root(leaves: list[bytes]) -> bytes:
    """RFC 6962, 2.1: split at the largest power of two below the count."""
    if len(leaves) == 1:
        return leaves[0]
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return node_hash(defined_root(leaves[:split]), defined_root(leaves[split:]))


def test_hashes_carry_their_domains() -> None:
    assert leaf_hash(b"data") == sm3(b"\x00data")
    assert node_hash(LEAVES[0], LEAVES[1]) == sm3(b"\x01" + LEAVES[0] + LEAVES[1])
    assert merkle_root([]) == EMPTY_ROOT == sm3(b"\x02")


@pytest.mark.parametrize("count", range(1, 71))
def test_root_and_paths_of_every_size(count: int) -> None:
    leaves = LEAVES[:count]
    root = merkle_root(leaves)
    assert root == defined_root(leaves)
    growing = AppendOnlyTree()
    for leaf in leaves:
        growing.append(leaf)
    assert growing.root() == root
    assert AppendOnlyTree(growing.count, growing.peaks).root() == root
    for index in range(count):
        verify_merkle_path(leaves[index], index, count, merkle_path(leaves, index), root)


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 70), st.data())
def test_a_path_proves_its_own_leaf_and_place_only(count: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, count - 1))
    path = merkle_path(LEAVES[:count], index)
    root = merkle_root(LEAVES[:count])
    other = data.draw(st.integers(0, count - 1).filter(lambda number: number != index or count == 1))
    if other != index:
        with pytest.raises(MerkleError):
            verify_merkle_path(LEAVES[other], index, count, path, root)
        with pytest.raises(MerkleError):
            verify_merkle_path(LEAVES[index], other, count, path, root)
    with pytest.raises(MerkleError, match="too long"):
        verify_merkle_path(LEAVES[index], index, count, [*path, bytes(32)], root)
    if path:
        with pytest.raises(MerkleError, match="too short"):
            verify_merkle_path(LEAVES[index], index, count, path[:-1], root)
        broken = list(path)
        at = data.draw(st.integers(0, len(path) - 1))
        broken[at] = bytes(32)
        with pytest.raises(MerkleError, match="another root"):
            verify_merkle_path(LEAVES[index], index, count, broken, root)


@pytest.mark.parametrize(("index", "count", "length"), [(-1, 4, 2), (4, 4, 2), (0, 0, 0), (0, 2**70, 65)])
def test_places_outside_the_list_are_refused(index: int, count: int, length: int) -> None:
    with pytest.raises(MerkleError, match="expected an index below"):
        merkle_path_root(LEAVES[0], index, count, [bytes(32)] * length)
    with pytest.raises(MerkleError, match="expected an index"):
        merkle_path(LEAVES[:4], 4)


def test_a_growing_tree_is_taken_up_with_as_many_peaks_as_it_has() -> None:
    with pytest.raises(MerkleError, match="expected 2 peaks for 5 leaves, found 1"):
        AppendOnlyTree(5, [bytes(32)])
    assert AppendOnlyTree().root() == EMPTY_ROOT
