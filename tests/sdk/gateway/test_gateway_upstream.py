"""The service behind a gateway may answer with anything at all: what is no whole answer to the question is none."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from sdk.gateway import upstream
from sdk.gateway.denials import Denied
from sdk.gateway.service_answer import ServiceAnswer, ask_service
from sdk.gateway.service_connection import MAX_ANSWER_HEADER_BYTES, MAX_FRAMING_BYTES
from sdk.gateway.upstream import UpstreamService, make_request

MAX_BYTES = 1_000
OK = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
CLOSE = None
"""In what a connection answers: it ends here."""


class RawService:
    """A server that answers the n-th question of its n-th connection with the bytes it is given, whatever they are."""

    def __init__(self, connections: Sequence[Sequence[bytes | None]], tls: ssl.SSLContext | None = None) -> None:
        self._connections, self._tls = list(connections), tls
        self.asked: list[bytes] = []
        self.opened = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answers = self._connections[min(self.opened, len(self._connections) - 1)]
        self.opened += 1
        try:
            for answer in answers:
                if answer is None:
                    break
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(
                    (int(line[15:]) for line in head.lower().split(b"\r\n") if line[:15] == b"content-length:"), 0
                )
                self.asked.append(head + await reader.readexactly(length))
                writer.write(answer)
                await writer.drain()
            else:
                await reader.read()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def __aenter__(self) -> RawService:
        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self._tasks.add(asyncio.create_task(self._serve(reader, writer)))

        self._server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=self._tls)
        self.url = f"{'https' if self._tls else 'http'}://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def write_certificate(folder: Path, name: str) -> Path:
    """Write a certificate of this machine's address that has signed itself, its key in the same file."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    addresses = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(addresses, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    written = folder / f"{name}.pem"
    written.write_bytes(private + made.public_bytes(Encoding.PEM))
    return written


async def question(
    service: UpstreamService, method: str = "GET", body: bytes = b"", timeout_s: float = 60.0, **changes: Any
) -> ServiceAnswer:
    scope = {"type": "http", "method": method, "raw_path": b"/a%20b", "query_string": b"x=1", "headers": [], **changes}
    return await ask_service(service, scope, body, MAX_BYTES, timeout_s)


def answered(*connections: Sequence[bytes | None], methods: Sequence[str] = ("GET",)) -> tuple[list[Any], RawService]:
    """What each question in turn got: an answer, or the code of why there is none."""

    async def run() -> tuple[list[Any], RawService]:
        found: list[Any] = []
        async with RawService(connections) as raw:
            service = UpstreamService(raw.url, MAX_BYTES)
            for method in methods:
                try:
                    found.append(await question(service, method))
                except Denied as denied:
                    found.append(denied.code)
                # What comes unasked, and the end of a connection, are there before the next question.
                await asyncio.sleep(0.02)
        return found, raw

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("sent", "status", "body"),
    [
        (OK, 200, b"{}"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n[1\r\n1;x=y\r\n]\r\n0\r\n\r\n", 200, b"[1]"),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\ncontent-type: x/y\r\n\r\n" + OK, 200, b"{}"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
        (b"HTTP/1.0 200 OK\r\ncontent-length: 3\r\n\r\nabc", 200, b"abc"),
    ],
)
def test_a_whole_answer_is_taken_however_it_is_framed(sent: bytes, status: int, body: bytes) -> None:
    (answer,), raw = answered([sent])
    assert (answer.status, answer.body) == (status, body)
    assert b"x/y" not in dict(answer.headers).values()
    host = raw.url.removeprefix("http://").encode()
    assert raw.asked == [b"GET /a%20b?x=1 HTTP/1.1\r\nhost: " + host + b"\r\n\r\n"]


def test_an_answer_of_no_said_length_ends_with_its_connection() -> None:
    found, raw = answered([b"HTTP/1.1 200 OK\r\n\r\nwhole", CLOSE], methods=("GET", "GET"))
    assert [one.body for one in found] == [b"whole", b"whole"]
    assert raw.opened == 2


