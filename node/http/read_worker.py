"""The node's end of the reading process: one read at a time, two bounded queues, and an end to whatever takes too long.

A thread that computes beside the event loop's would halve its speed and make it wait for the interpreter after every sync and every
socket, on every validator that somebody calls (docs/adr/0013). A process of its own takes nothing but what the processors have left.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from itertools import islice
from typing import Final

import msgspec

from node.chain.faults import LocalFault
from node.http.eth_reads import CallRead, ChainFacts, LogsRead, ProofRead, Read
from node.http.read_process import LENGTH_BYTES, PAGE_ENTRIES, Answer, Broken, Fault, Get, Job, Page
from node.http.rpc_fault import INTERNAL_ERROR, LIMIT_EXCEEDED, RpcFault
from node.ledger.ledger import Ledger
from node.ledger.storage import PinnedStorage
from node.logs import Log

MAX_WAITING_READS: Final = 64
"""In each queue: calls, logs and proofs wait in one, all else in the other, and the two take turns."""
MAX_READ_S: Final = 30.0
"""For one read; the process is then ended, and the next read starts another."""
MAX_FRAME_BYTES: Final = 40 * 1024 * 1024
END_TIMEOUT_S: Final = 5.0

_LOG: Final = Log("reads")
_ENCODE: Final = msgspec.msgpack.Encoder().encode
_DECODE: Final = msgspec.msgpack.Decoder(Get | Page | Answer | Fault | Broken).decode


class _Waiting(msgspec.Struct):
    read: Read
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[bytes]

    def settle(self, outcome: bytes | RpcFault) -> None:
        """Bring the outcome to whoever waits; its loop may be gone."""
        with contextlib.suppress(RuntimeError):
            self.loop.call_soon_threadsafe(self._settle, outcome)

    def _settle(self, outcome: bytes | RpcFault) -> None:
        if self.future.done():
            return
        if isinstance(outcome, RpcFault):
            self.future.set_exception(outcome)
        else:
            self.future.set_result(outcome)


class ReadWorker:
    """Hands reads to the reading process, which is started for the first one."""

    def __init__(self, ledger: Ledger) -> None:
        """Read from `ledger`."""
        self._ledger = ledger
        genesis = ledger.genesis
        self._facts = ChainFacts(genesis.chain_id, genesis.hash, genesis.time_ms)
        self._slow: deque[_Waiting] = deque()
        self._quick: deque[_Waiting] = deque()
        self._is_turn_of_slow = False
        self._condition = threading.Condition()
        self._thread: threading.Thread | None = None
        self._is_closed = False
        self._process: _Process | None = None

    @property
    def waiting_count(self) -> int:
        """How many reads wait for the one in hand."""
        return len(self._slow) + len(self._quick)

    async def read(self, read: Read) -> bytes:
        """Return the answer as JSON; raise RpcFault, with BUSY where MAX_WAITING_READS wait already."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[bytes] = loop.create_future()
        with self._condition:
            queue = self._slow if isinstance(read, CallRead | LogsRead | ProofRead) else self._quick
            if self._is_closed or len(queue) >= MAX_WAITING_READS:
                zh, en = "正在处理的读取过多，请稍后重试", "too many reads wait: try again in a moment"
                raise RpcFault(LIMIT_EXCEEDED, zh, en, {"code": "BUSY"})
            queue.append(_Waiting(read, loop, future))
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="reads", daemon=True)
                self._thread.start()
            self._condition.notify()
        return await future

    def close(self) -> None:
        """End the process, with it what it is at, and drop what waits. To be closed before the ledger."""
        with self._condition:
            self._is_closed = True
            process, self._process = self._process, None
            self._condition.notify()
        if process is not None:
            process.end()
        if self._thread is not None:
            self._thread.join()

    def _work(self) -> None:
        while True:
            with self._condition:
                while not self.waiting_count and not self._is_closed:
                    self._condition.wait()
                if self._is_closed:
                    break
                waiting = self._next()
            # A client that has gone away waits for nothing.
            if not waiting.future.done():
                waiting.settle(self._serve(waiting.read))
        for waiting in (*self._quick, *self._slow):
            waiting.settle(_failed())

    def _next(self) -> _Waiting:
        """Take the read whose turn it is off its queue; one waits."""
        self._is_turn_of_slow = not self._is_turn_of_slow
        first, second = (self._slow, self._quick) if self._is_turn_of_slow else (self._quick, self._slow)
        return (first or second).popleft()

    def _serve(self, read: Read) -> bytes | RpcFault:
        """Return the answer to one read; whatever goes wrong ends the process, not this thread."""
        process = self._running()
        if process is None:
            return _failed()
        try:
            pinned = self._ledger.pin()
            try:
                outcome = process.run(Job(self._facts, read), pinned)
            finally:
                pinned.close()
        except TimeoutError:
            _LOG.warning("read_too_long", read=type(read).__name__, limit_s=MAX_READ_S)
            self._drop()
            zh, en = (
                f"读取超过 {MAX_READ_S:.0f} 秒，已中止",
                f"the read took more than {MAX_READ_S:.0f} s and was ended",
            )
            return RpcFault(LIMIT_EXCEEDED, zh, en, {"code": "TOO_LONG"})
        except (OSError, LocalFault, msgspec.DecodeError) as error:
            if not self._is_closed:
                _LOG.error("read_failed", read=type(read).__name__, reason=f"{type(error).__name__}: {error}")
            self._drop()
            return _failed()
        if isinstance(outcome, Broken):
            _LOG.error("read_failed", read=type(read).__name__, reason=outcome.error)
            return _failed()
        if isinstance(outcome, Fault):
            return RpcFault(outcome.code, outcome.zh, outcome.en, outcome.data)
        return outcome.json

    def _running(self) -> _Process | None:
        """Return the process, started where there is none; None where it cannot be, or the worker is closed."""
        with self._condition:
            if self._is_closed:
                return None
            if self._process is not None and self._process.has_ended():
                self._process.end()
                self._process = None
            if self._process is None:
                try:
                    self._process = _Process()
                except OSError as error:
                    _LOG.error("reading_process_failed", reason=str(error))
            return self._process

    def _drop(self) -> None:
        with self._condition:
            process, self._process = self._process, None
        if process is not None:
            process.end()


