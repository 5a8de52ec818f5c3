"""Sets up a network: from network.toml, a folder with every key, certificate, genesis, node settings and the trust file."""

from __future__ import annotations

import secrets
import shutil
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import msgspec

from contracts import registry
from contracts.identifiers import verify_uscc
from contracts.refusals import Refused
from node.chain.genesis import Genesis, GenesisAccount, GenesisDepartment, GenesisValidator
from node.config import NetworkFile, NetworkNode, PeerConfig, load_network_file
from node.genesis_file import save_genesis
from sdk.node_folder import RESERVED_NAMES, write_node_folder
from sdk.secret_files import SECRET_FOLDER_MODE, KeyFile, make_password, write_secret
from sdk.trust import save_trust
from sm_crypto import x509
from sm_crypto.keystore import DEFAULT_ITERATIONS
from sm_crypto.sm2 import PrivateKey
from verification.errors import InputError
from verification.holders import HOLDER_SECRET_SIZE
from verification.trust import trust_of_genesis

# Deriving a key file's key releases the interpreter lock: as many at once as a small machine has cores, and some.
WRITER_THREADS: Final = 4
_ROOT_SUFFIX: Final = " Root"


class NodeFolder(msgspec.Struct, frozen=True):
    """A node that was set up: its name, department, settings file and addresses (`http` without a scheme)."""

    name: str
    department: str
    config: Path
    p2p: str
    http: str
    is_validator: bool

    @property
    def url(self) -> str:
        """Where its HTTP side answers."""
        return f"http://{self.http}"


class AccountFiles(msgspec.Struct, frozen=True):
    """An account that was made: key file, password file, and its department's secret for commitments to holders."""

    name: str
    department: str
    roles: tuple[str, ...]
    key: Path
    password_file: Path
    holder_secret: Path


class NetworkFolder(msgspec.Struct, frozen=True):
    """What init_network made; departments by their codes in the order of network.toml."""

    folder: Path
    name: str
    chain_id: int
    genesis: Path
    genesis_hash: bytes
    trust: Path
    departments: tuple[str, ...]
    nodes: tuple[NodeFolder, ...]
    accounts: tuple[AccountFiles, ...]

    def account(self, name: str) -> AccountFiles:
        """Return the account called `name`; raise InputError when there is none."""
        for account in self.accounts:
            if account.name == name:
                return account
        raise InputError("ACCOUNT_UNKNOWN", f"网络中没有账户 {name}", f"the network has no account called {name}")


