"""The recorder: gives each read its number, time and digest, and says so once it is on disk; many reads share one sync."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

from contracts.data_sharing.access import MAX_CLOCK_AHEAD_MS
from sdk.access_recording.batch_plan import BatchPlan, plan_batch
from sdk.access_recording.policy import RecordingPolicy, check_policy, is_open_without
from sdk.access_recording.read_store import KeptRead, ReadStore, RecordingFailed
from verification.access.reads import Read, ReadDraft, check_draft, encode_read, number_read, read_digest
from verification.errors import GovnodeError

MAX_GROUP: Final = 2_000
"""Reads that one sync makes durable: some 50 ms of work, in which the next ones gather."""
MAX_WAITING: Final = 50_000
"""Calls that may wait; past that the caller is told to come again."""


class Recorded(NamedTuple):
    """A read that is on disk: its place, its digest, and the whole of it, also as it is encoded."""

    number: int
    digest: bytes
    read: Read
    encoded: bytes


class _Asked(NamedTuple):
    drafts: Sequence[ReadDraft]
    answer: Future[Any]
    """Of one Recorded, or of a list."""
    is_one: bool
    on_placed: Callable[[list[Recorded]], None] | None = None


class Recorder:
    """One account's stream. `record` may be called from any thread; `close` it, or use it as a context manager."""

    def __init__(
        self,
        path: Path,
        department: str,
        recorder: bytes,
        policy: RecordingPolicy,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        steady_ms: Callable[[], int] = lambda: time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000,
    ) -> None:
        """Open the store of a department's account (20 bytes); raise InputError where it is another's, or in use.

        `now_ms` is the clock that reads have their times from, `steady_ms` one that nobody sets.
        """
        check_policy(policy)
        self.policy = policy
        self.now_ms = now_ms
        self._steady_ms = steady_ms
        self.see_time(now_ms())
        self.store = ReadStore(path, department, recorder, now_ms())
        self._begun_ms = self.store.begun_ms
        self._last_batch = self.store.last_batch()
        tip = self.store.tip()
        self._number, self._digest = tip.number, tip.digest
        self._last_ms = max(tip.read_ms, self.planned_ms)
        recorded = self.store.last_recorded()
        self._anchored_ms = self.store.begun_ms if recorded is None else recorded.to_ms
        self._fault: GovnodeError | None = None
        self._place = threading.Lock()
        self._asked: queue.SimpleQueue[_Asked | None] = queue.SimpleQueue()
        self._is_closed = False
        self._writer = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._writer.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Make durable what waits, and close the store."""
        if not self._is_closed:
            self._is_closed = True
            self._asked.put(None)
            self._writer.join()
            self.store.close()

    @property
    def number(self) -> int:
        """Of the last read on disk."""
        return self._number

    @property
    def next_ms(self) -> int:
        """The least time, in ms, that the next read takes its place at: the day that an audit counts it on."""
        return max(self.now_ms(), self._last_ms)

    @property
    def unplanned(self) -> int:
        """Reads on disk that are in no batch yet."""
        return self._number - (0 if self._last_batch is None else self._last_batch.last_number)

    @property
    def planned_ms(self) -> int:
        """Until when the last batch that was planned covers the stream."""
        return self._begun_ms if self._last_batch is None else self._last_batch.to_ms

    @property
    def anchored_ms(self) -> int:
        """Until when the ledger has every read, as far as is known here."""
        return self._anchored_ms

    def record(self, draft: ReadDraft) -> Recorded:
        """Return a read's place once it is on disk; raise InputError on a draft that is none, RecordingFailed where it is not on disk."""
        return self.record_many([draft])[0]

    def record_many(self, drafts: Sequence[ReadDraft]) -> list[Recorded]:
        """Return the places of reads in this order once all are on disk; raise as record does, for all of them."""
        for draft in drafts:
            check_draft(draft)
        return self.record_checked(drafts).result()

    def record_soon(self, draft: ReadDraft) -> Future[Recorded]:
        """Return at once what will hold the read's place, or its failure; raise InputError on a draft that is none."""
        check_draft(draft)
        answer: Future[Recorded] = Future()
        self._ask([draft], answer, is_one=True)
        return answer

    def record_checked(
        self, drafts: Sequence[ReadDraft], on_placed: Callable[[list[Recorded]], None] | None = None
    ) -> Future[list[Recorded]]:
        """Return at once what will hold the places of drafts that have passed check_draft, of all or none; raise RecordingFailed.

        `on_placed` is told the places before they are on disk, to prepare what may not leave until they are; it raises nothing.
        """
        answer: Future[list[Recorded]] = Future()
        self._ask(drafts, answer, is_one=False, on_placed=on_placed)
        return answer

    def is_open_for_reads(self) -> bool:
        """Return whether the department's policy lets reads go on: the ledger has batches, or is not missed for too long."""
        return self.fault is None and is_open_without(self.policy, self.now_ms() - self._anchored_ms)

    def see_time(self, time_ms: int) -> None:
        """Take a time of the ledger's, in ms, as right now."""
        self._seen = (time_ms, self._steady_ms())

    def see_time_at_least(self, time_ms: int) -> None:
        """Take a time of the ledger's, in ms, as the least that it may be by now."""
        if time_ms + MAX_CLOCK_AHEAD_MS > self._latest_ms():
            self.see_time(time_ms)

    def is_clock_ahead(self) -> bool:
        """Return whether the clock runs ahead of the ledger's time by more than a batch may: reads with its times cannot be anchored."""
        return self.now_ms() > self._latest_ms()

    def _latest_ms(self) -> int:
        time_ms, steady_ms = self._seen
        return time_ms + self._steady_ms() - steady_ms + MAX_CLOCK_AHEAD_MS

    def shut(self, fault: GovnodeError) -> None:
        """Let no read go on: what is here is not what the ledger has."""
        self._fault = fault

    @property
    def fault(self) -> GovnodeError | None:
        """Why no read goes on, None where nothing speaks against it."""
        return _clock_ahead() if self._fault is None and self.is_clock_ahead() else self._fault

    def begin_by(self, declared_ms: int) -> None:
        """Let the first batch cover the time since the stream was declared, in ms, where this store was made later."""
        self._begun_ms = min(self._begun_ms, declared_ms)

    def plan_next(self) -> BatchPlan:
        """Plan the next batch, with the reads that wait for one and at most the policy's number of them, and put it on disk.

        One thread calls this. Reads that come later have a time that is not before the batch's end.
        """
        previous = self._last_batch
        first = 1 if previous is None else previous.last_number + 1
        with self._place:
            last = min(self._number, first + self.policy.max_batch_records - 1)
            if last < self._number:
                to_ms = self.store.read_ms_of(last)
            else:
                # A heartbeat has to cover some time, whatever the clock did.
                to_ms = max(min(self.now_ms(), self._latest_ms()), self._last_ms, self.planned_ms + int(last < first))
                self._last_ms = to_ms
        plan = plan_batch(previous, self._begun_ms, self.store.lines(first, last), to_ms)
        self.store.keep_batch(plan)
        self._last_batch = plan
        return plan

    def mark_recorded(self, plan: BatchPlan, height: int) -> None:
        """Note that the ledger has a batch, in the block of this height."""
        self.store.mark_recorded(plan.batch_number, height)
        self._anchored_ms = max(self._anchored_ms, plan.to_ms)

    def mark_unrecorded(self, after: int) -> bool:
        """Note that the ledger has no batch after this one; return whether any was taken to be there: they are sent again."""
        is_changed = self.store.mark_unrecorded(after)
        if is_changed:
            recorded = self.store.last_recorded()
            self._anchored_ms = self.store.begun_ms if recorded is None else recorded.to_ms
        return is_changed

    def _ask(
        self,
        drafts: Sequence[ReadDraft],
        answer: Future[Any],
        *,
        is_one: bool,
        on_placed: Callable[[list[Recorded]], None] | None = None,
    ) -> None:
        if self._is_closed or self._asked.qsize() >= MAX_WAITING:
            raise _busy()
        # What is under way is not called back: whoever no longer waits has asked, and that is recorded.
        answer.set_running_or_notify_cancel()
        self._asked.put(_Asked(drafts, answer, is_one, on_placed))

    def _run(self) -> None:
        is_open = True
        while is_open:
            group: list[_Asked] = []
            count = 0
            asked = self._asked.get()
            while asked is not None:
                group.append(asked)
                count += len(asked.drafts)
                if count >= MAX_GROUP or self._asked.empty():
                    break
                asked = self._asked.get()
            is_open = asked is not None
            if group:
                self._keep_or_shut(group)
        while not self._asked.empty():
            late = self._asked.get()
            if late is not None:
                late.answer.set_exception(_busy())

    def _keep_or_shut(self, group: Sequence[_Asked]) -> None:
        """Keep reads; on a fault of ours nobody waits for ever, and no read goes on."""
        try:
            self._keep(group)
        except Exception as error:  # noqa: BLE001 - whatever it is, somebody waits for the answer
            fault = RecordingFailed(
                "RECORDER_BROKEN",
                f"访问记录程序出错（{error}），请联系运维人员并重新启动",
                f"the recorder is broken ({error}): tell its operator, and start it again",
            )
            self.shut(fault)
            for asked in group:
                if not asked.answer.done():
                    asked.answer.set_exception(fault)

    def _keep(self, group: Sequence[_Asked]) -> None:
        with self._place:
            number, digest = self._number, self._digest
            now_ms = self.now_ms()
            if now_ms > self._latest_ms():
                # One such time would hold the whole stream back until the ledger's is there.
                for asked in group:
                    asked.answer.set_exception(_clock_ahead())
                return
            read_ms = max(now_ms, self._last_ms)
            kept: list[KeptRead] = []
            placed: list[list[Recorded]] = []
            for asked in group:
                places: list[Recorded] = []
                for draft in asked.drafts:
                    number += 1
                    read = number_read(draft, self.store.department, self.store.recorder, number, digest, read_ms)
                    digest = read_digest(read)
                    encoded = encode_read(read)
                    kept.append(KeptRead(read, digest, encoded))
                    places.append(Recorded(number, digest, read, encoded))
                placed.append(places)
                if asked.on_placed is not None:
                    asked.on_placed(places)
            try:
                self.store.keep_reads(kept)
            except RecordingFailed as error:
                for asked in group:
                    asked.answer.set_exception(error)
                return
            self._number, self._digest, self._last_ms = number, digest, read_ms
        for asked, places in zip(group, placed, strict=True):
            asked.answer.set_result(places[0] if asked.is_one else places)


def _clock_ahead() -> RecordingFailed:
    return RecordingFailed(
        "CLOCK_AHEAD",
        f"本机时钟比账本时间快 {MAX_CLOCK_AHEAD_MS // 1_000} 秒以上，请校准",
        f"this machine's clock is more than {MAX_CLOCK_AHEAD_MS // 1_000} s ahead of the ledger's time: set it right",
    )


def _busy() -> RecordingFailed:
    return RecordingFailed(
        "RECORDER_BUSY",
        "访问记录排队过多或正在关闭，请稍后再试",
        "too many reads wait to be recorded, or the recorder is closing: try again",
    )
