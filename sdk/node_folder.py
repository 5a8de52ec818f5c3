"""The folder of one node: written for a network's founding nodes, and for a node that joins a network that runs."""

from __future__ import annotations

import re
import secrets
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from node.config import (
    NODE_NAME,
    NetworkNode,
    NodeConfig,
    PeerConfig,
    load_node_config,
    parse_address,
    read_password_file,
)
from node.driver.last_signed import FILE_NAME as LAST_SIGNED_FILE
from node.driver.last_signed import create_last_signed
from node.genesis_file import load_genesis
from node.wire.frames import MAX_NODE_NAME_LENGTH
from sdk.errors import InputError
from sm_crypto import x509
from sm_crypto.keystore import DEFAULT_ITERATIONS, load_private_key, save_key
from sm_crypto.sm2 import PrivateKey

PASSWORD_SIZE: Final = 24
RESERVED_NAMES: Final = ("accounts", "authority", "genesis.json", "trust.json")
"""What stands in the folder beside the nodes."""
SECRET_MODE: Final = 0o600
SECRET_FOLDER_MODE: Final = 0o700


class KeyFile(msgspec.Struct, frozen=True):
    """A key file that is still to be written, with the password that is to protect it."""

    path: Path
    key: PrivateKey
    password: bytes

    def save(self, iterations: int) -> None:
        """Write the file."""
        save_key(self.path, self.key, self.password, iterations=iterations)


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
    folder: Path, node: NetworkNode, *, iterations: int = DEFAULT_ITERATIONS, now_ms: int | None = None
) -> AddedNode:
    """Make one more node in the folder of a network; it can start at once, no other node needs to change.

    Its keys are new, its certificate is its department's, its peers are all nodes of the folder. All or nothing. Raise
    InputError, ConfigError or KeyFileError that says what is wrong.
    """
    authority = _load_authority(folder, node.department)
    peers = _load_peers(folder)
    _check_node(folder, node, peers)
    building = Path(tempfile.mkdtemp(prefix=f".{node.name}.", dir=folder))
    try:
        keys = write_node_folder(building, node, _listed(peers), authority, now_ms or time.time_ns() // 1_000_000)
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
    folder: Path, node: NetworkNode, peers: Sequence[PeerConfig], authority: x509.Authority, now_ms: int
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
    (folder / "node.toml").write_text(_settings(node, peers), encoding="utf-8")
    return (
        KeyFile(keys / "validator.key", PrivateKey.generate(), password),
        KeyFile(keys / "transport.key", transport_key, password),
    )


def make_password(path: Path) -> bytes:
    """Write a new random password to a file that only its owner can read, and return it."""
    password = secrets.token_urlsafe(PASSWORD_SIZE)
    write_secret(path, password)
    return password.encode("ascii")


def write_secret(path: Path, text: str) -> None:
    """Write one line to a new file that only its owner can read."""
    path.touch(mode=SECRET_MODE, exist_ok=False)
    path.write_text(text + "\n", encoding="ascii")


def _settings(node: NetworkNode, peers: Sequence[PeerConfig]) -> str:
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
    for peer in peers:
        if peer.name != node.name:
            lines += ["", "[[peers]]", f'name = "{peer.name}"', f'address = "{peer.address}"']
    return "\n".join(lines) + "\n"


def _load_authority(folder: Path, department: str) -> x509.Authority:
    """Return the department's authority as the folder keeps it, checked against the root in the genesis."""
    if not (folder / "genesis.json").is_file():
        raise InputError(
            "NOT_A_NETWORK",
            f"{folder} 中没有 genesis.json，请指明 govnode network init 所建的文件夹",
            f"there is no genesis.json in {folder}; name the folder that govnode network init made",
        )
    genesis = load_genesis(folder / "genesis.json")
    kept = folder / "authority"
    known = sorted(path.name.removesuffix(".crt.pem") for path in kept.glob("*.crt.pem") if path.name != "root.crt.pem")
    if department not in known or not (kept / f"{department}.key").is_file():
        raise InputError(
            "DEPARTMENT_UNKNOWN",
            f"{kept} 中没有部门 {department} 的证书与密钥，现有：{', '.join(known) or '无'}",
            f"{kept} holds no certificate and key of department {department}; it holds those of: {', '.join(known) or 'none'}",
        )
    password = read_password_file(kept / "password")
    try:
        certificate = x509.load_certificates((kept / f"{department}.crt.pem").read_bytes())[0]
        x509.verify_issued_by(certificate, x509.parse_certificate(genesis.root_certificate))
    except x509.CertificateError as error:
        raise InputError(
            "AUTHORITY_INVALID",
            f"部门证书 {department}.crt.pem 不能用于本网络：{error}",
            f"the certificate {department}.crt.pem does not serve this network: {error}",
        ) from None
    return x509.Authority(certificate, load_private_key(kept / f"{department}.key", password))


def _load_peers(folder: Path) -> list[NodeConfig]:
    """Return the settings of all nodes in the folder, by name; raise InputError where there is none."""
    settings = [load_node_config(path) for path in sorted(folder.glob("*/node.toml")) if path.parent.name[0] != "."]
    if not settings:
        raise InputError(
            "NOT_A_NETWORK", f"{folder} 中没有任何节点的 node.toml", f"there is no node's node.toml in {folder}"
        )
    return settings


def _listed(nodes: Sequence[NodeConfig]) -> list[PeerConfig]:
    """Return the nodes as peers, each at the address where the others find it, else at the one where it listens."""
    found = {peer.name: peer.address for node in nodes for peer in node.peers}
    return [PeerConfig(node.name, found.get(node.name, node.p2p_listen)) for node in nodes]


def _check_node(folder: Path, node: NetworkNode, others: Sequence[NodeConfig]) -> None:
    """Raise InputError on a name or address that the new node cannot have."""
    is_name = re.fullmatch(NODE_NAME, node.name) is not None and len(node.name) <= MAX_NODE_NAME_LENGTH
    if not is_name or node.name.startswith(".") or node.name in RESERVED_NAMES:
        raise _wrong(
            "NAME",
            f"至多 {MAX_NODE_NAME_LENGTH} 个字母、数字、点、连字符或下划线，不以点开头，也不是 {', '.join(RESERVED_NAMES)}",
            f"at most {MAX_NODE_NAME_LENGTH} letters, digits, dots, hyphens or underscores, no leading dot, "
            f"none of {', '.join(RESERVED_NAMES)}",
            node.name,
        )
    taken = {other.name for other in others} | {peer.name for other in others for peer in other.peers}
    if node.name in taken or (folder / node.name).exists():
        raise _wrong("NAME", "尚未使用的名称", "a name that is not in use yet", node.name)
    used = {address: other.name for other in others for address in (other.p2p_listen, other.http_listen)}
    for option, text in (("--p2p", node.p2p), ("--http", node.http)):
        try:
            port = parse_address(text).port
        except ValueError:
            port = 0
        if not port:
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
