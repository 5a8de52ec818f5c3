"""The state tree: one SM3 radix-16 Merkle tree over the SM3 of every key (docs/spec/state-tree.md).

Only inner nodes are stored, under (version, path); a leaf lives in its parent. A node is one byte string in memory and
on disk, edited in place at computed offsets: that takes 40 % of the time of decoding it into objects and encoding them again.

    bitmap (2) | leaf bitmap (2) | child hashes (32 each) | versions of inner children (6 each) | leaves (path 32 | value hash 32)

Children stand in the order of their nibbles. A path is written as the hexadecimal digits walked so far, "" for the root.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple, Protocol, TypeAlias

from node.chain.faults import LocalFault
from sm_crypto.sm3 import merkle_group_roots, sm3, sm3_many

LEAF_PREFIX: Final = b"\x11"
NODE_PREFIX: Final = b"\x12"
EMPTY_TREE_ROOT: Final = sm3(NODE_PREFIX + b"\0\0")
MAX_TREE_VERSION: Final = 2**48 - 1
PATH_NIBBLES: Final = 64

_HEAD: Final = 4
_HASH: Final = 32
_VERSION: Final = 6
_LEAF: Final = 64
_NO_HASH: Final = bytes(_HASH)
_SLOTS: Final = {digit: 1 << value for value, digit in enumerate("0123456789abcdef")}


class StateTreeError(LocalFault):
    """A stored node is missing or damaged: the data folder, not the request, is at fault."""


class NodeReader(Protocol):
    """Where the tree finds its stored nodes."""

    def read_node(self, path: str, version: int) -> bytes:
        """Return the encoded node; raise StateTreeError when it is not there."""


class TreeChange(NamedTuple):
    """What an update made: the new root and the nodes to save and, once no kept version needs them, to delete."""

    root_hash: bytes
    root_version: int
    nodes: dict[str, bytes]
    """Encoded new nodes by path, all of version `root_version`; empty when nothing changed."""
    stale: list[tuple[int, str]]
    """(version, path) of the nodes that these replace."""


# One change, or one leaf on its way into a new subtree: (path, path || value hash or None to delete, leaf hash).
_Entry: TypeAlias = tuple[str, bytes | None, bytes]


class NodeView:
    """A stored node, read only."""

    __slots__ = ("bitmap", "blob", "leaf_bitmap")

    def __init__(self, blob: bytes) -> None:
        self.blob = blob
        self.bitmap = blob[0] << 8 | blob[1]
        self.leaf_bitmap = blob[2] << 8 | blob[3]

    def child_hashes(self) -> list[bytes]:
        """Return the 32-byte hashes of the children, in order."""
        end = _HEAD + _HASH * self.bitmap.bit_count()
        return [self.blob[at : at + _HASH] for at in range(_HEAD, end, _HASH)]

    def group_root(self) -> bytes:
        """Return the binary root over the children's hashes; there is at least one child."""
        return merkle_group_roots([self.blob[_HEAD : _HEAD + _HASH * self.bitmap.bit_count()]])[0]

    def leaf_record(self, slot: int) -> bytes | None:
        """Return path || value hash of the leaf in the slot, None when the slot holds an inner node."""
        if not self.leaf_bitmap & slot:
            return None
        at = len(self.blob) - _LEAF * (self.leaf_bitmap & -slot).bit_count()
        return self.blob[at : at + _LEAF]

    def child_version(self, slot: int) -> int:
        """Return the version of the inner child in the slot."""
        at = _version_offset(self.bitmap, self.leaf_bitmap, slot)
        return int.from_bytes(self.blob[at : at + _VERSION])


