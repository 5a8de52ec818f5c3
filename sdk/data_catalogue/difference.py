"""What differs between two sets of entries, or two versions of one: entries added, taken out and changed, field by field."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from sdk.data_catalogue.kinds import KINDS, Entry, Kind
from sdk.data_catalogue.writing import cells_of


class FieldChange(msgspec.Struct, frozen=True):
    """A field of an entry that is not the same: its name, its heading, and how it stands on both sides, as a table's cell."""

    field: str
    zh: str
    before: str
    after: str


class EntryChange(msgspec.Struct, frozen=True):
    """An entry that is only before (`removed`), only after (`added`), or on both sides and not the same (`changed`)."""

    change: str
    kind: str
    department: str
    code: str
    name: str
    fields: tuple[FieldChange, ...] = ()


def compare(before: Iterable[Entry], after: Iterable[Entry]) -> list[EntryChange]:
    """Return the changes from one set of entries to another, of one kind or several: by kind, department and code."""
    old, new = _by_name(before), _by_name(after)
    changes = [_whole("removed", entry) for name, entry in old.items() if name not in new]
    for name, entry in new.items():
        earlier = old.get(name)
        if earlier is None:
            changes.append(_whole("added", entry))
        elif fields := changed_fields(earlier, entry):
            changes.append(_whole("changed", entry, fields))
    order = {kind: place for place, kind in enumerate(KINDS)}
    return sorted(changes, key=lambda change: (order[change.kind], change.department, change.code))


def changed_fields(before: Entry, after: Entry) -> tuple[FieldChange, ...]:
    """Return the fields in which two entries of one kind differ."""
    if (before.department, before.content) == (after.department, after.content):
        return ()
    kind: Kind = KINDS[after.kind]
    cells = zip(kind.columns, cells_of(kind, before), cells_of(kind, after), strict=True)
    return tuple(FieldChange(column.field, column.zh, old, new) for column, old, new in cells if old != new)


def is_same(before: Entry, after: Entry) -> bool:
    """Return whether two entries state the same."""
    return (before.department, before.content) == (after.department, after.content)


def _by_name(entries: Iterable[Entry]) -> dict[tuple[str, Sequence[str]], Entry]:
    return {(entry.kind, entry.name): entry for entry in entries}


def _whole(change: str, entry: Entry, fields: tuple[FieldChange, ...] = ()) -> EntryChange:
    return EntryChange(change, entry.kind, entry.department, entry.content.code, entry.content.name, fields)
