"""Where an audit asks for reads: a service that keeps it waiting does so once."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer

import msgspec
import pytest

from contracts.data_sharing.access import BatchRecord, StreamRecord
from sdk.access_audit import gathering
from sdk.access_audit.gathering import BodySources
from sm_crypto.keystore import Signer
from sm_crypto.sm2 import PrivateKey
from tests.endings import end_thread

DEPARTMENT = "11990100MB00000031"


@pytest.fixture
def service() -> Iterator[tuple[str, list[str]]]:
    """The address of a recorder's service, and what it has been asked for."""
    asked: list[str] = []

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            # Never silent for long, and never done.
            with suppress(OSError):
                self.wfile.write(b"HTTP/1.1 200 OK\r\nSlow: ")
                while True:
                    self.wfile.write(b"-")
                    time.sleep(0.02)

        def log_message(self, *arguments: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    end_thread(thread)
    server.server_close()


def test_a_service_that_is_too_slow_is_asked_for_one_batch_only(
    service: tuple[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, asked = service
    monkeypatch.setattr(gathering, "MAX_BATCH_S", 0.2)
    stream = StreamRecord(DEPARTMENT, bytes(20), 4, bytes(32), 2, 2, 2, 60, 10, 1, 0, url, "", 1, 1, 60_002, 0)
    first = BatchRecord(DEPARTMENT, bytes(20), 1, 1, 2, bytes(32), bytes(32), bytes(32), 0, 1, 2, 0, 0, 2, 60_000, 1)
    second = msgspec.structs.replace(first, batch_number=2, first_number=3)
    sources = BodySources(7, Signer(PrivateKey.from_bytes(bytes(31) + b"\x01")))
    for batch in (first, second):
        (why,) = sources.fetch(stream, batch)
        assert isinstance(why, str)
        assert why.startswith(f"{url}: ANSWER_TOO_SLOW")
    sources.close()
    assert len(asked) == 1
