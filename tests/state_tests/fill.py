"""Fills state tests of any age with what Ethereum's executable specification (Prague) makes of them.

Run it as a script in an environment of its own that holds the package `ethereum-execution`; nothing of ours is imported:
`python tests/state_tests/fill.py SOURCE TARGET`. Read are general state tests without a Prague result, the state tests of before
2017 (one transaction, `postStateRoot`) and the VM tests (`exec`), whose code becomes that of the called account. Written are general
state tests with a Prague result, or with none where the specification takes too long. Accounts that EIP-161 takes as absent are
dropped from the state before: EIP-7523 rules them out.
"""

from __future__ import annotations

import argparse
import io
import json
import logging
import signal
import sys
import time
from collections import Counter
from copy import deepcopy
from pathlib import Path
from typing import Any

from ethereum.crypto.hash import keccak256
from ethereum_spec_tools.evm_tools import create_parser
from ethereum_spec_tools.evm_tools.t8n import T8N, ForkCache

FORK = "Prague"
SECRET = "0x45a915e4d060149eb4365960e6a7a45f334393093061116b197e3240065ff2d8"
SENDER = "0xa94f5374fce5edbc8e2a8697c15331677e6ebf0b"
MAX_VM_GAS = 16_000_000
INPUTS = ("--input.alloc", "stdin", "--input.env", "stdin", "--input.txs", "stdin")
ARGUMENTS = ["t8n", *INPUTS, "--state-test", "--state.fork", FORK]


class TimeIsUp(BaseException):
    """The specification takes too long for a test."""


