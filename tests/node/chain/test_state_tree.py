"""The state tree against the definition of its root, its versions and pruning, and its proofs."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.chain.state_proof import (
    ProofStep,
    StateLeaf,
    StateProof,
    StateProofError,
    prove_state,
    verify_state_proof,
)
from node.chain.state_tree import EMPTY_TREE_ROOT, NodeView, StateTreeError, TreeChange, update_tree
from sm_crypto.merkle import node_hash
from sm_crypto.sm3 import sm3


class Nodes:
    """Saved nodes in a dict, with the replaced ones by the version that replaced them."""

    def __init__(self) -> None:
        self.blobs: dict[tuple[str, int], bytes] = {}
        self.stale: dict[int, list[tuple[int, str]]] = {}
        self.roots: list[tuple[int, bytes]] = []
        """(root version, root hash) after each update."""

    def read_node(self, path: str, version: int) -> bytes:
        try:
            return self.blobs[path, version]
        except KeyError:
            raise StateTreeError(f"no node {path!r} of version {version}") from None

    def update(self, changes: Mapping[bytes, bytes | None]) -> bytes:
        version = len(self.roots)
        before = self.roots[-1] if self.roots else (None, EMPTY_TREE_ROOT)
        change = update_tree(self, before[0], version, changes)
        if change is None:
            assert before[0] is not None
            self.roots.append((before[0], before[1]))
            return before[1]
        self.save(change)
        self.roots.append((change.root_version, change.root_hash))
        return change.root_hash

    def save(self, change: TreeChange) -> None:
        for path, blob in change.nodes.items():
            self.blobs[path, change.root_version] = blob
        self.stale[change.root_version] = change.stale

    def prune_below(self, version: int) -> None:
        for replaced_at in [at for at in self.stale if at <= version]:
            for old, path in self.stale.pop(replaced_at):
                del self.blobs[path, old]

    def reachable(self, path: str, version: int) -> set[tuple[str, int]]:
        node = NodeView(self.blobs[path, version])
        found = {(path, version)}
        for nibble in range(16):
            slot = 1 << nibble
            if node.bitmap & slot and not node.leaf_bitmap & slot:
                found |= self.reachable(path + f"{nibble:x}", node.child_version(slot))
        return found


def defined_root(contents: Mapping[bytes, bytes]) -> bytes:
    """The root as docs/spec/state-tree.md defines it, computed over all contents at once."""
    leaves = {sm3(key).hex(): sm3(b"\x11" + sm3(key) + sm3(value)) for key, value in contents.items()}
    return _node(leaves, 0)


def _node(leaves: Mapping[str, bytes], depth: int) -> bytes:
    bitmap, hashes = 0, []
    for nibble in range(16):
        below = {path: leaf for path, leaf in leaves.items() if int(path[depth], 16) == nibble}
        if below:
            bitmap |= 1 << nibble
            hashes.append(next(iter(below.values())) if len(below) == 1 else _node(below, depth + 1))
    return sm3(b"\x12" + bitmap.to_bytes(2) + (_binary(hashes) if hashes else b""))


def _binary(hashes: list[bytes]) -> bytes:
    """RFC 6962, 2.1: split at the largest power of two below the count."""
    if len(hashes) == 1:
        return hashes[0]
    split = 1 << (len(hashes) - 1).bit_length() - 1
    return node_hash(_binary(hashes[:split]), _binary(hashes[split:]))


def crowded_keys(count: int) -> list[bytes]:
    """Keys whose paths share long prefixes, so that small trees have deep branches and collapse when keys go."""
    by_path = sorted((sm3(b"%d" % number).hex(), b"%d" % number) for number in range(20_000))
    shared = []
    for (path, key), (next_path, next_key) in pairwise(by_path):
        length = next((depth for depth in range(64) if path[depth] != next_path[depth]), 64)
        shared.append((-length, key, next_key))
    keys: list[bytes] = []
    for _, *pair in sorted(shared):
        keys += [key for key in pair if key not in keys]
        if len(keys) >= count:
            break
    return keys


KEYS = crowded_keys(24)
CHANGES = st.dictionaries(st.sampled_from(KEYS), st.one_of(st.none(), st.binary(max_size=3)), max_size=12)


@settings(max_examples=150, deadline=None)
@given(st.lists(CHANGES, min_size=1, max_size=8))
def test_every_version_has_the_defined_root_and_no_node_leaks(batches: list[dict[bytes, bytes | None]]) -> None:
    nodes, contents, history = Nodes(), dict[bytes, bytes](), []
    for batch in batches:
        root = nodes.update(batch)
        for key, value in batch.items():
            if value is None:
                contents.pop(key, None)
            else:
                contents[key] = value
        assert root == defined_root(contents)
        history.append(dict(contents))
    # Until they are pruned, all versions prove everything.
    for (version, root), then in zip(nodes.roots, history, strict=True):
        for key in KEYS[:6]:
            verify_state_proof(prove_state(nodes, version, key), key, then.get(key), root)
    # Pruning leaves exactly what the kept versions reach.
    for kept in range(len(batches)):
        nodes.prune_below(kept)
        reached = set[tuple[str, int]]().union(*(nodes.reachable("", version) for version, _ in nodes.roots[kept:]))
        assert set(nodes.blobs) == reached


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(st.binary(max_size=8), st.binary(max_size=8), max_size=60), st.randoms(use_true_random=False))
def test_the_root_depends_on_contents_alone(contents: dict[bytes, bytes], random: Random) -> None:
    at_once, in_pieces = Nodes(), Nodes()
    items = list(contents.items())
    expected = at_once.update(contents)
    random.shuffle(items)
    extra: list[bytes] = [b"one more key %d" % number for number in range(5)]
    in_pieces.update(dict.fromkeys(extra, b"gone later"))
    for start in range(0, len(items), 7):
        in_pieces.update(dict(items[start : start + 7]))
    assert in_pieces.update(dict.fromkeys(extra)) == expected == defined_root(contents)


def test_an_empty_tree_has_the_empty_root_and_comes_back_to_it() -> None:
    nodes = Nodes()
    assert nodes.update({}) == EMPTY_TREE_ROOT == sm3(b"\x12\x00\x00")
    assert nodes.update({b"key": b"value"}) != EMPTY_TREE_ROOT
    assert nodes.update({b"key": None, b"never there": None}) == EMPTY_TREE_ROOT
    verify_state_proof(prove_state(nodes, nodes.roots[-1][0], b"key"), b"key", None, EMPTY_TREE_ROOT)


def test_the_example_of_the_specification() -> None:
    nodes = Nodes()
    root = nodes.update({b"a": b"1", b"b": b"2"})
    assert root.hex() == "9d4c44d077cc3670400be5b420d08078c2d3554c765ab6f979138aebbaccdaca"


def test_changes_that_change_nothing_make_no_version() -> None:
    nodes = Nodes()
    nodes.update(dict.fromkeys(KEYS, b"1"))
    assert update_tree(nodes, 0, 1, {}) is None
    assert update_tree(nodes, 0, 1, {KEYS[0]: b"1", b"absent": None}) is None


def test_versions_go_up_and_missing_nodes_are_the_machines_fault() -> None:
    nodes = Nodes()
    nodes.update(dict.fromkeys(KEYS, b"1"))
    with pytest.raises(ValueError, match="version above 0"):
        update_tree(nodes, 0, 0, {b"a": b"b"})
    with pytest.raises(ValueError, match="version"):
        update_tree(nodes, 0, 2**48, {b"a": b"b"})
    with pytest.raises(StateTreeError):
        update_tree(nodes, 5, 6, {b"a": b"b"})


def big_tree() -> tuple[Nodes, dict[bytes, bytes]]:
    nodes = Nodes()
    contents = {b"record %d" % number: b"value %d" % number for number in range(3_000)}
    nodes.update(contents)
    return nodes, contents


NODES, CONTENTS = big_tree()
ROOT = NODES.roots[-1][1]


def broken(proof: StateProof, key: bytes, value: bytes | None) -> str:
    with pytest.raises(StateProofError) as caught:
        verify_state_proof(proof, key, value, ROOT)
    return caught.value.part


def test_inclusion_and_absence_are_proved_in_a_large_tree() -> None:
    endings = set()
    for number in range(0, 3_300, 7):
        key = b"record %d" % number
        proof = prove_state(NODES, 0, key)
        verify_state_proof(proof, key, CONTENTS.get(key), ROOT)
        endings.add((key in CONTENTS, proof.leaf is None))
        assert all(len(step.siblings) <= 4 for step in proof.steps)
    assert endings == {(True, False), (False, True), (False, False)}, "all three kinds of proof were seen"


def test_a_proof_shows_one_value_only() -> None:
    proof = prove_state(NODES, 0, b"record 5")
    assert broken(proof, b"record 5", b"value 6") == "record"
    assert broken(proof, b"record 6", b"value 6") == "record"
    assert broken(proof, b"record 5", None) == "record"
    other = prove_state(NODES, 0, b"not there")
    assert broken(other, b"not there", b"value") == "record"
    assert broken(other, b"record 5", None) in ("record", "path")


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_no_changed_proof_holds(data: st.DataObject) -> None:
    key = b"record %d" % data.draw(st.integers(0, 3_299))
    proof = prove_state(NODES, 0, key)
    value = CONTENTS.get(key)
    index = data.draw(st.integers(0, len(proof.steps) - 1))
    step = proof.steps[index]
    change = data.draw(st.sampled_from(["bitmap", "sibling", "leaf", "drop", "repeat", "lengthen"]))
    leaf, steps = proof.leaf, list(proof.steps)
    if change == "bitmap":
        steps[index] = ProofStep(step.bitmap ^ 1 << data.draw(st.integers(0, 15)), step.siblings)
    elif change == "sibling" and step.siblings:
        siblings = list(step.siblings)
        at = data.draw(st.integers(0, len(siblings) - 1))
        siblings[at] = flipped(siblings[at], data.draw(st.integers(0, 255)))
        steps[index] = ProofStep(step.bitmap, tuple(siblings))
    elif change == "leaf" and leaf is not None:
        bit = data.draw(st.integers(0, 511))
        leaf = StateLeaf(
            flipped(leaf.path, bit) if bit < 256 else leaf.path,
            leaf.value_hash if bit < 256 else flipped(leaf.value_hash, bit - 256),
        )
    elif change == "drop" and len(steps) > 1:
        del steps[index]
    elif change == "repeat":
        steps.insert(index, step)
    else:
        steps[index] = ProofStep(step.bitmap, (*step.siblings[:3], bytes(32)))
    changed = StateProof(leaf, tuple(steps))
    if changed != proof:
        assert broken(changed, key, value) in ("record", "path")


def flipped(digest: bytes, bit: int) -> bytes:
    return (int.from_bytes(digest) ^ 1 << bit).to_bytes(32)
