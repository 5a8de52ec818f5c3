"""The node's peers: a full mesh with one connection a pair, dialled again when lost, admitted by certificate and Hello."""

from __future__ import annotations

import asyncio
import ipaddress
import random
import re
import socket
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Final

import msgspec
from OpenSSL import SSL

from node.chain.codec import CodecError
from node.config import NODE_NAME, Address
from node.logs import Log
from node.stages import StageClock
from node.wire.away import Away, AwayCode
from node.wire.frames import MAX_NODE_NAME_LENGTH, Frame, Hello, decode_frame, encode_frame
from node.wire.transport import Callbacks, Connection, Limits

MAX_PENDING_CONNECTIONS: Final = 128
MAX_PENDING_PER_ADDRESS: Final = 16
MAX_UNLISTED_PEERS: Final = 64
"""Nodes admitted without being listed in node.toml, those barred a moment ago included; a newcomer displaces none."""
MAX_UNLISTED_PER_DEPARTMENT: Final = 16
"""No single department fills the places of all."""
FIRST_RETRY_S: Final = 0.1
MAX_RETRY_S: Final = 3.0
BAR_S: Final = 3.0
STALE_S: Final = 3.0
REVIEW_S: Final = 5.0
"""How often the judge is asked again about unlisted peers that are connected."""

_UNTOLD: Final = frozenset({AwayCode.NOT_REACHED, AwayCode.LOST})
"""Codes of no more than that there is no connection."""

_LOG = Log("peers")


class PeerState(msgspec.Struct, frozen=True):
    """What the node knows of one peer, listed in its settings or not; `reason` and its code say why it is away, or are empty and None."""

    name: str
    address: str
    is_listed: bool
    is_connected: bool
    is_inbound: bool
    reason: str
    reason_code: AwayCode | None


class PeerHandlers(msgspec.Struct, frozen=True):
    """Who hears of admitted peers: first on_peer, then its frames, then on_peer_lost."""

    hello: Callable[[], Hello]
    find_ledger_difference: Callable[[Hello], Away | None]
    """Why a peer's chain is not ours, as far as its Hello tells, or None."""
    on_peer: Callable[[str, Hello], None]
    on_frame: Callable[[str, Frame], None]
    on_peer_lost: Callable[[str], None]


class _Peer:
    """One peer and its admitted connection, if any, or why it has none; an unlisted one (no address to dial) has a department instead."""

    __slots__ = ("address", "away", "barred_until_s", "connection", "department", "name", "retry_s", "wake")

    def __init__(self, name: str, address: Address | None, department: str = "") -> None:
        self.name = name
        self.address = address
        self.department = department
        self.connection: Connection | None = None
        self.barred_until_s = 0.0
        self.retry_s = FIRST_RETRY_S
        self.away = Away(AwayCode.NOT_REACHED, "not reached yet")
        self.wake = asyncio.Event()


