"""The ABI codec against the Solidity specification's examples, against eth_abi, and against arbitrary bytes."""

from __future__ import annotations

from typing import Any

import pytest
from eth_abi.abi import decode as eth_decode
from eth_abi.abi import encode as eth_encode
from eth_abi.exceptions import DecodingError
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.abi import (
    MAX_ABI_BYTES,
    AbiError,
    Tuple,
    abi_type,
    decode_error,
    encode_error,
    keccak256,
    selector,
)

SCALARS = [
    "uint8",
    "uint32",
    "uint64",
    "uint128",
    "uint256",
    "int8",
    "int64",
    "int256",
    "bool",
    "address",
    "bytes4",
    "bytes32",
]
NAMES = st.recursive(
    st.sampled_from([*SCALARS, "string", "bytes"]),
    lambda inner: (
        inner.map(lambda name: name + "[]")
        | st.lists(inner, min_size=1, max_size=3).map(lambda names: f"({','.join(names)})")
    ),
    max_leaves=5,
)


def values(name: str) -> st.SearchStrategy[Any]:
    """Return values of the ABI type with this name."""
    kind = abi_type(name)
    if name.endswith("[]"):
        return st.lists(values(name[:-2]), max_size=3)
    if isinstance(kind, Tuple):
        return st.tuples(*(values(item.name) for item in kind.items)).map(list)
    if name.startswith("uint"):
        return st.integers(0, 2 ** int(name[4:]) - 1)
    if name.startswith("int"):
        bits = int(name[3:])
        return st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    if name == "bool":
        return st.booleans()
    if name == "string":
        return st.text(max_size=70)
    length = {"bytes": None, "address": 20, "bytes4": 4, "bytes32": 32}[name]
    return st.binary(max_size=70) if length is None else st.binary(min_size=length, max_size=length)


def as_eth(name: str, value: Any) -> Any:
    """Return a value in the form that eth_abi gives: tuples for lists, 0x addresses."""
    kind = abi_type(name)
    if name.endswith("[]"):
        return tuple(as_eth(name[:-2], item) for item in value)
    if isinstance(kind, Tuple):
        return tuple(as_eth(item.name, one) for item, one in zip(kind.items, value, strict=True))
    return "0x" + value.hex() if name == "address" else value


@st.composite
def typed_values(draw: st.DrawFn) -> tuple[list[str], list[Any]]:
    names = draw(st.lists(NAMES, min_size=1, max_size=4))
    return names, [draw(values(name)) for name in names]


def arguments_type(names: list[str]) -> Tuple:
    return Tuple([abi_type(name) for name in names])


def test_selector_of_the_specification() -> None:
    # Solidity 0.8 ABI specification, "Examples".
    assert selector("baz(uint32,bool)").hex() == "cdcd77c0"
    assert selector("sam(bytes,bool,uint256[])").hex() == "a5643bf2"
    assert keccak256(b"").hex() == "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"


def test_encoding_of_the_specification() -> None:
    # sam("dave", true, [1, 2, 3]) of the same examples.
    words = [0x60, 1, 0xA0, 4, int.from_bytes(b"dave".ljust(32, b"\0"), "big"), 3, 1, 2, 3]
    expected = b"".join(word.to_bytes(32, "big") for word in words)
    kind = arguments_type(["bytes", "bool", "uint256[]"])
    assert kind.encode([b"dave", True, [1, 2, 3]]) == expected
    assert kind.decode_all(expected) == [b"dave", True, [1, 2, 3]]


@settings(max_examples=300, deadline=None)
@given(typed_values())
def test_same_bytes_and_values_as_eth_abi(drawn: tuple[list[str], list[Any]]) -> None:
    names, given_values = drawn
    kind = arguments_type(names)
    encoded = kind.encode(given_values)
    assert encoded == eth_encode(names, [as_eth(n, v) for n, v in zip(names, given_values, strict=True)])
    assert kind.decode_all(encoded) == given_values


