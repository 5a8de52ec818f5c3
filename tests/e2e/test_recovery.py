"""Nodes that are killed, cut off, damaged or out of disk: nothing that was final is lost, and all come back to one chain."""

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from OpenSSL import SSL

from consensus.round import Step
from node.genesis_file import load_genesis
from node.wire.frames import (
    PROTOCOL_VERSION,
    BlockResponse,
    Hello,
    StatusFrame,
    TransactionsFrame,
    decode_frame,
    encode_frame,
)
from sdk.client import Client, SignedCall
from sm_crypto.keystore import load_private_key
from sm_crypto.tls import client_context
from sm_crypto.x509 import load_certificates, parse_certificate
from tests.commands import run_command
from verification.errors import GovnodeError

pytestmark = pytest.mark.e2e


WITHOUT_ROOM = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)
os.execv(sys.executable, [sys.executable, "-m", "sdk.cli.main", "start", "--config", sys.argv[2]])
"""


class Load(threading.Thread):
    """Anchors digests through one node until it is told to stop; keeps the receipts of what was final."""

    def __init__(self, client: Client) -> None:
        super().__init__(daemon=True)
        self.receipts: list[Any] = []
        self._client = client
        self._is_stopping = threading.Event()

    def run(self) -> None:
        while not self._is_stopping.is_set():
            calls = [
                self._client.sign_call("anchors", "anchor", digest=secrets.token_bytes(32), label="负载")
                for _ in range(20)
            ]
            with contextlib.suppress(GovnodeError):
                self.receipts += [r for r in self._client.outcomes(calls) if not isinstance(r, GovnodeError)]

    def stop(self) -> None:
        self._is_stopping.set()
        self.join(60)
        self._client.close()


@contextlib.contextmanager
def load(network: Any, index: int) -> Iterator[Load]:
    running = Load(network.client("land-clerk", index))
    running.start()
    try:
        yield running
    finally:
        running.stop()


def assert_final_everywhere(network: Any, receipts: list[Any]) -> None:
    """Every node has every receipt, at the same place, and the same block and state at its heights."""
    network.wait_until_level(max(receipt.height for receipt in receipts))
    for index in range(len(network.names)):
        with network.client(index=index) as client:
            for receipt in receipts[:: max(1, len(receipts) // 20)]:
                found = client.rpc("gov_getReceipt", transaction_id="0x" + receipt.transaction_id.hex())
                assert (found["height"], found["index"]) == (receipt.height, receipt.index)
    for height in {receipts[0].height, receipts[-1].height}:
        assert len(network.roots(height)) == 1


def test_one_validator_killed_under_load_catches_up(network: Any) -> None:
    with load(network, 0) as running:
        network.wait(lambda: len(running.receipts) > 50, "receipts before the kill")
        network.supervisor.kill("node4")
        count = len(running.receipts)
        network.wait(lambda: len(running.receipts) > count + 100, "receipts without the fourth")
        network.supervisor.resume("node4")
        network.wait(lambda: network.height(3) >= network.height(0) - 5 > 0, "the fourth near the head under load")
    assert_final_everywhere(network, running.receipts)


def test_all_four_killed_at_once_lose_nothing_that_was_final(network: Any) -> None:
    with load(network, 1) as running:
        network.wait(lambda: len(running.receipts) > 50, "receipts before the kill")
        for name in network.names:
            os.kill(network.supervisor.process_id(name), signal.SIGKILL)
        # The supervisor starts them again by itself.
        count = len(running.receipts)
        network.wait(lambda: len(running.receipts) > count + 20, "receipts after the kill")
    network.heal()
    assert_final_everywhere(network, running.receipts)


def test_a_log_whose_tail_is_cut_or_damaged_does_not_keep_a_node_away(network: Any) -> None:
    log = network.made.folder / "node3" / "data" / "consensus.log"
    damages: list[Callable[[bytes], bytes]] = [
        lambda raw: raw[:-3],
        lambda raw: raw[:-1] + bytes([raw[-1] ^ 1]) + b"\xff" * 37,
    ]
    for damage in damages:
        network.supervisor.kill("node3")
        raw = log.read_bytes()
        assert raw
        log.write_bytes(damage(raw))
        network.heal()
        with network.client("land-clerk", 0) as client:
            height = client.call("anchors", "anchor", digest=secrets.token_bytes(32), label="x").height
        network.wait_until_level(height)
        assert len(network.roots(height)) == 1


def test_a_node_whose_disk_is_full_stops_with_a_word_and_comes_back(network: Any) -> None:
    name = "node2"
    network.supervisor.kill(name)
    config = network.made.folder / name / "node.toml"
    largest = max(path.stat().st_size for path in (config.parent / "data").rglob("*") if path.is_file())

    log = network.made.folder / "full-disk.log"
    with log.open("wb") as output:
        # A file may not grow beyond this: what a write meets on a full disk, without one.
        arguments = [sys.executable, "-c", WITHOUT_ROOM, str(largest + 20_000), str(config)]
        full = subprocess.Popen(arguments, stderr=output)
        try:
            with load(network, 0) as running:

                def has_ended() -> bool:
                    network.make_heavy_block(2)
                    return full.poll() is not None and bool(running.receipts)

                network.wait(has_ended, "the end of a node without room")
        finally:
            if full.poll() is None:
                full.kill()
            full.wait()
    assert full.returncode in {1, 70}
    words = log.read_text("utf-8")
    assert "disk" in words or "File too large" in words, words[-500:]
    assert "driver_fault" not in words, words[-2_000:]
    network.supervisor.resume(name)
    network.heal()
    assert_final_everywhere(network, running.receipts)


class Impostor:
    """A validator's own key in the wrong hands: a TLS client that says what it likes."""

    def __init__(self, network: Any, name: str, target: int) -> None:
        keys = network.made.folder / name / "keys"
        password = (keys / "password").read_bytes().strip()
        self.genesis = load_genesis(network.made.genesis)
        chain = load_certificates((keys / "transport.crt.pem").read_bytes())
        roots = [parse_certificate(self.genesis.root_certificate)]
        context = client_context(load_private_key(keys / "transport.key", password), chain, roots)
        host, _, port = network.made.nodes[target].p2p.rpartition(":")
        self._socket = socket.create_connection((host, int(port)), timeout=60)
        # A blocking socket: pyOpenSSL has no timeouts of its own.
        self._socket.setblocking(True)
        self._tls = SSL.Connection(context, self._socket)
        self._tls.set_connect_state()
        self._tls.do_handshake()
        self.name = name

    def hello(self, **changes: Any) -> Hello:
        fields: dict[str, Any] = {
            "protocol_version": PROTOCOL_VERSION,
            "genesis_hash": self.genesis.hash,
            "parameters_hash": self.genesis.parameters.hash,
            "node_name": self.name,
            "height": 0,
            "head_id": self.genesis.hash,
            "software_version": "test",
            "time_ms": 0,
        }
        return Hello(**(fields | changes))

    def send(self, raw: bytes, length: int | None = None) -> None:
        self._tls.sendall((len(raw) if length is None else length).to_bytes(4, "big") + raw)

    def is_admitted(self) -> bool:
        """Say Hello and read until the node says where it stands, as it does to a peer that it takes; False once it hung up."""
        self.send(encode_frame(self.hello()))
        received = b""
        try:
            while True:
                received += self._tls.recv(65_536)
                while len(received) >= 4 and len(received) >= 4 + int.from_bytes(received[:4], "big"):
                    end = 4 + int.from_bytes(received[:4], "big")
                    if isinstance(decode_frame(received[4:end]), StatusFrame):
                        return True
                    received = received[end:]
        except (SSL.Error, OSError):
            return False

    def wait_until_dropped(self) -> None:
        """Read until the node ends the connection; a node that does not meets the time limit of the test."""
        with contextlib.suppress(SSL.Error, OSError):
            while True:
                self._tls.recv(65_536)

    def close(self) -> None:
        self._socket.close()


