"""What differs between two sets of entries, or two versions of one: entries added, taken out and changed, field by field."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from sdk.data_catalogue.kinds import KINDS, Entry, Kind
from sdk.data_catalogue.writing import cells_of

SENT: Final = "sent"
OTHER: Final = "other"
WAITING: Final = {
    SENT: ("已提交，待审批", "sent, waiting for approval"),
    OTHER: ("另有一版待审批", "another version waits for approval"),
}
"""How an entry stands that differs from what is in force, while a version of it waits on the ledger: just this one, or another."""


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
    waiting: str = ""
    """One of WAITING, empty where nothing waits."""


def compare(before: Iterable[Entry], after: Iterable[Entry], waiting: Iterable[Entry] = ()) -> list[EntryChange]:
    """Return the changes from one set of entries to another, of one kind or several: by kind, department and code.

    `waiting` is what waits for approval to take the place of entries before: a change that is there already says so.
    """
    old, new, sent = _by_name(before), _by_name(after), _by_name(waiting)
    changes = [_whole("removed", entry) for name, entry in old.items() if name not in new]
    for name, entry in new.items():
        earlier, stands = old.get(name), _standing(entry, sent.get(name))
        if earlier is None:
            changes.append(_whole("added", entry, (), stands))
        elif fields := changed_fields(earlier, entry):
            changes.append(_whole("changed", entry, fields, stands))
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


def _standing(entry: Entry, waiting: Entry | None) -> str:
    """Return how an entry stands to the version of it that waits: one of WAITING, or empty."""
    if waiting is None:
        return ""
    return SENT if is_same(waiting, entry) else OTHER


def _whole(change: str, entry: Entry, fields: tuple[FieldChange, ...] = (), waiting: str = "") -> EntryChange:
    return EntryChange(change, entry.kind, entry.department, entry.content.code, entry.content.name, fields, waiting)
