import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from consensus.round import Step
from node.config import Address
from node.stages import StageClock
from node.wire.away import Away, AwayCode
from node.wire.frames import (
    PROTOCOL_VERSION,
    BodyRequest,
    Frame,
    Hello,
    StatusFrame,
    TransactionsFrame,
    encode_frame,
)
from node.wire.peers import MAX_PENDING_PER_ADDRESS, PeerHandlers, Peers, find_difference
from node.wire.transport import Callbacks, Connection, Limits, bind_listener

Run = Callable[[Coroutine[Any, Any, None]], None]
Until = Callable[[Callable[[], bool]], Coroutine[Any, Any, None]]
LOCAL = Address("127.0.0.1", 0)
DEPARTMENTS = {f"node{index}": f"D{index}" for index in range(1, 5)}
LIMITS = Limits(close_s=0.2)


def department_of(name: str) -> str:
    return DEPARTMENTS.get(name, "")


class Node:
    """One node's peers, and all that they told."""

    def __init__(self, name: str) -> None:
        self.hello = Hello(PROTOCOL_VERSION, bytes(32), bytes([1]) * 32, name, 7, bytes([2]) * 32, "1.0", 0)
        self.name = name
        self.events: list[tuple[str, str]] = []
        self.frames: list[tuple[str, Frame]] = []
        self.heights: dict[str, int] = {}
        self.peers: Peers
        self.handlers = PeerHandlers(
            lambda: self.hello, self._find_ledger_difference, self._on_peer, self._on_frame, self._on_peer_lost
        )

    def _find_ledger_difference(self, hello: Hello) -> Away | None:
        if hello.head_id == self.hello.head_id:
            return None
        text = f"its block is {hello.head_id.hex()}, this node's {self.hello.head_id.hex()}"
        return Away(AwayCode.CHAIN_DIFFERS, text)

    def _on_peer(self, name: str, hello: Hello) -> None:
        self.events.append(("up", name))
        self.heights[name] = hello.height

    def _on_frame(self, name: str, frame: Frame) -> None:
        self.frames.append((name, frame))

    def _on_peer_lost(self, name: str) -> None:
        self.events.append(("down", name))

    def connected(self) -> set[str]:
        return {state.name for state in self.peers.states() if state.is_connected}

    def reason(self, name: str) -> str:
        return next(state.reason for state in self.peers.states() if state.name == name)

    def reason_code(self, name: str) -> AwayCode | None:
        return next(state.reason_code for state in self.peers.states() if state.name == name)


class Network:
    """Starts nodes that know each other, on addresses of their own."""

    def __init__(self, identities: dict[str, Any]) -> None:
        self.identities = identities
        self.addresses: dict[str, Address] = {}
        self.nodes: dict[str, Node] = {}
        self.active = {"D1", "D2", "D3", "D4", "D5", "D6"}

    def judge_department(self, code: str) -> str | None:
        return None if code in self.active else f"its department {code} is suspended"

    async def start(self, *names: str, at: Address = LOCAL, listed: dict[str, set[str]] | None = None) -> list[Node]:
        """Start nodes; `listed` limits whom a node has in its settings."""
        listeners = {name: bind_listener(at) for name in names}
        self.addresses |= {name: Address(*listeners[name].getsockname()[:2]) for name in names}
        nodes = [self.nodes.setdefault(name, Node(name)) for name in names]
        for node in nodes:
            known = (listed or {}).get(node.name, set(self.addresses))
            addresses = {name: address for name, address in self.addresses.items() if name in known}
            identity = self.identities[node.name]
            node.peers = Peers(
                node.name,
                addresses,
                department_of,
                identity.server_context(),
                identity.client_context(),
                node.handlers,
                self.judge_department,
                StageClock(),
                LIMITS,
            )
            await node.peers.start(listeners[node.name])
        return nodes

    def is_settled(self) -> bool:
        """Whether every pair of nodes has one connection, inbound at one end, and no other is on its way."""
        states = [state for node in self.nodes.values() for state in node.peers.states()]
        pairs = len(self.nodes) * (len(self.nodes) - 1) // 2
        return (
            all(state.is_connected for state in states)
            and sum(state.is_inbound for state in states) == pairs
            and not any(node.peers.pending_count for node in self.nodes.values())
        )

    async def stop(self) -> None:
        for node in self.nodes.values():
            await node.peers.stop()