class Peers:
    """Keeps at most one admitted connection to each peer and carries frames: listed peers are dialled, others may call."""

    def __init__(
        self,
        name: str,
        addresses: Mapping[str, Address],
        department_of: Callable[[str], str],
        server_context: SSL.Context,
        client_context: SSL.Context,
        handlers: PeerHandlers,
        judge_unlisted: Callable[[str], str | None],
        stages: StageClock,
        limits: Limits | None = None,
    ) -> None:
        """Prepare for the peers at `addresses` by name; where `department_of` names one, only that department's word counts.

        A node that is not at `addresses` is admitted when it calls, holds a certificate under the network's root, and
        `judge_unlisted` returns nothing against its department, then and every REVIEW_S.
        """
        self._name = name
        self._department_of = department_of
        self._peers = {peer: _Peer(peer, address) for peer, address in addresses.items() if peer != name}
        self._server_context = server_context
        self._client_context = client_context
        self._handlers = handlers
        self._judge_unlisted = judge_unlisted
        self._stages = stages
        self._limits = limits or Limits()
        self._callbacks = Callbacks(self._on_open, self._on_secured, self._on_frame, self._on_closed)
        self._pending: set[Connection] = set()
        self._pending_by_address: Counter[str] = Counter()
        self._peer_by_connection: dict[Connection, _Peer] = {}
        self._dialled: dict[Connection, _Peer] = {}
        self._server: asyncio.Server | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._is_stopping = False

    async def start(self, listener: socket.socket) -> None:
        """Accept on `listener` and keep dialling every peer that is away."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: self._new_connection(is_inbound=True), sock=listener)
        self._tasks = [loop.create_task(self._keep_dialling(peer)) for peer in self._peers.values()]
        self._tasks.append(loop.create_task(self._keep_reviewing()))

    async def stop(self) -> None:
        """Close the listener and every connection; no handler is called afterwards."""
        self._is_stopping = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._server is not None:
            self._server.close()
        waiting = [*self._pending, *self._peer_by_connection]
        for connection in waiting:
            connection.close("this node stops")
        deadline_s = asyncio.get_running_loop().time() + 2 * self._limits.close_s
        while (self._pending or self._peer_by_connection) and asyncio.get_running_loop().time() < deadline_s:
            await asyncio.sleep(0.01)

    def send(self, peer: str, frame: Frame) -> None:
        """Send a frame to one peer; a peer that is away gets nothing."""
        connection = self._peers[peer].connection if peer in self._peers else None
        if connection is not None:
            connection.send(encode_frame(frame))

    def broadcast(self, frame: Frame) -> None:
        """Send a frame to every connected peer, encoded once."""
        raw = encode_frame(frame)
        for peer in self._peers.values():
            if peer.connection is not None:
                peer.connection.send(raw)

    def drop(self, name: str, reason: str) -> None:
        """Close the connection to a peer that broke a rule and stay away from it for BAR_S."""
        peer = self._peers.get(name)
        if peer is not None and peer.connection is not None:
            peer.barred_until_s = asyncio.get_running_loop().time() + BAR_S
            peer.connection.close(reason)

    def states(self) -> list[PeerState]:
        """Return what is known of every listed peer and of every other one that is connected, by name."""
        return [
            _state(peer)
            for _, peer in sorted(self._peers.items())
            if peer.address is not None or peer.connection is not None
        ]

    @property
    def pending_count(self) -> int:
        """How many connections, of both directions, have not said Hello yet or were not admitted."""
        return len(self._pending)

    # Dialling.

    def _new_connection(self, *, is_inbound: bool) -> Connection:
        context = self._server_context if is_inbound else self._client_context
        return Connection(context, self._callbacks, self._limits, self._stages, is_inbound=is_inbound)

    async def _keep_dialling(self, peer: _Peer) -> None:
        """Dial whenever the peer is away, waiting longer after each failure up to MAX_RETRY_S."""
        loop = asyncio.get_running_loop()
        while True:
            barred_s = peer.barred_until_s - loop.time()
            if barred_s > 0:
                await asyncio.sleep(barred_s)
            elif peer.connection is not None:
                peer.wake.clear()
                await peer.wake.wait()
            else:
                await self._dial(peer)
                # Two nodes that lose each other must not dial in step for ever.
                wait_s = peer.retry_s * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, keeps no secret
                peer.retry_s = min(2 * peer.retry_s, MAX_RETRY_S)
                await asyncio.sleep(wait_s)

    async def _dial(self, peer: _Peer) -> None:
        """Open one connection and wait until the peer is admitted, by this or another one, or this one is closed."""
        assert peer.address is not None
        connection = self._new_connection(is_inbound=False)
        self._dialled[connection] = peer
        try:
            async with asyncio.timeout(self._limits.handshake_s):
                await asyncio.get_running_loop().create_connection(lambda: connection, *peer.address)
        except (OSError, TimeoutError) as error:
            self._dialled.pop(connection, None)
            connection.abort("not connected in time")
            why = "no answer" if isinstance(error, TimeoutError) else error.strerror or str(error)
            # One that called meanwhile and broke a rule is away for that.
            if peer.connection is None and peer.barred_until_s <= asyncio.get_running_loop().time():
                self._set_away(peer, Away(AwayCode.NOT_REACHED, f"cannot connect to {peer.address}: {why}"))
            return
        while connection in self._dialled and peer.connection is None:
            peer.wake.clear()
            await peer.wake.wait()

    def _set_away(self, peer: _Peer, away: Away) -> None:
        """Log why a peer is away when the reason is a new one."""
        if away.text != peer.away.text:
            peer.away = away
            _LOG.warning("peer_away", peer=peer.name, code=away.code, reason=away.text)

    # What connections tell.

    def _on_open(self, connection: Connection) -> str | None:
        address = _address_group(connection.remote_host)
        if connection.is_inbound:
            if self._is_stopping:
                return "this node stops"
            if len(self._pending) >= MAX_PENDING_CONNECTIONS:
                return f"more than {MAX_PENDING_CONNECTIONS} connections have not said Hello"
            if self._pending_by_address[address] >= MAX_PENDING_PER_ADDRESS:
                return f"more than {MAX_PENDING_PER_ADDRESS} connections of {address} have not said Hello"
            self._pending_by_address[address] += 1
        self._pending.add(connection)
        return None

    def _on_secured(self, connection: Connection) -> None:
        """Say Hello at once to the peer that the certificate names, so that both sides can name a difference."""
        peer = self._judge_certificate(connection)
        if isinstance(peer, Away):
            if (dialled := self._dialled.get(connection)) is not None:
                self._set_away(dialled, peer)
            connection.close(peer.text)
            return
        self._peers[peer.name] = peer
        self._peer_by_connection[connection] = peer
        connection.send(encode_frame(self._handlers.hello()))

    def _judge_certificate(self, connection: Connection) -> _Peer | Away:
        """Return the peer that the holder of this certificate is, or why it is none now."""
        certificate = connection.certificate
        assert certificate is not None
        name = certificate.common_name
        peer = self._peers.get(name)
        refusal = self._find_mismatch(connection, name, peer)
        if refusal is not None:
            return Away(AwayCode.CERTIFICATE_REFUSED, refusal)
        if peer is not None and peer.barred_until_s > asyncio.get_running_loop().time():
            # What it did a moment ago is why it is away, not that it has come again.
            return peer.away
        if peer is None or peer.address is None:
            refusal = self._judge_unlisted(connection.department_code)
            if peer is None:
                refusal = refusal or self._find_full(name, connection.department_code)
            if refusal is not None:
                return Away(AwayCode.CERTIFICATE_REFUSED, refusal)
        return peer or _Peer(name, None, connection.department_code)

    def _find_mismatch(self, connection: Connection, name: str, peer: _Peer | None) -> str | None:
        """Return why a certificate is not that of the node expected at this connection, or None."""
        certificate, dialled = connection.certificate, self._dialled.get(connection)
        assert certificate is not None
        if dialled is not None and dialled is not peer:
            return f"{name!r} answers at the address of {dialled.name}: check the addresses in node.toml"
        if name == self._name:
            return f"its certificate names {name!r}, which is this node"
        if not certificate.is_server:
            return f"the certificate of {name} is a person's, expected a node's"
        department = connection.department_code
        expected = self._department_of(name) or (peer.department if peer is not None else "")
        if expected and department != expected:
            return f"the certificate of {name} was issued by {department or 'no department'}, expected {expected}"
        return None

    def _find_full(self, name: str, department: str) -> str | None:
        """Return why there is no place for one more node that is not listed, or None."""
        if re.fullmatch(NODE_NAME, name) is None or len(name) > MAX_NODE_NAME_LENGTH:
            return "its certificate names no node: expected letters, digits, dot, hyphen and underscore"
        held = Counter(peer.department for peer in self._peers.values() if peer.address is None)
        if held.total() >= MAX_UNLISTED_PEERS:
            return f"all {MAX_UNLISTED_PEERS} places for nodes that node.toml does not list are taken"
        if held[department] >= MAX_UNLISTED_PER_DEPARTMENT:
            return f"{department} has {MAX_UNLISTED_PER_DEPARTMENT} nodes here that node.toml does not list"
        return None

    async def _keep_reviewing(self) -> None:
        """Ask again about the unlisted peers that are here, now and then: their department may have been suspended."""
        while True:
            await asyncio.sleep(REVIEW_S)
            for peer in [*self._peers.values()]:
                if peer.address is None and (refusal := self._judge_unlisted(peer.department)) is not None:
                    self.drop(peer.name, refusal)

    def _on_frame(self, connection: Connection, raw: bytes) -> None:
        peer = self._peer_by_connection[connection]
        try:
            with self._stages.measure("network"):
                frame = decode_frame(raw)
        except CodecError as error:
            self._refuse(peer, connection, Away(AwayCode.RULE_BROKEN, str(error)))
            return
        if peer.connection is connection:
            if isinstance(frame, Hello):
                self._refuse(peer, connection, Away(AwayCode.RULE_BROKEN, "a second Hello"))
            else:
                self._handlers.on_frame(peer.name, frame)
        elif isinstance(frame, Hello):
            self._admit(peer, connection, frame)
        else:
            text = f"expected Hello first, found {type(frame).__name__}"
            self._refuse(peer, connection, Away(AwayCode.RULE_BROKEN, text))

    def _admit(self, peer: _Peer, connection: Connection, hello: Hello) -> None:
        difference = find_difference(self._handlers.hello(), hello, peer.name, self._handlers.find_ledger_difference)
        if difference is not None:
            self._refuse(peer, connection, difference)
            return
        old = peer.connection
        if old is not None:
            if not self._gives_way(peer, old, connection):
                connection.close("a connection of this pair is there already")
                return
            self._forget(peer, Away(AwayCode.LOST, "another connection takes its place"))
            old.close("another connection takes its place")
        connection.admit()
        self._release(connection)
        peer.connection = connection
        peer.retry_s = FIRST_RETRY_S
        peer.wake.set()
        _LOG.info("peer_connected", peer=peer.name, remote=connection.remote_host, inbound=connection.is_inbound)
        self._handlers.on_peer(peer.name, hello)

    def _gives_way(self, peer: _Peer, old: Connection, new: Connection) -> bool:
        """Both ends decide alike: of two directions the one dialled by the lesser name stays, of one direction the newer."""
        if old.is_inbound == new.is_inbound:
            return True
        if asyncio.get_running_loop().time() - old.last_frame_s > STALE_S:
            return True
        return new.is_inbound == (peer.name < self._name)

    def _on_closed(self, connection: Connection, reason: str) -> None:
        known = self._peer_by_connection.pop(connection, None)
        self._release(connection)
        dialled = self._dialled.pop(connection, None)
        peer = known or dialled
        if peer is None:
            _LOG.info("connection_refused", remote=connection.remote_host, reason=reason)
        elif peer.connection is connection:
            is_dropped = peer.barred_until_s > asyncio.get_running_loop().time()
            self._forget(peer, Away(AwayCode.RULE_BROKEN if is_dropped else AwayCode.LOST, reason))
        else:
            if peer.connection is None and connection.has_tls_failed:
                self._set_away(peer, Away(AwayCode.TLS_FAILED, reason))
            elif peer.connection is None and peer.away.code in _UNTOLD:
                # The other side closes for the same difference: what this node found in it says more.
                self._set_away(peer, Away(AwayCode.LOST, reason))
            peer.wake.set()
        if peer is not None and peer.address is None:
            self._retire(peer)

    def _retire(self, peer: _Peer) -> None:
        """Give an unlisted peer's place free once none of its connections is left and it is not barred any more."""
        if peer in self._peer_by_connection.values() or self._peers.get(peer.name) is not peer:
            return
        loop = asyncio.get_running_loop()
        if peer.barred_until_s > loop.time():
            loop.call_at(peer.barred_until_s, self._retire, peer)
        else:
            del self._peers[peer.name]

    def _forget(self, peer: _Peer, away: Away) -> None:
        peer.connection = None
        peer.away = away
        peer.wake.set()
        _LOG.info("peer_lost", peer=peer.name, reason=away.text)
        if not self._is_stopping:
            self._handlers.on_peer_lost(peer.name)

    def _refuse(self, peer: _Peer, connection: Connection, away: Away) -> None:
        peer.barred_until_s = asyncio.get_running_loop().time() + BAR_S
        self._set_away(peer, away)
        connection.close(away.text)

    def _release(self, connection: Connection) -> None:
        """Stop counting the connection as one that has not said Hello."""
        if connection in self._pending:
            self._pending.remove(connection)
            if connection.is_inbound:
                address = _address_group(connection.remote_host)
                self._pending_by_address[address] -= 1
                if not self._pending_by_address[address]:
                    del self._pending_by_address[address]


