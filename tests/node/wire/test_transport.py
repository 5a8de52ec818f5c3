import asyncio
import socket
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from OpenSSL import SSL

from node.config import Address, StartError
from node.stages import StageClock
from node.wire.frames import MAX_FRAME_BYTES
from node.wire.transport import (
    MAX_FRAMES_A_TURN,
    MAX_HELLO_BYTES,
    Callbacks,
    Connection,
    Limits,
    bind_listener,
)
from sm_crypto.sm2 import PrivateKey

Run = Callable[[Coroutine[Any, Any, None]], None]
Until = Callable[[Callable[[], bool]], Coroutine[Any, Any, None]]
LOCAL = Address("127.0.0.1", 0)


class End:
    """One side: its open connections and what they told."""

    def __init__(self, *, admits: bool = True, refusal: str | None = None) -> None:
        self.secured: list[Connection] = []
        self.frames: list[bytes] = []
        self.reasons: list[str] = []
        self._admits = admits
        self._refusal = refusal
        self.callbacks = Callbacks(self._on_open, self._on_secured, self._on_frame, self._on_closed)

    def _on_open(self, connection: Connection) -> str | None:
        return self._refusal

    def _on_secured(self, connection: Connection) -> None:
        self.secured.append(connection)
        if self._admits:
            connection.admit()

    def _on_frame(self, connection: Connection, frame: bytes) -> None:
        self.frames.append(frame)

    def _on_closed(self, connection: Connection, reason: str) -> None:
        self.reasons.append(reason)


class Wire:
    """Opens listeners and connections that the end of the test closes."""

    def __init__(self, closers: list[Callable[[], object]]) -> None:
        self._closers = closers

    async def serve(self, context: SSL.Context, end: End, limits: Limits | None = None, at: Address = LOCAL) -> Address:
        listener = bind_listener(at)

        def accept() -> Connection:
            connection = Connection(context, end.callbacks, limits or Limits(), StageClock(), is_inbound=True)
            self._closers.append(lambda: connection.abort("the test ends"))
            return connection

        server = await asyncio.get_running_loop().create_server(accept, sock=listener)
        self._closers.append(server.close)
        return Address(*listener.getsockname()[:2])

    async def dial(self, address: Address, context: SSL.Context, end: End) -> Connection:
        connection = Connection(context, end.callbacks, Limits(), StageClock(), is_inbound=False)
        self._closers.append(lambda: connection.abort("the test ends"))
        await asyncio.get_running_loop().create_connection(lambda: connection, *address)
        return connection

    async def raw_peer(self, context: SSL.Context, address: Address) -> "RawPeer":
        peer = await asyncio.to_thread(RawPeer, context, address)
        self._closers.append(peer.close)
        return peer


@pytest.fixture
def wire(cleanup: Any) -> Wire:
    return Wire(cleanup.closers)


class RawPeer:
    """The other side as an outsider's program would be: blocking calls in a thread, any bytes it likes."""

    def __init__(self, context: SSL.Context, address: Address) -> None:
        raw = socket.create_connection(address, timeout=60)
        raw.settimeout(None)
        self._tls = SSL.Connection(context, raw)
        self._tls.set_connect_state()
        self._tls.do_handshake()

    def send(self, data: bytes) -> None:
        self._tls.sendall(data)

    def close(self) -> None:
        self._tls.close()


def test_frames_arrive_whole_and_in_order_both_ways(
    wire: Wire, identities: dict[str, Any], loopback: Address, run: Run, until: Until
) -> None:
    async def work() -> None:
        server, client = End(), End()
        address = await wire.serve(identities["node1"].server_context(), server, at=loopback)
        connection = await wire.dial(address, identities["node2"].client_context(), client)
        await until(lambda: bool(server.secured and client.secured))
        sent = [bytes([index % 256]) * (index * 37 % 5_000 + 1) for index in range(20 * MAX_FRAMES_A_TURN)]
        for frame in sent:
            connection.send(frame)
        longest = bytes(MAX_FRAME_BYTES)
        server.secured[0].send(b"first")
        server.secured[0].send(longest)
        await until(lambda: len(server.frames) == len(sent) and len(client.frames) == 2)
        assert server.frames == sent
        assert client.frames == [b"first", longest]
        assert connection.certificate is not None
        assert connection.certificate.common_name == "node1"
        assert server.secured[0].department_code == "D2"

    run(work())


