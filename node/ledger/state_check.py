"""The state on disk against its root: every tree node by its hash, every value by its leaf."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Final

from node.chain.state_tree import (
    EMPTY_TREE_ROOT,
    LEAF_PREFIX,
    NodeView,
    StateTreeError,
    inner_node_hash,
)
from node.ledger.state_store import StateStore
from sm_crypto.sm3 import sm3_many

BATCH_VALUES: Final = 512

_HEAD: Final = 4
_HASH: Final = 32
_VERSION: Final = 6
_LEAF: Final = 64


class DamagedState(Exception):
    """The state does not fit its root: which part of it, and how it differs."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


def check_state(store: StateStore, root_version: int, state_root: bytes) -> Iterator[int]:
    """Yield how many values were found right so far, at last all of them; raise DamagedState at the first wrong thing."""
    walk = _Walk(store)
    if walk.hash_of("", root_version) != state_root:
        raise DamagedState("tree node", f"the tree does not lead to the state root {state_root.hex()}")
    count = 0
    values = store.iterate(b"")
    while entries := list(islice(values, BATCH_VALUES)):
        paths = sm3_many([key for key, _ in entries])
        digests = sm3_many([value for _, value in entries])
        for (key, _), path, digest in zip(entries, paths, digests, strict=True):
            if _leaf_at(store, root_version, path) != path + digest:
                raise DamagedState("value", f"the value of key {key.hex()} is not the one under the state root")
        count += len(entries)
        yield count
    if count != walk.leaf_count:
        raise DamagedState("value", f"expected {walk.leaf_count} values as the tree says, found {count}")


class _Walk:
    """Hashes a tree from its leaves up."""

    def __init__(self, store: StateStore) -> None:
        self._store = store
        self.leaf_count = 0

    def hash_of(self, path: str, version: int) -> bytes:
        """Return the hash of a node whose children are all what it says they are; raise DamagedState."""
        node = _read(self._store, path, version)
        if not node.bitmap:
            if path:
                raise DamagedState("tree node", f"node {path!r} is empty")
            return EMPTY_TREE_ROOT
        hashes = node.child_hashes()
        slots = [slot for slot in (1 << index for index in range(16)) if node.bitmap & slot]
        leaves = [record for slot in slots if (record := node.leaf_record(slot)) is not None]
        leaf_hashes = iter(sm3_many([LEAF_PREFIX + record for record in leaves]) if leaves else ())
        self.leaf_count += len(leaves)
        for slot, expected in zip(slots, hashes, strict=True):
            below = f"{path}{slot.bit_length() - 1:x}"
            record = node.leaf_record(slot)
            if record is not None:
                is_right = next(leaf_hashes) == expected and record.hex().startswith(below)
            else:
                is_right = self.hash_of(below, node.child_version(slot)) == expected
            if not is_right:
                raise DamagedState("tree node", f"node {below!r} is not the one whose hash stands above it")
        return inner_node_hash(node.bitmap, node.group_root())


def _leaf_at(store: StateStore, root_version: int, path: bytes) -> bytes | None:
    """Return path || value hash of the leaf on the way to `path`, None where the way ends before."""
    version, digits = root_version, path.hex()
    for depth, digit in enumerate(digits):
        node = _read(store, digits[:depth], version)
        slot = 1 << int(digit, 16)
        if not node.bitmap & slot:
            return None
        record = node.leaf_record(slot)
        if record is not None:
            return record
        version = node.child_version(slot)
    return None


def _read(store: StateStore, path: str, version: int) -> NodeView:
    """Return a node of a sound shape; raise DamagedState."""
    try:
        blob = store.read_node(path, version)
    except StateTreeError as error:
        raise DamagedState("tree node", str(error)) from None
    if len(blob) >= _HEAD:
        node = NodeView(blob)
        children, leaves = node.bitmap.bit_count(), node.leaf_bitmap.bit_count()
        size = _HEAD + _HASH * children + _VERSION * (children - leaves) + _LEAF * leaves
        if not node.leaf_bitmap & ~node.bitmap and len(blob) == size:
            return node
    raise DamagedState("tree node", f"node {path!r} of version {version} is malformed")
