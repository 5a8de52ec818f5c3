"""The contract ABI for the types that system contracts use: one encoding per value, and only that encoding decodes.

Types: uint8 to uint256, int8 to int256, bool, address, bytes1 to bytes32, bytes, string, T[] and tuples. Layout as the Solidity
ABI specification gives it; stricter in one way: tails lie in order without gap or overlap, and padding is right.
"""

from __future__ import annotations

import re
import struct
import types
import typing
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Final, Protocol

import msgspec

from contracts.keccak import keccak

MAX_ABI_BYTES: Final = 128 * 1024
MAX_TUPLE_WIDTH: Final = 64

_WORD: Final = struct.Struct(">24sQ")
_NO_PAD: Final = b""
_PAD_24: Final = bytes(24)
_PADS: Final = tuple(bytes(length) for length in range(33))


class AbiError(Exception):
    """Bytes are not the encoding of the declared types, or a value does not fit its type."""


class AbiType(Protocol):
    """One type: its canonical name, how it stands in a head, and how it encodes and decodes."""

    name: str
    is_dynamic: bool
    head_size: int
    """Bytes in the head: 32 for a dynamic type, whose head is an offset."""

    def encode(self, value: Any) -> bytes:
        """Return the bytes of `value`: its head when static, its tail when dynamic; raise AbiError when it does not fit."""

    def decode(self, data: bytes, at: int) -> tuple[Any, int]:
        """Return the value at `at` and where the next one begins; raise AbiError on anything but the canonical encoding."""


class Word:
    """A type of one 32-byte word, read as `form` (struct format) with the fixed bytes `pad` beside the value."""

    __slots__ = ("convert", "form", "head_size", "is_dynamic", "kind", "name", "pack", "pad", "pad_first")

    def __init__(
        self,
        name: str,
        form: str,
        pad: bytes,
        pad_first: bool,
        convert: Callable[[Any], Any] | None,
        pack: Callable[[Any], bytes],
    ) -> None:
        """Keep the parts; `convert` checks and turns the raw field into the value, `pack` the value into a word."""
        self.name, self.form, self.pad, self.pad_first, self.convert, self.pack = (
            name,
            form,
            pad,
            pad_first,
            convert,
            pack,
        )
        self.is_dynamic, self.head_size = False, 32

    def encode(self, value: Any) -> bytes:
        """Return the 32-byte word of `value`."""
        return self.pack(value)

    def decode(self, data: bytes, at: int) -> tuple[Any, int]:
        """Return the value of the word at `at`, and `at` + 32."""
        return _single(self).decode_fields(data, at)[0], at + 32


class Text:
    """A `string` (UTF-8) or `bytes`: a length word, then the bytes padded with zeros to a multiple of 32."""

    __slots__ = ("head_size", "is_dynamic", "is_text", "name")

    def __init__(self, name: str) -> None:
        """Take `string` or `bytes`."""
        self.name, self.is_text = name, name == "string"
        self.is_dynamic, self.head_size = True, 32

    def encode(self, value: Any) -> bytes:
        """Return length word and padded bytes."""
        raw: bytes
        if self.is_text and isinstance(value, str):
            try:
                raw = value.encode()
            except UnicodeEncodeError:
                raise AbiError("expected a string of Unicode characters, found half of a surrogate pair") from None
        elif self.is_text or not isinstance(value, bytes):
            raise AbiError(f"expected {self.name}, found {type(value).__name__}")
        else:
            raw = value
        return _WORD.pack(_PAD_24, len(raw)) + raw + _PADS[-len(raw) % 32]

    def decode(self, data: bytes, at: int) -> tuple[Any, int]:
        """Return the str or bytes at `at`, and where it ends, padding included."""
        start = at + 32
        if len(data) < start:
            raise AbiError(f"expected the length of a {self.name} at byte {at}, found the end of the data")
        pad, length = _WORD.unpack_from(data, at)
        if pad != _PAD_24 or length > len(data) - start:
            raise AbiError(f"expected a {self.name} at byte {at} within {len(data)} bytes of data")
        end = start + length
        padding = -length % 32
        if padding and data[end : end + padding] != _PADS[padding]:
            raise AbiError(f"expected a {self.name} at byte {at} to be padded with zero bytes to a multiple of 32")
        if not self.is_text:
            return data[start:end], end + padding
        try:
            return data[start:end].decode(), end + padding
        except UnicodeDecodeError:
            raise AbiError(f"expected UTF-8 in the string at byte {at}") from None


