"""The department's own store of reads, where govnode cert fetch records what it fetches and takes it to the ledger."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from verification.errors import GovnodeError

if TYPE_CHECKING:
    from sdk.access_recording.recorder import Recorder
    from sdk.client import Client


@contextlib.contextmanager
def own_recorder(store: Path | None, client: Client, notes: list[tuple[str, object]]) -> Iterator[Recorder | None]:
    """Give the recorder of a store that fits the ledger, None without a store, and put its reads on the ledger at the end.

    `notes` are added to what the user is told: a read that the ledger cannot take now is on disk, and goes there with the next one.
    Raises InputError STORE_FORKED or STORE_IN_USE before anything is asked.
    """
    if store is None:
        yield None
        return
    from sdk.access_recording.anchorer import Anchorer
    from sdk.access_recording.keeping import open_recorder, policy_of_stream
    from sdk.cli.access_keep import audit_lines

    department = client.own_department()
    policy = policy_of_stream(client, department)
    notes += audit_lines(policy, store)
    with open_recorder(store, client, department, policy) as recorder:
        try:
            yield recorder
        finally:
            # What was fetched is not lost, nor why it was refused, when the node does not answer now.
            try:
                Anchorer(recorder, client).anchor_all()
            except GovnodeError as error:
                notes.append(
                    (
                        "注意 / note",
                        f"已入记录库，尚未上链，请运行 govnode access keep {store}（{error.zh}） / recorded, not on the ledger yet, "
                        f"run govnode access keep {store}: {error.code} {error.en}",
                    )
                )
