"""The anchorer: puts a recorder's batches on the ledger, in time, once each, whatever fails in between."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from contracts.data_sharing.access import StreamRecord
from sdk.access_recording.batch_plan import BatchPlan
from sdk.access_recording.policy import RecordingPolicy, declaration, is_declared
from sdk.access_recording.read_store import unexpected_failure
from sdk.access_recording.recorder import Recorder
from sdk.client import Client
from sdk.errors import CallRefused, RequestRefused
from sdk.system_contracts.answer import ask
from verification.errors import GovnodeError, InputError

_LOGGER: Final = logging.getLogger("govnode.recording")
POLL_S: Final = 0.1
"""Between looks at whether a batch is due."""
FIRST_RETRY_S: Final = 0.5
MAX_RETRY_S: Final = 30.0
FORKED: Final = frozenset(
    {"BATCH_REWRITTEN", "BATCH_GAP", "NUMBER_GAP", "PREVIOUS_DIGEST_MISMATCH", "COVERAGE_GAP", "STORE_FORKED"}
)
"""The ledger has another stream than the store: no later batch will ever fit."""


def find_stream(client: Client, department: str) -> StreamRecord | None:
    """Return the ledger's stream of the client's account, of its department; None where there is none."""
    try:
        stream: StreamRecord = ask(client, "access", "stream", department=department, recorder=client.address)
    except RequestRefused as error:
        if error.code != "STREAM_UNKNOWN":
            raise
        return None
    return stream


def store_forked(batch_number: int, path: Path) -> InputError:
    """Return what is said of a store that does not have the ledger's last batch."""
    return InputError(
        "STORE_FORKED",
        f"账本上的第 {batch_number} 批不在记录库 {path} 中：多半是给错了库，请用此账户一直使用的那一个；"
        "若库已丢失或由旧备份恢复，请恢复原库，或为新库另行登记记录账户",
        f"batch {batch_number} of the ledger is not in the store {path}: most often another store is given than before, give the one "
        "that this account has always had. If that was lost, or put back from an old copy, put the true one back, or register "
        "another recording account for a new one",
    )


class AnchoringStatus(msgspec.Struct, frozen=True):
    """How far a stream is on the ledger; `failure` says why it gets no further, None while it does."""

    number: int
    unplanned: int
    batch_number: int
    anchored_number: int
    anchored_ms: int
    is_open: bool
    failure: str | None
    failure_zh: str
    failure_en: str


