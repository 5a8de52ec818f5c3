"""Frames over RFC 8998 TLS under asyncio: memory BIOs, a four-byte length before each frame, and a limit on everything.

**Invariant:** no callback of a connection runs inside `send`, `close` or another callback of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from typing import Final, cast

import msgspec
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL

from node.config import Address, StartError
from node.stages import StageClock
from node.wire.frames import MAX_FRAME_BYTES
from sm_crypto.tls import TlsError, check_connection
from sm_crypto.x509 import Certificate, parse_certificate

LENGTH_BYTES: Final = 4
MAX_HELLO_BYTES: Final = 1_024
MAX_HANDSHAKE_BYTES: Final = 65_536
MAX_WRITE_BUFFER_BYTES: Final = 3 * MAX_FRAME_BYTES
MAX_FRAMES_A_TURN: Final = 64
LISTEN_BACKLOG: Final = 128
_RECORD_BYTES: Final = 16_384
_RECORD_OVERHEAD_BYTES: Final = 64


class Limits(msgspec.Struct, frozen=True):
    """How long a connection may take, in seconds, before it is dropped."""

    handshake_s: float = 5.0
    """From the TCP connection to the peer's accepted Hello."""
    idle_s: float = 15.0
    """Without one complete frame; peers send their status every second."""
    frame_s: float = 60.0
    """From the first byte of a frame to its last: slow bytes end here."""
    close_s: float = 1.0
    """For the rest of the write buffer after a close."""


class Callbacks(msgspec.Struct, frozen=True):
    """What the owner of a connection is told; `on_closed` comes last, exactly once, with the reason."""

    on_open: Callable[[Connection], str | None]
    """TCP is up; a returned reason refuses the connection before any cryptography."""
    on_secured: Callable[[Connection], None]
    """The TLS handshake is done and checked."""
    on_frame: Callable[[Connection, bytes], None]
    on_closed: Callable[[Connection, str], None]


