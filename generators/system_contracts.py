"""Writes sdk/system_contracts, the system contracts as Python classes with typed methods: `python -m generators.system_contracts`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from contracts import registry
from contracts.abi import AbiType, Array, Text, Tuple
from contracts.frame import Method, SystemContract
from generators.contract_interfaces import interface_name, structs_of, summary_of

FOLDER: Final = Path(__file__).parents[1] / "sdk" / "system_contracts"
LINE_LENGTH: Final = 120
ORIGIN: Final = "Written by generators/system_contracts.py from the contract's declarations: edit those."
BUILTINS: Final = {"format"}
"""Names of arguments of ours that the linter takes for a mistake."""


def shown_methods(contract: SystemContract) -> list[Method]:
    """Return the methods that a class has: all but the views that are read through signed requests only."""
    return [method for method in contract.methods.values() if method.is_public]


def _type(kind: AbiType, is_argument: bool) -> str:
    if isinstance(kind, Array):
        element = _type(kind.element, is_argument)
        return f"Sequence[{element}]" if is_argument else f"tuple[{element}, ...]"
    if isinstance(kind, Tuple):
        assert kind.build is not None, "a tuple of a declared method is a struct"
        return kind.build.__name__
    if isinstance(kind, Text):
        return "str" if kind.is_text else "bytes"
    return "int" if "int" in kind.name else "bool" if kind.name == "bool" else "bytes"


def _passed(name: str, kind: AbiType) -> str:
    return f"{name}=list({name})" if isinstance(kind, Array) else f"{name}={name}"


def _spread(before: str, parts: list[str], after: str) -> Iterator[str]:
    """Yield `before(parts)after` on one line if it fits, else a part a line, as the formatter leaves it."""
    line = f"{before}({', '.join(parts)}){after}"
    if len(line) <= LINE_LENGTH and not any("#" in part for part in parts):
        yield line
        return
    indent = " " * (len(before) - len(before.lstrip()))
    yield f"{before}("
    for part in parts:
        text, comma, note = part.partition("  #")
        yield f"{indent}    {text},{comma}{note}"
    yield f"{indent}){after}"


def _method(contract: SystemContract, method: Method) -> Iterator[str]:
    kinds = list(zip(method.inputs.names, method.inputs.items, strict=True))
    declared = [
        f"{name}: {_type(kind, True)}{'  # noqa: A002 - the name in the ABI' if name in BUILTINS else ''}"
        for name, kind in kinds
    ]
    output = "None" if method.output is None else _type(method.output, False)
    answer = output if method.is_view else "FinalReceipt"
    yield from _spread(
        f"    def {method.name}", ["self", *(["*"] if len(declared) > 1 else []), *declared], f" -> {answer}:"
    )
    if method.is_view:
        yield f'        """{method.summary}"""'
    else:
        yield f'        """{method.summary}'
        yield ""
        yield f"        For: {method.who}. Returns the receipt once the call is final; raises CallRefused with the contract's reason."
        if method.output is not None:
            yield f"        The receipt's output is a {method.output.name}."
        yield '        """'
    names = [f'"{contract.name}"', f'"{method.name}"', *(_passed(name, kind) for name, kind in kinds)]
    if method.is_view:
        yield from _spread(f"        found: {answer} = ask", ["self._client", *names], "")
        yield "        return found"
    else:
        yield from _spread("        return self._client.call", names, "")
    yield ""


def wrapper(contract: SystemContract) -> str:
    """Return the module of one contract's class."""
    methods = shown_methods(contract)
    body: list[str] = []
    for method in methods:
        body += _method(contract, method)
    views, writes = [m for m in methods if m.is_view], [m for m in methods if not m.is_view]
    text = "\n".join(body)
    imports: dict[str, set[str]] = {"sdk.client": {"Client"} | ({"FinalReceipt"} if writes else set())}
    for kind in structs_of(methods):
        if kind.build is not None and any(
            f"{mark}{kind.build.__name__}{end}" in text for mark in " [" for end in " ],:)"
        ):
            imports.setdefault(kind.build.__module__, set()).add(kind.build.__name__)
    if views:
        imports["sdk.system_contracts.answer"] = {"ask"}
    lines = [f'"""{summary_of(contract)}', "", ORIGIN, '"""', "", "from __future__ import annotations", ""]
    if "Sequence[" in text:
        lines += ["from collections.abc import Sequence", ""]
    lines += [f"from {module} import {', '.join(sorted(names))}" for module, names in sorted(imports.items())]
    lines += ["", "", f"class {interface_name(contract)[1:]}:"]
    lines += [f'    """The system contract `{contract.name}` on the network of a client."""', ""]
    lines += ["    def __init__(self, client: Client) -> None:"]
    lines += [f'        """Ask through `client`{"; what writes needs its signer" if writes else ""}."""']
    return "\n".join([*lines, "        self._client = client", "", *body])


def files() -> dict[str, str]:
    """Return the module of every contract by its file's name."""
    return {f"{contract.name}.py": wrapper(contract) for contract in registry.CONTRACTS.values()}


if __name__ == "__main__":
    for file_name, text in files().items():
        (FOLDER / file_name).write_text(text, "utf-8")
