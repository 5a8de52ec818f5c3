"""A contract's ABI as people use it: arguments read from text by their types, answers, events and refusals shown in JSON's types."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from itertools import accumulate
from typing import Any, Final

import msgspec
from eth_abi.abi import decode, encode
from eth_abi.exceptions import DecodingError, EncodingError
from eth_utils.address import is_checksum_address

from contracts.abi import keccak256
from node.http.json_form import show_briefly, to_json
from verification.errors import InputError

MAX_ENTRIES: Final = 5_000
MAX_DEPTH: Final = 16
MAX_SHOWN_METHODS: Final = 40

_ARRAY = re.compile(r"(.+)\[([0-9]{0,6})\]")
_WORD = re.compile(
    r"(u?int)(8|16|24|32|40|48|56|64|72|80|88|96|1[0-9]{2}|2[0-4][0-9]|25[0-6])|bytes([1-9]|[12][0-9]|3[0-2])"
)
_INTEGER = re.compile(r"-?(?:[0-9]{1,78}|0[xX][0-9a-fA-F]{1,64})")
_JSON_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_HEX = re.compile(r"0[xX]((?:[0-9a-fA-F]{2})*)")
_PLAIN: Final = frozenset({"bool", "address", "bytes", "string"})
_ADDRESS_DIGITS: Final = 40
_ERROR_SELECTOR: Final = bytes.fromhex("08c379a0")
_PANIC_SELECTOR: Final = bytes.fromhex("4e487b71")


class Parameter(msgspec.Struct, frozen=True):
    """An input or output: its type as the ABI has it; `components` of a tuple."""

    type: str
    name: str = ""
    components: tuple[Parameter, ...] = ()
    indexed: bool = False

    def canonical(self, depth: int = 0) -> str:
        """Return the type as signatures have it, tuples written out; raise InputError on a type that is none."""
        base, bracket, rest = self.type.partition("[")
        suffix = bracket + rest
        if (
            depth > MAX_DEPTH
            or suffix.count("[") > MAX_DEPTH
            or (suffix and not re.fullmatch(r"(\[[0-9]{0,6}\])+", suffix))
        ):
            raise _unfit_type(self.type)
        if base == "tuple":
            return "(" + ",".join(each.canonical(depth + 1) for each in self.components) + ")" + suffix
        word = _WORD.fullmatch(base)
        if base not in _PLAIN and (word is None or (word[2] is not None and int(word[2]) % 8)):
            raise _unfit_type(self.type)
        return self.type


class Entry(msgspec.Struct, frozen=True):
    """A function, event, error or constructor of an ABI."""

    type: str = "function"
    name: str = ""
    inputs: tuple[Parameter, ...] = ()
    outputs: tuple[Parameter, ...] = ()
    anonymous: bool = False
    mutability: str = msgspec.field(default="", name="stateMutability")

    @property
    def is_view(self) -> bool:
        """Whether it says that it only reads."""
        return self.mutability in {"view", "pure"}

    @property
    def signature(self) -> str:
        """Name and types."""
        return f"{self.name}({','.join(each.canonical() for each in self.inputs)})"

    @property
    def selector(self) -> bytes:
        """The first 4 bytes of a call of it."""
        return keccak256(self.signature.encode())[:4]

    def encode_call(self, texts: Sequence[str]) -> bytes:
        """Return the data of a call with arguments given as text. Raises as encode_inputs does."""
        return self.selector + self.encode_inputs(texts)

    def encode_inputs(self, texts: Sequence[str]) -> bytes:
        """Return the ABI data of arguments given as text, one each; raise InputError that names the first that does not fit."""
        if len(texts) != len(self.inputs):
            wanted = ", ".join(f"{each.canonical()} {each.name}".strip() for each in self.inputs)
            raise InputError(
                "ARGUMENTS_INVALID",
                f"{self.name or 'constructor'} 有 {len(self.inputs)} 个参数（{wanted or '无'}），实际给出 {len(texts)} 个",
                f"{self.name or 'constructor'} takes {len(self.inputs)} arguments ({wanted or 'none'}), {len(texts)} given",
            )
        labels = [each.name or f"#{index + 1}" for index, each in enumerate(self.inputs)]
        values = [_from_text(each, text, label) for each, text, label in zip(self.inputs, texts, labels, strict=True)]
        try:
            return encode([each.canonical() for each in self.inputs], values)
        except (EncodingError, UnicodeError) as error:
            raise InputError(
                "ARGUMENTS_INVALID", f"参数无法编码：{error}", f"cannot encode the arguments: {error}"
            ) from None


class ContractAbi:
    """The methods, events and errors of one contract."""

    def __init__(self, entries: Any) -> None:
        """Take an ABI as JSON has it, a list of entries; raise InputError on anything else."""
        try:
            found = msgspec.convert(entries, type=list[Entry])
        except (msgspec.ValidationError, RecursionError) as error:
            raise InputError("ABI_INVALID", f"不是合约 ABI：{error}", f"not the ABI of a contract: {error}") from None
        if len(found) > MAX_ENTRIES:
            raise InputError(
                "ABI_INVALID", f"ABI 至多 {MAX_ENTRIES} 项", f"expected an ABI of at most {MAX_ENTRIES} entries"
            )
        self.functions = [entry for entry in found if entry.type == "function"]
        named_events = [entry for entry in found if entry.type == "event" and not entry.anonymous]
        self.events = {keccak256(entry.signature.encode()): entry for entry in named_events}
        self._errors = {entry.selector: entry for entry in found if entry.type == "error"}
        self.constructor = next((entry for entry in found if entry.type == "constructor"), Entry("constructor"))

    def function(self, name: str, argument_count: int) -> Entry:
        """Return the function of a name that takes so many arguments, or of a whole signature; raise InputError naming those there are."""
        named = [entry for entry in self.functions if name in {entry.name, entry.signature}]
        fitting = [entry for entry in named if len(entry.inputs) == argument_count] if len(named) > 1 else named
        if len(fitting) == 1:
            return fitting[0]
        if named:
            known = ", ".join(entry.signature for entry in named)
            raise InputError(
                "METHOD_AMBIGUOUS", f"请写明方法的完整签名：{known}", f"give the whole signature of one of: {known}"
            )
        known = ", ".join(entry.name for entry in self.functions[:MAX_SHOWN_METHODS]) or "-"
        raise InputError(
            "METHOD_UNKNOWN", f"没有方法 {name[:80]!r}，有：{known}", f"no method {name[:80]!r}; there are: {known}"
        )

    def event(self, name: str) -> bytes:
        """Return the 32-byte topic of the event of a name or signature; raise InputError naming those there are."""
        topics = [topic for topic, entry in self.events.items() if name in {entry.name, entry.signature}]
        if len(topics) == 1:
            return topics[0]
        known = ", ".join(entry.signature for entry in self.events.values()) or "-"
        raise InputError(
            "EVENT_UNKNOWN", f"没有事件 {name[:80]!r}，有：{known}", f"no event {name[:80]!r}; there are: {known}"
        )

    def show_log(self, topics: Sequence[bytes], data: bytes) -> tuple[str | None, dict[str, Any]]:
        """Return an event's name and its fields in JSON's types, None and nothing for a log that no event here explains.

        A field that is indexed and longer than a word is shown as its digest, which is all that the log holds.
        """
        entry = self.events.get(topics[0]) if topics else None
        if entry is None:
            return None, {}
        indexed = [each for each in entry.inputs if each.indexed]
        plain = [each for each in entry.inputs if not each.indexed]
        try:
            words = iter([_show_topic(each, topic) for each, topic in zip(indexed, topics[1:], strict=True)])
            values = iter(_show_values(plain, data))
        except (ValueError, InputError):
            return None, {}
        names = [each.name or str(index) for index, each in enumerate(entry.inputs)]
        return entry.name, {
            name: next(words if each.indexed else values) for name, each in zip(names, entry.inputs, strict=True)
        }

    def show_refusal(self, output: bytes) -> str | None:
        """Return what a contract's code gave as its reason: the text, or an error of this ABI with its values; None when it gave none."""
        selector, data = output[:4], output[4:]
        try:
            if selector == _ERROR_SELECTOR:
                return str(_show_values([Parameter("string")], data)[0])
            if selector == _PANIC_SELECTOR:
                return f"Panic({_show_values([Parameter('uint256')], data)[0]})"
            entry = self._errors.get(selector)
            if entry is None:
                return "0x" + output.hex() if output else None
            values = _show_values(entry.inputs, data)
        except InputError:
            return "0x" + output.hex()
        shown = ", ".join(
            f"{each.name}={value}" if each.name else f"{value}"
            for each, value in zip(entry.inputs, values, strict=True)
        )
        return f"{entry.name}({shown})"


