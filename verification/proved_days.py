"""Was it valid on 3 March? What a proved record of a certificate says of a day before the proof's block."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from contracts.certificate_records import VERDICTS, CertificateRecord, HistoryPageNeeded, StatusAt
from verification.days import day_end_ms, day_start_ms, show_time
from verification.status_spans import Span, status_spans


class DayFinding(msgspec.Struct, frozen=True):
    """What a certificate was on a day: `code` is IN_FORCE where it was all day long, else why not, or why the proof does not tell."""

    code: str
    zh: str
    en: str
    spans: tuple[Span, ...] = ()

    @property
    def decisive(self) -> StatusAt | None:
        """The first status on that day that is not in force, else the first; None where the proof does not tell."""
        told = [span.status for span in self.spans]
        return next((status for status in told if not status.is_valid), told[0] if told else None)


def status_on_day(record: CertificateRecord, proved_ms: int, day: str) -> DayFinding:
    """Return what a record proved as of `proved_ms` says of a day `YYYY-MM-DD`, China time; raise ValueError on another form."""
    from_ms, to_ms = day_start_ms(day), day_end_ms(day)
    if proved_ms < to_ms:
        # Of the rest of the day the proof knows nothing, and a change in it would be silent.
        return DayFinding(
            "PROOF_BEFORE_DAY",
            f"证明截至 {show_time(proved_ms)}，早于 {day} 日终，不能说明该日：请出示更晚的证明",
            f"the proof speaks of {show_time(proved_ms)}, before the end of {day}: a later proof is needed",
        )
    try:
        spans = status_spans(record, lambda time_ms: None, from_ms, to_ms)
    except HistoryPageNeeded:
        return DayFinding(
            "HISTORY_PAGE_NEEDED",
            f"证明中的记录只回溯到 {show_time(record.history[0].from_ms)}，更早的状态在历史页中：请向节点查询",
            f"the record in the proof goes back to {show_time(record.history[0].from_ms)}, earlier statuses are in pages of its "
            "history: ask a node",
        )
    code = next((span.status.verdict for span in spans if not span.status.is_valid), "IN_FORCE")
    return DayFinding(code, *_words(day, spans), spans)


def _words(day: str, spans: Sequence[Span]) -> tuple[str, str]:
    if len(spans) == 1:
        zh, en = VERDICTS[spans[0].status.verdict]
        return f"{day} 全天：{zh}", f"on {day}, all day: {en}"
    told = [(show_time(span.from_ms), *VERDICTS[span.status.verdict]) for span in spans]
    return (
        f"{day}：" + "；".join(f"自 {since} {zh}" for since, zh, _ in told),
        f"on {day}: " + "; ".join(f"from {since} {en}" for since, _, en in told),
    )