@pytest.fixture
def network(identities: dict[str, Any], cleanup: Any) -> Network:
    network = Network(identities)
    cleanup.closers.append(network.stop)
    return network


def test_four_nodes_form_a_mesh_with_one_connection_a_pair(
    network: Network, run: Run, loopback: Address, until: Until
) -> None:
    async def work() -> None:
        nodes = await network.start("node1", "node2", "node3", "node4", at=loopback)
        await until(network.is_settled)
        for node in nodes:
            node.peers.broadcast(StatusFrame(3, 0, Step.PROPOSE, 0, b"", b""))
            node.peers.broadcast(TransactionsFrame([node.name.encode()]))
        await until(lambda: all(len(node.frames) >= 6 for node in nodes))
        for node in nodes:
            assert len(node.frames) == 6
            for other in node.connected():
                mine = [frame for name, frame in node.frames if name == other]
                assert mine == [StatusFrame(3, 0, Step.PROPOSE, 0, b"", b""), TransactionsFrame([other.encode()])]
        assert nodes[0].heights == {"node2": 7, "node3": 7, "node4": 7}

    run(work())


def test_a_frame_to_one_peer_reaches_that_one_only(network: Network, run: Run, until: Until) -> None:
    async def work() -> None:
        nodes = await network.start("node1", "node2", "node3")
        await until(network.is_settled)
        nodes[0].peers.send("node3", BodyRequest(bytes(32), []))
        nodes[0].peers.send("nobody", BodyRequest(bytes(32), []))
        await until(lambda: bool(nodes[2].frames))
        assert nodes[1].frames == []

    run(work())


def test_a_peer_that_stops_is_lost_and_comes_back(network: Network, run: Run, until: Until) -> None:
    async def work() -> None:
        first, second = await network.start("node1", "node2")
        await until(network.is_settled)
        await second.peers.stop()
        await until(lambda: first.connected() == set())
        assert first.events[-1] == ("down", "node2")
        assert first.reason("node2")
        first.peers.send("node2", StatusFrame(1, 0, Step.PROPOSE, 0, b"", b""))
        listener = bind_listener(network.addresses["node2"])
        identity = network.identities["node2"]
        second.peers = Peers(
            "node2",
            network.addresses,
            department_of,
            identity.server_context(),
            identity.client_context(),
            second.handlers,
            network.judge_department,
            StageClock(),
            LIMITS,
        )
        await second.peers.start(listener)
        await until(network.is_settled)
        assert first.events[-1] == ("up", "node2")

    run(work())


@pytest.mark.parametrize(
    ("field", "value", "expected", "code"),
    [
        ("genesis_hash", b"\xaa" * 32, "aa" * 32, AwayCode.GENESIS_DIFFERS),
        ("head_id", b"\xbb" * 32, "bb" * 32, AwayCode.CHAIN_DIFFERS),
        ("protocol_version", 99, "99", AwayCode.VERSION_DIFFERS),
        ("node_name", "node3", "node3", AwayCode.CERTIFICATE_REFUSED),
    ],
)
def test_a_difference_in_hello_is_named_on_both_sides(
    network: Network, run: Run, until: Until, field: str, value: Any, expected: str, code: AwayCode
) -> None:
    async def work() -> None:
        odd = Node("node2")
        odd.hello = Hello(**{**_fields(odd.hello), field: value})
        network.nodes["node2"] = odd
        first, second = await network.start("node1", "node2")
        await until(lambda: expected in first.reason("node2"))
        assert first.reason_code("node2") is code
        if field != "node_name":
            await until(lambda: "this node" in second.reason("node1"))
            assert second.events == []
        assert first.events == []

    run(work())


def _fields(hello: Hello) -> dict[str, Any]:
    return {name: getattr(hello, name) for name in hello.__struct_fields__}