def test_what_was_sent_before_a_close_is_heard_and_both_sides_are_told_once(
    wire: Wire, identities: dict[str, Any], run: Run, until: Until
) -> None:
    async def work() -> None:
        server, client = End(), End()
        address = await wire.serve(identities["node1"].server_context(), server)
        connection = await wire.dial(address, identities["node2"].client_context(), client)
        await until(lambda: bool(client.secured))
        connection.send(b"last words")
        connection.close("done here")
        connection.close("again")
        connection.send(b"too late")
        await until(lambda: bool(server.reasons and client.reasons))
        await asyncio.sleep(0.05)
        assert server.frames == [b"last words"]
        assert (server.reasons, client.reasons) == (["closed by the peer"], ["done here"])

    run(work())


@pytest.mark.parametrize("who", ["forger"])
def test_a_certificate_of_another_root_is_refused_and_the_other_side_is_told(
    wire: Wire, identities: dict[str, Any], run: Run, until: Until, who: str
) -> None:
    async def work() -> None:
        server, client = End(), End()
        address = await wire.serve(identities["node1"].server_context(), server)
        await wire.dial(address, identities[who].client_context(), client)
        await until(lambda: bool(server.reasons and client.reasons))
        assert not server.secured
        assert "certificate verify failed" in server.reasons[0]
        assert "TLS" in client.reasons[0]

    run(work())


def foreign_context(kind: str, identity: Any) -> SSL.Context:
    """Return a client's context that offers something else than RFC 8998, but holds a good certificate."""
    context: SSL.Context = identity.client_context()
    lib = SSL._lib  # type: ignore[attr-defined]
    if kind == "group":
        assert lib.SSL_CTX_set1_curves_list(context._context, b"P-256:X25519") == 1
    elif kind == "signature":
        assert lib.SSL_CTX_set1_sigalgs_list(context._context, b"ecdsa_secp256r1_sha256") == 1
    else:
        context.set_tls13_ciphersuites(b"TLS_AES_128_GCM_SHA256")
    return context


@pytest.mark.parametrize("kind", ["group", "signature", "suite"])
def test_a_peer_that_offers_other_algorithms_is_refused_at_the_handshake(
    wire: Wire, identities: dict[str, Any], run: Run, until: Until, kind: str
) -> None:
    async def work() -> None:
        server, client = End(), End()
        address = await wire.serve(identities["node1"].server_context(), server)
        await wire.dial(address, foreign_context(kind, identities["node2"]), client)
        await until(lambda: bool(server.reasons and client.reasons))
        assert not server.secured
        assert not client.secured
        assert server.reasons[0].startswith("TLS")

    run(work())


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n\r\n", bytes(100), b"\x16\x03\x01\xff\xff" + bytes(70_000)])
def test_bytes_that_are_no_tls_end_that_connection_only(
    wire: Wire, identities: dict[str, Any], run: Run, until: Until, data: bytes
) -> None:
    async def work() -> None:
        server, client = End(), End()
        address = await wire.serve(identities["node1"].server_context(), server, Limits(handshake_s=1))
        _, writer = await asyncio.open_connection(*address)
        writer.write(data)
        await until(lambda: bool(server.reasons))
        writer.close()
        await wire.dial(address, identities["node2"].client_context(), client)
        await until(lambda: bool(server.secured))

    run(work())


def test_a_silent_stranger_is_dropped_after_the_handshake_time(
    wire: Wire, identities: dict[str, Any], run: Run, until: Until
) -> None:
    async def work() -> None:
        server, without_hello = End(), End(admits=False)
        limits = Limits(handshake_s=0.3)
        address = await wire.serve(identities["node1"].server_context(), server, limits)
        reader, writer = await asyncio.open_connection(*address)
        assert await reader.read() == b""
        assert server.reasons == ["no complete handshake and Hello in time"]
        writer.close()
        other = await wire.serve(identities["node1"].server_context(), without_hello, limits)
        await wire.dial(other, identities["node2"].client_context(), End())
        await until(lambda: bool(without_hello.reasons))
        assert without_hello.secured
        assert without_hello.reasons == ["no complete handshake and Hello in time"]

    run(work())


