import secrets
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from node.process import EXIT_FAULT
from sdk.client import Client
from sm_crypto.keystore import load_private_key, save_key
from sm_crypto.sm3 import sm3

pytestmark = pytest.mark.e2e

NAMES = ("node1", "node2", "node3", "node4")


def anchor(client: Client, count: int = 1) -> list[int]:
    """Anchor fresh digests and return the heights where they are final."""
    calls = [
        client.sign_call("anchors", "anchor", digest=sm3(secrets.token_bytes(16)), label="测试") for _ in range(count)
    ]
    return [receipt.height for receipt in client.submit(calls)]


def block_ids(network: Any, height: int) -> set[str]:
    ids = set()
    for name in NAMES:
        with network.client(name) as client:
            ids.add(str(client.rpc("gov_getBlock", height=height)["id"]))
    return ids


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
def test_four_validators_make_blocks_lose_one_and_take_it_back(make_network: Callable[..., Any], host: str) -> None:
    if host == "[::1]":
        try:
            with socket.socket(socket.AF_INET6) as probe:
                probe.bind(("::1", 0))
        except OSError as error:
            pytest.skip(f"this machine has no loopback address ::1: {error}")
    network = make_network(host)
    network.start(*NAMES)
    network.wait(lambda: network.is_meshed(*NAMES))
    with network.client("node1") as client:
        assert min(anchor(client, 20)) >= 1
        network.kill("node3")
        heights = [anchor(client)[0] for _ in range(4)]
        assert heights == sorted(set(heights)), "every proposer but the dead one had its turn, and nothing stood still"
        network.start("node3")
        network.wait(lambda: network.is_meshed(*NAMES))
        network.wait(lambda: (network.status("node3") or {"height": 0})["height"] >= heights[-1])
    with network.client("node3") as client:
        height = anchor(client)[0]
    network.wait(lambda: all((network.status(name) or {"height": 0})["height"] >= height for name in NAMES))
    for checked in (1, heights[0], heights[-1], height):
        assert len(block_ids(network, checked)) == 1
    assert {name: network.end(name) for name in NAMES} == dict.fromkeys(NAMES, 0)


def test_all_four_killed_at_once_come_back_to_the_same_chain(make_network: Callable[..., Any]) -> None:
    network = make_network()
    network.start(*NAMES)
    network.wait(lambda: network.is_meshed(*NAMES))
    with network.client("node2") as client:
        before = anchor(client, 50)[-1]
        client.send(
            [client.sign_call("anchors", "anchor", digest=bytes([index]) * 32, label="x") for index in range(9)]
        )
    for name in NAMES:
        network.kill(name)
    network.start(*NAMES)
    network.wait(lambda: network.is_meshed(*NAMES))
    with network.client("node4") as client:
        after = anchor(client)[0]
    assert after > before
    network.wait(lambda: all((network.status(name) or {"height": 0})["height"] >= after for name in NAMES))
    for height in (before, after):
        assert len(block_ids(network, height)) == 1


def test_an_interrupt_ends_a_node_in_order_even_while_clients_are_connected(make_network: Callable[..., Any]) -> None:
    network = make_network()
    network.start("node1")
    network.wait(lambda: network.status("node1") is not None)
    with network.client("node1") as client:
        client.status()
        assert network.end("node1", signal.SIGINT) == 0
    events = [line.get("event") for line in network.log("node1")]
    assert events[0] == "starting"
    assert "stopping" in events


def test_logs_are_json_and_name_the_engine_but_no_password(make_network: Callable[..., Any]) -> None:
    network = make_network()
    network.start("node1")
    network.wait(lambda: network.status("node1") is not None)
    network.end("node1")
    lines = network.log("node1")
    assert all("text" not in line for line in lines)
    assert lines[0]["event"] == "starting"
    assert any("engine" in field or "batch" in field or "verify" in field for field in lines[0])
    password = (network.folder / "node1" / "keys" / "password").read_text().strip()
    assert password not in (network.folder / "node1" / "node.log").read_text("utf-8")


def test_a_port_in_use_is_named(make_network: Callable[..., Any], refused: Callable[..., str]) -> None:
    network = make_network()
    config = network.folder / "node1" / "node.toml"
    for node in network.made.nodes[:1]:
        for address in (node.p2p, node.http):
            host, _, port = address.rpartition(":")
            with socket.create_server((host, int(port))):
                assert address in refused(config)


