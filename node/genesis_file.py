"""genesis.json: the genesis as people read it, with its hash written in and checked on loading."""

from __future__ import annotations

import base64
import binascii
import json
from pathlib import Path
from typing import Any, Final

import msgspec

from contracts.parameters import ChainParameters
from node.chain.genesis import MAX_GENESIS_BYTES, Genesis, GenesisAccount, GenesisDepartment, GenesisValidator
from node.config import StartError

MAX_GENESIS_FILE_BYTES: Final = 4 * MAX_GENESIS_BYTES
_PEM_BEGIN: Final = "-----BEGIN CERTIFICATE-----"
_PEM_END: Final = "-----END CERTIFICATE-----"


class GenesisFileError(StartError):
    """genesis.json is missing, damaged or changed: names the file and what is wrong in it."""


class _Account(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    public_key: str
    roles: list[str]


class _Department(msgspec.Struct, forbid_unknown_fields=True):
    code: str
    name: str
    region: str
    level: str
    parent: str
    accounts: list[_Account]


class _Validator(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    department: str
    public_key: str


class _GenesisFile(msgspec.Struct, forbid_unknown_fields=True):
    hash: str
    chain_id: int
    network_name: str
    time_ms: int
    parameters: dict[str, int]
    validators: list[_Validator]
    departments: list[_Department]
    root_certificate: str


def save_genesis(path: Path, genesis: Genesis) -> None:
    """Write the genesis as indented JSON (keys in hex, the root certificate in PEM) with its hash first."""
    shown = _GenesisFile(
        hash=genesis.hash.hex(),
        chain_id=genesis.chain_id,
        network_name=genesis.network_name,
        time_ms=genesis.time_ms,
        parameters=msgspec.structs.asdict(genesis.parameters),
        validators=[_Validator(v.name, v.department, v.public_key.hex()) for v in genesis.validators],
        departments=[
            _Department(d.code, d.name, d.region, d.level, d.parent, [_show_account(a) for a in d.accounts])
            for d in genesis.departments
        ],
        root_certificate=_encode_pem(genesis.root_certificate),
    )
    path.write_text(json.dumps(msgspec.to_builtins(shown), ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def load_genesis(path: Path) -> Genesis:
    """Return the genesis in `path`; raise GenesisFileError when it is unreadable, malformed, or its hash is not the one written in it."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_GENESIS_FILE_BYTES + 1)
    except OSError as error:
        raise _error(path, f"无法读取（{error.strerror}）", f"cannot be read ({error.strerror})") from None
    if len(raw) > MAX_GENESIS_FILE_BYTES:
        raise _error(path, f"超过 {MAX_GENESIS_FILE_BYTES} 字节", f"is over {MAX_GENESIS_FILE_BYTES} bytes")
    try:
        shown = msgspec.json.decode(raw, type=_GenesisFile)
        genesis = _to_genesis(shown)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        # msgspec's errors are ValueErrors too: what they say names the field.
        raise _error(path, f"内容损坏：{error}", f"is damaged: {error}") from None
    if genesis.hash.hex() != shown.hash:
        raise _error(
            path,
            f"已被改动：文件所写哈希为 {shown.hash[:64]}，内容的哈希为 {genesis.hash.hex()}；请重新取得原文件",
            f"was changed: it says hash {shown.hash[:64]}, its content has {genesis.hash.hex()}; fetch the original again",
        )
    return genesis


def _to_genesis(shown: _GenesisFile) -> Genesis:
    """Return the genesis; raise ValueError (or msgspec's ValidationError) on a wrong field."""
    fields: dict[str, Any] = {field.name: field.default for field in msgspec.structs.fields(ChainParameters)}
    if set(shown.parameters) != set(fields):
        wrong = sorted(set(shown.parameters) ^ set(fields))[0]
        raise ValueError(f"expected every chain parameter once, found {wrong[:64]!r} missing or unknown")
    built = Genesis(
        shown.chain_id,
        shown.network_name,
        shown.time_ms,
        ChainParameters(*(shown.parameters[name] for name in fields)),
        tuple(GenesisValidator(v.name, v.department, bytes.fromhex(v.public_key)) for v in shown.validators),
        tuple(
            GenesisDepartment(d.code, d.name, d.region, d.level, d.parent, tuple(_read_account(a) for a in d.accounts))
            for d in shown.departments
        ),
        _decode_pem(shown.root_certificate),
    )
    # Constructing a struct checks no bounds; converting it does.
    genesis = msgspec.convert(msgspec.to_builtins(built), Genesis)
    genesis.validator_set()
    return genesis


def _show_account(account: GenesisAccount) -> _Account:
    return _Account(account.name, account.public_key.hex(), list(account.roles))


def _read_account(shown: _Account) -> GenesisAccount:
    return GenesisAccount(bytes.fromhex(shown.public_key), tuple(shown.roles), shown.name)


def _encode_pem(der: bytes) -> str:
    text = base64.b64encode(der).decode("ascii")
    lines = [text[start : start + 64] for start in range(0, len(text), 64)]
    return "\n".join([_PEM_BEGIN, *lines, _PEM_END, ""])


def _decode_pem(text: str) -> bytes:
    lines = text.split("\n")
    if lines[0] != _PEM_BEGIN or lines[-2:] != [_PEM_END, ""]:
        raise ValueError("expected root_certificate as one certificate in PEM")
    try:
        return base64.b64decode("".join(lines[1:-2]), validate=True)
    except binascii.Error as error:
        raise ValueError(f"expected root_certificate in base64: {error}") from None


def _error(path: Path, chinese: str, english: str) -> GenesisFileError:
    return GenesisFileError(f"创世文件 {path} {chinese}", f"the genesis file {path} {english}")
