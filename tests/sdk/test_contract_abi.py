"""A contract's ABI in text: arguments by their types, answers, events and refusals, and the files that compilers leave."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from eth_abi.abi import encode
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.abi import keccak256
from sdk.contract_abi import ContractAbi, show_outputs
from sdk.contract_artefact import load_artefact
from verification.errors import InputError

ADDRESS = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
"""An example of EIP-55."""
PAIR = {"type": "tuple", "components": [{"name": "name", "type": "string"}, {"name": "count", "type": "uint8"}]}


def abi(*entries: Any) -> ContractAbi:
    return ContractAbi(list(entries))


def function(*types: str | dict[str, Any], name: str = "f", outputs: tuple[Any, ...] = ()) -> dict[str, Any]:
    def parameter(index: int, kind: str | dict[str, Any]) -> dict[str, Any]:
        return {"name": f"a{index}"} | (kind if isinstance(kind, dict) else {"type": kind})

    inputs = [parameter(index, kind) for index, kind in enumerate(types)]
    returned = [parameter(index, kind) for index, kind in enumerate(outputs)]
    return {"type": "function", "name": name, "inputs": inputs, "outputs": returned, "stateMutability": "view"}


def encoded(kind: str | dict[str, Any], text: str) -> bytes:
    return abi(function(kind)).function("f", 1).encode_inputs([text])


@pytest.mark.parametrize(
    ("kind", "text", "types", "value"),
    [
        ("uint256", str(2**256 - 1), "uint256", 2**256 - 1),
        ("uint8", "0xff", "uint8", 255),
        ("int128", "-5", "int128", -5),
        ("bool", "true", "bool", True),
        ("bool", "false", "bool", False),
        ("address", ADDRESS, "address", ADDRESS),
        ("address", ADDRESS.lower(), "address", ADDRESS),
        ("bytes4", "0x01020304", "bytes4", b"\x01\x02\x03\x04"),
        ("bytes", "0x", "bytes", b""),
        ("string", "不动产 title, [1]", "string", "不动产 title, [1]"),
        ("string", "", "string", ""),
        ("uint16[]", "[]", "uint16[]", []),
        ("uint16[2][]", '[[1,2],["3","0x4"]]', "uint16[2][]", [[1, 2], [3, 4]]),
        ("bool[3]", "[true, false, true]", "bool[3]", [True, False, True]),
        (PAIR, '["甲", 3]', "(string,uint8)", ("甲", 3)),
        (PAIR, '{"count": 3, "name": "甲"}', "(string,uint8)", ("甲", 3)),
        ("string[]", json.dumps(["[" * 100 + '"'] * 2), "string[]", ["[" * 100 + '"'] * 2),
        (PAIR | {"type": "tuple[]"}, '[["a", 1], {"name": "b", "count": 2}]', "(string,uint8)[]", [("a", 1), ("b", 2)]),
    ],
)
def test_an_argument_is_read_by_its_type(kind: Any, text: str, types: str, value: Any) -> None:
    assert encoded(kind, text) == encode([types], [value])


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        ("uint8", "256", "2^8-1"),
        ("uint8", "-1", "2^8-1"),
        ("uint8", "1.0", "integer"),
        ("uint8", "１", "integer"),
        ("uint256", "9" * 79, "integer"),
        ("int8", "128", "2^7-1"),
        ("bool", "yes", "true or false"),
        ("address", "0x1234", "40 hex digits"),
        ("address", ADDRESS[:-1] + "D", "EIP-55"),
        ("bytes4", "0x010203", "8 hex digits"),
        ("bytes4", "01020304", "0x and 8"),
        ("bytes", "0x0", "an even number of hex digits"),
        ("uint8[]", "1,2", "JSON"),
        ("uint8[]", "[" * 100_000, "a list"),
        ("uint8[]", '["[[]]"', "JSON"),
        ("uint8[]", '{"a": 1}', "a list"),
        ("uint8[]", "[1.5]", "integer"),
        ("uint8[]", "[true]", "integer"),
        ("uint8[2]", "[1]", "a list of 2"),
        ("bool[]", "[[]]", "true or false"),
        ("string[]", "[1]", "text"),
        (PAIR, '["a"]', "2 values"),
        (PAIR, '{"name": "a", "sum": 1}', "2 values"),
    ],
)
def test_an_argument_that_does_not_fit_is_named_with_what_was_expected(kind: Any, text: str, expected: str) -> None:
    with pytest.raises(InputError) as refused:
        encoded(kind, text)
    assert refused.value.code == "ARGUMENTS_INVALID"
    assert "a0" in refused.value.en
    assert expected in refused.value.en
    assert len(refused.value.en) < 300


def test_the_number_of_arguments_is_checked_with_their_types_named() -> None:
    with pytest.raises(InputError, match=r"takes 2 arguments \(uint8 a0, string a1\), 1 given"):
        abi(function("uint8", "string")).function("f", 1).encode_inputs(["1"])


@settings(max_examples=200, deadline=None)
@given(
    text=st.text(max_size=60),
    kind=st.sampled_from(["uint8", "int256", "bool", "address", "bytes4", "bytes", "uint8[]"]),
)
def test_no_text_does_anything_but_fit_or_be_refused(text: str, kind: str) -> None:
    with contextlib.suppress(InputError):
        encoded(kind, text)


def test_text_that_is_no_unicode_is_refused() -> None:
    with pytest.raises(InputError, match="cannot encode"):
        encoded("string", "\udce4")


def test_an_overloaded_method_is_told_by_the_number_of_arguments_or_the_signature() -> None:
    found = abi(function("uint8"), function("string"), function("uint8", "uint8"))
    assert found.function("f", 2).signature == "f(uint8,uint8)"
    assert found.function("f(string)", 1).signature == "f(string)"
    with pytest.raises(InputError, match=r"f\(uint8\), f\(string\)"):
        found.function("f", 1)
    with pytest.raises(InputError, match="there are: f, f, f"):
        found.function("g", 1)


def test_answers_are_shown_in_json_s_types() -> None:
    outputs = ("uint256", "bytes2", PAIR, "address", {"type": "tuple[1]", "components": [{"name": "", "type": "bool"}]})
    entry = abi(function(outputs=outputs)).function("f", 0)
    values = [2**60, b"\x01\x02", ("甲", 1), ADDRESS, [(True,)]]
    data = encode(["uint256", "bytes2", "(string,uint8)", "address", "(bool)[1]"], values)
    shown = show_outputs(entry, data)
    assert shown == [str(2**60), "0x0102", {"name": "甲", "count": 1}, ADDRESS.lower(), [[True]]]
    for wrong in (b"", data[:-1], b"\xff" * len(data)):
        with pytest.raises(InputError, match="check ABI and address"):
            show_outputs(entry, wrong)


def test_an_event_is_shown_with_its_indexed_fields_and_one_of_another_abi_is_not() -> None:
    inputs = [
        {"name": "who", "type": "address", "indexed": True},
        {"name": "note", "type": "string", "indexed": False},
        {"name": "label", "type": "string", "indexed": True},
    ]
    found = abi({"type": "event", "name": "Noted", "inputs": inputs})
    topic = keccak256(b"Noted(address,string,string)")
    topics = [topic, bytes(12) + bytes.fromhex(ADDRESS[2:]), b"\x07" * 32]
    data = encode(["string"], ["记录"])
    assert found.event("Noted") == topic
    assert found.show_log(topics, data) == (
        "Noted",
        {"who": ADDRESS.lower(), "note": "记录", "label": "0x" + "07" * 32},
    )
    for wrong in ([], [b"\x01" * 32, *topics[1:]], topics[:2], [*topics, topic]):
        assert found.show_log(wrong, data) == (None, {})
    assert found.show_log(topics, data[:-1]) == (None, {})
    with pytest.raises(InputError, match=r"there are: Noted\(address,string,string\)"):
        found.event("Other")


def test_a_reason_is_shown_in_the_abi_s_words() -> None:
    found = abi({"type": "error", "name": "TooLow", "inputs": [{"name": "bid", "type": "uint256"}, {"type": "bool"}]})
    low = keccak256(b"TooLow(uint256,bool)")[:4] + encode(["uint256", "bool"], [7, True])
    assert found.show_refusal(low) == "TooLow(bid=7, True)"
    assert found.show_refusal(bytes.fromhex("4e487b71") + encode(["uint256"], [0x11])) == "Panic(17)"
    assert found.show_refusal(bytes.fromhex("08c379a0") + encode(["string"], ["太低 / too low"])) == "太低 / too low"
    assert found.show_refusal(b"\x01\x02") == "0x0102"
    assert found.show_refusal(low[:20]) == "0x" + low[:20].hex()
    assert found.show_refusal(b"") is None


@pytest.mark.parametrize(
    "content",
    [
        7,
        {"type": "function"},
        [7],
        [{"type": "function", "name": "f", "inputs": [{"type": "uint7"}]}],
        [{"type": "event", "name": "e", "inputs": [{"type": "function"}]}],
        [{"type": "error", "name": "e", "inputs": [{"type": "uint8" + "[]" * 40}]}],
        [{"type": "event", "name": "e", "inputs": [{"type": "uint8[" + "9" * 5_000 + "]"}]}],
        [{"type": "receive"}] * 5_001,
    ],
)
def test_what_is_no_abi_is_refused(content: Any) -> None:
    with pytest.raises(InputError) as refused:
        ContractAbi(content).function("f", 0).encode_inputs(["1"])
    assert refused.value.code in {"ABI_INVALID", "ARGUMENTS_INVALID"}
    assert len(str(refused.value)) < 500


ABI = [function("uint8", name="set")]
CODE = "6001600155"
FORMS = {
    "hardhat": {"contractName": "Box", "abi": ABI, "bytecode": "0x" + CODE, "linkReferences": {}},
    "foundry": {"abi": ABI, "bytecode": {"object": "0x" + CODE, "sourceMap": "", "linkReferences": {}}},
    "standard": {"contracts": {"a/Box.sol": {"Box": {"abi": ABI, "evm": {"bytecode": {"object": CODE}}}}}},
    "build-info": {
        "input": {},
        "output": {"contracts": {"Box.sol": {"Box": {"abi": ABI, "evm": {"bytecode": {"object": CODE}}}}}},
    },
    "combined": {"contracts": {"a/Box.sol:Box": {"abi": ABI, "bin": CODE}}, "version": "0.8.30"},
    "combined-old": {"contracts": {"Box.sol:Box": {"abi": json.dumps(ABI), "bin": CODE}}, "version": "0.5.1"},
    "vyper": {"version": "0.4.3", "a/Box.vy": {"abi": ABI, "bytecode": "0x" + CODE, "bytecode_runtime": "0x00"}},
    "vyper-standard": {"contracts": {"Box.vy": {"Box": {"abi": ABI, "evm": {"bytecode": {"object": "0x" + CODE}}}}}},
}


@pytest.mark.parametrize("form", FORMS)
def test_every_compiler_s_file_gives_abi_and_bytecode(tmp_path: Path, form: str) -> None:
    path = tmp_path / "Box.json"
    path.write_text(json.dumps(FORMS[form]))
    for contract in (None, "Box"):
        found = load_artefact(path, contract)
        assert (found.bytecode, found.abi.function("set", 1).signature) == (bytes.fromhex(CODE), "set(uint8)")
        assert found.name == "Box"


def test_a_bare_abi_has_no_bytecode(tmp_path: Path) -> None:
    path = tmp_path / "Box.json"
    path.write_text(json.dumps(ABI))
    assert load_artefact(path).bytecode is None


def test_of_several_contracts_one_must_be_named(tmp_path: Path) -> None:
    one = {"abi": ABI, "evm": {"bytecode": {"object": CODE}}}
    path = tmp_path / "out.json"
    path.write_text(json.dumps({"contracts": {"A.sol": {"A": one, "B": one}, "B.sol": {"B": one}}}))
    assert load_artefact(path, "A").name == "A"
    assert load_artefact(path, "B.sol:B").name == "B"
    for contract, listed in ((None, "A.sol:A, A.sol:B, B.sol:B"), ("B", "A.sol:B, B.sol:B"), ("C", "A.sol:A")):
        with pytest.raises(InputError, match=listed) as refused:
            load_artefact(path, contract)
        assert refused.value.code == "CONTRACT_UNKNOWN"


def test_interfaces_beside_the_one_contract_with_code_need_no_choice(tmp_path: Path) -> None:
    one, without = ({"abi": ABI, "evm": {"bytecode": {"object": code}}} for code in (CODE, ""))
    path = tmp_path / "out.json"
    path.write_text(json.dumps({"contracts": {"A.sol": {"A": one, "IA": without}, "I.sol": {"I": without}}}))
    assert load_artefact(path).name == "A"
    assert load_artefact(path, "IA").bytecode is None


@pytest.mark.parametrize(
    ("name", "content", "zh", "en"),
    [
        ("Gate.vy", "# pragma version ^0.4.0", "是源代码，请先编译", "is source code: compile it"),
        ("Gate.sol", "pragma solidity ^0.8.0;", "是源代码，请先编译", "is source code: compile it"),
        ("Gate.bin", "0x" + CODE + "\n", "只有字节码，没有 ABI，请先编译", "has bytecode only, and no ABI: compile it"),
        ("Gate.json", "\n{,", "第 2 行起不是 JSON", "is not JSON"),
        ("Gate.json", "", "不是 JSON", "is not JSON"),
    ],
)
def test_a_file_that_no_compiler_wrote_as_json_is_told_what_it_is(
    tmp_path: Path, name: str, content: str, zh: str, en: str
) -> None:
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(InputError) as refused:
        load_artefact(path)
    assert zh in refused.value.zh
    assert en in refused.value.en
    assert ("vyper -f combined_json" in refused.value.en) == (path.suffix != ".json")
    assert "unexpected" not in refused.value.zh


def test_a_choice_that_is_missing_is_asked_for_without_a_stray_blank(tmp_path: Path) -> None:
    one = {"abi": ABI, "evm": {"bytecode": {"object": CODE}}}
    path = tmp_path / "out.json"
    path.write_text(json.dumps({"contracts": {"A.sol": {"A": one, "B": one}}}))
    with pytest.raises(InputError, match=r"恰有一个合约，请.*expected one contract in "):
        load_artefact(path)
    with pytest.raises(InputError, match=r"恰有一个名为 C 的合约，请.*expected one contract called C in "):
        load_artefact(path, "C")


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ("{", "ARTEFACT_INVALID"),
        ("[" * 100_000, "ARTEFACT_INVALID"),
        ("7", "ARTEFACT_INVALID"),
        ("{}", "ARTEFACT_INVALID"),
        ('{"contracts": {"a": 1, "b": {"c": 2}}}', "ARTEFACT_INVALID"),
        ('{"abi": [], "bytecode": "0x60zz"}', "ARTEFACT_INVALID"),
        ('{"abi": [], "bytecode": 7}', "ARTEFACT_INVALID"),
        ('{"abi": [], "bytecode": "0x73__$0123$__63"}', "LIBRARY_NOT_LINKED"),
        ('{"abi": {"a": 1}, "bytecode": "0x60"}', "ABI_INVALID"),
        ('{"abi": "[", "bytecode": "0x60"}', "ABI_INVALID"),
    ],
)
def test_a_file_that_is_no_artefact_is_refused(tmp_path: Path, content: str, code: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(content)
    with pytest.raises(InputError) as refused:
        load_artefact(path)
    assert refused.value.code == code
