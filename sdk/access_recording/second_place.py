"""The second place: each batch's reads once more, sealed to the auditing authority, where the recorder's own loss does not reach."""

from __future__ import annotations

import base64
import binascii
import logging
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from explorer.data_sharing.sealed_files import sealed_path, write_sealed
from sdk.access_recording.batch_plan import BatchPlan
from sdk.access_recording.read_store import ReadStore, unexpected_failure
from sdk.client import Client
from sdk.errors import RequestRefused
from sdk.system_contracts.answer import ask
from sm_crypto.sealing import seal_to
from sm_crypto.sm3 import sm3
from verification.access.query_scope import QueryScope, scope_text
from verification.access.sealed_batches import MAX_SEALED_BODIES_BYTES, bodies_context, pack_bodies
from verification.errors import GovnodeError, InputError

_LOGGER: Final = logging.getLogger("govnode.recording")
POLL_S: Final = 1.0
MAX_RETRY_S: Final = 60.0


class ArchiveFolder:
    """A folder, best of another machine's, with one file for each batch."""

    def __init__(self, folder: Path) -> None:
        """Take the folder; what is below it is made."""
        self.folder = folder

    def path(self, department: str, recorder: bytes, batch_number: int) -> Path:
        """Return where a batch lies."""
        return sealed_path(self.folder, department, recorder, batch_number)

    def keep(self, department: str, recorder: bytes, batch_number: int, sealed: bytes) -> None:
        """Put a sealed batch on disk; the same batch again replaces it, which is sealed anew each time."""
        path = self.path(department, recorder, batch_number)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_sealed(path, sealed)
        except OSError as error:
            raise InputError(
                "ARCHIVE_UNWRITABLE",
                f"归档目录 {self.folder} 无法写入：{error}",
                f"the archive {self.folder} cannot be written: {error}",
            ) from None

    def find(self, department: str, recorder: bytes, batch_number: int) -> bytes | None:
        """Return a sealed batch, or None."""
        try:
            with self.path(department, recorder, batch_number).open("rb") as file:
                sealed = file.read(MAX_SEALED_BODIES_BYTES + 1)
        except OSError:
            return None
        return sealed if len(sealed) <= MAX_SEALED_BODIES_BYTES else None


class RecordedQuery(NamedTuple):
    """An auditor's query that is on the ledger: its number, and what those are told of it who are asked."""

    number: int
    scope: QueryScope


class KeepingNode:
    """Another department's node, which keeps what a recorder of this network leaves at it."""

    def __init__(self, client: Client, query: RecordedQuery | None = None) -> None:
        """Take a client of that node: with the recorder's key to keep; with an auditor's, and its query, to find."""
        self._client, self._query = client, query

    def keep(self, department: str, recorder: bytes, batch_number: int, sealed: bytes) -> None:
        """Leave a sealed batch of the signer's own stream; raise GovnodeError where the node does not take it."""
        content = {"batch_number": batch_number, "sealed": base64.b64encode(sealed).decode("ascii")}
        kept = self._client.post("/sealed-bodies", content, signed=True)
        if kept["is_new"] and kept["sm3"] != "0x" + sm3(sealed).hex():
            raise RequestRefused("COPY_DIFFERS", "节点所存与所发不符", "the node keeps something else than was sent")

    def find(self, department: str, recorder: bytes, batch_number: int) -> bytes | None:
        """Return a sealed batch, or None where the node has none; the signer must be an auditor with a query."""
        query = self._query
        named: dict[str, Any] = {} if query is None else {"query": query.number, "scope": scope_text(query.scope)}
        try:
            path = f"/sealed-bodies/{department}/0x{recorder.hex()}/{batch_number}"
            found = self._client.get(path, signed=True, **named)
            return base64.b64decode(found["sealed"], validate=True)
        except RequestRefused as error:
            if error.code == "NOT_FOUND":
                return None
            raise
        except (KeyError, TypeError, binascii.Error, ValueError):
            return None


def authority_key(client: Client) -> bytes:
    """Return the 64-byte encryption key of the auditing authority; raise GovnodeError where none is named, or it has set none."""
    authority = str(client.view("audits", "authority"))
    if not authority:
        raise InputError(
            "AUTHORITY_UNKNOWN",
            "治理账户尚未指定审计机关，访问记录无从密封",
            "no governor has named the auditing authority: there is nobody to seal access records to",
        )
    key: bytes = ask(client, "members", "encryption_key", department=authority).public_key
    return key


def seal_batch(store: ReadStore, plan: BatchPlan, public_key: bytes) -> bytes:
    """Return the reads of a batch sealed to a key; raise InputError BODIES_TOO_LARGE past what a second place takes."""
    packed = pack_bodies(store.encoded_reads(plan.first_number, plan.last_number))
    sealed = seal_to(public_key, packed, bodies_context(store.department, store.recorder, plan.batch_number))
    if len(sealed) > MAX_SEALED_BODIES_BYTES:
        raise InputError(
            "BODIES_TOO_LARGE",
            f"第 {plan.batch_number} 批密封后 {len(sealed)} 字节，至多 {MAX_SEALED_BODIES_BYTES}：请调低 max_batch_records",
            f"batch {plan.batch_number} has {len(sealed)} bytes sealed, at most {MAX_SEALED_BODIES_BYTES}: lower max_batch_records",
        )
    return sealed


class BodyCopier:
    """One thread that brings every batch that is on the ledger to the second places, in order, however often it has to try."""

    def __init__(
        self,
        store: ReadStore,
        places: Sequence[ArchiveFolder | KeepingNode],
        find_key: Callable[[], bytes],
    ) -> None:
        """Take the store, where its batches go, and what finds the auditing authority's key (`authority_key`)."""
        self._store, self._places, self._find_key = store, places, find_key
        self.failure: GovnodeError | None = None
        """Why the last batch is not there yet, None where it is."""
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="second-place", daemon=True)

    def start(self) -> None:
        """Begin to copy."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread; what is not copied is at the next start."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def step(self) -> bool:
        """Copy the next batch and return whether there was one; raise GovnodeError where a place does not take it."""
        plan = self._store.batch_to_copy()
        if plan is None:
            return False
        if plan.count:
            sealed = seal_batch(self._store, plan, self._find_key())
            for place in self._places:
                place.keep(self._store.department, self._store.recorder, plan.batch_number, sealed)
        self._store.mark_copied(plan.batch_number)
        return True

    def _run(self) -> None:
        retry_s = POLL_S
        while not self._stopping.is_set():
            wait_s = POLL_S
            try:
                if self.step():
                    wait_s = 0.0
                self.failure, retry_s = None, POLL_S
            except Exception as error:  # noqa: BLE001 - a thread that ends copies no later batch
                failure = unexpected_failure(error)
                if self.failure is None or self.failure.code != failure.code:
                    _LOGGER.warning("batch_not_copied: [%s] %s", failure.code, failure, extra={"fields": {}})
                self.failure = failure
                wait_s, retry_s = retry_s, min(retry_s * 2, MAX_RETRY_S)
            self._stopping.wait(wait_s)