def admitted(network: Any, target: int) -> Impostor:
    """An impostor that the node has taken for its peer; a node stays away for some seconds from one that broke a rule."""
    found: list[Impostor] = []

    def is_there() -> bool:
        impostor = Impostor(network, "node4", target)
        if impostor.is_admitted():
            found.append(impostor)
            return True
        impostor.close()
        time.sleep(0.2)
        return False

    network.wait(is_there, "the admission of the impostor")
    return found[0]


def test_a_validators_key_in_wrong_hands_disturbs_nobody(network: Any) -> None:
    network.supervisor.kill("node4")
    strange_hellos: list[dict[str, Any]] = [
        {"genesis_hash": bytes(32)},
        {"protocol_version": 99},
        {"node_name": "node3"},
        {"head_id": bytes(32)},
        {"parameters_hash": bytes(32)},
    ]
    for number, changes in enumerate(strange_hellos):
        impostor = Impostor(network, "node4", number % 3)
        impostor.send(encode_frame(impostor.hello(**changes)))
        impostor.wait_until_dropped()
        impostor.close()
    malformed: list[tuple[bytes, int | None]] = [
        (b"\xc1", None),
        (b"\x93\x01\xcd\x00\x01\x00", None),
        (b"", 16 * 1024 * 1024 + 1),
        (encode_frame(TransactionsFrame([b"\x92\x90\x90"])), None),
    ]
    for number, (raw, length) in enumerate(malformed):
        impostor = admitted(network, number % 3)
        impostor.send(raw, length)
        impostor.wait_until_dropped()
        impostor.close()
    impostor = admitted(network, 1)
    with contextlib.suppress(SSL.Error, OSError):
        # A height that nobody has, and blocks that nobody asked for.
        for frame in (
            StatusFrame(2**62, 0, Step.PROPOSE, 0, b"", b""),
            BlockResponse([b"\x90" * 100] * 64),
            BlockResponse([]),
        ):
            impostor.send(encode_frame(frame))
    with network.client("land-clerk", 1) as client:
        assert client.call("anchors", "anchor", digest=secrets.token_bytes(32), label="x").height > 0
    impostor.close()
    network.heal()
    assert len(network.roots(network.wait_until_level())) == 1
    for name in network.names[:3]:
        log = (network.made.folder / name / "node.log").read_text("utf-8")
        assert "driver_fault" not in log
        assert "Traceback" not in log