def show_outputs(entry: Entry, data: bytes) -> list[Any]:
    """Return what a function answered, value by value, in JSON's types; raise InputError where it is not ABI data of its outputs."""
    return _show_values(entry.outputs, data)


def _show_values(kinds: Sequence[Parameter], data: bytes) -> list[Any]:
    try:
        values = decode([each.canonical() for each in kinds], data)
    except (DecodingError, OverflowError, ValueError) as error:
        raise InputError(
            "OUTPUT_INVALID",
            f"返回的数据不符合 ABI（{error}），请检查 ABI 与地址",
            f"the data is not what the ABI says ({error}): check ABI and address",
        ) from None
    return [_show(each, value) for each, value in zip(kinds, values, strict=True)]


def _show(kind: Parameter, value: Any) -> Any:
    """Return a decoded value in JSON's types; tuples whose components are named as objects."""
    array = _ARRAY.fullmatch(kind.type)
    if array is not None:
        element = msgspec.structs.replace(kind, type=array[1])
        return [_show(element, item) for item in value]
    if kind.type == "tuple":
        items = [_show(each, item) for each, item in zip(kind.components, value, strict=True)]
        names = [each.name for each in kind.components]
        return dict(zip(names, items, strict=True)) if all(names) and len(set(names)) == len(names) else items
    return to_json(value)