class _Node:
    """A node being changed, and where its hash goes."""

    __slots__ = ("bitmap", "blob", "leaf_bitmap", "parent", "path", "slot")

    def __init__(self, path: str, blob: bytes, parent: _Node | None, slot: int) -> None:
        """Take a private copy of `blob`; `slot` is this node's bit in its parent."""
        self.path = path
        self.blob = bytearray(blob)
        self.bitmap = blob[0] << 8 | blob[1]
        self.leaf_bitmap = blob[2] << 8 | blob[3]
        self.parent = parent
        self.slot = slot

    def put_leaf(self, slot: int, entry: _Entry) -> None:
        """Put the entry's leaf in the slot, in place of whatever is there."""
        _, record, leaf_hash = entry
        assert record is not None
        blob, below = self.blob, slot - 1
        if self.bitmap & slot and not self.leaf_bitmap & slot:
            self.remove(slot)
        at = len(blob) - _LEAF * (self.leaf_bitmap & -slot).bit_count()
        hash_at = _HEAD + _HASH * (self.bitmap & below).bit_count()
        if self.bitmap & slot:
            blob[at : at + _LEAF] = record
            blob[hash_at : hash_at + _HASH] = leaf_hash
            return
        blob[at:at] = record
        blob[hash_at:hash_at] = leaf_hash
        self.bitmap |= slot
        self.leaf_bitmap |= slot
        self._write_head()

    def put_inner(self, slot: int, version: bytes) -> None:
        """Put an inner child of this 6-byte version in place of a leaf or of nothing; its hash follows when it is known."""
        if self.leaf_bitmap & slot:
            self.remove(slot)
        at = _version_offset(self.bitmap, self.leaf_bitmap, slot)
        self.blob[at:at] = version
        hash_at = _HEAD + _HASH * (self.bitmap & (slot - 1)).bit_count()
        self.blob[hash_at:hash_at] = _NO_HASH
        self.bitmap |= slot
        self._write_head()

    def remove(self, slot: int) -> None:
        """Remove the child in the slot."""
        blob = self.blob
        if self.leaf_bitmap & slot:
            at = len(blob) - _LEAF * (self.leaf_bitmap & -slot).bit_count()
            del blob[at : at + _LEAF]
        else:
            at = _version_offset(self.bitmap, self.leaf_bitmap, slot)
            del blob[at : at + _VERSION]
        hash_at = _HEAD + _HASH * (self.bitmap & (slot - 1)).bit_count()
        del blob[hash_at : hash_at + _HASH]
        self.bitmap &= ~slot
        self.leaf_bitmap &= ~slot
        self._write_head()

    def leaf(self, slot: int) -> _Entry:
        """Return the leaf in the slot."""
        at = len(self.blob) - _LEAF * (self.leaf_bitmap & -slot).bit_count()
        hash_at = _HEAD + _HASH * (self.bitmap & (slot - 1)).bit_count()
        record = bytes(self.blob[at : at + _LEAF])
        return record[:32].hex(), record, bytes(self.blob[hash_at : hash_at + _HASH])

    def _write_head(self) -> None:
        self.blob[:_HEAD] = (self.bitmap << 16 | self.leaf_bitmap).to_bytes(_HEAD)


