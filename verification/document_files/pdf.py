"""A PDF file: whether signatures are found in it, and which bytes each says it covers. None of them is verified.

The file is searched as bytes, not read as a tree of objects: the byte ranges of a signature cannot stand in a compressed part, because
they name the place of their own value, and so little of a reader's code meets a stranger's file. A search may find a signature that a
tree would not lead to, and misses names written with escapes; so nothing is said to be absent, only not found.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from typing import Final

import msgspec

from verification.document_files.statements import Statement, broken, held, unverified, warning
from verification.errors import InputError

MAX_PDF_SIGNATURES: Final = 64
MAX_PDF_SIGNATURE_BYTES: Final = 4 * 1024 * 1024
MAX_HEADER_OFFSET: Final = 1_024
_GAP: Final = rb"[ \t\r\n\f\0]"
_BYTE_RANGE: Final = re.compile(
    rb"/ByteRange%b{0,16}\[%b{0,64}(\d{1,12})%b{1,64}(\d{1,12})%b{1,64}(\d{1,12})%b{1,64}(\d{1,12})%b{0,64}\]"
    % ((_GAP,) * 6)
)
_SPACE: Final = b" \t\r\n\f\0"


class PdfSignature(msgspec.Struct, frozen=True):
    """One signature that was found: the offset of its byte ranges, the two ranges as (start, length), and what lies outside."""

    offset: int
    ranges: tuple[tuple[int, int], tuple[int, int]]
    bytes_after: int
    is_gap_its_value: bool


class PdfReport(msgspec.Struct, frozen=True):
    """What was found in a PDF file."""

    version: str
    signatures: tuple[PdfSignature, ...]
    statements: tuple[Statement, ...]


def is_pdf(raw: bytes) -> bool:
    """Whether a file has the header of a PDF file near its beginning."""
    return b"%PDF-" in raw[:MAX_HEADER_OFFSET]


def inspect_pdf(raw: bytes) -> PdfReport:
    """Return the signatures found in a PDF file; raise InputError PDF_MALFORMED where it has no header or too many are found."""
    start = raw.find(b"%PDF-", 0, MAX_HEADER_OFFSET)
    if start < 0:
        raise InputError("PDF_MALFORMED", "不是 PDF 文件：缺少文件头", "not a PDF file: its header is missing")
    version = re.match(rb"\d\.\d", raw[start + 5 : start + 8])
    found = list(islice(_BYTE_RANGE.finditer(raw), MAX_PDF_SIGNATURES + 1))
    if len(found) > MAX_PDF_SIGNATURES:
        raise InputError(
            "PDF_MALFORMED",
            f"签名应不超过 {MAX_PDF_SIGNATURES} 个",
            f"expected at most {MAX_PDF_SIGNATURES} signatures, found more",
        )
    signatures = tuple(_signature(raw, match) for match in found)
    return PdfReport(
        "" if version is None else version.group().decode("ascii"),
        signatures,
        tuple(_statements(signatures, len(raw))),
    )


def _signature(raw: bytes, match: re.Match[bytes]) -> PdfSignature:
    first, first_size, second, second_size = (int(number) for number in match.groups())
    start = first + first_size
    gap = raw[start : min(second, start + MAX_PDF_SIGNATURE_BYTES)].strip(_SPACE)
    is_value = (
        second - start <= MAX_PDF_SIGNATURE_BYTES
        and gap[:1] == b"<"
        and gap[-1:] == b">"
        and re.fullmatch(rb"[0-9A-Fa-f \t\r\n\f\0]*", gap[1:-1]) is not None
    )
    end = second + second_size
    return PdfSignature(
        match.start(),
        ((first, first_size), (second, second_size)),
        max(0, len(raw) - end),
        is_value and first == 0 and first_size < second and end <= len(raw),
    )


def _statements(signatures: tuple[PdfSignature, ...], size: int) -> Iterator[Statement]:
    if not signatures:
        yield unverified(
            "PDF_NO_SIGNATURE_FOUND",
            "未找到签名：无从核验其来源（按字节查找，名称经转义的签名不会被找到）",
            "no signature was found: nothing says whose it is (searched as bytes; one with an escaped name is missed)",
        )
        return
    yield unverified(
        "PDF_SIGNATURES_NOT_VERIFIED",
        f"找到 {len(signatures)} 个签名，均未核验：本工具只说明其自称覆盖的字节",
        f"{len(signatures)} signatures were found, none was verified: only the bytes that they say they cover are told",
    )
    for number, signature in enumerate(signatures, 1):
        if not signature.is_gap_its_value:
            yield broken(
                "PDF_RANGE_WRONG",
                f"第 {number} 个签名的字节范围不可用：应从文件开头起，仅空出签名值本身，并在文件之内",
                f"the byte ranges of signature {number} are not usable: expected to begin with the file, to leave out nothing "
                "but the signature's value, and to end within the file",
            )
        elif signature.bytes_after:
            yield warning(
                "PDF_BYTES_AFTER_SIGNATURE",
                f"第 {number} 个签名之后文件增加了 {signature.bytes_after} 字节，此签名不覆盖",
                f"{signature.bytes_after} bytes follow what signature {number} covers",
            )
        else:
            yield held(
                "PDF_RANGE_WHOLE_FILE",
                f"第 {number} 个签名自称覆盖全部 {size} 字节（签名值本身除外）",
                f"signature {number} says that it covers all {size} bytes but its own value",
            )
