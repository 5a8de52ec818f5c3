"""Reports for people and for other programs: one table of results, as PDF pages and as CSV; the same content gives the same bytes."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, Final, Literal, TypeAlias

import msgspec

from verification.errors import InputError

Mood: TypeAlias = Literal["good", "warn", "bad"]

MAX_PDF_ROWS: Final = 20_000
"""Of one PDF; what is longer belongs in a CSV."""
MAX_CELL_CHARACTERS: Final = 600
"""Of one cell on a PDF page; what is longer is cut, and an ellipsis says so. A CSV has all of it."""

_PAGE: Final = (841.89, 595.28)
"""A4 on its side, in points (1/72 inch), like every length below."""
_MARGIN: Final = 36.0
_GAP: Final = 8.0
_SIZE: Final = 7.5
_LEADING: Final = 10.0
_TITLE_SIZE: Final = 16.0
_BAR_LABEL: Final = 190.0
_BAR_NUMBER: Final = 50.0
_BAR_STEP: Final = 17.0
_CHART_HEAD: Final = 30.0
_COLUMN: Final = (_PAGE[0] - 3 * _MARGIN) / 2
"""How wide a chart is: two stand beside each other."""
_FOOT: Final = 18.0
TEXT_FONT: Final = "STSong-Light"
"""Every PDF reader has a font for this name of Adobe's for Chinese; nothing is embedded."""
_CODE_FONT: Final = "Courier"
_COLOURS: Final[dict[Mood, tuple[float, float, float]]] = {
    "good": (0.10, 0.47, 0.24),
    "warn": (0.72, 0.45, 0.02),
    "bad": (0.73, 0.11, 0.11),
}
_INK: Final = (0.1, 0.1, 0.1)
_FAINT: Final = (0.42, 0.42, 0.42)
_GETA: Final = "\u3013"
"""What Chinese typesetters put where a character is not in the font."""
_WORDS: Final = re.compile(r"[!-~]+|.", re.DOTALL)
_PARTS: Final = re.compile(r"[^.]*\.|[^.]+")
_FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r")


class Column(msgspec.Struct, frozen=True):
    """A column of the table: its heading, its share of the width, and whether its cells are codes, one character as wide as another."""

    zh: str
    en: str
    share: int
    is_code: bool = False


class Row(msgspec.Struct, frozen=True):
    """A line of the table: how it came out, and a text for every column; a line feed begins a new line of a cell."""

    mood: Mood
    cells: tuple[str, ...]


class Count(msgspec.Struct, frozen=True):
    """How many rows have a result."""

    mood: Mood
    code: str
    zh: str
    en: str
    count: int


class Bar(msgspec.Struct, frozen=True):
    """A bar of a chart: what it counts, and how many."""

    label: str
    count: int
    mood: Mood


class Chart(msgspec.Struct, frozen=True):
    """Bars one below the other; one without bars is not drawn."""

    zh: str
    en: str
    bars: tuple[Bar, ...]


class Report(msgspec.Struct, frozen=True):
    """A report: title, what it speaks of, how many rows of each result, the table, what it does not say, and charts behind it.

    A fact is its label in Chinese and English, and its value; a note is Chinese and English.
    """

    zh: str
    en: str
    facts: tuple[tuple[str, str, str], ...]
    counts: tuple[Count, ...]
    columns: tuple[Column, ...]
    rows: Sequence[Row]
    notes: tuple[tuple[str, str], ...]
    charts: tuple[Chart, ...] = ()


class _Line(msgspec.Struct, frozen=True):
    """A text on a page: where it begins, in which font and colour."""

    x: float
    y: float
    text: str
    font: str
    size: float
    colour: tuple[float, float, float]


