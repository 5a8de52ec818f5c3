"""What a certificate was over a span of time: "was it valid on 3 March?" has several answers where it changed on that day."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from contracts.certificate_records import CertificateRecord, HistoryPage, StatusAt, status_at

MAX_SPANS: Final = 64
"""Of one answer: whoever changes a status more often in a day is told of the first."""


class Span(msgspec.Struct, frozen=True):
    """What a certificate was from `from_ms` to `to_ms`, both included."""

    from_ms: int
    to_ms: int
    status: StatusAt


def status_spans(
    record: CertificateRecord, load_page: Callable[[int], HistoryPage | None], from_ms: int, to_ms: int
) -> tuple[Span, ...]:
    """Return what a certificate was from `from_ms` to `to_ms`, both included, a span for each verdict and status, at most MAX_SPANS.

    `load_page(time_ms)` returns the page of its history that covers a time, None where the record itself does.
    """
    spans: list[Span] = []
    at_ms = from_ms
    while at_ms <= to_ms:
        page = load_page(at_ms)
        status = status_at(record, at_ms, page)
        until_ms = min([to_ms, *(change - 1 for change in _changes(record, page) if change > at_ms)])
        last = spans[-1] if spans else None
        if last is not None and (last.status.verdict, last.status.status) == (status.verdict, status.status):
            spans[-1] = msgspec.structs.replace(last, to_ms=until_ms)
        elif len(spans) == MAX_SPANS:
            break
        else:
            spans.append(Span(at_ms, until_ms, status))
        at_ms = until_ms + 1
    return tuple(spans)


def _changes(record: CertificateRecord, page: HistoryPage | None) -> list[int]:
    """Return the times in ms from when the certificate may be something else, as far as record and page say."""
    intervals = record.history if page is None else page.intervals
    ends = [record.history[0].from_ms] if page is None else [page.until_ms]
    validity = [record.issued_ms, record.valid_from_ms, record.valid_to_ms + 1]
    return [*(interval.from_ms for interval in intervals), *ends, *validity]
