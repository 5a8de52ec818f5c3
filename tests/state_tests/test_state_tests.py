"""The loader of Ethereum's state tests on a fixture of our own, and all fixtures where a folder of them is named."""

from __future__ import annotations

import os
from copy import deepcopy
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.state_tests.runner import FAILED, FOLDER_VARIABLE, LEFT_OUT, PASSED, Verdict, report, run_file, run_folder

SENDER = "0xa94f5374fce5edbc8e2a8697c15331677e6ebf0b"
CONTRACT = "0x1000000000000000000000000000000000000001"
# Stores the data's first word in slot 1 and logs the balance under it as a topic; reverts when the word is zero.
CODE = "0x5f35806009575f5ffd5b80600155475f5260205fa100"
NO_LOGS = "0x1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347"
LOGS = (
    "0xb170041b9636e045216fdaab1c59b7fcd0a549ae6961ab835f5c5f6b8bfbb957",
    "0x2755f7f9f1fb2734ecf6b6b654795146429ce1fb5ea5e4e7353b7c197408bc0b",
)
# Roots as Ethereum's executable specification gives them for these four transactions.
PLAIN_ROOTS = (
    ((0, 0, 0), "0x0150dde6d85a40d095371875e0c5f8f500b89e9a3565a3da6816cae4b1eb2b00", LOGS[0], ""),
    ((0, 0, 1), "0xb7b6790786a396e7020533629819d184bae8a8a7c4c33b4f13a5430e89276b6d", LOGS[1], ""),
    ((1, 0, 1), "0x16126f5195ea7fa9d511b827bdf23f037cd0140245bcbc7a068cc6d28cd1f0b2", NO_LOGS, ""),
    ((0, 1, 0), "0xb4cf0d15c31b9b693a48c2c4634db845d3abd24015a2025446642eca3f3ef478", NO_LOGS, "intrinsic gas"),
    ((1, 1, 0), "0xb60399039b73be384f5bdb66cb672bddc0c522dca903289d5694a406f2c5924e", NO_LOGS, ""),
)
LISTED_ROOTS = (
    ((0, 0, 0), "0x4a114e9927d515b87d4178a0c95c0b65174587713a42b8ebca93446650672876", LOGS[0], ""),
    ((0, 0, 1), "0x222e3bbde0489e70455c8392d76ef5518977d9e2f814feffcb6b007e61f1b4d4", LOGS[1], ""),
)
DYNAMIC_ROOTS = (
    ((0, 0, 0), "0x0d893c0565d1fdf1e5b9b6a19d5c9d3f606838b69ed5ad636a6df0dfa0e249cf", LOGS[0], ""),
    ((0, 0, 1), "0xa4170ecaaedc7d512b92f070b5bd5b51f34b58da1a7bd5d6cbf8b180c85af83d", LOGS[1], ""),
)
CREATION_ROOTS = (
    ((0, 0, 0), "0xab54175be52f7278a4fb34bf10dcda27429a8c7199c083ab95988fe3e888f44c", NO_LOGS, ""),
    ((0, 0, 1), "0x1f8a98330042dabb5086a220bbcc07a8421c2ee5a49cc560f17f1f55be1af40f", NO_LOGS, ""),
    ((1, 0, 1), "0x8768f29b26b450a5e91594d6c8bbc2f261987068c9ec9fc92a5d7c119157949a", NO_LOGS, ""),
)
LIST = [{"address": CONTRACT, "storageKeys": ["0x01"]}]
CREATION = {"to": "", "data": ["0x600a600c5f39600a5ff3" + "00" * 12, "0x60016000"], "gasLimit": ["0x186a0"]}


def _test(roots: tuple[tuple[tuple[int, int, int], str, str, str], ...], **changes: Any) -> dict[str, Any]:
    transaction = {
        "data": ["0x" + "00" * 31 + "05", "0x"],
        "gasLimit": ["0x11170", "0x5208"],
        "value": ["0x00", "0x01"],
        "nonce": "0x01",
        "to": CONTRACT,
        "secretKey": "0x45a915e4d060149eb4365960e6a7a45f334393093061116b197e3240065ff2d8",
        **changes,
    }
    post = [
        {"indexes": {"data": data, "gas": gas, "value": value}, "hash": root, "logs": logs}
        | ({"expectException": refusal} if refusal else {})
        for (data, gas, value), root, logs, refusal in roots
    ]
    return {
        "env": {
            "currentCoinbase": "0x2adc25665018aa1fe0e6bc666dac8fc2697ff9ba",
            "currentNumber": "0x5",
            "currentTimestamp": "0x3e8",
            "currentGasLimit": "0x1c9c380",
            "currentRandom": "0x07",
            "currentBaseFee": "0x03",
        },
        "pre": {
            SENDER: {"nonce": "0x01", "balance": "0xde0b6b3a7640000", "code": "0x", "storage": {}},
            CONTRACT: {"nonce": "0x01", "balance": "0x0a", "code": CODE, "storage": {"0x01": "0x02"}},
        },
        "transaction": transaction,
        "post": {"Cancun": [], "Prague": post},
    }


