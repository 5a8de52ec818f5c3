"""What the verification of a trace comes to: faults by name, what was kept back, and what the trace therefore shows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from verification.access.trace_filter import TraceFilter

MAX_LISTED: Final = 1_000
"""Of faults, batches kept back, streams left open and those not due, each: what is beyond is counted."""
MAX_UNTIL_NOW_MS: Final = 600_000
"""How long before the trace's block a period until now may have ended: as long as it takes to record the query and to prove."""

FAULTS: Final[dict[str, tuple[str, str]]] = {
    "TRACE_MALFORMED": ("文件格式无效", "the file is malformed"),
    "TRACE_CUT": ("文件不完整", "the file ends too early"),
    "NOT_FINAL": ("区块头未被信任的验证者确认", "the header is not final to whoever trusts this network"),
    "RECORD_UNPROVED": ("账本记录的证明不成立", "the proof of a record of the ledger does not hold"),
    "STREAM_MISSING": ("缺少记录流", "a stream of the ledger was left out"),
    "STREAM_ADDED": ("账本没有的记录流", "a stream that the ledger does not have"),
    "BATCH_MISSING": ("缺少批次", "a batch was left out"),
    "BATCH_ADDED": ("账本没有的批次", "a batch that the ledger does not have"),
    "BATCH_CHANGED": ("批次的账本记录被改动", "the ledger's record of a batch was changed"),
    "BATCH_BROKEN": ("批次与前后批次或流末端不衔接", "a batch does not continue the one before, or the stream's end"),
    "READ_REMOVED": ("批次缺少读取记录", "reads of a batch were removed"),
    "READ_INSERTED": ("批次多出读取记录", "reads were inserted into a batch"),
    "READS_CHANGED": ("读取记录被改动或调换次序", "reads were edited or reordered: they do not make the batch's root"),
    "BACK_DATED": (
        "读取时间不在批次的时段内或次序倒置",
        "a read lies outside its batch's time, or before the one before it",
    ),
    "TALLY_WRONG": (
        "各结果的条数或行数与批次所述不符",
        "the outcomes or rows of the reads are not those that the batch states",
    ),
    "READ_HIDDEN": (
        "既未全部出示、也未证明不在查询范围内的读取",
        "a read is neither shown whole nor shown not to be asked for",
    ),
    "READ_FOREIGN": ("读取记录的内容自相矛盾", "what a read says contradicts itself"),
    "GRANT_MISSING": ("缺少读取所依据授权的账本记录", "the ledger's record of a grant that a read names was left out"),
    "COUNT_WRONG": ("条数与文件末尾所述不符", "the number of reads shown is not the one that the end states"),
}
"""Everything that can be wrong with a trace, in Chinese and English."""
OF_RECORDERS: Final = frozenset({"BACK_DATED", "TALLY_WRONG", "READ_FOREIGN"})
"""What a recorder puts on the ledger itself, whoever makes the trace: every read is there all the same."""


class Fault(msgspec.Struct, frozen=True):
    """What is wrong, by a code of FAULTS, and where: stream, batch and read by number (0 where it is not about one), and how.

    With `last_number` it is about one or more of the reads from `number` to there: a trace cannot tell which.
    """

    code: str
    department: str = ""
    recorder: bytes = b""
    batch_number: int = 0
    number: int = 0
    detail: str = ""
    last_number: int = 0

    @property
    def texts(self) -> tuple[str, str]:
        """Code's text and place in Chinese and English."""
        zh, en = FAULTS[self.code]
        place_zh, place_en = self._place()
        detail = f": {self.detail}" if self.detail else ""
        return f"{zh}{place_zh}{detail}", f"{en}{place_en}{detail}"

    def _place(self) -> tuple[str, str]:
        if not self.department:
            return "", ""
        stream = f"{self.department}/{self.recorder.hex()}"
        zh = en = ""
        if self.batch_number:
            zh, en = f" 批次 {self.batch_number}", f", batch {self.batch_number}"
        if self.last_number > self.number:
            zh, en = f"{zh} 序号 {self.number}-{self.last_number}", f"{en}, reads {self.number}-{self.last_number}"
        elif self.number:
            zh, en = f"{zh} 序号 {self.number}", f"{en}, read {self.number}"
        return f"（{stream}{zh}）", f" ({stream}{en})"


class WithheldBatch(msgspec.Struct, frozen=True):
    """A batch whose reads the trace does not have (BODY_WITHHELD): the ledger says how many there are, of what outcome and rows."""

    department: str
    recorder: bytes
    batch_number: int
    first_number: int
    count: int
    from_ms: int
    to_ms: int
    served: int
    denied: int
    irregular: int
    rows: int
    reason: str


def withheld_runs(withheld: Iterable[WithheldBatch]) -> list[list[WithheldBatch]]:
    """Return batches kept back together that follow one another in one stream and were kept back for one reason."""
    runs: list[list[WithheldBatch]] = []
    for batch in withheld:
        last = runs[-1][-1] if runs else None
        # Between them there may be heartbeats, which have no reads to keep back.
        if last is not None and (last.department, last.recorder, last.reason, last.first_number + last.count) == (
            batch.department,
            batch.recorder,
            batch.reason,
            batch.first_number,
        ):
            runs[-1].append(batch)
        else:
            runs.append([batch])
    return runs


class AlteredBatch(msgspec.Struct, frozen=True):
    """A place that gave other reads of a batch than the recorded ones, as the trace's maker says (STORE_ALTERED): which, by its code."""

    department: str
    recorder: bytes
    batch_number: int
    place: str
    code: str
    number: int


