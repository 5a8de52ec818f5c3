"""Programs of others against a network as it was made and runs: OpenSSL's command line, web3.py."""

import asyncio
import contextlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from contracts import registry

pytestmark = pytest.mark.e2e

OPENSSL = shutil.which("openssl")
needs_openssl = pytest.mark.skipif(OPENSSL is None, reason="this machine has no openssl command")


def openssl(*arguments: str | Path, text: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    assert OPENSSL is not None
    return subprocess.run([OPENSSL, *map(str, arguments)], input=text, capture_output=True, timeout=30)


@needs_openssl
def test_openssl_takes_every_link_of_the_chain_of_every_node(network: Any, tmp_path: Path) -> None:
    authority = network.made.folder / "authority"
    # OpenSSL 3.0 hands the user id to the leaf's check alone, so each link is checked as the leaf of its own chain.
    options = ("-vfyopt", "distid:1234567812345678", "-partial_chain")
    wrong = ("-vfyopt", "distid:another", "-partial_chain")
    for node in network.made.nodes:
        chain = (network.made.folder / node.name / "keys" / "transport.crt.pem").read_text("ascii")
        leaf, department = (
            part + "-----END CERTIFICATE-----\n" for part in chain.split("-----END CERTIFICATE-----\n")[:2]
        )
        paths = [tmp_path / "leaf.pem", tmp_path / "department.pem", authority / "root.crt.pem"]
        paths[0].write_text(leaf, "ascii")
        paths[1].write_text(department, "ascii")
        for above, below in ((paths[1], paths[0]), (paths[2], paths[1])):
            done = openssl("verify", *options, "-trusted", above, below)
            assert done.returncode == 0, done.stderr
            assert openssl("verify", *wrong, "-trusted", above, below).returncode != 0
        other = next(each for each in network.made.departments if each != node.department)
        assert openssl("verify", *options, "-trusted", authority / f"{other}.crt.pem", paths[0]).returncode != 0
        subject = openssl("x509", "-in", paths[0], "-noout", "-subject", "-nameopt", "utf8").stdout.decode()
        assert node.name in subject


@needs_openssl
@pytest.mark.parametrize(
    "offer",
    [
        (),
        ("-groups", "X25519"),
        ("-groups", "P-256", "-sigalgs", "ECDSA+SHA256"),
        ("-tls1_2",),
        ("-ciphersuites", "TLS_AES_128_GCM_SHA256"),
    ],
    ids=["default", "X25519", "P-256", "TLS 1.2", "AES"],
)
def test_openssls_client_is_refused_at_the_handshake_of_a_running_node(network: Any, offer: tuple[str, ...]) -> None:
    for node in network.made.nodes[:2]:
        done = openssl("s_client", "-connect", node.p2p, *offer)
        output = done.stdout + done.stderr
        assert done.returncode != 0
        assert b"alert handshake failure" in output or b"alert protocol version" in output, output[-500:]
        assert b"BEGIN CERTIFICATE" not in output, "no certificate is shown to a stranger"
    with network.client("land-clerk") as client:
        assert all(peer["is_connected"] for peer in client.status()["peers"])


WEB3_CALLS = """
import json, sys
from web3 import HTTPProvider, Web3
url, address, abi = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
web3 = Web3(HTTPProvider(url + "/rpc"))
contract = web3.eth.contract(address=Web3.to_checksum_address(address), abi=abi)
print(json.dumps([web3.eth.chain_id, web3.eth.block_number, web3.is_connected(), web3.client_version,
                  contract.functions.department(sys.argv[4]).call()], default=str, ensure_ascii=False))
"""


def test_web3_reads_chain_id_height_and_a_view_of_a_system_contract(network: Any) -> None:
    members = registry.CONTRACTS["members"]
    code = network.made.departments[0]
    arguments = [network.url(), "0x" + members.address.hex(), json.dumps(members.abi()), code]
    ended = subprocess.run(
        [sys.executable, "-c", WEB3_CALLS, *arguments], capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 0, ended.stderr[-1_000:]
    chain_id, height, is_connected, version, department = json.loads(ended.stdout)
    assert chain_id == network.made.chain_id
    assert height >= 1
    assert is_connected
    assert version.startswith("govnode/")
    assert code in json.dumps(department)


def test_a_stranger_that_sends_no_tls_is_dropped(network: Any) -> None:
    async def knock(raw: bytes) -> bytes:
        host, _, port = network.made.nodes[0].p2p.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(raw)
        async with asyncio.timeout(20):
            answer = await reader.read()
        writer.close()
        return answer

    for raw in (
        b"GET / HTTP/1.1\r\n\r\n",
        bytes(100_000),
        b"\x00\x00\x00\x01\x00",
        b"\x16\x03\x01\xff\xff" + bytes(70_000),
    ):
        with contextlib.suppress(ConnectionError):
            assert len(asyncio.run(knock(raw))) < 100
