"""Subtrees: a tree built in parts is the tree built at once, node for node."""

from __future__ import annotations

import random

import pytest

from node.chain.state_tree import StateTreeError, build_subtree, join_subtrees, update_tree
from sm_crypto.sm3 import sm3


class NoNodes:
    def read_node(self, path: str, version: int) -> bytes:
        raise StateTreeError(f"{path} {version}")


def _divided(prefix: str, values: dict[bytes, bytes], most: int, chance: random.Random) -> list[tuple[str, bytes]]:
    """Divide until no part holds more than `most`, now and then once more."""
    if len(values) <= most and (not prefix or chance.random() < 0.8 or len(prefix) > 5):
        return [(prefix, build_subtree(prefix, 9, values).summary)]
    below: dict[str, dict[bytes, bytes]] = {}
    for key, value in values.items():
        below.setdefault(sm3(key).hex()[len(prefix)], {})[key] = value
    return [part for digit in sorted(below) for part in _divided(prefix + digit, below[digit], most, chance)]


@pytest.mark.parametrize("count", [1, 2, 3, 16, 17, 40, 300, 2_000])
@pytest.mark.parametrize("most", [1, 3, 50])
def test_parts_join_to_the_tree_built_at_once(count: int, most: int) -> None:
    chance = random.Random(count * 1_000 + most)
    values = {chance.randbytes(8): chance.randbytes(chance.randrange(40)) for _ in range(count)}
    whole = update_tree(NoNodes(), None, 9, dict(values))
    assert whole is not None
    parts = _divided("", values, most, chance)
    joined = join_subtrees("", 9, parts)
    assert joined.summary == whole.root_hash
    nodes = dict(joined.nodes)
    paths = {key: sm3(key).hex() for key in values}
    for prefix, _ in parts:
        inside = {key: value for key, value in values.items() if paths[key].startswith(prefix)}
        nodes |= build_subtree(prefix, 9, inside).nodes
    assert nodes == whole.nodes


def test_parts_that_overlap_lie_elsewhere_or_are_empty_are_refused() -> None:
    value = {b"key": b"value"}
    path = sm3(b"key").hex()
    leaf = build_subtree(path[0], 1, value).summary
    assert len(leaf) == 64
    with pytest.raises(ValueError, match="overlap"):
        join_subtrees("", 1, [(path[0], leaf), (path[:2], leaf)])
    other = "0" if path[0] != "0" else "1"
    with pytest.raises(ValueError, match="leaf"):
        join_subtrees("", 1, [(other, leaf)])
    for prefix, values in ((other, value), ("", {})):
        with pytest.raises(ValueError, match="begin with"):
            build_subtree(prefix, 1, values)
