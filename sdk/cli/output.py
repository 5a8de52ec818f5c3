"""What commands print: a result as text or as one JSON object, and an error as one line."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NoReturn, TypeVar

import click

from verification.shown_text import shown_json, shown_line, shown_text

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
    """Print the result: one line of JSON, or `text`, whose single lines passed table(), fields() or shown_line()."""
    if as_json:
        show_json(result)
    else:
        say(text)


def show_json(result: dict[str, Any]) -> None:
    """Print one line of JSON, with what must not reach a terminal escaped."""
    click.echo(shown_json(json.dumps(result, ensure_ascii=False)))


def say(text: str, *, err: bool = False, nl: bool = True) -> None:
    """Print lines for people: the one way to a terminal, with U+FFFD for what would steer it or mislead who reads."""
    click.echo(shown_text(text), err=err, nl=nl)


def show_progress(text: str) -> None:
    """Write a line over the one before on standard error, which a terminal shows as one that changes."""
    click.echo(f"\r{shown_line(text)}   ", err=True, nl=False)


def table(headings: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """Return rows under headings in aligned columns; a Chinese character counts as two."""
    lines = [headings, *(tuple(map(shown_line, row)) for row in rows)]
    widths = [max(_width(line[column]) for line in lines) for column in range(len(headings))]
    return "\n".join(
        "  ".join(cell + " " * (width - _width(cell)) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def fields(pairs: list[tuple[str, object]]) -> str:
    """Return one line a pair, `name: value`, the values aligned; a pair whose value is None is left out."""
    shown = [(shown_line(name), shown_line(value)) for name, value in pairs if value is not None]
    width = max((_width(name) for name, _ in shown), default=0)
    return "\n".join(f"{name}{' ' * (width - _width(name))}  {value}" for name, value in shown)


def fail(code: str, message: str, status: int, details: Mapping[str, Any] | None = None) -> NoReturn:
    """End the command with one line on standard error, or one JSON object there when --json was given.

    `details` are what programs get beside code and message; people read of them where a transaction is that was refused.
    """
    line, details = shown_line(" ".join(message.split())), details or {}
    if wants_json():
        error = {"error": {"code": code, "message": line, **details}}
        click.echo(shown_json(json.dumps(error, ensure_ascii=False)), err=True)
    else:
        places = [f"{label} {details[name]}" for name, label in _PLACES if name in details]
        line = "; ".join([line, *places])
        say(shown_line(f"错误 / error [{code}] {line}"), err=True)
    sys.exit(status)


def _width(text: str) -> int:
    return sum(2 if ord(character) >= 0x2E80 else 1 for character in text)