class Connection(asyncio.Protocol):
    """One TLS connection of either side; frames in order, at most MAX_HELLO_BYTES long until `admit` is called."""

    def __init__(
        self, context: SSL.Context, callbacks: Callbacks, limits: Limits, stages: StageClock, *, is_inbound: bool
    ) -> None:
        self.is_inbound = is_inbound
        self.remote_host = ""
        self.certificate: Certificate | None = None
        """What the other side proved to be, once the handshake is done."""
        self.last_frame_s = 0.0
        """Loop time of the last complete frame, for judging which of two connections is alive."""
        self.has_tls_failed = False
        """Whether the connection ended because TLS, here or there, did not take the other side."""
        self._tls = SSL.Connection(context, None)
        self._callbacks = callbacks
        self._limits = limits
        self._stages = stages
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._is_secured = False
        self._is_admitted = False
        self._close_reason: str | None = None
        self._opened_s = self._loop.time()
        self._frame_started_s: float | None = None
        self._received = bytearray()
        self._handshake_bytes = 0
        self._is_paused = False
        self._outgoing: list[bytes] = []
        self._outgoing_bytes = 0
        self._is_flush_due = False
        self._watch: asyncio.TimerHandle | None = None

    @property
    def is_closed(self) -> bool:
        """Whether the connection is closed or closing: nothing more is sent or delivered."""
        return self._close_reason is not None

    @property
    def department_code(self) -> str:
        """The unified social credit code in the certificate of the department that issued the peer's."""
        chain = self._tls.get_verified_chain(as_cryptography=True)
        if chain is None or len(chain) < 2:
            return ""
        return parse_certificate(chain[1].public_bytes(Encoding.DER)).organization_identifier

    def admit(self) -> None:
        """Lift the limits for strangers: frames up to MAX_FRAME_BYTES, and the idle time instead of the handshake time."""
        self._is_admitted = True

    def send(self, frame: bytes) -> None:
        """Queue one frame; all frames of one loop turn leave in one write. A peer that does not read is dropped."""
        if self._close_reason is not None:
            return
        self._outgoing.append(len(frame).to_bytes(LENGTH_BYTES, "big"))
        self._outgoing.append(frame)
        self._outgoing_bytes += LENGTH_BYTES + len(frame)
        assert self._transport is not None
        if self._outgoing_bytes + self._transport.get_write_buffer_size() > MAX_WRITE_BUFFER_BYTES:
            self.abort(f"does not read: more than {MAX_WRITE_BUFFER_BYTES} bytes wait for it")
        elif not self._is_flush_due:
            self._is_flush_due = True
            self._loop.call_soon(self._flush)

    def close(self, reason: str) -> None:
        """Send what is queued and the TLS goodbye, then close; cut off after the limit for closing."""
        if self._close_reason is not None:
            return
        if self._transport is None or not self._is_secured:
            self.abort(reason)
            return
        self._flush()
        self._close_reason = reason
        with contextlib.suppress(SSL.Error):
            self._tls.shutdown()
        self._write_pending()
        transport = self._transport
        transport.close()
        self._set_watch(self._loop.call_later(self._limits.close_s, transport.abort))

    def abort(self, reason: str) -> None:
        """Cut the connection without sending what is queued."""
        if self._close_reason is None:
            self._close_reason = reason
            self._outgoing.clear()
            if self._transport is not None:
                self._transport.abort()

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the handshake, unless the owner refuses the connection."""
        # uvloop's transports have the methods of asyncio's without being its subclass.
        self._transport = cast("asyncio.Transport", transport)
        peer_name = transport.get_extra_info("peername")
        self.remote_host = peer_name[0] if peer_name else ""
        if (refusal := self._callbacks.on_open(self)) is not None:
            self.abort(refusal)
            return
        if self.is_inbound:
            self._tls.set_accept_state()
        else:
            self._tls.set_connect_state()
        self._check_deadline()
        self._shake_hands()

    def data_received(self, data: bytes) -> None:
        """Decrypt what came and deliver the frames that are complete."""
        if self._close_reason is not None:
            return
        is_ended = False
        try:
            if not self._is_secured:
                self._handshake_bytes += len(data)
                if self._handshake_bytes > MAX_HANDSHAKE_BYTES:
                    self.abort(f"more than {MAX_HANDSHAKE_BYTES} bytes of TLS handshake")
                    return
                self._tls.bio_write(data)
                self._shake_hands()
                data = b""
            if self._is_secured:
                self._decrypt(data)
        except SSL.ZeroReturnError:
            is_ended = True
        except SSL.Error as error:
            # A server's word that it does not take our certificate comes after our own handshake is done.
            self.has_tls_failed = not self._is_admitted
            self._write_pending()
            self.abort(f"TLS: {_describe(error)}")
        self._deliver()
        if is_ended:
            # Its last frames say why it closed, so they are heard first.
            self.close("closed by the peer")

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the owner, once, why it ended."""
        if self._close_reason is None:
            self._close_reason = f"connection lost: {exc}" if exc else "closed by the peer"
        if self._watch is not None:
            self._watch.cancel()
        self._outgoing.clear()
        self._received.clear()
        self._callbacks.on_closed(self, self._close_reason)

    # Inside.

    def _shake_hands(self) -> None:
        """Move the handshake on; when it is done, check what was negotiated and tell the owner."""
        try:
            self._tls.do_handshake()
        except SSL.WantReadError:
            self._write_pending()
            return
        except SSL.Error as error:
            # The alert tells the other side why.
            self.has_tls_failed = True
            self._write_pending()
            self.abort(f"TLS handshake: {_describe(error)}")
            return
        self._write_pending()
        try:
            self.certificate = check_connection(self._tls)
        except TlsError as error:
            self.has_tls_failed = True
            self.abort(f"TLS handshake: {error}")
            return
        self._is_secured = True
        self._callbacks.on_secured(self)

    def _decrypt(self, data: bytes) -> None:
        with self._stages.measure("network"):
            if data:
                self._tls.bio_write(data)
            while True:
                try:
                    self._received += self._tls.recv(_RECORD_BYTES)
                except SSL.WantReadError:
                    return

    def _deliver(self) -> None:
        """Hand over complete frames, at most MAX_FRAMES_A_TURN: a flooding peer waits while others are heard."""
        received = self._received
        start = 0
        count = 0
        while len(received) - start >= LENGTH_BYTES and self._close_reason is None:
            length = int.from_bytes(received[start : start + LENGTH_BYTES], "big")
            limit = MAX_FRAME_BYTES if self._is_admitted else MAX_HELLO_BYTES
            if not 0 < length <= limit:
                self.abort(f"expected a frame of 1 to {limit} bytes, found {length}")
                return
            end = start + LENGTH_BYTES + length
            if len(received) < end:
                break
            if count == MAX_FRAMES_A_TURN:
                self._pause()
                break
            with memoryview(received) as view:
                frame = bytes(view[start + LENGTH_BYTES : end])
            start = end
            count += 1
            self.last_frame_s = self._loop.time()
            self._callbacks.on_frame(self, frame)
        del received[:start]
        if not received:
            self._frame_started_s = None
        elif start or self._frame_started_s is None:
            self._frame_started_s = self._loop.time()

    def _pause(self) -> None:
        if not self._is_paused and self._transport is not None:
            self._is_paused = True
            self._transport.pause_reading()
            self._loop.call_soon(self._resume)

    def _resume(self) -> None:
        self._is_paused = False
        if self._close_reason is not None or self._transport is None:
            return
        self._deliver()
        if not self._is_paused and not self.is_closed:
            self._transport.resume_reading()

    def _flush(self) -> None:
        """Encrypt all queued frames as one stream of full records and write them at once."""
        self._is_flush_due = False
        if self._close_reason is not None or not self._outgoing:
            return
        with self._stages.measure("network"):
            plain = b"".join(self._outgoing)
            self._outgoing.clear()
            self._outgoing_bytes = 0
            try:
                self._tls.sendall(plain)
            except SSL.Error as error:
                self.abort(f"TLS: {_describe(error)}")
                return
            self._write_pending(len(plain))

    def _write_pending(self, plain_bytes: int = _RECORD_BYTES) -> None:
        """Write all that TLS has ready; `plain_bytes` sizes the first read so that one call mostly does."""
        size = plain_bytes + (plain_bytes // _RECORD_BYTES + 1) * _RECORD_OVERHEAD_BYTES
        assert self._transport is not None
        while True:
            try:
                encrypted = self._tls.bio_read(size)
            except SSL.WantReadError:
                return
            self._transport.write(encrypted)
            if len(encrypted) < size:
                return

    def _check_deadline(self) -> None:
        """Drop the connection when its time is over, else look again when it would be."""
        if self._close_reason is not None:
            return
        if not self._is_admitted:
            deadline, reason = self._opened_s + self._limits.handshake_s, "no complete handshake and Hello in time"
        elif self._frame_started_s is not None:
            deadline, reason = self._frame_started_s + self._limits.frame_s, "a frame came too slowly"
        else:
            deadline, reason = self.last_frame_s + self._limits.idle_s, "silent for too long"
        if self._loop.time() >= deadline:
            self.abort(reason)
        else:
            # Admission and frame starts bring other deadlines in between: look at least every idle time.
            wake_s = min(deadline, self._loop.time() + self._limits.idle_s)
            self._set_watch(self._loop.call_at(wake_s, self._check_deadline))

    def _set_watch(self, watch: asyncio.TimerHandle) -> None:
        if self._watch is not None:
            self._watch.cancel()
        self._watch = watch


def bind_listener(address: Address) -> socket.socket:
    """Return a listening socket, IPv4 or IPv6 (`::` takes both); raise StartError when the address is in use or not ours."""
    try:
        found = socket.getaddrinfo(*address, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, target = found[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise _listen_error(address, error) from None
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, address.host != "::")
        listener.setblocking(False)
        listener.bind(target)
        listener.listen(LISTEN_BACKLOG)
    except OSError as error:
        listener.close()
        raise _listen_error(address, error) from None
    return listener


def _listen_error(address: Address, error: OSError) -> StartError:
    return StartError(
        f"无法监听 {address}（{error.strerror}）：端口可能已被占用，请停止占用它的程序或在 node.toml 中改换地址",
        f"cannot listen on {address} ({error.strerror}): stop the program that holds the port, or change the address in node.toml",
    )


def _describe(error: SSL.Error) -> str:
    """Return OpenSSL's reasons in one line."""
    if isinstance(error, SSL.SysCallError):
        return "the connection broke off"
    entries = error.args[0] if error.args and isinstance(error.args[0], list) else []
    return ", ".join(entry[-1] for entry in entries) or type(error).__name__