class Anchorer:
    """One thread that sends batches; several for one recorder would send the same ones."""

    def __init__(
        self,
        recorder: Recorder,
        client: Client,
        after_batch: Callable[[BatchPlan], None] | None = None,
    ) -> None:
        """Take a recorder, and a client that signs with its account; `after_batch` is told of each one that is on the ledger.

        Raises InputError where the client signs with another account.
        """
        if client.address != recorder.store.recorder:
            raise InputError(
                "SIGNER_NOT_RECORDER",
                f"密钥属于账户 0x{client.address.hex()}，访问记录库属于 0x{recorder.store.recorder.hex()}",
                f"the key is of account 0x{client.address.hex()}, the store of 0x{recorder.store.recorder.hex()}",
            )
        self._recorder, self._client, self._after_batch = recorder, client, after_batch
        self._now_ms = recorder.now_ms
        self._is_declared = False
        self._failure: GovnodeError | None = None
        self._retry_s = FIRST_RETRY_S
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="anchorer", daemon=True)

    def start(self) -> None:
        """Begin to send batches as they are due; a store that has forked is shut before any read, where the node answers."""
        try:
            self.check_store()
        except Exception as error:  # noqa: BLE001 - whatever it is, the thread tries on
            self._note(error)
        self._thread.start()

    def stop(self) -> None:
        """End the thread once the batch under way is sent or given up; what is not on the ledger is sent at the next start."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def status(self) -> AnchoringStatus:
        """Return how far the stream is on the ledger."""
        recorded = self._recorder.store.last_recorded()
        failure = self._recorder.fault or self._failure
        return AnchoringStatus(
            self._recorder.number,
            self._recorder.unplanned,
            0 if recorded is None else recorded.batch_number,
            0 if recorded is None else recorded.last_number,
            self._recorder.anchored_ms,
            self._recorder.is_open_for_reads(),
            None if failure is None else failure.code,
            "" if failure is None else failure.zh,
            "" if failure is None else failure.en,
        )

    def check_store(self) -> bool:
        """Compare the store with the ledger: return whether it was ahead, so that batches are sent again.

        Raises InputError STORE_FORKED, with the recorder shut, where the ledger's last batch is not in the store; GovnodeError of the node.
        """
        return self._check_same(self._find_stream())

    def anchor_all(self) -> None:
        """Put every read that is on disk on the ledger; raise GovnodeError where it cannot be."""
        target = self._recorder.number
        if not self._is_declared:
            self._declare()
        while True:
            recorded = self._recorder.store.last_recorded()
            if recorded is not None and recorded.last_number >= target:
                return
            self._send(self._recorder.store.batch_to_record() or self._recorder.plan_next())

    def step(self) -> bool:
        """Send what is due and return whether there was something; raise GovnodeError where it is not on the ledger."""
        if not self._is_declared:
            self._declare()
        if self._recorder.is_clock_ahead():
            # Or it was behind and has been set right, which the ledger's newest block may show.
            self._recorder.see_time_at_least(int(self._client.status()["head_time_ms"]))
        due = self._recorder.store.batch_to_record() or self._plan_due()
        if due is None:
            return False
        self._send(due)
        return True

    def _plan_due(self) -> BatchPlan | None:
        recorder, policy = self._recorder, self._recorder.policy
        waiting = recorder.unplanned
        # Half the promise, so that a slow block does not break it.
        after_ms = min(policy.anchor_after_s, policy.heartbeat_s / 2) * 1_000 if waiting else policy.heartbeat_s * 500
        is_due = waiting >= policy.max_batch_records or self._now_ms() - recorder.planned_ms >= after_ms
        return recorder.plan_next() if is_due else None

    def _send(self, plan: BatchPlan) -> None:
        if not self._is_declared:
            self._declare()
        try:
            receipt = self._client.call("access", "record_batch", **plan.arguments())
        except CallRefused as error:
            if error.code in {"STREAM_UNKNOWN", "STREAM_ENDED"}:
                self._is_declared = False
            elif error.code in FORKED and not self.check_store():
                self._recorder.shut(error)
            raise
        self._recorder.mark_recorded(plan, receipt.height)
        # That block has just been made.
        self._recorder.see_time(receipt.time_ms)
        if self._after_batch is not None:
            self._after_batch(plan)

    def _declare(self) -> None:
        """Make sure that the ledger has this stream as the policy says, and no further than the store."""
        stream = self._find_stream()
        self._check_same(stream)
        policy = self._policy_to_declare()
        if stream is None or not is_declared(policy, stream):
            self._client.call("access", "declare_stream", **declaration(policy))
            stream = stream or self._find_stream()
        if stream is not None:
            self._recorder.begin_by(stream.first_declared_ms)
        self._is_declared = True

    def _policy_to_declare(self) -> RecordingPolicy:
        """Return the policy, with room for a batch that was planned under a larger one and is sent as it is."""
        policy = self._recorder.policy
        largest = max(policy.max_batch_records, self._recorder.store.largest_to_record())
        return msgspec.structs.replace(policy, max_batch_records=largest)

    def _find_stream(self) -> StreamRecord | None:
        return find_stream(self._client, self._recorder.store.department)

    def _check_same(self, stream: StreamRecord | None) -> bool:
        """Return whether later batches than the ledger's last were taken to be recorded, which are sent again now.

        Shuts the recorder where the ledger's last batch is not in the store: a store that was lost or put back has forked.
        """
        if stream is None or not stream.batch_number:
            return self._recorder.mark_unrecorded(0)
        kept = self._recorder.store.batch(stream.batch_number)
        if kept is not None and (kept.last_number, kept.last_digest) == (stream.number, stream.digest):
            return self._recorder.mark_unrecorded(stream.batch_number)
        fault = store_forked(stream.batch_number, self._recorder.store.path)
        self._recorder.shut(fault)
        raise fault

    def _note(self, error: Exception) -> None:
        """Keep why a batch is not recorded; each reason is logged once: that it goes on is in status(), and on the ledger as lateness."""
        failure = unexpected_failure(error)
        if self._failure is None or self._failure.code != failure.code:
            _LOGGER.warning("batch_not_recorded: [%s] %s", failure.code, failure, extra={"fields": {}})
        self._failure = failure

    def _run(self) -> None:
        while not self._stopping.is_set():
            wait_s = POLL_S
            try:
                if self.step():
                    wait_s = 0.0
                self._failure, self._retry_s = None, FIRST_RETRY_S
            except Exception as error:  # noqa: BLE001 - a thread that ends leaves every later read off the ledger
                self._note(error)
                wait_s, self._retry_s = self._retry_s, min(self._retry_s * 2, MAX_RETRY_S)
            self._stopping.wait(wait_s)