def _show_topic(kind: Parameter, topic: bytes) -> Any:
    if kind.type in {"string", "bytes", "tuple"} or kind.type.endswith("]"):
        return "0x" + topic.hex()
    return _show_values([kind], topic)[0]


def _from_text(kind: Parameter, text: str, label: str) -> Any:
    """Return the value that an argument's text stands for: JSON for lists and tuples, the text itself for everything else."""
    kind.canonical()
    if kind.type != "tuple" and not kind.type.endswith("]"):
        return _scalar(kind.type, text, label)
    try:
        value = json.loads(text) if _is_shallow(text) else None
    except ValueError:
        example = "[1, 2]" if kind.type != "tuple" else '["a", 1]'
        raise _unfit(label, kind, f"JSON，例如 {example}", f"JSON such as {example}", text) from None
    return _from_json(kind, value, label)


def _is_shallow(text: str) -> bool:
    """Return whether lists and objects are nested no deeper than an argument's type may be: json itself may crash on more."""
    steps = (1 if each in "[{" else -1 for each in _JSON_STRING.sub("", text) if each in "[]{}")
    return max(accumulate(steps), default=0) <= 2 * MAX_DEPTH


def _from_json(kind: Parameter, value: Any, label: str) -> Any:
    array = _ARRAY.fullmatch(kind.type)
    if array is not None:
        if not isinstance(value, list) or (array[2] and len(value) != int(array[2])):
            size = array[2]
            raise _unfit(
                label, kind, f"{size} 项的列表" if size else "列表", f"a list of {size}" if size else "a list", value
            )
        element = msgspec.structs.replace(kind, type=array[1])
        return [_from_json(element, item, f"{label}[{index}]") for index, item in enumerate(value)]
    if kind.type == "tuple":
        names = [each.name for each in kind.components]
        if isinstance(value, dict) and set(value) == set(names):
            value = [value[name] for name in names]
        if not isinstance(value, list) or len(value) != len(names):
            shown = ", ".join(names)
            raise _unfit(label, kind, f"{len(names)} 项（{shown}）", f"{len(names)} values ({shown})", value)
        return tuple(
            _from_json(each, item, f"{label}.{each.name or index}")
            for index, (each, item) in enumerate(zip(kind.components, value, strict=True))
        )
    return _scalar(kind.type, value, label)


def _scalar(kind: str, value: Any, label: str) -> Any:
    """Return a value of one of the types that are no lists and no tuples, from text or from JSON."""
    if kind == "string" and isinstance(value, str):
        return value
    if kind == "string":
        raise _unfit(label, kind, "文本", "text", value)
    if kind == "bool":
        if isinstance(value, bool):
            return value
        if isinstance(value, str) and value in {"true", "false"}:
            return value == "true"
        raise _unfit(label, kind, "true 或 false", "true or false", value)
    if "int" in kind:
        return _integer(kind, value, label)
    match = _HEX.fullmatch(value) if isinstance(value, str) else None
    size = 20 if kind == "address" else int(kind.removeprefix("bytes") or 0)
    if match is None or (size and len(match[1]) != 2 * size):
        digits_zh, digits_en = (
            (f"0x 加 {2 * size} 位十六进制", f"0x and {2 * size} hex digits")
            if size
            else (
                "0x 加偶数位十六进制",
                "0x and an even number of hex digits",
            )
        )
        raise _unfit(label, kind, digits_zh, digits_en, value)
    digits = match[1]
    if kind != "address":
        return bytes.fromhex(digits)
    if digits != digits.lower() and digits != digits.upper() and not is_checksum_address("0x" + digits):
        zh, en = "大小写校验（EIP-55）相符的地址", "an address whose upper and lower case fit (EIP-55)"
        raise _unfit(label, kind, zh, en, value)
    return "0x" + digits.lower()


def _integer(kind: str, value: Any, label: str) -> int:
    bits = int(kind.removeprefix("u").removeprefix("int"))
    least, greatest = (0, 2**bits - 1) if kind.startswith("u") else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    number = value
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        number = int(value, 16 if "x" in value.lower() else 10)
    if not isinstance(number, int) or isinstance(number, bool) or not least <= number <= greatest:
        powers = f"0 … 2^{bits}-1" if kind.startswith("u") else f"-2^{bits - 1} … 2^{bits - 1}-1"
        raise _unfit(label, kind, f"整数 {powers}", f"an integer {powers}", value)
    return number


def _unfit(label: str, kind: Parameter | str, zh: str, en: str, found: Any) -> InputError:
    name = kind if isinstance(kind, str) else kind.canonical()
    shown = show_briefly(found)
    return InputError(
        "ARGUMENTS_INVALID",
        f"参数 {label}（{name}）应为{zh}，实为 {shown}",
        f"argument {label} ({name}): expected {en}, found {shown}",
    )


def _unfit_type(name: str) -> InputError:
    return InputError(
        "ABI_INVALID", f"不支持的 ABI 类型 {name[:80]!r}", f"a type of the ABI that is not supported: {name[:80]!r}"
    )