def test_the_answer_to_head_has_no_body_whatever_length_it_says() -> None:
    found, raw = answered([OK.removesuffix(b"{}")], methods=("HEAD", "HEAD"))
    assert [(one.status, one.body) for one in found] == [(200, b"")] * 2
    assert raw.opened == 2


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\ncontent-le",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nab",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nab\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 2\r\n\r\n1\r\na\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nbad name: x\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 101 Switching\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n" + OK,
        b"\x16\x03\x01nothing of the kind",
        b"HTTP/1.1 200 OK\r\nx: " + b"y" * (MAX_ANSWER_HEADER_BYTES + 1) + b"\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * (MAX_FRAMING_BYTES // 25 + 1),
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1;" + b"x" * (MAX_FRAMING_BYTES + 10),
    ],
)
def test_what_is_no_whole_answer_is_none(sent: bytes) -> None:
    assert answered([sent, CLOSE])[0] == ["SERVICE_UNREACHABLE"]


def test_an_answer_that_is_too_large_is_not_taken_to_its_end() -> None:
    endless = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + b"ff\r\n" + b"a" * 255 + b"\r\n"
    found, raw = answered([endless + b"ff\r\n" + b"a" * 255 + b"\r\nff\r\n" + b"a" * 255 + b"\r\nff\r\n" + b"a" * 255])
    assert found == ["ANSWER_TOO_LARGE"]
    assert raw.opened == 1


def test_an_encoding_that_is_taken_back_in_a_second_header_is_one() -> None:
    twice = OK.replace(b"\r\n\r\n", b"\r\ncontent-encoding: gzip\r\ncontent-encoding: identity\r\n\r\n")
    assert answered([twice])[0] == ["ANSWER_ENCODED"]


def test_an_answer_of_two_kinds_is_no_json() -> None:
    (once,), _ = answered([OK])
    (twice,), _ = answered([OK.replace(b"\r\n\r\n", b"\r\ncontent-type: text/csv\r\n\r\n")])
    (other_way,), _ = answered([OK.replace(b"OK\r\n", b"OK\r\ncontent-type: text/csv\r\n")])
    assert [once.is_json, twice.is_json, other_way.is_json] == [True, False, False]


def test_trailers_are_no_headers_of_the_answer() -> None:
    sent = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\ncontent-type: text/html\r\n\r\n"
    (answer,), _ = answered([sent])
    assert (answer.body, answer.headers) == (b"a", ())


def test_questions_share_a_connection_until_the_service_says_close() -> None:
    closing = OK.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n")
    found, raw = answered([OK, OK, closing], methods=("GET",) * 5)
    assert [one.body for one in found] == [b"{}"] * 5
    assert raw.opened == 2


@pytest.mark.parametrize("unasked", [OK.replace(b"{}", b"[]"), b"x", b"HTTP/1.1 100 Continue\r\n\r\n"])
def test_an_answer_that_nobody_asked_for_is_nobodys(unasked: bytes) -> None:
    found, raw = answered([OK + unasked], [OK], methods=("GET", "GET"))
    assert [one.body for one in found] == [b"{}", b"{}"]
    assert raw.opened == 2


def test_a_kept_connection_that_was_closed_is_not_asked() -> None:
    found, raw = answered([OK, CLOSE], methods=("POST", "POST"))
    assert [one.body for one in found] == [b"{}", b"{}"]
    assert raw.opened == 2


@pytest.mark.parametrize(("method", "outcome"), [("GET", b"{}"), ("POST", "SERVICE_UNREACHABLE")])
def test_only_what_changes_nothing_is_asked_again_when_a_kept_connection_ends(method: str, outcome: object) -> None:
    found, raw = answered([OK, b"", CLOSE], [OK], methods=(method, method))
    assert getattr(found[1], "body", found[1]) == outcome
    assert len(raw.asked) == (3 if method == "GET" else 2)


def test_nothing_is_asked_again_once_an_answer_has_begun_or_on_a_new_connection() -> None:
    found, raw = answered([OK, b"HTTP/1.1 2", CLOSE], methods=("GET", "GET"))
    assert found[1] == "SERVICE_UNREACHABLE"
    assert len(raw.asked) == 2
    assert answered([b"", CLOSE])[0] == ["SERVICE_UNREACHABLE"]


def test_a_late_answer_is_nobodys() -> None:
    async def run() -> None:
        async with RawService([[b""], [OK]]) as raw:
            service = UpstreamService(raw.url, MAX_BYTES)
            with pytest.raises(Denied) as caught:
                await question(service, timeout_s=0.05)
            assert caught.value.code == "SERVICE_TIMEOUT"
            assert (await question(service)).body == b"{}"
            assert raw.opened == 2

    asyncio.run(run())


