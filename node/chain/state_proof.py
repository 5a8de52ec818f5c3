"""Proofs that the state tree holds a value at a key, or none (docs/spec/state-tree.md)."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from consensus.messages import Digest
from node.chain.state_tree import EMPTY_TREE_ROOT, NodeReader, NodeView, inner_node_hash, leaf_node_hash
from sm_crypto.merkle import MerkleError, merkle_path, merkle_path_root
from sm_crypto.sm3 import sm3

MAX_PROOF_STEPS: Final = 64
MAX_STEP_SIBLINGS: Final = 4


class StateLeaf(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """A leaf of the tree: the SM3 of its key and the SM3 of its value."""

    path: Digest
    value_hash: Digest


class ProofStep(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """One inner node on the way down: which children it has, and the siblings of the one that the way goes through.

    In the last step of a proof that ends at an empty slot, the one sibling is the root over all the node's children.
    """

    bitmap: Annotated[int, msgspec.Meta(ge=0, le=0xFFFF)]
    siblings: Annotated[tuple[Digest, ...], msgspec.Meta(max_length=MAX_STEP_SIBLINGS)]


class StateProof(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """The way from the root (first step) to a leaf, or to the empty slot where the key's leaf would be (leaf None)."""

    leaf: StateLeaf | None
    steps: Annotated[tuple[ProofStep, ...], msgspec.Meta(min_length=1, max_length=MAX_PROOF_STEPS)]


class StateProofError(Exception):
    """The proof does not hold; `part` is "record" or "path", whichever broke first."""

    def __init__(self, part: str, reason: str) -> None:
        super().__init__(f"{part}: {reason}")
        self.part = part
        self.reason = reason


def prove_state(reader: NodeReader, root_version: int, key: bytes) -> StateProof:
    """Return the proof of what the tree at `root_version` holds at `key`; StateTreeError when a node is missing."""
    path = sm3(key)
    digits = path.hex()
    steps: list[ProofStep] = []
    version = root_version
    for depth, digit in enumerate(digits):
        node = NodeView(reader.read_node(digits[:depth], version))
        slot = 1 << int(digit, 16)
        hashes = node.child_hashes()
        if not node.bitmap & slot:
            siblings = (node.group_root(),) if hashes else ()
            return StateProof(None, (*steps, ProofStep(node.bitmap, siblings)))
        index = (node.bitmap & (slot - 1)).bit_count()
        steps.append(ProofStep(node.bitmap, tuple(merkle_path(hashes, index))))
        leaf = node.leaf_record(slot)
        if leaf is not None:
            return StateProof(StateLeaf(leaf[:32], leaf[32:]), tuple(steps))
        version = node.child_version(slot)
    raise AssertionError("two different keys have one SM3 path")


def verify_state_proof(proof: StateProof, key: bytes, value: bytes | None, state_root: bytes) -> None:
    """Return if the proof shows `value` at `key` (None: nothing there) under the root; raise StateProofError otherwise."""
    path = sm3(key)
    leaf = proof.leaf
    if value is not None:
        if leaf is None or leaf.path != path:
            raise StateProofError("record", "the proof leads to another place than the record's key")
        if leaf.value_hash != sm3(value):
            raise StateProofError("record", "the record's digest is not the one in the proof")
    elif leaf is not None and leaf.path == path:
        raise StateProofError("record", "the proof shows a value at the key that is said to be absent")
    digits = path.hex()
    if leaf is not None and leaf.path.hex()[: len(proof.steps)] != digits[: len(proof.steps)]:
        raise StateProofError("path", "the leaf does not stand where the proof leads")
    try:
        root = _root_of(proof, digits)
    except MerkleError as error:
        raise StateProofError("path", str(error)) from None
    if root != state_root:
        raise StateProofError("path", "the path does not lead to the state root of the header")


def _root_of(proof: StateProof, digits: str) -> bytes:
    """Return the state root that the proof's steps lead to; raise MerkleError when they cannot lead anywhere."""
    steps = list(enumerate(proof.steps))
    if proof.leaf is not None:
        current = leaf_node_hash(proof.leaf.path, proof.leaf.value_hash)
    else:
        depth, last = steps.pop()
        if last.bitmap & 1 << int(digits[depth], 16):
            raise MerkleError("the slot that should be empty holds a child")
        if last.bitmap == 0:
            if depth or last.siblings:
                raise MerkleError("only the root of an empty tree has no children")
            return EMPTY_TREE_ROOT
        if len(last.siblings) != 1:
            raise MerkleError("an empty slot needs the one root over the node's children")
        current = inner_node_hash(last.bitmap, last.siblings[0])
    for depth, step in reversed(steps):
        slot = 1 << int(digits[depth], 16)
        if not step.bitmap & slot:
            raise MerkleError("the path leads through an empty slot")
        index = (step.bitmap & (slot - 1)).bit_count()
        current = inner_node_hash(step.bitmap, merkle_path_root(current, index, step.bitmap.bit_count(), step.siblings))
    return current
