"""The ledger's batches of a stream, many at a time: a stream of years has more of them than anybody asks for one by one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

from contracts.data_sharing.access import BatchRecord
from sdk.client import MAX_RPC_BATCH, Client
from sdk.errors import RequestRefused
from sdk.system_contracts.answer import ask_many


def find_batches(client: Client, department: str, recorder: bytes, numbers: Iterable[int]) -> Iterator[BatchRecord]:
    """Yield the batches of a stream in the order of their numbers given; raise RequestRefused at one that the ledger has not."""
    left = iter(numbers)
    while page := list(islice(left, MAX_RPC_BATCH)):
        calls = [{"department": department, "recorder": recorder, "batch_number": number} for number in page]
        for answer in ask_many(client, "access", "batch", calls):
            if isinstance(answer, RequestRefused):
                raise answer
            yield answer