def encode_csv(names: Sequence[str], rows: Sequence[Sequence[object]]) -> bytes:
    """Return a CSV that spreadsheet programs read as UTF-8 and take no cell of for a formula (RFC 4180, CRLF, byte order mark)."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(names)
    writer.writerows([_harmless(cell) for cell in row] for row in rows)
    return b"\xef\xbb\xbf" + out.getvalue().encode("utf-8", "replace")


def encode_pdf(report: Report) -> bytes:
    """Return the report as a PDF: A4 on its side, the table's head and the page's number on every page.

    Raises InputError REPORT_TOO_LONG over MAX_PDF_ROWS.
    """
    if len(report.rows) > MAX_PDF_ROWS:
        raise InputError(
            "REPORT_TOO_LONG",
            f"PDF 报告至多 {MAX_PDF_ROWS} 行，实为 {len(report.rows)} 行：请改用 CSV，或拆分清单",
            f"expected at most {MAX_PDF_ROWS} rows in a PDF, found {len(report.rows)}: take a CSV, or split the list",
        )
    layout = _Layout(report)
    pages = list(layout.pages())
    return _draw(report, pages, _placed(report.charts, layout.rest))


def _harmless(cell: object) -> object:
    """Return a cell that no spreadsheet program computes: a text that could begin a formula gets an apostrophe before it."""
    return "'" + cell if isinstance(cell, str) and cell.startswith(_FORMULA_STARTS) else cell


class _Layout:
    """Puts a report's lines on pages; nothing is drawn yet, so that the number of pages is known when the first one is."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._page: list[_Line] = []
        self._y = _PAGE[1] - _MARGIN
        width = _PAGE[0] - 2 * _MARGIN - 10.0 - _GAP * (len(report.columns) - 1)
        total = sum(column.share for column in report.columns)
        self._widths = [width * column.share / total for column in report.columns]

    @property
    def rest(self) -> float:
        """Where the texts end on the last page."""
        return self._y

    def pages(self) -> Iterator[list[_Line]]:
        """Yield each page's texts."""
        self._begin()
        for row in self._report.rows:
            cells = self._wrapped(row)
            height = max(len(lines) for lines in cells) * _LEADING
            if self._y - height < _MARGIN + _FOOT:
                yield self._page
                self._page, self._y = [], _PAGE[1] - _MARGIN
                self._head()
            self._row(row, cells)
        for zh, en in self._report.notes:
            lines = wrap_text(f"{zh} / {en}", TEXT_FONT, _SIZE, _PAGE[0] - 2 * _MARGIN)
            if self._y - len(lines) * _LEADING < _MARGIN + _FOOT:
                yield self._page
                self._page, self._y = [], _PAGE[1] - _MARGIN
            for line in lines:
                self._text(_MARGIN, line, colour=_FAINT)
                self._y -= _LEADING
        yield self._page

    def _text(
        self,
        x: float,
        text: str,
        *,
        font: str = TEXT_FONT,
        size: float = _SIZE,
        colour: tuple[float, float, float] = _INK,
    ) -> None:
        self._page.append(_Line(x, self._y, text, font, size, colour))

    def _begin(self) -> None:
        """Put title, facts and counts on the first page, and the table's head under them."""
        report = self._report
        self._y -= _TITLE_SIZE
        self._text(_MARGIN, f"{report.zh} / {report.en}", size=_TITLE_SIZE)
        self._y -= 2 * _LEADING
        for zh, en, value in report.facts:
            self._text(_MARGIN, f"{zh} / {en}", colour=_FAINT)
            for line in wrap_text(value, TEXT_FONT, _SIZE, _PAGE[0] - 2 * _MARGIN - 170):
                self._text(_MARGIN + 170, line)
                self._y -= _LEADING
        self._y -= _LEADING / 2
        for count in report.counts:
            self._text(_MARGIN, f"{count.count:>9,}", font=_CODE_FONT)
            self._text(_MARGIN + 50, count.code, font=_CODE_FONT, colour=_COLOURS[count.mood])
            self._text(_MARGIN + 170, f"{count.zh} / {count.en}")
            self._y -= _LEADING
        self._y -= _LEADING / 2
        self._head()

    def _head(self) -> None:
        for x, column in zip(self._places(), self._report.columns, strict=True):
            self._text(x, f"{column.zh} / {column.en}", colour=_FAINT)
        self._y -= 1.4 * _LEADING

    def _row(self, row: Row, cells: list[list[str]]) -> None:
        self._text(_MARGIN, _MARKS[row.mood], font=_CODE_FONT, colour=_COLOURS[row.mood])
        top = self._y
        for x, column, lines in zip(self._places(), self._report.columns, cells, strict=True):
            self._y = top
            for line in lines:
                self._text(x, line, font=_font(column, line))
                self._y -= _LEADING
        self._y = top - max(len(lines) for lines in cells) * _LEADING - _LEADING * 0.3

    def _wrapped(self, row: Row) -> list[list[str]]:
        return [
            wrap_text(_shortened(cell), _font(column, cell), _SIZE, width)
            for cell, column, width in zip(row.cells, self._report.columns, self._widths, strict=True)
        ]

    def _places(self) -> Iterator[float]:
        x = _MARGIN + 10.0
        for width in self._widths:
            yield x
            x += width + _GAP


