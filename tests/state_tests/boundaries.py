"""The programs of `programs`, `messages` and `curves` with gas at its edges, against py-evm, or as fixtures for `fill`.

`python -m tests.state_tests.boundaries` compares all of them with py-evm; `--write FOLDER` writes them as general state tests without
results; `--digests FOLDER` prints, from such fixtures filled, the digest of each group's sample
that is kept in `boundary_digests.json`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
from eth_hash.auto import keccak

from tests.state_tests import curves, messages, programs
from tests.state_tests.fixtures import FORK, Case, read_cases
from tests.state_tests.programs import Program
from tests.state_tests.runner import judge, report
from tests.state_tests.transition import run_case

SECRET = "0x45a915e4d060149eb4365960e6a7a45f334393093061116b197e3240065ff2d8"
DIGESTS = Path(__file__).with_name("boundary_digests.json")
SOURCES: tuple[Callable[[], Iterator[Program]], ...] = (
    programs.stack_edges,
    programs.arithmetic,
    programs.memory_edges,
    programs.jumps,
    programs.surroundings,
    programs.storage,
    messages.calls,
    messages.depth,
    messages.static_calls,
    messages.creations,
    messages.undone,
    messages.selfdestructions,
    messages.precompiles,
    messages.transactions,
    curves.curves,
)
SAMPLE_STEP = 3
SLOW_SAMPLE_STEP = 16
SLOW_GROUPS = ("precompiles", "curves")
_SOURCES_BY_NAME = {source.__name__: source for source in SOURCES}
GROUPS = (*_SOURCES_BY_NAME, "memory_edges_gas", "surroundings_gas", "calls_gas", "creations_gas")


def cases_of(group: str) -> list[Case]:
    """Return a group's programs; one that ends in "_gas" has some of another's, with the gas that they take and a unit less."""
    source = _SOURCES_BY_NAME[group.removesuffix("_gas")]
    cases = [replace(case, category=group, name=name) for name, case in source()]
    return [edge for case in cases[::5] for edge in _gas_edges(case)] if group.endswith("_gas") else cases


def _gas_edges(case: Case) -> Iterator[Case]:
    transaction = case.transaction
    assert transaction is not None
    taken = run_case(case).gas_used
    for gas in (taken, taken - 1) if taken else ():
        yield replace(case, name=f"{case.name} gas {gas}", transaction=replace(transaction, gas=gas))


def sample_of(group: str, cases: list[Case]) -> list[Case]:
    """Return the programs of a group that every run of the tests takes."""
    return cases[:: SLOW_SAMPLE_STEP if group in SLOW_GROUPS else SAMPLE_STEP]


def digest_of(results: Iterable[tuple[bytes, bytes]]) -> str:
    """Return the digest of state roots and hashes of logs in order."""
    return keccak(b"".join(root + logs for root, logs in results)).hex()


def as_fixture(case: Case) -> dict[str, Any]:
    """Return a program as a general state test without a result."""
    transaction, environment = case.transaction, case.environment
    assert transaction is not None
    fields: dict[str, Any] = {
        "to": "0x" + transaction.to.hex() if transaction.to else "",
        "nonce": hex(transaction.nonce),
        "data": ["0x" + transaction.data.hex()],
        "gasLimit": [hex(transaction.gas)],
        "value": [hex(transaction.value)],
        "gasPrice": hex(transaction.gas_price),
        "secretKey": SECRET,
    }
    if transaction.access_list is not None:
        fields["accessLists"] = [
            [
                {"address": "0x" + address.hex(), "storageKeys": [f"0x{slot:064x}" for slot in slots]}
                for address, slots in transaction.access_list
            ]
        ]
    return {
        "env": {
            "currentCoinbase": "0x" + environment.coinbase.hex(),
            "currentNumber": hex(environment.number),
            "currentTimestamp": hex(environment.timestamp),
            "currentGasLimit": hex(environment.gas_limit),
            "currentRandom": "0x" + environment.random.hex(),
            "currentBaseFee": hex(environment.base_fee),
            "currentExcessBlobGas": hex(environment.excess_blob_gas),
        },
        "pre": {
            "0x" + address.hex(): {
                "nonce": hex(account.nonce),
                "balance": hex(account.balance),
                "code": "0x" + account.code.hex(),
                "storage": {hex(slot): hex(value) for slot, value in account.storage.items()},
            }
            for address, account in case.pre.items()
        },
        "transaction": fields,
        "post": {FORK: [{"indexes": {"data": 0, "gas": 0, "value": 0}}]},
    }


def main() -> int:
    """Do what the arguments ask for; return 1 when a program differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path)
    parser.add_argument("--digests", type=Path)
    options = parser.parse_args()
    found = {group: cases_of(group) for group in GROUPS}
    if options.write is not None:
        options.write.mkdir(parents=True, exist_ok=True)
        for name, cases in found.items():
            fixtures = {case.name: as_fixture(case) for case in cases}
            assert len(fixtures) == len(cases), f"names repeat in {name}"
            (options.write / f"{name}.json").write_bytes(orjson.dumps(fixtures))
        return 0
    if options.digests is not None:
        digests = {}
        for name, cases in found.items():
            expected = {
                case.name.rsplit("[", 1)[0]: case.expectation
                for case in read_cases(options.digests / f"{name}.json", options.digests)
            }
            results = [expected[case.name] for case in sample_of(name, cases)]
            digests[name] = digest_of((one.state_root, one.logs_hash) for one in results if one is not None)
        print(orjson.dumps(digests, option=orjson.OPT_INDENT_2).decode())
        return 0
    return 1 if report([judge(case, True) for case in cases] for cases in found.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
