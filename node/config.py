"""What a node is told from outside: node.toml, network.toml, addresses and the password file, each fault named by file and field."""

from __future__ import annotations

import difflib
import os
import re
import stat
import tomllib
from collections.abc import Sequence
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NamedTuple, TypeVar

import msgspec

from contracts.parameters import ChainParameters
from node.wire.frames import MAX_NODE_NAME_LENGTH

MAX_CONFIG_BYTES: Final = 1_000_000
MAX_PASSWORD_BYTES: Final = 1_024
MAX_PEERS: Final = 256
MAX_HTTP_NAMES: Final = 64
MAX_SHOWN_LENGTH: Final = 80
MAX_KEPT_DEPARTMENTS: Final = 1_000
MAX_RECORDER_MB: Final = 100_000_000
DEFAULT_RECORDER_MB: Final = 10_000
PASSWORD_FILE_VARIABLE: Final = "GOVNODE_PASSWORD_FILE"  # noqa: S105 - the name of a variable, not a password

JOIN_BY_BLOCKS: Final = "blocks"
JOIN_BY_SNAPSHOT: Final = "snapshot"

NODE_NAME: Final = r"^[A-Za-z0-9._-]+$"
DEPARTMENT_CODE: Final = r"^[0-9A-Z]{18}$"

StructT = TypeVar("StructT", bound=msgspec.Struct)

NodeName = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_NODE_NAME_LENGTH, pattern=NODE_NAME)]
DepartmentCode = Annotated[str, msgspec.Meta(pattern=DEPARTMENT_CODE)]
LogLevel = Literal["debug", "info", "warning", "error"]
_WHERE = re.compile(r"^(?P<what>.*?)(?: - at `\$\.?(?P<field>.*)`)?$", re.DOTALL)
_LIST_INDEX = re.compile(r"^\[(\d+)\]$")


class StartError(Exception):
    """The node cannot start or run: one line that says what was expected, what was found and what to do, Chinese then English."""

    def __init__(self, chinese: str, english: str) -> None:
        super().__init__(f"{chinese} / {english}")


class ConfigError(StartError):
    """A file of settings is missing, unreadable or wrong: names the file, the field, and the nearest valid name."""


class Address(NamedTuple):
    """Where to listen or connect: a host name or IP address (IPv6 without brackets) and a port; 0 lets the system choose."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class PeerConfig(msgspec.Struct, frozen=True):
    """Another node of the network: its name, as in its certificate, and its `host:port`."""

    name: NodeName
    address: str


class SealedCopiesSection(msgspec.Struct, frozen=True):
    """For which departments' recorders the node keeps sealed batches of access records, and how many MB of each recorder's."""

    departments: Annotated[tuple[DepartmentCode, ...], msgspec.Meta(max_length=MAX_KEPT_DEPARTMENTS)] = ()
    recorder_mb: Annotated[int, msgspec.Meta(ge=1, le=MAX_RECORDER_MB)] = DEFAULT_RECORDER_MB


class NodeConfig(msgspec.Struct, frozen=True):
    """The settings of one node (node.toml); relative paths start at the folder of the file."""

    name: NodeName
    p2p_listen: str
    http_listen: str
    genesis: str = "../genesis.json"
    data: str = "data"
    password_file: str = "keys/password"  # noqa: S105 - a path
    validator_key: str = "keys/validator.key"
    transport_key: str = "keys/transport.key"
    transport_certificate: str = "keys/transport.crt.pem"
    http_names: Annotated[tuple[str, ...], msgspec.Meta(max_length=MAX_HTTP_NAMES)] = ()
    """Values of the Host header, beside its own address, that signed requests may use for this node: `host` or `host:port`."""
    http_proxies: Annotated[tuple[str, ...], msgspec.Meta(max_length=MAX_HTTP_NAMES)] = ()
    """Addresses or networks of the proxies before the HTTP port, whose X-Forwarded-For and X-Forwarded-Proto count; nobody else's do."""
    link_base: str = ""
    """Where the codes lead that this node draws, as `https://host`: the address that people reach it at."""
    explorer: bool = True
    log_level: LogLevel = "info"
    join: str = JOIN_BY_BLOCKS
    """How an empty node gets the chain: "blocks", all of them from the first on, or "snapshot", the state of a late one."""
    sealed_copies: SealedCopiesSection = SealedCopiesSection()
    peers: Annotated[tuple[PeerConfig, ...], msgspec.Meta(max_length=MAX_PEERS)] = ()

    @property
    def peer_addresses(self) -> dict[str, Address]:
        """The address of each peer by its name."""
        return {peer.name: parse_address(peer.address) for peer in self.peers}


class NetworkSection(msgspec.Struct, frozen=True):
    """What names the network: its display name and chain id (1 to 2**53 - 1)."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    chain_id: Annotated[int, msgspec.Meta(ge=1, le=2**53 - 1)]


class NetworkAccount(msgspec.Struct, frozen=True):
    """An account to create for a department, with the names of its roles."""

    name: NodeName
    roles: tuple[str, ...]


class NetworkDepartment(msgspec.Struct, frozen=True):
    """A founding department; `code` is its unified social credit code, `parent` the parent's code or empty."""

    code: str
    name: str
    region: str
    level: str
    parent: str = ""
    accounts: tuple[NetworkAccount, ...] = ()


