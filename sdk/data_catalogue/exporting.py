"""What a node lists of the catalogue, as entries: to be written to a table, or compared with one."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from sdk.client import Client
from sdk.data_catalogue.kinds import DEPARTMENT, DUTIES, RESOURCES, SYSTEMS, Entry, Kind
from sdk.data_catalogue.reading import MAX_ENTRIES
from sdk.errors import NodeUnreachable
from verification.errors import InputError

PATHS: Final = {DUTIES.name: "/duties", SYSTEMS.name: "/systems", RESOURCES.name: "/catalogue"}


def list_entries(client: Client, kind: Kind, *, department: str | None = None, text: str | None = None) -> list[Entry]:
    """Return the entries of a kind that are in force, ordered by department and code; raise GovnodeError where it cannot be done."""
    # One more than fits, so that a list that is cut off shows.
    items = client.get_all(PATHS[kind.name], limit=MAX_ENTRIES + 1, department=department, q=text)
    if len(items) > MAX_ENTRIES:
        raise InputError(
            "LIST_TOO_LONG",
            f"超过 {MAX_ENTRIES} 项，请用 --department 分部门导出",
            f"more than {MAX_ENTRIES} entries: export them by --department",
        )
    entries = [_entry(kind, item) for item in items if not item.get("is_withdrawn") and not item.get("ended_ms")]
    return sorted(entries, key=lambda entry: (entry.department, entry.content.code))


def list_waiting(client: Client, kind: Kind, department: str) -> list[Entry]:
    """Return a department's entries of a kind that wait for approval: resources only can; raise GovnodeError."""
    if kind is not RESOURCES:
        return []
    items = client.get_all("/resource-proposals", limit=MAX_ENTRIES, department=department)
    return [_entry(kind, item) for item in items]


def _entry(kind: Kind, item: dict[str, Any]) -> Entry:
    department = "provider" if kind is RESOURCES else DEPARTMENT
    try:
        fields = {column.field: item[column.field] for column in kind.fields}
        if kind is RESOURCES:
            fields["items"] = [(one["name"], one["type"]) for one in fields["items"]]
        content = kind.make(**fields)
        content = msgspec.convert(msgspec.to_builtins(content), type(content))
        return Entry(kind.name, str(item[department]), content)
    except (KeyError, TypeError, msgspec.ValidationError) as error:
        raise NodeUnreachable(
            "ANSWER_INVALID",
            f"节点列出的{kind.zh}与本程序的字段不符，请核对节点版本：{error}",
            f"the node does not list the {kind.en} with the fields of this program: check its version ({error})",
        ) from None
