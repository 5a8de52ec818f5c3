"""What commands print: a result as text or as one JSON object, and an error as one line."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NoReturn, TypeVar

import click

EXIT_REFUSED: Final = 1
"""The command understood its input and the answer is no: also what an operator must mend before a restart helps."""
EXIT_USAGE: Final = 2
EXIT_FORCE_UNKNOWN: Final = 3
"""What was verified is genuine, and nobody was asked whether it is in force."""
EXIT_FAULT: Final = 70
"""A fault of govnode itself."""

_PLACES: Final = (("transaction", "交易 / transaction"), ("height", "区块 / block"))

F = TypeVar("F", bound=Callable[..., Any])


def json_option(command: F) -> F:
    """Add --json, which the command receives as `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="以一个 JSON 对象输出 / Print one JSON object.")(
        command
    )


def wants_json() -> bool:
    """Whether the command line asks for JSON; known before the command line is parsed, so that its errors are JSON too."""
    return "--json" in sys.argv[1:]


def show(result: dict[str, Any], as_json: bool, text: str) -> None:
    """Print the result: one line of JSON, or `text`."""
    if as_json:
        click.echo(json.dumps(result, ensure_ascii=False))
    else:
        click.echo(text)


def table(headings: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """Return rows under headings in aligned columns; a Chinese character counts as two."""
    lines = [headings, *rows]
    widths = [max(_width(line[column]) for line in lines) for column in range(len(headings))]
    return "\n".join(
        "  ".join(cell + " " * (width - _width(cell)) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def fields(pairs: list[tuple[str, object]]) -> str:
    """Return one line a pair, `name: value`, the values aligned; a pair whose value is None is left out."""
    shown = [(name, value) for name, value in pairs if value is not None]
    width = max((_width(name) for name, _ in shown), default=0)
    return "\n".join(f"{name}{' ' * (width - _width(name))}  {value}" for name, value in shown)


def fail(code: str, message: str, status: int, details: Mapping[str, Any] | None = None) -> NoReturn:
    """End the command with one line on standard error, or one JSON object there when --json was given.

    `details` are what programs get beside code and message; people read of them where a transaction is that was refused.
    """
    line, details = " ".join(message.split()), details or {}
    if wants_json():
        click.echo(json.dumps({"error": {"code": code, "message": line, **details}}, ensure_ascii=False), err=True)
    else:
        places = [f"{label} {details[name]}" for name, label in _PLACES if name in details]
        line = "; ".join([line, *places])
        click.echo(f"错误 / error [{code}] {line}", err=True)
    sys.exit(status)


def _width(text: str) -> int:
    return sum(2 if ord(character) >= 0x2E80 else 1 for character in text)
