"""Cursors: where a list goes on, as opaque text that later rows never shift."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Annotated, Final

import orjson
from fastapi import Query

from explorer.problems import Problem, Text

DEFAULT_LIMIT: Final = 50
MAX_LIMIT: Final = 200
MAX_CURSOR_LENGTH: Final = 400

Limit = Annotated[int, Query(ge=1, le=MAX_LIMIT, description="每页条数 / rows a page")]
Cursor = Annotated[
    str | None, Query(max_length=MAX_CURSOR_LENGTH, description="上一页的 next_cursor / next_cursor of the page before")
]

_FORM = re.compile(r"[A-Za-z0-9_-]+")


def encode_cursor(position: int | str) -> str:
    """Return the cursor of the row at `position`, the value that its list is ordered by."""
    return base64.urlsafe_b64encode(orjson.dumps(position)).rstrip(b"=").decode("ascii")


def decode_number_cursor(cursor: str | None) -> int | None:
    """Return the number in a cursor, None without one; raise Problem on anything that encode_cursor did not make."""
    position = _decode(cursor)
    if position is not None and (not isinstance(position, int) or not 0 <= position < 2**63):
        raise cursor_problem(cursor)
    return position


def decode_text_cursor(cursor: str | None) -> str | None:
    """Return the text in a cursor, None without one; raise Problem on anything that encode_cursor did not make."""
    position = _decode(cursor)
    if position is not None and not isinstance(position, str):
        raise cursor_problem(cursor)
    return position


def _decode(cursor: str | None) -> int | str | None:
    if cursor is None:
        return None
    try:
        if _FORM.fullmatch(cursor) is None:
            raise cursor_problem(cursor)
        position = orjson.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (binascii.Error, ValueError):
        raise cursor_problem(cursor) from None
    if isinstance(position, bool) or not isinstance(position, int | str) or encode_cursor(position) != cursor:
        raise cursor_problem(cursor)
    return position


def cursor_problem(cursor: str | None) -> Problem:
    """Return the Problem of a cursor that this list never gave."""
    return Problem(
        "PARAMETER_INVALID",
        field="cursor",
        expected=Text("上一页返回的 next_cursor", "the next_cursor of the page before"),
        found=cursor,
    )
