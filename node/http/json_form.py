"""Records, call arguments and events in JSON's types, and call arguments back from them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import islice
from typing import Any, Final

import msgspec

from contracts.abi import AbiError, AbiType, Array, Tuple

SAFE_INTEGER: Final = 2**53 - 1
MAX_DECIMAL_DIGITS: Final = 78
MAX_DEPTH: Final = 16
MAX_SHOWN_LENGTH: Final = 60
MAX_SHOWN_NAMES: Final = 10

_HEX = re.compile(r"(?:0x)?((?:[0-9a-fA-F]{2})*)")
_DECIMAL = re.compile(rf"-?(?:0|[1-9][0-9]{{0,{MAX_DECIMAL_DIGITS - 1}}})")


def to_json(value: Any) -> Any:
    """Return a value in JSON's types: structs as objects, bytes as 0x and hex, integers past 2**53 - 1 as decimal digits."""
    if isinstance(value, str | bool) or value is None:
        return value
    if isinstance(value, int):
        return value if -SAFE_INTEGER <= value <= SAFE_INTEGER else str(value)
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, msgspec.Struct):
        return {name: to_json(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, dict):
        return {name: to_json(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(item) for item in value]
    raise TypeError(f"{type(value).__name__} has no JSON form")


def from_json(kind: AbiType, value: Any, field: str, depth: int = 0) -> Any:
    """Return the argument of ABI type `kind` that a JSON value stands for; raise AbiError naming `field` when it stands for none."""
    if depth > MAX_DEPTH:
        raise AbiError(f"{field}: nested more than {MAX_DEPTH} deep")
    if isinstance(kind, Array):
        if not isinstance(value, list):
            raise AbiError(f"{field}: expected a list for {kind.name}, found {show_briefly(value)}")
        return [from_json(kind.element, item, f"{field}[{index}]", depth + 1) for index, item in enumerate(value)]
    if isinstance(kind, Tuple):
        return _tuple_from_json(kind, value, field, depth)
    if kind.name.startswith(("uint", "int")):
        if isinstance(value, str) and _DECIMAL.fullmatch(value):
            return int(value)
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        raise AbiError(f"{field}: expected an integer for {kind.name}, found {show_briefly(value)}")
    if kind.name == "bool":
        expected: type = bool
    elif kind.name == "string":
        expected = str
    else:
        match = _HEX.fullmatch(value) if isinstance(value, str) else None
        if match is None:
            raise AbiError(f"{field}: expected hex digits for {kind.name}, found {show_briefly(value)}")
        return bytes.fromhex(match[1])
    if not isinstance(value, expected):
        raise AbiError(f"{field}: expected a {kind.name}, found {show_briefly(value)}")
    return value


def _tuple_from_json(kind: Tuple, value: Any, field: str, depth: int) -> Any:
    names = list(kind.names)
    if isinstance(value, dict):
        if set(value) != set(names):
            raise AbiError(f"{field}: expected the fields {', '.join(names)}, found {show_names(value)}")
        value = [value[name] for name in names]
    if not isinstance(value, list) or len(value) != len(kind.items):
        raise AbiError(f"{field}: expected {len(kind.items)} values for {kind.name}, found {show_briefly(value)}")
    labels = names or [str(index) for index in range(len(value))]
    return [
        from_json(item_kind, item, f"{field}.{label}", depth + 1)
        for item_kind, item, label in zip(kind.items, value, labels, strict=True)
    ]


def show_names(names: Iterable[str]) -> str:
    """Return a caller's names as an error shows them: the first MAX_SHOWN_NAMES of them, each cut to its beginning."""
    shown = [show_briefly(name) for name in islice(names, MAX_SHOWN_NAMES + 1)]
    return ", ".join(shown if len(shown) <= MAX_SHOWN_NAMES else [*shown[:MAX_SHOWN_NAMES], "…"])


def show_briefly(value: Any) -> str:
    """Return a caller's JSON value as an error shows it; lists and objects by their size, whatever they hold."""
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if isinstance(value, dict):
        return f"an object of {len(value)}"
    text = repr(value if not isinstance(value, str) else value[:MAX_SHOWN_LENGTH])
    return text if len(text) <= MAX_SHOWN_LENGTH else text[: MAX_SHOWN_LENGTH - 1] + "…"
