"""Gathers what a trace is made of: proofs from one node as of one block, and the reads of each batch from where they lie."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import orjson

from contracts.data_sharing.access import BatchRecord, StreamRecord
from node.chain.proof import RecordProof
from sdk.access_recording.second_place import ArchiveFolder, KeepingNode, RecordedQuery
from sdk.access_recording.stored_reads import StoredReads
from sdk.client import Client
from sdk.department_services.audit_queries import QUERY_HEADER, RECORDS_PATH, SCOPE_HEADER
from sdk.department_services.service_client import Limits, ServiceClient, ServiceKind, Signing
from sdk.errors import NodeUnreachable, RequestRefused
from sdk.http_client import ending_within
from sdk.proofs import fetch_proofs
from sdk.request_signing import RequestSigner
from sm_crypto.errors import DecryptionFailed
from sm_crypto.sealing import open_with
from sm_crypto.sm2 import PrivateKey
from verification.access.query_scope import scope_text
from verification.access.sealed_batches import MAX_SEALED_BODIES_BYTES, bodies_context, unpack_bodies
from verification.access.trace_writing import GivenReads
from verification.errors import GovnodeError, InputError

MAX_ANSWER_BYTES: Final = 32 * 1024 * 1024
MAX_BATCH_BYTES: Final = 256 * 1024 * 1024
"""Of all answers about one batch: a hundred thousand reads of the usual size are a fifth of it."""
TIMEOUT_S: Final = 30.0
MAX_BATCH_S: Final = 300.0
"""For how long one batch's answers may take in all."""
_KIND: Final = ServiceKind(
    "记录方服务",
    "a recorder's service",
    "https://gateway.example:8590",
    "SERVICE_UNREACHABLE",
    "NOT_A_RECORDER",
    is_at_root=True,
)


class LedgerProofs:
    """Proofs of keys in state, as of the block at which the first one was asked for; a new one of these takes a newer block."""

    def __init__(self, client: Client) -> None:
        """Take a client of the node that is asked; what it says is verified by whoever reads the trace."""
        self._client = client
        self._height: int | None = None

    def prove(self, keys: Sequence[bytes]) -> list[RecordProof]:
        """Return the proof of what the ledger holds at each key; raise GovnodeError where the node does not give one."""
        proofs: list[RecordProof] = []
        try:
            if self._height is None:
                proofs += fetch_proofs(self._client, keys[:1], None)
                self._height = proofs[0].header.height
            return proofs + fetch_proofs(self._client, keys[len(proofs) :], self._height)
        except RequestRefused as refused:
            if refused.code != "UNKNOWN_HEIGHT" or self._height is None:
                raise
        # The reads took longer than the node keeps a block's state: what is asked for now may be as of a later one.
        self._height = None
        return self.prove(keys)