class NetworkNode(msgspec.Struct, frozen=True):
    """A node to set up: the code of its department, whether it votes, and its two addresses."""

    name: NodeName
    department: str
    p2p: str
    http: str
    validator: bool = True
    explorer: bool = True


class NetworkFile(msgspec.Struct, frozen=True):
    """A whole network to create (network.toml); `parameters` holds any fields of ChainParameters."""

    network: NetworkSection
    departments: tuple[NetworkDepartment, ...]
    nodes: tuple[NetworkNode, ...]
    parameters: dict[str, Any] = {}

    def chain_parameters(self) -> ChainParameters:
        """Return the chain parameters, defaults where the file says nothing."""
        values = [self.parameters.get(name, default) for name, default in _parameter_defaults().items()]
        return msgspec.convert(values, ChainParameters)


def load_node_config(path: Path) -> NodeConfig:
    """Return the settings in `path`, all paths made absolute; raise ConfigError that names the file and field."""
    config = load_settings(path, NodeConfig)
    for field in ("p2p_listen", "http_listen"):
        _check_address(path, field, getattr(config, field))
    if config.p2p_listen == config.http_listen and parse_address(config.p2p_listen).port:
        raise field_error(
            path, "http_listen", "一个与 p2p_listen 不同的地址", "an address other than p2p_listen", config.http_listen
        )
    for index, proxy in enumerate(config.http_proxies):
        try:
            ip_network(proxy)
        except ValueError:
            field = f"http_proxies[{index}]"
            raise field_error(path, field, "IP 地址或网段", "an IP address or network", proxy) from None
    if config.join not in (JOIN_BY_BLOCKS, JOIN_BY_SNAPSHOT):
        raise field_error(
            path,
            "join",
            f'"{JOIN_BY_BLOCKS}"（取回全部区块）或 "{JOIN_BY_SNAPSHOT}"（从状态快照开始）',
            f'"{JOIN_BY_BLOCKS}" (fetch every block) or "{JOIN_BY_SNAPSHOT}" (begin from a snapshot of the state)',
            config.join,
        )
    names = [peer.name for peer in config.peers]
    for index, peer in enumerate(config.peers):
        _check_address(path, f"peers[{index}].address", peer.address)
        if peer.name == config.name or peer.name in names[:index]:
            field = f"peers[{index}].name"
            raise field_error(
                path, field, "每个对等节点只列一次，且不含本节点", "every peer once, and not this node", peer.name
            )
    folder = path.absolute().parent
    paths = ("genesis", "data", "password_file", "validator_key", "transport_key", "transport_certificate")
    return msgspec.structs.replace(config, **{name: str(folder / getattr(config, name)) for name in paths})


def load_network_file(path: Path) -> NetworkFile:
    """Return the network described in `path`; raise ConfigError that names the file and field."""
    network = load_settings(path, NetworkFile)
    _check_names(path, "parameters.", network.parameters, list(_parameter_defaults()), [])
    try:
        network.chain_parameters()
    except msgspec.ValidationError as error:
        what, field = _split_error(error)
        match = _LIST_INDEX.match(field)
        name = list(_parameter_defaults())[int(match[1])] if match else field
        raise _type_error(path, f"parameters.{name}", what) from None
    codes = [department.code for department in network.departments]
    for index, node in enumerate(network.nodes):
        _check_address(path, f"nodes[{index}].p2p", node.p2p)
        _check_address(path, f"nodes[{index}].http", node.http)
        if node.department not in codes:
            field = f"nodes[{index}].department"
            raise field_error(
                path, field, "所列部门之一的代码", "the code of a department of this file", node.department
            )
        if node.name in [other.name for other in network.nodes[:index]]:
            raise field_error(path, f"nodes[{index}].name", "不重复的名称", "a name used once", node.name)
    return network


def parse_address(text: str) -> Address:
    """Return the host and port of `host:port` or `[ipv6]:port`; raise ValueError on anything else."""
    host, separator, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
        if ":" not in host:
            raise ValueError("brackets hold an IPv6 address")
    elif ":" in host:
        raise ValueError("an IPv6 address stands in brackets")
    if not separator or not host or len(host) > 253 or not re.fullmatch(r"[0-9A-Za-z.:%_-]+", host):
        raise ValueError("no host")
    if not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65_535:
        raise ValueError("no port from 0 to 65535")
    return Address(host, int(port))


def password_path(config: NodeConfig) -> Path:
    """Return where the password of the node's keys is read from: GOVNODE_PASSWORD_FILE goes before the settings."""
    return Path(os.environ.get(PASSWORD_FILE_VARIABLE) or config.password_file)


def read_password(config: NodeConfig) -> bytes:
    """Return the password of the node's keys; raise ConfigError."""
    return read_password_file(password_path(config))


