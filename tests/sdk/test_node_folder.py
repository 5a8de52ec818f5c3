"""Adding a node to a network's folder: it could start at once, nothing else changes, and wrong input leaves nothing behind."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from node.config import ConfigError, NetworkNode, load_node_config, read_password
from node.driver.last_signed import FILE_NAME, LastSigned, RecordHealth
from node.genesis_file import load_genesis
from sdk.cli.network import network as network_command
from sdk.network import NetworkFolder, init_network
from sdk.node_folder import add_node
from sm_crypto import keystore, x509
from verification.errors import InputError

EXAMPLE = Path(__file__).resolve().parents[2] / "network.toml"
NOW_MS = 1_790_000_000_000
LAND = "11990100MB0000002X"


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> NetworkFolder:
    return init_network(EXAMPLE, tmp_path_factory.mktemp("networks") / "net", iterations=1_000, now_ms=NOW_MS)


@pytest.fixture
def folder(founded: NetworkFolder, tmp_path: Path) -> Path:
    """A network's folder of the test's own."""
    return Path(shutil.copytree(founded.folder, tmp_path / "net 网"))


def newcomer(**changes: Any) -> NetworkNode:
    fields = {"name": "node5", "department": LAND, "p2p": "127.0.0.1:26700", "http": "127.0.0.1:8600"} | changes
    return NetworkNode(**fields, validator=False)


def snapshot(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_new_node_has_all_that_a_start_needs_and_no_other_file_changes(folder: Path) -> None:
    before = snapshot(folder)
    made = add_node(folder, newcomer(), iterations=1_000, now_ms=NOW_MS)
    after = snapshot(folder)
    assert {path: after[path] for path in before} == before
    assert all(path.is_relative_to(folder / "node5") for path in after.keys() - before.keys())
    config = load_node_config(made.config)
    password = read_password(config)
    assert keystore.load_key(Path(config.validator_key), password).public_key == made.validator_key
    chain = x509.load_certificates(Path(config.transport_certificate).read_bytes())
    root = x509.parse_certificate(load_genesis(Path(config.genesis)).root_certificate)
    x509.verify_chain(chain, [root], at_ms=NOW_MS)
    transport = keystore.load_key(Path(config.transport_key), password)
    assert (chain[0].public_key, chain[0].common_name) == (transport.public_key, "node5")
    assert chain[1].organization_identifier == LAND
    founders = load_node_config(folder / "node1" / "node.toml").peer_addresses
    listed = config.peer_addresses
    assert set(listed) == {"node1", "node2", "node3", "node4"} == set(made.peers)
    assert {name: listed[name] for name in founders} == founders
    record = LastSigned(Path(config.data) / FILE_NAME)
    assert record.health is RecordHealth.SOUND, "a new key has signed nothing, and the node knows that"
    record.close()


def test_a_second_new_node_lists_the_first(folder: Path) -> None:
    add_node(folder, newcomer(), iterations=1_000)
    made = add_node(folder, newcomer(name="node6", p2p="127.0.0.1:26701", http="127.0.0.1:8601"), iterations=1_000)
    assert load_node_config(made.config).peer_addresses["node5"].port == 26700


@pytest.mark.parametrize(
    ("changes", "code", "expected"),
    [
        ({"name": "node1"}, "NODE_INVALID", "not in use"),
        ({"name": "../node5"}, "NODE_INVALID", "letters, digits"),
        ({"name": ".node5"}, "NODE_INVALID", "no leading dot"),
        ({"name": "authority"}, "NODE_INVALID", "none of accounts"),
        ({"name": "n" * 65}, "NODE_INVALID", "at most 64"),
        ({"name": 'a"b'}, "NODE_INVALID", "letters, digits"),
        ({"department": "91990100MB00000005"}, "DEPARTMENT_UNKNOWN", LAND),
        ({"department": "root"}, "DEPARTMENT_UNKNOWN", "no certificate and key"),
        ({"department": "../x"}, "DEPARTMENT_UNKNOWN", "no certificate and key"),
        ({"p2p": "26700"}, "NODE_INVALID", "--p2p: expected an address"),
        ({"p2p": "127.0.0.1:0"}, "NODE_INVALID", "with a port"),
        ({"http": "127.0.0.1:26700"}, "NODE_INVALID", "--http: expected an address other than --p2p"),
        ({"http": "127.0.0.1:99999"}, "NODE_INVALID", "--http: expected an address"),
    ],
)
def test_wrong_input_is_named_and_leaves_nothing_behind(
    folder: Path, changes: dict[str, Any], code: str, expected: str
) -> None:
    before = sorted(folder.rglob("*"))
    with pytest.raises(InputError, match=expected) as caught:
        add_node(folder, newcomer(**changes), iterations=1_000)
    assert caught.value.code == code
    assert sorted(folder.rglob("*")) == before


def test_an_address_of_another_node_is_refused(folder: Path) -> None:
    taken = load_node_config(folder / "node2" / "node.toml").http_listen
    with pytest.raises(InputError, match="other than that of node2"):
        add_node(folder, newcomer(p2p=taken), iterations=1_000)


def _another_root(folder: Path) -> None:
    other = x509.issue_department(x509.issue_root("other", now_ms=NOW_MS), LAND, "land", now_ms=NOW_MS)
    (folder / "authority" / f"{LAND}.crt.pem").write_text(other.certificate.pem)


@pytest.mark.parametrize(
    ("spoil", "error", "expected"),
    [
        (lambda folder: (folder / "genesis.json").unlink(), InputError, "no genesis.json"),
        (lambda folder: (folder / "authority" / "password").unlink(), ConfigError, "password"),
        (lambda folder: (folder / "authority" / "password").write_text("wrong"), keystore.WrongPassword, "password"),
        (lambda folder: (folder / "authority" / f"{LAND}.key").unlink(), InputError, "no certificate and key"),
        (_another_root, InputError, "does not serve this network"),
    ],
)
def test_a_folder_that_cannot_issue_is_named_and_left_alone(
    folder: Path, spoil: Callable[[Path], object], error: type[Exception], expected: str
) -> None:
    spoil(folder)
    before = sorted(folder.rglob("*"))
    with pytest.raises(error, match=expected):
        add_node(folder, newcomer(), iterations=1_000)
    assert sorted(folder.rglob("*")) == before


def test_a_node_is_set_to_join_by_snapshot_where_that_is_asked_for(folder: Path) -> None:
    arguments = ["add-node", "node5", "--network", str(folder), "--department", LAND, "--p2p", "127.0.0.1:26700"]
    ended = CliRunner().invoke(network_command, [*arguments, "--http", "127.0.0.1:8600", "--join", "snapshot"])
    assert ended.exit_code == 0, ended.output
    assert load_node_config(folder / "node5" / "node.toml").join == "snapshot"


def test_the_command_says_what_it_made(folder: Path) -> None:
    arguments = ["add-node", "node5", "--network", str(folder), "--department", LAND, "--p2p", "127.0.0.1:26700"]
    ended = CliRunner().invoke(network_command, [*arguments, "--http", "127.0.0.1:8600", "--json"])
    assert ended.exit_code == 0, ended.output
    shown = json.loads(ended.stdout)
    assert shown["config"] == str(folder / "node5" / "node.toml")
    assert shown["peers"] == ["node1", "node2", "node3", "node4"]
    assert len(bytes.fromhex(shown["validator_public_key"])) == 64