class BodySources:
    """Where the reads of batches lie: recorders' own services, and second places that the auditing authority's keys open."""

    def __init__(
        self,
        chain_id: int,
        signer: RequestSigner,
        query: RecordedQuery | None = None,
        *,
        archives: Sequence[Path] = (),
        keeping_nodes: Sequence[Client] = (),
        opening_keys: Sequence[PrivateKey] = (),
        stores: Sequence[StoredReads] = (),
        on_batch: Callable[[StreamRecord, BatchRecord], object] | None = None,
    ) -> None:
        """Take who asks, its audit query (None for a party), and the second places with the keys that open what lies there.

        `stores` are recorders' stores at hand, copies of them, or archives: they are asked first.
        """
        self._signing = Signing(signer, chain_id)
        self._headers = (
            {} if query is None else {QUERY_HEADER: str(query.number), SCOPE_HEADER: scope_text(query.scope)}
        )
        self._keys = tuple(opening_keys)
        self._stores = tuple(stores)
        self._places: list[tuple[str, ArchiveFolder | KeepingNode]] = [
            *((folder.name, ArchiveFolder(folder)) for folder in archives),
            *((client.url, KeepingNode(client, query)) for client in keeping_nodes),
        ]
        self._on_batch = on_batch
        self._services: dict[str, ServiceClient] = {}
        self._unreachable: dict[str, str] = {}

    def close(self) -> None:
        """End the connections."""
        for service in self._services.values():
            service.close()

    def fetch(self, stream: StreamRecord, batch: BatchRecord) -> Iterator[GivenReads | str]:
        """Yield what each place gives of a batch, or why it gives nothing: a store at hand, its recorder's service, second places."""
        if self._on_batch is not None:
            self._on_batch(stream, batch)
        for store in self._stores:
            if (store.department, store.recorder) == (batch.department, batch.recorder):
                yield _read_store(store, batch)
        if stream.bodies_at.startswith(("http://", "https://")):
            yield self._ask_recorder(stream.bodies_at.rstrip("/"), batch)
        else:
            yield "记录方未声明查阅地址 / the recorder names no service for its reads"
        for name, place in self._places:
            yield self._open(name, place, batch)

    def _ask_recorder(self, base: str, batch: BatchRecord) -> GivenReads | str:
        """Return what a recorder's service gives of a batch, or why it gives nothing; one that is away is asked once."""
        if base in self._unreachable:
            return self._unreachable[base]
        reads: list[bytes] = []
        size, first, last = 0, batch.first_number, batch.first_number + batch.count - 1
        try:
            service = self._service(base)
            with ending_within(MAX_BATCH_S):
                while first <= last and len(reads) <= batch.count:
                    path = f"{RECORDS_PATH}?first={first}&last={last}"
                    answer = orjson.loads(service.ask("GET", path, headers=self._headers, by=self._signing))
                    reads += [base64.b64decode(one, validate=True) for one in answer["reads"]]
                    size += sum(map(len, answer["reads"]))
                    if size > MAX_BATCH_BYTES:
                        return f"{base}: 一批超过 / one batch has more than {MAX_BATCH_BYTES} bytes"
                    following = answer["next"]
                    if following is None:
                        break
                    if not isinstance(following, int) or following <= first:
                        return f"{base}: 应答没有下文 / its answers lead nowhere"
                    first = following
        except NodeUnreachable as error:
            why = f"{base}: {error.code}: {error.zh} / {error.en}"
            # What is no recorder's answer, or too large a one, may be so for this batch alone; the rest would cost each as long again.
            return why if error.code == _KIND.another else self._unreachable.setdefault(base, why)
        except GovnodeError as error:
            return f"{base}: {error.code}"
        except (KeyError, TypeError, ValueError, binascii.Error):
            return f"{base}: 不是记录方的应答 / not the answer of a recorder"
        return GivenReads(base, reads)

    def _service(self, base: str) -> ServiceClient:
        """Return what asks at an address, the same for all of its batches; raise InputError URL_INVALID."""
        if base not in self._services:
            self._services[base] = ServiceClient(_KIND, base, Limits(MAX_ANSWER_BYTES, TIMEOUT_S, MAX_BATCH_S))
        return self._services[base]

    def _open(self, name: str, place: ArchiveFolder | KeepingNode, batch: BatchRecord) -> GivenReads | str:
        """Return what a second place has of a batch, opened, or why it gives nothing."""
        try:
            sealed = place.find(batch.department, batch.recorder, batch.batch_number)
        except GovnodeError as error:
            return f"{name}: {error.code}"
        if sealed is None:
            return f"{name}: 没有此批的副本 / no copy of the batch"
        if len(sealed) > MAX_SEALED_BODIES_BYTES:
            return f"{name}: 副本过大 / the copy is too large"
        context = bodies_context(batch.department, batch.recorder, batch.batch_number)
        for key in self._keys:
            try:
                return GivenReads(name, unpack_bodies(open_with(key, sealed, context)))
            except DecryptionFailed:
                continue
            except InputError as error:
                return f"{name}: {error.code}"
        return f"{name}: 手头的密钥打不开副本 / no key at hand opens the copy"


def _read_store(store: StoredReads, batch: BatchRecord) -> GivenReads | str:
    """Return what a store at hand has of a batch, or why it gives nothing; reads that are gone from a batch it has are missed later."""
    name, last = store.path.name, batch.first_number + batch.count - 1
    try:
        if store.batch(batch.batch_number) is None:
            return f"{name}: 没有此批 / no such batch"
        return GivenReads(name, store.encoded_reads(batch.first_number, last))
    except InputError as error:
        return f"{name}: {error.code}"
