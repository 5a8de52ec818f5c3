"""Setting up a network: the folder that nodes start from, all of it fresh, and nothing left behind on a fault."""

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from node.chain.genesis import Genesis
from node.config import ConfigError, load_network_file, load_node_config, read_password
from node.genesis_file import load_genesis
from sdk.network import NetworkFolder, init_network
from sdk.trust import load_trust
from sm_crypto import keystore, x509
from verification.errors import InputError

EXAMPLE = Path(__file__).resolve().parents[2] / "network.toml"
NOW_MS = 1_790_000_000_000


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> NetworkFolder:
    folder = tmp_path_factory.mktemp("network with space") / "示范 net"
    return init_network(EXAMPLE, folder, iterations=1_000, now_ms=NOW_MS)


@pytest.fixture(scope="module")
def genesis(made: NetworkFolder) -> Genesis:
    return load_genesis(made.genesis)


def test_genesis_holds_what_the_description_says(made: NetworkFolder, genesis: Genesis) -> None:
    network = load_network_file(EXAMPLE)
    assert genesis.hash == made.genesis_hash
    assert (genesis.chain_id, genesis.network_name, genesis.time_ms) == (
        network.network.chain_id,
        network.network.name,
        NOW_MS,
    )
    assert genesis.parameters == network.chain_parameters()
    assert [d.code for d in genesis.departments] == [d.code for d in network.departments] == list(made.departments)
    assert [v.name for v in genesis.validators] == ["node1", "node2", "node3", "node4"]


def test_account_keys_open_with_their_passwords_and_are_those_of_genesis(made: NetworkFolder, genesis: Genesis) -> None:
    known = {a.name: (a.public_key, a.roles, d.code) for d in genesis.departments for a in d.accounts}
    assert {account.name for account in made.accounts} == set(known)
    for account in made.accounts:
        password = account.password_file.read_bytes().strip()
        assert keystore.load_key(account.key, password).public_key == known[account.name][0]
        assert (account.roles, account.department) == known[account.name][1:]


def test_nodes_can_start_from_their_folders(made: NetworkFolder, genesis: Genesis) -> None:
    validators = {v.name: v.public_key for v in genesis.validators}
    root = x509.parse_certificate(genesis.root_certificate)
    for node in made.nodes:
        config = load_node_config(node.config)
        password = read_password(config)
        assert Path(config.genesis) == node.config.parent / ".." / "genesis.json"
        assert keystore.load_key(Path(config.validator_key), password).public_key == validators[node.name]
        chain = x509.load_certificates(Path(config.transport_certificate).read_bytes())
        x509.verify_chain(chain, [root], at_ms=NOW_MS)
        transport = keystore.load_key(Path(config.transport_key), password)
        assert (chain[0].public_key, chain[0].common_name) == (transport.public_key, node.name)
        assert {peer.name for peer in config.peers} == {other.name for other in made.nodes} - {node.name}
        assert Path(config.data).is_dir()


def test_validator_transport_and_account_keys_all_differ(made: NetworkFolder) -> None:
    keys = [keystore.load_public_key(path) for path in made.folder.rglob("*.key")]
    assert len(keys) == 4 * 2 + 7 + 5
    assert len(set(keys)) == len(keys)


def test_secrets_are_for_their_owner_only(made: NetworkFolder) -> None:
    secrets = [
        path
        for path in made.folder.rglob("*")
        if path.suffix in {".key", ".password", ".holder-secret"} or path.name == "password"
    ]
    assert len(secrets) == 20 + 7 + 4 + 4 + 1
    for path in secrets:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700, path.parent


def test_trust_file_names_genesis_and_founding_validators(made: NetworkFolder, genesis: Genesis) -> None:
    trust = load_trust(made.trust)
    assert trust.genesis_hash == genesis.hash.hex()
    assert trust.next_validators_hash == genesis.validator_set().hash.hex()
    assert (trust.height, trust.chain_id) == (0, genesis.chain_id)
    assert trust.root_certificates == (genesis.root_certificate.hex(),)


