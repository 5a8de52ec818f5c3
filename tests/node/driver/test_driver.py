from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.node.driver.conftest import Net


def test_one_transaction_is_final_everywhere_in_a_few_hops(net: Net) -> None:
    net.run(50)
    started_ms = net.now_ms
    raw = net.transaction()
    assert net.nodes[2].submit(raw) == [None]
    net.reach(1, 1_000)
    assert net.now_ms - started_ms <= 25
    assert [net.heights_holding([raw], node) for node in net.nodes] == [[1]] * 4
    net.check()
