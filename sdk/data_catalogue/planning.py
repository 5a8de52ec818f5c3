"""What an import has to do: entries checked by the contracts' own rules and compared with the ledger's, before anything is signed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from contracts.data_sharing.directories import DUTIES as DUTY_RECORDS
from contracts.data_sharing.directories import SYSTEMS as SYSTEM_RECORDS
from contracts.data_sharing.directories import DutyRecord, SystemRecord, check_duty, check_system, entry_name
from contracts.data_sharing.resources import check_description
from contracts.refusals import Refused
from sdk.client import Client
from sdk.data_catalogue.cells import MAX_SHOWN
from sdk.data_catalogue.difference import is_same
from sdk.data_catalogue.kinds import DEPARTMENT, DUTIES, ITEM_NAME, KINDS, RESOURCES, SYSTEMS, Entry
from sdk.data_catalogue.ledger_entries import Known, find_known, find_linked
from sdk.data_catalogue.reading import TableContent
from sdk.tables.lines import RowFault

ASKED_AT_ONCE: Final = 500

_FIELDS: Final = {
    "BASIS_MISSING": "sharing_basis",
    "SECRET_SHARED": "is_secret",
    "CORE_OPENED": "is_open",
    "SOURCE_WITHOUT_LEVEL": "source_level",
    "DUTY_UNKNOWN": "duties",
    "SYSTEM_UNKNOWN": "systems",
    "OTHER_DEPARTMENT": DEPARTMENT,
}
"""The field that a refusal is about which does not name it."""
_NAMED_FIELDS: Final = {"item name": "items", "item type": "items"}

NEW: Final = "new"
CHANGED: Final = "changed"

Progress = Callable[[str, int, int], None]
"""Told the step, how much of it is done, and how much there is."""


class Action(msgspec.Struct, frozen=True):
    """An entry to put on the ledger: new there or changed, and the version there that it replaces."""

    path: Path
    entry: Entry
    change: str
    replaces: int


class ImportPlan(msgspec.Struct):
    """What an import has to do: the actions by kind, what the ledger has so already or waits for approval, and all faults."""

    actions: dict[str, list[Action]]
    faults: list[tuple[Path, RowFault]]
    rows: int
    headings: dict[Path, dict[str, str]]
    """What the columns are called in each file, by the field that they fill."""
    unchanged: int = 0
    waiting: int = 0

    @property
    def departments(self) -> set[str]:
        """The departments whose entries are to be put on the ledger."""
        return {action.entry.department for actions in self.actions.values() for action in actions}

    def count(self, change: str) -> int:
        """Return how many actions there are of a change, NEW or CHANGED."""
        return sum(action.change == change for actions in self.actions.values() for action in actions)

    def fault_of(
        self, path: Path, entry: Entry, code: str, texts: tuple[str, str], field: str = "", found: str = ""
    ) -> tuple[Path, RowFault]:
        """Return the fault of an entry's row for which the ledger, or a rule of it, refuses the entry.

        `field` is what it is about, where that is known, and `found` what is there.
        """
        headings = self.headings[path]
        named = field or _FIELDS.get(code, "code")
        # Items have columns of their own in some tables.
        column = headings.get(named) or headings.get(ITEM_NAME if named == "items" else "", "-")
        shown = entry.content.code if named == "code" else found
        return path, RowFault(entry.line, column, code, shown[:MAX_SHOWN], *texts)


class _Scratch(dict[bytes, bytes]):
    """The records that links point to, as the contracts' checks read them."""

    def set(self, key: bytes, value: bytes) -> None:
        self[key] = value

    def delete(self, key: bytes) -> None:
        self.pop(key, None)


def plan_import(client: Client, tables: Sequence[TableContent], progress: Progress) -> ImportPlan:
    """Return what it takes to put the entries of tables on the ledger; raise GovnodeError where the node does not answer."""
    plan = ImportPlan({kind: [] for kind in KINDS}, [], 0, {table.path: table.headings for table in tables})
    for table in tables:
        plan.rows += table.rows
        plan.faults += [(table.path, fault) for fault in table.faults]
    entries = {
        kind: [(table.path, entry) for table in tables if table.kind.name == kind for entry in table.entries]
        for kind in KINDS
    }
    for kind, found in entries.items():
        entries[kind] = _without_repeats(plan, found)
    linked = _linked_records(client, entries)
    for kind, found in entries.items():
        sound = [(path, entry) for path, entry in found if _check(plan, linked, path, entry)]
        _compare(client, plan, kind, sound, progress)
    return plan


