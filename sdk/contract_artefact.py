"""What compilers leave behind: the ABI and the bytecode of a contract, from the files of solc, vyper, Foundry, Hardhat and Truffle."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
import orjson

from sdk.contract_abi import ContractAbi
from sdk.documents import read_limited
from verification.errors import InputError

MAX_ARTEFACT_BYTES: Final = 64 * 1024 * 1024
"""A Hardhat build-info holds the whole output of the compiler."""
MAX_SHOWN_CONTRACTS: Final = 20

_HEX = re.compile(r"(?:0[xX])?((?:[0-9a-fA-F]{2})*)")
_SOURCES: Final = frozenset({".sol", ".vy", ".vyi"})
_PLACEHOLDER: Final = "__"
"""Begins what solc and its kin leave where a library's address is to stand."""


class Artefact(msgspec.Struct, frozen=True):
    """A compiled contract; `bytecode` is what deploys it, None in a file that holds an ABI only."""

    name: str
    abi: ContractAbi
    bytecode: bytes | None


def load_artefact(path: Path, contract: str | None = None) -> Artefact:
    """Return the contract in a compiler's JSON file, of several the one called `contract`; raise InputError that says what is wrong.

    Read are: solc's standard output and `--combined-json abi,bin`, vyper's `-f combined_json`, artefacts of Foundry, Hardhat
    and Truffle, and a bare ABI.
    """
    raw = read_limited(path, MAX_ARTEFACT_BYTES)
    try:
        content = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise _not_json(path, raw, error) from None
    found = list(_contracts(content, path.stem))
    chosen = [each for each in found if contract is None or contract in _names(each[0])]
    if len(chosen) > 1:
        # Interfaces and abstract contracts, which compilers list beside what can be deployed.
        chosen = [each for each in chosen if _is_code(each[2])] or chosen
    if len(chosen) != 1:
        raise _not_one(path, contract, [name for name, _, _ in (chosen if len(chosen) > 1 else found)])
    name, abi, bytecode = chosen[0]
    if isinstance(abi, str):
        # Older solc gives the ABI as text within the JSON.
        try:
            abi = orjson.loads(abi)
        except orjson.JSONDecodeError:
            abi = None
    return Artefact(Path(name.rpartition(":")[2]).stem, ContractAbi(abi), _bytecode(path, name, bytecode))


def _names(name: str) -> set[str]:
    """Return what a contract may be called by: the compiler's name, without the source, and for vyper without the ending."""
    last = name.rpartition(":")[2]
    return {name, last, Path(last).stem}


def _contracts(content: Any, stem: str) -> Iterator[tuple[str, Any, Any]]:
    """Yield name, ABI and bytecode, as they stand, of every contract in a file of any known form."""
    if isinstance(content, list):
        yield stem, content, None
        return
    if not isinstance(content, dict):
        return
    if "abi" in content:
        yield str(content.get("contractName", stem)), content["abi"], content.get("bytecode", content.get("bin"))
        return
    if isinstance(content.get("output"), dict):
        content = content["output"]
    contracts = content.get("contracts")
    if not isinstance(contracts, dict):
        # vyper's combined_json: sources at the top, beside the compiler's version.
        contracts = {name: value for name, value in content.items() if name != "version"}
    for name, value in contracts.items():
        if not isinstance(value, dict):
            continue
        if "abi" in value:
            yield name, value["abi"], value.get("bin", value.get("bytecode"))
            continue
        for inner, compiled in value.items():
            if isinstance(compiled, dict) and "abi" in compiled:
                evm = compiled.get("evm")
                yield f"{name}:{inner}", compiled["abi"], evm.get("bytecode") if isinstance(evm, dict) else None


def _is_code(value: Any) -> bool:
    """Return whether a file's entry for bytecode has any."""
    return (value.get("object") if isinstance(value, dict) else value) not in (None, "", "0x")


def _not_json(path: Path, raw: bytes, error: orjson.JSONDecodeError) -> InputError:
    """Return the error of a file that is no JSON, in the words of what it seems to be."""
    if path.suffix in _SOURCES:
        zh, en = "是源代码", "is source code"
    elif (digits := raw.decode("ascii", "replace").strip()) and _HEX.fullmatch(digits):
        zh, en = "只有字节码，没有 ABI", "has bytecode only, and no ABI"
    else:
        # The parser's own words are English.
        zh, en = f"第 {error.lineno} 行起不是 JSON", f"is not JSON: {error}"
        return InputError("ARTEFACT_INVALID", f"{path} {zh}", f"{path} {en}")
    zh_todo, en_todo = "请先编译，并使用编译器的 JSON 输出", "compile it, and use the compiler's JSON"
    commands = "vyper -f combined_json, solc --combined-json abi,bin"
    return InputError("ARTEFACT_INVALID", f"{path} {zh}，{zh_todo}：{commands}", f"{path} {en}: {en_todo}: {commands}")


def _bytecode(path: Path, name: str, value: Any) -> bytes | None:
    if isinstance(value, dict):
        value = value.get("object")
    if not _is_code(value):
        return None
    if isinstance(value, str) and _PLACEHOLDER in value:
        raise InputError(
            "LIBRARY_NOT_LINKED",
            f"{path} 中 {name} 的字节码有未链接的库，请先链接",
            f"the bytecode of {name} in {path} names a library that is not linked: link it first",
        )
    match = _HEX.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise InputError(
            "ARTEFACT_INVALID",
            f"{path} 中 {name} 的字节码不是十六进制",
            f"the bytecode of {name} in {path} is not hex digits",
        )
    return bytes.fromhex(match[1])


def _not_one(path: Path, contract: str | None, names: list[str]) -> InputError:
    known = ", ".join(names[:MAX_SHOWN_CONTRACTS]) + (" …" if len(names) > MAX_SHOWN_CONTRACTS else "")
    if not names:
        return InputError(
            "ARTEFACT_INVALID",
            f"{path} 中没有合约，应为 solc、vyper、Foundry 或 Hardhat 的 JSON 输出，或 ABI",
            f"there is no contract in {path}: expected JSON of solc, vyper, Foundry or Hardhat, or an ABI",
        )
    called_zh = f"名为 {contract} 的" if contract else ""
    called_en = f" called {contract}" if contract else ""
    return InputError(
        "CONTRACT_UNKNOWN",
        f"{path} 中应恰有一个{called_zh}合约，请用 --contract 指明：{known}",
        f"expected one contract{called_en} in {path}: name one with --contract of: {known}",
    )
