"""The folder of one node: written for a network's founding nodes, and for a node that joins a network that runs."""

from __future__ import annotations

import re
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from node.config import (
    JOIN_BY_BLOCKS,
    NODE_NAME,
    NetworkNode,
    NodeConfig,
    PeerConfig,
    load_node_config,
    parse_address,
)
from node.driver.last_signed import FILE_NAME as LAST_SIGNED_FILE
from node.driver.last_signed import create_last_signed
from node.wire.frames import MAX_NODE_NAME_LENGTH
from sdk.authority import load_authority
from sdk.secret_files import SECRET_FOLDER_MODE, KeyFile, make_password
from sm_crypto import x509
from sm_crypto.keystore import DEFAULT_ITERATIONS
from sm_crypto.sm2 import PrivateKey
from verification.errors import InputError

RESERVED_NAMES: Final = ("accounts", "authority", "genesis.json", "trust.json")
"""What stands in the folder beside the nodes."""


class AddedNode(msgspec.Struct, frozen=True):
    """What add_node made: its settings, the names of the nodes it dials, and its validator key (64 bytes x || y).

    The validator key signs nothing before governance lets it vote.
    """

    name: str
    department: str
    config: Path
    validator_key: bytes
    peers: tuple[str, ...]


def add_node(
    folder: Path,
    node: NetworkNode,
    elsewhere: Sequence[PeerConfig] = (),
    *,
    join: str = JOIN_BY_BLOCKS,
    iterations: int = DEFAULT_ITERATIONS,
    now_ms: int | None = None,
) -> AddedNode:
    """Make one more node in the folder of a network; it can start at once, no other node needs to change.

    `join` is how it gets the chain. Its keys are new, its certificate is its department's, its peers are all nodes of the
    folder and those named from elsewhere. All or nothing. Raise InputError, ConfigError or KeyFileError that says what is wrong.
    """
    authority = load_authority(folder, node.department)
    nodes = _load_nodes(folder)
    peers = _listed(nodes, elsewhere)
    _check_node(folder, node, nodes, peers)
    building = Path(tempfile.mkdtemp(prefix=f".{node.name}.", dir=folder))
    try:
        keys = write_node_folder(building, node, peers, authority, now_ms or time.time_ns() // 1_000_000, join)
        for key in keys:
            key.save(iterations)
        building.chmod(0o755)
        building.rename(folder / node.name)
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise
    validator_key = keys[0].key.public_key
    names = tuple(peer.name for peer in peers)
    return AddedNode(node.name, node.department, folder / node.name / "node.toml", validator_key, names)


def write_node_folder(
    folder: Path,
    node: NetworkNode,
    peers: Sequence[PeerConfig],
    authority: x509.Authority,
    now_ms: int,
    join: str = JOIN_BY_BLOCKS,
) -> tuple[KeyFile, KeyFile]:
    """Write all of a node's folder but its key files, which are returned: that of the validator key, then the transport key's.

    A node that does not vote has a validator key too: governance can let it vote without a new key ceremony.
    """
    keys = folder / "keys"
    keys.mkdir(mode=SECRET_FOLDER_MODE, parents=True)
    (folder / "data").mkdir(mode=SECRET_FOLDER_MODE)
    # A new key has signed nothing: without this word for it, the node takes its record for lost and abstains.
    create_last_signed(folder / "data" / LAST_SIGNED_FILE)
    password = make_password(keys / "password")
    transport_key = PrivateKey.generate()
    certificate = x509.issue_node(authority, node.name, transport_key.public_key, now_ms=now_ms)
    (keys / "transport.crt.pem").write_text(certificate.pem + authority.certificate.pem, encoding="ascii")
    (folder / "node.toml").write_text(_settings(node, peers, join), encoding="utf-8")
    return (
        KeyFile(keys / "validator.key", PrivateKey.generate(), password),
        KeyFile(keys / "transport.key", transport_key, password),
    )


def _settings(node: NetworkNode, peers: Sequence[PeerConfig], join: str) -> str:
    lines = [
        f'name = "{node.name}"',
        'genesis = "../genesis.json"',
        'data = "data"',
        'password_file = "keys/password"',
        'validator_key = "keys/validator.key"',
        'transport_key = "keys/transport.key"',
        'transport_certificate = "keys/transport.crt.pem"',
        f'p2p_listen = "{node.p2p}"',
        f'http_listen = "{node.http}"',
        f"explorer = {'true' if node.explorer else 'false'}",
        'log_level = "info"',
    ]
    if join != JOIN_BY_BLOCKS:
        lines.append(f'join = "{join}"')
    for peer in peers:
        if peer.name != node.name:
            lines += ["", "[[peers]]", f'name = "{peer.name}"', f'address = "{peer.address}"']
    return "\n".join(lines) + "\n"


def _load_nodes(folder: Path) -> list[NodeConfig]:
    """Return the settings of all nodes in the folder, by name."""
    return [load_node_config(path) for path in sorted(folder.glob("*/node.toml")) if path.parent.name[0] != "."]


def _listed(nodes: Sequence[NodeConfig], elsewhere: Sequence[PeerConfig]) -> list[PeerConfig]:
    """Return the peers from elsewhere, and the nodes, each at the address where others find it, else where it listens.

    Raise InputError on a peer that is no such thing, or where there is none at all.
    """
    for peer in elsewhere:
        if not _is_name(peer.name) or not _port(peer.address):
            example = "node1=10.0.0.11:26656"
            shown = f"{peer.name}={peer.address}"
            raise _wrong("--peer", f"名称与地址，如 {example}", f"a name and an address, such as {example}", shown)
    found = {peer.name: peer.address for node in nodes for peer in node.peers}
    found |= {node.name: found.get(node.name, node.p2p_listen) for node in nodes}
    found |= {peer.name: peer.address for peer in elsewhere}
    if not found:
        raise InputError(
            "PEERS_ABSENT",
            "文件夹中没有其他节点，请用 --peer 名称=地址 指明网络中的节点（可多次给出）",
            "there is no other node in the folder: name nodes of the network with --peer NAME=HOST:PORT, as often as needed",
        )
    return [PeerConfig(name, address) for name, address in sorted(found.items())]


def _is_name(name: str) -> bool:
    return re.fullmatch(NODE_NAME, name) is not None and len(name) <= MAX_NODE_NAME_LENGTH


def _port(address: str) -> int:
    """Return the port of an address, 0 where it is none."""
    try:
        return parse_address(address).port
    except ValueError:
        return 0


def _check_node(folder: Path, node: NetworkNode, others: Sequence[NodeConfig], peers: Sequence[PeerConfig]) -> None:
    """Raise InputError on a name or address that the new node cannot have."""
    if not _is_name(node.name) or node.name.startswith(".") or node.name in RESERVED_NAMES:
        raise _wrong(
            "NAME",
            f"至多 {MAX_NODE_NAME_LENGTH} 个字母、数字、点、连字符或下划线，不以点开头，也不是 {', '.join(RESERVED_NAMES)}",
            f"at most {MAX_NODE_NAME_LENGTH} letters, digits, dots, hyphens or underscores, no leading dot, "
            f"none of {', '.join(RESERVED_NAMES)}",
            node.name,
        )
    if node.name in {peer.name for peer in peers} or (folder / node.name).exists():
        raise _wrong("NAME", "尚未使用的名称", "a name that is not in use yet", node.name)
    used = {address: other.name for other in others for address in (other.p2p_listen, other.http_listen)}
    for option, text in (("--p2p", node.p2p), ("--http", node.http)):
        if not _port(text):
            example = "127.0.0.1:26660, [::1]:26660"
            raise _wrong(option, f"地址与端口（如 {example}）", f"an address with a port, such as {example}", text)
        if text in used:
            raise _wrong(option, f"与 {used[text]} 不同的地址", f"an address other than that of {used[text]}", text)
    if node.p2p == node.http:
        raise _wrong("--http", "与 --p2p 不同的地址", "an address other than --p2p", node.http)


def _wrong(field: str, zh: str, en: str, found: str) -> InputError:
    return InputError(
        "NODE_INVALID",
        f"{field} 应为{zh}，实为 {found[:80]!r}，请改正",
        f"{field}: expected {en}, found {found[:80]!r}; correct it",
    )