@pytest.fixture
def document() -> dict[str, Any]:
    return {
        "plain": _test(PLAIN_ROOTS, gasPrice="0x0a"),
        "listed": _test(LISTED_ROOTS, gasPrice="0x0a", accessLists=[LIST, LIST]),
        "dynamic": _test(DYNAMIC_ROOTS, maxFeePerGas="0x0a", maxPriorityFeePerGas="0x02", accessLists=[[], []]),
        "creating": _test(CREATION_ROOTS, gasPrice="0x0a", **CREATION),
    }


def _run(folder: Path, document: object, with_reference: bool = True) -> list[Verdict]:
    path = folder / "stOwn" / "own.json"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(orjson.dumps(document))
    return run_file(path, folder, 60, with_reference)


def test_calls_creations_fees_and_access_lists_end_as_the_specification_and_py_evm_say(
    document: dict[str, Any], tmp_path: Path
) -> None:
    verdicts = _run(tmp_path, document)
    assert {verdict.name: verdict.detail for verdict in verdicts if verdict.ended != PASSED} == {}
    assert len(verdicts) == 12
    assert {verdict.category for verdict in verdicts} == {"stOwn/own"}


def test_another_root_or_hash_of_logs_than_the_fixtures_is_a_failure(document: dict[str, Any], tmp_path: Path) -> None:
    post = document["plain"]["post"]["Prague"]
    post[0]["hash"], post[1]["logs"], post[2]["expectException"] = post[1]["hash"], NO_LOGS, "balance"
    details = [verdict.detail for verdict in _run(tmp_path, {"plain": document["plain"]}) if verdict.ended == FAILED]
    assert details == [
        "state root unlike the fixture's (ours ended: well)",
        "logs unlike the fixture's (ours ended: well)",
        "fixture: refused True, ours: accepted (ours ended: Revert)",
    ]


def test_transactions_of_kinds_that_the_chain_has_not_are_left_out_by_name(
    document: dict[str, Any], tmp_path: Path
) -> None:
    blob, setting, delegated = (deepcopy(document["plain"]) for _ in range(3))
    blob["transaction"]["blobVersionedHashes"] = ["0x01" + "00" * 31]
    setting["transaction"]["authorizationList"] = []
    delegated["pre"][CONTRACT]["code"] = "0xef0100" + SENDER[2:]
    verdicts = _run(tmp_path, {"blob": blob, "setting": setting, "delegated": delegated})
    assert {verdict.ended for verdict in verdicts} == {LEFT_OUT}
    assert [verdict.detail[:20] for verdict in verdicts[::5]] == [
        "blob transactions (E",
        "set-code transaction",
        "accounts with delega",
    ]


def test_a_fixture_without_a_prague_result_is_compared_with_py_evm(document: dict[str, Any], tmp_path: Path) -> None:
    for test in document.values():
        test["post"] = {"Cancun": test["post"]["Prague"]}
    verdicts = _run(tmp_path, document, with_reference=False)
    assert {(verdict.ended, verdict.is_by_reference) for verdict in verdicts} == {(PASSED, True)}


def test_files_without_state_tests_have_no_cases(tmp_path: Path) -> None:
    assert _run(tmp_path, {"rlp": {"in": "dog", "out": "0x83646f67"}}) == []
    assert _run(tmp_path, [1, 2]) == []


def test_every_state_test_of_the_folder_named_in_the_environment_passes() -> None:
    folder = os.environ.get(FOLDER_VARIABLE)
    if not folder:
        pytest.skip(f"{FOLDER_VARIABLE} names no folder of Ethereum's state tests: they were not run")
    assert report(run_folder(Path(folder), 1, 60, False)) == 0
