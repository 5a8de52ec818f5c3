"""Values that are planted to be found nowhere, and the search for them in every form in which programs write text and bytes."""

from __future__ import annotations

import base64
import secrets
import shutil
import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, suppress
from functools import cache
from pathlib import Path
from typing import Final
from urllib.parse import quote

from node.ledger.storage import Storage
from sdk.identity_numbers import is_resident_number

_TEXT_ENCODINGS: Final = ("utf-8", "gb18030", "utf-16-le", "utf-16-be")
_DEFLATED: Final = (b"\x78\x01", b"\x78\x9c", b"\x78\xda")
MAX_INFLATED_BYTES: Final = 16 * 1024 * 1024


def make_mark() -> str:
    """Return nine digits of this run: those that the identity number below begins with, and that all planted texts have in them."""
    return f"9{secrets.randbelow(10**5):05d}196"


def identity_number(mark: str) -> str:
    """Return an identity number with the right check character of somebody born on 7 February of the 1960s."""
    first = f"{mark}80207{secrets.randbelow(1000):03d}"
    return next(first + check for check in "0123456789X" if is_resident_number(first + check))


def rare_name() -> str:
    """Return a name of four rare signs, which GBK has too."""
    signs = [chr(code) for code in range(0x4E00, 0x9FA6)]
    return "".join(secrets.choice(signs) for _ in range(4))


@cache
def forms(value: str | bytes) -> frozenset[bytes]:
    """Return a value as it stands in files: text in each encoding, all of it raw, in hex, in base64 at each offset, escaped."""
    if isinstance(value, bytes):
        return frozenset(_forms_of_bytes(value) | {str(int.from_bytes(value, "big")).encode("ascii")})
    found = set().union(*(_forms_of_bytes(value.encode(name)) for name in _TEXT_ENCODINGS))
    for text in (quote(value), quote(value, encoding="gb18030"), quote(value, safe="").replace("%", "%25")):
        found |= {text.encode("ascii"), text.lower().encode("ascii")}
    escaped = value.encode("ascii", "backslashreplace")
    found |= {escaped, escaped.replace(b"\\", b"\\\\"), escaped.upper().replace(b"\\U", b"\\u")}
    found |= {value.encode("ascii", "xmlcharrefreplace"), value.encode("punycode")}
    return frozenset(found)


def _forms_of_bytes(raw: bytes) -> set[bytes]:
    found = {raw, raw.hex().encode("ascii"), raw.hex().upper().encode("ascii"), repr(raw)[2:-1].encode("ascii")}
    for offset, start in ((0, 0), (1, 2), (2, 3)):
        within = base64.b64encode(bytes(offset) + raw)[start : (offset + len(raw)) * 8 // 6]
        found |= {within, within.translate(bytes.maketrans(b"+/", b"-_"))}
    return found


def found_in(content: bytes, wanted: Iterable[str | bytes], allowed: Iterable[str | bytes] = ()) -> list[str | bytes]:
    """Return which of the wanted values a content has in any form, apart from where it is within one that is allowed there."""
    for value in allowed:
        for form in sorted(forms(value), key=len, reverse=True):
            content = content.replace(form, b"")
    return [value for value in wanted if any(form in content for form in forms(value))]


def contents(path: Path) -> Iterator[bytes]:
    """Yield what a file holds: its bytes, freed pages too, each value of a SQLite file, and what is deflated in others."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        # A running database has just put another file in its place.
        return
    yield raw
    if raw.startswith(b"SQLite format 3"):
        # One that another test has damaged has nothing that is searched but its bytes.
        with suppress(sqlite3.DatabaseError):
            yield _rows(path)
        return
    for start in _DEFLATED:
        at = raw.find(start)
        while at >= 0:
            with suppress(zlib.error):
                yield zlib.decompressobj().decompress(memoryview(raw)[at:], MAX_INFLATED_BYTES)
            at = raw.find(start, at + 1)


def files_with(folder: Path, names: Mapping[str | bytes, str]) -> set[tuple[str, str]]:
    """Return the files below a folder that have planted values, and which, by their names; a folder without any file fails the test."""
    paths = [path for path in folder.rglob("*") if path.is_file()]
    assert paths, folder
    found = set()
    for path in paths:
        for content in contents(path):
            found |= {(str(path.relative_to(folder)), names[value]) for value in found_in(content, names)}
    return found


def _rows(path: Path) -> bytes:
    """Return every value of every table of a database that may be written meanwhile: long ones lie in pieces in its file."""
    parts: list[bytes] = []
    with closing(sqlite3.connect(path.absolute().as_uri() + "?mode=ro", uri=True, timeout=60)) as database:
        for (table,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            quoted = '"' + table.replace('"', '""') + '"'
            for row in database.execute(f"SELECT * FROM {quoted}"):
                parts += [value if isinstance(value, bytes) else str(value).encode("utf-8") for value in row]
    return b"\0".join(parts)


def ledger_values(ledger: Path, copy: Path) -> bytes:
    """Return every key and value of a stopped node's ledger, read by the library from a copy: long ones lie in pieces in its files."""
    shutil.copytree(ledger, copy)
    storage = Storage(copy)
    try:
        return b"\0".join(part for pair in storage.iterate(b"") for part in pair)
    finally:
        storage.close()


def command_lines() -> bytes:
    """Return the command lines of all processes that may be looked at, as everybody on the machine sees them."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(path.read_bytes())
        except OSError:
            continue
    return b"\n".join(found)