class _Update:
    """One batch of changes on its way through the tree: first the shape from the root down, then hashes from the bottom up."""

    def __init__(self, reader: NodeReader, version: int, entries: list[_Entry]) -> None:
        self._reader = reader
        self._version = version
        self._version_bytes = version.to_bytes(_VERSION)
        self._entries = entries
        self._by_depth: list[list[_Node]] = [[] for _ in range(PATH_NIBBLES)]
        self.stale: list[tuple[int, str]] = []

    def run(self, root_version: int | None) -> TreeChange | None:
        """Return the change, or None when the tree stays as it is."""
        blob = bytes(_HEAD) if root_version is None else self._reader.read_node("", root_version)
        root = _Node("", blob, None, 0)
        if not self._edit(root, 0, len(self._entries)) and root_version is not None:
            return None
        self._by_depth[0].append(root)
        if root_version is not None:
            self.stale.append((root_version, ""))
        nodes: dict[str, bytes] = {}
        root_hash = EMPTY_TREE_ROOT
        for level in filter(None, reversed(self._by_depth)):
            root_hash = _settle(level, nodes)
        return TreeChange(root_hash, self._version, nodes, self.stale)

    def _edit(self, node: _Node, first: int, end: int) -> bool:
        """Apply entries[first:end], all below `node`, and return whether anything changed."""
        entries, depth = self._entries, len(node.path)
        changed = False
        while first < end:
            digit = entries[first][0][depth]
            stop = first + 1
            while stop < end and entries[stop][0][depth] == digit:
                stop += 1
            slot = _SLOTS[digit]
            if node.bitmap & slot & ~node.leaf_bitmap:
                changed |= self._edit_inner(node, slot, digit, first, stop)
            else:
                changed |= self._edit_leaf(node, slot, digit, entries[first:stop])
            first = stop
        return changed

    def _edit_leaf(self, node: _Node, slot: int, digit: str, changes: list[_Entry]) -> bool:
        """Apply changes to a slot that is empty or holds a leaf."""
        before = node.leaf(slot) if node.bitmap & slot else None
        if before is None and len(changes) == 1 and changes[0][1] is not None:
            node.put_leaf(slot, changes[0])
            return True
        leaves = [entry for entry in changes if entry[1] is not None]
        if before is not None:
            if all(entry[0] != before[0] for entry in changes):
                leaves.append(before)
                leaves.sort()
            if leaves == [before]:
                return False
        if not leaves:
            if before is not None:
                node.remove(slot)
            return before is not None
        self._place(node, slot, digit, leaves)
        return True

    def _place(self, node: _Node, slot: int, digit: str, leaves: list[_Entry]) -> None:
        """Put sorted leaves in a slot that holds a leaf or nothing: one stays a leaf, more make a new inner node."""
        if len(leaves) == 1:
            node.put_leaf(slot, leaves[0])
            return
        child = _Node(node.path + digit, bytes(_HEAD), node, slot)
        depth = len(child.path)
        first = 0
        while first < len(leaves):
            below = leaves[first][0][depth]
            stop = first + 1
            while stop < len(leaves) and leaves[stop][0][depth] == below:
                stop += 1
            self._place(child, _SLOTS[below], below, leaves[first:stop])
            first = stop
        node.put_inner(slot, self._version_bytes)
        self._by_depth[depth].append(child)

    def _edit_inner(self, node: _Node, slot: int, digit: str, first: int, stop: int) -> bool:
        """Apply entries[first:stop] to the inner node in the slot, which may shrink to a leaf or to nothing."""
        at = _version_offset(node.bitmap, node.leaf_bitmap, slot)
        version = int.from_bytes(node.blob[at : at + _VERSION])
        path = node.path + digit
        child = _Node(path, self._reader.read_node(path, version), node, slot)
        if not self._edit(child, first, stop):
            return False
        self.stale.append((version, path))
        if child.bitmap == 0:
            node.remove(slot)
        elif child.bitmap == child.leaf_bitmap and child.bitmap.bit_count() == 1:
            node.put_leaf(slot, child.leaf(child.bitmap))
        else:
            node.blob[at : at + _VERSION] = self._version_bytes
            self._by_depth[len(path)].append(child)
        return True


def update_tree(
    reader: NodeReader, root_version: int | None, version: int, changes: Mapping[bytes, bytes | None]
) -> TreeChange | None:
    """Return what setting (or with None deleting) these keys makes of the tree at `root_version`; None when it stays the same.

    root_version None is the tree before anything was saved. Raises StateTreeError when a stored node is missing.
    """
    if not (root_version if root_version is not None else -1) < version <= MAX_TREE_VERSION:
        raise ValueError(f"expected a version above {root_version}, found {version}")
    return _Update(reader, version, _entries(changes)).run(root_version)


class Subtree(NamedTuple):
    """All that stands under one prefix of paths: what the node above says of it, and its inner nodes."""

    summary: bytes
    """The hash of the inner node (32 bytes), or of a lone leaf path || value hash (64 bytes), which moves up as it is."""
    nodes: dict[str, bytes]


