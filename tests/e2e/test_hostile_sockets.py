"""A node with a sound certificate that attacks real nodes over their peer port: dropped with a reason, bounded, and all go on."""

import contextlib
import secrets
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from OpenSSL import SSL

from consensus.messages import Vote, VoteKind
from node.config import Address, parse_address
from node.genesis_file import load_genesis
from node.wire.frames import (
    MAX_FRAME_BYTES,
    MAX_FRAME_VOTES,
    PROTOCOL_VERSION,
    BlockResponse,
    BodyRequest,
    Hello,
    TransactionsFrame,
    VotesFrame,
    encode_frame,
)
from node.wire.peers import MAX_PENDING_PER_ADDRESS
from sm_crypto import tls, x509
from sm_crypto.keystore import load_private_key
from sm_crypto.sm2 import PrivateKey

pytestmark = pytest.mark.e2e

LAND = "11990100MB0000002X"
MAX_GROWTH_BYTES = 150_000_000
"""Of a node's memory under one attack: three write buffers and frames of the greatest size, and what the allocator keeps."""
HUGE = 2**63


class Intruder:
    """A member department's node gone bad: its certificate is good, what it sends is not."""

    def __init__(self, network: Any) -> None:
        self.network = network
        # One of its own for each test: nobody waits until an earlier one is not barred any more.
        self.name = f"intruder-{secrets.token_hex(4)}"
        self.genesis = load_genesis(network.made.genesis)
        kept = network.made.folder / "authority"
        password = (kept / "password").read_bytes().strip()
        certificate = x509.load_certificates((kept / f"{LAND}.crt.pem").read_bytes())[0]
        authority = x509.Authority(certificate, load_private_key(kept / f"{LAND}.key", password))
        key = PrivateKey.generate()
        leaf = x509.issue_node(authority, self.name, key.public_key, now_ms=time.time_ns() // 1_000_000)
        root = x509.parse_certificate(self.genesis.root_certificate)
        self.context = tls.client_context(key, [leaf, certificate], [root])
        self.target: Address = parse_address(network.made.nodes[0].p2p)

    def hello(self, **changes: Any) -> bytes:
        genesis = self.genesis
        hello = Hello(
            PROTOCOL_VERSION,
            genesis.hash,
            genesis.parameters.hash,
            self.name,
            0,
            genesis.hash,
            "1.0",
            time.time_ns() // 10**6,
        )
        return encode_frame(msgspec.structs.replace(hello, **changes))

    @contextlib.contextmanager
    def connect(self, *, is_admitted: bool = True) -> Iterator[SSL.Connection]:
        with contextlib.closing(socket.create_connection(self.target, timeout=60)) as raw:
            raw.settimeout(None)
            connection = SSL.Connection(self.context, raw)
            connection.set_connect_state()
            connection.do_handshake()
            assert connection.recv(4), "the node says Hello"
            if is_admitted:
                connection.sendall(framed(self.hello()))
            yield connection


def framed(raw: bytes) -> bytes:
    return len(raw).to_bytes(4, "big") + raw


def drain(connection: SSL.Connection) -> None:
    """Read until the node closes; the test's own time limit ends a wait for what never comes."""
    with contextlib.suppress(SSL.Error, OSError):
        while connection.recv(65_536):
            pass


def memory_bytes(process_id: int) -> int:
    lines = Path(f"/proc/{process_id}/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS"))


@pytest.fixture
def intruder(network: Any) -> Intruder:
    return Intruder(network)


@pytest.fixture
def unharmed(network: Any) -> Iterator[Callable[[], str]]:
    """Give what the attacked node logged since; afterwards it has grown little, all nodes run, are connected, and agree."""
    name = network.names[0]
    log = network.made.folder / name / "node.log"
    process_id, start, memory = network.supervisor.process_id(name), log.stat().st_size, 0
    memory = memory_bytes(process_id)
    yield lambda: log.read_bytes()[start:].decode("utf-8", "replace")
    assert memory_bytes(process_id) - memory < MAX_GROWTH_BYTES
    assert network.supervisor.process_id(name) == process_id
    assert "driver_fault" not in log.read_bytes()[start:].decode("utf-8", "replace")
    with network.client("land-clerk") as client:
        height = client.call("anchors", "anchor", digest=secrets.token_bytes(32), label="仍在运行").height
        connected = {peer["name"] for peer in client.status()["peers"] if peer["is_connected"]}
    assert connected >= set(network.names[1:])
    assert len(network.roots(network.wait_until_level(height))) == 1


def pack(*values: Any) -> bytes:
    return msgspec.msgpack.encode(values)