def init_network(
    network_toml: Path, folder: Path, *, iterations: int = DEFAULT_ITERATIONS, now_ms: int | None = None
) -> NetworkFolder:
    """Make the network described in `network_toml` in `folder`, which must not exist or be empty.

    Every key is new; passwords are random and stand in files of mode 0600. All or nothing: a failure leaves no folder
    behind. Raise InputError, or ConfigError, on a wrong description.
    """
    network = load_network_file(network_toml)
    _check_network(network_toml, network)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(
            "FOLDER_NOT_EMPTY",
            f"文件夹 {folder} 应不存在或为空，请另选一个",
            f"expected {folder} to be absent or empty; choose another",
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        genesis = _Builder(network, building, iterations, now_ms or time.time_ns() // 1_000_000).build()
        building.chmod(0o755)
        building.rename(folder)
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise
    return _describe(network, folder, genesis)


def _check_network(path: Path, network: NetworkFile) -> None:
    """Raise InputError on names that do not serve as names of files and folders here, and on a network that cannot decide."""
    accounts = [account.name for department in network.departments for account in department.accounts]
    for name in accounts:
        if accounts.count(name) > 1:
            raise _wrong(
                path, "departments.accounts.name", f"{name} 只用一次", f"{name} once", f"{accounts.count(name)} ×"
            )
    for node in network.nodes:
        if node.name.startswith(".") or node.name in RESERVED_NAMES:
            reserved = ", ".join(RESERVED_NAMES)
            raise _wrong(
                path,
                "nodes.name",
                f"不以点开头、也不是 {reserved} 的名称",
                f"a name without a leading dot, other than {reserved}",
                node.name,
            )
    # What a certificate has no room for could not be issued.
    for field, limit, name in (
        ("network.name", x509.MAX_NAME_LENGTH - len(_ROOT_SUFFIX), network.network.name),
        *(("departments.name", x509.MAX_NAME_LENGTH, department.name) for department in network.departments),
    ):
        if len(name) > limit:
            raise _wrong(path, field, f"至多 {limit} 个字符", f"at most {limit} characters", f"{len(name)}")
    for department in network.departments:
        try:
            verify_uscc(department.code)
        except Refused as refused:
            raise _refused(refused) from None
    if not any(node.validator for node in network.nodes):
        raise _wrong(path, "nodes", "至少有一个 validator = true", "at least one with validator = true", "none")


def _wrong(path: Path, field: str, zh: str, en: str, found: str) -> InputError:
    return InputError(
        "NETWORK_INVALID",
        f"{path}: {field} 应为{zh}，实为 {found}，请改正",
        f"{path}: {field}: expected {en}, found {found}; correct it",
    )


def _refused(refused: Refused) -> InputError:
    zh, en = refused.texts
    return InputError(refused.code, f"网络描述有误：{zh}", f"wrong description of the network: {en}")


class _ScratchState(dict[bytes, bytes]):
    """A state to try a genesis on."""

    def set(self, key: bytes, value: bytes) -> None:
        """Put `value` at `key`."""
        self[key] = value

    def delete(self, key: bytes) -> None:
        """Remove `key`."""
        self.pop(key, None)


def _check_genesis(genesis: Genesis) -> None:
    """Raise InputError on what the contracts would refuse at the first start: found here, nothing has been written yet."""
    try:
        registry.write_genesis(
            _ScratchState(), genesis.departments, genesis.validators, genesis.parameters, genesis.time_ms
        )
    except Refused as refused:
        raise _refused(refused) from None


class _Builder:
    """Writes one network; key files are written together at the end, in threads."""

    def __init__(self, network: NetworkFile, folder: Path, iterations: int, now_ms: int) -> None:
        self._network = network
        self._folder = folder
        self._iterations = iterations
        self._now_ms = now_ms
        self._key_files: list[KeyFile] = []

    def build(self) -> Genesis:
        """Write the whole folder and return its genesis."""
        for name in ("accounts", "authority"):
            (self._folder / name).mkdir(mode=SECRET_FOLDER_MODE)
        authority_password = make_password(self._folder / "authority" / "password")
        root = x509.issue_root(self._network.network.name + _ROOT_SUFFIX, now_ms=self._now_ms)
        self._keep_authority("root", root, authority_password)
        departments = tuple(self._make_department(index) for index in range(len(self._network.departments)))
        authorities = {}
        for department in self._network.departments:
            authority = x509.issue_department(root, department.code, department.name, now_ms=self._now_ms)
            self._keep_authority(department.code, authority, authority_password)
            authorities[department.code] = authority
        validators = tuple(
            GenesisValidator(node.name, node.department, key.public_key)
            for node in self._network.nodes
            if (key := self._make_node(node, authorities[node.department])) is not None
        )
        genesis = Genesis(
            self._network.network.chain_id,
            self._network.network.name,
            self._now_ms,
            self._network.chain_parameters(),
            validators,
            departments,
            root.certificate.der,
        )
        _check_genesis(genesis)
        save_genesis(self._folder / "genesis.json", genesis)
        save_trust(self._folder / "trust.json", trust_of_genesis(genesis))
        with ThreadPoolExecutor(WRITER_THREADS) as pool:
            for writing in [pool.submit(file.save, self._iterations) for file in self._key_files]:
                writing.result()
        return genesis

    def _make_department(self, index: int) -> GenesisDepartment:
        entry = self._network.departments[index]
        folder = self._folder / "accounts"
        write_secret(folder / f"{entry.code}.holder-secret", secrets.token_bytes(HOLDER_SECRET_SIZE).hex())
        accounts = []
        for account in entry.accounts:
            key = PrivateKey.generate()
            password = make_password(folder / f"{account.name}.password")
            self._key_files.append(KeyFile(folder / f"{account.name}.key", key, password))
            accounts.append(GenesisAccount(key.public_key, account.roles, account.name))
        return GenesisDepartment(entry.code, entry.name, entry.region, entry.level, entry.parent, tuple(accounts))

    def _make_node(self, node: NetworkNode, authority: x509.Authority) -> PrivateKey | None:
        """Write a node's folder; return its validator key, None when it does not vote."""
        peers = [PeerConfig(other.name, other.p2p) for other in self._network.nodes]
        keys = write_node_folder(self._folder / node.name, node, peers, authority, self._now_ms)
        self._key_files += keys
        return keys[0].key if node.validator else None

    def _keep_authority(self, name: str, authority: x509.Authority, password: bytes) -> None:
        folder = self._folder / "authority"
        (folder / f"{name}.crt.pem").write_text(authority.certificate.pem, encoding="ascii")
        self._key_files.append(KeyFile(folder / f"{name}.key", authority.key, password))


def _describe(network: NetworkFile, folder: Path, genesis: Genesis) -> NetworkFolder:
    accounts = folder / "accounts"
    return NetworkFolder(
        folder=folder,
        name=genesis.network_name,
        chain_id=genesis.chain_id,
        genesis=folder / "genesis.json",
        genesis_hash=genesis.hash,
        trust=folder / "trust.json",
        departments=tuple(department.code for department in network.departments),
        nodes=tuple(
            NodeFolder(
                node.name, node.department, folder / node.name / "node.toml", node.p2p, node.http, node.validator
            )
            for node in network.nodes
        ),
        accounts=tuple(
            AccountFiles(
                account.name,
                department.code,
                account.roles,
                accounts / f"{account.name}.key",
                accounts / f"{account.name}.password",
                accounts / f"{department.code}.holder-secret",
            )
            for department in network.departments
            for account in department.accounts
        ),
    )