def build_subtree(prefix: str, version: int, values: Mapping[bytes, bytes]) -> Subtree:
    """Return what the tree has under `prefix` where these keys alone lie there, its nodes of this version.

    Raises ValueError on no values, and on a key whose path does not begin with the prefix.
    """
    entries = _entries(values)
    if not entries or not (entries[0][0].startswith(prefix) and entries[-1][0].startswith(prefix)):
        raise ValueError(f"expected keys whose paths begin with {prefix!r}")
    record = entries[0][1]
    if len(entries) == 1 and prefix and record is not None:
        return Subtree(record, {})
    return _build(prefix, version.to_bytes(_VERSION), entries)


class _Inner(NamedTuple):
    """A new inner node whose children are known, their hashes apart."""

    path: str
    head: bytes
    """The bitmaps, as they stand before the hashes."""
    hashes: list[bytes]
    tail: bytes
    """The versions of inner children and the leaves, as they stand behind the hashes."""
    parent: list[bytes]
    """The hashes of the node above, where this one's goes to `place`."""
    place: int


def _build(prefix: str, version: bytes, entries: list[_Entry]) -> Subtree:
    """Return the inner node over the sorted entries and those below it: shapes from the top down, hashes from the bottom up."""
    summary = [b""]
    levels: list[list[_Inner]] = []
    waiting = [(prefix, 0, len(entries), summary, 0)]
    while waiting:
        levels.append([])
        below: list[tuple[str, int, int, list[bytes], int]] = []
        for path, first, end, parent, place in waiting:
            levels[-1].append(_shape(path, entries, first, end, version, parent, place, below))
        waiting = below
    nodes: dict[str, bytes] = {}
    for level in reversed(levels):
        groups = [b"".join(node.hashes) for node in level]
        roots = merkle_group_roots(groups)
        hashes = sm3_many([NODE_PREFIX + node.head[:2] + root for node, root in zip(level, roots, strict=True)])
        for node, group, value in zip(level, groups, hashes, strict=True):
            nodes[node.path] = node.head + group + node.tail
            node.parent[node.place] = value
    return Subtree(summary[0], nodes)


def _shape(
    path: str,
    entries: list[_Entry],
    first: int,
    end: int,
    version: bytes,
    parent: list[bytes],
    place: int,
    below: list[tuple[str, int, int, list[bytes], int]],
) -> _Inner:
    """Return the inner node over entries[first:end], all under `path`, and add its inner children to `below`."""
    depth = len(path)
    bitmap, leaf_bitmap, inner = 0, 0, 0
    hashes: list[bytes] = []
    records: list[bytes] = []
    while first < end:
        digit = entries[first][0][depth]
        stop = first + 1
        while stop < end and entries[stop][0][depth] == digit:
            stop += 1
        slot = _SLOTS[digit]
        bitmap |= slot
        if stop - first == 1:
            _, record, leaf_hash = entries[first]
            assert record is not None
            leaf_bitmap |= slot
            hashes.append(leaf_hash)
            records.append(record)
        else:
            inner += 1
            below.append((path + digit, first, stop, hashes, len(hashes)))
            hashes.append(_NO_HASH)
        first = stop
    head = (bitmap << 16 | leaf_bitmap).to_bytes(_HEAD)
    return _Inner(path, head, hashes, version * inner + b"".join(records), parent, place)


def join_subtrees(prefix: str, version: int, parts: Sequence[tuple[str, bytes]]) -> Subtree:
    """Return the tree under `prefix` over the summaries of its subtrees, (prefix, summary) in order, and the nodes above them.

    Raises ValueError when the prefixes do not divide what lies under `prefix`, or a leaf does not belong where it stands.
    """
    nodes: dict[str, bytes] = {}
    return Subtree(_join(prefix, version, list(parts), nodes), nodes)