def start(config: Path) -> str:
    """What a node that cannot start says: one line, and an exit status that keeps supervisors from trying again."""
    ended = run_command("start", "--config", str(config))
    assert ended.returncode == 1
    (line,) = [line for line in ended.stderr.splitlines() if not line.startswith("{")]
    return line


def test_what_an_operator_must_mend_is_named_before_anything_starts(network: Any, tmp_path: Path) -> None:
    config = network.made.folder / "node1" / "node.toml"
    run = network.run
    assert "http_listen" in config.read_text("utf-8")
    typo = config.parent / "typo.toml"
    typo.write_text(config.read_text("utf-8").replace("http_listen", "http_listn"), "utf-8")
    said = start(typo)
    assert "unknown field http_listn" in said
    assert "http_listen" in said
    typo.unlink()
    assert network.made.nodes[0].p2p in start(config), "the port in use"
    wrong = tmp_path / "password"
    wrong.write_text("not this one")
    wrong.chmod(0o600)
    files = network.made.account("land-clerk")
    arguments = ("share", "stop", "00" * 32, "--reason", "x", "--url", network.url(), "--key", str(files.key))
    assert run(*arguments, "--password-file", str(wrong), status=1)["error"]["code"] == "WRONG_PASSWORD"
    assert run(*arguments, status=1)["error"]["code"] == "PASSWORD_MISSING"


def test_a_pool_that_one_sender_filled_while_the_network_stood_still_drains(network: Any) -> None:
    """Only the first node stays, and without a quorum nothing leaves its pool. Last, since the rest of it drains on."""
    others = network.names[1:]
    for name in others:
        network.supervisor.kill(name)
    with network.client("land-clerk") as client, network.client("housing-clerk") as other:
        found: set[str | None] = set()
        taken: list[SignedCall] = []
        while "SENDER_SHARE_FULL" not in found and len(taken) < 1_000:
            calls = [client.sign_call("anchors", "anchor", digest=bytes(32), label="x" * 90_000) for _ in range(60)]
            answers = client.send(calls)
            found |= {None if answer is None else answer.code for answer in answers}
            taken += [call for call, answer in zip(calls, answers, strict=True) if answer is None]
        assert found == {None, "SENDER_SHARE_FULL"}
        call = other.sign_call("anchors", "anchor", digest=secrets.token_bytes(32), label="x")
        assert other.send([call]) == [None]
        network.heal()
        assert other.wait_receipt(call.id, timeout_ms=60_000).height > 0
