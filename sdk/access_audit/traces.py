"""Makes traces: an auditor's query goes onto the ledger first, then the file is written, whole or not at all; and verifies them."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from contracts.accounts import AUDITOR
from contracts.data_sharing.access import BatchRecord, StreamRecord
from sdk.access_audit.gathering import BodySources, LedgerProofs
from sdk.access_recording.second_place import RecordedQuery
from sdk.access_recording.stored_reads import StoredReads
from sdk.client import Client, FinalReceipt
from sdk.documents import private_file, unreadable
from sdk.errors import NodeUnreachable
from sdk.request_signing import RequestSigner
from sdk.system_contracts.audits import Audits
from sdk.system_contracts.members import Members
from sdk.trust import load_trust
from sm_crypto.sm2 import PrivateKey
from verification.access.rules import AuditFacts
from verification.access.trace_filter import QUERY_SALT_BYTES, TraceFilter, scope_of
from verification.access.trace_verdict import TraceVerdict
from verification.access.trace_verification import verify_trace
from verification.access.trace_writing import TraceMade, write_trace
from verification.errors import InputError


class Places(NamedTuple):
    """Where reads may lie beside their recorders' services, and the keys that open what is sealed there."""

    archives: Sequence[Path] = ()
    keeping_nodes: Sequence[Client] = ()
    opening_keys: Sequence[PrivateKey] = ()
    stores: Sequence[StoredReads] = ()


class MadeTrace(NamedTuple):
    """A trace on disk: what came of writing it, and the number of the query that it answers, 0 for a party's own."""

    made: TraceMade
    query: int


def make_trace(
    client: Client,
    signer: RequestSigner,
    wanted: TraceFilter,
    out: Path,
    basis: str,
    places: Places = Places(),  # noqa: B008 - it cannot be changed
    on_batch: Callable[[StreamRecord, BatchRecord], object] | None = None,
) -> MadeTrace:
    """Write a trace to `out`. An auditor's query is recorded first, under the mandate `basis`; a party traces its own streams.

    Raises InputError BASIS_MISSING where an auditor names no mandate, and FILE_UNWRITABLE.
    """
    salt = secrets.token_bytes(QUERY_SALT_BYTES)
    query = None
    account = Members(client).account(client.address)
    if AUDITOR not in account.roles and not wanted.recorded_by:
        # Other departments' recorders show a party the reads that it took part in, never all of a batch.
        wanted = msgspec.structs.replace(wanted, recorded_by=(account.department,))
    if AUDITOR in account.roles:
        scope = scope_of(wanted, salt)
        query = RecordedQuery(record_query(client, "trace", scope.digest(), basis), scope)
    sources = BodySources(
        client.chain_id,
        signer,
        query,
        archives=places.archives,
        keeping_nodes=places.keeping_nodes,
        opening_keys=places.opening_keys,
        stores=places.stores,
        on_batch=on_batch,
    )
    number, opening = (0, b"") if query is None else (query.number, salt)
    try:
        with private_file(out) as file:
            made = write_trace(wanted, LedgerProofs(client).prove, sources.fetch, file.write, now_ms(), number, opening)
    finally:
        sources.close()
    return MadeTrace(made, number)


def record_query(client: Client, kind: str, digest: bytes, basis: str) -> int:
    """Record what an auditor is about to ask and return the query's number; raise InputError BASIS_MISSING without a mandate."""
    if not basis:
        raise InputError(
            "BASIS_MISSING",
            "审计方的查询须以 --basis 说明依据（如审计通知书文号），并先行上链登记",
            "an auditor's query names its mandate with --basis (the number of the audit notice): it is recorded first",
        )
    return numbered_output(client, Audits(client).record_query(kind=kind, digest=digest, basis=basis))


def numbered_output(client: Client, receipt: FinalReceipt) -> int:
    """Return the number that a call of the contract of audits has given what it recorded; raise NodeUnreachable where none is told."""
    # The answer of this contract is for auditors and parties: a signed request shows it.
    shown: dict[str, Any] = client.get(f"/transactions/0x{receipt.transaction_id.hex()}", signed=True)
    try:
        return int(str(shown["output"]), 16)
    except (KeyError, ValueError):
        raise NodeUnreachable(
            "ANSWER_INVALID", "节点没有给出编号", "the node did not give the number of what was recorded"
        ) from None


def verify_trace_file(path: Path, trust: Path, facts: AuditFacts | None = None) -> TraceVerdict:
    """Return what a trace file shows to whoever trusts the trust file; `facts` gathers what the rules need. Raises InputError."""
    anchor = load_trust(trust).anchor
    try:
        with path.open("rb") as file:
            return verify_trace(file.read, anchor, None if facts is None else facts.listener())
    except OSError as error:
        raise unreadable(path, error) from None


def now_ms() -> int:
    """Return this machine's time in ms since 1970."""
    return time.time_ns() // 1_000_000