VOTE = [1, 1, 0, None, 0, bytes(64)]


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        pytest.param(pack(1, HUGE, 0, 1, 0, b"", b""), "frame", id="status of height 2^63"),
        pytest.param(pack(1, 1, HUGE, 1, 0, b"", b""), "frame", id="status of round 2^63"),
        pytest.param(pack(6, [[1, HUGE, 0, None, 0, bytes(64)]]), "frame", id="vote of height 2^63"),
        pytest.param(pack(6, [[1, 1, HUGE, None, 0, bytes(64)]]), "frame", id="vote of round 2^63"),
        pytest.param(pack(7, HUGE, 1), "frame", id="blocks from height 2^63"),
        pytest.param(pack(7, 1, HUGE), "frame", id="2^63 blocks"),
        pytest.param(pack(6, [VOTE] * (MAX_FRAME_VOTES + 1)), "frame", id="too many votes"),
        pytest.param(b"\x92\x06\xdd\xff\xff\xff\xff", "frame", id="array said to have 2^32 items"),
        pytest.param(b"\x91" * 100_000, "frame", id="nested 100,000 deep"),
        pytest.param(secrets.token_bytes(10_000), "frame", id="garbage"),
        pytest.param(encode_frame(TransactionsFrame([bytes(64)] * 4)), "", id="transactions that are none"),
        pytest.param(encode_frame(BlockResponse([bytes(64)])), "", id="blocks that nobody asked for"),
    ],
)
def test_one_hostile_frame_harms_nobody_and_one_that_breaks_the_form_is_dropped_with_a_reason(
    intruder: Intruder, unharmed: Callable[[], str], raw: bytes, reason: str
) -> None:
    with intruder.connect() as connection:
        connection.sendall(framed(raw))
        if reason:
            drain(connection)
    if reason:
        intruder.network.wait(lambda: intruder.name in unharmed() and reason in unharmed(), "the reason in the log")


@pytest.mark.parametrize("length", [0, MAX_FRAME_BYTES + 1, 2**32 - 1])
def test_a_giant_length_is_refused_before_anything_is_read(
    intruder: Intruder, unharmed: Callable[[], str], length: int
) -> None:
    with intruder.connect() as connection:
        connection.sendall(length.to_bytes(4, "big") + bytes(1_000))
        drain(connection)
    intruder.network.wait(lambda: f"found {length}" in unharmed(), "the length in the log")


def test_a_hello_of_a_height_above_all_bounds_is_no_hello(intruder: Intruder, unharmed: Callable[[], str]) -> None:
    raw = msgspec.msgpack.encode([*msgspec.msgpack.decode(intruder.hello())[:5], HUGE, bytes(32), "1.0", 0])
    with intruder.connect(is_admitted=False) as connection:
        connection.sendall(framed(raw))
        drain(connection)
    intruder.network.wait(lambda: "expected a frame" in unharmed(), "the reason in the log")


def test_the_greatest_height_that_can_be_said_makes_nobody_wait(
    intruder: Intruder, unharmed: Callable[[], str], network: Any
) -> None:
    with intruder.connect() as connection:
        connection.sendall(framed(pack(1, 2**62, 0, 1, 0, b"", b"")))
        with network.client("land-clerk") as client:
            client.call("anchors", "anchor", digest=secrets.token_bytes(32), label="x")
            found = client.status()
        assert found["target_height"] < 2**61
        assert found["is_voting"]


def test_a_flood_of_votes_ends_the_connection(intruder: Intruder, unharmed: Callable[[], str], network: Any) -> None:
    height = network.height(0) + 1
    votes = [
        Vote(VoteKind.PREVOTE, height, 0, secrets.token_bytes(32), index % 4, secrets.token_bytes(64))
        for index in range(MAX_FRAME_VOTES)
    ]
    flood = framed(encode_frame(VotesFrame(votes)))
    with intruder.connect() as connection, contextlib.suppress(SSL.Error, OSError):
        for _ in range(50):
            connection.sendall(flood)
        drain(connection)
    network.wait(lambda: "peer_dropped" in unharmed() and intruder.name in unharmed(), "the flood in the log")


def test_frames_of_full_size_and_requests_whose_answers_are_not_read_cost_bounded_memory(
    intruder: Intruder, unharmed: Callable[[], str]
) -> None:
    junk = framed(encode_frame(TransactionsFrame([bytes(800)] * 18_000)))
    request = framed(encode_frame(BodyRequest(bytes(32), [bytes(32)] * 18_000)))
    blocks = framed(pack(7, 1, 64))
    with intruder.connect() as connection, contextlib.suppress(SSL.Error, OSError):
        for _ in range(4):
            connection.sendall(junk)
        for _ in range(100):
            connection.sendall(request)
            connection.sendall(blocks * 10)


@pytest.mark.usefixtures("unharmed")
def test_half_open_connections_end_by_themselves_and_keep_no_peer_out(intruder: Intruder) -> None:
    with contextlib.ExitStack() as held:
        opened = [
            held.enter_context(socket.create_connection(intruder.target, timeout=60))
            for _ in range(4 * MAX_PENDING_PER_ADDRESS)
        ]
        for raw in opened[::2]:
            with contextlib.suppress(OSError):
                # The beginning of a TLS record, whose rest never comes.
                raw.sendall(b"\x16\x03\x01\x40")
        for raw in opened:
            with contextlib.suppress(ConnectionResetError):
                assert raw.recv(1) == b"", "closed, and nothing said before the handshake"