def _without_repeats(plan: ImportPlan, found: list[tuple[Path, Entry]]) -> list[tuple[Path, Entry]]:
    """Return the entries whose code is only in one of several files; the others become faults."""
    first: dict[tuple[str, str], Path] = {}
    kept = []
    for path, entry in found:
        before = first.setdefault(entry.name, path)
        if before is path:
            kept.append((path, entry))
            continue
        zh, en = f"与 {before.name} 中的代码相同", f"the same code as in {before.name}"
        plan.faults.append(plan.fault_of(path, entry, "CODE_TWICE", (zh, en)))
    return kept


def _linked_records(client: Client, entries: dict[str, list[tuple[Path, Entry]]]) -> _Scratch:
    """Return the duties and systems that entries name, as they will stand once the tables are on the ledger."""
    linked = _Scratch()
    for kind, fields in ((DUTIES, ("duties",)), (SYSTEMS, ("systems",))):
        stated = {(entry.department, entry.content.code) for _, entry in entries[kind.name]}
        named = {
            (entry.department, code)
            for found in entries.values()
            for _, entry in found
            for field in fields
            for code in getattr(entry.content, field, ())
        }
        for record in find_linked(client, kind.name, sorted(named - stated)):
            _put(linked, record)
        for _, entry in entries[kind.name]:
            make = DutyRecord if kind is DUTIES else SystemRecord
            _put(linked, make(entry.department, entry.content, 1, 0, 0, ""))
    return linked


def _put(linked: _Scratch, record: DutyRecord | SystemRecord) -> None:
    if isinstance(record, DutyRecord):
        DUTY_RECORDS.save(linked, entry_name(record.department, record.duty.code), record)
    else:
        SYSTEM_RECORDS.save(linked, entry_name(record.department, record.system.code), record)


def _check(plan: ImportPlan, linked: _Scratch, path: Path, entry: Entry) -> bool:
    """Return whether the contract will take what an entry states; what is wrong with it becomes a fault."""
    try:
        if entry.kind == DUTIES.name:
            check_duty(entry.content)
        elif entry.kind == SYSTEMS.name:
            check_system(linked, entry.department, entry.content)
        else:
            check_description(linked, entry.department, entry.content)
    except Refused as refused:
        found = refused.fields.get("found")
        field = _faulty_field(entry, refused)
        shown = found if isinstance(found, str) and found != entry.content.code else ""
        plan.faults.append(plan.fault_of(path, entry, refused.code, refused.texts, field, shown))
        return False
    return True


def _faulty_field(entry: Entry, refused: Refused) -> str:
    """Return the field of an entry that a refusal is about, empty where that follows from its code."""
    named = str(refused.fields.get("field", ""))
    if named:
        return _NAMED_FIELDS.get(named, named)
    linked = [field for field in ("duties", "systems", "related") if hasattr(entry.content, field)]
    found = refused.fields.get("found")
    if refused.code in _FIELDS or found == entry.content.code:
        return ""
    return next((field for field in linked if found in getattr(entry.content, field)), "")


def _compare(
    client: Client, plan: ImportPlan, kind: str, found: Sequence[tuple[Path, Entry]], progress: Progress
) -> None:
    for start in range(0, len(found), ASKED_AT_ONCE):
        asked = found[start : start + ASKED_AT_ONCE]
        answers = find_known(client, kind, [entry for _, entry in asked])
        for (path, entry), known in zip(asked, answers, strict=True):
            _decide(plan, path, entry, known)
        progress(f"compare {kind}", start + len(asked), len(found))


def _decide(plan: ImportPlan, path: Path, entry: Entry, known: Known | None) -> None:
    if known is None:
        plan.actions[entry.kind].append(Action(path, entry, NEW, 0))
        return
    if known.entry.department != entry.department:
        zh = f"账本上该代码属于部门 {known.entry.department}"
        en = f"on the ledger this code is of the department {known.entry.department}"
        plan.faults.append(plan.fault_of(path, entry, "OTHER_DEPARTMENT", (zh, en)))
    elif known.has_ended and entry.kind == RESOURCES.name:
        zh, en = (
            "账本上该资源已撤回，请另编代码",
            "this resource has been withdrawn on the ledger: give it another code",
        )
        plan.faults.append(plan.fault_of(path, entry, "RESOURCE_WITHDRAWN", (zh, en)))
    elif known.waiting is not None and is_same(known.waiting, entry):
        plan.waiting += 1
    elif known.version and is_same(known.entry, entry) and not known.has_ended:
        plan.unchanged += 1
    else:
        change = CHANGED if known.version else NEW
        plan.actions[entry.kind].append(Action(path, entry, change, known.version))


def sorted_faults(faults: Iterable[tuple[Path, RowFault]]) -> list[tuple[Path, RowFault]]:
    """Return faults in the order of files and lines."""
    return sorted(faults, key=lambda found: (str(found[0]), found[1].line))
