"""Access records: every read of shared data against its grant, in gapless hash-chained streams.

Written by generators/system_contracts.py from the contract's declarations: edit those.
"""

from __future__ import annotations

from contracts.data_sharing.access import StreamHead
from sdk.client import Client, FinalReceipt
from sdk.system_contracts.answer import ask


class Access:
    """The system contract `access` on the network of a client."""

    def __init__(self, client: Client) -> None:
        """Ask through `client`; what writes needs its signer."""
        self._client = client

    def record(
        self,
        *,
        number: int,
        previous_digest: bytes,
        grant: bytes,
        person: bytes,
        system: str,
        case_number: str,
        query_digest: bytes,
        result_digest: bytes,
        rows: int,
        outcome: int,
        read_ms: int,
    ) -> FinalReceipt:
        """Record one read in the caller's stream and return its digest; the same record again changes nothing.

        For: recorder. Returns the receipt once the call is final; raises CallRefused with the contract's reason.
        The receipt's output is a bytes32.
        """
        return self._client.call(
            "access",
            "record",
            number=number,
            previous_digest=previous_digest,
            grant=grant,
            person=person,
            system=system,
            case_number=case_number,
            query_digest=query_digest,
            result_digest=result_digest,
            rows=rows,
            outcome=outcome,
            read_ms=read_ms,
        )

    def stream_head(self, *, department: str, recorder: bytes) -> StreamHead:
        """Return where a stream stands: number 0 and a zero digest before its first record."""
        found: StreamHead = ask(self._client, "access", "stream_head", department=department, recorder=recorder)
        return found