class OpenStream(msgspec.Struct, frozen=True):
    """A stream whose batches do not reach the end of the period: what it holds after `covered_ms` is not on the ledger.

    Its next batch was promised by `due_ms`; one that has ended sends none.
    """

    department: str
    recorder: bytes
    covered_ms: int
    """Its first declaration where it has no batch yet."""
    due_ms: int
    is_ended: bool


class BatchFact(msgspec.Struct, frozen=True):
    """What rules ask of a batch: how many reads of which time, by when it was promised and when it was recorded."""

    department: str
    recorder: bytes
    batch_number: int
    first_number: int
    count: int
    from_ms: int
    to_ms: int
    due_ms: int
    recorded_ms: int
    has_reads: bool
    """Whether the trace has its reads, if there are any: of one that is withheld it cannot be told which ones it has."""


class TraceVerdict(msgspec.Struct):
    """What a trace shows, as of a final block; the lists have at most MAX_LISTED items, the counts are whole."""

    filter: TraceFilter | None = None
    height: int = 0
    time_ms: int = 0
    made_ms: int = 0
    query: int = 0
    query_digest: bytes = b""
    """Of the query that the trace says it answers: the ledger has the same one under its number."""
    streams: int = 0
    streams_looked_at: int = 0
    batches: int = 0
    reads: int = 0
    matches: int = 0
    sealed_persons: int = 0
    """Reads shown, and not among `matches`, because the number is sealed to the authority: whether it is the person's, only it can tell."""
    fault_count: int = 0
    hole_count: int = 0
    """Of the faults, those behind which something may be missing: who made or handed on the file did that, no recorder could."""
    withheld_count: int = 0
    open_count: int = 0
    pending_count: int = 0
    covered_until_ms: int = 0
    """The last moment of the period until which every stream looked at has its reads on the ledger."""
    faults: list[Fault] = []
    withheld: list[WithheldBatch] = []
    open_streams: list[OpenStream] = []
    """Those that owe what is missing of the period: late as of the trace's block, or ended without it."""
    pending_streams: list[OpenStream] = []
    """Those whose next batch was not due yet as of the trace's block: nothing is missing that had to be there."""
    altered: list[AlteredBatch] = []
    """What the trace's maker says of places whose reads were changed; the trace has the recorded ones, or none."""

    @property
    def is_sound(self) -> bool:
        """Whether everything in the trace is as the ledger has it: nothing removed, added, changed, moved or dated back."""
        return not self.fault_count

    @property
    def is_complete(self) -> bool:
        """Whether the trace is sound and has every read asked for: of a period until now, all of them until `covered_until_ms`."""
        is_due = not self.withheld_count and not self.open_count and self.reaches_end
        return self.is_sound and is_due and (not self.pending_count or self._is_until_now)

    @property
    def _is_until_now(self) -> bool:
        """Whether all was asked for until now, as the block says when that was, and all streams cover a part: the rest may be not due.

        Any other period has to be covered whole: whoever asks for yesterday's reads asks again once they are due.
        """
        wanted = self.filter
        return (
            wanted is not None
            and wanted.is_until_now
            and self.time_ms - wanted.to_ms <= MAX_UNTIL_NOW_MS
            and self.covered_until_ms >= wanted.from_ms
        )

    def is_due_by(self, now_ms: int) -> bool:
        """Return whether something that was not due as of the block is due at a time in ms: a trace made then has it, or names it."""
        return any(stream.due_ms < now_ms for stream in self.pending_streams)

    @property
    def reaches_end(self) -> bool:
        """Whether the trace's block comes after the period: an earlier one knows nothing of what followed, not even of new streams."""
        return self.filter is not None and self.time_ms >= self.filter.to_ms

    @property
    def undecided_texts(self) -> tuple[str, str]:
        """Return, in Chinese and English, how many reads may be the person's or anybody's, and how that is decided; empty for none."""
        count = self.sealed_persons
        if not count:
            return "", ""
        return (
            f"另有 {count} 条读取的人员号码密封，是否其人未定，不在符合之列；由持有密钥的审计机关判定："
            "govnode audit report --reads-csv 写出“密封的人员号码”一列，以 govnode audit person-open 打开，再与所查的人员承诺比对",
            f"person sealed, undecided: {count} reads, not among those asked for; the authority that holds the key decides: the column "
            '"sealed person" of govnode audit report --reads-csv, opened by govnode audit person-open, against the commitment asked for',
        )

    def add_fault(self, fault: Fault) -> None:
        """Count a fault, and keep it while there is room."""
        self.fault_count += 1
        self.hole_count += fault.code not in OF_RECORDERS
        if len(self.faults) < MAX_LISTED:
            self.faults.append(fault)

    def add_withheld(self, batch: WithheldBatch) -> None:
        """Count a batch without reads, and keep it while there is room."""
        self.withheld_count += 1
        if len(self.withheld) < MAX_LISTED:
            self.withheld.append(batch)

    def add_open(self, stream: OpenStream) -> None:
        """Count a stream that does not reach the end of the period, and keep it while there is room: late or not due as of the block."""
        self.covered_until_ms = min(self.covered_until_ms, stream.covered_ms)
        if stream.is_ended or stream.due_ms < self.time_ms:
            self.open_count += 1
            kept = self.open_streams
        else:
            self.pending_count += 1
            kept = self.pending_streams
        if len(kept) < MAX_LISTED:
            kept.append(stream)