def test_a_trust_file_is_written_again_with_more_roots(
    made: NetworkFolder, tmp_path: Path, run: Callable[..., tuple[int, Any, str]]
) -> None:
    out, other = tmp_path / "trust.json", tmp_path / "other.pem"
    arguments = ("network", "trust", "--genesis", made.genesis, "--out", out, "--json")
    status, told, _ = run(*arguments)
    assert (status, told["root_certificates"]) == (0, 1)
    assert load_trust(out) == load_trust(made.trust)
    assert out.stat().st_size < 2_953, "a trust file fits into one code"
    roots = [x509.issue_root(f"Root {number}", now_ms=NOW_MS).certificate for number in range(4)]
    other.write_text(roots[0].pem)
    known = made.folder / "authority" / "root.crt.pem"
    status, told, _ = run(*arguments, "--root", other, "--root", known)
    assert (status, told["root_certificates"]) == (0, 2)
    found = load_trust(out).roots()
    assert found is not None
    assert found[1] == roots[0]
    other.write_text("".join(root.pem for root in roots))
    status, _, errors = run(*arguments, "--root", other)
    assert (status, "ROOTS_TOO_MANY" in errors) == (1, True)


def test_two_networks_share_nothing_secret(made: NetworkFolder, tmp_path: Path) -> None:
    other = init_network(EXAMPLE, tmp_path / "other", iterations=1_000, now_ms=NOW_MS)
    assert other.genesis_hash != made.genesis_hash
    passwords = [path.read_text() for folder in (made.folder, other.folder) for path in folder.rglob("*password")]
    assert len(set(passwords)) == len(passwords)


def test_folder_with_content_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("x")
    with pytest.raises(InputError, match="absent or empty") as caught:
        init_network(EXAMPLE, tmp_path, iterations=1_000)
    assert caught.value.code == "FOLDER_NOT_EMPTY"
    assert os.listdir(tmp_path) == ["kept"]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("11990100MB0000001T", "11990100MB0000001X", "check character"),
        ('roles = ["auditor"]', 'roles = ["auditer"]', "auditer"),
        ('roles = ["auditor"]', 'roles = ["auditor", "issuer"]', "one account does not hold"),
        ('level = "county"', 'level = "village"', "village"),
        ('"data-bureau-auditor"', '"data-bureau-clerk"', "expected data-bureau-clerk once"),
        ("validator = true", "validator = false", "expected at least one with validator = true"),
        ('name = "node4"', 'name = ".."', "without a leading dot"),
        ('name = "node4"', 'name = "accounts"', "other than accounts"),
        ("11990102MB00000041", "../../../../x", "18 characters"),
        ('region = "990102"', 'region = "99010"', "region code"),
        # A certificate has room for 64 characters.
        ("示范市数据资源管理局", "局" * 65, "departments.name: expected at most 64 characters, found 65"),
        ("示范市政务区块链服务网络", "网" * 60, "network.name: expected at most 59 characters, found 60"),
    ],
)
def test_wrong_description_is_refused_and_leaves_nothing(tmp_path: Path, old: str, new: str, expected: str) -> None:
    text = EXAMPLE.read_text("utf-8")
    assert old in text
    description = tmp_path / "network.toml"
    description.write_text(text.replace(old, new), "utf-8")
    with pytest.raises(InputError, match=expected):
        init_network(description, tmp_path / "out", iterations=1_000)
    assert os.listdir(tmp_path) == ["network.toml"]


def test_unknown_field_is_named(tmp_path: Path) -> None:
    description = tmp_path / "network.toml"
    description.write_text(EXAMPLE.read_text("utf-8").replace("chain_id", "chain_ld"), "utf-8")
    with pytest.raises(ConfigError, match="chain_ld"):
        init_network(description, tmp_path / "out", iterations=1_000)