_MARKS: Final[dict[Mood, str]] = {"good": "+", "warn": "!", "bad": "x"}


def _font(column: Column, text: str) -> str:
    return _CODE_FONT if column.is_code and text.isascii() else TEXT_FONT


def _shortened(text: str) -> str:
    return text if len(text) <= MAX_CELL_CHARACTERS else text[: MAX_CELL_CHARACTERS - 1] + "…"


def wrap_text(text: str, font: str, size: float, width: float) -> list[str]:
    """Return a text in lines of at most `width` points; Chinese breaks anywhere, Latin words where one is longer than a line.

    TEXT_FONT is known to reportlab afterwards; characters that no font has are replaced.
    """
    lines = []
    for paragraph in text.split("\n"):
        line, room = "", width
        for word in _WORDS.findall(_printable(paragraph)):
            taken = _width(word, font) * size
            if taken > room and taken <= width:
                lines.append(line.rstrip())
                line, room = "", width
            if taken <= room:
                if line or word != " ":
                    line, room = line + word, room - taken
                continue
            # An identifier longer than a line breaks between its parts, after a dot, where one fits.
            for part in _PARTS.findall(word):
                taken = _width(part, font) * size
                pieces = [part] if taken <= width else list(part)
                for piece in pieces:
                    taken = _width(piece, font) * size
                    if taken > room and line:
                        lines.append(line)
                        line, room = "", width
                    line, room = line + piece, room - taken
        lines.append(line.rstrip())
    return lines


def _printable(text: str) -> str:
    """Return a text of characters that the font has: others of Unicode's first plane stay, and are the reader's to show."""
    return "".join(
        _GETA if ord(character) > 0xFFFF or not (character.isprintable() or character == " ") else character
        for character in text
    )


@lru_cache(maxsize=8_192)
def _width(text: str, font: str) -> float:
    """Return the width of a text in a font of one point."""
    width: float = _metrics().stringWidth(text, font, 1)
    return width


@lru_cache(maxsize=1)
def _metrics() -> Any:
    """Return reportlab's fonts with the one for Chinese among them; loaded when the first report is made."""
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.cidfonts import UnicodeCIDFont

    pdfmetrics.registerFont(UnicodeCIDFont(TEXT_FONT))
    return pdfmetrics


class _Placed(msgspec.Struct, frozen=True):
    """A chart on a page: its left upper corner, and how far its bars are apart."""

    chart: Chart
    left: float
    top: float
    step: float