def _join(prefix: str, version: int, parts: list[tuple[str, bytes]], nodes: dict[str, bytes]) -> bytes:
    if len(parts) == 1 and parts[0][0] == prefix:
        return parts[0][1]
    depth = len(prefix)
    children: dict[str, list[tuple[str, bytes]]] = {}
    for part in parts:
        if not part[0].startswith(prefix) or depth >= min(len(part[0]), PATH_NIBBLES):
            raise ValueError(f"expected subtrees under {prefix!r} that do not overlap, found {part[0]!r}")
        children.setdefault(part[0][depth], []).append(part)
    bitmap, leaf_bitmap = 0, 0
    hashes, records, inner = b"", b"", 0
    for digit in sorted(children):
        summary = _join(prefix + digit, version, children[digit], nodes)
        bitmap |= _SLOTS[digit]
        if len(summary) == _HASH:
            hashes += summary
            inner += 1
            continue
        if not summary[:_HASH].hex().startswith(prefix + digit):
            raise ValueError(f"expected a leaf under {prefix + digit!r}, found {summary[:_HASH].hex()}")
        leaf_bitmap |= _SLOTS[digit]
        hashes += sm3(LEAF_PREFIX + summary)
        records += summary
    if prefix and bitmap == leaf_bitmap and bitmap.bit_count() == 1:
        return records
    nodes[prefix] = (bitmap << 16 | leaf_bitmap).to_bytes(_HEAD) + hashes + version.to_bytes(_VERSION) * inner + records
    return inner_node_hash(bitmap, merkle_group_roots([hashes])[0]) if hashes else EMPTY_TREE_ROOT


def leaf_node_hash(path: bytes, value_hash: bytes) -> bytes:
    """Return the hash of a leaf: SM3(0x11 || path (32) || value hash (32))."""
    return sm3(LEAF_PREFIX + path + value_hash)


def inner_node_hash(bitmap: int, group_root: bytes) -> bytes:
    """Return the hash of an inner node: SM3(0x12 || bitmap (2) || root over its children's hashes (32))."""
    return sm3(NODE_PREFIX + bitmap.to_bytes(2) + group_root)


def _version_offset(bitmap: int, leaf_bitmap: int, slot: int) -> int:
    """Return where the version of the slot's inner child stands, or would stand, in a node's bytes."""
    inner_below = bitmap & ~leaf_bitmap & (slot - 1)
    return _HEAD + _HASH * bitmap.bit_count() + _VERSION * inner_below.bit_count()


def _entries(changes: Mapping[bytes, bytes] | Mapping[bytes, bytes | None]) -> list[_Entry]:
    """Return the changes as entries in the order of their paths."""
    paths = sm3_many(list(changes))
    values = list(changes.values())
    value_hashes = iter(sm3_many([value for value in values if value is not None]))
    records = [
        path + next(value_hashes) if value is not None else None for path, value in zip(paths, values, strict=True)
    ]
    leaf_hashes = iter(sm3_many([LEAF_PREFIX + record for record in records if record is not None]))
    entries = [
        (path.hex(), record, next(leaf_hashes) if record is not None else b"")
        for path, record in zip(paths, records, strict=True)
    ]
    entries.sort()
    return entries


def _settle(settled: list[_Node], nodes: dict[str, bytes]) -> bytes:
    """Hash the nodes of one depth into their parents, add their final bytes to `nodes`, and return the last hash."""
    groups: list[bytes] = []
    heads: list[bytes] = []
    for node in settled:
        nodes[node.path] = blob = bytes(node.blob)
        groups.append(blob[_HEAD : _HEAD + _HASH * node.bitmap.bit_count()])
        heads.append(NODE_PREFIX + blob[:2])
    if not groups[0]:
        return EMPTY_TREE_ROOT  # only the root may be empty, and it is alone in its level
    roots = merkle_group_roots(groups)
    hashes = sm3_many([head + root for head, root in zip(heads, roots, strict=True)])
    for node, value in zip(settled, hashes, strict=True):
        parent = node.parent
        if parent is not None:
            at = _HEAD + _HASH * (parent.bitmap & (node.slot - 1)).bit_count()
            parent.blob[at : at + _HASH] = value
    return hashes[-1]