class _Process:
    """One reading process and the socket to it."""

    def __init__(self) -> None:
        """Start it; raise OSError where the system does not let us."""
        self._socket, theirs = socket.socketpair()
        try:
            with theirs:
                # Not from the folder that the node runs in; and not in its group: a key pressed in the terminal is for the node.
                self._process = subprocess.Popen(
                    [sys.executable, "-P", "-m", "node.http.read_process", str(theirs.fileno())],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    pass_fds=(theirs.fileno(),),
                    start_new_session=True,
                )
        except OSError:
            self._socket.close()
            raise

    def run(self, job: Job, pinned: PinnedStorage) -> Answer | Fault | Broken:
        """Return what became of a job, after answering what it asks of the database; raise OSError, TimeoutError among them."""
        deadline_s = time.monotonic() + MAX_READ_S
        self._send(_ENCODE(job), deadline_s)
        while True:
            message: Get | Page | Answer | Fault | Broken = _DECODE(self._receive(deadline_s))
            if isinstance(message, Get):
                self._send(_ENCODE(pinned.get(message.key)), deadline_s)
            elif isinstance(message, Page):
                entries = list(islice(pinned.iterate(message.prefix, message.start), PAGE_ENTRIES))
                self._send(_ENCODE(entries), deadline_s)
            else:
                return message

    def has_ended(self) -> bool:
        """Return whether it is gone: killed by somebody, or by the system for want of memory."""
        return self._process.poll() is not None

    def end(self) -> None:
        """Kill it, and let go of the socket; any thread may ask."""
        self._process.kill()
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        try:
            self._process.wait(END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            # The system is at something for it, a slow disk for one. Nobody waits for that but who takes it off the list in the end.
            _LOG.warning("reading_process_ends_late", pid=self._process.pid)
            threading.Thread(target=self._process.wait, name="reading-process-end", daemon=True).start()
        self._socket.close()

    def _send(self, raw: bytes, deadline_s: float) -> None:
        self._set_timeout(deadline_s)
        self._socket.sendall(len(raw).to_bytes(LENGTH_BYTES) + raw)

    def _receive(self, deadline_s: float) -> bytes:
        length = int.from_bytes(self._read(LENGTH_BYTES, deadline_s))
        if length > MAX_FRAME_BYTES:
            raise OSError(f"expected a frame of at most {MAX_FRAME_BYTES} bytes, found {length}")
        return self._read(length, deadline_s)

    def _read(self, length: int, deadline_s: float) -> bytes:
        parts = bytearray()
        while len(parts) < length:
            self._set_timeout(deadline_s)
            part = self._socket.recv(length - len(parts))
            if not part:
                raise OSError("the reading process has ended")
            parts += part
        return bytes(parts)

    def _set_timeout(self, deadline_s: float) -> None:
        left_s = deadline_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        self._socket.settimeout(left_s)


def _failed() -> RpcFault:
    zh, en = "本节点出现内部错误，详情见节点日志", "this node met an internal error; its log has it"
    return RpcFault(INTERNAL_ERROR, zh, en)
