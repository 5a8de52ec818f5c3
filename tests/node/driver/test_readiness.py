"""Whether clients should ask this node: only validators count, for a quorum that is here and for how far the network is."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from consensus.round import Step
from node.stages import StageClock
from node.view import NodeView
from node.wire.frames import StatusFrame

if TYPE_CHECKING:
    from tests.node.driver.conftest import Net


def test_nodes_that_are_no_validators_neither_make_up_a_quorum_nor_make_a_node_unready(net: Net) -> None:
    node = net.nodes[0]
    connected = {"node2", "node3"}

    def states() -> list[Any]:
        return [SimpleNamespace(name=name, is_connected=True) for name in connected]

    others: Any = SimpleNamespace(states=states)
    verifier: Any = None
    view = NodeView(node.name, node.ledger, node.driver, others, verifier, StageClock(), lambda _: None)
    assert view.not_ready_reason() == ""

    def tell(peer: str, height: int) -> None:
        net.run_in(node, lambda: node.driver.on_frame(peer, StatusFrame(height, 0, Step.PROPOSE, 0, b"", b"")))

    for name in ("node1", "node2", "node3"):
        tell(name, 0)
    net.filter = lambda *_: False
    for stranger in ("stranger1", "stranger2"):
        net.by_name[stranger] = net.nodes[1]
        tell(stranger, 10**6)
    connected |= {"stranger1", "stranger2"}
    assert view.not_ready_reason() == ""
    connected.discard("node3")
    assert "2 of 3" in view.not_ready_reason()
    assert "共识节点不足法定数" in view.not_ready_reason()