class Array:
    """T[]: a count word, then the elements as a tuple of that many."""

    __slots__ = ("build", "element", "head_size", "is_dynamic", "name")

    def __init__(self, element: AbiType, build: type[list[Any]] | type[tuple[Any, ...]] = list) -> None:
        """Take the type of the elements, and what they decode to: a list, or a tuple as frozen structs hold them."""
        self.element, self.name, self.build = element, element.name + "[]", build
        self.is_dynamic, self.head_size = True, 32

    def encode(self, value: Any) -> bytes:
        """Return count word, heads and tails."""
        if not isinstance(value, (list, tuple)):
            raise AbiError(f"expected {self.name}, found {type(value).__name__}")
        parts = [self.element.encode(item) for item in value]
        count = _WORD.pack(_PAD_24, len(parts))
        if not self.element.is_dynamic:
            return count + b"".join(parts)
        return count + _heads_and_tails([(True, part) for part in parts], 32 * len(parts))

    def decode(self, data: bytes, at: int) -> tuple[list[Any] | tuple[Any, ...], int]:
        """Return the list or tuple at `at` and where it ends."""
        start = at + 32
        if len(data) < start:
            raise AbiError(f"expected the count of a {self.name} at byte {at}, found the end of the data")
        pad, count = _WORD.unpack_from(data, at)
        # The heads alone must fit, so a forged count costs nothing.
        if pad != _PAD_24 or count * self.element.head_size > len(data) - start:
            raise AbiError(f"expected a {self.name} at byte {at} within {len(data)} bytes of data")
        tail = start + count * self.element.head_size
        if self.element.name == "bytes32":
            return self.build(data[head : head + 32] for head in range(start, tail, 32)), tail
        values: list[Any] = []
        for index in range(count):
            head = start + index * self.element.head_size
            if self.element.is_dynamic:
                _check_offset(data, head, tail - start)
                value, tail = self.element.decode(data, tail)
            else:
                value, _ = self.element.decode(data, head)
            values.append(value)
        return self.build(values), tail