@pytest.mark.parametrize(
    ("limits", "is_dripping", "reason"),
    [
        (Limits(frame_s=0.5, idle_s=0.2), True, "a frame came too slowly"),
        (Limits(idle_s=0.3), False, "silent for too long"),
    ],
)
def test_slow_bytes_and_silence_end_the_connection(
    wire: Wire, identities: dict[str, Any], run: Run, until: Until, limits: Limits, is_dripping: bool, reason: str
) -> None:
    async def work() -> None:
        server = End()
        address = await wire.serve(identities["node1"].server_context(), server, limits)
        peer = await wire.raw_peer(identities["node2"].client_context(), address)
        await asyncio.to_thread(peer.send, b"\x00\x00\x00\x02ab")
        await until(lambda: server.frames == [b"ab"])
        await asyncio.to_thread(peer.send, b"\x00\x00\x10\x00" if is_dripping else b"")
        while not server.reasons:
            if is_dripping:
                try:
                    await asyncio.to_thread(peer.send, b"x")
                except SSL.Error:
                    break
            await asyncio.sleep(0.02)
        await until(lambda: bool(server.reasons))
        assert server.reasons == [reason]

    run(work())


@pytest.mark.parametrize(
    ("admits", "length"),
    [(True, MAX_FRAME_BYTES + 1), (True, 2**32 - 1), (True, 0), (False, MAX_HELLO_BYTES + 1)],
)
def test_an_announced_length_out_of_bounds_ends_the_connection_before_it_is_read(
    wire: Wire, identities: dict[str, Any], run: Run, until: Until, admits: bool, length: int
) -> None:
    async def work() -> None:
        server = End(admits=admits)
        address = await wire.serve(identities["node1"].server_context(), server)
        peer = await wire.raw_peer(identities["node2"].client_context(), address)
        await asyncio.to_thread(peer.send, length.to_bytes(4, "big"))
        await until(lambda: bool(server.reasons))
        assert f"found {length}" in server.reasons[0]

    run(work())


def test_a_peer_that_does_not_read_is_dropped_and_costs_bounded_memory(
    wire: Wire, identities: dict[str, Any], run: Run, until: Until
) -> None:
    async def work() -> None:
        server = End()
        address = await wire.serve(identities["node1"].server_context(), server)
        await wire.raw_peer(identities["node2"].client_context(), address)
        await until(lambda: bool(server.secured))
        frame = bytes(4_000_000)
        sent = 0
        while not server.reasons and sent < 40:
            server.secured[0].send(frame)
            sent += 1
            await asyncio.sleep(0)
        await until(lambda: bool(server.reasons))
        assert sent < 20
        assert "does not read" in server.reasons[0]

    run(work())


def test_a_refused_connection_costs_no_cryptography(wire: Wire, identities: dict[str, Any], run: Run) -> None:
    async def work() -> None:
        server = End(refusal="too many")
        address = await wire.serve(identities["node1"].server_context(), server)
        reader, writer = await asyncio.open_connection(*address)
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await reader.readexactly(1)
        writer.close()
        assert server.reasons == ["too many"]
        assert not server.secured

    run(work())


def test_a_port_in_use_and_a_foreign_address_are_one_line_errors(loopback: Address) -> None:
    with bind_listener(loopback) as listener:
        taken = Address(*listener.getsockname()[:2])
        with pytest.raises(StartError) as caught:
            bind_listener(taken)
        assert str(taken) in str(caught.value)
        assert "\n" not in str(caught.value)
    with pytest.raises(StartError, match=r"192\.0\.2\.1:1"):
        bind_listener(Address("192.0.2.1", 1))


def test_a_certificate_without_its_key_makes_no_context(identities: dict[str, Any]) -> None:
    from sm_crypto import tls

    identity = identities["node1"]
    with pytest.raises(tls.TlsError, match="certificate of this key"):
        tls.server_context(PrivateKey.generate(), identity.chain, [identity.root])