def test_a_difference_stays_the_reason_when_the_other_side_closes_for_it_too(
    network: Network, run: Run, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.wire.peers.BAR_S", 0.05)

    async def work() -> None:
        odd = Node("node2")
        odd.hello = Hello(**{**_fields(odd.hello), "genesis_hash": b"\xaa" * 32})
        network.nodes["node2"] = odd
        first, second = await network.start("node1", "node2")
        codes = {"node1": set[AwayCode | None](), "node2": set[AwayCode | None]()}
        for _ in range(100):
            codes["node1"].add(first.reason_code("node2"))
            codes["node2"].add(second.reason_code("node1"))
            await asyncio.sleep(0.01)
        for seen in codes.values():
            assert seen <= {AwayCode.NOT_REACHED, AwayCode.GENESIS_DIFFERS}
        await until(lambda: first.reason_code("node2") is AwayCode.GENESIS_DIFFERS)

    run(work())


def test_equal_hellos_have_no_difference() -> None:
    own, theirs = Node("node1").hello, Node("node2").hello
    assert find_difference(own, theirs, "node2", lambda hello: None) is None


@pytest.mark.parametrize(
    ("who", "expected", "code"),
    [
        ("stranger", "answers at the address of node2", AwayCode.CERTIFICATE_REFUSED),
        ("impostor", "issued by D9, expected D2", AwayCode.CERTIFICATE_REFUSED),
        ("person", "TLS", AwayCode.TLS_FAILED),
        ("forger", "TLS", AwayCode.TLS_FAILED),
    ],
)
def test_another_certificate_at_a_peers_address_is_refused(
    network: Network, run: Run, until: Until, who: str, expected: str, code: AwayCode
) -> None:
    async def work() -> None:
        network.identities = {**network.identities, "node2": network.identities[who]}
        first, second = await network.start("node1", "node2", listed={"node2": set()})
        await until(lambda: expected in first.reason("node2"))
        assert first.reason_code("node2") is code
        assert first.events == []
        assert second.events == []

    run(work())


async def knock(address: Address, identity: Any, cleanup: Any) -> tuple[Connection, list[bytes], list[str]]:
    """Connect as `identity` without the rules of Peers; return the connection, its frames, and why it closed."""
    frames: list[bytes] = []
    reasons: list[str] = []
    is_secured = asyncio.Event()

    def on_secured(connection: Connection) -> None:
        connection.admit()
        is_secured.set()

    def on_closed(_: Connection, reason: str) -> None:
        reasons.append(reason)
        is_secured.set()

    callbacks = Callbacks(lambda _: None, on_secured, lambda _, frame: frames.append(frame), on_closed)
    connection = Connection(identity.client_context(), callbacks, Limits(), StageClock(), is_inbound=False)
    cleanup.closers.append(lambda: connection.abort("the test ends"))
    await asyncio.get_running_loop().create_connection(lambda: connection, *address)
    await is_secured.wait()
    return connection, frames, reasons


@pytest.mark.parametrize("who", ["stranger", "impostor", "person", "forger"])
def test_a_caller_that_is_no_configured_node_never_becomes_a_peer(
    network: Network, run: Run, until: Until, cleanup: Any, who: str
) -> None:
    async def work() -> None:
        first, second = await network.start("node1", "node2", listed={"node2": set()})
        await second.peers.stop()
        connection, frames, reasons = await knock(network.addresses["node1"], network.identities[who], cleanup)
        connection.send(encode_frame(Node("node2").hello))
        await until(lambda: bool(reasons))
        assert frames == [], "no Hello for a stranger"
        assert first.events == []

    run(work())


@pytest.mark.parametrize(
    ("raws", "expected"),
    [
        ([b"\xff\xfe"], "expected a frame"),
        ([encode_frame(StatusFrame(1, 0, Step.PROPOSE, 0, b"", b""))], "expected Hello first"),
        ([encode_frame(Node("node2").hello), encode_frame(Node("node2").hello)], "second Hello"),
        ([encode_frame(Node("node2").hello), b"\x93\x01\xcc\x05\x00"], "frame"),
    ],
)
def test_a_peer_that_breaks_the_rules_is_dropped_with_the_reason_and_others_stay(
    network: Network,
    run: Run,
    until: Until,
    cleanup: Any,
    monkeypatch: pytest.MonkeyPatch,
    raws: list[bytes],
    expected: str,
) -> None:
    # Dialling the absent one again would put another reason in place of the one looked for.
    monkeypatch.setattr("node.wire.peers.BAR_S", 60.0)

    async def work() -> None:
        first, _third = await network.start("node1", "node3")
        network.addresses["node2"] = Address("127.0.0.1", 9)
        await first.peers.stop()
        first, *_ = await network.start("node1")
        await until(lambda: first.connected() == {"node3"})
        connection, _, reasons = await knock(network.addresses["node1"], network.identities["node2"], cleanup)
        for raw in raws:
            connection.send(raw)
        await until(lambda: bool(reasons))
        await until(lambda: expected in first.reason("node2"))
        assert first.connected() == {"node3"}
        _, _, again = await knock(network.addresses["node1"], network.identities["node2"], cleanup)
        await until(lambda: bool(again))
        assert first.connected() == {"node3"}

    run(work())


def test_a_dropped_peer_is_lost_and_comes_back_later(
    network: Network, run: Run, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.wire.peers.BAR_S", 0.3)

    async def work() -> None:
        first, second = await network.start("node1", "node2")
        await until(network.is_settled)
        first.peers.drop("node2", "served a wrong block")
        await until(lambda: ("down", "node2") in first.events and ("down", "node1") in second.events)
        assert first.reason("node2") == "served a wrong block"
        await until(network.is_settled)

    run(work())


def test_half_open_connections_of_one_address_are_limited(
    network: Network, run: Run, until: Until, cleanup: Any
) -> None:
    async def work() -> None:
        await network.start("node1")
        pairs = [await asyncio.open_connection(*network.addresses["node1"]) for _ in range(2 * MAX_PENDING_PER_ADDRESS)]
        cleanup.closers.extend(writer.close for _, writer in pairs)

        async def closed(reader: asyncio.StreamReader) -> None:
            with contextlib.suppress(ConnectionResetError):
                assert await reader.read() == b""

        waits = [asyncio.ensure_future(closed(reader)) for reader, _ in pairs]
        await until(lambda: sum(wait.done() for wait in waits) >= MAX_PENDING_PER_ADDRESS)
        assert sum(wait.done() for wait in waits) == MAX_PENDING_PER_ADDRESS
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)

    run(work())


def test_a_newer_connection_of_the_same_direction_takes_the_place_of_a_dead_one(
    network: Network, run: Run, until: Until, cleanup: Any
) -> None:
    async def work() -> None:
        network.addresses["node2"] = Address("127.0.0.1", 9)
        (first,) = await network.start("node1")
        hello = encode_frame(Node("node2").hello)
        dead, _, dead_reasons = await knock(network.addresses["node1"], network.identities["node2"], cleanup)
        dead.send(hello)
        await until(lambda: first.events == [("up", "node2")])
        alive, frames, _ = await knock(network.addresses["node1"], network.identities["node2"], cleanup)
        alive.send(hello)
        await until(lambda: len(first.events) == 3)
        assert first.events[1:] == [("down", "node2"), ("up", "node2")]
        await until(lambda: bool(dead_reasons))
        first.peers.send("node2", StatusFrame(5, 0, Step.PROPOSE, 0, b"", b""))
        await until(lambda: encode_frame(StatusFrame(5, 0, Step.PROPOSE, 0, b"", b"")) in frames)

    run(work())


def test_a_newcomer_that_no_settings_list_is_admitted_by_all_that_it_calls(
    network: Network, run: Run, until: Until
) -> None:
    async def work() -> None:
        first, second = await network.start("node1", "node2")
        await until(network.is_settled)
        (newcomer,) = await network.start("node5")
        await until(lambda: newcomer.connected() == {"node1", "node2"})
        await until(lambda: "node5" in first.connected() & second.connected())
        state = next(state for state in first.peers.states() if state.name == "node5")
        assert (state.is_listed, state.is_inbound, state.address) == (False, True, "127.0.0.1")
        assert all(state.is_listed for state in newcomer.peers.states())
        first.peers.broadcast(StatusFrame(3, 0, Step.PROPOSE, 0, b"", b""))
        newcomer.peers.send("node2", StatusFrame(4, 0, Step.PROPOSE, 0, b"", b""))
        await until(lambda: ("node1", StatusFrame(3, 0, Step.PROPOSE, 0, b"", b"")) in newcomer.frames)
        await until(lambda: ("node5", StatusFrame(4, 0, Step.PROPOSE, 0, b"", b"")) in second.frames)
        await newcomer.peers.stop()
        await until(lambda: ("down", "node5") in first.events and "node5" not in names(first))
        assert first.connected() == {"node2"}
        assert first.peers.pending_count == 0

    run(work())


def names(node: Node) -> set[str]:
    return {state.name for state in node.peers.states()}


async def call(network: Network, who: str, cleanup: Any, name: str | None = None) -> tuple[Connection, list[str]]:
    """Call node1 as `who`, saying Hello with the certificate's name."""
    connection, _, reasons = await knock(network.addresses["node1"], network.identities[who], cleanup)
    connection.send(encode_frame(Node(name or who).hello))
    return connection, reasons


def test_a_newcomer_of_a_suspended_department_is_refused_and_one_suspended_later_is_dropped(
    network: Network, run: Run, until: Until, cleanup: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.wire.peers.REVIEW_S", 0.05)
    monkeypatch.setattr("node.wire.peers.BAR_S", 0.1)

    async def work() -> None:
        network.active = {"D1", "D5"}
        (first,) = await network.start("node1")
        _, refused = await call(network, "node6", cleanup)
        await until(lambda: bool(refused))
        assert first.events == []
        _, dropped = await call(network, "node5", cleanup)
        await until(lambda: first.connected() == {"node5"})
        network.active = {"D1"}
        await until(lambda: bool(dropped) and first.events == [("up", "node5"), ("down", "node5")])
        network.active = {"D1", "D5"}
        await asyncio.sleep(0.2)
        await call(network, "node5", cleanup)
        await until(lambda: first.connected() == {"node5"})

    run(work())


def test_the_name_of_a_newcomer_belongs_to_the_department_that_came_with_it(
    network: Network, run: Run, until: Until, cleanup: Any
) -> None:
    async def work() -> None:
        (first,) = await network.start("node1")
        kept, kept_reasons = await call(network, "node5", cleanup)
        await until(lambda: first.connected() == {"node5"})
        _, refused = await call(network, "rival", cleanup, "node5")
        await until(lambda: bool(refused))
        _, impostor = await call(network, "impostor", cleanup, "node2")
        await until(lambda: bool(impostor))
        _, own_name = await call(network, "node1", cleanup)
        await until(lambda: bool(own_name))
        assert first.events == [("up", "node5")]
        assert not kept_reasons
        assert not kept.is_closed

    run(work())


def test_newcomers_are_bounded_displace_nobody_and_leave_room_for_listed_peers(
    network: Network, run: Run, until: Until, cleanup: Any, root: Any, issue_node: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.wire.peers.MAX_UNLISTED_PEERS", 3)
    monkeypatch.setattr("node.wire.peers.MAX_UNLISTED_PER_DEPARTMENT", 2)
    network.identities = network.identities | {
        f"extra{number}": issue_node("D5", f"extra{number}") for number in (1, 2, 3)
    }

    async def work() -> None:
        network.addresses["node2"] = Address("127.0.0.1", 9)
        (first,) = await network.start("node1")
        for name in ("extra1", "extra2"):
            await call(network, name, cleanup)
        await until(lambda: first.connected() == {"extra1", "extra2"})
        _, refused = await call(network, "extra3", cleanup)
        await until(lambda: bool(refused))
        await call(network, "node6", cleanup)
        await until(lambda: "node6" in first.connected())
        _, refused = await call(network, "node3", cleanup)
        await until(lambda: bool(refused))
        await call(network, "node2", cleanup)
        await until(lambda: first.connected() == {"extra1", "extra2", "node6", "node2"})
        assert not any(event == "down" for event, _ in first.events)

    run(work())


def test_a_newcomer_that_breaks_the_rules_is_shut_out_for_a_while_and_its_place_is_free_again(
    network: Network, run: Run, until: Until, cleanup: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Long enough for two handshakes on any machine.
    monkeypatch.setattr("node.wire.peers.BAR_S", 1.5)
    monkeypatch.setattr("node.wire.peers.MAX_UNLISTED_PEERS", 1)

    async def work() -> None:
        (first,) = await network.start("node1")
        connection, reasons = await call(network, "node5", cleanup)
        await until(lambda: first.connected() == {"node5"})
        connection.send(b"\xff\xfe")
        await until(lambda: bool(reasons) and names(first) == set())
        refusals = [(await call(network, who, cleanup))[1] for who in ("node5", "node6")]
        await until(lambda: all(refusals))
        await asyncio.sleep(1.6)
        await call(network, "node6", cleanup)
        await until(lambda: first.connected() == {"node6"})

    run(work())