class Tuple:
    """(T1,T2,…): the heads in order, then the tails of the dynamic ones in order; `build` makes the value from the list."""

    __slots__ = (
        "_pads",
        "_plan",
        "_unpack",
        "build",
        "head_size",
        "heads_size",
        "is_dynamic",
        "items",
        "name",
        "names",
    )

    def __init__(
        self, items: Sequence[AbiType], names: Sequence[str] = (), build: Callable[..., Any] | None = None
    ) -> None:
        """Compile the layout of at most MAX_TUPLE_WIDTH items; `names` are for messages, structs and the ABI JSON."""
        if len(items) > MAX_TUPLE_WIDTH:
            raise ValueError(f"a tuple has at most {MAX_TUPLE_WIDTH} items, this one has {len(items)}")
        self.items, self.names, self.build = tuple(items), tuple(names), build
        self.name = "(" + ",".join(item.name for item in items) + ")"
        self.is_dynamic = any(item.is_dynamic for item in items)
        self.heads_size = sum(item.head_size for item in items)
        self.head_size = 32 if self.is_dynamic else self.heads_size
        self._compile()

    def _compile(self) -> None:
        """Lay the heads out as one struct: all fixed padding is then checked, and all words read, in one pass."""
        form, index = ">", 0
        pads: list[tuple[int, bytes]] = []
        plan: list[tuple[int, Callable[[Any], Any] | None, AbiType | None]] = []
        for item in self.items:
            if isinstance(item, Word):
                form += item.form
                if item.pad:
                    pads.append((index if item.pad_first else index + 1, item.pad))
                plan.append((index + 1 if item.pad and item.pad_first else index, item.convert, None))
                index += 2 if item.pad else 1
            elif item.is_dynamic:
                form += "24sQ"
                pads.append((index, _PAD_24))
                plan.append((index + 1, None, item))
                index += 2
            else:
                form += f"{item.head_size}s"
                plan.append((index, _static_decoder(item), None))
                index += 1
        self._unpack = struct.Struct(form).unpack_from
        self._pads = tuple(pads)
        self._plan = tuple(plan)

    def encode(self, value: Any) -> bytes:
        """Return the heads and tails of a sequence, or of a struct of that many fields."""
        if isinstance(value, msgspec.Struct):
            value = msgspec.structs.astuple(value)
        if not isinstance(value, (list, tuple)) or len(value) != len(self.items):
            raise AbiError(f"expected {len(self.items)} values for {self.name}, found {value!r:.80}")
        parts = []
        for position, (item, one) in enumerate(zip(self.items, value, strict=True)):
            try:
                parts.append((item.is_dynamic, item.encode(one)))
            except AbiError as error:
                raise AbiError(f"{self.names[position] if self.names else position}: {error}") from None
        return _heads_and_tails(parts, self.heads_size)

    def decode(self, data: bytes, at: int) -> tuple[Any, int]:
        """Return the built value (a list when there is no `build`) at `at` and where it ends."""
        values, end = self._decode(data, at)
        return (values if self.build is None else self.build(*values)), end

    def decode_fields(self, data: bytes, at: int) -> list[Any]:
        """Return the list of values at `at`, whatever follows them."""
        return self._decode(data, at)[0]

    def decode_all(self, data: bytes, at: int = 0) -> list[Any]:
        """Return the list of values that fill `data` from `at` to its end; raise AbiError when it is not exactly that."""
        if len(data) > MAX_ABI_BYTES:
            raise AbiError(f"expected at most {MAX_ABI_BYTES} bytes of ABI data, found {len(data)}")
        values, end = self._decode(data, at)
        if end != len(data):
            raise AbiError(f"expected {end - at} bytes for {self.name}, found {len(data) - at}")
        return values

    def _decode(self, data: bytes, at: int) -> tuple[list[Any], int]:
        try:
            fields = self._unpack(data, at)
        except struct.error:
            raise AbiError(
                f"expected {self.heads_size} bytes for the heads of {self.name}, found {len(data) - at}"
            ) from None
        for index, pad in self._pads:
            if fields[index] != pad:
                raise AbiError(f"expected zero padding in every word of {self.name}")
        tail = at + self.heads_size
        values = []
        for index, convert, dynamic in self._plan:
            value = fields[index]
            if dynamic is not None:
                if value != tail - at:
                    raise AbiError(f"expected offset {tail - at} for a {dynamic.name} in {self.name}, found {value}")
                value, tail = dynamic.decode(data, tail)
            elif convert is not None:
                value = convert(value)
            values.append(value)
        return values, tail


def _static_decoder(item: AbiType) -> Callable[[bytes], Any]:
    return lambda raw: item.decode(raw, 0)[0]


@lru_cache(maxsize=128)
def _single(item: Word) -> Tuple:
    return Tuple((item,))


def _check_offset(data: bytes, at: int, expected: int) -> None:
    pad, offset = _WORD.unpack_from(data, at)
    if pad != _PAD_24 or offset != expected:
        raise AbiError(f"expected offset {expected} at byte {at}, found {int.from_bytes(data[at : at + 32], 'big')}")


def _heads_and_tails(parts: list[tuple[bool, bytes]], heads_size: int) -> bytes:
    heads, tails, offset = [], [], heads_size
    for is_dynamic, part in parts:
        if is_dynamic:
            heads.append(_WORD.pack(_PAD_24, offset))
            tails.append(part)
            offset += len(part)
        else:
            heads.append(part)
    return b"".join(heads + tails)


def _integer(bits: int, signed: bool) -> Word:
    name = f"{'int' if signed else 'uint'}{bits}"
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)

    def pack(value: Any) -> bytes:
        if type(value) is not int or not low <= value <= high:
            raise AbiError(f"expected {name}, found {value!r:.80}")
        return value.to_bytes(32, "big", signed=signed)

    def convert(raw: bytes) -> int:
        value = int.from_bytes(raw, "big", signed=signed)
        if not low <= value <= high:
            raise AbiError(f"expected {name}, found {value}")
        return value

    exact = {64: ("24sQ", 24), 32: ("28sI", 28), 16: ("30sH", 30), 8: ("31sB", 31)}
    if not signed and bits in exact:
        form, pad_length = exact[bits]
        return Word(name, form, bytes(pad_length), True, None, pack)
    return Word(name, "32s", _NO_PAD, True, convert, pack)