def test_passwords_that_are_missing_wrong_or_exposed_are_named(
    make_network: Callable[..., Any], refused: Callable[..., str], tmp_path: Path
) -> None:
    network = make_network()
    config = network.folder / "node1" / "node.toml"
    password = network.folder / "node1" / "keys" / "password"
    wrong = tmp_path / "wrong"
    wrong.write_text("not this one")
    wrong.chmod(0o600)
    assert "check the password" in refused(config, GOVNODE_PASSWORD_FILE=str(wrong))
    password.chmod(0o640)
    assert "0640" in refused(config)
    password.unlink()
    assert "cannot read the password file" in refused(config)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("http_listen", "http_listn", "unknown field http_listn; the nearest valid name is http_listen"),
        ('log_level = "info"', 'log_level = "verbose"', "wrong value of log_level"),
        ("address =", "addres =", "unknown field peers[0].addres; the nearest valid name is address"),
        ("genesis.json", "genesys.json", "genesys.json"),
    ],
)
def test_a_typo_in_the_settings_is_named(
    make_network: Callable[..., Any], refused: Callable[..., str], old: str, new: str, expected: str
) -> None:
    config = make_network().folder / "node1" / "node.toml"
    text = config.read_text("utf-8")
    assert old in text
    config.write_text(text.replace(old, new, 1), "utf-8")
    assert expected in refused(config)


def test_a_node_is_who_its_certificate_and_the_ledger_say(
    make_network: Callable[..., Any], refused: Callable[..., str]
) -> None:
    folder = make_network().folder
    settings = folder / "node1" / "node.toml"
    text = settings.read_text("utf-8")
    settings.write_text(text.replace('name = "node1"', 'name = "node9"', 1), "utf-8")
    found = refused(settings)
    assert "node.toml says name node9" in found
    assert "that of node1" in found
    # The validator key of one node beside the certificate of another: the ledger knows that key as node2.
    settings.write_text(text, "utf-8")
    keys, others = folder / "node1" / "keys", folder / "node2" / "keys"
    key = load_private_key(others / "validator.key", (others / "password").read_bytes().strip())
    (keys / "validator.key").unlink()
    save_key(keys / "validator.key", key, (keys / "password").read_bytes().strip(), iterations=1_000)
    found = refused(settings)
    assert "as node2 of 11990100MB0000002X" in found
    assert "certificate says node1 of 11990100MB0000001T" in found


def test_damaged_files_are_named(make_network: Callable[..., Any], refused: Callable[..., str]) -> None:
    network = make_network()
    node = network.folder / "node1"
    config = node / "node.toml"

    def refusal_with(path: Path, damage: Callable[[bytes], bytes]) -> str:
        original, mode = path.read_bytes(), path.stat().st_mode
        path.write_bytes(damage(original))
        said = refused(config)
        path.write_bytes(original)
        path.chmod(mode)
        return said

    genesis = network.folder / "genesis.json"
    assert "was changed" in refusal_with(genesis, lambda raw: raw.replace(b'"chain_id": 77', b'"chain_id": 78'))
    assert "is damaged" in refusal_with(genesis, lambda raw: raw[: len(raw) // 2])
    assert "validator.key" in refusal_with(node / "keys" / "validator.key", lambda raw: raw[:-20])
    assert "transport.crt.pem" in refusal_with(node / "keys" / "transport.crt.pem", lambda raw: raw[:100])
    other = (network.folder / "node2" / "keys" / "transport.crt.pem").read_bytes()
    assert "certificate" in refusal_with(node / "keys" / "transport.crt.pem", lambda _: other)


def test_a_data_folder_of_another_network_or_with_damage_is_refused(
    make_network: Callable[..., Any], refused: Callable[..., str]
) -> None:
    network = make_network()
    config = network.folder / "node1" / "node.toml"
    network.start("node1")
    network.wait(lambda: network.status("node1") is not None)
    assert str(network.folder / "node1" / "data") in refused(config) or "in use" in refused(config)
    network.end("node1")
    for path in (network.folder / "node1" / "data" / "ledger").glob("MANIFEST-*"):
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    said = refused(config)
    assert "data" in said


def test_an_http_application_that_does_not_start_ends_the_node_with_a_word(
    make_network: Callable[..., Any], refused: Callable[..., str]
) -> None:
    assert "HTTP application did not start" in refused(make_network().folder / "node1" / "node.toml", "fails")


def test_a_fault_and_an_operators_matter_have_different_exit_statuses() -> None:
    assert EXIT_FAULT not in (0, 1), "a supervisor restarts after a fault, not after what only an operator can mend"
