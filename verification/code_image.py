"""A code as a picture: SVG for pages and print, PNG for files and messages, modules for whoever draws it; pure, the same each time."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Final

from verification.codes import PRESENTATION_PREFIX
from verification.deposits import KEY_MARK

if TYPE_CHECKING:
    from segno import QRCode

QUIET_MODULES: Final = 4
"""The white border that a reader needs (ISO/IEC 18004)."""
PIXELS_A_MODULE: Final = 8
MIN_MODULE_MM: Final = 0.5
"""What common telephones read from paper at a hand's distance, with some to spare."""


def code_modules(text: str) -> list[bytes]:
    """Return the rows of a code, a byte of 1 for every dark module; the border is not among them."""
    return [bytes(row) for row in _code(text).matrix]


def code_svg(text: str) -> bytes:
    """Return the code as SVG, border included, black on white; it scales to whatever size it is shown at."""
    return _saved(text, "svg")


def code_png(text: str) -> bytes:
    """Return the code as PNG, border included, PIXELS_A_MODULE to a module."""
    return _saved(text, "png")


def print_size_mm(text: str) -> float:
    """Return how wide the code has to be printed, border included, so that its modules are MIN_MODULE_MM."""
    return round((len(_code(text).matrix) + 2 * QUIET_MODULES) * MIN_MODULE_MM, 1)


def _code(text: str) -> QRCode:
    # Imported only where a code is drawn.
    import segno

    # A link has room for dirt and folds; a presentation needs the room for itself, and takes what is left over.
    level = "L" if text.startswith(PRESENTATION_PREFIX) else "Q"
    # The mark before a deposit's key is not of the alphanumeric mode: such a link goes as bytes, all of them ASCII.
    return segno.make_qr(text, error=level, mode="byte" if KEY_MARK in text else "alphanumeric")


def _saved(text: str, kind: str) -> bytes:
    out = io.BytesIO()
    _code(text).save(out, kind=kind, scale=PIXELS_A_MODULE, border=QUIET_MODULES, light="white")
    return out.getvalue()