def _state(peer: _Peer) -> PeerState:
    connection = peer.connection
    # Of one that called, the port is that of the moment: the host is what an operator can use.
    host = connection.remote_host if connection is not None else ""
    return PeerState(
        peer.name,
        host if peer.address is None else str(peer.address),
        peer.address is not None,
        connection is not None,
        connection is not None and connection.is_inbound,
        "" if connection is not None else peer.away.text,
        None if connection is not None else peer.away.code,
    )


def find_difference(
    own: Hello, theirs: Hello, certificate_name: str, find_ledger_difference: Callable[[Hello], Away | None]
) -> Away | None:
    """Return why two nodes cannot work together, naming both values, or None when they can."""
    if theirs.protocol_version != own.protocol_version:
        text = f"it speaks protocol version {theirs.protocol_version}, this node {own.protocol_version}: install the same release"
        return Away(AwayCode.VERSION_DIFFERS, text)
    if theirs.genesis_hash != own.genesis_hash:
        text = f"its genesis is {theirs.genesis_hash.hex()}, this node's {own.genesis_hash.hex()}: one of them belongs to another network"
        return Away(AwayCode.GENESIS_DIFFERS, text)
    if theirs.node_name != certificate_name:
        text = f"it calls itself {theirs.node_name!r}, its certificate says {certificate_name!r}"
        return Away(AwayCode.CERTIFICATE_REFUSED, text)
    return find_ledger_difference(theirs)


def _address_group(host: str) -> str:
    """Return what limits count by: an IPv4 address, or the /64 network of an IPv6 one, which one machine owns whole."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ipaddress.IPv6Network((address, 64), strict=False))
    return str(address)
