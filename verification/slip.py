"""The verification slip: one printed page with a certificate's code, what it says, and how anybody checks it (docs/spec/codes.md)."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Final

import msgspec

from verification.certificate_files.document import WITHOUT_END
from verification.certificate_files.field_names import field_label
from verification.code_image import MIN_MODULE_MM, QUIET_MODULES, code_modules
from verification.codes import PRESENTATION_PREFIX
from verification.errors import InputError
from verification.report import TEXT_FONT, wrap_text

if TYPE_CHECKING:
    from reportlab.pdfgen.canvas import Canvas

    from verification.certificate_files.document import DocumentCore

_MM: Final = 72 / 25.4
_PAGE: Final = (148 * _MM, 210 * _MM)
"""A5, in points (1/72 inch), like every length below."""
_MARGIN: Final = 12 * _MM
_LINK_CODE: Final = 48 * _MM
_SIZE: Final = 8.5
_LEADING: Final = 12.0
_LABEL: Final = 96.0
_FAINT: Final = 0.42
_INK: Final = 0.1

_LINK_STEPS: Final = (
    (
        "用手机扫码，或把本页的照片上传到贵单位自己的核验页面（govnode verify 照片 亦可），不需要输入。",
        "Scan it, or hand a photo of this page to your own verification page (or to govnode verify): nothing has to be typed.",
    ),
    (
        "扫码打开的网址若不是您信任的部门的网址，请勿相信其结论：任何人都能印一个指向别处的码。",
        "If the address that opens is not one of a department that you trust, do not believe it: anybody can print a code that "
        "leads elsewhere.",
    ),
    (
        "把核验结果中的标识、类型、颁发机构与有效期同本页及所持证照逐项对照；以账本的结论为准，本页本身不是凭证。",
        "Compare identifier, type, issuer and days of the result with this page and the certificate; what counts is what the "
        "ledger says: this page proves nothing by itself.",
    ),
)
_PRESENTATION_STEPS: Final = (
    (
        "把本页的照片交给核验页面或 govnode verify：码里有颁发机构的签名和选择出示的内容；证照登记了持证人密钥的，还有持证人的签名。",
        "Hand a photo of this page to a verification page or to govnode verify: the code holds the issuer's signature, what was chosen "
        "to be shown, and the holder's signature where the certificate names a holder's key.",
    ),
    (
        "以核验结果显示的内容为准，而不是以本页印的文字为准；证照现在是否有效，由账本回答",
        "What counts is what the result shows, not what is printed here; whether the certificate is in force now is for the ledger to say.",
    ),
)


_VALUES_NOT_IN_LINK: Final = (
    "注意：以上字段的值不在码里，扫码核验不了；要核验，请持证人给出证照文件或出示码。",
    "Note: the values above are not in the code and cannot be verified by it: ask the holder for the document, or for the code of a "
    "presentation.",
)


class Slip(msgspec.Struct, frozen=True):
    """What a slip shows: the text of the code, facts that always show, and values that were asked for, by their names.

    A fact is its label in Chinese and English, and its value.
    """

    code: str
    facts: tuple[tuple[str, str, str], ...]
    values: tuple[tuple[str, str], ...] = ()


def document_facts(core: DocumentCore) -> tuple[tuple[str, str, str], ...]:
    """Return the facts that stand on the slip of a document or of what was made of it; none is personal."""
    end = "长期 / without end" if core.valid_to == WITHOUT_END else core.valid_to
    return (
        ("证照标识", "Identifier", core.identifier),
        ("证照类型", "Type", f"{core.type_name} {core.type_code}"),
        ("颁发机构", "Issuer", f"{core.issuer_name} {core.issuer_code}"),
        ("颁发日期", "Issued", core.issued_on),
        ("有效期", "Validity", f"{core.valid_from} ~ {end}"),
    )


def encode_slip(slip: Slip) -> bytes:
    """Return the slip as a PDF of one A5 page; the same slip gives the same bytes.

    Raises InputError SLIP_TOO_LONG where the values do not fit.
    """
    from reportlab.pdfgen.canvas import Canvas

    out = io.BytesIO()
    canvas = Canvas(out, pagesize=_PAGE, invariant=1, pageCompression=1)
    canvas.setTitle("电子证照核验单 / Certificate verification slip")
    canvas.setCreator("govnode")
    pen = _Pen(canvas)
    pen.write("电子证照核验单 / Certificate verification slip", size=14, leading=20)
    pen.skip(_LEADING)
    is_link = not slip.code.startswith(PRESENTATION_PREFIX)
    pen.draw_code(slip.code, _LINK_CODE if is_link else 0)
    for zh, en, value in slip.facts:
        pen.pair(f"{zh} / {en}", value)
    for name, value in slip.values:
        pen.pair(field_label(name), value)
    if slip.values and is_link:
        pen.write(_VALUES_NOT_IN_LINK[0])
        pen.write(_VALUES_NOT_IN_LINK[1], size=7, leading=9, grey=_FAINT)
    pen.skip(_LEADING / 2)
    for number, (zh, en) in enumerate(_LINK_STEPS if is_link else _PRESENTATION_STEPS, 1):
        pen.write(f"{number}. {zh}")
        pen.write(en, size=7, leading=9, grey=_FAINT)
        pen.skip(3)
    canvas.showPage()
    canvas.save()
    return out.getvalue()


class _Pen:
    """Writes down the page from the top to the margin."""

    def __init__(self, canvas: Canvas) -> None:
        self._canvas = canvas
        self._y = _PAGE[1] - _MARGIN

    def skip(self, height: float) -> None:
        self._y -= height

    def write(
        self, text: str, *, x: float = _MARGIN, size: float = _SIZE, leading: float = _LEADING, grey: float = _INK
    ) -> None:
        """Write a text over as many lines as it takes."""
        for line in wrap_text(text, TEXT_FONT, size, _PAGE[0] - _MARGIN - x):
            if self._y - leading < _MARGIN:
                raise InputError(
                    "SLIP_TOO_LONG",
                    "核验单放不下这些内容，请少印几项",
                    "the slip has no room for all of this: print fewer values",
                )
            self._y -= leading
            self._canvas.setFillGray(grey)
            self._canvas.setFont(TEXT_FONT, size)
            self._canvas.drawString(x, self._y, line)

    def pair(self, label: str, value: str) -> None:
        """Write a label, and its value to the right of it."""
        top = self._y
        self.write(label, size=7, grey=_FAINT)
        below, self._y = self._y, top
        self.write(value, x=_MARGIN + _LABEL)
        self._y = min(self._y, below)

    def draw_code(self, text: str, least: float) -> None:
        """Draw a code in the middle, its modules at least MIN_MODULE_MM, the whole at least `least` wide."""
        rows = code_modules(text)
        count = len(rows) + 2 * QUIET_MODULES
        module = max(MIN_MODULE_MM * _MM, least / count)
        left, top = (_PAGE[0] - count * module) / 2 + QUIET_MODULES * module, self._y - QUIET_MODULES * module
        self._canvas.setFillGray(0)
        path = self._canvas.beginPath()
        for number, row in enumerate(rows):
            for start, length in _runs(row):
                path.rect(left + start * module, top - (number + 1) * module, length * module, module)
        self._canvas.drawPath(path, stroke=0, fill=1)
        self._y -= count * module


def _runs(row: bytes) -> list[tuple[int, int]]:
    """Return where dark modules begin in a row, and how many follow each other."""
    runs: list[tuple[int, int]] = []
    for place, module in enumerate(row):
        if not module:
            continue
        if runs and sum(runs[-1]) == place:
            runs[-1] = (runs[-1][0], runs[-1][1] + 1)
        else:
            runs.append((place, 1))
    return runs
