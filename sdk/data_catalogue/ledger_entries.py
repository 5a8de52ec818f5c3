"""What the ledger has of entries that a table states: asked of a node, many at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from contracts.data_sharing.catalogue import APPROVALS, ProposalRecord, ResourceRecord
from contracts.data_sharing.directories import DutyRecord, SystemRecord
from contracts.data_sharing.resources import CORE, IMPORTANT
from sdk.client import Client
from sdk.data_catalogue.kinds import DUTIES, RESOURCES, SYSTEMS, Entry
from sdk.errors import RequestRefused
from sdk.system_contracts.answer import ask_many

VIEWS: Final = {
    DUTIES.name: ("directories", "duty", "DUTY_UNKNOWN"),
    SYSTEMS.name: ("directories", "system", "SYSTEM_UNKNOWN"),
    RESOURCES.name: ("catalogue", "resource", "RESOURCE_UNKNOWN"),
}
"""By kind of entry: the contract and view that knows it, and how it refuses one that it does not know."""
_NEEDS_APPROVAL: Final = frozenset(data_class for data_class in (CORE, IMPORTANT) if APPROVALS[data_class])


class Known(msgspec.Struct, frozen=True):
    """How the ledger has an entry: as its department stated it, the version, whether it has ended, and what waits for approval."""

    entry: Entry
    version: int
    has_ended: bool
    waiting: Entry | None = None


def find_known(client: Client, kind: str, entries: Sequence[Entry]) -> list[Known | None]:
    """Return for each entry of one kind how the ledger has it, None where it does not; raise RequestRefused for any other reason."""
    contract, view, unknown = VIEWS[kind]
    records = _records(client, contract, view, unknown, [_arguments(entry) for entry in entries])
    found = [None if record is None else _known(kind, record) for record in records]
    if kind == RESOURCES.name:
        _add_waiting(client, entries, found)
    return found


def find_linked(client: Client, kind: str, names: Iterable[tuple[str, str]]) -> list[DutyRecord | SystemRecord]:
    """Return the records of duties or systems by department and code; those that the ledger does not have are left out."""
    contract, view, unknown = VIEWS[kind]
    calls = [{"department": department, "code": code} for department, code in names]
    return [record for record in _records(client, contract, view, unknown, calls) if record is not None]


def _records(client: Client, contract: str, view: str, unknown: str, calls: Sequence[dict[str, str]]) -> list[Any]:
    records: list[Any] = []
    for answer in ask_many(client, contract, view, calls):
        if isinstance(answer, RequestRefused):
            if answer.code != unknown:
                raise answer
            records.append(None)
        else:
            records.append(answer)
    return records


def _arguments(entry: Entry) -> dict[str, str]:
    code = {"code": entry.content.code}
    return code if entry.kind == RESOURCES.name else {"department": entry.department} | code


def _known(kind: str, record: DutyRecord | SystemRecord | ResourceRecord | ProposalRecord) -> Known:
    if isinstance(record, DutyRecord):
        return Known(Entry(kind, record.department, record.duty), record.version, bool(record.ended_ms))
    if isinstance(record, SystemRecord):
        return Known(Entry(kind, record.department, record.system), record.version, bool(record.ended_ms))
    entry = Entry(kind, record.provider, record.description)
    if isinstance(record, ProposalRecord):
        return Known(entry, 0, has_ended=False, waiting=entry)
    return Known(entry, record.version, bool(record.withdrawn_ms))


def _add_waiting(client: Client, entries: Sequence[Entry], found: list[Known | None]) -> None:
    """Put in what waits for approval, where the class of the data can have something wait."""
    places = [place for place, (entry, known) in enumerate(zip(entries, found, strict=True)) if _can_wait(entry, known)]
    calls = [{"code": entries[place].content.code} for place in places]
    proposals = _records(client, "catalogue", "proposal", "PROPOSAL_UNKNOWN", calls)
    for place, proposal in zip(places, proposals, strict=True):
        if proposal is None:
            continue
        waiting = _known(RESOURCES.name, proposal)
        known = found[place]
        found[place] = waiting if known is None else msgspec.structs.replace(known, waiting=waiting.entry)


def _can_wait(entry: Entry, known: Known | None) -> bool:
    classes = {entry.content.data_class} | (set() if known is None else {known.entry.content.data_class})
    return bool(classes & _NEEDS_APPROVAL)