def test_connections_that_were_not_used_for_long_are_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upstream, "MAX_IDLE_S", -1.0)
    found, raw = answered([OK, OK], methods=("GET", "GET"))
    assert [one.body for one in found] == [b"{}", b"{}"]
    assert raw.opened == 2


def test_a_service_that_is_not_there_is_said_to_be_away() -> None:
    async def run() -> None:
        async with RawService([[OK]]) as raw:
            url = raw.url
        with pytest.raises(Denied) as caught:
            await question(UpstreamService(url, MAX_BYTES))
        assert caught.value.code == "SERVICE_UNREACHABLE"

    asyncio.run(run())


def test_a_service_under_tls_is_asked_if_its_certificate_is_of_the_authority_that_is_named(tmp_path: Path) -> None:
    own, other = write_certificate(tmp_path, "own"), write_certificate(tmp_path, "other")
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(own)

    async def ask(raw: RawService, authorities: str) -> object:
        try:
            return (await question(UpstreamService(raw.url, MAX_BYTES, authorities))).body
        except Denied as denied:
            return f"{denied.code} {denied.en}"

    async def run() -> list[object]:
        # Without its length the end of an answer could be anybody's word.
        endless = b"HTTP/1.1 200 OK\r\n\r\nhalf"
        async with RawService([[OK], [endless, CLOSE]], tls) as raw:
            first = [await ask(raw, str(own)), await ask(raw, str(own))]
        async with RawService([[OK]], tls) as raw:
            return [*first, await ask(raw, str(other)), await ask(raw, ""), len(raw.asked)]

    whole, cut, *untrusted, asked = asyncio.run(run())
    assert (whole, asked) == (b"{}", 0)
    assert str(cut).startswith("SERVICE_UNREACHABLE")
    for found in untrusted:
        assert "SSLCertVerificationError" in str(found)


def test_a_body_is_said_once_and_by_the_gateway() -> None:
    said = [(b"transfer-encoding", b"chunked"), (b"content-length", b"7"), (b"connection", b"x"), (b"accept", b"a/b")]
    assert make_request(b"POST", b"/x", b"h:1", said, b"abc") == (
        b"POST /x HTTP/1.1\r\nhost: h:1\r\naccept: a/b\r\ncontent-length: 3\r\n\r\nabc"
    )
    assert b"content-length: 0\r\n" in make_request(b"POST", b"/x", b"h:1", [], b"")


@pytest.mark.parametrize(
    "target", [b"/a b", b"/a\r\nx: y", b"http://elsewhere/", b"*", b"", "/图".encode(), b"/\x7f", b"/a#b"]
)
def test_a_target_that_would_be_read_as_another_is_not_asked_for(target: bytes) -> None:
    with pytest.raises(Denied) as caught:
        make_request(b"GET", target, b"h", [], b"")
    assert caught.value.code == "PATH_MALFORMED"


@given(st.lists(st.tuples(st.binary(max_size=9), st.binary(max_size=9)), max_size=4))
@settings(max_examples=100, deadline=None)
def test_no_header_makes_a_second_one(headers: list[tuple[bytes, bytes]]) -> None:
    try:
        request = make_request(b"GET", b"/", b"h", headers, b"")
    except Denied:
        return
    assert request.endswith(b"\r\n\r\n")
    assert request.count(b"\n") == request.count(b"\r") <= len(headers) + 3
    assert b"\r\n\r\n" not in request[:-4]


PIECES = [
    b"HTTP/1.1 ",
    b"200 OK\r\n",
    b"content-length: 5\r\n",
    b"transfer-encoding: chunked\r\n",
    b"\r\n",
    b"1\r\na\r\n",
]
PIECES += [OK, b"0\r\n\r\n", b"\0\xff", b"HTTP/1.1 100 C\r\n\r\n", b"abcde"]


@given(st.lists(st.sampled_from(PIECES), max_size=8))
@settings(max_examples=40, deadline=None)
def test_any_bytes_end_in_an_answer_or_a_denial(parts: list[bytes]) -> None:
    (found,), _ = answered([b"".join(parts), CLOSE])
    assert found in ("SERVICE_UNREACHABLE", "ANSWER_TOO_LARGE") or found.status >= 200


def test_a_body_in_the_smallest_chunks_is_whole() -> None:
    chunks = b"1\r\na\r\n" * MAX_BYTES
    (answer,), _ = answered([b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"])
    assert answer.body == b"a" * MAX_BYTES
