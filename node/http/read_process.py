"""The reading process: answers reads that take time, so that none of them ever takes the interpreter from a node's own work.

A node starts it (node/http/read_worker.py) and hands it one read at a time over a socket. It has no database: it asks the node
for single entries, which come from the database as it was when the read began. It ends when the node closes the socket.
"""

from __future__ import annotations

import contextlib
import os
import resource
import socket
import sys
from collections.abc import Iterator
from typing import Any, BinaryIO, Final

import msgspec
import orjson

from node.http.eth_reads import ChainFacts, EthReads, Read
from node.http.rpc_fault import LIMIT_EXCEEDED, UNKNOWN_HEIGHT, RpcFault
from node.ledger.ledger_reads import HistoryNotHeld, PinnedLedger

MAX_ANSWER_BYTES: Final = 32 * 1024 * 1024
MAX_MEMORY_BYTES: Final = 2 * 1024 * 1024 * 1024
"""Of address space: what a read could take beyond it is refused to it, and the node and the machine are spared."""
NICENESS: Final = 5
"""Consensus goes first where processors are short: it then gets three times as much, and reads still end in time."""
CACHE_NODES: Final = 20_000
LENGTH_BYTES: Final = 4
PAGE_ENTRIES: Final = 1_000


class Get(msgspec.Struct, tag=True, frozen=True):
    """Asks the node for the value at a key of the database; the answer is encoded bytes, or nil."""

    key: bytes


class Page(msgspec.Struct, tag=True, frozen=True):
    """Asks the node for the entries whose keys begin with `prefix`, from prefix + start on, at most PAGE_ENTRIES of them."""

    prefix: bytes
    start: bytes


class Answer(msgspec.Struct, tag=True, frozen=True):
    """What was read, as JSON."""

    json: bytes


class Fault(msgspec.Struct, tag=True, frozen=True):
    """The read ended in an RpcFault."""

    code: int
    zh: str
    en: str
    data: dict[str, Any] | str | None


class Broken(msgspec.Struct, tag=True, frozen=True):
    """The read failed in a way that nobody foresaw: for the node's log."""

    error: str


class Job(msgspec.Struct, frozen=True):
    """One read, of one chain."""

    facts: ChainFacts
    read: Read


_ENCODE: Final = msgspec.msgpack.Encoder().encode
_DECODE_JOB: Final = msgspec.msgpack.Decoder(Job).decode
_DECODE_VALUE: Final = msgspec.msgpack.Decoder(bytes | None).decode
_DECODE_PAGE: Final = msgspec.msgpack.Decoder(list[tuple[bytes, bytes]]).decode


class _NodeGone(Exception):
    """The node has closed the socket."""


class _Link:
    """Frames to and from the node: a length, then MessagePack."""

    def __init__(self, stream: BinaryIO, connection: socket.socket) -> None:
        self._stream = stream
        self._connection = connection

    def receive(self) -> bytes:
        head = self._stream.read(LENGTH_BYTES)
        if len(head) < LENGTH_BYTES:
            raise _NodeGone
        return self._stream.read(int.from_bytes(head))

    def send(self, message: msgspec.Struct) -> None:
        raw = _ENCODE(message)
        self._connection.sendall(len(raw).to_bytes(LENGTH_BYTES) + raw)


class _NodeStorage:
    """The node's database as it was when the read began (node.ledger.storage.KeyReader)."""

    def __init__(self, link: _Link) -> None:
        self._link = link

    def get(self, key: bytes) -> bytes | None:
        """Return the value at `key`, or None."""
        self._link.send(Get(key))
        value: bytes | None = _DECODE_VALUE(self._link.receive())
        return value

    def iterate(self, prefix: bytes, start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Yield (key, value) in the order of keys: those that begin with `prefix`, from prefix + start on."""
        while True:
            self._link.send(Page(prefix, start))
            entries = _DECODE_PAGE(self._link.receive())
            yield from entries
            if len(entries) < PAGE_ENTRIES:
                return
            start = entries[-1][0][len(prefix) :] + b"\0"


def serve(connection: socket.socket) -> None:
    """Answer one read after the other until the node closes the connection."""
    with connection.makefile("rb") as stream, contextlib.suppress(_NodeGone, ConnectionError):
        link = _Link(stream, connection)
        while True:
            job = _DECODE_JOB(link.receive())
            link.send(_answer(job, link))


def _answer(job: Job, link: _Link) -> Answer | Fault | Broken:
    try:
        reads = EthReads(PinnedLedger(_NodeStorage(link), CACHE_NODES), job.facts)
        json = orjson.dumps(reads.answer(job.read))
    except RpcFault as fault:
        return Fault(fault.code, fault.zh, fault.en, fault.data)
    except HistoryNotHeld as error:
        heights = {"base_height": error.base_height, "first_block": error.first_block}
        return Fault(UNKNOWN_HEIGHT, error.zh, error.en, {"code": "HISTORY_NOT_HELD", **heights})
    except (_NodeGone, ConnectionError):
        raise
    except MemoryError:
        return Fault(LIMIT_EXCEEDED, "此读取占用内存过多", "this read takes too much memory", {"code": "TOO_LARGE"})
    except Exception as error:  # noqa: BLE001 - whatever it is, the next read has nothing to do with it
        return Broken(f"{type(error).__name__}: {error}")
    if len(json) > MAX_ANSWER_BYTES:
        zh, en = "结果过大，请缩小范围", f"the answer has {len(json)} bytes, more than {MAX_ANSWER_BYTES}: ask for less"
        return Fault(LIMIT_EXCEEDED, zh, en, {"code": "TOO_LARGE"})
    return Answer(json)


def main() -> None:
    """Serve the node on the socket whose number is the first argument."""
    # Where the system forbids either, as a hardened service may, the node's own limits still hold.
    with contextlib.suppress(OSError, ValueError):
        os.nice(NICENESS)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))
    with socket.socket(fileno=int(sys.argv[1])) as connection:
        serve(connection)


if __name__ == "__main__":
    main()