def read_password_file(path: Path) -> bytes:
    """Return the password in a file, without its line end.

    Raise ConfigError when the file is missing, empty, over MAX_PASSWORD_BYTES, or readable by others.
    """
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        with path.open("rb") as file:
            password = file.read(MAX_PASSWORD_BYTES + 1).rstrip(b"\r\n")
    except OSError as error:
        raise ConfigError(
            f"无法读取口令文件 {path}（{error.strerror}）：请在 password_file 或环境变量 {PASSWORD_FILE_VARIABLE} 中指明",
            f"cannot read the password file {path} ({error.strerror}): name it in password_file or in {PASSWORD_FILE_VARIABLE}",
        ) from None
    if mode & 0o077:
        raise ConfigError(
            f"口令文件 {path} 的权限应为 0600，实为 {mode:04o}：请执行 chmod 600",
            f"expected mode 0600 on the password file {path}, found {mode:04o}: run chmod 600 on it",
        )
    if not 0 < len(password) <= MAX_PASSWORD_BYTES:
        raise ConfigError(
            f"口令文件 {path} 应有 1 至 {MAX_PASSWORD_BYTES} 字节，实为 {len(password)}",
            f"expected 1 to {MAX_PASSWORD_BYTES} bytes in the password file {path}, found {len(password)}",
        )
    return password


def _parameter_defaults() -> dict[str, Any]:
    return {field.name: field.default for field in msgspec.structs.fields(ChainParameters)}


def load_settings(path: Path, kind: type[StructT]) -> StructT:
    """Return the TOML file at `path` as this struct; raise ConfigError that names the file, the field and the nearest valid name."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_CONFIG_BYTES + 1)
    except OSError as error:
        raise ConfigError(
            f"无法读取配置文件 {path}（{error.strerror}）：请用 --config 指明",
            f"cannot read the config file {path} ({error.strerror}): name it with --config",
        ) from None
    if len(raw) > MAX_CONFIG_BYTES:
        raise ConfigError(
            f"配置文件 {path} 超过 {MAX_CONFIG_BYTES} 字节", f"the config file {path} is over {MAX_CONFIG_BYTES} bytes"
        )
    try:
        value = tomllib.loads(raw.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{path}: 不是有效的 TOML：{error}", f"{path}: not valid TOML: {error}") from None
    _check_fields(path, "", value, msgspec.inspect.type_info(kind))
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        what, field = _split_error(error)
        raise _type_error(path, field, what) from None


def _check_fields(path: Path, prefix: str, value: object, kind: msgspec.inspect.Type) -> None:
    """Names are right at every level of tables and lists of tables; types are left to msgspec."""
    if isinstance(kind, msgspec.inspect.StructType) and isinstance(value, dict):
        required = [field.name for field in kind.fields if field.required]
        _check_names(path, prefix, value, [field.name for field in kind.fields], required)
        for field in kind.fields:
            _check_fields(path, f"{prefix}{field.name}.", value.get(field.name), field.type)
    elif isinstance(kind, msgspec.inspect.VarTupleType) and isinstance(value, list):
        for index, item in enumerate(value):
            _check_fields(path, f"{prefix.removesuffix('.')}[{index}].", item, kind.item_type)


def _check_names(path: Path, prefix: str, value: dict[str, Any], valid: Sequence[str], required: Sequence[str]) -> None:
    for name in value:
        if name not in valid:
            nearest = difflib.get_close_matches(name, valid, n=1, cutoff=0.0)[0]
            shown = _shorten(name)
            raise ConfigError(
                f"{path}: 未知字段 {prefix}{shown}，最接近的有效名称是 {nearest}",
                f"{path}: unknown field {prefix}{shown}; the nearest valid name is {nearest}",
            )
    for name in required:
        if name not in value:
            raise ConfigError(f"{path}: 缺少字段 {prefix}{name}", f"{path}: the field {prefix}{name} is missing")


def _check_address(path: Path, field: str, text: str) -> None:
    try:
        parse_address(text)
    except ValueError:
        example = "127.0.0.1:26656, [::1]:26656"
        raise field_error(path, field, f"地址（如 {example}）", f"an address such as {example}", text) from None


def field_error(path: Path, field: str, chinese: str, english: str, found: str) -> ConfigError:
    """Return the error of a field with another value than was expected, as `chinese` and `english` say it."""
    found = _shorten(found)
    return ConfigError(
        f"{path}: {field} 应为{chinese}，实为 {found!r}", f"{path}: {field}: expected {english}, found {found!r}"
    )


def _type_error(path: Path, field: str, what: str) -> ConfigError:
    return ConfigError(f"{path}: 字段 {field} 的值不对：{what}", f"{path}: wrong value of {field}: {what}")


def _split_error(error: msgspec.ValidationError) -> tuple[str, str]:
    """Return what msgspec found wrong, and the field it names, such as peers[0].name."""
    match = _WHERE.match(str(error))
    if match is None:
        return str(error), "?"
    return match["what"].replace("`", ""), match["field"] or "?"


def _shorten(text: str) -> str:
    return text if len(text) <= MAX_SHOWN_LENGTH else text[:MAX_SHOWN_LENGTH] + "..."