def _placed(charts: Sequence[Chart], rest: float) -> list[list[_Placed]]:
    """Return which charts stand where on the page that ends at `rest`, and on those behind it: in two columns, as high as each is."""
    sheets: list[list[_Placed]] = [[]]
    tops = [rest - _LEADING] * 2
    for chart in charts:
        if not chart.bars:
            continue
        highest, lowest = _PAGE[1] - _MARGIN, _MARGIN + _FOOT
        step = min(_BAR_STEP, (highest - lowest - _CHART_HEAD) / len(chart.bars))
        height = _CHART_HEAD + step * len(chart.bars)
        column = 0 if tops[0] >= tops[1] else 1
        if tops[column] - height < lowest:
            sheets.append([])
            tops, column = [highest] * 2, 0
        sheets[-1].append(_Placed(chart, _MARGIN + column * (_COLUMN + _MARGIN), tops[column], step))
        tops[column] -= height
    return sheets


def _draw(report: Report, pages: list[list[_Line]], sheets: list[list[_Placed]]) -> bytes:
    """Return the pages as a PDF; the first of `sheets` are the charts on the last of `pages`, the others follow."""
    from reportlab.pdfgen.canvas import Canvas

    out = io.BytesIO()
    # Invariant: no time of making and no random name in the file, so that a report can be made again and compared.
    canvas = Canvas(out, pagesize=_PAGE, invariant=1, pageCompression=1)
    canvas.setTitle(f"{report.zh} / {report.en}")
    canvas.setCreator("govnode")
    canvas.setSubject(" · ".join(value for _, _, value in report.facts[:2]))
    without: list[list[_Placed]] = [[]] * (len(pages) - 1)
    blank: list[list[_Line]] = [[]] * (len(sheets) - 1)
    contents = list(zip([*pages, *blank], [*without, *sheets], strict=True))
    for number, (lines, charts) in enumerate(contents, 1):
        style: object = None
        for line in lines:
            if style != (line.font, line.size, line.colour):
                style = (line.font, line.size, line.colour)
                canvas.setFillColorRGB(*line.colour)
                canvas.setFont(line.font, line.size)
            canvas.drawString(line.x, line.y, line.text)
        for placed in charts:
            _draw_chart(canvas, placed)
        _end_page(canvas, number, len(contents))
    canvas.save()
    return out.getvalue()


def _end_page(canvas: Any, number: int, count: int) -> None:
    canvas.setFillColorRGB(*_FAINT)
    canvas.setFont(TEXT_FONT, _SIZE)
    canvas.drawCentredString(_PAGE[0] / 2, _MARGIN / 2, f"第 {number} 页，共 {count} 页 / page {number} of {count}")
    canvas.showPage()


def _draw_chart(canvas: Any, placed: _Placed) -> None:
    """Draw a chart where it was placed, the longest bar as wide as there is room for."""
    chart, left, top = placed.chart, placed.left, placed.top
    canvas.setFillColorRGB(*_INK)
    canvas.setFont(TEXT_FONT, 1.4 * _SIZE)
    canvas.drawString(left, top - 1.4 * _SIZE, _printable(f"{chart.zh} / {chart.en}"))
    room = _COLUMN - _BAR_LABEL - _BAR_NUMBER
    longest = max(1, *(bar.count for bar in chart.bars))
    for position, bar in enumerate(chart.bars):
        y = top - _CHART_HEAD + _SIZE / 2 - position * placed.step
        canvas.setFillColorRGB(*_INK)
        canvas.setFont(TEXT_FONT, _SIZE)
        label = wrap_text(bar.label, TEXT_FONT, _SIZE, _BAR_LABEL - 2 * _GAP)
        canvas.drawString(left, y, label[0] + ("…" if len(label) > 1 else ""))
        canvas.setFillColorRGB(*_COLOURS[bar.mood])
        canvas.rect(
            left + _BAR_LABEL, y - 1, room * bar.count / longest, min(_SIZE, 0.7 * placed.step), stroke=0, fill=1
        )
        canvas.setFillColorRGB(*_FAINT)
        canvas.setFont(_CODE_FONT, _SIZE)
        canvas.drawString(left + _BAR_LABEL + room * bar.count / longest + 3, y, f"{bar.count:,}")