@settings(max_examples=300, deadline=None)
@given(typed_values(), st.data())
def test_a_changed_encoding_is_refused_or_another_value(
    drawn: tuple[list[str], list[Any]], data: st.DataObject
) -> None:
    names, given_values = drawn
    kind = arguments_type(names)
    encoded = bytearray(kind.encode(given_values))
    position = data.draw(st.integers(0, len(encoded) - 1))
    encoded[position] ^= data.draw(st.integers(1, 255))
    changed = bytes(encoded)
    try:
        decoded = kind.decode_all(changed)
    except AbiError:
        return
    assert kind.encode(decoded) == changed
    assert list(eth_decode(names, changed)) == [as_eth(n, v) for n, v in zip(names, decoded, strict=True)]


@settings(max_examples=300, deadline=None)
@given(st.lists(NAMES, min_size=1, max_size=4), st.binary(max_size=400))
def test_any_bytes_are_refused_or_canonical(names: list[str], raw: bytes) -> None:
    kind = arguments_type(names)
    try:
        decoded = kind.decode_all(raw)
    except AbiError:
        return
    assert kind.encode(decoded) == raw
    try:
        seen = eth_decode(names, raw)
    except DecodingError:
        pytest.fail("eth_abi refuses what the codec takes")
    assert list(seen) == [as_eth(n, v) for n, v in zip(names, decoded, strict=True)]


def word(number: int) -> bytes:
    return number.to_bytes(32, "big")


@pytest.mark.parametrize(
    ("names", "raw"),
    [
        (["uint8"], word(256)),
        (["uint64"], word(2**64)),
        (["int64"], word(2**63)),
        (["bool"], word(2)),
        (["address"], word(2**160)),
        (["bytes4"], b"abcd" + b"\1" + bytes(27)),
        (["uint8"], word(1) + b"\0"),
        (["uint8"], word(1)[:-1]),
        (["string"], word(32) + word(1) + b"a".ljust(31, b"\0")),
        (["string"], word(32) + word(1) + b"a".ljust(31, b"\0") + b"\1"),
        (["string"], word(32) + word(2) + b"\xff\xfe".ljust(32, b"\0")),
        (["string"], word(32) + word(3) + b"\xed\xa0\x80".ljust(32, b"\0")),
        (["string"], word(64) + word(0) + word(0)),
        (["bytes", "bytes"], word(64) + word(64) + word(0)),
        (["bytes", "bytes"], word(96) + word(64) + word(0) + word(0)),
        (["bytes"], word(32) + word(2**255)),
        (["uint8[]"], word(32) + word(2**40)),
        (["string[]"], word(32) + word(1) + word(64) + word(0) + word(0)),
    ],
    ids=lambda value: value[:60] if isinstance(value, str) else None,
)
def test_non_canonical_encodings_are_refused(names: list[str], raw: bytes) -> None:
    with pytest.raises(AbiError):
        arguments_type(names).decode_all(raw)


def test_data_over_the_limit_is_refused() -> None:
    kind = arguments_type(["bytes"])
    with pytest.raises(AbiError, match="at most"):
        kind.decode_all(kind.encode([bytes(MAX_ABI_BYTES)]))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("uint8", 256),
        ("uint8", -1),
        ("uint8", True),
        ("uint8", "1"),
        ("bool", 1),
        ("bytes32", b"short"),
        ("address", "0x00"),
        ("string", b"bytes"),
        ("string", "\ud800"),
        ("bytes", "text"),
        ("uint8[]", 3),
        ("(uint8,bool)", [1]),
    ],
)
def test_values_that_do_not_fit_are_refused(name: str, value: object) -> None:
    with pytest.raises(AbiError):
        arguments_type([name]).encode([value])


@pytest.mark.parametrize("name", ["uint7", "uint264", "bytes0", "bytes33", "fixed128x18", "function", "", "uint8[3]"])
def test_unknown_types_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="no ABI type"):
        abi_type(name)


@given(st.text(max_size=100))
def test_error_string_is_what_solidity_reverts_with(message: str) -> None:
    output = encode_error(message)
    assert output[:4] == selector("Error(string)")
    assert eth_decode(["string"], output[4:]) == (message,)
    assert decode_error(output) == message


@given(st.binary(max_size=150))
def test_other_output_is_no_error_string(raw: bytes) -> None:
    assert decode_error(raw) is None or encode_error(decode_error(raw) or "") == raw
    assert (
        decode_error(b"\x08\xc3\x79\xa0" + raw) is None
        or encode_error(decode_error(b"\x08\xc3\x79\xa0" + raw) or "")[4:] == raw
    )
