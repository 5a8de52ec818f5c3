"""A department joins a network that runs, from a machine of its own: its authority, its record, its node, its first account."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from contracts.identifiers import uscc_check_character
from node.config import NetworkNode, PeerConfig
from sdk.authority import accept_certificate, certify_authority, request_authority
from sdk.client import Client
from sdk.errors import CallRefused, RequestRefused
from sdk.joining import DepartmentRequest, make_account_request, register_account, register_department
from sdk.node_folder import add_node
from sdk.supervisor import Supervisor
from sm_crypto.keystore import Signer
from sm_crypto.sm2 import PrivateKey
from tests.ports import free_ports
from verification.errors import GovnodeError

pytestmark = pytest.mark.e2e

CODE = "11990100MB8888888" + uscc_check_character("11990100MB8888888")
NAME = "health1"


class Newcomer:
    """The new department's machine: a folder with what is public of the network, and its node's process."""

    def __init__(self, network: Any, folder: Path) -> None:
        shutil.copy(network.made.genesis, folder / "genesis.json")
        self.request: DepartmentRequest = request_authority(
            folder, CODE, "卫生健康委", "990100", "city", "11990100MB0000001T", iterations=1_000
        )
        now_ms = time.time_ns() // 1_000_000
        certificate = folder / "given.crt.pem"
        certificate.write_text(certify_authority(network.made.folder, self.request, now_ms).pem, "ascii")
        accept_certificate(folder, certificate, now_ms)
        listen, serve = (f"127.0.0.1:{port}" for port in free_ports(2))
        peers = [PeerConfig(node.name, node.p2p) for node in network.made.nodes]
        self.url = f"http://{serve}"
        add_node(folder, NetworkNode(NAME, CODE, listen, serve, explorer=False), peers, iterations=1_000)
        self.supervisor = Supervisor(
            folder, [NAME], {name: value for name, value in os.environ.items() if not name.startswith("GOVNODE_")}
        )

    def connected(self) -> int:
        """How many peers it has, -1 while it does not answer."""
        try:
            with Client(self.url) as client:
                return sum(peer["is_connected"] for peer in client.status()["peers"])
        except GovnodeError:
            return -1


@pytest.fixture(scope="module")
def newcomer(running_network: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Newcomer]:
    running_network.heal()
    made = Newcomer(running_network, tmp_path_factory.mktemp("新部门"))
    with made.supervisor:
        yield made


def test_its_node_is_admitted_once_the_ledger_knows_the_department(network: Any, newcomer: Newcomer) -> None:
    network.wait(lambda: newcomer.connected() == 0, "the node to answer")
    with network.client("data-bureau-governor") as governor:
        register_department(governor, newcomer.request)
    network.wait(lambda: newcomer.connected() == 4, "four peers")


def test_its_first_account_comes_from_a_request_and_acts_through_its_own_node(network: Any, newcomer: Newcomer) -> None:
    signer = Signer(PrivateKey.generate())
    request = make_account_request(signer, network.made.genesis_hash, CODE, "窗口", ("recorder",))
    with network.client("data-bureau-governor") as governor:
        height = register_account(governor, request).height
        # Whoever sees the request can take it nowhere else.
        with pytest.raises(CallRefused, match="is registered already"):
            register_account(governor, request)
    with Client(newcomer.url, signer) as client:
        network.wait(lambda: client.status()["height"] >= height, "the newcomer to follow")
        receipt = client.call("anchors", "anchor", digest=bytes([8]) * 32, label="首件")
    network.wait_until_level(receipt.height)
    with network.client() as client:
        assert client.view("anchors", "anchored", digest=bytes([8]) * 32, department=CODE)["label"] == "首件"


def test_a_suspended_department_is_let_go_and_taken_back(network: Any, newcomer: Newcomer) -> None:
    with network.client("data-bureau-governor") as governor:
        governor.call("members", "suspend_department", code=CODE, reason="核查")
        network.wait(lambda: newcomer.connected() == 0, "the node to be let go")
        stranger = Signer(PrivateKey.generate())
        request = make_account_request(stranger, network.made.genesis_hash, CODE, "窗口二", ("recorder",))
        register_account(governor, request)
        with Client(network.url(), stranger) as client, pytest.raises(RequestRefused, match="account"):
            client.call("anchors", "anchor", digest=bytes([9]) * 32, label="x")
        governor.call("members", "resume_department", code=CODE, reason="完成")
        network.wait(lambda: newcomer.connected() == 4, "four peers again")
