"""Reports as PDF: laid out in a process of their own, since a second of computing beside the event loop halves its speed."""

from __future__ import annotations

from typing import Final

import msgspec

from explorer.child_process import run_child
from explorer.problems import Problem
from verification.report import Report

MAX_MAKING_S: Final = 60.0
"""From start to end of the process: it is then killed."""
MAX_PDF_BYTES: Final = 32 * 1024 * 1024


def make_pdf(report: Report) -> bytes:
    """Return the report as a PDF; takes up to MAX_MAKING_S.

    Raises Problem REPORT_NOT_MADE where the process ran into a limit or the system ended it.
    """
    answer = run_child(
        "explorer.report_process",
        msgspec.msgpack.encode(report),
        max_s=MAX_MAKING_S,
        max_answer_bytes=MAX_PDF_BYTES,
    )
    try:
        return msgspec.msgpack.decode(answer, type=bytes)
    except msgspec.DecodeError:
        raise Problem("REPORT_NOT_MADE") from None
