"""The state on disk: latest values, tree nodes by version, and what is kept so that recent heights still prove."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from node.chain.codec import decode_trusted, encode
from node.chain.state_proof import StateProof, prove_state
from node.chain.state_tree import StateTreeError, TreeChange, update_tree
from node.ledger.storage import KeyReader, Storage
from sm_crypto.sm3 import sm3

VALUE_TABLE: Final = b"v"
"""v + key: the latest value."""
NODE_TABLE: Final = b"n"
"""n + version (6) + path: a tree node. Version first: new nodes go to the end of the table, which LevelDB moves without rewriting."""
STALE_TABLE: Final = b"s"
"""s + version (6): the node keys that this version replaced."""
REPLACED_TABLE: Final = b"o"
"""o + version (6): the values that this version replaced, by key."""
MAX_PRUNED_VERSIONS: Final = 8
"""Versions given up in one block, so that a shortened retention costs no block a long pause."""

_VERSION_BYTES: Final = 6


class NodeCache:
    """At most about `limit` tree nodes, the newest version of each path, those used lately.

    Two generations: what is used moves to the young one; when that is full it becomes the old one, and the old is dropped.
    """

    __slots__ = ("_limit", "_old", "_young")

    def __init__(self, limit: int) -> None:
        self._limit = max(limit // 2, 1)
        self._young: dict[str, tuple[int, bytes]] = {}
        self._old: dict[str, tuple[int, bytes]] = {}

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def get(self, path: str, version: int) -> bytes | None:
        """Return the node if this very version of it is here."""
        entry = self._young.get(path)
        if entry is None:
            entry = self._old.pop(path, None)
            if entry is None:
                return None
            self._put(path, entry)
        return entry[1] if entry[0] == version else None

    def put(self, path: str, version: int, blob: bytes) -> None:
        """Keep the node in place of an older version; a newer one stays."""
        present = self._young.get(path) or self._old.pop(path, None)
        if present is None or present[0] < version:
            present = (version, blob)
        self._put(path, present)

    def put_all(self, version: int, blobs: dict[str, bytes]) -> None:
        """Keep the nodes of a version newer than any that is here."""
        young, limit = self._young, self._limit
        for path, blob in blobs.items():
            # What the old generation has of this path is not found any more, and goes with it.
            young[path] = (version, blob)
            if len(young) >= limit:
                self._old, self._young = young, {}
                young = self._young

    def _put(self, path: str, entry: tuple[int, bytes]) -> None:
        young = self._young
        young[path] = entry
        if len(young) >= self._limit:
            self._old = young
            self._young = {}


class StateStore:
    """Reads of the saved state, and the entries that save a new version of it. Versions are block heights."""

    def __init__(self, storage: KeyReader, cache_nodes: int) -> None:
        self._storage = storage
        self._cache = NodeCache(cache_nodes)

    @property
    def cached_nodes(self) -> int:
        """How many tree nodes are in memory."""
        return len(self._cache)

    def get(self, key: bytes) -> bytes | None:
        """Return the latest value at `key`, or None."""
        return self._storage.get(VALUE_TABLE + key)

    def iterate(self, prefix: bytes, start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Yield the latest (key, value) of every key with this prefix, in order, from prefix + start on."""
        for key, value in self._storage.iterate(VALUE_TABLE + prefix, start):
            yield key[1:], value

    def read_node(self, path: str, version: int) -> bytes:
        """Return a saved tree node; raise StateTreeError when it is not there."""
        blob = self._cache.get(path, version)
        if blob is None:
            blob = self._storage.get(_node_key(path, version))
            if blob is None:
                raise StateTreeError(
                    f"the state tree's node {path!r} of version {version} is missing from the database"
                )
            self._cache.put(path, version, blob)
        return blob

    def update(self, root_version: int | None, version: int, changes: dict[bytes, bytes | None]) -> TreeChange | None:
        """Return what the changes make of the tree at `root_version`, without saving it; None when nothing changes."""
        return update_tree(self, root_version, version, changes)

    def prove(self, root_version: int, key: bytes) -> StateProof:
        """Return the proof of what a kept version of the tree holds at `key`."""
        return prove_state(self, root_version, key)

    def get_at(self, root_version: int, height: int, head: int, key: bytes) -> bytes | None:
        """Return the value at `key` as of a kept height whose tree is `root_version`; raise StateTreeError when it is lost."""
        leaf = self.prove(root_version, key).leaf
        if leaf is None or leaf.path != sm3(key):
            return None
        value = self.get(key)
        if value is not None and sm3(value) == leaf.value_hash:
            return value
        # The first version after `height` that replaced the value kept what stood there at `height`.
        for version in range(height + 1, head + 1):
            raw = self._storage.get(REPLACED_TABLE + version.to_bytes(_VERSION_BYTES))
            # To look for the key's bytes costs a hundredth of decoding what a large block has replaced.
            replaced = {} if raw is None or key not in raw else decode_trusted(raw, dict[bytes, bytes])
            if key in replaced and sm3(replaced[key]) == leaf.value_hash:
                return replaced[key]
        raise StateTreeError(f"the value of key {key.hex()} at height {height} is missing from the database")

    def entries(
        self, version: int, tree: TreeChange | None, changes: dict[bytes, bytes | None], replaced: dict[bytes, bytes]
    ) -> tuple[list[tuple[bytes, bytes]], list[bytes]]:
        """Return what to put and what to delete to save this version; `replaced` holds the old values of changed keys."""
        puts = [(VALUE_TABLE + key, value) for key, value in changes.items() if value is not None]
        deletes = [VALUE_TABLE + key for key, value in changes.items() if value is None]
        suffix = version.to_bytes(_VERSION_BYTES)
        if replaced:
            puts.append((REPLACED_TABLE + suffix, encode(replaced)))
        if tree is not None:
            puts += node_entries(version, tree.nodes)
            if tree.stale:
                puts.append((STALE_TABLE + suffix, encode([_node_key(path, old) for old, path in tree.stale])))
        return puts, deletes

    def prune_entries(self, oldest: int, wanted: int) -> tuple[int, list[bytes]]:
        """Return the oldest version that stays and what to delete, on the way from `oldest` to `wanted`."""
        deletes: list[bytes] = []
        target = min(wanted, oldest + MAX_PRUNED_VERSIONS)
        for version in range(oldest + 1, target + 1):
            # What `version` replaced is needed by none from it on.
            suffix = version.to_bytes(_VERSION_BYTES)
            raw = self._storage.get(STALE_TABLE + suffix)
            if raw is not None:
                deletes += decode_trusted(raw, list[bytes])
                deletes.append(STALE_TABLE + suffix)
            deletes.append(REPLACED_TABLE + suffix)
        return max(target, oldest), deletes

    def saved(self, tree: TreeChange | None) -> None:
        """Take the nodes of a version that is now on disk into the cache."""
        if tree is not None:
            self._cache.put_all(tree.root_version, tree.nodes)


def pinned_values(storage: Storage) -> Iterator[tuple[bytes, bytes]]:
    """Return an iterator over (key, value) of the whole state as it is now, in the order of keys; any thread may read it."""
    return ((key[1:], value) for key, value in storage.pinned(VALUE_TABLE))


def value_entries(entries: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Return what saves these (key, value) as the latest."""
    return [(VALUE_TABLE + key, value) for key, value in entries]


def node_entries(version: int, nodes: Mapping[str, bytes]) -> list[tuple[bytes, bytes]]:
    """Return what saves tree nodes of one version by path."""
    prefix = NODE_TABLE + version.to_bytes(_VERSION_BYTES)
    return [(prefix + path.encode(), blob) for path, blob in nodes.items()]


def _node_key(path: str, version: int) -> bytes:
    return NODE_TABLE + version.to_bytes(_VERSION_BYTES) + path.encode()
