"""Reads the code in a photo, a picture or a PDF, in a process of its own that a hostile file can do little in (docs/spec/codes.md)."""

from __future__ import annotations

import functools
from typing import Final

import msgspec
from starlette.concurrency import run_in_threadpool

from explorer.child_process import run_child
from explorer.code_reading_process import MAX_CODES, MAX_PDF_PAGES, MAX_PIXELS, MAX_TEXT, Found, file_kind
from explorer.problems import Problem
from explorer.turns import Turns
from node.logs import Log
from verification.certificate_files.presentation import Presentation
from verification.deposits import CodeContent, DepositLink, read_code_content
from verification.errors import InputError

MAX_PHOTO_BYTES: Final = 24 * 1024 * 1024
MAX_READ_S: Final = 12.0
"""From start to end of the process: it is then killed."""
MAX_WAITING_PHOTOS: Final = 8
"""Of a node, beside the one that is being read."""

_MAX_ANSWER_BYTES: Final = 4 * MAX_CODES * (MAX_TEXT + 16)
_LOG: Final = Log("code-reader")
_DECODE: Final = msgspec.msgpack.Decoder(Found).decode

_FAULTS: Final[dict[str, tuple[str, str]]] = {
    "IMAGE_KIND_UNKNOWN": (
        "应为 PNG、JPEG、WebP 图片或 PDF 文件，请转换格式后重试",
        "expected a picture (PNG, JPEG, WebP) or a PDF: convert the file and try again",
    ),
    "IMAGE_TOO_LARGE": (
        f"图片应不超过 {MAX_PHOTO_BYTES // 1024**2} MiB、{MAX_PIXELS // 10**6} 百万像素，请裁剪或降低分辨率",
        f"expected at most {MAX_PHOTO_BYTES // 1024**2} MiB and {MAX_PIXELS // 10**6} million pixels: crop it or make it smaller",
    ),
    "IMAGE_UNREADABLE": (
        "文件损坏或加密，无法打开，请重新拍摄或导出",
        "the file is damaged or encrypted and cannot be opened: photograph or export it again",
    ),
    "IMAGE_TOO_HARD": (
        "文件解码所需的时间或内存超过限度，请换一张图片",
        "to decode the file takes more time or memory than is allowed: try another picture",
    ),
    "CODE_NOT_FOUND": (
        f"图中没有找到二维码（PDF 只看前 {MAX_PDF_PAGES} 页）：请让二维码占满画面、对焦清楚、光线均匀，再拍一张",
        f"no QR code was found (of a PDF, the first {MAX_PDF_PAGES} pages are looked at): take another photo with the code filling it, "
        "in focus and evenly lit",
    ),
    "CODES_SEVERAL": (
        "图中有多份证照的二维码，请一次只拍一个",
        "the picture shows codes of several certificates: photograph one at a time",
    ),
    "READER_BUSY": (
        "正在识别的图片过多，请稍后重试",
        "too many pictures wait to be read: try again in a moment",
    ),
}


def is_photo(raw: bytes) -> bool:
    """Return whether a file says that it is of a kind that codes are read from."""
    return file_kind(raw) is not None


def read_photo(raw: bytes) -> CodeContent:
    """Return what the code in a picture or PDF carries; other parties' codes beside it are passed over.

    Takes up to MAX_READ_S. Raises InputError: a code of a file that cannot be read (IMAGE_...), CODE_NOT_FOUND, CODES_SEVERAL,
    CODE_UNKNOWN where all codes are other parties', CODE_MALFORMED or what a presentation's file raises where one is damaged.
    """
    found: list[CodeContent] = []
    reason: InputError | None = None
    for text in read_texts(raw):
        try:
            content = read_code_content(text)
        except InputError as error:
            # What is wrong with a damaged code of ours says more than that another is unknown.
            reason = error if reason is None or reason.code == "CODE_UNKNOWN" else reason
        else:
            found.append(content)
    if len({_identifier(content) for content in found}) > 1:
        raise _fault("CODES_SEVERAL")
    if found:
        return next((content for content in found if isinstance(content, Presentation)), found[0])
    assert reason is not None, "there is a text for every code"
    raise reason


def read_texts(raw: bytes) -> tuple[str, ...]:
    """Return the texts of the QR codes in a picture or PDF, at least one; raise InputError as read_photo does."""
    if file_kind(raw) is None:
        raise _fault("IMAGE_KIND_UNKNOWN")
    if len(raw) > MAX_PHOTO_BYTES:
        raise _fault("IMAGE_TOO_LARGE")
    try:
        found = _DECODE(
            run_child("explorer.code_reading_process", raw, max_s=MAX_READ_S, max_answer_bytes=_MAX_ANSWER_BYTES)
        )
    except msgspec.DecodeError:
        # Nothing came, or not all of it: the process ran into a limit, or a decoder crashed.
        raise _fault("IMAGE_TOO_HARD") from None
    if not found.is_filtered:
        _note_no_filter()
    if found.fault or not found.texts:
        raise _fault(found.fault if found.fault in _FAULTS else "CODE_NOT_FOUND")
    return found.texts[:MAX_CODES]


class CodeReader:
    """Reads photos for a node's callers: one at a time, of each client in turn, with MAX_WAITING_PHOTOS at most waiting."""

    def __init__(self) -> None:
        self._turns = Turns(MAX_WAITING_PHOTOS)

    async def read(self, client: str, raw: bytes) -> CodeContent:
        """Return what read_photo returns, off the event loop and in turn; raise InputError as it does, and READER_BUSY."""
        try:
            async with self._turns.take(client):
                return await run_in_threadpool(read_photo, raw)
        except Problem:
            raise _fault("READER_BUSY") from None


@functools.cache
def _note_no_filter() -> None:
    """Say once that pictures are read under limits of resources alone."""
    _LOG.warning("no_system_call_filter", process="explorer.code_reading_process")


def _identifier(content: CodeContent) -> str:
    """Return which certificate a code is of; of a deposit which deposit, since what lies in it is not known here."""
    if isinstance(content, DepositLink):
        return content.id
    return content.core.identifier if isinstance(content, Presentation) else content.identifier


def _fault(code: str) -> InputError:
    return InputError(code, *_FAULTS[code])