def main() -> int:
    """Fill every test below the source that has no result below the target yet; return 0."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--limit-s", type=int, default=60, help="time for one test")
    options = parser.parse_args()
    signal.signal(signal.SIGALRM, _time_is_up)
    logging.disable()
    counts: Counter[str] = Counter()
    with ForkCache() as cache:
        for path in sorted(options.source.rglob("*.json")):
            counts += _fill_file(path, options.target / path.relative_to(options.source), options.limit_s, cache)
    print(dict(counts))
    return 0


def _fill_file(path: Path, target: Path, limit_s: int, cache: ForkCache) -> Counter[str]:
    tests = json.loads(path.read_bytes())
    filled = json.loads(target.read_bytes()) if target.exists() else {}
    counts: Counter[str] = Counter()
    began = time.monotonic()
    for name, test in tests.items() if isinstance(tests, dict) else ():
        made = _as_general(test) if isinstance(test, dict) else None
        if made is None or FORK in filled.get(name, {}).get("post", ()):
            continue
        filled[name] = {**made, "post": {"Unfilled": deepcopy(made["post"][FORK])}}
        signal.alarm(limit_s)
        try:
            _fill(made, cache)
        except TimeIsUp:
            counts["over time"] += 1
            print(f"{path}: {name}: over {limit_s} s", flush=True)
        except Exception as error:  # noqa: BLE001 (one test's fault must not end the others)
            counts["failed"] += 1
            print(f"{path}: {name}: {type(error).__name__}: {error}", flush=True)
        else:
            filled[name] = made
            counts["filled"] += 1
        finally:
            signal.alarm(0)
    if counts:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(json.dumps(filled, indent=1), "utf-8")
        print(f"{path}: {counts['filled']} in {time.monotonic() - began:.1f} s", flush=True)
    return counts


def _time_is_up(*_: object) -> None:
    raise TimeIsUp


def _as_general(test: dict[str, Any]) -> dict[str, Any] | None:
    if "exec" in test:
        return _from_vm_test(test)
    if not ("transaction" in test and "pre" in test and "env" in test):
        return None
    general = {"env": _environment(test["env"]), "pre": _accounts(test["pre"])}
    raw = dict(test["transaction"])
    if not isinstance(raw["data"], list):
        for key in ("data", "gasLimit", "value"):
            raw[key] = [raw[key]]
        indexes = [{"data": 0, "gas": 0, "value": 0}]
    else:
        indexes = [entry["indexes"] for entry in next(reversed(test["post"].values()))]
    for key in ("nonce", "gasPrice"):
        if key in raw:
            raw[key] = _quantity(raw[key])
    raw["data"] = [_hex(data) for data in raw["data"]]
    raw["gasLimit"] = [_quantity(gas) for gas in raw["gasLimit"]]
    raw["value"] = [_quantity(value) for value in raw["value"]]
    raw["to"] = _hex(raw["to"]) if raw["to"] else ""
    raw["secretKey"] = "0x" + raw["secretKey"].removeprefix("0x").rjust(64, "0")
    return {**general, "transaction": raw, "post": {FORK: [{"indexes": index} for index in indexes]}}


def _from_vm_test(test: dict[str, Any]) -> dict[str, Any]:
    called = test["exec"]
    pre = _accounts(test["pre"])
    to, data = _hex(called["address"]), _hex(called["data"])
    account = pre.get(to, {"nonce": "0x0", "balance": "0x0", "storage": {}})
    pre[to] = {**account, "code": _hex(called["code"])}
    pre[SENDER] = {"nonce": "0x0", "balance": hex(10**36), "code": "0x", "storage": {}}
    # What the transaction costs before its first instruction, its data taken for all non-zero.
    gas = min(int(_quantity(called["gas"]), 16), MAX_VM_GAS) + 21_000 + 40 * (len(data) // 2)
    transaction = {
        "to": to,
        "nonce": "0x0",
        "data": [data],
        "gasLimit": [hex(gas)],
        "value": [_quantity(called["value"])],
        "gasPrice": "0x1",
        "secretKey": SECRET,
    }
    environment = {**_environment(test["env"]), "currentGasLimit": hex(10 * MAX_VM_GAS)}
    post = {FORK: [{"indexes": {"data": 0, "gas": 0, "value": 0}}]}
    return {"env": environment, "pre": pre, "transaction": transaction, "post": post}


def _environment(raw: dict[str, Any]) -> dict[str, Any]:
    return {
        "currentCoinbase": _hex(raw["currentCoinbase"]),
        "currentNumber": _quantity(raw["currentNumber"]),
        "currentTimestamp": _quantity(raw["currentTimestamp"]),
        "currentGasLimit": _quantity(raw["currentGasLimit"]),
        "currentRandom": hex(int(_quantity(raw.get("currentRandom", raw.get("currentDifficulty", "0x0"))), 16)),
        "currentBaseFee": _quantity(raw.get("currentBaseFee", "0x0")),
        "currentExcessBlobGas": _quantity(raw.get("currentExcessBlobGas", "0x0")),
    }


def _accounts(raw: dict[str, Any]) -> dict[str, Any]:
    accounts = {
        _hex(address): {
            "nonce": _quantity(account["nonce"]),
            "balance": _quantity(account["balance"]),
            "code": _hex(account["code"]),
            "storage": {_quantity(slot): _quantity(value) for slot, value in account["storage"].items()},
        }
        for address, account in raw.items()
    }
    return {
        address: account
        for address, account in accounts.items()
        if account["code"] != "0x" or account["storage"] or account["nonce"] != "0x0" or account["balance"] != "0x0"
    }


def _fill(test: dict[str, Any], cache: ForkCache) -> None:
    number = int(test["env"]["currentNumber"], 16)
    hashes = {
        hex(height): "0x" + keccak256(str(height).encode()).hex() for height in range(max(number - 256, 0), number)
    }
    environment = {**test["env"], "blockHashes": hashes, "withdrawals": []}
    raw = test["transaction"]
    for entry in test["post"][FORK]:
        index = entry["indexes"]
        chosen = {
            **raw,
            "input": raw["data"][index["data"]],
            "gas": raw["gasLimit"][index["gas"]],
            "value": raw["value"][index["value"]],
        }
        if raw.get("accessLists"):
            chosen["accessList"] = raw["accessLists"][index["data"]] or []
        document = {"env": environment, "alloc": test["pre"], "txs": [chosen]}
        options = create_parser().parse_args(ARGUMENTS)
        tool = T8N(options, io.StringIO(), io.StringIO(json.dumps(document)), cache)
        tool.run_state_test()
        entry["hash"] = "0x" + tool.result.state_root.hex()
        entry["logs"] = "0x" + tool.result.logs_hash.hex()
        if tool.result.rejected:
            entry["expectException"] = str(tool.result.rejected[0])


def _quantity(text: str) -> str:
    """Return a number as minimal hexadecimal; the oldest fixtures write them in decimal."""
    return hex(int(text, 16) if text.startswith("0x") and len(text) > 2 else int(text.removeprefix("0x") or "0"))


def _hex(text: str) -> str:
    return "0x" + text.removeprefix("0x")


if __name__ == "__main__":
    sys.exit(main())
