"""Access records: what departments put on the ledger of every read of shared data, in gapless hash-chained streams of batches.

Written by generators/system_contracts.py from the contract's declarations: edit those.
"""

from __future__ import annotations

from contracts.data_sharing.access import BatchRecord, StreamRecord
from sdk.client import Client, FinalReceipt
from sdk.system_contracts.answer import ask


class Access:
    """The system contract `access` on the network of a client."""

    def __init__(self, client: Client) -> None:
        """Ask through `client`; what writes needs its signer."""
        self._client = client

    def declare_stream(
        self,
        *,
        heartbeat_s: int,
        max_batch_records: int,
        on_outage: int,
        stop_after_s: int,
        bodies_at: str,
        second_place: str,
    ) -> FinalReceipt:
        """Begin the caller's stream, go on with an ended one, or change what its recorder declares of how it records.

        For: recorder. Returns the receipt once the call is final; raises CallRefused with the contract's reason.
        """
        return self._client.call(
            "access",
            "declare_stream",
            heartbeat_s=heartbeat_s,
            max_batch_records=max_batch_records,
            on_outage=on_outage,
            stop_after_s=stop_after_s,
            bodies_at=bodies_at,
            second_place=second_place,
        )

    def end_stream(self, recorder: bytes) -> FinalReceipt:
        """Say that no batches follow in a stream: the caller's own, or by an administrator one of its department.

        For: recorder, administrator. Returns the receipt once the call is final; raises CallRefused with the contract's reason.
        """
        return self._client.call("access", "end_stream", recorder=recorder)

    def end_suspended_stream(self, *, department: str, recorder: bytes) -> FinalReceipt:
        """Say for a suspended department, whose accounts cannot, that no batches follow in a stream: since its suspension.

        For: governor. Returns the receipt once the call is final; raises CallRefused with the contract's reason.
        """
        return self._client.call("access", "end_suspended_stream", department=department, recorder=recorder)

    def record_batch(
        self,
        *,
        batch_number: int,
        first_number: int,
        count: int,
        previous_digest: bytes,
        last_digest: bytes,
        root: bytes,
        from_ms: int,
        to_ms: int,
        served: int,
        denied: int,
        irregular: int,
        rows: int,
    ) -> FinalReceipt:
        """Record the next batch of the caller's stream; the same batch again changes nothing.

        For: recorder. Returns the receipt once the call is final; raises CallRefused with the contract's reason.
        """
        return self._client.call(
            "access",
            "record_batch",
            batch_number=batch_number,
            first_number=first_number,
            count=count,
            previous_digest=previous_digest,
            last_digest=last_digest,
            root=root,
            from_ms=from_ms,
            to_ms=to_ms,
            served=served,
            denied=denied,
            irregular=irregular,
            rows=rows,
        )

    def stream(self, *, department: str, recorder: bytes) -> StreamRecord:
        """Return where a stream stands and what its recorder has declared."""
        found: StreamRecord = ask(self._client, "access", "stream", department=department, recorder=recorder)
        return found

    def batch(self, *, department: str, recorder: bytes, batch_number: int) -> BatchRecord:
        """Return one batch of a stream."""
        found: BatchRecord = ask(
            self._client,
            "access",
            "batch",
            department=department,
            recorder=recorder,
            batch_number=batch_number,
        )
        return found
