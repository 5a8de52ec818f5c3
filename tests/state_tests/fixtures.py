"""Ethereum's state tests as files: one loader for the general state tests and for the execution specification's state tests.

Both hold, for each name, `env`, `pre`, one `transaction` with lists of data, gas limits and values, and `post`: for each fork the
choices from those lists with the root and the hash of logs that must come out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import orjson
from eth_hash.auto import keccak
from eth_keys.datatypes import PrivateKey

FORK = "Prague"


@dataclass(frozen=True, slots=True)
class Account:
    """An account of the state before or after."""

    nonce: int = 0
    balance: int = 0
    code: bytes = b""
    storage: dict[int, int] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        """Whether Ethereum takes the account as absent (EIP-161)."""
        return not self.nonce and not self.balance and not self.code


@dataclass(frozen=True, slots=True)
class Environment:
    """The block that the transaction is in."""

    coinbase: bytes
    number: int
    timestamp: int
    gas_limit: int
    random: bytes
    base_fee: int
    excess_blob_gas: int
    hashes: dict[int, bytes]


@dataclass(frozen=True, slots=True)
class Transaction:
    """A transaction without its signature; max_fee is None where it names one gas price, access_list where it has none."""

    sender: bytes
    to: bytes | None
    nonce: int
    data: bytes
    gas: int
    value: int
    gas_price: int
    max_fee: int | None
    max_priority_fee: int
    access_list: tuple[tuple[bytes, tuple[int, ...]], ...] | None


@dataclass(frozen=True, slots=True)
class Expectation:
    """What a fixture says of the state after."""

    state_root: bytes
    logs_hash: bytes
    is_refused: bool


@dataclass(frozen=True, slots=True)
class Case:
    """One transaction over one state; `left_out` says why it is not ours to run."""

    category: str
    name: str
    environment: Environment
    pre: dict[bytes, Account]
    transaction: Transaction | None
    expectation: Expectation | None
    left_out: str | None = None


def state_test_files(folder: Path) -> list[Path]:
    """Return the JSON files below a folder, or the file itself."""
    return [folder] if folder.is_file() else sorted(folder.rglob("*.json"))


def read_cases(path: Path, root: Path) -> Iterator[Case]:
    """Yield the cases of one file; a file that holds no state tests has none."""
    document = orjson.loads(path.read_bytes())
    if not isinstance(document, dict):
        return
    tests = {name: test for name, test in document.items() if _is_state_test(test)}
    parent = path.parent.relative_to(root if root.is_dir() else root.parent)
    category = str(parent / path.stem if len(tests) > 1 else parent)
    for name, test in tests.items():
        yield from _read_test(category, name, test)


def _is_state_test(test: object) -> bool:
    return isinstance(test, dict) and isinstance(test.get("post"), dict) and "env" in test and "transaction" in test


def _read_test(category: str, name: str, test: dict[str, Any]) -> Iterator[Case]:
    raw = test["transaction"]
    left_out = _reason_to_leave_out(test)
    environment = _read_environment(test["env"])
    pre = {_bytes(address): _read_account(account) for address, account in test["pre"].items()}
    post = test["post"]
    fork = FORK if FORK in post else (next(reversed(post), FORK))
    for entry in post.get(fork, []):
        index = entry["indexes"]
        expectation = None
        if fork == FORK:
            is_refused = bool(entry.get("expectException", ""))
            expectation = Expectation(_bytes(entry["hash"]), _bytes(entry["logs"]), is_refused)
        yield Case(
            category,
            f"{name}[d{index['data']} g{index['gas']} v{index['value']}]",
            environment,
            pre,
            None if left_out else _read_transaction(raw, index),
            expectation,
            left_out,
        )


def _reason_to_leave_out(test: dict[str, Any]) -> str | None:
    raw = test["transaction"]
    if "blobVersionedHashes" in raw or "maxFeePerBlobGas" in raw:
        return "blob transactions (EIP-4844): the chain has no blobs"
    if "authorizationList" in raw:
        return "set-code transactions (EIP-7702): an account is a person's key, never code"
    if any(account["code"].removeprefix("0x").startswith("ef0100") for account in test["pre"].values()):
        return "accounts with delegated code (EIP-7702): none can come to be on the chain"
    return None


def _read_environment(raw: dict[str, Any]) -> Environment:
    number = _number(raw["currentNumber"])
    random = raw.get("currentRandom", raw.get("currentDifficulty", "0x00"))
    hashes = {_number(height): _bytes(value) for height, value in raw.get("blockHashes", {}).items()}
    return Environment(
        _bytes(raw["currentCoinbase"]),
        number,
        _number(raw["currentTimestamp"]),
        _number(raw["currentGasLimit"]),
        _number(random).to_bytes(32, "big"),
        _number(raw.get("currentBaseFee", "0x00")),
        _number(raw.get("currentExcessBlobGas", "0x00")),
        hashes or block_hashes(number),
    )


def block_hashes(number: int) -> dict[int, bytes]:
    """Return what every client takes for the ids of the 256 blocks before, in state tests that name none."""
    return {height: keccak(str(height).encode()) for height in range(max(number - 256, 0), number)}


def _read_account(raw: dict[str, Any]) -> Account:
    storage = {_number(slot): _number(value) for slot, value in raw["storage"].items()}
    return Account(
        _number(raw["nonce"]),
        _number(raw["balance"]),
        _bytes(raw["code"]),
        {slot: value for slot, value in storage.items() if value},
    )


def _read_transaction(raw: dict[str, Any], index: dict[str, int]) -> Transaction:
    lists = raw.get("accessLists")
    entries = lists[index["data"]] if lists else None
    access_list = None if entries is None else tuple(
        (_bytes(entry["address"]), tuple(_number(slot) for slot in entry["storageKeys"])) for entry in entries
    )  # fmt: skip
    to = _bytes(raw["to"] or "")
    return Transaction(
        _bytes(raw["sender"]) if "sender" in raw else _address_of(_bytes(raw["secretKey"])),
        to or None,
        _number(raw["nonce"]),
        _bytes(raw["data"][index["data"]]),
        _number(raw["gasLimit"][index["gas"]]),
        _number(raw["value"][index["value"]]),
        _number(raw.get("gasPrice", "0x00")),
        _number(raw["maxFeePerGas"]) if "maxFeePerGas" in raw else None,
        _number(raw.get("maxPriorityFeePerGas", "0x00")),
        access_list,
    )


@lru_cache(maxsize=64)
def _address_of(secret: bytes) -> bytes:
    return bytes(PrivateKey(secret.rjust(32, b"\0")).public_key.to_canonical_address())


def _number(text: str) -> int:
    digits = text.removeprefix("0x:bigint ")
    return int(digits, 16) if digits.startswith("0x") and len(digits) > 2 else int(digits.removeprefix("0x") or "0")


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))
