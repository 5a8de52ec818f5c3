"""Certificates of an issued batch take the place of those that their rows name as predecessors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sdk.certificate_batches.admission import admit_members
from sdk.certificate_batches.archive import BatchArchive
from sdk.certificate_batches.rows import BatchRow
from sdk.certificates import SUBMITTED_AT_ONCE, Outcome
from sdk.client import Client
from sdk.identity_numbers import check_free_text
from verification.errors import GovnodeError, InputError


def renew_by_members(
    client: Client, archive: BatchArchive, reason: str, earlier: BatchArchive | None
) -> Iterator[Outcome]:
    """Renew every predecessor that a row of the batch names, and yield what became of each, by the successor's identifier.

    Predecessors that are in the archive `earlier` get their records first. What an earlier run renewed has neither receipt nor
    error.
    """
    check_free_text("reason", reason)
    found: list[BatchRow] = []
    start = 0
    while rows := archive.rows(start, SUBMITTED_AT_ONCE):
        start += len(rows)
        found += [row for row in rows if row.predecessor]
        if len(found) >= SUBMITTED_AT_ONCE:
            yield from _renew(client, archive, found, reason, earlier)
            found = []
    if found:
        yield from _renew(client, archive, found, reason, earlier)


def _renew(
    client: Client, archive: BatchArchive, rows: Sequence[BatchRow], reason: str, earlier: BatchArchive | None
) -> list[Outcome]:
    records = client.views("certificates", "certificate", [{"identifier": row.identifier} for row in rows])
    done = [
        not isinstance(one, GovnodeError) and one["predecessor"] == row.predecessor
        for row, one in zip(rows, records, strict=True)
    ]
    waiting = [row for row, is_done in zip(rows, done, strict=True) if not is_done]
    refused = _admit_predecessors(client, waiting, earlier)
    ready = [row for row in waiting if row.identifier not in refused]
    name = archive.tree.name
    calls = []
    for row in ready:
        position = archive.position(row.identifier)
        calls.append(
            client.sign_call(
                "batches",
                "renew",
                predecessor=row.predecessor,
                batch=name,
                position=position,
                content=archive.content(position),
                path=archive.path_of(position),
                reason=reason,
            )
        )
    results = dict(zip((row.identifier for row in ready), client.outcomes(calls) if calls else [], strict=True))
    outcomes = []
    for row in rows:
        result = results.get(row.identifier)
        if isinstance(result, GovnodeError):
            outcomes.append(Outcome(row.identifier, None, result))
        else:
            outcomes.append(Outcome(row.identifier, result, refused.get(row.identifier)))
    return outcomes


def _admit_predecessors(
    client: Client, rows: Sequence[BatchRow], earlier: BatchArchive | None
) -> dict[str, GovnodeError]:
    """Return, by the successor's identifier, why predecessors in the earlier archive got no record; others are not looked at."""
    if earlier is None or not rows:
        return {}
    admitted = admit_members(client, earlier, [row.predecessor for row in rows])
    return {
        row.identifier: outcome.error
        for row, outcome in zip(rows, admitted, strict=True)
        if outcome.error is not None and not _is_elsewhere(outcome.error)
    }


def _is_elsewhere(error: GovnodeError) -> bool:
    """Whether the predecessor is of another batch, or of none: the ledger says then what it is."""
    return isinstance(error, InputError) and error.code == "NOT_IN_ARCHIVE"
