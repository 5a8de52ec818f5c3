from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.config import (
    MAX_CONFIG_BYTES,
    Address,
    ConfigError,
    load_network_file,
    load_node_config,
    parse_address,
    read_password,
)

NODE = """
name = "node1"
p2p_listen = "127.0.0.1:26656"
http_listen = "[::1]:8545"
log_level = "debug"

[[peers]]
name = "node2"
address = "[::1]:26657"
"""

NETWORK = """
[network]
name = "示范网络 Demo"
chain_id = 7
[parameters]
block_interval_ms = 20
[[departments]]
code = "D1"
name = "市数据局"
region = "330100"
level = "city"
[[departments.accounts]]
name = "clerk"
roles = ["issuer"]
[[nodes]]
name = "node1"
department = "D1"
p2p = "127.0.0.1:26656"
http = "127.0.0.1:8545"
"""


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "node.toml"
    path.write_text(text, encoding="utf-8")
    return path


def refusal(tmp_path: Path, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load_node_config(write(tmp_path, text))
    message = str(caught.value)
    assert "node.toml" in message
    assert "\n" not in message
    return message


def test_node_settings_are_read_and_paths_start_at_the_file(tmp_path: Path) -> None:
    config = load_node_config(write(tmp_path, NODE))
    assert (config.name, config.log_level, config.explorer) == ("node1", "debug", True)
    assert config.data == str(tmp_path / "data")
    assert config.join == "blocks"
    assert load_node_config(write(tmp_path, 'join = "snapshot"\n' + NODE)).join == "snapshot"
    assert Path(config.genesis).resolve() == (tmp_path.parent / "genesis.json").resolve()
    assert config.peer_addresses == {"node2": Address("::1", 26657)}


def test_an_absolute_path_stays(tmp_path: Path) -> None:
    assert load_node_config(write(tmp_path, 'data = "/var/lib/x"\n' + NODE)).data == "/var/lib/x"


@pytest.mark.parametrize(
    ("old", "new", "named", "nearest"),
    [
        ("http_listen", "http_lisen", "http_lisen", "http_listen"),
        ("log_level", "loglevel", "loglevel", "log_level"),
        ('address = "[::1]:26657"', 'adress = "[::1]:26657"', "peers[0].adress", "address"),
        ("[[peers]]", "[[peer]]", "peer", "peers"),
    ],
)
def test_a_typo_names_the_field_and_the_nearest_valid_name(
    tmp_path: Path, old: str, new: str, named: str, nearest: str
) -> None:
    message = refusal(tmp_path, NODE.replace(old, new))
    assert f"unknown field {named};" in message
    assert message.endswith(f"the nearest valid name is {nearest}")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('name = "node1"\n', "", "the field name is missing"),
        ('"127.0.0.1:26656"', "26656", "wrong value of p2p_listen"),
        ('"127.0.0.1:26656"', '"127.0.0.1"', "p2p_listen: expected an address"),
        ('"[::1]:26657"', '"::1:26657"', "peers[0].address: expected an address"),
        ('"debug"', '"loud"', "wrong value of log_level"),
        ('"debug"', '"info"\njoin = "fast"', 'join: expected "blocks" (fetch every block) or "snapshot"'),
        ('"debug"', '"info"\nhttp_proxies = ["proxy"]', "http_proxies[0]: expected an IP address or network"),
        ('"debug"', '"info"\njoin = 1', "wrong value of join"),
        ('name = "node2"', "name = 2", "wrong value of peers[0].name"),
        ('name = "node2"', 'name = "node1"', "peers[0].name"),
        ('name = "node1"', 'name = "../node1"', "wrong value of name"),
        ('"[::1]:8545"', '"127.0.0.1:26656"', "http_listen"),
        ('name = "node1"', 'name = "node1', "not valid TOML"),
        ("[[peers]]", "[peers]", "wrong value of peers"),
        (
            "[[peers]]",
            '[sealed_copies]\ndepartments = ["住建局"]\n[[peers]]',
            "wrong value of sealed_copies.departments[0]",
        ),
    ],
)
def test_a_wrong_value_names_the_field(tmp_path: Path, old: str, new: str, expected: str) -> None:
    assert old in NODE
    assert expected in refusal(tmp_path, NODE.replace(old, new, 1))


def test_a_missing_or_oversized_file_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read the config file"):
        load_node_config(tmp_path / "node.toml")
    assert "is over" in refusal(tmp_path, "#" * (MAX_CONFIG_BYTES + 1))


@given(st.text(max_size=200))
def test_any_text_is_settings_or_a_config_error(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzzed.toml"
    path.write_text(text, encoding="utf-8", errors="surrogatepass")
    with pytest.raises(ConfigError):
        load_node_config(path)


def test_the_network_file_is_read_with_parameters_over_the_defaults(tmp_path: Path) -> None:
    network = load_network_file(write(tmp_path, NETWORK))
    assert network.network.chain_id == 7
    assert network.chain_parameters().block_interval_ms == 20
    assert network.chain_parameters().timeout_limit_ms == 10_000
    assert network.departments[0].accounts[0].roles == ("issuer",)
    assert network.nodes[0].validator


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "block_interval_ms = 20",
            "block_intervall_ms = 20",
            "parameters.block_intervall_ms; the nearest valid name is block_interval_ms",
        ),
        ("block_interval_ms = 20", "block_interval_ms = 0", "wrong value of parameters.block_interval_ms"),
        ('department = "D1"', 'department = "D2"', "nodes[0].department"),
        ("roles =", "role =", "unknown field departments[0].accounts[0].role;"),
        ("chain_id = 7", "chain_id = 0", "wrong value of network.chain_id"),
        ('p2p = "127.0.0.1:26656"', 'p2p = "x"', "nodes[0].p2p"),
    ],
)
def test_a_wrong_network_file_names_the_field(tmp_path: Path, old: str, new: str, expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_network_file(write(tmp_path, NETWORK.replace(old, new)))
    assert expected in str(caught.value)


def test_the_example_network_of_the_project_is_valid() -> None:
    network = load_network_file(Path(__file__).parents[2] / "network.toml")
    assert len([node for node in network.nodes if node.validator]) >= 4


@pytest.mark.parametrize("text", ["127.0.0.1:1", "[::1]:65535", "node-1.gov.cn:26656", "[fe80::1%eth0]:0"])
def test_addresses_read_back_as_written(text: str) -> None:
    assert str(parse_address(text)) == text


@pytest.mark.parametrize(
    "text", ["", ":1", "a:", "a:65536", "a:-1", "::1:5", "[a]:5", "[::1]", "a b:5", "a:５", "a:1\n"]
)
def test_anything_else_is_no_address(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_address(text)


def test_the_password_comes_from_the_file_or_the_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = load_node_config(write(tmp_path, NODE))
    monkeypatch.delenv("GOVNODE_PASSWORD_FILE", raising=False)
    with pytest.raises(ConfigError, match="GOVNODE_PASSWORD_FILE"):
        read_password(config)
    (tmp_path / "keys").mkdir()
    default = tmp_path / "keys" / "password"
    default.write_bytes(b"open sesame\n")
    default.chmod(0o644)
    with pytest.raises(ConfigError, match="0644"):
        read_password(config)
    default.chmod(0o600)
    assert read_password(config) == b"open sesame"
    other = tmp_path / "other"
    other.write_bytes(b"other")
    other.chmod(0o600)
    monkeypatch.setenv("GOVNODE_PASSWORD_FILE", str(other))
    assert read_password(config) == b"other"
    other.write_bytes(b"\n")
    with pytest.raises(ConfigError, match="found 0"):
        read_password(config)