def _boolean() -> Word:
    def pack(value: Any) -> bytes:
        if type(value) is not bool:
            raise AbiError(f"expected bool, found {value!r:.80}")
        return value.to_bytes(32, "big")

    def convert(raw: int) -> bool:
        if raw > 1:
            raise AbiError(f"expected bool, found {raw}")
        return raw == 1

    return Word("bool", "31sB", bytes(31), True, convert, pack)


def _fixed_bytes(name: str, length: int, pad_first: bool) -> Word:
    pad = bytes(32 - length)
    form = f"{length}s" if not pad else f"{len(pad)}s{length}s" if pad_first else f"{length}s{len(pad)}s"

    def pack(value: Any) -> bytes:
        if not isinstance(value, bytes) or len(value) != length:
            found = f"{len(value)} bytes" if isinstance(value, bytes) else type(value).__name__
            raise AbiError(f"expected {name} ({length} bytes), found {found}")
        return pad + value if pad_first else value + pad

    return Word(name, form, pad, pad_first, None, pack)


_NAME: Final = re.compile(r"(uint|int|bytes)([1-9][0-9]{0,2})")


@lru_cache(maxsize=256)
def abi_type(name: str) -> AbiType:
    """Return the type with this canonical name, tuples written as (T1,T2); raise ValueError on an unknown one."""
    if name.endswith("[]"):
        return Array(abi_type(name[:-2]))
    if name.startswith("(") and name.endswith(")"):
        return Tuple([abi_type(part) for part in _split(name[1:-1])])
    if name in ("string", "bytes"):
        return Text(name)
    if name == "bool":
        return _boolean()
    if name == "address":
        return _fixed_bytes("address", 20, pad_first=True)
    match = _NAME.fullmatch(name)
    if match is not None:
        size = int(match[2])
        if match[1] == "bytes" and size <= 32:
            return _fixed_bytes(name, size, pad_first=False)
        if match[1] != "bytes" and size <= 256 and size % 8 == 0:
            return _integer(size, signed=match[1] == "int")
    raise ValueError(f"no ABI type is called {name!r}")


def _split(inner: str) -> list[str]:
    """Split the inside of a tuple at its outer commas."""
    parts, depth, start = [], 0, 0
    for position, character in enumerate(inner):
        depth += {"(": 1, ")": -1}.get(character, 0)
        if character == "," and depth == 0:
            parts.append(inner[start:position])
            start = position + 1
    return [*parts, inner[start:]] if inner else []


def annotated_type(annotation: Any) -> AbiType:
    """Return the type that an annotation stands for: Annotated[int, "uint64"], str, bytes, bool, list[T], tuple[T, ...] or a struct."""
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return abi_type(annotation.__metadata__[0])
    if origin in (list, tuple):
        return Array(annotated_type(typing.get_args(annotation)[0]), origin)
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        return struct_type(annotation)
    simple = {str: "string", bytes: "bytes", bool: "bool"}.get(annotation)
    if simple is None or isinstance(annotation, types.UnionType):
        raise ValueError(f"no ABI type is declared for {annotation!r}")
    return abi_type(simple)


@lru_cache(maxsize=256)
def struct_type(kind: type[msgspec.Struct]) -> Tuple:
    """Return the tuple of a struct's fields, which decodes to that struct."""
    hints = typing.get_type_hints(kind, include_extras=True)
    names = kind.__struct_fields__
    return Tuple([annotated_type(hints[name]) for name in names], names, kind)


@lru_cache(maxsize=1024)
def keccak256(data: bytes) -> bytes:
    """Return the 32-byte Keccak-256 digest that the ABI names methods and events by; the ledger's own digests are SM3."""
    return keccak(data)


def selector(signature: str) -> bytes:
    """Return the first 4 bytes of call data for a signature like name(string,uint64)."""
    return keccak256(signature.encode())[:4]


_ERROR_SELECTOR: Final = bytes.fromhex("08c379a0")
_ERROR_TYPE: Final = Text("string")


def encode_error(message: str) -> bytes:
    """Return the output of a refused call: Error(string) as Solidity encodes a revert reason."""
    return _ERROR_SELECTOR + _WORD.pack(_PAD_24, 32) + _ERROR_TYPE.encode(message)


def decode_error(output: bytes) -> str | None:
    """Return the message in the output of a refused call, or None when it is not Error(string)."""
    if not output.startswith(_ERROR_SELECTOR):
        return None
    try:
        message: str = Tuple((_ERROR_TYPE,)).decode_all(output, 4)[0]
    except AbiError:
        return None
    return message
