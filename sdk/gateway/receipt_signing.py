"""Records reads and signs for them: those that come while one sync and signature are made share the next."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, NamedTuple

from sdk.access_recording.read_store import RecordingFailed
from sdk.access_recording.recorder import Recorded, Recorder
from sdk.gateway.receipts import MAX_SIGNED_TOGETHER, Receipt, make_receipts, receipt_digest, receipts_root
from sdk.request_signing import RequestSigner
from verification.access.reads import Read, ReadDraft, check_draft, read_digest

RECORDING_TIMEOUT_S: Final = 30.0
"""A disk that takes so long keeps no read waiting; the read may be on it all the same, as one that nobody got."""


class SignedRead(NamedTuple):
    """A read that is on disk, and the receipt of it."""

    recorded: Recorded
    receipt: Receipt


class _Group:
    """Reads that are recorded and signed together, and who waits for each, RECORDING_TIMEOUT_S from the first one."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.drafts: list[ReadDraft] = []
        self.waiting: list[asyncio.Future[SignedRead]] = []
        self._loop = loop
        self._timer = loop.call_later(RECORDING_TIMEOUT_S, self.fail, _late())

    def add(self, draft: ReadDraft) -> asyncio.Future[SignedRead]:
        made: asyncio.Future[SignedRead] = self._loop.create_future()
        self.drafts.append(draft)
        self.waiting.append(made)
        return made

    def give(self, signed: Sequence[SignedRead]) -> None:
        self._timer.cancel()
        for made, one in zip(self.waiting, signed, strict=True):
            if not made.done():
                made.set_result(one)

    def fail(self, error: Exception) -> None:
        self._timer.cancel()
        for made in self.waiting:
            if not made.done():
                made.set_exception(error)


class ReceiptSigner:
    """Records and signs one group of reads at a time: each wakes the event loop once. For one loop.

    The signature is made while the disk syncs, and dropped where the reads do not get there.
    """

    def __init__(self, recorder: Recorder, signer: RequestSigner) -> None:
        """Take a recorder, and its account's key."""
        self._recorder, self._signer = recorder, signer
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="receipts")
        self._groups: deque[_Group] = deque()
        self._is_busy = False

    async def record(self, draft: ReadDraft) -> SignedRead:
        """Return a read once it is on disk, with its receipt; raise InputError on a draft that is none, RecordingFailed where it is not."""
        check_draft(draft)
        loop = asyncio.get_running_loop()
        if not self._groups or len(self._groups[-1].drafts) >= MAX_SIGNED_TOGETHER:
            self._groups.append(_Group(loop))
        made = self._groups[-1].add(draft)
        if not self._is_busy:
            self._is_busy = True
            # Whatever else this turn of the loop brings is in the group too.
            loop.call_soon(self._hand_over, loop)
        return await made

    def sign_again(self, read: Read) -> Receipt:
        """Return a receipt of a read that is in the store, under a signature of its own; may be called from any thread."""
        return self._sign([read], [read_digest(read)])[0]

    def _hand_over(self, loop: asyncio.AbstractEventLoop) -> None:
        group = self._groups.popleft()
        signing: Future[list[Receipt]] = Future()

        def sign_soon(placed: list[Recorded]) -> None:
            try:
                self._thread.submit(self._sign_into, signing, placed)
            except RuntimeError as error:
                # The process is ending.
                signing.set_exception(error)

        try:
            asked = self._recorder.record_checked(group.drafts, sign_soon)
        except RecordingFailed as error:
            self._end(loop, group, error)
            return
        asked.add_done_callback(lambda done: self._join(loop, group, done, signing))

    def _sign(self, reads: Sequence[Read], digests: Sequence[bytes]) -> list[Receipt]:
        return make_receipts(reads, digests, self._signer.sign(receipt_digest(receipts_root(digests))))

    def _sign_into(self, signing: Future[list[Receipt]], placed: Sequence[Recorded]) -> None:
        try:
            signing.set_result(self._sign([one.read for one in placed], [one.digest for one in placed]))
        except Exception as error:  # noqa: BLE001 - whatever it is, somebody waits for the answer
            signing.set_exception(error)

    def _join(
        self,
        loop: asyncio.AbstractEventLoop,
        group: _Group,
        done: Future[list[Recorded]],
        signing: Future[list[Receipt]],
    ) -> None:
        """Give out what is on disk and signed, on the thread that has recorded it."""
        outcome: list[SignedRead] | Exception
        try:
            outcome = [SignedRead(*one) for one in zip(done.result(), signing.result(), strict=True)]
        except Exception as error:  # noqa: BLE001 - whatever it is, somebody waits for the answer
            outcome = error
        # A loop that has ended has nobody waiting.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(self._end, loop, group, outcome)

    def _end(self, loop: asyncio.AbstractEventLoop, group: _Group, outcome: list[SignedRead] | Exception) -> None:
        if isinstance(outcome, Exception):
            group.fail(outcome)
        else:
            group.give(outcome)
        self._is_busy = bool(self._groups)
        if self._is_busy:
            self._hand_over(loop)


def _late() -> RecordingFailed:
    return RecordingFailed(
        "RECORDING_LATE",
        "访问记录库没有按时写入，请检查磁盘",
        "the store of access records was not written in time: check the disk",
    )
